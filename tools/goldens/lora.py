"""LoRA adapters for the tiny PaliGemma 1, made and run by the peft package.

peft spells module paths as the installed transformers does; adapters saved with other versions spell
them differently, so two of the four are renamed after saving.
"""

import json
import re
import shutil
import tempfile
from pathlib import Path

import peft
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

import golden
from folders import write_json
from shapes import OUT, PG1

SEVEN = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
PREFIX = "base_model.model."
OLD = {
    "model.language_model.": "language_model.model.",
    "model.vision_tower.": "vision_tower.vision_model.",
    "model.multi_modal_projector.": "multi_modal_projector.",
}
NEW = {"model.vision_tower.": "model.vision_tower.vision_model."}
COMMON = {"task_type": "CAUSAL_LM", "lora_dropout": 0.0}
ADAPTERS = {
    # name: (configuration, renaming)
    "text-old": (
        LoraConfig(r=4, lora_alpha=8, target_modules=rf".*language_model.*\.({'|'.join(SEVEN)})", **COMMON), OLD,
    ),
    "all-new": (LoraConfig(r=3, lora_alpha=6, use_rslora=True, target_modules=SEVEN, **COMMON), NEW),
    "patterns": (
        LoraConfig(
            r=4, lora_alpha=4, target_modules=["q_proj", "v_proj", "down_proj", "fc1"],
            rank_pattern={"down_proj": 2, r"language_model\.layers\.1\.self_attn\.q_proj": 6},
            alpha_pattern={"down_proj": 6, "fc1": 1}, **COMMON,
        ), {},
    ),
    "saved": (
        LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj"], modules_to_save=["multi_modal_projector"], **COMMON),
        OLD,
    ),
}  # fmt: skip
TOGETHER = ["text-old", "all-new"]
SEED = 200


def randomise(model, name, seed):
    """peft starts B at zero: give both factors, and copies of whole modules, something to say."""
    generator = torch.Generator().manual_seed(seed)

    def noise(p):
        return torch.randn(p.shape, generator=generator)

    for path, p in sorted(model.named_parameters()):
        if f"lora_A.{name}" in path:
            p.data = noise(p) * p.shape[1] ** -0.5
        elif f"lora_B.{name}" in path:
            p.data = noise(p) * 0.1
        elif f"modules_to_save.{name}" in path:
            p.data += noise(p) * 0.05


def save(model, name, renaming):
    """Write the adapter as peft does, then spell the tensor names as older versions did."""
    folder = OUT / "lora" / name
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        model.save_pretrained(scratch, selected_adapters=[name], save_embedding_layers=False)
        source = Path(scratch) / name
        config = json.loads((source / "adapter_config.json").read_text())
        tensors = load_file(source / "adapter_model.safetensors")
    config["base_model_name_or_path"] = "pg1"
    for key in ("target_modules", "modules_to_save"):  # sets: no order of their own
        if isinstance(config[key], list):
            config[key].sort()
    write_json(folder / "adapter_config.json", config)
    save_file({rename(k, renaming): t for k, t in tensors.items()}, folder / "adapter_model.safetensors")
    return len(tensors)


def rename(key, renaming):
    path = key.removeprefix(PREFIX)
    for old, new in renaming.items():
        if path.startswith(old):
            path = new + path[len(old) :]
            break
    return PREFIX + path


def run(model, name, text, out, notes):
    ids, types = text.ids(*golden.PROMPTS[""])
    pixel_values = golden.pixels(PG1, ["a"])
    out[name + ".logits"] = golden.forward(model, ids, types, pixel_values)[-1].clone()
    tokens, logprobs, steps = golden.greedy(model, ids, types, pixel_values, golden.banned(PG1))
    out[name + ".tokens"], out[name + ".logprobs"] = tokens, logprobs
    notes[name] = steps
    print(name, tokens.tolist(), steps)


def check_merge(names, text, expected):
    """The written files, added to the weights by hand, give what peft gave."""
    model = golden.load(OUT / "pg1")
    parameters = {_plain(n): p for n, p in model.named_parameters()}
    for name in names:
        config = json.loads((OUT / "lora" / name / "adapter_config.json").read_text())
        tensors = load_file(OUT / "lora" / name / "adapter_model.safetensors")
        for key, a in tensors.items():
            path = _plain(key.removeprefix(PREFIX))
            if path.endswith(".lora_A.weight"):
                b = tensors[key.replace("lora_A", "lora_B")]
                module = path.removesuffix(".lora_A.weight")
                alpha = _pattern(config["alpha_pattern"], module, config["lora_alpha"])
                scale = alpha / (a.shape[0] ** 0.5 if config["use_rslora"] else a.shape[0])
                parameters[module + ".weight"].data += scale * (b @ a)
            elif "lora_" not in path:
                parameters[path].data = a
    ids, types = text.ids(*golden.PROMPTS[""])
    logits = golden.forward(model, ids, types, golden.pixels(PG1, ["a"]))[-1]
    difference = float((logits - expected).abs().max())
    print(f"  merged by hand: {difference:.2e}")
    assert difference < 1e-3


def _plain(path):
    """One spelling for the three generations of module paths."""
    path = path.removeprefix("model.").replace("language_model.model.", "language_model.")
    return path.replace("vision_model.", "")


def _pattern(patterns, module, default):
    return next((v for p, v in patterns.items() if re.match(rf"(.*\.)?({p})$", module)), default)


def main():
    torch.set_num_threads(1)
    text = golden.Text(PG1)
    base = golden.forward(golden.load(OUT / "pg1"), *text.ids(*golden.PROMPTS[""]), golden.pixels(PG1, ["a"]))[-1]
    out, notes = {}, {"made_with": {"peft": peft.__version__}}
    shutil.rmtree(OUT / "lora", ignore_errors=True)
    for seed, (name, (config, renaming)) in enumerate(ADAPTERS.items(), SEED):
        model = get_peft_model(golden.load(OUT / "pg1"), config, adapter_name=name).eval()
        randomise(model, name, seed)
        run(model, name, text, out, notes)
        notes[name]["tensors"] = save(model, name, renaming)
        notes[name]["logits_moved_by"] = round(float((out[name + ".logits"] - base).abs().max()), 3)
        check_merge([name], text, out[name + ".logits"])
    both = together()
    run(both, "+".join(TOGETHER), text, out, notes)
    check_merge(TOGETHER, text, out["+".join(TOGETHER) + ".logits"])
    save_file(out, OUT / "lora" / "golden.safetensors")
    write_json(OUT / "lora" / "golden.json", notes)


def together():
    """Two adapters at once: each adds its own product to the same base."""
    first, second = TOGETHER
    model = get_peft_model(golden.load(OUT / "pg1"), ADAPTERS[first][0], adapter_name=first).eval()
    model.add_adapter(second, ADAPTERS[second][0])
    for seed, name in enumerate(ADAPTERS, SEED):
        if name in TOGETHER:
            randomise(model, name, seed)
    model.base_model.set_adapter(TOGETHER)
    return model


if __name__ == "__main__":
    main()
