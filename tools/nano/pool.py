"""Fills a pool of training pictures: reads the stream of pali-scenes, resizes as the SigLIP processor does.

usage: pali-scenes --stream ... | pool.py OUT SIDE
Writes OUT.u8, [n, SIDE, SIDE, 3] bytes after PIL's bicubic resize, and OUT.tsv, one line a question:
picture number, task, prefix, suffix.
"""
import struct
import sys

from PIL import Image


def scenes(stream):
    """Yields (PIL image, [(task, prefix, suffix), ...]) until the stream ends."""
    while True:
        head = stream.read(16)
        if len(head) < 16:
            return
        magic, width, height, size = struct.unpack("<4sIII", head)
        if magic != b"SCN1":
            raise ValueError("not a scene stream: found %r, expected SCN1" % magic)
        pixels = stream.read(width * height * 3)
        rows = stream.read(size).decode("ascii").splitlines()
        yield Image.frombytes("RGB", (width, height), pixels), [tuple(r.split("\t")) for r in rows]


def main():
    out, side = sys.argv[1], int(sys.argv[2])
    with open(out + ".u8", "wb") as pixels, open(out + ".tsv", "w") as text:
        for number, (picture, rows) in enumerate(scenes(sys.stdin.buffer)):
            pixels.write(picture.resize((side, side), Image.BICUBIC).tobytes())
            for row in rows:
                text.write("%d\t%s\n" % (number, "\t".join(row)))


if __name__ == "__main__":
    main()
