"""Turns `pali-scenes --masks` into a pool of masks.

usage: pali-scenes --masks ... | masks.py OUT
Writes OUT.masks, [n, 64, 64] bytes, what the box of every object cuts out, resized as PaliGemma does before encoding;
and OUT.objects, int32, where the objects of each scene begin (one more entry than scenes).
"""
import struct
import sys

import numpy as np
import torch

import codec


def main():
    torch.set_num_threads(1)
    stream, out, starts, count = sys.stdin.buffer, sys.argv[1], [0], 0
    with open(out + ".masks", "wb") as file:
        while len(head := stream.read(4)) == 4:
            for _ in range(struct.unpack("<I", head)[0]):
                height, width = struct.unpack("<II", stream.read(8))
                mask = np.frombuffer(stream.read(height * width), np.uint8).reshape(height, width)
                file.write(codec.shrink(mask).tobytes())
                count += 1
            starts.append(count)
    np.array(starts, np.int32).tofile(out + ".objects")
    print("%d masks of %d scenes" % (count, len(starts) - 1))


if __name__ == "__main__":
    main()
