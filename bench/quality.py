#!/usr/bin/env python3
"""What each weight type costs: converts a model part by part and measures every result.

usage: bench/quality.py BUILD [MODEL] [ROWS.jsonl] [WORK]

Prints a Markdown table: bytes, then against MODEL computed in floats the mean and largest KL
divergence of the next token (nats), the mean relative error of the logits, how often the same
token is the likeliest, and the task scores of `pali eval`. Needs `bench_quality` and `pali` in BUILD.
"""
import json
import os
import subprocess
import sys
import tempfile

# Name of the row, options of `pali convert`, activations.
CASES = [
    ("as it is, floats", None, "f32"),
    ("as it is", None, "auto"),
    *[(f"{kind}, all", ["--type", kind], "auto") for kind in ("f16", "q8_0", "q8", "q4_0")],
    *[(f"{kind}, {part}", [f"--{part}-type", kind], "auto") for kind in ("q8_0", "q8", "q4_0") for part in ("vision", "language", "embedding")],
    *[(f"{kind}, all, int8 activations", ["--type", kind], "int8") for kind in ("q8_0", "q8", "q4_0")],
]


def output_of(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"quality: {' '.join(command)}: exit {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def size_of(path):
    if os.path.isfile(path):
        return os.path.getsize(path)
    return sum(os.path.getsize(os.path.join(path, name)) for name in os.listdir(path) if name.endswith(".safetensors"))


def measure(build, model, rows, work, case):
    name, options, activations = case
    pali, target = os.path.join(build, "apps", "pali"), model
    if options:
        target = os.path.join(work, "converted.gguf")
        output_of(pali, "convert", model, target, "--force", "--quiet", *options)
    far = json.loads(output_of(os.path.join(build, "bench", "bench_quality"), rows, model, target, activations))
    scores = json.loads(output_of(pali, "eval", "--json", "--quiet", "-m", target, "--activations", activations, rows))
    texts = sorted(scores["kinds"].keys() - {"detect", "segment"})  # whose answers are right or wrong as a whole
    kinds = " | ".join(f"{100 * scores['kinds'][kind]['exact']:.1f}" for kind in texts)
    boxes = f"{scores['boxes']['ap50']:.3f} | {scores['boxes']['mean_iou']:.3f}" if "boxes" in scores else "- | -"
    masks = f"{scores['masks']['mean_iou']:.3f}" if "masks" in scores else "-"
    return (f"| {name} | {size_of(target) / 1e6:.1f} | {far['kl_mean']:.1e} | {far['kl_max']:.1e} | {far['logit_error_mean']:.1e} "
            f"| {100 * far['same_token']:.2f} | {kinds} | {boxes} | {masks} |"), texts


def main():
    if not 2 <= len(sys.argv) <= 5:
        sys.exit(__doc__)
    build, model, rows, work = (sys.argv[1:] + [None] * 3)[:4]
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    model = model or os.path.join(root, "models", "nano")
    rows = rows or os.path.join(root, "tests", "data", "nano", "rows.jsonl")
    with tempfile.TemporaryDirectory(dir=work) as folder:
        for i, case in enumerate(CASES):
            line, kinds = measure(build, model, rows, folder, case)
            if i == 0:
                heads = ["weights", "MB", "mean KL", "largest KL", "logit error", "same token, %", *(f"{kind}, %" for kind in kinds), "AP50", "mean IoU", "of masks"]
                print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
            print(line, flush=True)


if __name__ == "__main__":
    main()
