#!/usr/bin/env python3
"""Writes tests/tensor/data/quantise.bin: 2048 values as f32, then the same as
q8_0, q4_0, bf16 and f16, as the gguf package (pip install gguf) rounds them.
Blocks of 32: normal values of several scales, whole and half numbers (ties),
values with few bits, one value among zeros, zeros."""

import pathlib

import gguf
import numpy as np

TYPES = [getattr(gguf.GGMLQuantizationType, name) for name in ("Q8_0", "Q4_0", "BF16", "F16")]


def main():
    random = np.random.default_rng(31)
    blocks = [random.normal(0, scale, 32) for scale in (1e-6, 1e-3, 0.02, 0.3, 1, 40, 3000) for _ in range(6)]
    blocks += [random.integers(-127, 128, 32) + 0.5 * random.integers(0, 2, 32) for _ in range(6)]
    blocks += [random.integers(-8, 8, 32) * 0.25 for _ in range(6)]
    blocks += [np.round(random.normal(0, 1, 32) * 64) / 64 for _ in range(6)]
    blocks += [np.eye(1, 32, 17)[0] * value for value in (1, -1)]
    blocks += [np.zeros(32), np.full(32, -3.5)]
    values = np.array(blocks, dtype="<f4")
    assert values.size == 2048
    packed = [gguf.quants.quantize(values, kind) for kind in TYPES]
    path = pathlib.Path(__file__).parent / "data" / "quantise.bin"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"".join(a.tobytes() for a in [values, *packed]))


main()
