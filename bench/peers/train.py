"""LoRA steps beside transformers + peft: seconds an example and peak memory, by turns, in one run.

usage: train.py CHECKPOINT ROWS.jsonl [--pali PROGRAM] [--python PYTHON] [--batch 4] [--steps 3] [--rounds 2] [--type q4_0]

CHECKPOINT is a Hugging Face folder (tools/random_checkpoint writes one of full size), ROWS has {image, prefix, suffix}.
Both learn rank 8 in the language model's seven maps from the same rows; image tokens are encoded by both in every
step (pali without its cache), so the work is the same. PyTorch keeps weights and products in bf16 with gradient
checkpointing, without which its activations would not fit; without --python only pali runs. The first step, which
warms up, is left out of the time; memory is the peak of the process, mapped
weights among it, and of that what is its own (anonymous): pages of a mapped file can be given back and read again.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time
import typing


class Peak(typing.NamedTuple):
    """Bytes of resident memory."""
    all: int
    own: int

    def __str__(self):
        return f"{self.all / 1e9:.2f} GB ({self.own / 1e9:.2f} GB its own)"


def watch_own(process, found):
    """Keeps the largest RssAnon of a process in found[0] until it ends."""
    path = pathlib.Path(f"/proc/{process.pid}/status")
    while process.returncode is None:
        try:
            own = re.search(r"RssAnon:\s+(\d+) kB", path.read_text())
        except OSError:
            return
        found[0] = max(found[0], int(own[1]) * 1024 if own else 0)
        time.sleep(0.02)


def peak_of(command):
    """Runs a program; its output, and the peak of its resident memory."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    own = [0]
    watcher = threading.Thread(target=watch_own, args=(process, own))
    watcher.start()
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    watcher.join()
    if status != 0:
        sys.exit(f"train.py: {command[0]}: status {status}\n{output[-2000:]}")
    return output, Peak(usage.ru_maxrss * 1024, own[0])


def run_pali(options):
    """Seconds an example of all steps but the first, from the log that the run writes."""
    with tempfile.TemporaryDirectory() as folder:
        settings = [f"model={options.checkpoint}", f"data={options.rows}", f"out={folder}/run", "lora.rank=8", f"batch={options.batch}", f"steps={options.steps + 1}", "log_every=1",
                    "samples=0", "cache_features=false", "leak_test=false", "warmup=0", "schedule=constant", f"micro_batch={options.micro_batch}"]
        if options.type:
            settings.append(f"type={options.type}")
        _, peak = peak_of([str(options.pali), "train", *settings])
        lines = pathlib.Path(folder, "run/metrics.csv").read_text().splitlines()
        column = lines[0].split(",").index("seconds")
        times = [float(line.split(",")[column]) for line in lines[1:]]
        return (times[-1] - times[0]) / (len(times) - 1) / options.batch, peak


def run_torch(options):
    output, peak = peak_of([str(options.python), __file__, str(options.checkpoint), str(options.rows), "--inside", "--batch", str(options.batch), "--steps", str(options.steps)])
    return float(re.search(r"seconds an example: ([0-9.]+)", output)[1]), peak


def inside(options):
    """The peer itself: transformers and peft, one example of a micro-batch at a time."""
    import torch
    from peft import LoraConfig, get_peft_model
    from PIL import Image
    from transformers import AutoTokenizer, PaliGemmaForConditionalGeneration

    torch.set_num_threads(os.cpu_count())
    model = PaliGemmaForConditionalGeneration.from_pretrained(options.checkpoint, dtype=torch.bfloat16, attn_implementation="sdpa")
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    names = "q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj"
    model = get_peft_model(model, LoraConfig(r=8, lora_alpha=8, target_modules=rf".*language_model.*\.({names})", task_type="CAUSAL_LM"))
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.enable_input_require_grads()
    model.train()
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)
    tokenizer, config = AutoTokenizer.from_pretrained(options.checkpoint), model.config
    side, tokens = config.vision_config.image_size, (config.vision_config.image_size // config.vision_config.patch_size) ** 2
    folder, rows = pathlib.Path(options.rows).parent, [json.loads(line) for line in open(options.rows, encoding="utf-8")]

    def example(row):
        picture = Image.open(folder / row["image"]).convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
        pixels = torch.tensor(list(picture.getdata()), dtype=torch.float32).view(1, side, side, 3).permute(0, 3, 1, 2) / 127.5 - 1
        prefix = [tokenizer.bos_token_id, *tokenizer.encode(row["prefix"] + "\n", add_special_tokens=False)]
        suffix = [*tokenizer.encode(row["suffix"], add_special_tokens=False), tokenizer.eos_token_id]
        ids = [config.image_token_id] * tokens + prefix + suffix
        labels = [-100] * (tokens + len(prefix)) + suffix
        kinds = [0] * (tokens + len(prefix)) + [1] * len(suffix)
        return {"pixel_values": pixels.bfloat16(), "input_ids": torch.tensor([ids]), "labels": torch.tensor([labels]), "token_type_ids": torch.tensor([kinds]),
                "attention_mask": torch.ones(1, len(ids), dtype=torch.long)}

    def step(first):
        for i in range(options.batch):
            (model(**example(rows[(first + i) % len(rows)])).loss / options.batch).backward()
        optimiser.step()
        optimiser.zero_grad()

    step(0)
    start = time.monotonic()
    for i in range(options.steps):
        step((i + 1) * options.batch)
    print(f"seconds an example: {(time.monotonic() - start) / options.steps / options.batch:.4f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=pathlib.Path)
    parser.add_argument("rows", type=pathlib.Path)
    parser.add_argument("--pali", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2] / "build/release/apps/pali")
    parser.add_argument("--python", type=pathlib.Path)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--micro-batch", type=int, default=0, help="pali's; 0: as many as memory has room for")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--type", help="pali's frozen weights: q4_0, q8_0")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        inside(options)
        return
    for number in range(options.rounds):
        ours, our_peak = run_pali(options)
        line = f"round {number + 1}: pali {ours:.2f} s an example, {our_peak}"
        if options.python:
            theirs, their_peak = run_torch(options)
            line += f"; transformers + peft {theirs:.2f} s, {their_peak}: {theirs / ours:.2f} times as fast, {our_peak.all / their_peak.all:.2f} of the memory, {our_peak.own / their_peak.own:.2f} of its own"
        print(line, flush=True)


if __name__ == "__main__":
    main()
