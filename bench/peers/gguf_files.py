"""Writes GGUF files of PaliGemma-3B's shape with random weights: for llama.cpp the language model as `gemma` and the vision
tower as an mmproj with the projector of Gemma 3 (one matrix, no pooling), which is as near to PaliGemma's as its clip has;
for pali one file with all of it (docs/MODEL.md), in the same types.

usage: gguf_files.py FOLDER WEIGHTS pali|llama...: writes FOLDER/pali-WEIGHTS.gguf, or FOLDER/text-WEIGHTS.gguf and
FOLDER/vision-WEIGHTS.gguf, unless they are there"""

import math
import os
import sys

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

import shape as S

# type of the blocks' matrices, type of the tied embedding
TYPES = {
    "bf16": (Type.BF16, Type.BF16),
    "q8_0": (Type.Q8_0, Type.Q8_0),
    "q4_0": (Type.Q4_0, Type.Q4_0),
    "q4_0+q6_K": (Type.Q4_0, Type.Q6_K),
}
PATTERN = 1 << 18  # values drawn for each type; a tensor repeats them


def q6_k(generator, deviation):
    """Blocks of 256: 128 + 64 bytes of bits, 16 scales of 8 bits, one f16; the Python package does not write them."""
    blocks = generator.integers(0, 256, (PATTERN // 256, 210), dtype=np.uint8)
    blocks[:, 192:208] = generator.integers(16, 64, (len(blocks), 16), dtype=np.uint8)
    blocks[:, 208:] = np.frombuffer(np.float16(deviation / (40 * 18)).tobytes(), np.uint8)
    return blocks.ravel()


class File:
    """Tensors are declared first and drawn when the file is written, one at a time."""

    def __init__(self, path, architecture):
        self.path, self.wanted = path, []
        self.generator = np.random.default_rng(0)
        self.writer = gguf.GGUFWriter(None, architecture)

    def bytes(self, dims, kind, mean, deviation):
        elements, type_size = gguf.GGML_QUANT_SIZES[kind]
        size = math.prod(dims) // elements * type_size
        if kind == Type.Q6_K:
            pattern = q6_k(self.generator, deviation)
        else:
            values = self.generator.normal(mean, deviation, (PATTERN // 256, 256)).astype(np.float32)
            pattern = gguf.quants.quantize(values, kind).view(np.uint8).ravel()
        return np.resize(pattern, size)

    def add(self, name, dims, kind=Type.F32, mean=0.0, deviation=0.02):
        elements, type_size = gguf.GGML_QUANT_SIZES[kind]
        # The element type named here only says that `dims` are elements and not bytes.
        self.writer.add_tensor_info(name, dims, np.dtype(np.float32), math.prod(dims) // elements * type_size, kind)
        self.wanted.append((dims, kind, mean, deviation))

    def matrix(self, name, out, columns, kind):
        self.add(f"{name}.weight", (out, columns), kind, deviation=1 / math.sqrt(columns))

    def affine(self, name, out, columns, kind):
        self.matrix(name, out, columns, kind)
        self.add(f"{name}.bias", (out,))

    def norm(self, name, width, bias=False):
        self.add(f"{name}.weight", (width,), mean=1.0, deviation=0.1)
        if bias:
            self.add(f"{name}.bias", (width,))

    def write(self):
        if os.path.exists(self.path):
            return
        partial = self.path + ".partial"
        self.writer.write_header_to_file(partial)
        self.writer.write_kv_data_to_file()
        self.writer.write_ti_data_to_file()
        for wanted in self.wanted:
            self.writer.write_tensor_data(self.bytes(*wanted))
        self.writer.close()
        os.replace(partial, self.path)


def add_vocabulary(writer):
    control, byte = [b"<pad>", b"<eos>", b"<bos>", b"<unk>"], [b"<0x%02X>" % value for value in range(256)]
    plain = [b"piece%d" % n for n in range(S.VOCABULARY - 4 - 256 - 2)] + [b"\n", b"<image>"]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(control + byte + plain)
    writer.add_token_scores([0.0] * S.VOCABULARY)
    kinds = [gguf.TokenType.CONTROL] * 3 + [gguf.TokenType.UNKNOWN] + [gguf.TokenType.BYTE] * 256
    writer.add_token_types(kinds + [gguf.TokenType.NORMAL] * len(plain))
    writer.add_add_space_prefix(False)
    writer.add_pad_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_bos_token_id(2)
    writer.add_unk_token_id(3)


def add_text_keys(writer):
    writer.add_context_length(8192)
    writer.add_embedding_length(S.WIDTH)
    writer.add_block_count(S.LAYERS)
    writer.add_feed_forward_length(S.MLP)
    writer.add_head_count(S.HEADS)
    writer.add_head_count_kv(S.KV_HEADS)
    writer.add_key_length(S.HEAD_DIM)
    writer.add_value_length(S.HEAD_DIM)
    writer.add_layer_norm_rms_eps(S.EPSILON)
    add_vocabulary(writer)


def add_vision_keys(writer, prefix):
    writer.add_uint32(prefix + "image_size", S.SIDE)
    writer.add_uint32(prefix + "patch_size", S.PATCH)
    writer.add_uint32(prefix + "embedding_length", S.VISION_WIDTH)
    writer.add_uint32(prefix + "feed_forward_length", S.VISION_MLP)
    writer.add_uint32(prefix + "block_count", S.VISION_LAYERS)
    writer.add_uint32(prefix + "attention.head_count", S.VISION_HEADS)
    writer.add_float32(prefix + "attention.layer_norm_epsilon", S.EPSILON)


def add_text(file, kind, head):
    file.matrix("token_embd", S.VOCABULARY, S.WIDTH, head)
    file.norm("output_norm", S.WIDTH)
    for n in range(S.LAYERS):
        block = f"blk.{n}."
        file.norm(block + "attn_norm", S.WIDTH)
        file.matrix(block + "attn_q", S.HEADS * S.HEAD_DIM, S.WIDTH, kind)
        file.matrix(block + "attn_k", S.KV_HEADS * S.HEAD_DIM, S.WIDTH, kind)
        file.matrix(block + "attn_v", S.KV_HEADS * S.HEAD_DIM, S.WIDTH, kind)
        file.matrix(block + "attn_output", S.WIDTH, S.HEADS * S.HEAD_DIM, kind)
        file.norm(block + "ffn_norm", S.WIDTH)
        file.matrix(block + "ffn_gate", S.MLP, S.WIDTH, kind)
        file.matrix(block + "ffn_up", S.MLP, S.WIDTH, kind)
        file.matrix(block + "ffn_down", S.WIDTH, S.MLP, kind)


def add_tower(file, kind, patch):
    """Blocks of 32 do not divide rows of 588 and 4304: those keep 16 bits. `patch` is the type of the first."""
    file.add("v.patch_embd.weight", (S.VISION_WIDTH, 3, S.PATCH, S.PATCH), patch, deviation=1 / math.sqrt(3 * S.PATCH**2))
    file.add("v.patch_embd.bias", (S.VISION_WIDTH,))
    file.add("v.position_embd.weight", (S.IMAGE_TOKENS, S.VISION_WIDTH))
    for n in range(S.VISION_LAYERS):
        block = f"v.blk.{n}."
        file.norm(block + "ln1", S.VISION_WIDTH, bias=True)
        file.norm(block + "ln2", S.VISION_WIDTH, bias=True)
        for name in ("attn_q", "attn_k", "attn_v", "attn_out"):
            file.affine(block + name, S.VISION_WIDTH, S.VISION_WIDTH, kind)
        file.affine(block + "ffn_up", S.VISION_MLP, S.VISION_WIDTH, kind)
        file.affine(block + "ffn_down", S.VISION_WIDTH, S.VISION_MLP, Type.BF16)
    file.norm("v.post_ln", S.VISION_WIDTH, bias=True)


def write_pali(folder, weights):
    kind, head = TYPES[weights]
    file = File(os.path.join(folder, f"pali-{weights}.gguf"), "paligemma")
    file.writer.add_string("paligemma.text_family", "gemma")
    file.writer.add_bool("pali.norm_plus_one", True)
    add_text_keys(file.writer)
    add_vision_keys(file.writer, "paligemma.vision.")
    add_text(file, kind, head)
    add_tower(file, kind, Type.BF16)
    file.affine("mm.0", S.WIDTH, S.VISION_WIDTH, kind)
    file.write()


def write_llama(folder, weights):
    kind, head = TYPES[weights]
    text = File(os.path.join(folder, f"text-{weights}.gguf"), "gemma")
    add_text_keys(text.writer)
    add_text(text, kind, head)
    text.write()

    vision = File(os.path.join(folder, f"vision-{weights}.gguf"), "clip")
    vision.writer.add_bool("clip.has_vision_encoder", True)
    vision.writer.add_string("clip.projector_type", "gemma3")
    vision.writer.add_uint32("clip.vision.projector.scale_factor", 1)
    vision.writer.add_bool("clip.use_gelu", True)
    vision.writer.add_uint32("clip.vision.projection_dim", S.WIDTH)
    vision.writer.add_array("clip.vision.image_mean", [0.5] * 3)
    vision.writer.add_array("clip.vision.image_std", [0.5] * 3)
    add_vision_keys(vision.writer, "clip.vision.")
    add_tower(vision, kind, Type.F16)  # as clip's convolution wants it
    vision.norm("mm.soft_emb_norm", S.VISION_WIDTH)
    # clip transposes this matrix in every run, which it cannot do with blocks
    vision.add("mm.input_projection.weight", (S.VISION_WIDTH, S.WIDTH), Type.BF16, deviation=1 / math.sqrt(S.VISION_WIDTH))
    vision.write()


def main():
    writers = {"pali": write_pali, "llama": write_llama}
    if len(sys.argv) < 4 or sys.argv[2] not in TYPES or not writers.keys() >= set(sys.argv[3:]):
        sys.exit(f"usage: gguf_files.py FOLDER {'|'.join(TYPES)} {'|'.join(writers)}...")
    folder, weights = sys.argv[1:3]
    os.makedirs(folder, exist_ok=True)
    for reader in sys.argv[3:]:
        writers[reader](folder, weights)


if __name__ == "__main__":
    main()
