"""The tiny models as big_vision checkpoints: pg1 in float32, stored; pg2 in bfloat16, deflated."""

import numpy as np

import shapes
from shapes import OUT, PG1, PG2, PROJECTOR, TEXT, VISION, VOCABULARY


def big_vision(shape, w):
    """Names and layouts of big_vision: layers stacked on axis 0, kernels [in, out], heads apart."""
    d, h, k, hd = shape.width, shape.heads, shape.kv_heads, shape.head_dim
    vd, vh = shape.vision_width, shape.vision_heads
    vhd = vd // vh

    def vision(name, convert=lambda t: t):
        layers = range(shape.vision_layers)
        return np.stack([convert(w[f"{VISION}encoder.layers.{n}.{name}"]) for n in layers])

    def text(name, convert=lambda t: t):
        return np.stack([convert(w[f"{TEXT}layers.{n}.{name}.weight"]) for n in range(shape.layers)])

    def heads_out(n):  # [n * hd, d] -> [n, d, hd]
        return lambda t: t.reshape(n, hd, d).transpose(0, 2, 1)

    p = {
        "img/embedding/kernel": w[VISION + "embeddings.patch_embedding.weight"].transpose(2, 3, 1, 0),
        "img/embedding/bias": w[VISION + "embeddings.patch_embedding.bias"],
        "img/pos_embedding": w[VISION + "embeddings.position_embedding.weight"][None],
        "img/Transformer/encoder_norm/scale": w[VISION + "post_layernorm.weight"],
        "img/Transformer/encoder_norm/bias": w[VISION + "post_layernorm.bias"],
        "img/head/kernel": w[PROJECTOR + "weight"].T,
        "img/head/bias": w[PROJECTOR + "bias"],
        "llm/embedder/input_embedding": w[TEXT + "embed_tokens.weight"][:VOCABULARY],
        "llm/final_norm/scale": w[TEXT + "norm.weight"],
    }
    block = "img/Transformer/encoderblock/"
    for i in (0, 1):
        p[f"{block}LayerNorm_{i}/scale"] = vision(f"layer_norm{i + 1}.weight")
        p[f"{block}LayerNorm_{i}/bias"] = vision(f"layer_norm{i + 1}.bias")
        p[f"{block}MlpBlock_0/Dense_{i}/kernel"] = vision(f"mlp.fc{i + 1}.weight", np.transpose)
        p[f"{block}MlpBlock_0/Dense_{i}/bias"] = vision(f"mlp.fc{i + 1}.bias")
    attention = block + "MultiHeadDotProductAttention_0/"
    for name in ("query", "key", "value"):
        ours = f"self_attn.{name[0]}_proj"
        p[f"{attention}{name}/kernel"] = vision(ours + ".weight", lambda t: t.T.reshape(vd, vh, vhd))
        p[f"{attention}{name}/bias"] = vision(ours + ".bias", lambda t: t.reshape(vh, vhd))
    p[attention + "out/kernel"] = vision("self_attn.out_proj.weight", lambda t: t.T.reshape(vh, vhd, vd))
    p[attention + "out/bias"] = vision("self_attn.out_proj.bias")

    layers = "llm/layers/"
    k_proj, v_proj = (text(f"self_attn.{n}_proj", heads_out(k)) for n in "kv")
    gate, up = (text(f"mlp.{n}_proj", np.transpose) for n in ("gate", "up"))
    p[layers + "attn/q_einsum/w"] = text("self_attn.q_proj", heads_out(h))
    p[layers + "attn/kv_einsum/w"] = np.stack([k_proj, v_proj], axis=1)
    p[layers + "attn/attn_vec_einsum/w"] = text("self_attn.o_proj", lambda t: t.T.reshape(h, hd, d))
    p[layers + "mlp/gating_einsum"] = np.stack([gate, up], axis=1)
    p[layers + "mlp/linear"] = text("mlp.down_proj", np.transpose)
    p[layers + "pre_attention_norm/scale"] = text("input_layernorm")
    if shape.gemma2:
        p[layers + "pre_ffw_norm/scale"] = text("pre_feedforward_layernorm")
        p[layers + "post_attention_norm/scale"] = text("post_attention_layernorm")
        p[layers + "post_ffw_norm/scale"] = text("post_feedforward_layernorm")
    else:
        p[layers + "pre_ffw_norm/scale"] = text("post_attention_layernorm")
    return {name: np.ascontiguousarray(tensor) for name, tensor in p.items()}


def as_void(array):
    """bfloat16 as numpy without ml_dtypes sees it: two opaque bytes, descriptor |V2."""
    import torch

    rounded = torch.from_numpy(array).bfloat16()
    return rounded.view(torch.uint16).numpy().view("V2")


def main():
    pg1 = big_vision(PG1, shapes.weights(PG1))
    pg2 = big_vision(PG2, shapes.weights(PG2))
    assert (len(pg1), len(pg2)) == (32, 34)
    np.savez(OUT / "pg1.npz", **{"params/" + name: array for name, array in pg1.items()})
    np.savez_compressed(OUT / "pg2.bf16.npz", **{name: as_void(array) for name, array in pg2.items()})


if __name__ == "__main__":
    main()
