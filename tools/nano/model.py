"""Nano's architecture, its prompt layout, and one forward pass over pictures with several questions each.

The classes are transformers' own: nothing of the model is written here. `hidden_states` is the published forward with
one saving: the image tokens of a picture are computed once and stand in front of each of its questions.
"""
import re

import sentencepiece as spm
import torch
from transformers import GemmaConfig, PaliGemmaConfig, PaliGemmaForConditionalGeneration, SiglipVisionConfig

SIDE = 112
PATCH = 14
IMAGE_TOKENS = (SIDE // PATCH) ** 2
LOCATION_ZERO = 1792
SEGMENT_ZERO = LOCATION_ZERO + 1024
IMAGE_TOKEN = 2944
VOCABULARY = 3008  # rows: 2,944 pieces, <image>, and padding to a multiple of 64
PAD, EOS, BOS = 0, 1, 2
MASK_TOKENS = 16  # of one object

BOX = re.compile(r"(?:<loc\d{4}>){4}")
LOCATION = re.compile(r"<loc(\d{4})>")


def config():
    vision = SiglipVisionConfig(
        hidden_size=192, intermediate_size=576, num_hidden_layers=6, num_attention_heads=3, image_size=SIDE,
        patch_size=PATCH, layer_norm_eps=1e-6, hidden_act="gelu_pytorch_tanh", vision_use_head=False)
    text = GemmaConfig(
        vocab_size=VOCABULARY, hidden_size=192, intermediate_size=384, num_hidden_layers=2, num_attention_heads=3,
        num_key_value_heads=1, head_dim=64, max_position_embeddings=1024, hidden_act="gelu_pytorch_tanh",
        hidden_activation="gelu_pytorch_tanh", rms_norm_eps=1e-6, pad_token_id=PAD, eos_token_id=EOS,
        bos_token_id=BOS, tie_word_embeddings=True)
    return PaliGemmaConfig(
        vision_config=vision, text_config=text, image_token_index=IMAGE_TOKEN, projection_dim=192, hidden_size=192,
        vocab_size=VOCABULARY, pad_token_id=PAD, eos_token_id=EOS, bos_token_id=BOS, tie_word_embeddings=True)


def waves(side, width):
    """[side * side, width]: sines and cosines of row and column, so that neighbouring patches start alike."""
    angle = torch.arange(side)[:, None] * (0.02 ** (torch.arange(width // 4) / (width // 4 - 1)))[None, :] * 1.5
    line = torch.cat([angle.sin(), angle.cos()], dim=1)
    rows, columns = line[:, None].expand(side, side, -1), line[None].expand(side, side, -1)
    return torch.cat([rows, columns], dim=2).reshape(side * side, width)


def new_model(seed):
    """Random weights by transformers' own initialisation, but for two tables (neighbouring locations start alike in
    the vocabulary, neighbouring patches in the position table) and for the tower's residual branches, which start
    small: at full strength uniform attention makes all tokens of a picture alike, and training stays there."""
    torch.manual_seed(seed)
    model = PaliGemmaForConditionalGeneration(config())
    model.tie_weights()
    noise = torch.randn(192, 1, 1024 + 192)
    window = torch.exp(-0.5 * (torch.arange(-96, 97) / 24.0) ** 2).view(1, 1, -1)
    smooth = torch.nn.functional.conv1d(noise, window)[:, 0].T
    with torch.no_grad():
        table = model.get_input_embeddings().weight
        table[LOCATION_ZERO:LOCATION_ZERO + 1024] = smooth / smooth.std() * 0.02
        places = [p for n, p in model.named_parameters() if n.endswith("position_embedding.weight")][0]
        for name, weight in model.model.vision_tower.named_parameters():
            if name.endswith(("out_proj.weight", "fc2.weight")):
                weight *= 0.2
        places.copy_(waves(SIDE // PATCH, places.shape[1]) * 0.4)
    return model


@torch.no_grad()
def whiten(model, pictures):
    """Starts the patch embedding as the 192 principal patterns of real patches, levelled: random filters see little but
    the mean colour of a patch. pictures: [n, SIDE, SIDE, 3] bytes."""
    values = pixels(pictures)
    patches = torch.nn.functional.unfold(values, PATCH, stride=PATCH).transpose(1, 2).reshape(-1, 3 * PATCH * PATCH)
    mean = patches.mean(0)
    energy, patterns = torch.linalg.eigh((patches - mean).T.double() @ (patches - mean).double() / len(patches))
    conv = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d)][0]
    count = conv.weight.shape[0]
    energy, patterns = energy.flip(0)[:count], patterns.flip(1)[:, :count]
    level = (energy + energy[count // 3]).rsqrt()
    turn = torch.linalg.qr(torch.randn(count, count, generator=torch.Generator().manual_seed(2)))[0]
    filters = turn @ (patterns * level).T.float()
    filters *= 0.7 / ((patches - mean) @ filters.T).std()
    conv.weight.copy_(filters.view_as(conv.weight))
    conv.bias.copy_(-filters @ mean)


def parameter_count(model):
    return sum(p.numel() for p in {id(p): p for p in model.parameters()}.values())


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

    def row(self, prefix, suffix):
        """All ids of one row, and the number that belong to the prefix."""
        before = self.prefix(prefix)
        return before + self.encode(suffix) + [EOS], len(before)

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


def tower_states(model, values):
    """[n, IMAGE_TOKENS, tower width], before the projector"""
    return model.model.vision_tower(values).last_hidden_state


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
