"""Fills a pool of training pictures: reads the stream of pali-scenes, resizes as the SigLIP processor does.

usage: pali-scenes --stream ... | pool.py OUT SIDE
Writes OUT.u8, [n, SIDE, SIDE, 3] bytes after PIL's bicubic resize.
"""
import struct
import sys

from PIL import Image


def scenes(stream):
    """Yields PIL images until the stream ends."""
    while len(head := stream.read(12)) == 12:
        magic, width, height = struct.unpack("<4sII", head)
        if magic != b"SCN1":
            raise ValueError("not a scene stream: found %r, expected SCN1" % magic)
        yield Image.frombytes("RGB", (width, height), stream.read(width * height * 3))


def main():
    out, side = sys.argv[1], int(sys.argv[2])
    with open(out + ".u8", "wb") as pixels:
        for picture in scenes(sys.stdin.buffer):
            pixels.write(picture.resize((side, side), Image.BICUBIC).tobytes())


if __name__ == "__main__":
    main()
