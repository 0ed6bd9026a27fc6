"""Writes models/nano/README.md, the model card, from what training and evaluation recorded.

usage: card.py PROJECT_ROOT WORK_FOLDER
"""
import json
import os
import platform
import sys

import torch
import transformers

import model as nano

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
| vocabulary | {pieces:,} pieces: 1,792 BPE, 1,024 `<loc>`, 128 `<seg>` (never trained); then `<image>`; {rows:,} rows |

## What it answers
| prompt | answer |
|---|---|
| `answer en what color is the circle?` | `red`, one of eight colours |
| `answer en what shape is red?` | one of seven shapes |
| `answer en how many squares?`, `... how many shapes?`, `... how many red shapes?` | a digit |
| `answer en is there a red circle?` | `yes` or `no` |
| `detect circle`, `detect red circle ; blue square`, `detect word` | boxes from left to right, `<loc>` y1 x1 y2 x2 and label |
| `ocr` | the word, in capitals |
| `answer en what is the first letter?`, `... last letter?`, `... how many letters?` | a letter, a digit |
| `caption en` | `a red circle above a blue square`, `the red word CAT and a blue ring`, `five shapes` |

Words come from a lexicon of {lexicon} everyday words of three to five letters, the same in training and test; how well
it reads other words was not measured. Colours: red, green, blue, yellow, orange, purple, black, white. Shapes: circle, square,
triangle, star, cross, ring, heart. `pictures/` has some to try, chosen among held-out ones that it answers rightly;
`pictures.tsv` has the prompts and answers.

## Scores
On held-out scenes (another random stream than training), at most one row of a task from one picture, through the whole
path: file, PIL decoding and bicubic resize, the bf16 weights computed in f32, greedy decoding by transformers.

| task | rows | score | most frequent answer |
|---|---|---|---|
{scores}

Detection counts every box of every prompt; a box is right at IoU 0.5 with its label. Its precision is
{precision:.2f}, its recall {recall:.2f}, F1 {f1:.2f}, and boxes that are right overlap by {overlap:.2f} on average.

## How it was made
`tools/nano/make.sh` remakes it from nothing. A generator in C draws the scenes: {pool:,} pictures of 104 to 480 pixels
a side; plain, graded, striped, checked and clouded backgrounds, noise, JPEG loss, mixed aspect ratios. transformers
{transformers} and PyTorch {torch} train it on the processor, in two parts as PaliGemma was. First the vision tower alone,
{tower_steps:,} steps of {tower_batch} pictures: linear readers, thrown away afterwards, say of each patch what stands there, in
which colour and in which box. Then everything, {text_steps:,} steps of {batch} pictures with up to four questions each:
prefix-LM attention, loss on the suffix only, location targets spread over neighbouring bins. {cpu:.0f} processor
minutes in all ({wall:.0f} on the clock of two shared cores); {optimizer}, peak rate {rate}, bf16 autocast.

## Limits
Pictures other than such scenes mean nothing to it. Its boxes are looser than those of a large model, its counts are
sometimes off by one, and it confuses letters that look alike (F and P, B and P). `<seg>` tokens and languages other
than English were never trained.
"""

NAMES = {"color": "colour questions, exact", "count": "counting, exact", "detect": "detection, AP50",
         "ocr": "OCR of one word, exact", "caption": "captions, exact", "shape": "shape questions, exact",
         "yesno": "yes or no, exact", "letter": "letter questions, exact"}


def main():
    root, work = sys.argv[1:3]
    folder = os.path.join(root, "models", "nano")
    with open(os.path.join(work, "trained", "training.json")) as file:
        training = json.load(file)
    with open(os.path.join(work, "scores.json")) as file:
        scores = json.load(file)
    lines = []
    for task, name in NAMES.items():
        s = scores[task]
        value = s["AP50"] if task == "detect" else s["exact"]
        shown = "%.2f" % value if task == "detect" else "%.1f %%" % (100 * value)
        common = "" if task == "detect" else "%.0f %%" % (100 * s["most frequent answer"])
        lines.append("| %s | %d | **%s** | %s |" % (name, s["rows"], shown, common))
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "words.c")) as file:
        lexicon = file.read().count('"') // 2 - 1
    c = nano.config()
    text, vision = c.text_config, c.vision_config
    d = scores["detect"]
    card = CARD.format(
        parameters=training["parameters"], size=os.path.getsize(os.path.join(folder, "model.safetensors")) / 1e6,
        side=nano.SIDE, patch=nano.PATCH, tokens=nano.IMAGE_TOKENS, vl=vision.num_hidden_layers,
        vd=vision.hidden_size, vh=vision.num_attention_heads, vf=vision.intermediate_size,
        tl=text.num_hidden_layers, td=text.hidden_size, th=text.num_attention_heads, hd=text.head_dim,
        tf=text.intermediate_size, pieces=nano.IMAGE_TOKEN, rows=nano.VOCABULARY, lexicon=lexicon,
        scores="\n".join(lines), precision=d["precision"], recall=d["recall"], f1=d["F1"],
        overlap=d["mean IoU of hits"], pool=training["pool"], transformers=transformers.__version__,
        torch=torch.__version__.split("+")[0], batch=training["batch"],
        text_steps=training["text_steps"], tower_steps=training["steps"] - training["text_steps"],
        tower_batch=training["tower_batch"], cpu=training["cpu_minutes"], wall=training["wall_minutes"],
        optimizer=training["optimizer"], rate=training["rate"])
    with open(os.path.join(folder, "README.md"), "w") as file:
        file.write(card)
    print("model card written, Python %s" % platform.python_version())


if __name__ == "__main__":
    main()
