#!/usr/bin/env python3
"""Makes tests/ops/data/convolution.txt: convolutions by PyTorch, in double, of hashed inputs and weights.

Usage: make_convolution_goldens.py   (needs torch)

A line each: conv|transposed PICTURES IN OUT HEIGHT WIDTH KERNEL STRIDE PADDING, then the sum of all outputs, the
sum of their squares, and 40 outputs at places that are spread over all (NCHW).
"""
import os

import torch

HERE = os.path.dirname(os.path.abspath(__file__))


def hashed(shape, seed):
    """Values in [-1, 1) with 23 bits; tests/ops/test_convolution.c has it too."""
    n = 1
    for s in shape:
        n *= s
    i = torch.arange(n, dtype=torch.int64)
    h = (i * 2654435761 + seed * 40503) & 0xFFFFFFFF
    h = h ^ (h >> 16)
    h = (h * 2246822519) & 0xFFFFFFFF
    h = h ^ (h >> 13)
    return ((h >> 9).double() / (1 << 22) - 1).reshape(shape)


def main():
    cases = [
        ("conv", 1, 1, 16, 64, 64, 4, 2, 1), ("conv", 2, 16, 32, 32, 32, 4, 2, 1), ("conv", 1, 64, 128, 8, 8, 4, 2, 1),
        ("conv", 1, 128, 128, 4, 4, 3, 1, 1), ("conv", 3, 5, 7, 6, 9, 3, 1, 1), ("conv", 1, 128, 512, 4, 4, 1, 1, 0),
        ("conv", 1, 16, 1, 64, 64, 1, 1, 0), ("conv", 1, 3, 4, 11, 10, 5, 3, 0), ("conv", 1, 2, 3, 1, 1, 3, 1, 1),
        ("transposed", 1, 128, 128, 4, 4, 4, 2, 1), ("transposed", 2, 32, 16, 32, 32, 4, 2, 1), ("transposed", 1, 3, 5, 7, 4, 4, 2, 1),
        ("transposed", 2, 4, 3, 5, 6, 3, 3, 0), ("transposed", 1, 2, 2, 3, 5, 5, 2, 2), ("transposed", 1, 2, 3, 1, 1, 2, 3, 0),
    ]
    lines = ["# tests/ops/make_convolution_goldens.py; PyTorch in double"]
    for kind, n, i, o, h, w, k, s, p in cases:
        x, b = hashed((n, i, h, w), 1), hashed((o,), 3)
        if kind == "conv":
            y = torch.nn.functional.conv2d(x, hashed((o, i, k, k), 2), b, s, p)
        else:
            y = torch.nn.functional.conv_transpose2d(x, hashed((i, o, k, k), 2), b, s, p)
        flat = y.flatten()
        picks = [(j * 7919) % flat.numel() for j in range(40)]
        values = [flat.sum(), (flat * flat).sum()] + [flat[j] for j in picks]
        lines.append(" ".join([kind] + [str(v) for v in (n, i, o, h, w, k, s, p)] + ["%.9g" % v for v in values]))
    os.makedirs(os.path.join(HERE, "data"), exist_ok=True)
    with open(os.path.join(HERE, "data", "convolution.txt"), "w") as file:
        file.write("\n".join(lines) + "\n")


main()
