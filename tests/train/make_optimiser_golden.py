"""Makes optimisers.safetensors: twenty steps of each optimiser on given gradients, in double.

usage: make_optimiser_golden.py [OUT]   (torch, numpy, safetensors)

AdamW and SGD are torch.optim's. The reference's chain (clip, Adam, decay that is not times the rate) and Muon are written
out here in numpy; Muon's formulas are those of torch.optim.Muon with adjust_lr_fn="match_rms_adamw", whose own
iteration runs in bfloat16. Values are kept after the steps of KEPT.
"""
import math
import os
import sys

import numpy as np
import torch
from safetensors.numpy import save_file

STEPS, KEPT = 20, (1, 2, 5, 20)
SHAPES = {"wide": (8, 12), "tall": (13, 5), "bias": (7,)}
LR, CLIP = 0.01, 1.0


def cosine(t, total=20, warm=3):
    return 0.5 * (1.0 + math.cos(math.pi * min(max((t - warm) / (total - warm), 0.0), 1.0))) * min(1.0, t / warm)


def clipped(gradients):
    norm = math.sqrt(sum(float((g * g).sum()) for g in gradients.values()))
    return {k: g * min(1.0, CLIP / norm) for k, g in gradients.items()}


def reference(p, gradients, decay=0.003, beta1=0.9, beta2=0.999, eps=1e-8):
    m, v, kept = {k: 0.0 for k in p}, {k: 0.0 for k in p}, []
    for t in range(STEPS):
        g = clipped({k: gradients[k][t] for k in p})
        for k in p:
            m[k] = beta1 * m[k] + (1.0 - beta1) * g[k]
            v[k] = beta2 * v[k] + (1.0 - beta2) * g[k] ** 2
            direction = LR * (m[k] / (1.0 - beta1 ** (t + 1))) / (np.sqrt(v[k] / (1.0 - beta2 ** (t + 1))) + eps)
            p[k] = p[k] - cosine(t) * (direction + (decay * p[k] if p[k].ndim == 2 else 0.0))
        kept += [dict(p)] if t + 1 in KEPT else []
    return kept


def torch_optimiser(p, gradients, make, scheduled):
    parameters = {k: torch.nn.Parameter(torch.tensor(x)) for k, x in p.items()}
    optimiser, kept = make(list(parameters.values())), []
    for t in range(STEPS):
        g = clipped({k: gradients[k][t] for k in p})
        for k, parameter in parameters.items():
            parameter.grad = torch.tensor(g[k])
        optimiser.param_groups[0]["lr"] = LR * (cosine(t) if scheduled else 1.0)
        optimiser.step()
        kept += [{k: x.detach().numpy().copy() for k, x in parameters.items()}] if t + 1 in KEPT else []
    return kept


def orthogonal(x):
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = x.shape[0] > x.shape[1]
    x = (x.T if tall else x) / max(np.linalg.norm(x), 1e-7)
    for _ in range(5):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


def muon(p, gradients, decay=0.1, momentum=0.95, beta1=0.9, beta2=0.98, eps=1e-8):
    m, v, kept = {k: 0.0 for k in p}, {k: 0.0 for k in p}, []
    for t in range(STEPS):
        g = clipped({k: gradients[k][t] for k in p})
        for k in p:
            if p[k].ndim == 2:
                m[k] = m[k] + (1.0 - momentum) * (g[k] - m[k])
                direction = 0.2 * math.sqrt(max(p[k].shape)) * orthogonal(g[k] + momentum * (m[k] - g[k]))
            else:
                m[k] = beta1 * m[k] + (1.0 - beta1) * g[k]
                v[k] = beta2 * v[k] + (1.0 - beta2) * g[k] ** 2
                direction = (m[k] / (1.0 - beta1 ** (t + 1))) / (np.sqrt(v[k] / (1.0 - beta2 ** (t + 1))) + eps)
            p[k] = p[k] - LR * cosine(t) * (direction + (decay * p[k] if p[k].ndim == 2 else 0.0))
        kept += [dict(p)] if t + 1 in KEPT else []
    return kept


def main():
    dice = np.random.default_rng(5)
    start = {k: dice.standard_normal(s).astype(np.float32) for k, s in SHAPES.items()}
    scale = 0.02 + dice.random(STEPS)  # some steps are clipped, some are not
    gradients = {k: (0.2 * scale.reshape(-1, *(1 for _ in s)) * dice.standard_normal((STEPS, *s))).astype(np.float32)
                 for k, s in SHAPES.items()}
    def begin():
        return {k: x.astype(np.float64) for k, x in start.items()}
    double = {k: g.astype(np.float64) for k, g in gradients.items()}
    cases = {
        "adam": reference(begin(), double),
        "adamw": torch_optimiser(begin(), double, lambda ps: torch.optim.AdamW(ps, lr=LR, weight_decay=0.05), True),
        "sgd": torch_optimiser(begin(), double, lambda ps: torch.optim.SGD(ps, lr=LR), False),
        "sgd_momentum": torch_optimiser(begin(), double, lambda ps: torch.optim.SGD(ps, lr=LR, momentum=0.9, weight_decay=0.02), True),
        "muon": muon(begin(), double),
    }
    out = {"start." + k: x for k, x in start.items()}
    out |= {"gradient." + k: g for k, g in gradients.items()}
    out |= {"%s.%s" % (case, k): np.stack([step[k] for step in kept]).astype(np.float32)
            for case, kept in cases.items() for k in SHAPES}
    folder = os.path.dirname(os.path.abspath(__file__))
    save_file(out, sys.argv[1] if len(sys.argv) > 1 else os.path.join(folder, "optimisers.safetensors"))


if __name__ == "__main__":
    main()
