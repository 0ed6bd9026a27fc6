"""Writes golden_calibration.json: isotonic regression by scikit-learn, calibration error in numpy.

    pip install scikit-learn
    python tests/eval/make_calibration_golden.py
"""
import json
import os
import random

import numpy as np
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import brier_score_loss

BINS = 10


def error(scores, right):
    """Ten bins of equal mass; samples of equal score count with their mean outcome."""
    order = np.argsort(scores, kind="stable")
    p, y = scores[order], right[order]
    _, tie = np.unique(p, return_inverse=True)
    y = (np.bincount(tie, y) / np.bincount(tie))[tie]
    ends = [-(-b * len(p) // BINS) for b in range(BINS + 1)]
    return sum(abs(p[a:b].sum() - y[a:b].sum()) for a, b in zip(ends, ends[1:])) / len(p)


def case(rng, count, steps):
    samples = []
    for _ in range(count):
        score = rng.random() ** 2
        if steps:
            score = round(score * steps) / steps
        samples.append([score, int(rng.random() < 0.15 + 0.7 * score ** 0.5)])
    scores, right = np.array([s for s, _ in samples]), np.array([r for _, r in samples])
    fitted = IsotonicRegression().fit(scores, right).predict(scores)
    return {"samples": samples, "fitted": [float(v) for v in fitted], "ece": float(error(scores, right)),
            "brier": float(brier_score_loss(right, scores))}


def main():
    rng = random.Random(5)
    cases = [case(rng, 1, 0), case(rng, 7, 0), case(rng, 60, 8), case(rng, 203, 0), case(rng, 203, 20)]
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden_calibration.json")
    with open(path, "w", encoding="utf-8") as out:
        out.write("[\n " + ",\n ".join(json.dumps(c) for c in cases) + "\n]\n")


if __name__ == "__main__":
    main()
