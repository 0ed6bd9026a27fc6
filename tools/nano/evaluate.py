"""Scores a nano folder on held-out pictures.

usage: evaluate.py MODEL_FOLDER PICTURES_FOLDER [ROWS_PER_TASK] [--json FILE] [--wrong]
--json writes the scores, --wrong prints what was answered wrongly.
PICTURES_FOLDER comes from `pali-scenes --held-out --segment --out`. Exact match everywhere but for detection, which
gets the average precision at IoU 0.5 (labels must match, confidence from the location tokens) and F1, and segmentation,
which gets the mean IoU of PaliGemma's RefCOCO evaluator: rows that name one object, its box and mask read from the
first twenty tokens and pasted at the size of the picture; an answer that does not begin so counts 0.
"""
import collections
import json
import os
import random
import re
import sys

import numpy as np
from PIL import Image

import codec as masks
import model as nano
from answer import Answerer

BOX = re.compile(r"<loc(\d{4})><loc(\d{4})><loc(\d{4})><loc(\d{4})> ([^;<]+?)(?= ;|$)")


def task_of(row):
    prefix = row["prefix"]
    if prefix == "ocr":
        return "ocr"
    if prefix.startswith("caption"):
        return "caption"
    if prefix.startswith(("detect", "segment")):
        return prefix.split()[0]
    for start, task in (("answer en how many letters", "letter"), ("answer en how many", "count"),
                        ("answer en what color", "color"), ("answer en what shape", "shape"),
                        ("answer en is there", "yesno"), ("answer en what is the", "letter")):
        if prefix.startswith(start):
            return task
    raise ValueError("unknown prompt " + prefix)


def boxes(text):
    return [(tuple(int(v) / 1023.0 for v in m.groups()[:4]), m.group(5)) for m in BOX.finditer(text)]


def iou(a, b):
    h, w = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if h <= 0.0 or w <= 0.0:
        return 0.0
    return h * w / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - h * w)


def detection(rows, answers):
    """AP50 over all boxes of all prompts, precision, recall, F1, mean IoU of the matched."""
    found, wanted, overlaps = [], 0, []
    for row, (text, ids, logs) in zip(rows, answers):
        truth = boxes(row["suffix"])
        wanted += len(truth)
        free = set(range(len(truth)))
        place = [k for k, i in enumerate(ids) if 1792 <= i < 2816]
        for number, (box, label) in enumerate(boxes(text)):
            confidence = sum(logs[k] for k in place[4 * number:4 * number + 4])
            best = max((k for k in free if truth[k][1] == label), key=lambda k: iou(box, truth[k][0]), default=None)
            hit = best is not None and iou(box, truth[best][0]) >= 0.5
            if hit:
                free.discard(best)
                overlaps.append(iou(box, truth[best][0]))
            found.append((confidence, hit))
    found.sort(key=lambda f: -f[0])
    hits, curve = 0, []
    for number, (_, hit) in enumerate(found, 1):
        hits += hit
        curve.append((hits / wanted, hits / number))
    precision_at = [0.0] * len(curve)
    best, area, last = 0.0, 0.0, 0.0
    for k in range(len(curve) - 1, -1, -1):
        best = max(best, curve[k][1])
        precision_at[k] = best
    for (recall, _), precision in zip(curve, precision_at):
        area += (recall - last) * precision
        last = recall
    precision, recall = hits / max(1, len(found)), hits / max(1, wanted)
    return {"AP50": area, "precision": precision, "recall": recall,
            "F1": 2 * precision * recall / max(1e-9, precision + recall),
            "mean IoU of hits": sum(overlaps) / max(1, len(overlaps)), "boxes": wanted}


def segmentation(rows, answers, pictures, codec):
    """mIoU, box accuracy and invalid answers, by the rules of the RefCOCO evaluator; and the mIoU that the tokens of the
    drawn masks get, a perfect model's."""
    overlaps, best, boxes_right, invalid = [], [], 0, 0
    for row, (_, ids, _) in zip(rows, answers):
        mask = np.asarray(Image.open(os.path.join(pictures, row["masks"][0])))
        truth, true_bins = mask > 0, [int(v) for v in nano.LOCATION.findall(row["suffix"])]
        true_codes = codec.encode(masks.cut(mask, true_bins)[None])
        best.append(masks.mask_iou(masks.paste(codec.decode(true_codes)[0], true_bins, *truth.shape), truth))
        bins = [i - nano.LOCATION_ZERO for i in ids[:4]]
        codes = [i - nano.SEGMENT_ZERO for i in ids[4:20]]
        valid = (len(codes) == nano.MASK_TOKENS and all(0 <= b < 1024 for b in bins)
                 and all(0 <= c < masks.CODES for c in codes) and bins[2] > bins[0] and bins[3] > bins[1])
        if not valid:
            invalid += 1
            overlaps.append(0.0)
            continue
        wanted = boxes(row["suffix"])[0][0]
        boxes_right += iou(tuple(b / 1023.0 for b in bins), wanted) >= 0.5
        decoded = codec.decode(np.array([codes], np.uint8))[0]
        overlaps.append(masks.mask_iou(masks.paste(decoded, bins, *truth.shape), truth))
    return {"mIoU": sum(overlaps) / len(rows), "box accuracy at 0.5": boxes_right / len(rows), "invalid": invalid,
            "mIoU of the true tokens": sum(best) / len(rows)}


def choose(rows, per_task):
    """At most per_task rows of each task, at most one of a task from one picture; `segment` names one object."""
    dice, others, segment = random.Random(5), [], []
    for row in rows:
        if task_of(row) != "segment":
            others.append(row)
        elif len(row.get("masks", ())) == 1:
            segment.append(row)
    dice.shuffle(others)  # apart: which rows of the other tasks are taken does not hang on these
    dice.shuffle(segment)
    chosen, seen = collections.defaultdict(list), set()
    for row in others + segment:
        key = (row["image"], task_of(row))
        if key not in seen and len(chosen[key[1]]) < per_task:
            seen.add(key)
            chosen[key[1]].append(row)
    return chosen


def score(folder, pictures, per_task):
    with open(os.path.join(pictures, "rows.jsonl")) as file:
        chosen = choose(map(json.loads, file), per_task)
    answerer, codec = Answerer(folder), masks.load(os.path.join(folder, "vae-oid.npz"))
    result, wrong = {}, {}
    for task, rows in sorted(chosen.items()):
        answers = answerer.many([os.path.join(pictures, r["image"]) for r in rows], [r["prefix"] for r in rows])
        right = [a[0] == r["suffix"] for a, r in zip(answers, rows)]
        common = collections.Counter(r["suffix"] for r in rows).most_common(1)[0][1]
        result[task] = {"rows": len(rows), "exact": sum(right) / len(rows), "most frequent answer": common / len(rows)}
        if task == "detect":
            del result[task]["exact"], result[task]["most frequent answer"]
            result[task].update(detection(rows, answers))
        if task == "segment":
            del result[task]["exact"], result[task]["most frequent answer"]
            result[task].update(segmentation(rows, answers, pictures, codec))
        wrong[task] = [(r["image"], r["prefix"], r["suffix"], a[0])
                       for r, a, ok in zip(rows, answers, right) if not ok][:8]
    return result, wrong


def main():
    per_task = int(sys.argv[3]) if len(sys.argv) > 3 else 300
    result, wrong = score(sys.argv[1], sys.argv[2], per_task)
    for task, values in result.items():
        print("%-8s %s" % (task, "  ".join("%s %.3f" % (k, v) if isinstance(v, float) else "%s %d" % (k, v)
                                           for k, v in values.items())))
    if "--wrong" in sys.argv:
        for task, rows in wrong.items():
            for row in rows:
                print(task, *row, sep=" | ")
    if "--json" in sys.argv:
        with open(sys.argv[sys.argv.index("--json") + 1], "w") as file:
            json.dump(result, file, indent=2, sort_keys=True)
            file.write("\n")


if __name__ == "__main__":
    main()
