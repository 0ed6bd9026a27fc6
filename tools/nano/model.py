"""Nano's numbers and its prompt layout; the model is transformers' own."""
import re

import sentencepiece as spm

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
