"""Writes the committed pictures and answers: tests/data/nano and models/nano/pictures.

usage: goldens.py PALI_SCENES PROJECT_ROOT WORK_FOLDER
Answers are transformers' greedy ones (f32 on the bf16 weights, PIL bicubic, ids without a piece and <image> banned,
at most 80 new tokens). `margin` is the smallest gap between the best and the second logit on the way: where it is
tiny, another summation order may rightly choose otherwise. Ground truth of `segment` rows has the codes of the drawn
masks, which lie beside the pictures.
"""
import collections
import json
import os
import random
import re
import shutil
import subprocess
import sys

import numpy as np
import torch
from PIL import Image
from transformers import AutoProcessor

from answer import Answerer
from evaluate import boxes, iou, task_of
import codec as masks
import model as nano

TASKS = ("color", "count", "detect", "ocr", "caption")
SEGMENTS = re.compile(r"<seg\d{3}>")
FREE = ("what is in the picture?", "describe en", "caption de", "answer en what is the word?", "detect dog")


def scenes(program, folder, *options):
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([program, "--held-out", "--segment", "--out", folder, *options], check=True)
    with open(os.path.join(folder, "rows.jsonl")) as file:
        return [json.loads(line) for line in file]


def margins(answerer, path, prefix, ids):
    """Smallest gap between the best and second logit over the answer, by one forward pass without cache."""
    seen = [nano.IMAGE_TOKEN] * nano.IMAGE_TOKENS + answerer.prompts.prefix(prefix)
    rows = torch.tensor([seen + ids[:-1]])
    types = (torch.arange(rows.shape[1]) >= len(seen)).long()[None]
    with torch.no_grad():
        logits = answerer.model(input_ids=rows, token_type_ids=types, attention_mask=torch.ones_like(rows), use_cache=False,
                                pixel_values=nano.pixels(torch.from_numpy(answerer.load(path)[None]))).logits[0, len(seen) - 1:]
    logits[:, answerer.banned] = -torch.inf
    top = logits.topk(2, dim=-1)
    assert top.indices[:, 0].tolist() == ids, (path, prefix, top.indices[:, 0].tolist(), ids)
    return float((top.values[:, 0] - top.values[:, 1]).min())


def write_lines(path, records):
    with open(path, "w") as file:
        for record in records:
            file.write(json.dumps(record) + "\n")


def segment_rows(by_picture, names, source, codec):
    """One `segment` row of two pictures in three where there is one, with its mask tokens; every sixth picture has
    several objects in it where it can."""
    dice, chosen = random.Random(4), {}
    for number, name in enumerate(names):
        rows = [r for r in by_picture[name] if task_of(r) == "segment" and "masks" in r]
        several = [r for r in rows if len(r["masks"]) > 1]
        rows = several if several and number % 6 == 0 else [r for r in rows if len(r["masks"]) == 1]
        if rows and number % 3 != 2:
            row = dice.choice(rows)
            found = [np.asarray(Image.open(os.path.join(source, m))) for m in row["masks"]]
            bins = [[int(v) for v in nano.LOCATION.findall(box)] for box in nano.BOX.findall(row["suffix"])]
            codes = codec.encode(np.stack([masks.cut(m, b) for m, b in zip(found, bins)]))
            chosen[name] = dict(row, suffix=nano.with_masks(row["suffix"], codes))
    return chosen


def small_pictures(program, root, work, answerer, codec):
    """100 held-out pictures of a few kilobytes, ground truth for six tasks, and the model's own answers."""
    folder = os.path.join(root, "tests", "data", "nano")
    source = os.path.join(work, "small")
    rows = scenes(program, source, "--seed", "11", "--count", "160", "--min-side", "104", "--max-side", "176")
    by_picture = collections.defaultdict(list)
    for row in rows:
        by_picture[row["image"]].append(row)
    fits = [n for n in sorted(by_picture) if os.path.getsize(os.path.join(source, n)) <= 24000][:100]
    os.makedirs(folder, exist_ok=True)
    for entry in os.scandir(folder):
        if entry.is_file():
            os.unlink(entry.path)
    dice, chosen = random.Random(3), []
    segment = segment_rows(by_picture, fits, source, codec)
    for name in fits:
        shutil.copyfile(os.path.join(source, name), os.path.join(folder, name))
        tasks = collections.defaultdict(list)
        for row in by_picture[name]:
            if task_of(row) in TASKS:
                tasks[task_of(row)].append(row)
        chosen += [dice.choice(tasks[t]) for t in TASKS if tasks[t]]
        if name in segment:
            chosen.append(segment[name])
            for mask in segment[name]["masks"]:
                shutil.copyfile(os.path.join(source, mask), os.path.join(folder, mask))
    write_lines(os.path.join(folder, "rows.jsonl"), chosen)

    asked = [(r["image"], r["prefix"]) for r in chosen]
    asked += [(name, FREE[k % len(FREE)]) for k, name in enumerate(fits[::5])]
    asked.sort()
    answers = answerer.many([os.path.join(folder, i) for i, _ in asked], [p for _, p in asked])
    write_lines(os.path.join(folder, "golden.jsonl"),
                [{"image": image, "prompt": prompt, "text": text, "ids": ids,
                  "margin": round(margins(answerer, os.path.join(folder, image), prompt, ids), 5)}
                 for (image, prompt), (text, ids, _) in zip(asked, answers)])
    return folder, asked, answers


def check_processor(root, folder, asked, answers, answerer):
    """The folder's own processor must lead to the same ids as the plain path above."""
    processor = AutoProcessor.from_pretrained(os.path.join(root, "models", "nano"))
    for k in range(0, len(asked), max(1, len(asked) // 40)):
        image = Image.open(os.path.join(folder, asked[k][0])).convert("RGB")
        inputs = processor(images=image, text="<image>" + asked[k][1], return_tensors="pt")
        size = inputs["input_ids"].shape[1]
        out = answerer.model.generate(**inputs, do_sample=False, max_new_tokens=80, suppress_tokens=answerer.banned)
        ids = out[0, size:].tolist()
        assert ids[:len(answers[k][1])] == answers[k][1], (asked[k], ids, answers[k][1])


def good(row, text):
    """Is this answer one to show? Of a mask the box alone is looked at."""
    if task_of(row) not in ("detect", "segment"):
        return text == row["suffix"]
    truth, found = boxes(row["suffix"]), boxes(SEGMENTS.sub("", text))
    if task_of(row) == "segment" and text.count("<seg") != nano.MASK_TOKENS * len(truth):
        return False
    return len(truth) > 0 and len(truth) == len(found) and all(
        a[1] == b[1] and iou(a[0], b[0]) > 0.7 for a, b in zip(truth, found))


def contents(folder, name):
    with open(os.path.join(folder, name), "rb") as file:
        return file.read()


def demo_pictures(program, root, work, answerer):
    """A dozen clean pictures, two to four for each kind of question; the model is right about them. Those that are there
    already stay where it still is."""
    folder = os.path.join(root, "models", "nano", "pictures")
    source = os.path.join(work, "demo")
    rows = scenes(program, source, "--seed", "12", "--count", "150", "--clean", "--min-side", "300", "--max-side",
                  "480")
    rows = [r for r in rows if os.path.getsize(os.path.join(source, r["image"])) <= 26000]
    answers = answerer.many([os.path.join(source, r["image"]) for r in rows], [r["prefix"] for r in rows])
    right = collections.defaultdict(list)
    for row, (text, _, _) in zip(rows, answers):
        if good(row, text):
            right[row["image"]].append((row, text))
    kinds = (("word", 4, lambda r: r["prefix"] == "ocr" and len(r["suffix"]) >= 4),
             ("caption", 3, lambda r: r["prefix"] == "caption en" and len(r["suffix"].split()) >= 7
              and "word" not in r["suffix"]),
             ("count", 3, lambda r: task_of(r) == "count" and r["suffix"] in "345"),
             ("detect", 2, lambda r: r["prefix"].startswith("detect") and r["suffix"].count(";") >= 1),
             ("segment", 2, lambda r: len(r.get("masks", ())) in (1, 2) and len(r["prefix"].split()) > 2))
    os.makedirs(folder, exist_ok=True)
    shown = {contents(folder, name) for name in os.listdir(folder)}
    for name in os.listdir(folder):
        os.unlink(os.path.join(folder, name))
    order = sorted(right, key=lambda image: (contents(source, image) not in shown, image))
    used, lines = set(), []
    for kind, wanted, fits in kinds:
        count = 0
        for image in order:
            main = [pair for pair in right[image] if fits(pair[0])]
            if image in used or not main or count == wanted:
                continue
            used.add(image)
            count += 1
            name = "%s-%d%s" % (kind, count, os.path.splitext(image)[1])
            shutil.copyfile(os.path.join(source, image), os.path.join(folder, name))
            others = [p for p in right[image] if task_of(p[0]) != task_of(main[0][0]) and task_of(p[0]) in TASKS]
            lines += ["%s\t%s\t%s\n" % (name, r["prefix"], text) for r, text in main[:1] + others[:2]]
    with open(os.path.join(folder, "pictures.tsv"), "w") as file:
        file.write("file\tprompt\tanswer\n")
        file.writelines(lines)
    return len(used)


def main():
    program, root, work = sys.argv[1:4]
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    answerer = Answerer(os.path.join(root, "models", "nano"))
    codec = masks.load(os.path.join(root, "models", "nano", "vae-oid.npz"))
    folder, asked, answers = small_pictures(program, root, work, answerer, codec)
    check_processor(root, folder, asked, answers, answerer)
    shown = demo_pictures(program, root, work, answerer)
    print("%d golden answers, %d demo pictures; the processor agrees" % (len(asked), shown))


if __name__ == "__main__":
    main()
