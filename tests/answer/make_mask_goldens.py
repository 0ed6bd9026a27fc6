#!/usr/bin/env python3
"""Makes tests/data/mask: what pycocotools makes of masks and polygons, and pictures of a mask by Pillow.

Usage: make_mask_goldens.py   (needs numpy, Pillow, pycocotools)

goldens.txt has a line each for
  mask WIDTH HEIGHT SEED BLOCK DENSITY AREA X Y W H TEXT       a hashed mask: area, toBbox, encode
  polygons WIDTH HEIGHT TEXT COUNT (CORNERS X Y ...)...        frPyObjects and merge
  iou TEXT TEXT WIDTH HEIGHT VALUE
TEXT is the compressed run lengths. png_*.png all show the mask of `picture()`.
"""
import os
import random

import numpy as np
from PIL import Image
from pycocotools import mask as coco

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "mask")
lines = []


def hashed(width, height, seed, block, density):
    """In where a hash of the block a pixel stands in is below `density` of 256; tests/answer/test_mask.c has it too."""
    y, x = np.mgrid[0:height, 0:width].astype(np.uint64)
    h = ((x // block) * 73856093) ^ ((y // block) * 19349663) ^ np.uint64(seed * 83492791)
    h = (h * 2654435761) & 0xFFFFFFFF
    h ^= h >> np.uint64(15)
    return ((h & 255) < density).astype(np.uint8)


def encode(mask):
    return coco.encode(np.asfortranarray(mask))


def text(rle):
    return rle["counts"].decode()


def make_masks():
    sizes = [(1, 1), (1, 7), (9, 1), (7, 5), (64, 64), (100, 37), (333, 250), (3, 2000)]
    rles = []
    for width, height in sizes:
        for seed, block, density in [(1, 1, 128), (2, 3, 100), (3, 8, 200), (4, 1, 0), (5, 1, 256), (6, 40, 128)]:
            mask = hashed(width, height, seed, block, density)
            if mask.size > 20000 and block == 1 and 0 < density < 256:
                continue
            rle = encode(mask)
            if len(text(rle)) > 2500:
                continue
            box = [int(v) for v in coco.toBbox(rle)]
            lines.append("mask %d %d %d %d %d %d %d %d %d %d %s" % (width, height, seed, block, density, int(coco.area(rle)), *box, text(rle)))
            rles.append((width, height, rle))
    # long differences, up and down, so that numbers of several characters with either sign occur
    counts = np.zeros((2000, 300), np.uint8)
    counts[:, 5:7] = 1
    counts[3:9, 100] = 1
    counts[:, 120:290] = 1
    counts[1000, 291] = 1
    rle = encode(counts)
    lines.append("iou %s %s 300 2000 %.17g" % (text(rle), text(rle), coco.iou([rle], [rle], [0])[0][0]))
    for width, height, a in rles:
        for w, h, b in rles:
            if (w, h) == (width, height) == (100, 37) and coco.area(a) and coco.area(b):
                lines.append("iou %s %s %d %d %.17g" % (text(a), text(b), w, h, coco.iou([a], [b], [0])[0][0]))


def make_polygons():
    rng = random.Random(5)
    cases = []
    for n in range(90):
        width, height = rng.choice([(10, 10), (37, 23), (64, 48), (5, 90), (200, 150), (1, 1)])
        polygons = []
        for _ in range(rng.choice([1, 1, 1, 2, 4])):
            corners = rng.randint(3, 12)
            kind = n % 6
            xy = []
            for _ in range(corners):
                if kind == 0:
                    p = (rng.randint(0, width), rng.randint(0, height))
                elif kind == 1:
                    p = (round(rng.uniform(-width, 2 * width), 2), round(rng.uniform(-height, 2 * height), 2))
                elif kind == 2:
                    p = (rng.randint(0, 5 * width) / 5 + 0.1, rng.randint(0, 5 * height) / 5 - 0.1)
                elif kind == 3:
                    p = (rng.uniform(0, width), rng.uniform(0, height))
                elif kind == 4:
                    p = (rng.randint(-2, width + 2), rng.choice([0, height, height / 2, -3, height + 3]))
                else:
                    p = (rng.choice([0.5, width / 2, width - 0.5]), rng.choice([0.5, height / 3, height]))
                xy += [float(p[0]), float(p[1])]
            if kind == 5 or rng.random() < 0.2:  # the same corner twice, and the first again as the last
                xy = xy[:4] + xy[2:4] + xy[4:] + xy[:2]
            polygons.append(xy)
        cases.append((width, height, polygons))
    star = [c for k in range(10) for c in (100 + (90 if k % 2 else 30) * np.sin(k * np.pi / 5), 75 + (70 if k % 2 else 25) * np.cos(k * np.pi / 5))]
    cases.append((200, 150, [[float(v) for v in star]]))
    for width, height, polygons in cases:
        rle = coco.merge(coco.frPyObjects(polygons, height, width))
        words = ["polygons", str(width), str(height), text(rle) or "-", str(len(polygons))]
        for p in polygons:
            words += [str(len(p) // 2)] + [repr(v) for v in p]
        lines.append(" ".join(words))


def picture():
    return hashed(37, 23, 9, 3, 110)


def make_pictures():
    m = picture()
    rng = np.random.default_rng(2)
    values = rng.integers(1, 256, m.shape)

    def save(name, array, mode=None, **options):
        image = Image.fromarray(array) if mode is None else Image.fromarray(array, mode)
        image.save(os.path.join(DATA, "png_%s.png" % name), optimize=True, **options)

    save("grey8", (m * values).astype(np.uint8))
    save("grey16", (m * rng.choice([1, 255, 256, 65535], m.shape)).astype(np.uint16))
    Image.fromarray(m * 255).convert("1").save(os.path.join(DATA, "png_grey1.png"))
    for bits in (2, 8):
        image = Image.fromarray((m * (values % (2**bits - 1) + 1)).astype(np.uint8), "P")
        image.putpalette([0, 0, 0] * (2**bits))  # all colours are black
        image.save(os.path.join(DATA, "png_palette%d.png" % bits), bits=bits)
    one = np.eye(3, dtype=np.uint8)[rng.integers(0, 3, m.shape)]
    save("rgb", m[..., None] * one)
    # alpha 0 takes a pixel out whatever its colour; colour 0 takes it out whatever its alpha
    colour = np.where(m[..., None] | rng.integers(0, 2, m.shape + (1,)), one * 200, 0).astype(np.uint8)
    alpha = np.where(m, values, 0).astype(np.uint8)
    save("rgba", np.concatenate([colour, alpha[..., None]], -1))
    save("grey_alpha", np.stack([(m * values).astype(np.uint8), np.full_like(alpha, 255)], -1), "LA")


if __name__ == "__main__":
    os.makedirs(DATA, exist_ok=True)
    make_masks()
    make_polygons()
    make_pictures()
    with open(os.path.join(DATA, "goldens.txt"), "w") as file:
        file.write("# tests/answer/make_mask_goldens.py; pycocotools, Pillow\n" + "\n".join(lines) + "\n")
