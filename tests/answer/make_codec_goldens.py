#!/usr/bin/env python3
"""Makes tests/data/mask/codec.txt: the mask codec's network by PyTorch in double, pastes by Pillow.

Usage: make_codec_goldens.py [PILLOW_12_FOLDER]   (needs torch, numpy, Pillow, pycocotools)

The weights have the shapes of the released file and hashed values, which tests/answer/test_codec.c makes too.
  encode SEED BLOCK DENSITY CODE*16              of the map 2 * hashed mask - 1
  decode CODE*16 SUM SQUARES VALUE*96            of codes; VALUEs at places j * 7919 mod 4096
  bilinear WIDTH HEIGHT TEXT CRC CRC             where the evaluator's resize of `smooth()` is above 0 by Pillow 12, and
                                                 zlib.crc32 of the floats by 12 and 13
  bicubic WIDTH HEIGHT CRC                       the demo's 8-bit resize of it by Pillow 12
"""
import os
import subprocess
import sys
import zlib

import numpy as np
import PIL
from PIL import Image

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "mask")
LAYERS = [  # name, transposed, kernel, stride, padding, relu, in, out; "+": end of a block
    ("encoder.0", 0, 4, 2, 1, 1, 1, 16), ("encoder.2", 0, 4, 2, 1, 1, 16, 32), ("encoder.4", 0, 4, 2, 1, 1, 32, 64), ("encoder.6", 0, 4, 2, 1, 1, 64, 128),
    ("encoder.8.net.0", 0, 3, 1, 1, 1, 128, 128), ("encoder.8.net.2", 0, 3, 1, 1, 1, 128, 128), ("encoder.8.net.4+", 0, 1, 1, 0, 0, 128, 128),
    ("encoder.9.net.0", 0, 3, 1, 1, 1, 128, 128), ("encoder.9.net.2", 0, 3, 1, 1, 1, 128, 128), ("encoder.9.net.4+", 0, 1, 1, 0, 0, 128, 128),
    ("encoder.10", 0, 1, 1, 0, 0, 128, 512), ("decoder.0", 0, 1, 1, 0, 1, 512, 128),
    ("decoder.2.net.0", 0, 3, 1, 1, 1, 128, 128), ("decoder.2.net.2", 0, 3, 1, 1, 1, 128, 128), ("decoder.2.net.4+", 0, 1, 1, 0, 0, 128, 128),
    ("decoder.3.net.0", 0, 3, 1, 1, 1, 128, 128), ("decoder.3.net.2", 0, 3, 1, 1, 1, 128, 128), ("decoder.3.net.4+", 0, 1, 1, 0, 0, 128, 128),
    ("decoder.4", 1, 4, 2, 1, 1, 128, 128), ("decoder.6", 1, 4, 2, 1, 1, 128, 64), ("decoder.8", 1, 4, 2, 1, 1, 64, 32), ("decoder.10", 1, 4, 2, 1, 1, 32, 16),
    ("decoder.12", 0, 1, 1, 0, 0, 16, 1),
]


def hashed(n, seed):
    i = np.arange(n, dtype=np.uint64)
    h = (i * 2654435761 + seed * 40503) & 0xFFFFFFFF
    h ^= h >> np.uint64(16)
    h = (h * 2246822519) & 0xFFFFFFFF
    h ^= h >> np.uint64(13)
    return (h >> np.uint64(9)).astype(np.float32) / np.float32(1 << 22) - np.float32(1)


def hashed_mask(width, height, seed, block, density):
    y, x = np.mgrid[0:height, 0:width].astype(np.uint64)
    h = ((x // block) * 73856093) ^ ((y // block) * 19349663) ^ np.uint64(seed * 83492791)
    h = (h * 2654435761) & 0xFFFFFFFF
    h ^= h >> np.uint64(15)
    return ((h & 255) < density).astype(np.float64)


def smooth():
    """A map [64, 64] in multiples of 2^-7: sums of hashed values over 9 x 9 pixels."""
    raw = np.round(hashed(72 * 72, 77).astype(np.float64).reshape(72, 72) * 32) / 128
    return sum(raw[i : i + 64, j : j + 64] for i in range(9) for j in range(9)).astype(np.float32)


def resize_all(sizes):
    """What this Pillow makes of smooth(): per size the bits of the float resize, and the CRC of the 8-bit one."""
    out = []
    m = smooth()
    grey = (np.clip(m * np.float32(0.5) + np.float32(0.5), 0, 1) * np.float32(255)).astype(np.uint8)
    for width, height in sizes:
        a = np.array(Image.fromarray(m).resize((width, height), Image.BILINEAR))
        b = np.array(Image.fromarray(grey).resize((width, height)))
        out.append((np.packbits(a > 0.0).tobytes().hex(), zlib.crc32(a.tobytes()), zlib.crc32(b.tobytes())))
    return out


SIZES = [(64, 64), (1, 1), (2, 90), (64, 10), (60, 10), (10, 60), (64, 200), (31, 64), (100, 37), (333, 250), (63, 65), (640, 480), (5, 9)]


def main():
    if len(sys.argv) > 1 and sys.argv[1] == "--resize":
        print(PIL.__version__)
        for row in resize_all(SIZES):
            print(*row)
        return
    import torch
    from pycocotools import mask as coco

    F = torch.nn.functional
    weights = []
    for i, (name, transposed, k, stride, padding, relu, fan_in, out) in enumerate(LAYERS):
        scale = np.float32(2.0 ** round(np.log2(np.sqrt(6.0 / (fan_in * (4 if transposed else k * k))))))  # a power of two: exact in both
        shape = (fan_in, out, k, k) if transposed else (out, fan_in, k, k)
        w = torch.tensor(hashed(fan_in * out * k * k, 2 * i + 1) * scale).double().reshape(shape)
        b = torch.tensor(hashed(out, 2 * i + 2) / np.float32(8)).double()
        weights.append((w, b))
    codes = torch.tensor(hashed(128 * 512, 100)).double().reshape(128, 512)

    def run(first, end, x):
        block = x
        for (name, transposed, k, stride, padding, relu, _, _), (w, b) in list(zip(LAYERS, weights))[first:end]:
            if name.endswith(".net.0"):
                block = x
            x = (F.conv_transpose2d if transposed else F.conv2d)(x, w, b, stride, padding)
            if relu:
                x = F.relu(x)
            if name.endswith("+"):
                x = x + block
        return x

    lines = ["# tests/answer/make_codec_goldens.py; PyTorch in double, Pillow"]
    seen = set()
    for seed, block, density in [(1, 8, 128), (2, 16, 100), (3, 3, 200), (4, 1, 0), (5, 1, 256), (6, 40, 128), (7, 5, 140), (8, 11, 60)]:
        m = torch.tensor(2 * hashed_mask(64, 64, seed, block, density) - 1)
        v = run(0, 11, m[None, None])[0].permute(1, 2, 0).reshape(16, 512)
        d = (v * v).sum(1, keepdim=True) + (codes * codes).sum(1) - 2 * v @ codes.T
        best, order = d.sort(1)
        margin = ((best[:, 1] - best[:, 0]) / best[:, 0].abs()).min().item()
        seen |= set(order[:, 0].tolist())
        print("encode margin %.3g norm %.3g" % (margin, v.norm(dim=1).mean()))
        if margin > 1e-5:  # f32 rounding of sums of 512 values is below 1e-6 of them
            lines.append("encode %d %d %d %s" % (seed, block, density, " ".join(str(c) for c in order[:, 0].tolist())))
    print(len(seen), "different codes")
    rng = np.random.default_rng(4)
    for picks in [np.arange(16), np.arange(112, 128), np.zeros(16, int)] + [rng.integers(0, 128, 16) for _ in range(5)]:
        x = codes[torch.tensor(picks)].reshape(4, 4, 512).permute(2, 0, 1)[None]
        y = run(11, 23, x)[0, 0].flatten()
        print("decode mean %.3g size %.3g" % (y.mean(), y.abs().mean()))
        values = [y.sum(), (y * y).sum()] + [y[(j * 7919) % 4096] for j in range(96)]
        lines.append("decode %s %s" % (" ".join(str(c) for c in picks), " ".join("%.9g" % v for v in values)))

    def with_pillow(folder):
        env = dict(os.environ, PYTHONPATH=folder) if folder else None
        rows = subprocess.run([sys.executable, os.path.abspath(__file__), "--resize"], env=env, capture_output=True, text=True, check=True).stdout.split("\n")
        print("Pillow", rows[0])
        return [r.split() for r in rows[1:] if r]

    def text(bits, width, height):
        a = np.unpackbits(np.frombuffer(bytes.fromhex(bits), np.uint8))[: width * height].reshape(height, width)
        return coco.encode(np.asfortranarray(a))["counts"].decode()

    new, old = with_pillow(None), with_pillow(sys.argv[1] if len(sys.argv) > 1 else None)
    for (width, height), a, b in zip(SIZES, old, new):
        lines.append("bilinear %d %d %s %08x %08x" % (width, height, text(a[0], width, height), int(a[1]), int(b[1])))
        print(width, height, *("same" if x == y else "other" for x, y in zip(a, b)))
        lines.append("bicubic %d %d %08x" % (width, height, int(a[2])))
    with open(os.path.join(DATA, "codec.txt"), "w") as file:
        file.write("\n".join(lines) + "\n")


main()
