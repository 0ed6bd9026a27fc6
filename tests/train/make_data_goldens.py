"""Ids, token types and labels of examples, from transformers' PaliGemmaProcessor with nano's tokenizer.

    python tests/train/make_data_goldens.py    (from the root; writes tests/train/golden_examples.json)

Each case: prefix, suffix, text_length (0: not cut), and without the image's placeholders what the
processor gives: ids, types (0: prefix, 1: suffix), labels (-100: not learned). pali cuts to text_length + 1
ids, as the last one is only predicted (big_vision trainers/proj/paligemma/train.py).
"""

import json
from pathlib import Path

from PIL import Image
from transformers import AutoTokenizer, PaliGemmaProcessor
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

IMAGES = 4  # placeholders
CASES = [
    ("caption en", "a cat on a mat", 0),
    ("detect cat ; dog", "<loc0100><loc0200><loc0900><loc1023> cat ; <loc0000><loc0001><loc0512><loc0700> dog", 0),
    ("segment star", "<loc0185><loc0147><loc0443><loc0459><seg082><seg071><seg098><seg124> star", 0),
    ("caption en", "", 0),
    ("answer de Wie heißt der Fluß?", "Die Düssel – naïve Straße 🚲", 0),
    ("caption ja", "猫が眠っている", 0),
    (" two  spaces", " leading space", 0),
    ("ocr", "one line\nanother\n\n\nlast", 0),
    ("caption en", "a red heart and a blue star and a green ring and a cross", 8),
    ("caption en", "a red heart and a blue star and a green ring and a cross", 12),
]


def main():
    image = SiglipImageProcessorPil(size={"height": 28, "width": 28})
    image.image_seq_length = IMAGES
    processor = PaliGemmaProcessor(image, AutoTokenizer.from_pretrained("models/nano"))
    picture = Image.new("RGB", (8, 8))
    goldens = []
    for prefix, suffix, length in CASES:
        cut = {"truncation": "only_second", "max_length": IMAGES + length + 1} if length else {}
        got = processor(images=[picture], text=["<image>" + prefix], suffix=[suffix], **cut)
        ids, types, labels = ([int(x) for x in got[k][0]][IMAGES:] for k in ("input_ids", "token_type_ids", "labels"))
        goldens.append({"prefix": prefix, "suffix": suffix, "text_length": length, "ids": ids, "types": types, "labels": labels})
    text = ",\n".join(json.dumps(g, ensure_ascii=False) for g in goldens)
    Path("tests/train/golden_examples.json").write_text(f"[\n{text}\n]\n")


main()
