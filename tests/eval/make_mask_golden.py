"""Writes golden_masks.json: masks found and expected, their average precision by pycocotools ("segm"), and the
figures of the RefCOCO evaluator (big_vision evaluators/proj/paligemma/transfers/segmentation.py) in numpy.

    pip install pycocotools numpy
    python tests/eval/make_mask_golden.py
"""
import contextlib
import io
import json
import os
import random

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

LABELS = ["cat", "dog"]


def ellipse(height, width, box, slant):
    """A filled ellipse in the box (y1 x1 y2 x2 in pixels), leaning to a side."""
    y, x = np.mgrid[0:height, 0:width] + 0.5
    cy, cx, ry, rx = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, (box[2] - box[0]) / 2, (box[3] - box[1]) / 2
    v, u = (y - cy) / ry, (x - cx) / rx
    return ((u + slant * v) ** 2 + v * v <= 1).astype(np.uint8)


def rle(mask):
    out = coco_mask.encode(np.asfortranarray(mask))
    return {"size": [int(v) for v in out["size"]], "counts": out["counts"].decode("ascii")}


def random_object(rng, height, width):
    y, x = rng.uniform(0, height * 0.6), rng.uniform(0, width * 0.6)
    box = [y, x, y + rng.uniform(8, height - y), x + rng.uniform(8, width - x)]
    return box, rng.uniform(-0.4, 0.4)


def entry(height, width, box, slant, label):
    mask = ellipse(height, width, box, slant)
    return {"label": label, "box": [box[0] / height, box[1] / width, box[2] / height, box[3] / width], "mask": rle(mask)}, mask


def make_rows(rng):
    rows = []
    for i in range(30):
        height, width = rng.randrange(24, 64), rng.randrange(24, 64)
        truths, found = [], []
        for _ in range(rng.choice([1, 1, 2, 3])):
            box, slant = random_object(rng, height, width)
            label = rng.choice(LABELS)
            truths.append(entry(height, width, box, slant, label))
            for _ in range(rng.choice([0, 1, 1, 1, 2])):
                by = rng.choice([0.5, 2, 5])
                shaken = [v + rng.uniform(-by, by) for v in box]
                if shaken[2] - shaken[0] > 2 and shaken[3] - shaken[1] > 2:
                    found.append(entry(height, width, shaken, slant + rng.uniform(-0.2, 0.2), label if rng.random() < 0.9 else "dog"))
        if rng.random() < 0.3:
            found.append(entry(height, width, *random_object(rng, height, width), rng.choice(LABELS)))
        rng.shuffle(found)
        for one, _ in found:
            one["confidence"] = rng.randrange(1, 9) / 8
        if found and i % 7 == 0:
            found[0][0]["mask"] = None  # no codes: right for nothing
        rows.append((height, width, truths, found))
    return rows


def average_precision(rows):
    truths, found = [], []
    for i, (_, _, expected, predicted) in enumerate(rows):
        for one, mask in expected:
            truths.append(dict(id=len(truths) + 1, image_id=i, category_id=LABELS.index(one["label"]) + 1, iscrowd=0,
                               segmentation=one["mask"], area=int(mask.sum()), bbox=[0, 0, 1, 1]))
        for one, mask in predicted:
            empty = np.zeros_like(mask)
            found.append(dict(image_id=i, category_id=LABELS.index(one["label"]) + 1, score=one["confidence"],
                              segmentation=one["mask"] or rle(empty)))
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = dict(images=[dict(id=i, height=h, width=w) for i, (h, w, _, _) in enumerate(rows)],
                            categories=[dict(id=i + 1, name=n) for i, n in enumerate(LABELS)], annotations=truths)
        coco.createIndex()
        run = COCOeval(coco, coco.loadRes(found), "segm")
        run.evaluate()
        run.accumulate()
    precision = run.eval["precision"][:, :, :, 0, -1]
    return {label: [float(p[:, i].mean()) for p in precision] for i, label in enumerate(LABELS)}


def box_iou(a, b):
    h, w = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if h <= 0 or w <= 0:
        return 0.0
    return h * w / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - h * w)


def refcoco(rng, rows):
    """The first found object of each row as if it were the answer to the first expected: ids, then the sums."""
    answers, sums = [], {"rows": 0, "invalid": 0, "iou": 0.0, "box_iou": 0.0, "box_50": 0, "box_75": 0}
    for i, (height, width, truths, found) in enumerate(rows):
        if not found or found[0][0]["mask"] is None:
            continue
        ids = [256000 + int(np.clip(np.rint(v * 1023), 0, 1023)) for v in found[0][0]["box"]]
        ids += [257024 + rng.randrange(128) for _ in range(16)]
        kind = i % 6
        if kind == 1:
            ids = ids[:19]                           # too short
        elif kind == 2:
            ids[4] = 256000                          # a location among the segments
        elif kind == 3:
            ids[0], ids[2] = ids[2], ids[0]          # upside down
        elif kind == 4:
            ids += [257024, 256000, 256000]          # what follows is not looked at
        elif kind == 5:
            ids[0] = 256000
            ids[2] = 256001                          # no pixel high
        bins = [v - 256000 for v in ids[:4]]
        valid = (len(ids) >= 20 and all(0 <= v < 1024 for v in bins) and all(0 <= v - 257024 < 128 for v in ids[4:20])
                 and bins[2] > bins[0] and bins[3] > bins[1])
        box = [v / 1023 for v in bins] if valid else [0.0] * 4
        overlap = box_iou(box, truths[0][0]["box"])
        pixels = [int(box[0] * height), int(box[1] * width), int(box[2] * height), int(box[3] * width)]
        valid = valid and pixels[2] > pixels[0] and pixels[3] > pixels[1]
        a, b = truths[0][1].astype(bool), found[0][1].astype(bool)
        sums["rows"] += 1
        sums["invalid"] += not valid
        sums["iou"] += float((a & b).sum() / (a.sum() + b.sum() - (a & b).sum())) if valid else 0.0
        sums["box_iou"] += overlap
        sums["box_50"] += overlap >= 0.5
        sums["box_75"] += overlap >= 0.75
        text = "".join("<loc%04d>" % (v - 256000) if v < 257024 else "<seg%03d>" % (v - 257024) for v in ids)
        answers.append({"row": i, "text": text})
    return answers, sums


def main():
    rng = random.Random(11)
    rows = make_rows(rng)
    answers, sums = refcoco(rng, rows)
    ranked = average_precision(rows)
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden_masks.json")
    with open(path, "w", encoding="utf-8") as out:
        out.write('{\n "labels": %s,\n "refcoco": %s,\n "answers": [\n  ' % (json.dumps(ranked), json.dumps(sums)))
        out.write(",\n  ".join(json.dumps(a) for a in answers) + '\n ],\n "rows": [\n  ')
        out.write(",\n  ".join(json.dumps({"truths": [t for t, _ in r[2]], "found": [f for f, _ in r[3]]}) for r in rows))
        out.write("\n ]\n}\n")


if __name__ == "__main__":
    main()
