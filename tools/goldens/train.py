"""Goldens of training: losses, the gradient of every parameter, and twenty steps of three optimisers.

The model is transformers' PaliGemma, the optimisers are PyTorch's and big_vision's chain written out here. All of it
runs in float64, for the two are compared to 1e-4 and 1e-5 and float32 has noise of its own; angles of the rotary
embedding stay float32, as the published code has them. Every example is run alone, so nothing is padded.
"""

import math
from contextlib import contextmanager

import torch
from peft import get_peft_model
from safetensors.torch import save_file

import golden
import lora
from shapes import OUT, PG1, PG2

EXAMPLES = [
    ("a", "caption en", "two cats"),
    ("b", "detect cat", "<loc0100><loc0200><loc0900><loc1023> cat"),
    ("a", "answer en how many cats?", "2"),
    ("b", "segment the red car", "<loc0100><loc0200><loc0900><loc1023><seg000><seg127> the red car"),
    ("a", "caption en", "a dog and a cat on the road"),
]
BATCH = 3  # the first three are the micro-batch of the gradients; steps take three at a time, around and around
STEPS = 20
SMOOTHING = 0.1
ADAMW = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.01}
SGD = {"lr": 0.02, "momentum": 0.9, "weight_decay": 0.001}
CHAIN = {"lr": 1e-3, "weight_decay": 1e-4, "clip": 1.0, "warmup": 0.05}
CLIP = {"adamw": None, "sgd": 1.0, "chain": None}  # by torch; the chain has its own
# Learning rates times this. pg2's loss bends so sharply that PyTorch's own float32 run leaves the float64 one by
# 1e-2 at rates of pg1; at these it stays within 3e-6.
STEP_SCALE = {"pg1": {"adamw": 1.0, "sgd": 0.3, "chain": 1.0}, "pg2": {"adamw": 0.02, "sgd": 0.02, "chain": 0.02}}


@contextmanager
def float64():
    """Where transformers asks for float32, float64 stays."""
    to_float, softmax = torch.Tensor.float, torch.nn.functional.softmax

    def keep(self):
        return self if self.dtype == torch.float64 else to_float(self)

    def softmax64(x, dim=None, dtype=None, **_):
        return softmax(x, dim=dim, dtype=x.dtype if x.dtype == torch.float64 else dtype)

    torch.Tensor.float, torch.nn.functional.softmax = keep, softmax64
    try:
        yield
    finally:
        torch.Tensor.float, torch.nn.functional.softmax = to_float, softmax


class Task:
    """The examples as ids, with the losses of a model on them."""

    def __init__(self, shape):
        text = golden.Text(shape)
        self.shape = shape
        self.pixels = {letter: golden.pixels(shape, [letter]) for letter in "ab"}
        self.rows = [(picture, *text.ids([picture], prefix, suffix)) for picture, prefix, suffix in EXAMPLES]

    def losses(self, model, n, smoothing=0.0, everywhere=False, block="prefix"):
        """Cross-entropy of each suffix token and the end; of each prefix token behind <bos>, too, if it is to be everywhere.

        The block is what sees all of itself: the picture and the prefix, or the picture, or nothing.
        """
        picture, ids, types = self.rows[n]
        if block != "prefix":
            full = self.shape.tokens if block == "image" else 0
            types = [0] * full + [1] * (len(ids) - full)
        pixels = self.pixels[picture].to(next(model.parameters()).dtype)
        start = (self.shape.tokens + 1 if everywhere else self.rows[n][2].index(1)) - 1
        logits = model(
            input_ids=torch.tensor([ids]), token_type_ids=torch.tensor([types]), pixel_values=pixels, use_cache=False
        ).logits[0, start:-1]  # fmt: skip
        logprobs = logits.log_softmax(-1)
        true = logprobs.gather(1, torch.tensor(ids[start + 1 :])[:, None])[:, 0]
        rest = (logprobs.sum(-1) - true) / (logits.shape[-1] - 1)
        return -(1 - smoothing) * true - smoothing * rest

    def loss(self, model, batch, **how):
        """Mean over the examples of the mean over the tokens of each."""
        return torch.stack([self.losses(model, n, **how).mean() for n in batch]).mean()

    def token_mean(self, model, batch):
        return torch.cat([self.losses(model, n) for n in batch]).mean()


def batch_of(step):
    return [(BATCH * step + n) % len(EXAMPLES) for n in range(BATCH)]


def load(folder, dtype=torch.float64):
    model = golden.load(folder).to(dtype)
    model.lm_head.weight = model.model.language_model.embed_tokens.weight  # tied
    return model


def named(model):
    """Every parameter once, by the names of golden.py."""
    return {name.removeprefix("model."): p for name, p in model.named_parameters() if name != "lm_head.weight"}


def gradients(model, loss):
    for p in model.parameters():
        p.grad = None
    loss.backward()
    return {name: p.grad for name, p in named(model).items() if p.grad is not None}


def is_kernel(name):
    """Paths in big_vision that end in /kernel: the ViT's products and the projector."""
    vision = name.startswith(("vision_tower", "multi_modal_projector")) and name.endswith(".weight")
    return vision and "norm" not in name and "position" not in name


def schedule(step):
    warm = max(1, round(CHAIN["warmup"] * STEPS))
    return 0.5 * (1 + math.cos(math.pi * min(max((step - warm) / (STEPS - warm), 0), 1))) * min(1, step / warm)


class Chain:
    """big_vision's: clip, Adam, times lr, plus decay of kernels, times schedule, negated."""

    def __init__(self, parameters, scale):
        self.parameters, self.lr, self.decay = parameters, CHAIN["lr"] * scale, CHAIN["weight_decay"] * scale
        self.m = {name: torch.zeros_like(p) for name, p in parameters.items()}
        self.v = {name: torch.zeros_like(p) for name, p in parameters.items()}
        self.t = 0

    @torch.no_grad()
    def step(self):
        norm = torch.sqrt(sum((p.grad.double() ** 2).sum() for p in self.parameters.values()))
        clip = float(min(1.0, CHAIN["clip"] / norm))
        for name, p in self.parameters.items():
            g = p.grad * clip
            self.m[name] = 0.9 * self.m[name] + 0.1 * g
            self.v[name] = 0.999 * self.v[name] + 0.001 * g * g
            m, v = self.m[name] / (1 - 0.9 ** (self.t + 1)), self.v[name] / (1 - 0.999 ** (self.t + 1))
            update = self.lr * m / (v.sqrt() + 1e-8)
            if is_kernel(name):
                update = update + self.decay * p
            p -= schedule(self.t) * update
        self.t += 1


def optimiser(name, scale, p):
    if name == "chain":
        return Chain(p, scale)
    if name == "sgd":
        return torch.optim.SGD(p.values(), **(SGD | {"lr": SGD["lr"] * scale}))
    return torch.optim.AdamW(p.values(), **(ADAMW | {"lr": ADAMW["lr"] * scale}))


def train(model, task, name, scale):
    """The loss of each step's batch before its update, and after the last one."""
    parameters = {name: p for name, p in named(model).items() if p.requires_grad}
    mover, losses = optimiser(name, scale, parameters), []
    for step in range(STEPS):
        loss = task.loss(model, batch_of(step))
        gradients(model, loss)
        losses.append(float(loss.detach()))
        if CLIP[name]:
            torch.nn.utils.clip_grad_norm_(parameters.values(), CLIP[name])
        mover.step()
    losses.append(float(task.loss(model, batch_of(STEPS)).detach()))
    return torch.tensor(losses, dtype=torch.float64)


def describe(task, out):
    """Text ids without the image tokens, end to end."""
    first = task.shape.tokens
    out["ids"] = torch.tensor([i for _, ids, _ in task.rows for i in ids[first:]], dtype=torch.int32)
    out["lengths"] = torch.tensor([len(ids) - first for _, ids, _ in task.rows], dtype=torch.int32)
    out["prefixes"] = torch.tensor([types.index(1) - first for _, _, types in task.rows], dtype=torch.int32)
    out["pictures"] = torch.tensor(["ab".index(p) for p, _, _ in task.rows], dtype=torch.int32)


def f32(grads, prefix, out):
    for name, grad in grads.items():
        out[prefix + name] = (grad.flatten(1) if grad.dim() > 1 else grad).to(torch.float32).contiguous()


def norms(grads, prefix, out):
    for name, grad in grads.items():
        out[prefix + name] = grad.norm().reshape(1)


def golden_of(shape):
    task, out = Task(shape), {}
    batch = list(range(BATCH))
    describe(task, out)
    model = load(OUT / shape.name)
    out["example_losses"] = torch.stack([task.losses(model, n).mean().detach() for n in batch])
    variants = {
        "": task.loss(model, batch),
        "smoothed.": task.loss(model, batch, smoothing=SMOOTHING),
        "token_mean.": task.token_mean(model, batch),
        "everywhere.": task.loss(model, batch, everywhere=True),
        "image_block.": task.loss(model, batch, block="image"),
        "causal.": task.loss(model, batch, block="nothing"),
    }
    for name, loss in variants.items():
        out[name + "loss"] = loss.detach().reshape(1)
        grads = gradients(model, loss)
        if name == "":
            f32(grads, "grad.", out)
        else:
            norms(grads, name + "grad_norm.", out)
        print(f"  {name}loss {float(loss.detach()):.9f}")
    for name, scale in STEP_SCALE[shape.name].items():
        losses = train(load(OUT / shape.name), task, name, scale)
        single = train(load(OUT / shape.name, torch.float32), task, name, scale)
        apart = float(((single - losses) / losses).abs().max())
        print(f"  {name}: {[round(x, 3) for x in losses.tolist()]}, float32 is {apart:.1e} away")
        out[name + ".losses"], out[name + ".scale"] = losses, torch.tensor([scale], dtype=torch.float64)
    finish(out, f"train.{shape.name}.safetensors")


def adapted(name):
    """The adapter of lora.py on the tiny PaliGemma 1, in float64, nothing else trained."""
    model = get_peft_model(golden.load(OUT / "pg1"), lora.ADAPTERS[name][0], adapter_name=name)
    lora.randomise(model, name, lora.SEED + list(lora.ADAPTERS).index(name))
    for path, p in model.named_parameters():
        p.requires_grad = "lora_" in path
    return model.double().eval()


def lora_golden(name):
    """Gradients of both factors under the names of the committed adapter, and twenty steps of AdamW."""
    task, out, model = Task(PG1), {}, adapted(name)
    describe(task, out)
    loss = task.loss(model, list(range(BATCH)))
    out["loss"] = loss.detach().reshape(1)
    for path, grad in gradients(model, loss).items():
        out["grad." + lora.rename(path.replace(f".{name}.", "."), lora.ADAPTERS[name][1])] = grad.to(torch.float32)
    out["adamw.losses"] = train(adapted(name), task, "adamw", 1.0)
    out["adamw.scale"] = torch.tensor([1.0], dtype=torch.float64)
    print(name, float(out["loss"]), [round(float(x), 4) for x in out["adamw.losses"]])
    finish(out, f"train.lora.{name}.safetensors")


def finish(out, name):
    for key, tensor in out.items():
        assert torch.isfinite(tensor.double()).all(), key
    save_file(out, OUT / name)


if __name__ == "__main__":
    torch.set_num_threads(1)
    with float64():
        golden_of(PG1)
        golden_of(PG2)
        lora_golden("all-new")
