"""Writes golden_ap50.json and golden_ap.json: answers with boxes, and their average precision by pycocotools.

    pip install pycocotools numpy
    python tests/eval/make_goldens.py

Boxes are bins of a picture of 1023 pixels a side. In golden_ap50.json all
scores are equal, so that pycocotools ranks by picture and order of output; in
golden_ap.json they are confidences with ties, and all thresholds are there.
"""
import contextlib
import io
import json
import os
import random

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

LABELS = ["cat", "dog", "red car"]


def text_of(boxes):
    return " ; ".join("".join(f"<loc{v:04d}>" for v in b) + f" {label}" for b, label in boxes)


def random_box(rng):
    y, x = rng.randrange(0, 900), rng.randrange(0, 900)
    return [y, x, y + rng.randrange(40, 1024 - y), x + rng.randrange(40, 1024 - x)]


def shaken(rng, box, by):
    out = [min(1023, max(0, v + rng.randint(-by, by))) for v in box]
    return out if out[2] > out[0] and out[3] > out[1] else box


def make_rows(rng):
    rows = []
    for i in range(40):
        truths = [(random_box(rng), rng.choice(LABELS)) for _ in range(rng.randrange(0, 5))]
        found = []
        for box, label in truths:
            if rng.random() < 0.8:
                found.append((shaken(rng, box, rng.choice([5, 60, 200])), label if rng.random() < 0.9 else "dog"))
            if rng.random() < 0.2:
                found.append((shaken(rng, box, 10), label))  # a second box on the same object
        for _ in range(rng.randrange(0, 3)):
            found.append((random_box(rng), rng.choice(LABELS + ["bird"])))
        rng.shuffle(found)
        if i == 7:  # more than pycocotools looks at
            found += [(random_box(rng), "cat") for _ in range(130)] + [(b, "cat") for b, label in truths]
        rows.append((truths, found))
    return rows


def coco_box(box):
    y1, x1, y2, x2 = box
    return [float(x1), float(y1), float(x2 - x1), float(y2 - y1)]


def confidences(rng, rows):
    """In steps of 1/16, so that many are equal, and a little better for boxes that are right."""
    return [[min(16, rng.randrange(0, 17) + 5 * any(b == found for b, _ in truths)) / 16 for found, _ in predicted]
            for truths, predicted in rows]


def evaluate(rows, scores=None):
    """Label to its AP at each IoU threshold, 0.5 to 0.95."""
    ids = {label: i + 1 for i, label in enumerate(LABELS)}
    truths, found = [], []
    for i, (expected, predicted) in enumerate(rows):
        for box, label in expected:
            b = coco_box(box)
            truths.append(dict(id=len(truths) + 1, image_id=i, category_id=ids[label], bbox=b, area=b[2] * b[3], iscrowd=0))
        for k, (box, label) in enumerate(predicted):
            if label in ids:
                score = scores[i][k] if scores else 1.0
                found.append(dict(image_id=i, category_id=ids[label], bbox=coco_box(box), score=score))
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = dict(images=[dict(id=i, width=1023, height=1023) for i in range(len(rows))],
                            categories=[dict(id=i, name=n) for n, i in ids.items()], annotations=truths)
        coco.createIndex()
        run = COCOeval(coco, coco.loadRes(found), "bbox")
        run.evaluate()
        run.accumulate()
    # [threshold, recall, label, area "all", 100 boxes]
    precision = run.eval["precision"][:, :, :, 0, -1]
    return {label: [float(p[:, i].mean()) for p in precision] for i, label in enumerate(LABELS)}


def write(name, head, rows):
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), name)
    with open(path, "w", encoding="utf-8") as out:
        out.write("{\n" + "".join(" %s: %s,\n" % (json.dumps(k), json.dumps(v)) for k, v in head.items()))
        out.write(' "rows": [\n  ' + ",\n  ".join(json.dumps(r) for r in rows) + "\n ]\n}\n")


def main():
    rng = random.Random(3)
    rows = make_rows(rng)
    texts = [{"suffix": text_of(t), "prediction": text_of(f)} for t, f in rows]
    ap = {label: by_threshold[0] for label, by_threshold in evaluate(rows).items()}
    write("golden_ap50.json", {"ap50": sum(ap.values()) / len(ap), "labels": ap}, texts)
    scores = confidences(rng, rows)
    ranked = evaluate(rows, scores)
    every = [p for by_threshold in ranked.values() for p in by_threshold]
    head = {"ap": sum(every) / len(every), "ap50": sum(p[0] for p in ranked.values()) / len(ranked), "labels": ranked}
    write("golden_ap.json", head, [dict(t, confidences=c) for t, c in zip(texts, scores)])


if __name__ == "__main__":
    main()
