"""Writes OpenVINO models of PaliGemma-3B's shape with random weights: patches to image tokens, and rows with the keys and
values before them to logits and new keys and values, so that one model prefills and decodes.

bf16 matrices as they are; q8 as i8 with an f16 scale for each output; q4 as i4 with one for each 128 inputs, as OpenVINO's
own tools compress them. The embedding's matrix serves the output only: rows come in as numbers.

usage: openvino_files.py FOLDER WEIGHTS: FOLDER/ov-text-WEIGHTS.xml and FOLDER/ov-vision-WEIGHTS.xml, unless they are there"""

import itertools
import math
import os
import re
import sys

import numpy as np
import openvino as ov
from openvino import opset15 as op

import shape as S

WEIGHTS = ("bf16", "q8_0", "q4_0")
GROUP = 128
random = np.random.default_rng(0)
widened = itertools.count()


def vector(width, mean=0.0):
    return op.constant(random.normal(mean, 0.02, width).astype(np.float32))


def random_bytes(dims):
    """Drawn anew for each matrix: constants of the same bytes would be stored once."""
    return np.resize(random.integers(0, 256, 1 << 20, dtype=np.uint8), dims)


def bf16_bits(dims, deviation):
    values = random.normal(0, deviation, 1 << 18).astype(np.float32)
    return np.resize((values.view(np.uint32) >> 16).astype(np.uint16), dims)


def scaled(values, dims, scale):
    """Whole numbers times their f16 scales; 74 and 4.6 are the deviations of random i8 and i4."""
    return op.multiply(op.convert(values, "f16"), op.constant(np.full(dims, scale, np.float16)))


def random_matrix(out, columns, weights):
    """[out, columns] as f32 in the graph, stored as `weights` says."""
    deviation = 1 / math.sqrt(columns)
    if weights == "bf16":
        bits = bf16_bits((out, columns), deviation)
        stored = op.constant(ov.Tensor(bits, ov.Shape([out, columns]), ov.Type.bf16), shared_memory=False)
        return op.convert(stored, "f32", name=f"widened{next(widened)}")
    if weights == "q8_0":
        values = op.constant(random_bytes((out, columns)).view(np.int8))
        return op.convert(scaled(values, (out, 1), deviation / 74), "f32")
    if columns % GROUP:
        return random_matrix(out, columns, "bf16")
    dims = [out, columns // GROUP, GROUP]
    values = ov.Tensor(random_bytes(out * columns // 2), ov.Shape(dims), ov.Type.i4)
    groups = scaled(op.constant(values, shared_memory=False), (*dims[:2], 1), deviation / 4.6)
    return op.convert(op.reshape(groups, [out, columns], False), "f32")


def linear(rows, out, columns, weights, bias=True):
    product = op.matmul(rows, random_matrix(out, columns, weights), False, True)
    return op.add(product, vector(out)) if bias else product


def layer_norm(rows, width):
    normal = op.mvn(rows, op.constant(np.array([-1], np.int64)), True, S.EPSILON, "inside_sqrt")
    return op.add(op.multiply(normal, vector(width, 1.0)), vector(width))


def rms_norm(rows, width):
    axis = op.constant(np.array([-1], np.int64))
    square = op.reduce_mean(op.multiply(rows, rows), axis, True)
    inverse = op.divide(op.constant(np.float32(1)), op.sqrt(op.add(square, op.constant(np.float32(S.EPSILON)))))
    return op.multiply(op.multiply(rows, inverse), vector(width, 1.0))


def heads(rows, count, dim):
    """[1, T, count * dim] to [1, count, T, dim]"""
    split = op.reshape(rows, [0, -1, count, dim], True)
    return op.transpose(split, [0, 2, 1, 3])


def vision(weights):
    width, heads_count = S.VISION_WIDTH, S.VISION_HEADS
    patches = op.parameter([1, S.IMAGE_TOKENS, 3 * S.PATCH**2], np.float32, "patches")
    # 16 bits where ggml's standard types have them too
    rows = linear(patches, width, 3 * S.PATCH**2, "bf16")
    rows = op.add(rows, op.constant(random.normal(0, 0.02, (1, S.IMAGE_TOKENS, width)).astype(np.float32)))
    for _ in range(S.VISION_LAYERS):
        normal = layer_norm(rows, width)
        query, key, value = (heads(linear(normal, width, width, weights), heads_count, width // heads_count) for _ in range(3))
        mixed = op.scaled_dot_product_attention(query, key, value, causal=False)
        mixed = op.reshape(op.transpose(mixed, [0, 2, 1, 3]), [0, 0, width], True)
        rows = op.add(rows, linear(mixed, width, width, weights))
        hidden = op.gelu(linear(layer_norm(rows, width), S.VISION_MLP, width, weights), "tanh")
        rows = op.add(rows, linear(hidden, width, S.VISION_MLP, "bf16"))
    tokens = linear(layer_norm(rows, width), S.WIDTH, width, "bf16")
    return ov.Model([op.result(tokens)], [patches], "vision")


def rotate(rows, cosine, sine):
    first, second = op.split(rows, op.constant(np.int64(-1)), 2).outputs()
    turned = op.concat([op.negative(second), first], -1)
    return op.add(op.multiply(rows, cosine), op.multiply(turned, sine))


def text(weights):
    dim, queries = S.HEAD_DIM, S.HEADS * S.HEAD_DIM
    inputs = [op.parameter(ov.PartialShape([1, -1, S.WIDTH]), np.float32, "rows")]
    inputs += [op.parameter(ov.PartialShape([1, 1, -1, dim]), np.float32, name) for name in ("cosine", "sine")]
    rows, cosine, sine = inputs
    results = []
    for n in range(S.LAYERS):
        normal = rms_norm(rows, S.WIDTH)
        query = rotate(heads(linear(normal, queries, S.WIDTH, weights, False), S.HEADS, dim), cosine, sine)
        pair = []
        for name, turn in (("key", True), ("value", False)):
            before = op.parameter(ov.PartialShape([1, 1, -1, dim]), np.float32, f"{name}{n}")
            inputs.append(before)
            new = heads(linear(normal, dim, S.WIDTH, weights, False), 1, dim)
            new = rotate(new, cosine, sine) if turn else new
            results.append(op.result(new))
            pair.append(op.concat([before, new], 2))
        # One head of keys and no mask (a prefix sees all of itself, a new token all before it): all query heads are rows.
        flat = op.reshape(query, [0, 1, -1, dim], True)
        scores = op.multiply(op.matmul(flat, pair[0], False, True), op.constant(np.float32(dim**-0.5)))
        mixed = op.reshape(op.matmul(op.softmax(scores, -1), pair[1], False, False), [0, S.HEADS, -1, dim], True)
        mixed = op.reshape(op.transpose(mixed, [0, 2, 1, 3]), [0, -1, queries], True)
        rows = op.add(rows, linear(mixed, S.WIDTH, queries, weights, False))
        normal = rms_norm(rows, S.WIDTH)
        gate = op.gelu(linear(normal, S.MLP, S.WIDTH, weights, False), "tanh")
        hidden = op.multiply(gate, linear(normal, S.MLP, S.WIDTH, weights, False))
        rows = op.add(rows, linear(hidden, S.WIDTH, S.MLP, weights, False))
    last = op.gather(rms_norm(rows, S.WIDTH), op.constant(np.array([-1], np.int64)), op.constant(np.int64(1)))
    logits = linear(last, S.VOCABULARY, S.WIDTH, weights, False)
    return ov.Model([op.result(logits), *results], inputs, "text")


def mark_stored(path):
    """Says that the matrices' conversions are how they are stored, or all of them would be widened to f32 when the model
    is compiled (2.6 in place of 1.8 GB for the tower alone). The package offers no call for it."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    mark = '<rt_info><attribute name="decompression" version="0" /></rt_info>'
    text, count = re.subn(r'(<layer [^>]*name="widened\d+"[^>]*>\s*<data [^>]*/>)', rf"\1{mark}", text)
    if not count:
        sys.exit(f"openvino_files.py: {path}: found no widened matrix")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def main():
    if len(sys.argv) != 3 or sys.argv[2] not in WEIGHTS:
        sys.exit(f"usage: openvino_files.py FOLDER {'|'.join(WEIGHTS)}")
    folder, weights = sys.argv[1:]
    os.makedirs(folder, exist_ok=True)
    for part, build in (("text", text), ("vision", vision)):
        path = os.path.join(folder, f"ov-{part}-{weights}.xml")
        if not os.path.exists(path):
            ov.save_model(build(weights), path, compress_to_fp16=False)
            if part == "vision" or weights == "bf16":
                mark_stored(path)


if __name__ == "__main__":
    main()
