#!/usr/bin/env python3
"""Compares what `pali bench --json` printed before and after.

usage: bench/compare.py BEFORE.json AFTER.json

A line for each ceiling and stage that both files have: before, after, and how many times
faster the second is. Kernel levels are matched where one file holds several; else the
stages are, so that files of different levels or machines can be held side by side.
"""
import json
import sys


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            report = json.load(file)
        return report, {row["level"] for row in report["stages"] if row["level"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        sys.exit(f"compare: {path}: {error!r}, expected the output of pali bench --json")


def rows(report, with_levels):
    """Seconds and spread by (stage, batch, level)."""
    return {(row["stage"], row["batch"], row["level"] if with_levels else None): row for row in report["stages"]}


def rates(ceilings, prefix=""):
    """What all threads reach, by name, of nested objects."""
    found = {}
    for name, value in ceilings.items():
        if "all" in value:
            found[prefix + name] = value["all"]
        else:
            found.update(rates(value, prefix + name + " "))
    return found


def spread(row):
    return (row["high"] - row["low"]) / 2 / row["seconds"]


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    (before, levels), (after, more_levels) = read(sys.argv[1]), read(sys.argv[2])
    for field in ("model", "type", "threads"):
        if before.get(field) != after.get(field):
            print(f"note: {field}: {before.get(field)} before, {after.get(field)} after")
    print(f"{'':34} {'before':>12} {'after':>12}  faster")
    new_rates = rates(after["ceilings"])
    for name, old in rates(before["ceilings"]).items():
        if name in new_rates:
            print(f"{name:34} {old / 1e9:10.1f} G {new_rates[name] / 1e9:10.1f} G  {new_rates[name] / old:.2f} x")
    with_levels = len(levels) > 1 or len(more_levels) > 1
    new_rows = rows(after, with_levels)
    for (stage, batch, level), old in rows(before, with_levels).items():
        new = new_rows.get((stage, batch, level))
        if not new:
            continue
        name = stage + (f", batch {batch}" if stage == "decode" else "") + (f", {level}" if level else "")
        note = "" if abs(1 - old["seconds"] / new["seconds"]) > spread(old) + spread(new) else "  (within the spread)"
        print(f"{name:34} {old['seconds'] * 1e3:9.2f} ms {new['seconds'] * 1e3:9.2f} ms  {old['seconds'] / new['seconds']:.2f} x{note}")


if __name__ == "__main__":
    main()
