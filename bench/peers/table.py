"""Prints what `run.py` measured as one table; beside each figure of a peer, how many times pali's it is.

usage: table.py RESULTS"""

import json
import sys

COLUMNS = ("vision", "prefill", "first token", "a token", "load", "peak memory")
LEVELS = ("best", "avx512", "avx2")


def figures(run):
    """A run as one number a column; None where there is none."""
    first = run["vision"] + run["prefill"] if run.get("vision") and run.get("prefill") else None
    return [run.get("vision"), run.get("prefill"), first, run.get("token"), run.get("load"), run.get("peak_memory")]


def text(column, value):
    if value is None:
        return "–"
    if column == "peak memory":
        return f"{value / 1e9:.2f} GB"
    return f"{value:.2f} s" if value >= 1 else f"{value * 1000:.3g} ms"


def cell(column, value, base):
    if value is None or not base:
        return text(column, value)
    return f"{text(column, value)} ({value / base:.2f} ×)"


def baseline(runs):
    """pali's run that the others of its group are held against: with 8-bit activations, as ggml has them, where there is one."""
    ours = [run for run in runs if run["peer"].startswith("pali")]
    return max(ours, key=lambda run: run["peer"] != "pali" and run["weights"] != "bf16", default=None)


def groups(runs):
    """Runs of the same weights and level, in the order in which the weights were measured."""
    for weights in dict.fromkeys(run["weights"] for run in runs):
        for level in LEVELS:
            same = [run for run in runs if (run["weights"], run["level"]) == (weights, level)]
            if same:
                yield weights, level, same


def lines(runs):
    yield "| weights | level | | " + " | ".join(COLUMNS) + " |"
    yield "|---" * (3 + len(COLUMNS)) + "|"
    for weights, level, same in groups(runs):
        base = baseline(same)
        against = figures(base) if base else [None] * len(COLUMNS)
        for run in sorted(same, key=lambda run: run is not base):
            own = [None] * len(COLUMNS) if run is base else against
            cells = map(cell, COLUMNS, figures(run), own)
            yield f"| {weights} | {level} | {run['peer']} ({run['note']}) | " + " | ".join(cells) + " |"


def show(path):
    with open(path, encoding="utf-8") as file:
        machine, *runs = map(json.loads, file)
    print(f"{machine['processor']}, {machine['threads']} threads, {machine['date']}\n")
    print("\n".join(lines(runs)))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: table.py RESULTS")
    show(sys.argv[1])
