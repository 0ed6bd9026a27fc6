#!/usr/bin/env python3
"""Writes tests/kernels/data/quants.bin: for each quantised type, in the order
of PL_DTYPE_LIST, the packed bytes of 512 values and those values as f32, as
the gguf package (pip install gguf) expands them. Codes and group scales are
random bits, the f16 scales random and finite."""

import pathlib

import gguf
import numpy as np

VALUES = 512
TYPES = {  # where the f16 scales stand in a block
    gguf.GGMLQuantizationType.Q8_0: [0],
    gguf.GGMLQuantizationType.Q4_0: [0],
    gguf.GGMLQuantizationType.Q4_K: [0, 2],
    gguf.GGMLQuantizationType.Q5_K: [0, 2],
    gguf.GGMLQuantizationType.Q6_K: [208],
}


def main():
    random = np.random.default_rng(20)
    out = b""
    for kind, scales in TYPES.items():
        values, size = gguf.GGML_QUANT_SIZES[kind]
        blocks = random.integers(0, 256, (VALUES // values, size), dtype=np.uint8)
        for at in scales:
            half = random.normal(0, 0.01, len(blocks)).astype("<f2")
            blocks[:, at : at + 2] = half.view(np.uint8).reshape(-1, 2)
        floats = gguf.quants.dequantize(blocks, kind).astype("<f4")
        assert floats.size == VALUES
        out += blocks.tobytes() + floats.tobytes()
    path = pathlib.Path(__file__).parent / "data" / "quants.bin"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(out)


main()
