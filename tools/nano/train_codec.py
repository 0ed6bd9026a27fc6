"""Trains the mask codec: a vector-quantised autoencoder, by straight-through gradients and a running codebook.

usage: train_codec.py POOL... --out vae-oid.npz [--minutes CPU]
POOL is the name before .masks (masks.py). Half of each batch are the masks as they come; a quarter are turned, sheared,
scaled and shifted, so that the edge cuts some; a quarter are blobs, so that shapes nobody drew do not come out as
hearts. The codebook follows the mean of the vectors that choose each code, and a code that nobody chooses starts again
at some vector (van den Oord and others 2017, appendix A.1). In half of the rows a few codes are replaced at random: the
decoder learns to survive a model that names one of sixteen wrongly.
"""
import argparse
import json
import math
import os
import random
import time

import numpy as np
import torch
import torch.nn.functional as F

import codec as masks

DECAY, COMMIT, WRONG = 0.99, 0.25, 0.04


def warped(batch, generator):
    """Random affine views of masks [n, 1, 64, 64] in [-1, 1]; outside is background."""
    n = len(batch)
    turn = (torch.rand(n, generator=generator) * 2.0 - 1.0) * math.pi
    grow = torch.exp((torch.rand(n, 2, generator=generator) - 0.4) * 0.6)
    shear = (torch.rand(n, generator=generator) - 0.5) * 0.5
    c, s = turn.cos(), turn.sin()
    view = torch.zeros(n, 2, 3)
    view[:, 0, 0], view[:, 0, 1] = c * grow[:, 0], (shear * c - s) * grow[:, 1]
    view[:, 1, 0], view[:, 1, 1] = s * grow[:, 0], (shear * s + c) * grow[:, 1]
    view[:, :, 2] = (torch.rand(n, 2, generator=generator) - 0.5) * 0.5
    grid = F.affine_grid(view, batch.shape, align_corners=False)
    return F.grid_sample(batch + 1.0, grid, align_corners=False) - 1.0


def blobs(n, generator):
    """Smooth random shapes that fill about half of the square, [n, 1, 64, 64] in [-1, 1]."""
    noise = torch.randn(n, 1, 5, 5, generator=generator)
    smooth = F.interpolate(noise, (masks.SIDE, masks.SIDE), mode="bicubic", align_corners=True)
    line = torch.linspace(-1.0, 1.0, masks.SIDE)
    hill = 0.9 - 1.6 * (line[:, None] ** 2 + line[None] ** 2)
    return ((0.7 * smooth + hill) * 8.0).clamp(-1.0, 1.0)


class Batches:
    def __init__(self, pools, size, seed):
        self.parts = [np.memmap(name + ".masks", np.uint8, "r").reshape(-1, masks.SIDE, masks.SIDE) for name in pools]
        self.size, self.dice = size, random.Random(seed)
        self.generator = torch.Generator().manual_seed(seed)

    def real(self, n):
        rows = [self.dice.choice(self.parts) for _ in range(n)]
        return masks.centred(torch.from_numpy(np.stack([part[self.dice.randrange(len(part))] for part in rows])))

    def next(self):
        quarter = self.size // 4
        return torch.cat([self.real(2 * quarter), warped(self.real(quarter), self.generator),
                          blobs(quarter, self.generator)])


class Codebook:
    """The running means behind codec._embedding."""

    def __init__(self, codec, dice):
        self.codec, self.dice, self.started = codec, dice, False

    @torch.no_grad()
    def follow(self, vectors, chosen):
        codec = self.codec
        counts = torch.bincount(chosen, minlength=masks.CODES).float()
        sums = torch.zeros_like(codec._ema_w).index_add_(0, chosen, vectors)
        codec._ema_cluster_size.mul_(DECAY).add_(counts, alpha=1.0 - DECAY)
        codec._ema_w.mul_(DECAY).add_(sums, alpha=1.0 - DECAY)
        total = codec._ema_cluster_size.sum()
        smooth = (codec._ema_cluster_size + 1e-5) / (total + masks.CODES * 1e-5) * total
        codec._embedding.copy_(codec._ema_w / smooth[:, None])
        self.restart(vectors, codec._ema_cluster_size < 0.02 * total / masks.CODES)

    @torch.no_grad()
    def restart(self, vectors, which):
        codec, dead = self.codec, which.nonzero()[:, 0]
        at = torch.tensor([self.dice.randrange(len(vectors)) for _ in range(len(dead))], dtype=torch.long)
        size = max(1.0, float(codec._ema_cluster_size.mean()))
        codec._embedding[dead] = vectors[at]
        codec._ema_cluster_size[dead] = size
        codec._ema_w[dead] = vectors[at] * size


def spoil(chosen, rows, generator):
    """Replaces some codes in every second row; chosen [rows * 16]."""
    wrong = torch.rand(rows, masks.GRID ** 2, generator=generator) < WRONG
    wrong[::2] = False
    other = torch.randint(masks.CODES, (len(chosen),), generator=generator)
    return torch.where(wrong.view(-1), other, chosen)


def step_loss(codec, book, batch, generator):
    grid = codec.encoder(batch)
    vectors = grid.permute(0, 2, 3, 1).flatten(0, 2)
    if not book.started:
        book.restart(vectors.detach(), torch.ones(masks.CODES, dtype=torch.bool))
        book.started = True
    chosen = codec.nearest(vectors.detach())
    commit = F.mse_loss(vectors, codec._embedding[chosen])
    spoilt = spoil(chosen, len(batch), generator)
    used = vectors + (codec._embedding[spoilt] - vectors).detach()
    used = torch.where((spoilt == chosen)[:, None], used, codec._embedding[spoilt])
    book.follow(vectors.detach(), chosen)
    decoded = codec.decoder(used.view(len(batch), masks.GRID, masks.GRID, -1).permute(0, 3, 1, 2))
    return F.mse_loss(decoded, batch), commit, chosen


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("pools", nargs="+")
    parser.add_argument("--out", required=True)
    parser.add_argument("--minutes", type=float, default=6.0, help="processor minutes")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    codec, batches = masks.Codec(), Batches(a.pools, a.batch, a.seed)
    book = Codebook(codec, random.Random(a.seed))
    optimizer = torch.optim.AdamW(codec.parameters(), lr=a.rate, weight_decay=0.01)
    start, said, step, done, used = time.process_time(), time.time(), 0, 0.0, set()
    while done < 1.0:
        done = min(1.0, (time.process_time() - start) / (60.0 * a.minutes))
        for group in optimizer.param_groups:
            group["lr"] = a.rate * min(1.0, (step + 1) / 200.0) * (0.01 + 0.99 * math.cos(done * math.pi / 2.0) ** 2)
        loss, commit, chosen = step_loss(codec, book, batches.next(), batches.generator)
        optimizer.zero_grad()
        (loss + COMMIT * commit).backward()
        torch.nn.utils.clip_grad_norm_(codec.parameters(), 1.0)
        optimizer.step()
        step += 1
        used |= set(chosen.tolist())
        if time.time() - said > 15.0 or done >= 1.0:
            print("%5d  %3.0f %%  loss %.4f  commit %.4f  codes in use %d"
                  % (step, 100 * done, loss.item(), commit.item(), len(used)), flush=True)
            said, used = time.time(), set()
            codec.save(a.out)
    codec.save(a.out)
    with open(os.path.splitext(a.out)[0] + ".json", "w") as file:
        json.dump({"cpu_minutes": a.minutes, "steps": step, "batch": a.batch, "parameters": sum(
            p.numel() for p in codec.parameters())}, file, indent=2)


if __name__ == "__main__":
    main()
