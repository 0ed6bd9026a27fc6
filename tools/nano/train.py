"""Trains nano with the published implementation on the processor.

usage: train.py TOKENIZER.model POOL... --out FOLDER [--minutes CPU] [--wall MINUTES]
POOL is the name before .u8 (pool.py), .labels and .tsv (pali-scenes --labels and --rows), .objects (masks.py) and
.codes (codes.py). As for PaliGemma itself, the tower is taught first, alone (--tower-only): it says of each patch what
stands there, in which colour and in which box. Then everything is taught together (--begin). The schedule of either
runs on processor time: a linear warm-up, then a decay to zero that ends when the budget is spent. The last weights are
kept in OUT/last.pt every few minutes.

Under torchrun several processes share each batch, one thread each: on few cores that is faster than threads inside
every operation, and it does not suffer when the machine has other work.
"""
import argparse
import collections
import json
import math
import os
import random
import time

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F

import model as nano

# How often a question is chosen when its picture comes up, relative to the others of that picture.
WEIGHTS = {"ocr": 8.0, "letter": 0.7, "detect": 1.6, "caption": 2.2, "count": 1.3, "color": 0.8, "shape": 0.6,
           "yesno": 0.7, "segment": 1.3}
CODE_SHARE = 0.25  # of a mask token, in the length and the loss of a row
REACH = 12  # location targets are spread over this many neighbours on each side


class Pool:
    """Pictures and questions; ids are made once."""

    def __init__(self, names, prompts):
        """Without prompts there are no questions."""
        self.pictures, self.labels, self.rows = [], [], []
        size = nano.SIDE * nano.SIDE * 3
        for name in names:
            count = os.path.getsize(name + ".u8") // size
            self.pictures.append(np.memmap(name + ".u8", np.uint8, "r", shape=(count, nano.SIDE, nano.SIDE, 3)))
            self.labels.append(np.memmap(name + ".labels", np.uint8, "r", shape=(count, nano.IMAGE_TOKENS, 7)))
            self.rows += self.read_rows(name, count, prompts) if prompts else [[]] * count
        self.starts = np.cumsum([0] + [len(p) for p in self.pictures])

    @staticmethod
    def read_rows(name, count, prompts):
        rows = [[] for _ in range(count)]
        codes = np.memmap(name + ".codes", np.uint8, "r").reshape(-1, nano.MASK_TOKENS)
        objects = np.fromfile(name + ".objects", np.int32)
        with open(name + ".tsv") as text:
            for line in text:
                number, task, prefix, suffix, *named = line.rstrip("\n").split("\t")
                at = int(number)
                if named:
                    suffix = nano.with_masks(suffix, [codes[objects[at] + int(k)] for k in named[0].split(",")])
                ids, prefix_length = prompts.row(prefix, suffix)
                rows[at].append((task, np.array(ids, np.int16), prefix_length))
        return rows

    def __len__(self):
        return len(self.rows)

    def place(self, i):
        part = int(np.searchsorted(self.starts, i, "right")) - 1
        return part, i - self.starts[part]

    def picture(self, i):
        part, at = self.place(i)
        return self.pictures[part][at]

    def label(self, i):
        part, at = self.place(i)
        return self.labels[part][at]

    def choose(self, i, count, dice):
        """Up to `count` different questions of picture i."""
        rows = self.rows[i]
        keys = [dice.random() ** (1.0 / WEIGHTS[row[0]]) for row in rows]
        best = sorted(range(len(rows)), key=lambda k: -keys[k])[:count]
        return [rows[k] for k in best]


class Order:
    """All pictures in a random order, again and again."""

    def __init__(self, pool, seed):
        self.pool, self.dice, self.left = pool, random.Random(seed), []

    def next(self, count):
        if len(self.left) < count:
            self.left = list(range(len(self.pool)))
            self.dice.shuffle(self.left)
        return [self.left.pop() for _ in range(count)]

    def pictures(self, count):
        """Numbers, bytes [count, SIDE, SIDE, 3] and labels [count, IMAGE_TOKENS, 7]."""
        chosen = self.next(count)
        return (chosen, torch.from_numpy(np.stack([self.pool.picture(i) for i in chosen])),
                torch.from_numpy(np.stack([self.pool.label(i) for i in chosen])))

    def rows(self, chosen, questions):
        """Rows (picture, task, ids, prefix length), longest last."""
        rows = [(k,) + row for k, i in enumerate(chosen) for row in self.pool.choose(i, questions, self.dice)]
        return sorted(rows, key=lambda row: len(row[2]))


def pack(rows):
    """Pads on the right. Returns which, ids without the last target, prefix lengths, targets (-100: no loss)."""
    longest = max(len(row[2]) for row in rows)
    ids = torch.full((len(rows), longest), nano.PAD, dtype=torch.long)
    lengths = torch.tensor([row[3] for row in rows])
    for k, row in enumerate(rows):
        ids[k, :len(row[2])] = torch.from_numpy(row[2].astype(np.int64))
    place = torch.arange(longest)
    real = place[None, :] < torch.tensor([len(row[2]) for row in rows])[:, None]
    targets = torch.where(real & (place[None, :] >= lengths[:, None]), ids, -100)
    return torch.tensor([row[0] for row in rows]), ids[:, :-1], lengths, targets[:, 1:]


def losses(logits, targets, spread):
    """Cross-entropy per target; a location is right by degrees: a Gaussian over its neighbours, `spread` bins wide."""
    logs = F.log_softmax(logits.float(), dim=-1)
    plain = -logs.gather(1, targets[:, None])[:, 0]
    if spread <= 0.0:
        return plain
    bins = targets - nano.LOCATION_ZERO
    is_location = (bins >= 0) & (bins < 1024)
    offsets = torch.arange(-REACH, REACH + 1)
    weights = torch.exp(-0.5 * (offsets / spread) ** 2)
    weights = weights / weights.sum()
    near = (bins[is_location, None] + offsets).clamp(0, 1023) + nano.LOCATION_ZERO
    soft = -(logs[is_location].gather(1, near) * weights).sum(1)
    return plain.masked_scatter(is_location, soft)


class Patches(torch.nn.Module):
    """Reads what stands at a patch from the tower's state there. Used in training only."""

    def __init__(self, width):
        super().__init__()
        self.what, self.color = torch.nn.Linear(width, 34), torch.nn.Linear(width, 9)
        self.box = torch.nn.Linear(width, 4)

    def loss(self, states, labels, tally):
        states, labels = states.float().flatten(0, 1), labels.flatten(0, 1).long()
        with torch.autocast("cpu", enabled=False):
            there = labels[:, 0] > 0
            weight = torch.where(there, 1.0, 0.15)
            what = F.cross_entropy(self.what(states), labels[:, 0], reduction="none")
            color = F.cross_entropy(self.color(states), labels[:, 1], reduction="none")
            box = (self.box(states[there]) - labels[there][:, 2:6].float() / 255.0).abs().mean(1)
        for name, values in (("~what", what[there]), ("~color", color[there]), ("~box", box)):
            tally[name][0] += float(values.detach().sum())
            tally[name][1] += len(values)
        return ((what + color) * weight).sum() / weight.sum() + 10.0 * box.mean()


def text_loss(model, tokens, rows, spread, groups, tally):
    """Mean loss of the rows of one batch."""
    total, count = 0.0, 0
    for part in np.array_split(np.arange(len(rows)), groups):
        chosen = [rows[k] for k in part]
        which, ids, lengths, targets = pack(chosen)
        hidden = nano.hidden_states(model, tokens, which, ids, lengths)[:, nano.IMAGE_TOKENS:]
        mask = targets != -100
        each = losses(model.lm_head(hidden[mask]), targets[mask], spread)
        # A row's weight grows with the root of its length: neither boxes nor one-word answers drown the others. The
        # codes of a mask count as much as its box: a mask in the wrong place is worth nothing.
        share = torch.where(targets >= nano.SEGMENT_ZERO, CODE_SHARE, 1.0) * mask
        weight = (share / share.sum(1, keepdim=True).sqrt())[mask]
        total = total + (each * weight).sum()
        count += float(weight.sum())
        for value, k in zip(each.detach().tolist(), mask.nonzero()[:, 0].tolist()):
            tally[chosen[k][1]][0] += value
            tally[chosen[k][1]][1] += 1
    return total / count


class Team:
    """The processes that share each batch; a team of one needs nothing."""

    def __init__(self):
        self.size, self.rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
        if self.size > 1:
            dist.init_process_group("gloo")

    def average(self, parameters, value):
        """Averages the gradients and one number over the team; returns the number."""
        if self.size == 1:
            return value
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.view(-1) for g in gradients] + [torch.tensor([value])])
        dist.all_reduce(flat)
        flat /= self.size
        for g, part in zip(gradients, flat[:-1].split([g.numel() for g in gradients])):
            g.copy_(part.view_as(g))
        return float(flat[-1])

    def exchange(self, shares):
        """Gives everyone the parameters that each member has updated; shares[rank] lists the parameters of a member."""
        if self.size == 1:
            return
        everything = [p for share in shares for p in share]
        mine = {id(p) for p in shares[self.rank]}
        flat = torch.cat([p.detach().view(-1) if id(p) in mine else torch.zeros(p.numel()) for p in everything])
        dist.all_reduce(flat)
        with torch.no_grad():
            for p, part in zip(everything, flat.split([p.numel() for p in everything])):
                p.copy_(part.view_as(p))


class Optimizer:
    """Muon for the matrices, divided over the team; AdamW for embeddings, norms and biases.

    The tower waits until the decoder has learnt the language of the answers: before that, the easiest use of 64 image
    tokens is as one large bias, they all turn alike, and it takes thousands of steps to undo.
    """

    def __init__(self, model, patches, decay, team, adamw_only):
        self.team = team
        matrices = []
        groups = [{"params": list(patches.parameters()), "tower": False, "share": 1.0, "weight_decay": 0.0}]
        for name, p in model.named_parameters():
            if p.ndim == 2 and "embed" not in name and not adamw_only:
                matrices.append((name, p))
                continue
            tower = "language_model" not in name
            groups.append({"params": [p], "tower": tower, "share": 0.4 if tower else 1.0, "weight_decay": 0.0})
        self.parts = [torch.optim.AdamW(groups, betas=(0.9, 0.98))]
        matrices.sort(key=lambda pair: -pair[1].numel())
        self.shares = [[p for _, p in matrices[k::team.size]] for k in range(team.size)]
        mine = [{"params": [p], "tower": "language_model" not in name, "share": 1.0}
                for name, p in matrices[team.rank::team.size]]
        if mine:
            self.parts.append(torch.optim.Muon(mine, weight_decay=decay, adjust_lr_fn="match_rms_adamw"))

    def step(self, rate, tower_rate, matrices):
        for part, factor in zip(self.parts, (1.0, matrices)):
            for group in part.param_groups:
                group["lr"] = factor * group["share"] * (tower_rate if group["tower"] else rate)
            part.step()
        if self.shares[0]:
            self.team.exchange(self.shares)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tokenizer")
    parser.add_argument("pools", nargs="+")
    parser.add_argument("--out", required=True)
    parser.add_argument("--minutes", type=float, default=110.0, help="processor minutes of training")
    parser.add_argument("--wall", type=float, default=1e9, help="and at most this many on the clock")
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--pictures", type=int, default=64)
    parser.add_argument("--questions", type=int, default=4)
    parser.add_argument("--groups", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--spread", type=float, default=5.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--autocast", action="store_true")
    parser.add_argument("--adamw", action="store_true", help="AdamW for the matrices too")
    parser.add_argument("--muon", type=float, default=2.5, help="faster by this while the tower learns alone")
    parser.add_argument("--begin", help="folder of an earlier run to go on from")
    parser.add_argument("--tower-only", action="store_true", help="teach the tower alone")
    parser.add_argument("--keep", type=float, default=0.3, help="weight of the patch losses afterwards")
    parser.add_argument("--wait", type=int, default=150, help="steps before the tower learns")
    parser.add_argument("--say", type=float, default=30.0, help="seconds between reports")
    parser.add_argument("--warm", type=int, default=100, help="steps of warm-up")
    parser.add_argument("--compile", action="store_true", help="fuse element-wise work with torch.compile")
    parser.add_argument("--steps", type=int, default=10**9)
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    os.makedirs(a.out, exist_ok=True)
    team = Team()
    prompts = nano.Prompts(a.tokenizer)
    pool = Pool(a.pools, None if a.tower_only else prompts)
    model = nano.new_model(a.seed)
    nano.whiten(model, torch.from_numpy(np.stack([pool.picture(i) for i in range(0, len(pool), len(pool) // 1000)])))
    model.train()
    model.set_attn_implementation("eager")  # measured: a quarter faster than sdpa at these lengths
    if a.compile:
        model.model.vision_tower.compile(dynamic=False)
        model.model.language_model.compile(dynamic=True)
    patches = Patches(model.config.vision_config.hidden_size)
    if a.begin:
        model.load_state_dict(torch.load(os.path.join(a.begin, "last.pt"), map_location="cpu"))
        patches.load_state_dict(torch.load(os.path.join(a.begin, "readers.pt"), map_location="cpu"))
    parameters = list(model.parameters()) + list(patches.parameters())
    optimizer = Optimizer(model, patches, 0.05, team, a.adamw)
    order = Order(pool, a.seed + team.rank)
    if team.rank == 0:
        print("%d pictures, %d rows, %d parameters"
              % (len(pool), sum(map(len, pool.rows)), nano.parameter_count(model)), flush=True)
    cpu_start, wall_start = time.process_time(), time.time()
    tally, said, saved = collections.defaultdict(lambda: [0.0, 0]), time.time(), time.time()
    done, step, seen, alone = 0.0, 0, 0, a.tower_only
    while done < 1.0 and step < a.steps:
        model.zero_grad()
        patches.zero_grad()
        count = a.pictures // team.size
        chosen, pictures, labels = order.pictures(count)
        with torch.autocast("cpu", torch.bfloat16, enabled=a.autocast):
            states = nano.tower_states(model, nano.pixels(pictures))
            loss = patches.loss(states, labels, tally) * (1.0 if alone else a.keep)
            if not alone:
                tokens = model.model.multi_modal_projector(states)
                loss = loss + text_loss(model, tokens, order.rows(chosen, a.questions), a.spread, a.groups, tally)
        loss.backward()
        cpu = team.size * (time.process_time() - cpu_start) / 60.0
        wall = (time.time() - wall_start) / 60.0
        done = team.average(parameters, max(cpu / a.minutes, wall / a.wall))
        step, seen = step + 1, seen + count * team.size
        rate = a.rate * min(1.0, step / a.warm) * min(1.0, max(0.0, 1.0 - done) / 0.55)
        tower_rate = rate * (1.0 if alone else min(1.0, max(0.0, (step - a.wait) / 300.0)))
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step(rate, tower_rate, a.muon if alone else 1.0)
        if team.rank == 0 and time.time() - said > a.say:
            text = "  ".join("%s %.3f" % (t, v / n) for t, (v, n) in sorted(tally.items()))
            print("%5d  cpu %.1f wall %.1f min  %.0f pictures/s  lr %.1e  %s"
                  % (step, cpu, wall, seen / (60.0 * wall + 1e-9), rate, text), flush=True)
            tally.clear()
            said = time.time()
        if team.rank == 0 and time.time() - saved > 100.0:
            save(model, patches, a.out)
            saved = time.time()
    if team.rank == 0:
        save(model, patches, a.out)
        record = {"cpu_minutes": round(cpu, 1), "wall_minutes": round(wall, 1), "steps": step,
                  "batch": a.pictures, "pictures": seen,
                  "torch": torch.__version__, "pool": len(pool), "rate": a.rate,
                  "parameters": nano.parameter_count(model), "optimizer": "AdamW" if a.adamw else "Muon and AdamW"}
        with open(os.path.join(a.out, "training.json"), "w") as file:
            json.dump(record, file, indent=2)
        print(json.dumps(record))


def save(model, patches, folder):
    for part, name in ((model, "last.pt"), (patches, "readers.pt")):
        path = os.path.join(folder, name)
        torch.save(part.state_dict(), path + ".new")
        os.replace(path + ".new", path)


if __name__ == "__main__":
    main()
