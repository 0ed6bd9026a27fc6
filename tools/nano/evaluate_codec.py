"""Scores the mask codec on held-out masks: mean IoU of what comes back.

usage: pali-scenes --masks --held-out --seed 9 --count 1500 | evaluate_codec.py vae-oid.npz [--json OUT]
`square` compares 64 x 64 maps, a pixel being foreground from half on. `pasted` compares at the size of the picture, as
PaliGemma's evaluator pastes: the masks as the generator drew them. `blobs` are smooth random shapes, for which nothing
is promised.
"""
import json
import struct
import sys

import numpy as np
import torch
from PIL import Image

import codec as masks
from train_codec import blobs


def crops(stream):
    """Yields the masks that the boxes cut out, [h, w] bytes."""
    while len(head := stream.read(4)) == 4:
        for _ in range(struct.unpack("<I", head)[0]):
            height, width = struct.unpack("<II", stream.read(8))
            yield np.frombuffer(stream.read(height * width), np.uint8).reshape(height, width)


def back(codec, squares):
    return codec.decode(codec.encode(squares))


def score(codec, whole):
    squares = np.stack([masks.shrink(mask) for mask in whole])
    codes = codec.encode(squares)
    decoded = codec.decode(codes)
    pasted = [masks.mask_iou(np.asarray(Image.fromarray(d).resize(m.shape[::-1], Image.BILINEAR)) > 0.0, m > 0)
              for d, m in zip(decoded, whole)]
    smooth = ((blobs(1000, torch.Generator().manual_seed(5))[:, 0] + 1.0) * 127.5).round().byte().numpy()
    return {"masks": len(whole), "square": float(np.mean([masks.mask_iou(d > 0.0, s >= 128)
                                                          for d, s in zip(decoded, squares)])),
            "pasted": float(np.mean(pasted)), "pasted, worst of a hundred": float(np.quantile(pasted, 0.01)),
            "blobs": float(np.mean([masks.mask_iou(d > 0.0, s >= 128) for d, s in zip(back(codec, smooth), smooth)])),
            "codes in use": int(len(np.unique(codes)))}


def main():
    result = score(masks.load(sys.argv[1]), list(crops(sys.stdin.buffer)))
    for name, value in result.items():
        print("%s %s" % (name, value if isinstance(value, int) else "%.3f" % value))
    if "--json" in sys.argv:
        with open(sys.argv[sys.argv.index("--json") + 1], "w") as file:
            json.dump(result, file, indent=2, sort_keys=True)
            file.write("\n")


if __name__ == "__main__":
    main()
