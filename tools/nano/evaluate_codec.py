"""Scores a mask codec on held-out masks: mean IoU of what comes back.

usage: evaluate_codec.py vae-oid.npz PICTURES_FOLDER [--json OUT]
PICTURES_FOLDER comes from `pali-scenes --held-out --segment --out`; each object counts once. `square` compares 64 x 64
maps, a pixel being foreground from half on; `pasted` compares at the size of the picture, as PaliGemma's evaluator
pastes. `blobs` are smooth random shapes, for which nothing is promised.
"""
import json
import os
import sys

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

import codec as masks
import model as nano


def objects(folder):
    """Yields (mask [height, width] of bytes, location bins) of every object that a row names."""
    seen = set()
    with open(os.path.join(folder, "rows.jsonl")) as file:
        for row in map(json.loads, file):
            for name, box in zip(row.get("masks", ()), nano.BOX.findall(row["suffix"])):
                if name not in seen:
                    seen.add(name)
                    yield (np.asarray(Image.open(os.path.join(folder, name))),
                           [int(v) for v in nano.LOCATION.findall(box)])


def blobs(n, seed):
    """Smooth random shapes that fill about half of the square, [n, 64, 64], 0 to 255."""
    noise = torch.randn(n, 1, 5, 5, generator=torch.Generator().manual_seed(seed))
    smooth = F.interpolate(noise, (masks.SIDE, masks.SIDE), mode="bicubic", align_corners=True)[:, 0]
    line = torch.linspace(-1.0, 1.0, masks.SIDE)
    hill = 0.9 - 1.6 * (line[:, None] ** 2 + line[None] ** 2)
    return (((0.7 * smooth + hill) * 8.0).clamp(-1.0, 1.0) + 1.0).mul(127.5).numpy()


def overlaps(decoded, squares):
    return [masks.mask_iou(d > 0.0, s >= 127.5) for d, s in zip(decoded, squares)]


def score(codec, whole):
    squares = np.stack([masks.cut(mask, bins) for mask, bins in whole])
    codes = codec.encode(squares)
    decoded = codec.decode(codes)
    pasted = [masks.mask_iou(masks.paste(d, bins, *mask.shape), mask > 0) for d, (mask, bins) in zip(decoded, whole)]
    smooth = blobs(1000, 5)
    return {"masks": len(whole), "square": float(np.mean(overlaps(decoded, squares))),
            "pasted": float(np.mean(pasted)), "pasted, worst of a hundred": float(np.quantile(pasted, 0.01)),
            "blobs": float(np.mean(overlaps(codec.decode(codec.encode(smooth)), smooth))),
            "codes in use": int(len(np.unique(codes)))}


def main():
    result = score(masks.load(sys.argv[1]), list(objects(sys.argv[2])))
    for name, value in result.items():
        print("%s %s" % (name, value if isinstance(value, int) else "%.3f" % value))
    if "--json" in sys.argv:
        with open(sys.argv[sys.argv.index("--json") + 1], "w") as file:
            json.dump(result, file, indent=2, sort_keys=True)
            file.write("\n")


if __name__ == "__main__":
    main()
