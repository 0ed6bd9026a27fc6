"""Encodes the masks of pools.

usage: codes.py vae-oid.npz POOL...
Reads POOL.masks (masks.py) and writes POOL.codes, [n, 16] bytes.
"""
import sys

import numpy as np
import torch

import codec as masks


def main():
    torch.set_num_threads(1)
    codec = masks.load(sys.argv[1])
    for name in sys.argv[2:]:
        squares = np.memmap(name + ".masks", np.uint8, "r").reshape(-1, masks.SIDE, masks.SIDE)
        with open(name + ".codes", "wb") as file:
            for at in range(0, len(squares), 4096):
                file.write(codec.encode(np.array(squares[at:at + 4096])).tobytes())


if __name__ == "__main__":
    main()
