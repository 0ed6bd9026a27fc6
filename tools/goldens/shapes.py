"""The tiny models: their sizes, their configuration files and their random weights.

Every tensor is drawn from one seeded generator, with scales chosen so that activations keep their
size, both soft-caps of the Gemma-2 model bend what passes through them, and greedy tokens vary.
Names are those of the released files ("old" names); other spellings are made from these.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

OUT = Path(__file__).resolve().parents[2] / "tests" / "data" / "tiny"
PIECES = 384  # pieces of the plain tokenizer
LOCATIONS, SEGMENTS = 1024, 128
VOCABULARY = PIECES + LOCATIONS + SEGMENTS  # 1536; big_vision's table has these rows
IMAGE_TOKEN = VOCABULARY  # Hugging Face only
ROWS = VOCABULARY + 64  # Hugging Face: <image>, a pad slot, rounded up to a multiple of 64


@dataclass(frozen=True)
class Shape:
    name: str
    family: str  # "gemma" | "gemma2"
    seed: int
    image: int
    vision_mlp: int
    width: int
    heads: int
    kv_heads: int
    head_dim: int
    mlp: int
    layers: int
    query_scalar: int
    rows: int = ROWS
    vision_width: int = 24
    vision_heads: int = 2
    vision_layers: int = 2
    patch: int = 14

    @property
    def tokens(self):
        return (self.image // self.patch) ** 2

    @property
    def gemma2(self):
        return self.family == "gemma2"


PG1 = Shape("pg1", "gemma", 1, image=56, vision_mlp=84, width=32, heads=4, kv_heads=1, head_dim=8,
            mlp=96, layers=2, query_scalar=8)
PG2 = Shape("pg2", "gemma2", 2, image=70, vision_mlp=100, width=40, heads=4, kv_heads=2, head_dim=16,
            mlp=88, layers=3, query_scalar=10,
            vision_width=36, vision_heads=3)
# Only what a released PaliGemma 1 file states: head_dim 256 and 224 pixels have to come from defaults.
DEFAULTS = Shape("pg1-defaults", "gemma", 3, image=224, vision_mlp=84, width=32, heads=2, kv_heads=1,
                 head_dim=256, mlp=64, layers=1, query_scalar=256, rows=192, vision_layers=1)

VISION = "vision_tower.vision_model."
TEXT = "language_model.model."
PROJECTOR = "multi_modal_projector.linear."


def config(shape):
    """config.json with the fields that released files carry, plus head_dim where it is not 256."""
    text = {
        "model_type": shape.family,
        "hidden_size": shape.width,
        "intermediate_size": shape.mlp,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "num_image_tokens": shape.tokens,
        "torch_dtype": "float32",
        "vocab_size": shape.rows,
    }
    if shape.head_dim != 256:
        text["head_dim"] = shape.head_dim
    if shape.gemma2:
        text |= {
            "attn_logit_softcapping": 50.0,
            "cache_implementation": "hybrid",
            "eos_token_id": [1, 7],
            "final_logit_softcapping": 30.0,
            "hidden_act": "gelu_pytorch_tanh",
            "hidden_activation": "gelu_pytorch_tanh",
            "query_pre_attn_scalar": shape.query_scalar,
            "sliding_window": 8,  # a trap: released weights want global attention in every layer
        }
    vision = {
        "hidden_size": shape.vision_width,
        "intermediate_size": shape.vision_mlp,
        "model_type": "siglip_vision_model",
        "num_attention_heads": shape.vision_heads,
        "num_hidden_layers": shape.vision_layers,
        "num_image_tokens": shape.tokens,
        "patch_size": shape.patch,
        "projection_dim": shape.width,
        "projector_hidden_act": "gelu_fast",
        "vision_use_head": False,
    }
    if shape.image != 224:
        vision["image_size"] = shape.image
    image_token = IMAGE_TOKEN if shape.rows == ROWS else shape.rows - 64
    return {
        "_vocab_size": shape.rows - 64,
        "architectures": ["PaliGemmaForConditionalGeneration"],
        "bos_token_id": 2,
        "eos_token_id": 1,
        "hidden_size": shape.width,
        "ignore_index": -100,
        "image_token_index": image_token,
        "model_type": "paligemma",
        "pad_token_id": 0,
        "projection_dim": shape.width,
        "text_config": text,
        "torch_dtype": "float32",
        "transformers_version": "4.41.0",
        "vision_config": vision,
    }


def preprocessor_config(shape):
    return {
        "do_convert_rgb": None,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_processor_type": "SiglipImageProcessor",
        "image_seq_length": shape.tokens,
        "image_std": [0.5, 0.5, 0.5],
        "processor_class": "PaliGemmaProcessor",
        "resample": 3,
        "rescale_factor": 0.00392156862745098,
        "size": {"height": shape.image, "width": shape.image},
    }


def weights(shape):
    """Random float32 weights under the names of the released files."""
    rng = np.random.default_rng(shape.seed)

    def normal(*size, std):
        return (rng.standard_normal(size) * std).astype(np.float32)

    def offsets(size, mean=0.0):
        return (mean + rng.uniform(-0.3, 0.3, size)).astype(np.float32)

    w = _vision_weights(shape, normal, offsets)
    w[PROJECTOR + "weight"] = normal(shape.width, shape.vision_width, std=1.2 * shape.vision_width**-0.5)
    w[PROJECTOR + "bias"] = normal(shape.width, std=0.3)
    w[TEXT + "embed_tokens.weight"] = _embedding(shape, normal)
    for n in range(shape.layers):
        w |= _text_layer(shape, f"{TEXT}layers.{n}.", normal, offsets)
    w[TEXT + "norm.weight"] = offsets(shape.width, mean=14.0 if shape.gemma2 else 5.0)
    return w


def _vision_weights(shape, normal, offsets):
    d, f, patch = shape.vision_width, shape.vision_mlp, shape.patch
    w = {
        "embeddings.patch_embedding.weight": normal(d, 3, patch, patch, std=0.06),
        "embeddings.patch_embedding.bias": normal(d, std=0.2),
        "embeddings.position_embedding.weight": normal(shape.tokens, d, std=0.5),
        "post_layernorm.weight": 1 + offsets(d),
        "post_layernorm.bias": normal(d, std=0.2),
    }
    for n in range(shape.vision_layers):
        layer = f"encoder.layers.{n}."
        for norm in ("layer_norm1", "layer_norm2"):
            w[f"{layer}{norm}.weight"] = 1 + offsets(d)
            w[f"{layer}{norm}.bias"] = normal(d, std=0.2)
        for name, gain in (("q_proj", 1.8), ("k_proj", 1.8), ("v_proj", 1.0), ("out_proj", 1.0)):
            w[f"{layer}self_attn.{name}.weight"] = normal(d, d, std=gain * d**-0.5)
            w[f"{layer}self_attn.{name}.bias"] = normal(d, std=0.2)
        w[layer + "mlp.fc1.weight"] = normal(f, d, std=d**-0.5)
        w[layer + "mlp.fc1.bias"] = normal(f, std=0.2)
        w[layer + "mlp.fc2.weight"] = normal(d, f, std=f**-0.5)
        w[layer + "mlp.fc2.bias"] = normal(d, std=0.2)
    return {VISION + name: tensor for name, tensor in w.items()}


def _embedding(shape, normal):
    table = normal(shape.rows, shape.width, std=0.07 if shape.gemma2 else 0.12)
    table[:4] *= 0.3  # pad, eos, bos and unk seldom win, so generation does not stop
    table[PIECES:VOCABULARY] *= 0.75  # leave room for pieces of text among the location tokens
    return table


def _text_layer(shape, layer, normal, offsets):
    d, f, q, kv = shape.width, shape.mlp, shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    # Gemma-2: scores near the cap of 50. Larger ones make attention so hard that it magnifies rounding.
    attention = 0.42 if shape.gemma2 else 1.3 * d**-0.5
    w = {
        "input_layernorm.weight": offsets(d),
        "self_attn.q_proj.weight": normal(q, d, std=attention),
        "self_attn.k_proj.weight": normal(kv, d, std=attention),
        "self_attn.v_proj.weight": normal(kv, d, std=1.0 * d**-0.5),
        "self_attn.o_proj.weight": normal(d, q, std=1.0 * q**-0.5),
        "post_attention_layernorm.weight": offsets(d),
        "mlp.gate_proj.weight": normal(f, d, std=2.0 * d**-0.5),
        "mlp.up_proj.weight": normal(f, d, std=2.0 * d**-0.5),
        "mlp.down_proj.weight": normal(d, f, std=2.0 * f**-0.5),
    }
    if shape.gemma2:
        w["pre_feedforward_layernorm.weight"] = offsets(d)
        w["post_feedforward_layernorm.weight"] = offsets(d, mean=2.0)
    return {layer + name: tensor for name, tensor in w.items()}
