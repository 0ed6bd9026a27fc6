"""Goldens of the tiny folders, made by transformers' own PaliGemma in float32 with eager attention.

Released weights want global attention in every layer, but a Gemma-2 configuration states a sliding
window that transformers honours. Here every layer type is set to full_attention before loading.
"""

import json
import platform
from contextlib import contextmanager

import numpy as np
import PIL
import sentencepiece
import torch
import transformers
from PIL import Image
from safetensors.torch import save_file
from transformers import AutoConfig, GemmaTokenizer, PaliGemmaForConditionalGeneration, PaliGemmaProcessor
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from folders import write_json
from shapes import DEFAULTS, IMAGE_TOKEN, OUT, PG1, PG2

NEW_TOKENS = 24
NEWLINE = 8
PROMPTS = {"": (["a"], "caption en"), "b.": (["b"], "detect cat ; dog"), "two.": (["a", "b"], "answer en how many cats?")}
FORCED = (["a"], "segment the red car", "<loc0100><loc0200><loc0900><loc1023><seg000><seg127> the red car")


def load(folder, bf16=False, window=False):
    config = AutoConfig.from_pretrained(folder)
    if config.text_config.model_type == "gemma2" and not window:
        config.text_config.layer_types = ["full_attention"] * config.text_config.num_hidden_layers
    model, info = PaliGemmaForConditionalGeneration.from_pretrained(
        folder, config=config, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
    )
    missing = [name for name in info["missing_keys"] if name != "lm_head.weight"]
    assert not missing and not info["mismatched_keys"], info
    if bf16:
        for p in model.parameters():
            p.data = p.data.bfloat16().float()
    return model.eval()


def pixels(shape, names):
    processor = SiglipImageProcessorPil(
        size={"height": shape.image, "width": shape.image}, image_mean=[0.5] * 3, image_std=[0.5] * 3
    )
    images = [Image.open(OUT / f"{n}.png").convert("RGB") for n in names]
    return processor(images, return_tensors="pt")["pixel_values"]


class Text:
    """Ids from sentencepiece, checked against the published processor."""

    def __init__(self, shape):
        self.shape = shape
        model = (OUT / "pg2" / "tokenizer.model").read_bytes()
        self.pieces = sentencepiece.SentencePieceProcessor(model_proto=model)
        image = SiglipImageProcessorPil(size={"height": shape.image, "width": shape.image})
        image.image_seq_length = shape.tokens
        tokenizer = GemmaTokenizer.from_pretrained(OUT / shape.name)
        self.processor = PaliGemmaProcessor(image, tokenizer)

    def ids(self, images, prefix, suffix=None):
        """(ids, token types); suffix gets its end-of-sequence."""
        head = [IMAGE_TOKEN] * (self.shape.tokens * len(images)) + [2]
        head += self.pieces.encode(prefix) + [NEWLINE]
        tail = [] if suffix is None else self.pieces.encode(suffix) + [1]
        pictures = [Image.open(OUT / f"{n}.png").convert("RGB") for n in images]
        text = "<image>" * len(images) + prefix
        published = self.processor(images=[pictures], text=[text], suffix=suffix and [suffix])
        assert list(published["input_ids"][0]) == head + tail, (published["input_ids"][0], head + tail)
        return head + tail, [0] * len(head) + [1] * len(tail)


@contextmanager
def stages(model, into):
    """Record what each stage of the model gives."""
    vision, text = model.model.vision_tower, model.model.language_model

    def keep(name, reshape=lambda t: t[0]):
        def hook(_module, _inputs, output):
            output = output[0] if isinstance(output, tuple) else output
            into[name] = reshape(output.detach()).contiguous().clone()

        return hook

    def keep_input(_module, inputs, kwargs):
        x = inputs[0] if inputs else kwargs["hidden_states"]
        into["text.embeddings"] = x.detach()[0].clone()

    hooks = [
        vision.embeddings.patch_embedding.register_forward_hook(keep("patch_embed", lambda t: t[0].flatten(1).T)),
        vision.embeddings.register_forward_hook(keep("vision.embeddings")),
        vision.post_layernorm.register_forward_hook(keep("vision.post_layernorm")),
        model.model.multi_modal_projector.register_forward_hook(keep("projector")),
        text.layers[0].register_forward_pre_hook(keep_input, with_kwargs=True),
        text.norm.register_forward_hook(keep("text.norm")),
    ]
    hooks += [m.register_forward_hook(keep(f"vision.block.{n}")) for n, m in enumerate(vision.encoder.layers)]
    hooks += [m.register_forward_hook(keep(f"text.layer.{n}")) for n, m in enumerate(text.layers)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def forward(model, ids, types, pixel_values):
    """Logits [S, V] of one sequence."""
    ids, types = torch.tensor([ids]), torch.tensor([types])
    return model(input_ids=ids, token_type_ids=types, pixel_values=pixel_values, use_cache=False).logits[0]


def greedy(model, ids, types, pixel_values, banned):
    """Greedy ids and the log-softmax of all (unbanned) logits at them; the whole sequence anew each step."""
    tokens, logprobs, margins = [], [], []
    bans_at_work = 0
    for _ in range(NEW_TOKENS):
        logits = forward(model, ids + tokens, types + [1] * len(tokens), pixel_values)[-1]
        allowed = logits.clone()
        allowed[banned] = -torch.inf
        token = int(allowed.argmax())
        bans_at_work += token != int(logits.argmax())
        best = allowed.topk(2).values
        margins.append(float(best[0] - best[1]))
        tokens.append(token)
        logprobs.append(float(logits.log_softmax(-1)[token]))
    cached = model.generate(
        input_ids=torch.tensor([ids]), token_type_ids=torch.tensor([types]), pixel_values=pixel_values,
        attention_mask=torch.ones(1, len(ids), dtype=torch.long), max_new_tokens=NEW_TOKENS,
        do_sample=False, suppress_tokens=banned, eos_token_id=None,
    )[0, len(ids) :].tolist()  # fmt: skip
    if cached != tokens:
        print(f"  note: generate() with cache gives {cached}, recomputation {tokens}")
    assert min(tokens) > 3, "a control token: the end would stop generation"
    notes = {"bans_at_work": bans_at_work, "least_margin": round(min(margins), 4)}
    return torch.tensor(tokens, dtype=torch.int32), torch.tensor(logprobs), notes


def check_mask(model, ids, types, pixel_values):
    """No leak from the suffix to the prefix; the last prefix token reaches the first image position."""
    suffix = types.index(1)

    def layer0(changed_at):
        changed = list(ids)
        changed[changed_at] = (ids[changed_at] + 7) % 300 + 40
        seen = {}
        with stages(model, seen):
            forward(model, changed, types, pixel_values)
        return seen

    base = {}
    with stages(model, base):
        forward(model, ids, types, pixel_values)
    last, prefix = layer0(len(ids) - 1), layer0(suffix - 2)
    for n in range(model.config.text_config.num_hidden_layers):
        name = f"text.layer.{n}"
        assert torch.equal(base[name][: len(ids) - 1], last[name][: len(ids) - 1]), "a later token leaks"
        assert not torch.equal(base[name][0], prefix[name][0]), "the prefix is not bidirectional"


def forced_case(model, text, shape, out, notes):
    images, prefix, suffix = FORCED
    ids, types = text.ids(images, prefix, suffix)
    pixel_values = pixels(shape, images)
    check_mask(model, ids, types, pixel_values)
    labels = torch.tensor([ids]).masked_fill(torch.tensor([types]) == 0, -100)
    model.zero_grad()
    result = model(
        input_ids=torch.tensor([ids]), token_type_ids=torch.tensor([types]), labels=labels,
        pixel_values=pixel_values, use_cache=False,
    )  # fmt: skip
    result.loss.backward()
    start = types.index(1) - 1  # the newline predicts the first suffix token
    logits = result.logits.detach()[0, start:-1]
    targets = torch.tensor(ids[start + 1 :])
    out["forced.logits"] = logits[:4].contiguous().clone()
    out["forced.logprobs"] = logits.log_softmax(-1).gather(1, targets[:, None])[:, 0].clone()
    out["forced.loss"] = result.loss.detach().reshape(1).clone()
    assert torch.allclose(out["forced.loss"], -out["forced.logprobs"].mean(), atol=1e-5)
    gradients(model, out)
    notes["forced"] = {"images": images, "prefix": prefix, "suffix": suffix, "ids": ids, "token_types": types}


def gradients(model, out):
    """Gradients of the forced loss: every vector and bias, a corner of every matrix, and every norm."""
    for name, p in model.named_parameters():
        if p.grad is None or name == "lm_head.weight":
            continue
        name = name.removeprefix("model.")
        out[f"forced.grad_norm.{name}"] = p.grad.norm().reshape(1).clone()
        grad = p.grad if p.dim() == 1 else p.grad.flatten(1)[:4, :8]
        if "embed_tokens" in name:
            grad = p.grad[[1, 2, NEWLINE, 385]]
        out[f"forced.grad.{name}"] = grad.contiguous().clone()


def golden(shape):
    print(shape.name)
    folder = OUT / shape.name
    model, rounded = load(folder), load(folder, bf16=True)
    text = Text(shape)
    out, notes = {}, {}
    for case, (images, prefix) in PROMPTS.items():
        pixel_values = pixels(shape, images)
        ids, types = text.ids(images, prefix)
        seen = {}
        with stages(model, seen):
            logits = forward(model, ids, types, pixel_values)
        if len(images) == 1:
            out[case + "pixels"] = pixel_values[0].contiguous()
        if case == "":
            out |= seen
            check_scaling(model, seen, ids, shape)
        out[case + "logits"] = logits[-1].clone()
        out[case + "tokens"], out[case + "logprobs"], steps = greedy(model, ids, types, pixel_values, banned(shape))
        tokens, _, _ = greedy(rounded, ids, types, pixel_values, banned(shape))
        if case == "":
            out["logits_bf16_weights"] = forward(rounded, ids, types, pixel_values)[-1].clone()
        out[case + "tokens_bf16_weights"] = tokens
        notes[case.rstrip(".") or "first"] = {"images": images, "prompt": prefix, "ids": ids} | steps
        print(" ", case or "first", out[case + "tokens"].tolist(), steps, f"logits std {logits[-1].std():.2f}")
    forced_case(model, text, shape, out, notes)
    if shape is PG1:
        copies(text, out)
    if shape.gemma2:
        gemma2_cases(model, folder, shape, text, out)
    finish(shape, out, notes)


def copies(text, out):
    """The other folders with the weights of pg1 load in transformers too and give what they should."""
    inputs = *text.ids(*PROMPTS[""]), pixels(PG1, ["a"])
    bf16 = forward(load(OUT / "pg1-bf16-sharded"), *inputs)[-1]
    assert torch.equal(bf16, out["logits_bf16_weights"])
    out["logits_f16_weights"] = forward(load(OUT / "pg1-f16-new-names"), *inputs)[-1].clone()


def check_scaling(model, seen, ids, shape):
    """Image rows enter the decoder as the projector gave them; text rows times sqrt(width)."""
    assert torch.equal(seen["text.embeddings"][: shape.tokens], seen["projector"])
    table = model.model.language_model.embed_tokens.weight
    text = table[ids[shape.tokens :]] * shape.width**0.5
    assert torch.allclose(seen["text.embeddings"][shape.tokens :], text, rtol=1e-6)


def gemma2_cases(model, folder, shape, text, out):
    """Without the final cap; and proof that both caps and the window would change the answer."""
    ids, types = text.ids(*PROMPTS[""])
    pixel_values = pixels(shape, ["a"])
    config = model.config.text_config
    config.final_logit_softcapping = None
    out["uncapped.logits"] = forward(model, ids, types, pixel_values)[-1].clone()
    tokens, out["uncapped.logprobs"], _ = greedy(model, ids, types, pixel_values, banned(shape))
    assert torch.equal(tokens, out["tokens"])
    config.final_logit_softcapping = 30.0
    print(f"  greatest logit {out['uncapped.logits'].max():.1f}, capped {out['logits'].max():.1f}")
    for layer in model.model.language_model.layers:
        layer.self_attn.attn_logit_softcapping = None
    other = forward(model, ids, types, pixel_values)[-1]
    print(f"  without the attention cap logits move by {(other - out['logits']).abs().max():.3f}")
    for layer in model.model.language_model.layers:
        layer.self_attn.attn_logit_softcapping = 50.0
    windowed, _, _ = greedy(load(folder, window=True), ids, types, pixel_values, banned(shape))
    assert not torch.equal(windowed, out["tokens"]), "a window would go unnoticed"


def banned(shape):
    return list(range(IMAGE_TOKEN, shape.rows))


def defaults():
    """No tokenizer: ids made up. Everything that config.json leaves out has to come from defaults."""
    model = load(OUT / DEFAULTS.name)
    assert model.config.text_config.head_dim == 256
    image_token = DEFAULTS.rows - 64
    ids = [image_token] * DEFAULTS.tokens + [2, 20, 30, 40, NEWLINE]
    types, pixel_values = [0] * len(ids), pixels(DEFAULTS, ["a"])
    out = {"logits": forward(model, ids, types, pixel_values)[-1].clone()}
    bans = list(range(image_token, DEFAULTS.rows))
    out["tokens"], out["logprobs"], _ = greedy(model, ids, types, pixel_values, bans)
    print(DEFAULTS.name, out["tokens"].tolist())
    finish(DEFAULTS, out, {"first": {"images": ["a"], "ids": ids}})


def finish(shape, out, notes):
    for name, tensor in out.items():
        assert torch.isfinite(tensor).all(), name
    save_file(out, OUT / shape.name / "golden.safetensors")
    description = {
        "banned": [IMAGE_TOKEN if shape.rows > 1000 else shape.rows - 64, shape.rows - 1],
        "cases": notes,
        "made_with": {
            "numpy": np.__version__, "pillow": PIL.__version__, "python": platform.python_version(),
            "sentencepiece": sentencepiece.__version__, "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
        "newline": NEWLINE,
        "tensors": {name: list(t.shape) for name, t in sorted(out.items())},
    }  # fmt: skip
    write_json(OUT / shape.name / "golden.json", description, flat_lists=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    golden(PG1)
    golden(PG2)
    defaults()
