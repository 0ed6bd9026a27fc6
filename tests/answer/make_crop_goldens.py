#!/usr/bin/env python3
"""Makes tests/data/mask/crop.txt: what big_vision's mask encoder is shown, by TensorFlow.

Usage: make_crop_goldens.py   (needs TensorFlow, numpy)

A line each: WIDTH HEIGHT SEED BLOCK DENSITY, the box in pixels Y1 X1 Y2 X2, its bins, its rounded sides, and zlib.crc32 of
the float32 map 2 * (resize(crop) / 255 - 1/2). The mask is hashed as in make_mask_goldens.py.
"""
import os
import zlib

import numpy as np
import tensorflow as tf

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "mask")


def hashed(width, height, seed, block, density):
    y, x = np.mgrid[0:height, 0:width].astype(np.uint64)
    h = ((x // block) * 73856093) ^ ((y // block) * 19349663) ^ np.uint64(seed * 83492791)
    h = (h * 2654435761) & 0xFFFFFFFF
    h ^= h >> np.uint64(15)
    return ((h & 255) < density).astype(np.uint8)


def main():
    lines = ["# tests/answer/make_crop_goldens.py; TensorFlow " + tf.__version__]
    cases = [
        (64, 64, 1, 8, 128, (0, 0, 64, 64)), (100, 80, 2, 7, 128, (10, 20, 74, 84)), (100, 80, 2, 7, 128, (3, 5, 80, 100)),
        (640, 480, 3, 30, 128, (100, 50, 400, 630)), (333, 250, 4, 11, 140, (0.5, 1.5, 248.5, 332.25)), (333, 250, 4, 11, 140, (17.4, 20.6, 30.5, 31.5)),
        (37, 23, 5, 3, 128, (2, 3, 9, 20)), (1000, 700, 6, 50, 128, (0, 0, 700, 1000)), (50, 2000, 7, 9, 128, (0, 10, 2000, 12)), (10, 10, 8, 2, 200, (4, 4, 5, 5)),
    ]
    for width, height, seed, block, density, box in cases:
        mask = hashed(width, height, seed, block, density) * np.uint8(255)
        normal = tf.constant(np.array(box, np.float64) / np.array([height, width] * 2), tf.float32)
        bins = tf.clip_by_value(tf.cast(tf.round(normal * 1023), tf.int32), 0, 1023).numpy()
        y1, x1, y2, x2 = tf.cast(tf.round(normal * tf.constant([height, width, height, width], tf.float32)), tf.int32).numpy()
        crop = mask[y1:y2, x1:x2]
        assert crop.any()
        small = tf.image.resize(crop[..., None], [64, 64], method="bilinear", antialias=True) / 255.0
        m = (2.0 * (tf.cast(small, tf.float32) - 0.5)).numpy().astype("<f4")
        words = [width, height, seed, block, density, *box, *bins, y1, x1, y2, x2, "%08x" % zlib.crc32(m.tobytes())]
        lines.append(" ".join(str(w) for w in words))
    with open(os.path.join(DATA, "crop.txt"), "w") as file:
        file.write("\n".join(lines) + "\n")


main()
