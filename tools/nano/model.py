"""Nano's numbers, its prompt layout, and one forward pass over pictures with several questions each.

The classes are transformers' own: nothing of the model is written here. `hidden_states` is the published forward with
one saving: the image tokens of a picture are computed once and stand in front of each of its questions.
"""
import re

import sentencepiece as spm
import torch

SIDE = 112
PATCH = 14
IMAGE_TOKENS = (SIDE // PATCH) ** 2
LOCATION_ZERO = 1792
SEGMENT_ZERO = LOCATION_ZERO + 1024
IMAGE_TOKEN = 2944
EOS, BOS = 1, 2
MASK_TOKENS = 16  # of one object

BOX = re.compile(r"(?:<loc\d{4}>){4}")
LOCATION = re.compile(r"<loc(\d{4})>")


class Prompts:
    """Text to ids, piece by piece as PaliGemma lays them out: BOS, prefix, newline, suffix, EOS."""

    def __init__(self, path):
        self.pieces = spm.SentencePieceProcessor(path)
        self.newline = self.pieces.encode("\n")[0]
        self.seen = {}

    def encode(self, text):
        if text not in self.seen:
            self.seen[text] = self.pieces.encode(text)
        return self.seen[text]

    def prefix(self, text):
        return [BOS] + self.encode(text) + [self.newline]

    def decode(self, ids):
        ids = list(ids)
        return self.pieces.decode(ids[:ids.index(EOS)] if EOS in ids else ids)


def with_masks(suffix, codes):
    """Puts the mask tokens of each object behind its box; `codes` holds 16 numbers for each box."""
    codes = iter(codes)
    return BOX.sub(lambda box: box.group() + "".join("<seg%03d>" % c for c in next(codes)), suffix)


def pixels(bytes_hwc):
    """[n, SIDE, SIDE, 3] bytes to [n, 3, SIDE, SIDE] floats in [-1, 1]."""
    return bytes_hwc.permute(0, 3, 1, 2).float().div(127.5).sub(1.0).contiguous()


def image_tokens(model, values):
    """[n, IMAGE_TOKENS, D]"""
    return model.model.get_image_features(values).pooler_output


def hidden_states(model, tokens, which, ids, prefix_lengths):
    """Final hidden states [rows, IMAGE_TOKENS + T, D] of rows that are padded on the right.

    tokens [n, IMAGE_TOKENS, D]; which [rows] picks a picture for each row; ids [rows, T]; prefix_lengths [rows].
    Pads count as suffix: they are causal, stand last, and so no real position sees them.
    """
    text = model.get_input_embeddings()(ids)
    embeds = torch.cat([tokens[which], text], dim=1)
    place = torch.arange(embeds.shape[1])
    types = (place[None, :] >= IMAGE_TOKENS + prefix_lengths[:, None]).long()
    return model.model(inputs_embeds=embeds, token_type_ids=types, use_cache=False).last_hidden_state
