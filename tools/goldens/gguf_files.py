"""The tiny models as GGUF, written by the gguf package, and goldens for the rounded weights they hold.

pg1.gguf, pg2.gguf             the project's single-file layout (f16, bf16)
pg1-q8_0.gguf                  the same with 8-bit text matrices
pg1-text.gguf, pg1-mmproj.gguf llama.cpp's pair, 4-bit text, norms with 1 added
pg2-text.gguf, pg2-mmproj.gguf the same in f16, vision ffn_up and ffn_down exchanged as older files have it
quants.gguf                    one tensor of every block type, with quants.safetensors dequantised
"""

import json
import tempfile
from pathlib import Path

import numpy as np
import torch
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFWriter
from gguf.quants import dequantize, quantize
from safetensors.torch import save_file
from sentencepiece import sentencepiece_model_pb2 as protobuf

import golden
import shapes
import tokenizer
from folders import write_json
from shapes import IMAGE_TOKEN, OUT, PG1, PG2, PROJECTOR, TEXT, VISION

Q = GGMLQuantizationType
TEXT_NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
}  # fmt: skip
GEMMA1_NORMS = {"post_attention_layernorm": "ffn_norm"}
GEMMA2_NORMS = {
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}
VISION_NAMES = {
    "layer_norm1": "ln1", "layer_norm2": "ln2", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.out_proj": "attn_out", "mlp.fc1": "ffn_up", "mlp.fc2": "ffn_down",
}  # fmt: skip
EXCHANGED = {"ffn_up": "ffn_down", "ffn_down": "ffn_up"}


def gguf_name(shape, name, exchanged=False):
    """The GGUF name of a tensor of the released files."""
    if name.startswith(PROJECTOR):
        return "mm.0." + name[len(PROJECTOR) :]
    if name.startswith(VISION):
        rest = name[len(VISION) :]
        if rest.startswith("encoder.layers."):
            _, _, layer, module = rest.split(".", 3)
            module, kind = module.rsplit(".", 1)
            ours = VISION_NAMES[module]
            return f"v.blk.{layer}.{EXCHANGED.get(ours, ours) if exchanged else ours}.{kind}"
        rest = rest.removeprefix("embeddings.").replace("patch_embedding", "v.patch_embd")
        return rest.replace("position_embedding", "v.position_embd").replace("post_layernorm", "v.post_ln")
    rest = name[len(TEXT) :]
    if rest.startswith("layers."):
        _, layer, module = rest.split(".", 2)
        names = TEXT_NAMES | (GEMMA2_NORMS if shape.gemma2 else GEMMA1_NORMS)
        return f"blk.{layer}.{names[module.removesuffix('.weight')]}.weight"
    return {"embed_tokens.weight": "token_embd.weight", "norm.weight": "output_norm.weight"}[rest]


def add_tokenizer(writer, rows):
    """Tokens of the extended model, <image>, and unused entries up to the rows of the table."""
    model = protobuf.ModelProto.FromString(tokenizer.sentencepiece_model(extended=True))
    tokens = [(p.piece, p.score, p.type) for p in model.pieces] + [("<image>", -1000.0, 3)]
    tokens += [(f"[PAD{i}]", -1000.0, 5) for i in range(len(tokens), rows)]
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([t[0] for t in tokens])
    writer.add_token_scores([t[1] for t in tokens])
    writer.add_token_types([t[2] for t in tokens])
    writer.add_bos_token_id(2)
    writer.add_eos_token_id(1)
    writer.add_pad_token_id(0)
    writer.add_unk_token_id(3)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)


def add_text_keys(writer, shape):
    writer.add_context_length(8192)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.mlp)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_dim)
    writer.add_value_length(shape.head_dim)
    writer.add_layer_norm_rms_eps(1e-6)
    if shape.gemma2:
        writer.add_attn_logit_softcapping(50.0)
        writer.add_final_logit_softcapping(30.0)


def add_single_keys(writer, shape):
    """The project's own keys beside those that llama.cpp defines."""
    add_text_keys(writer, shape)
    vision = "paligemma.vision."
    writer.add_string("paligemma.text_family", shape.family)
    writer.add_rope_freq_base(10000.0)
    writer.add_float32("paligemma.attention.query_pre_attn_scalar", shape.query_scalar)
    writer.add_uint32(vision + "image_size", shape.image)
    writer.add_uint32(vision + "patch_size", shape.patch)
    writer.add_uint32(vision + "embedding_length", shape.vision_width)
    writer.add_uint32(vision + "block_count", shape.vision_layers)
    writer.add_uint32(vision + "feed_forward_length", shape.vision_mlp)
    writer.add_uint32(vision + "attention.head_count", shape.vision_heads)
    writer.add_float32(vision + "attention.layer_norm_epsilon", 1e-6)
    writer.add_uint32("paligemma.image_token_id", IMAGE_TOKEN)
    writer.add_bool("pali.norm_plus_one", False)


def add_clip_keys(writer, shape):
    writer.add_clip_has_vision_encoder(True)
    writer.add_clip_projector_type("paligemma")
    writer.add_vision_image_size(shape.image)
    writer.add_vision_patch_size(shape.patch)
    writer.add_vision_embedding_length(shape.vision_width)
    writer.add_vision_feed_forward_length(shape.vision_mlp)
    writer.add_vision_block_count(shape.vision_layers)
    writer.add_vision_head_count(shape.vision_heads)
    writer.add_vision_projection_dim(shape.width)
    writer.add_vision_attention_layernorm_eps(1e-6)
    writer.add_vision_image_mean([0.5] * 3)
    writer.add_vision_image_std([0.5] * 3)
    writer.add_vision_use_gelu(True)


def add_tensors(writer, shape, w, kind, table_kind=None, plus_one=False, exchanged=False):
    """Matrices in `kind` where rows divide into its blocks, else f16; vectors and positions in f32.

    Returns the weights as a reader sees them.
    """
    seen = {}
    for name, tensor in w.items():
        stored, target = tensor, Q.F32
        is_norm = tensor.ndim == 1 and name.startswith(TEXT)
        if tensor.ndim > 1 and "position_embedding" not in name:
            wanted = table_kind if table_kind and "embed_tokens" in name else kind
            target = wanted if tensor.shape[-1] % GGML_QUANT_SIZES[wanted][0] == 0 else Q.F16
        elif is_norm and plus_one:
            stored = tensor + 1
        data = quantize(stored, target)
        writer.add_tensor(gguf_name(shape, name, exchanged), data, raw_dtype=target)
        back = dequantize(data.view(np.uint8) if target not in (Q.F32, Q.F16) else data, target)
        seen[name] = back.reshape(tensor.shape) - (1 if is_norm and plus_one else 0)
    return seen


def write(name, architecture, add_keys):
    """Open a writer, let `add_keys` fill it, close it; returns what `add_keys` returns."""
    writer = GGUFWriter(OUT / f"{name}.gguf", architecture)
    writer.add_name(name)
    result = add_keys(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return result


def single(name, shape, kind):
    def fill(writer):
        add_single_keys(writer, shape)
        add_tokenizer(writer, shape.rows)
        return add_tensors(writer, shape, shapes.weights(shape), kind)

    return write(name, "paligemma", fill)


def pair(shape, kind, table_kind, exchanged):
    w = shapes.weights(shape)
    text = {n: t for n, t in w.items() if n.startswith(TEXT)}
    vision = {n: t for n, t in w.items() if not n.startswith(TEXT)}

    def fill_text(writer):
        add_text_keys(writer, shape)
        if shape.gemma2:
            writer.add_sliding_window(8)
        add_tokenizer(writer, shape.rows)
        return add_tensors(writer, shape, text, kind, table_kind, plus_one=True)

    def fill_vision(writer):
        writer.add_type("mmproj")
        add_clip_keys(writer, shape)
        return add_tensors(writer, shape, vision, Q.F16, exchanged=exchanged)

    seen = write(f"{shape.name}-text", shape.family, fill_text)
    return seen | write(f"{shape.name}-mmproj", "clip", fill_vision)


def rounded_golden(shape, name, weights, out, query_scalar=None):
    """Logits and tokens of the first prompt with what a reader of the file sees.

    llama.cpp's files do not state the query scalar; a reader takes the head dimension then.
    """
    with tempfile.TemporaryDirectory() as folder:
        config = json.loads((OUT / shape.name / "config.json").read_text())
        if query_scalar:
            config["text_config"]["query_pre_attn_scalar"] = query_scalar
        write_json(Path(folder) / "config.json", config)
        tensors = {n: torch.from_numpy(np.ascontiguousarray(t, dtype=np.float32)) for n, t in weights.items()}
        save_file(tensors, Path(folder) / "model.safetensors", metadata={"format": "pt"})
        model = golden.load(folder)
    ids, types = golden.Text(shape).ids(*golden.PROMPTS[""])
    pixel_values = golden.pixels(shape, ["a"])
    out[name + ".logits"] = golden.forward(model, ids, types, pixel_values)[-1].clone()
    out[name + ".tokens"], _, notes = golden.greedy(model, ids, types, pixel_values, golden.banned(shape))
    print(name, out[name + ".tokens"].tolist(), notes)


BLOCK_TYPES = [
    Q.Q4_0, Q.Q4_1, Q.Q5_0, Q.Q5_1, Q.Q8_0, Q.Q2_K, Q.Q3_K, Q.Q4_K, Q.Q5_K, Q.Q6_K, Q.IQ4_NL, Q.IQ4_XS, Q.BF16, Q.F16,
]  # fmt: skip
# Where the f16 scales stand in blocks that the package cannot write, so that random bytes stay finite.
SCALES = {Q.Q2_K: (80, 82), Q.Q3_K: (108,), Q.Q4_K: (0, 2), Q.Q5_K: (0, 2), Q.Q6_K: (208,), Q.IQ4_NL: (0,), Q.IQ4_XS: (0,)}


def quants():
    """Two rows of 512 numbers in each type: quantised where the package can, random blocks elsewhere."""
    rng = np.random.default_rng(4)
    out = {}

    def fill(writer):
        for kind in BLOCK_TYPES:
            data = random_blocks(rng, kind) if kind in SCALES else quantize(values(rng), kind)
            writer.add_tensor(kind.name.lower(), data, raw_dtype=kind)
            plain = data if kind == Q.F16 else data.view(np.uint8)
            out[kind.name.lower()] = torch.from_numpy(dequantize(plain, kind).reshape(2, 512).copy())

    write("quants", "quants", fill)
    save_file(out, OUT / "quants.safetensors")


def values(rng):
    rows = rng.standard_normal((2, 512)).astype(np.float32)
    rows[1] *= 30
    rows[1, 64:96] = 0  # a block of zeros
    return rows


def random_blocks(rng, kind):
    elements, size = GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (2 * 512 // elements, size), dtype=np.uint8)
    for at in SCALES[kind]:
        scales = rng.uniform(-0.05, 0.05, len(blocks)).astype(np.float16)
        blocks[:, at : at + 2] = scales.view(np.uint8).reshape(-1, 2)
    return blocks.reshape(2, -1)


def main():
    torch.set_num_threads(1)
    out = {}
    rounded_golden(PG1, "pg1", single("pg1", PG1, Q.F16), out)
    rounded_golden(PG2, "pg2", single("pg2", PG2, Q.BF16), out)
    rounded_golden(PG1, "pg1-q8_0", single("pg1-q8_0", PG1, Q.Q8_0), out)
    rounded_golden(PG1, "pg1-text", pair(PG1, Q.Q4_0, Q.Q8_0, exchanged=False), out)
    rounded_golden(PG2, "pg2-text", pair(PG2, Q.F16, None, exchanged=True), out, PG2.head_dim)
    save_file(out, OUT / "gguf.safetensors")
    quants()


if __name__ == "__main__":
    main()
