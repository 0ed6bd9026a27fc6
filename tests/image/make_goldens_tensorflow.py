#!/usr/bin/env python3
"""Writes tests/data/image/tensorflow.txt: what TensorFlow's resizes and big_vision's recipes give.

Usage: make_goldens_tensorflow.py   (needs TensorFlow; the file in the tree is of 2.21)

Lines: resize W H OUT_W OUT_H ANTIALIAS CRC, and preprocess W H SIDE RECIPE CRC,
CRC-32 of the float32 values [rows, columns, 3], little-endian, of the
synthetic picture that the test makes for itself; decode NAME W H CRC of the
bytes that decode_image makes of the JPEG files (run make_goldens.py first).
"""
import os
import zlib

import numpy as np
import tensorflow as tf

HERE = os.path.dirname(os.path.abspath(__file__))


def crc(array):
    array = np.ascontiguousarray(array)
    assert array.dtype == np.float32
    return "%08x" % zlib.crc32(array.tobytes())


def synthetic(width, height):
    x = np.arange(width)[None, :, None]
    y = np.arange(height)[:, None, None]
    c = np.arange(3)[None, None, :]
    return ((37 * x + 59 * y + 101 * c + 13 * ((x * y) % 17)) % 256).astype(np.uint8)


def resize(image, width, height, antialias):
    return tf.image.resize(image, (height, width), method="bilinear", antialias=antialias)


def to_range(image):
    """value_range(-1, 1) of 0..255, one f32 operation after the other."""
    return -1.0 + (tf.cast(image, tf.float32) / 255.0) * 2.0


def recipe(name, image, side):
    antialias = name in ("big_vision:antialias", "big_vision:notebook")
    square = resize(image, side, side, antialias)
    if name in ("big_vision:antialias", "big_vision:plain"):
        square = tf.cast(tf.clip_by_value(tf.cast(square, tf.float32), 0, 255), tf.uint8)
    if name == "big_vision:notebook":
        return square.numpy().astype(np.float32) / np.float32(127.5) - np.float32(1.0)
    return to_range(square).numpy()


def main():
    lines = []
    sources = ((7, 5), (640, 480), (100, 333), (225, 223), (3000, 200), (50, 40), (1, 1), (1, 90), (90, 1), (224, 224))
    for width, height in sources:
        image = synthetic(width, height)
        for size in ((4, 4), (224, 224), (448, 448), (13, 29), (1, 1), (300, height), (width, 60)):
            for antialias in (0, 1):
                got = tf.cast(resize(image, *size, bool(antialias)), tf.float32).numpy()
                lines.append("resize %d %d %d %d %d %s" % (width, height, *size, antialias, crc(got)))
        for name in ("big_vision:antialias", "big_vision:plain", "big_vision:notebook", "big_vision:video"):
            lines.append("preprocess %d %d 224 %s %s" % (width, height, name, crc(recipe(name, image, 224))))
    data = os.path.join(HERE, "..", "data", "image")
    for name in sorted(os.listdir(data)):
        if name.endswith(".jpg") and not name.startswith(("cmyk", "ycck")):
            pixels = tf.io.decode_image(open(os.path.join(data, name), "rb").read(), channels=3, expand_animations=False).numpy()
            lines.append("decode %s %d %d %08x" % (name, pixels.shape[1], pixels.shape[0], zlib.crc32(pixels.tobytes())))
    with open(os.path.join(HERE, "..", "data", "image", "tensorflow.txt"), "w") as file:
        file.write("\n".join(lines) + "\n")


main()
