"""Writes models/nano/README.md, the model card, from what train.sh and publish.sh recorded.

usage: card.py PROJECT_ROOT WORK_FOLDER MACHINE
MACHINE is said where the times are: "two cores of ...".
"""
import collections
import csv
import json
import math
import os
import re
import struct
import sys

import numpy as np

CARD = """# nano

A PaliGemma small enough to live in a source repository: {parameters:,} parameters, {size:.1f} MB in bf16. It is of the
PaliGemma 1 type (SigLIP vision tower, linear projector, Gemma 1 decoder) in a Hugging Face folder with the tensor
names of the released files, so whatever reads those reads this. It is here to show the whole system at work without
a download, and as a reference whose answers are known. It knows coloured shapes and short words, nothing else.

| | |
|---|---|
| picture | {side} x {side}, patch {patch}, {tokens} image tokens |
| vision tower | {vl} layers, width {vd}, {vh} heads, MLP {vf} |
| decoder | {tl} layers, width {td}, {th} query heads of {hd} on one key-value head, MLP {tf} |
| mask codec | `vae-oid.npz`: the architecture of the released codec, widths {widths} for 16/32/64/128, codes of {code_width} for 512, {codec_parameters:,} parameters, {codec_size:.1f} MB in f32 |
| vocabulary | {pieces:,} pieces: 1,792 BPE, 1,024 `<loc>`, 128 `<seg>`; then `<image>`; {rows:,} rows |

## What it answers
| prompt | answer |
|---|---|
| `answer en what color is the circle?` | `red`, one of eight colours |
| `answer en what shape is red?` | one of seven shapes |
| `answer en how many squares?`, `... how many shapes?`, `... how many red shapes?` | a digit |
| `answer en is there a red circle?` | `yes` or `no` |
| `detect circle`, `detect red circle ; blue square`, `detect word` | boxes from left to right, `<loc>` y1 x1 y2 x2 and label |
| `segment circle`, `segment red circle`, `segment red circle ; blue square` | the same with 16 `<seg>` before the label: the mask of the whole shape, up to three objects |
| `ocr` | the word, in capitals |
| `answer en what is the first letter?`, `... last letter?`, `... how many letters?` | a letter, a digit |
| `caption en` | `a red circle above a blue square`, `the red word CAT and a blue ring`, `five shapes` |

Words come from a lexicon of {lexicon} everyday words of three to five letters, the same in training and test; how well
it reads other words was not measured. Colours: red, green, blue, yellow, orange, purple, black, white. Shapes: circle, square,
triangle, star, cross, ring, heart. `pictures/` has some to try, chosen among held-out ones that it answers rightly;
`pictures.tsv` has the prompts and answers.

## Scores
On held-out scenes (another random stream than training), at most one row of a task from one picture, through the whole
path: file, PIL decoding and bicubic resize, the bf16 weights computed in f32, greedy decoding by transformers. The scenes
come from `pali-scenes --held-out --segment --seed 9 --count 1500 --out FOLDER`, which also draws the masks.

| task | rows | score | most frequent answer |
|---|---|---|---|
{scores}

Detection counts every box of every prompt; a box is right at IoU 0.5 with its label. Its precision is
{precision:.2f}, its recall {recall:.2f}, F1 {f1:.2f}, and boxes that are right overlap by {overlap:.2f} on average.

Segmentation is scored as PaliGemma's RefCOCO evaluator does: prompts that name one object, its box and mask read from
the first twenty tokens and pasted at the size of the picture. {box_accuracy:.1f} % of the boxes are right at IoU 0.5,
{invalid} of {segment_rows} answers are invalid. The true tokens would get {ceiling:.2f}: locations and whole pixels cost a little.
What the codec gives back of {codec_masks:,} held-out masks overlaps them by {codec_square:.3f} on average at 64 x 64, by
{codec_pasted:.2f} in their true boxes at the size of the picture ({codec_worst:.2f} the worst in a hundred), and by {codec_blobs:.2f} at 64 x 64
for smooth blobs, which are no shape that the generator draws.

## How it was made
pali made it: `tools/nano/train.sh` remakes it from nothing with C programs alone, by the recipes in `recipes/nano`. A
generator draws the scenes: 240,000 pictures of 104 to 480 pixels a side; plain, graded, striped, checked and clouded
backgrounds, noise, JPEG loss, mixed aspect ratios. The mask codec comes first, as answers are written with its codes:
{codec_steps:,} steps of {codec_batch} masks, half of them as the generator draws them, a quarter turned, sheared and cut, a quarter blobs.
Then the vision tower, {tower_steps:,} steps of {tower_pictures} pictures: it says of each patch what stands there, in which colour and
where two sides of its box are. Then everything, {answer_steps:,} steps of {answer_pictures} pictures with four questions and two rows
of patches each: prefix-LM attention, location targets spread over neighbouring bins, the codes of a mask as heavy as its
box; then {finish_steps:,} and {again_steps:,} steps of questions alone, {several_steps:,} mostly of those about several things, and {more_steps:,} of
six questions a picture of scenes that had not been seen, the rate coming down to nothing each time. Muon for the matrices
between layers, AdamW for the rest; products in bf16, weights in f32.

| part | minutes |
|---|---|
{times}

On {machine}, part by part and at times beside other work.
The vocabulary is a SentencePiece model (`tools/nano/vocabulary.py`). `tools/nano/publish.sh` measured the
scores above with transformers and wrote this card.

## Limits
Pictures other than such scenes mean nothing to it. Its counts, of shapes as of letters, are sometimes off by one, it
misreads a letter now and then (SINK as STAK, an O as a D), and of two objects in one prompt it may find the same one
twice. Masks are of whole shapes, also where another shape lies on top; words have none. Languages other than English were never trained.
"""

NAMES = {"color": "colour questions, exact", "count": "counting, exact", "detect": "detection, AP50",
         "ocr": "OCR of one word, exact", "caption": "captions, exact", "shape": "shape questions, exact",
         "yesno": "yes or no, exact", "letter": "letter questions, exact", "segment": "segmentation, mIoU"}

AREAS = {"detect": "AP50", "segment": "mIoU"}


def read(work, name):
    with open(os.path.join(work, name)) as file:
        return json.load(file)


PARTS = {"masks": "scenes for the codec", "codec": "mask codec", "parts": "240,000 scenes, resized, with their masks as codes",
         "tower": "vision tower", "answers": "everything", "finish": "questions alone", "again": "and once more", "several": "those about several things",
         "more": "fresh scenes"}


def last_step(work, run):
    with open(os.path.join(work, run, "metrics.csv")) as file:
        return int(list(csv.DictReader(file))[-1]["step"])


def times(work):
    """Lines of the table, from "part: seconds s"; a part that was gone on with has several."""
    seconds = collections.Counter()
    with open(os.path.join(work, "times.txt")) as file:
        for name, rest in (line.split(": ") for line in file):
            seconds[name] += int(rest.split()[0])
    rows = ["| %s | %.0f |" % (text, seconds[name] / 60.0) for name, text in PARTS.items()]
    return "\n".join(rows + ["| together | %.0f |" % (sum(seconds[name] for name in PARTS) / 60.0)])


def tensor_shapes(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    return {name: tensor["shape"] for name, tensor in header.items() if name != "__metadata__"}


def main():
    root, work, machine = sys.argv[1:4]
    folder = os.path.join(root, "models", "nano")
    scores, codec, config = read(work, "scores.json"), read(work, "codec.json"), read(folder, "config.json")
    lines = []
    for task, name in NAMES.items():
        s = scores[task]
        value = s[AREAS.get(task, "exact")]
        shown = "%.2f" % value if task in AREAS else "%.1f %%" % (100 * value)
        common = "" if task in AREAS else "%.0f %%" % (100 * s["most frequent answer"])
        lines.append("| %s | %d | **%s** | %s |" % (name, s["rows"], shown, common))
    with open(os.path.join(root, "tools", "nano", "words.c")) as file:
        lexicon = file.read().count('"') // 2 - 1
    weights, arrays = tensor_shapes(os.path.join(folder, "model.safetensors")), np.load(os.path.join(folder, "vae-oid.npz"))
    taught = [a for name, a in arrays.items() if "_vq_vae" not in name]  # the codes follow running means
    with open(os.path.join(root, "recipes", "nano", "codec.yaml")) as file:
        codec_recipe = {name: int(value) for name, value in re.findall(r"^(steps|batch): (\d+)", file.read(), re.M)}
    text, vision = config["text_config"], config["vision_config"]
    d, s = scores["detect"], scores["segment"]
    side, patch = vision["image_size"], vision["patch_size"]
    card = CARD.format(
        parameters=sum(map(math.prod, weights.values())), size=os.path.getsize(os.path.join(folder, "model.safetensors")) / 1e6,
        side=side, patch=patch, tokens=(side // patch) ** 2, vl=vision["num_hidden_layers"], vd=vision["hidden_size"],
        vh=vision["num_attention_heads"], vf=vision["intermediate_size"], tl=text["num_hidden_layers"],
        td=text["hidden_size"], th=text["num_attention_heads"], hd=text["head_dim"], tf=text["intermediate_size"],
        pieces=config["image_token_index"], rows=text["vocab_size"], lexicon=lexicon, scores="\n".join(lines),
        precision=d["precision"], recall=d["recall"], f1=d["F1"], overlap=d["mean IoU of hits"],
        box_accuracy=100 * s["box accuracy at 0.5"], invalid=s["invalid"], segment_rows=s["rows"],
        ceiling=s["mIoU of the true tokens"],
        widths="/".join(str(len(arrays["encoder.%d.weight" % k])) for k in (0, 2, 4, 6)),
        code_width=arrays["_vq_vae._embedding"].shape[1], codec_parameters=sum(a.size for a in taught),
        codec_size=os.path.getsize(os.path.join(folder, "vae-oid.npz")) / 1e6, codec_steps=codec_recipe["steps"], codec_batch=codec_recipe["batch"],
        codec_masks=codec["masks"], codec_square=codec["square"], codec_pasted=codec["pasted"],
        codec_worst=codec["pasted, worst of a hundred"], codec_blobs=codec["blobs"], tower_steps=last_step(work, "tower"),
        tower_pictures=32, answer_steps=last_step(work, "answers"), answer_pictures=16, finish_steps=last_step(work, "finish"), again_steps=last_step(work, "again"),
        several_steps=last_step(work, "several"), more_steps=last_step(work, "more"),
        times=times(work), machine=machine)
    with open(os.path.join(folder, "README.md"), "w") as file:
        file.write(card)


if __name__ == "__main__":
    main()
