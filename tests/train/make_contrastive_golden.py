"""Golden of contrastive learning: a tiny SigLIP of transformers, its loss on four pairs and the gradient of every parameter.

Everything is computed in float64. Names are those of this project: vision.* is the model's own, image_head.*,
text_tower.*, log_temperature and bias stand beside it.
"""

import re
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import SiglipConfig, SiglipModel

WIDTH, LAYERS, HEADS, MLP, SIDE, PATCH, POSITIONS, VOCABULARY, PAIRS = 12, 2, 3, 20, 8, 4, 6, 19, 4
RENAMED = [
    (r"vision_model\.head\.probe", "image_head.probe"),
    (r"vision_model\.head\.attention\.out_proj", "image_head.self_attn.out_proj"),
    (r"vision_model\.head\.layernorm", "image_head.layer_norm2"),
    (r"vision_model\.head\.mlp", "image_head.mlp"),
    (r"vision_model\.", "vision."),
    (r"text_model\.encoder\.layers", "text_tower.layers"),
    (r"text_model\.final_layer_norm", "text_tower.post_layernorm"),
    (r"text_model\.", "text_tower."),
    (r"logit_scale", "log_temperature"),
    (r"logit_bias", "bias"),
]


def rename(name):
    for pattern, to in RENAMED:
        name, count = re.subn("^" + pattern, to, name)
        if count:
            break
    return name


def put(out, prefix, name, tensor):
    """Under our name; the stacked products of PyTorch's attention apart."""
    if ".in_proj_" in name:
        for letter, part in zip("qkv", tensor.chunk(3)):
            out[f"{prefix}image_head.self_attn.{letter}_proj.{name.rsplit('_')[-1]}"] = part.float().contiguous()
        return
    tensor = tensor.reshape(1, -1) if name.endswith("probe") else tensor
    out[prefix + rename(name)] = (tensor.flatten(1) if tensor.dim() > 2 else tensor).float().contiguous()


def main():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    shape = {"hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "intermediate_size": MLP}
    model = SiglipModel(
        SiglipConfig(
            text_config=shape | {"vocab_size": VOCABULARY, "max_position_embeddings": POSITIONS, "projection_size": WIDTH},
            vision_config=shape | {"image_size": SIDE, "patch_size": PATCH},
        )
    ).double().eval()  # fmt: skip
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(torch.randn_like(p) * (0.3 if p.dim() > 1 else 0.1) + (1 if "norm" in name and name.endswith("weight") else 0))
            p.copy_(p.float().double())
        model.logit_scale.fill_(1.3)
        model.logit_bias.fill_(-0.75)
    ids = torch.randint(2, VOCABULARY, (PAIRS, POSITIONS))
    for row, length in zip(ids, (3, 5, 6, 1)):
        row[length - 1 :] = 1
    pixels = torch.rand(PAIRS, 3, SIDE, SIDE).float().double() * 2 - 1
    result = model(input_ids=ids, pixel_values=pixels, return_loss=True)
    result.loss.backward()
    out = {
        "ids": ids.int(),
        "pixels": pixels.permute(0, 2, 3, 1).float().contiguous(),
        "images": result.image_embeds.detach().float(),
        "texts": result.text_embeds.detach().float(),
        "loss": result.loss.detach().reshape(1),
    }
    for name, p in model.named_parameters():
        put(out, "value.", name, p.detach())
        put(out, "grad.", name, p.grad)
    print(float(result.loss.detach()), len(out))
    save_file(out, Path(__file__).parent / "contrastive.safetensors")


if __name__ == "__main__":
    main()
