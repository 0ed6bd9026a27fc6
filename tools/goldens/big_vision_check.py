"""Run big_vision's own PaliGemma (jax, flax) on the tiny npz files and compare with transformers' goldens.

    big_vision_check.py --source DIR    DIR: a checkout of google-research/big_vision

Only model code is imported; loaders and their dependencies are replaced by empty modules. The variant
table is replaced by the tiny shapes.
"""

import argparse
import json
import sys
import types

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from safetensors.numpy import load_file, save_file

import npz
import shapes
from shapes import OUT, PG1, PG2, VOCABULARY

UNUSED = ["big_vision.utils", "big_vision.models.common"]


def import_big_vision(source):
    sys.path.insert(0, source)
    for name in UNUSED:
        sys.modules[name] = types.ModuleType(name)
    from big_vision.models.ppp import gemma
    from big_vision.models.proj.paligemma import paligemma

    gemma.get_config = lambda name: ml_collections.ConfigDict(text_config({"pg1": PG1, "pg2": PG2}[name]))
    return paligemma


def text_config(shape):
    config = dict(
        variant=shape.name, width=shape.width, depth=shape.layers, mlp_dim=shape.mlp, num_heads=shape.heads,
        num_kv_heads=shape.kv_heads, head_dim=shape.head_dim, norm_eps=1e-6, vocab_size=VOCABULARY, scan=True,
        remat_policy="none",
    )  # fmt: skip
    if shape.gemma2:
        assert shape.query_scalar == shape.width // shape.heads
        config |= dict(
            query_pre_attn_norm="rsqrt_emb_per_head", attn_logits_softcap=50.0, final_logits_softcap=30.0, post_norms=True
        )
    return config


def model(paligemma, shape, cache_dtype="float32"):
    return paligemma.Model(
        img=dict(
            patch_size=(14, 14), width=shape.vision_width, depth=shape.vision_layers, mlp_dim=shape.vision_mlp,
            num_heads=shape.vision_heads, pool_type="none", scan=True, remat_policy="none",
        ),
        llm=dict(variant=shape.name, vocab_size=VOCABULARY, remat_policy="none", cache_dtype=cache_dtype),
    )  # fmt: skip


def parameters(flat):
    """Nested dictionary of float32 from npz names, with or without params/; |V2 is bfloat16."""
    tree = {}
    for name, array in flat.items():
        if array.dtype == np.dtype("V2"):
            array = (array.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
        *path, leaf = name.removeprefix("params/").split("/")
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        node[leaf] = jnp.asarray(array)
    return tree


class Case:
    """Inputs of one golden case: picture [1, R, R, 3] or several as video, text ids, mask_ar."""

    def __init__(self, shape, name):
        golden = load_file(OUT / shape.name / "golden.safetensors")
        case = json.loads((OUT / shape.name / "golden.json").read_text())["cases"][name]
        pictures = {"a": golden["pixels"]}
        if "b" in case["images"]:
            pictures["b"] = golden["b.pixels"]
        images = np.stack([pictures[i].transpose(1, 2, 0) for i in case["images"]])
        self.image = jnp.asarray(images if len(images) == 1 else images[None])
        skip = shape.tokens * len(images)
        self.text = jnp.asarray([case["ids"][skip:]], jnp.int32)
        self.mask_ar = jnp.asarray([case.get("token_types", [0] * len(case["ids"]))[skip:]], jnp.int32)

    def logits(self, network, params):
        return jax.jit(network.apply)({"params": params}, self.image, self.text, self.mask_ar)

    def greedy(self, network, params, steps):
        """Tokens through big_vision's own cache: prefill_cache, then extend_cache."""
        variables = {"params": params}

        @jax.jit
        def prefill(variables, image, text, mask_ar):
            (x, mask, ar), _ = network.apply(variables, image, text, mask_ar=mask_ar, method="embed_image_and_text")
            size = x.shape[1] + steps
            return network.apply(variables, x, mask, ar, cache_size=size, method="prefill_cache", mutable=["cache"])

        @jax.jit
        def extend(variables, cache, token):
            x, _ = network.apply(variables, token, method="embed_text")
            return network.apply(variables | cache, x, method="extend_cache", mutable=["cache"])

        logits, cache = prefill(variables, self.image, self.text, self.mask_ar)
        tokens = []
        for _ in range(steps):
            tokens.append(int(jnp.argmax(logits[0, -1])))
            logits, cache = extend(variables, cache, jnp.asarray([[tokens[-1]]]))
        return np.asarray(tokens, np.int32)


def cap(logits):
    return 30 * np.tanh(logits / 30)


def compare(name, ours, theirs):
    difference = float(np.abs(np.asarray(ours) - np.asarray(theirs)).max())
    scale = float(np.abs(np.asarray(theirs)).max())
    print(f"  {name:28s} {difference:.2e} of {scale:.2f}")
    assert difference < 2e-4 * scale, name


def check(paligemma, shape, params, out, suffix=""):
    """suffix: which of the golden's tensors, '' or '_bf16_weights'."""
    print(shape.name + suffix)
    golden = load_file(OUT / shape.name / "golden.safetensors")
    network = model(paligemma, shape)
    finish = cap if shape.gemma2 else np.asarray
    for prefix, name in (("", "first"), ("b.", "b"), ("two.", "two")):
        case = Case(shape, name)
        logits, aux = case.logits(network, params)
        if not prefix and not suffix:
            stages(aux, golden, shape)
        if f"{prefix}logits{suffix}" in golden:
            compare(f"{prefix}logits", finish(logits[0, -1]), golden[f"{prefix}logits{suffix}"][:VOCABULARY])
        if not prefix:
            out[f"{shape.name}.bv_logits{suffix}"] = np.asarray(logits[0, -1])
        tokens = case.greedy(network, params, len(golden[prefix + "tokens"]))
        assert tokens.tolist() == golden[f"{prefix}tokens{suffix}"].tolist(), (name, tokens)
        half = case.greedy(model(paligemma, shape, "bfloat16"), params, len(tokens))
        print(f"  {prefix}tokens equal; with the bfloat16 cache {int((half == tokens).cumprod().sum())} of {len(tokens)}")
    if not suffix:
        case = Case(shape, "forced")
        logits, _ = case.logits(network, params)
        start = int(np.argmax(case.mask_ar[0])) - 1
        compare("forced.logits", finish(logits[0, start : start + 4]), golden["forced.logits"][:, :VOCABULARY])


def stages(aux, golden, shape):
    compare("patch_embed", aux["img/stem"].reshape(shape.tokens, -1), golden["patch_embed"])
    compare("vision.embeddings", aux["img/with_posemb"][0], golden["vision.embeddings"])
    for n in range(shape.vision_layers):
        # out["+mlp"] of a block is its result
        compare(f"vision.block.{n}", aux["img/encoder"][f"block{n:02d}"]["+mlp"][0], golden[f"vision.block.{n}"])
    compare("vision.post_layernorm", aux["img/encoded"][0], golden["vision.post_layernorm"])
    compare("projector", aux["img/zimg"][0], golden["projector"])
    compare(f"text.layer.{shape.layers - 1}", aux["llm/encoded"][0], golden[f"text.layer.{shape.layers - 1}"])
    compare("text.norm", aux["llm/pre_logits"][0], golden["text.norm"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", required=True, help="checkout of google-research/big_vision")
    paligemma = import_big_vision(parser.parse_args().source)
    jax.config.update("jax_default_matmul_precision", "highest")
    out = {}
    check(paligemma, PG1, parameters(np.load(OUT / "pg1.npz")), out)
    check(paligemma, PG2, parameters(np.load(OUT / "pg2.bf16.npz")), out, "_bf16_weights")
    check(paligemma, PG2, parameters(npz.big_vision(PG2, shapes.weights(PG2))), out)
    save_file(out, OUT / "big_vision.safetensors")


if __name__ == "__main__":
    main()
