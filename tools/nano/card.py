"""Writes models/nano/README.md, the model card, from what training and evaluation recorded.

usage: card.py PROJECT_ROOT WORK_FOLDER
"""
import json
import os
import platform
import sys

import torch
import transformers

import codec as masks
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
What the codec alone gives back of {codec_masks:,} held-out masks overlaps them by {codec_pasted:.3f} on average at the size of the
picture ({codec_square:.3f} at 64 x 64, {codec_worst:.2f} the worst in a hundred), and by {codec_blobs:.2f} for smooth blobs,
which are no shape that the generator draws.

## How it was made
`tools/nano/make.sh` remakes it from nothing. A generator in C draws the scenes: {pool:,} pictures of 104 to 480 pixels
a side; plain, graded, striped, checked and clouded backgrounds, noise, JPEG loss, mixed aspect ratios. transformers
{transformers} and PyTorch {torch} train it on the processor, in two parts as PaliGemma was. First the vision tower alone,
{tower_steps:,} steps of {tower_batch} pictures: linear readers, thrown away afterwards, say of each patch what stands there, in
which colour and in which box. Then everything, {text_steps:,} steps of {batch} pictures with up to four questions each:
prefix-LM attention, loss on the suffix only, location targets spread over neighbouring bins. {cpu:.0f} processor
minutes for both ({wall:.0f} on the clock of two shared cores); {optimizer}, peak rate {rate}, bf16 autocast.

The codec is a vector-quantised autoencoder, {codec_steps:,} steps of {codec_batch} masks in {codec_cpu:.0f} processor minutes before that: half of each
batch masks as the generator draws them, a quarter those turned, sheared and cut, a quarter blobs; mean squared
error, a running codebook, and a few codes replaced at random so that one wrong token does not spoil a mask.

## Limits
Pictures other than such scenes mean nothing to it. Its boxes are looser than those of a large model, its counts are
sometimes off by one, and it confuses letters that look alike (F and P, B and P). Masks are of whole shapes, also where
another shape lies on top; words have none. Languages other than English were never trained.
"""

NAMES = {"color": "colour questions, exact", "count": "counting, exact", "detect": "detection, AP50",
         "ocr": "OCR of one word, exact", "caption": "captions, exact", "shape": "shape questions, exact",
         "yesno": "yes or no, exact", "letter": "letter questions, exact", "segment": "segmentation, mIoU"}

AREAS = {"detect": "AP50", "segment": "mIoU"}


def read(work, name):
    with open(os.path.join(work, name)) as file:
        return json.load(file)


def main():
    root, work = sys.argv[1:3]
    folder = os.path.join(root, "models", "nano")
    training, tower, scores, codec, taught = (
        read(work, name) for name in ("trained/training.json", "tower/training.json", "scores.json", "codec.json",
                                      "vae-oid.json"))
    lines = []
    for task, name in NAMES.items():
        s = scores[task]
        value = s[AREAS.get(task, "exact")]
        shown = "%.2f" % value if task in AREAS else "%.1f %%" % (100 * value)
        common = "" if task in AREAS else "%.0f %%" % (100 * s["most frequent answer"])
        lines.append("| %s | %d | **%s** | %s |" % (name, s["rows"], shown, common))
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "words.c")) as file:
        lexicon = file.read().count('"') // 2 - 1
    c = nano.config()
    text, vision = c.text_config, c.vision_config
    d, s = scores["detect"], scores["segment"]
    card = CARD.format(
        parameters=training["parameters"], size=os.path.getsize(os.path.join(folder, "model.safetensors")) / 1e6,
        side=nano.SIDE, patch=nano.PATCH, tokens=nano.IMAGE_TOKENS, vl=vision.num_hidden_layers,
        vd=vision.hidden_size, vh=vision.num_attention_heads, vf=vision.intermediate_size,
        tl=text.num_hidden_layers, td=text.hidden_size, th=text.num_attention_heads, hd=text.head_dim,
        tf=text.intermediate_size, pieces=nano.IMAGE_TOKEN, rows=nano.VOCABULARY, lexicon=lexicon,
        scores="\n".join(lines), precision=d["precision"], recall=d["recall"], f1=d["F1"],
        overlap=d["mean IoU of hits"], pool=training["pool"], transformers=transformers.__version__,
        torch=torch.__version__.split("+")[0], batch=training["batch"],
        text_steps=training["steps"], tower_steps=tower["steps"], tower_batch=tower["batch"],
        cpu=training["cpu_minutes"] + tower["cpu_minutes"], wall=training["wall_minutes"] + tower["wall_minutes"],
        widths="/".join(map(str, masks.WIDTHS)), code_width=masks.CODE_WIDTH, codec_parameters=taught["parameters"],
        codec_size=os.path.getsize(os.path.join(folder, "vae-oid.npz")) / 1e6, codec_steps=taught["steps"],
        codec_batch=taught["batch"], codec_cpu=taught["cpu_minutes"], codec_masks=codec["masks"],
        codec_pasted=codec["pasted"], codec_square=codec["square"], codec_worst=codec["pasted, worst of a hundred"],
        codec_blobs=codec["blobs"], invalid=s["invalid"], segment_rows=s["rows"],
        ceiling=s["mIoU of the true tokens"], box_accuracy=100 * s["box accuracy at 0.5"],
        optimizer=training["optimizer"], rate=training["rate"])
    with open(os.path.join(folder, "README.md"), "w") as file:
        file.write(card)
    print("model card written, Python %s" % platform.python_version())


if __name__ == "__main__":
    main()
