"""Write the tiny Hugging Face folders and the two test pictures."""

import json
import re

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

import shapes
import tokenizer
from shapes import DEFAULTS, OUT, PG1, PG2, PROJECTOR, TEXT, VISION

PICTURES = {"a": (61, 47, 11), "b": (40, 72, 12)}  # width, height, seed


def pictures():
    """Gradients, two rectangles and noise: sizes that are no multiple of anything, down- and upscaled."""
    for name, (width, height, seed) in PICTURES.items():
        rng = np.random.default_rng(seed)
        y, x = np.mgrid[0:height, 0:width]
        image = np.stack([255 * x / width, 255 * y / height, 127 + 120 * np.sin(x * y / 90)], axis=-1)
        for colour in rng.integers(0, 256, (3, 3)):
            top, left = rng.integers(0, height - 12), rng.integers(0, width - 12)
            image[top : top + 12, left : left + 15] = colour
        image += rng.normal(0, 12, image.shape)
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(OUT / f"{name}.png", optimize=True)


def write_json(path, content, flat_lists=False):
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False)
    if flat_lists:
        text = re.sub(r"\[[^\[\]{}]*\]", lambda m: " ".join(m[0].split()), text)
    path.write_text(text + "\n")


def torch_weights(shape, dtype=torch.float32):
    return {name: torch.from_numpy(w).to(dtype) for name, w in shapes.weights(shape).items()}


def new_names(tensors):
    """Spelling of modules since transformers 4.52."""
    prefixes = {
        TEXT: "model.language_model.",
        VISION: "model.vision_tower.vision_model.",
        PROJECTOR: "model.multi_modal_projector.linear.",
    }
    return {
        next(new + name[len(old) :] for old, new in prefixes.items() if name.startswith(old)): tensor
        for name, tensor in tensors.items()
    }


def save(folder, tensors, shards=1):
    """model.safetensors, or `shards` files and their index; tensors go round in unsorted order."""
    if shards == 1:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return
    parts = [dict(list(tensors.items())[i::shards]) for i in range(shards)]
    index = {}
    for i, part in enumerate(parts, 1):
        file = f"model-{i:05d}-of-{shards:05d}.safetensors"
        save_file(part, folder / file, metadata={"format": "pt"})
        index |= dict.fromkeys(part, file)
    total = sum(t.numel() * t.element_size() for t in tensors.values())
    write_json(
        folder / "model.safetensors.index.json",
        {"metadata": {"total_size": total}, "weight_map": dict(sorted(index.items()))},
    )


def folder(shape, name=None, dtype="float32"):
    path = OUT / (name or shape.name)
    path.mkdir(parents=True, exist_ok=True)
    config = shapes.config(shape)
    config["torch_dtype"] = config["text_config"]["torch_dtype"] = dtype
    write_json(path / "config.json", config)
    write_json(path / "preprocessor_config.json", shapes.preprocessor_config(shape))
    return path


def tokenizer_files(path, generation):
    """Generation 1: plain model, as released; 2: location pieces inside the model too."""
    (path / "tokenizer.json").write_text(tokenizer.tokenizer_json(generation))
    (path / "tokenizer.model").write_bytes(tokenizer.sentencepiece_model(extended=generation == 2))
    write_json(
        path / "tokenizer_config.json",
        {
            "add_bos_token": True, "add_eos_token": False, "bos_token": "<bos>", "eos_token": "<eos>",
            "pad_token": "<pad>", "unk_token": "<unk>", "clean_up_tokenization_spaces": False,
            "extra_special_tokens": {"image_token": "<image>"},
            "processor_class": "PaliGemmaProcessor", "tokenizer_class": "GemmaTokenizer",
        },
    )  # fmt: skip
    write_json(path / "added_tokens.json", {"<image>": shapes.IMAGE_TOKEN})
    write_json(path / "generation_config.json", {"bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0})


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    pictures()
    for generation, shape in enumerate((PG1, PG2), 1):
        path = folder(shape)
        save(path, torch_weights(shape))
        tokenizer_files(path, generation)
    (OUT / "tokenizer.json").write_text(json.dumps(tokenizer.golden(), ensure_ascii=False, indent=1) + "\n")
    save(folder(DEFAULTS, dtype="bfloat16"), torch_weights(DEFAULTS, torch.bfloat16))
    save(folder(PG1, "pg1-bf16-sharded", "bfloat16"), torch_weights(PG1, torch.bfloat16), shards=3)
    save(folder(PG1, "pg1-f16-new-names", "float16"), _with_junk(new_names(torch_weights(PG1, torch.float16))))


def _with_junk(tensors):
    """What real files carry besides weights: a copy of the tied output table, buffers, an unused head."""
    table = tensors["model.language_model.embed_tokens.weight"]
    vision = "model.vision_tower.vision_model."
    return {
        "lm_head.weight": table.clone(),
        vision + "embeddings.position_ids": torch.arange(PG1.tokens).reshape(1, -1),
        vision + "head.probe": torch.zeros(1, 1, PG1.vision_width),
        "model.language_model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(PG1.head_dim // 2),
    } | tensors


if __name__ == "__main__":
    main()
