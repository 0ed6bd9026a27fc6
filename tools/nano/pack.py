"""Writes a trained nano as a Hugging Face folder: bf16 weights under the names that released hub files use.

usage: pack.py TRAINED.pt TOKENIZER_FOLDER vae-oid.npz OUT_FOLDER
"""
import json
import os
import shutil
import sys

import torch
from safetensors.torch import save_file
from transformers import PaliGemmaForConditionalGeneration

import model as nano

RENAME = (("model.language_model.", "language_model.model."),
          ("model.vision_tower.vision_model.", "vision_tower.vision_model."),
          ("model.vision_tower.", "vision_tower.vision_model."),
          ("model.multi_modal_projector.", "multi_modal_projector."))


def hub_name(name):
    for old, new in RENAME:
        if name.startswith(old):
            return new + name[len(old):]
    raise ValueError("no hub name for tensor " + name)


def config():
    c = nano.config()
    text, vision = c.text_config, c.vision_config
    return {
        "architectures": ["PaliGemmaForConditionalGeneration"],
        "bos_token_id": nano.BOS, "eos_token_id": nano.EOS, "pad_token_id": nano.PAD,
        "hidden_size": text.hidden_size, "ignore_index": -100, "image_token_index": nano.IMAGE_TOKEN,
        "model_type": "paligemma", "projection_dim": text.hidden_size, "tie_word_embeddings": True,
        "torch_dtype": "bfloat16", "vocab_size": nano.IMAGE_TOKEN,
        "text_config": {
            "head_dim": text.head_dim, "hidden_act": "gelu_pytorch_tanh", "hidden_activation": "gelu_pytorch_tanh",
            "hidden_size": text.hidden_size, "intermediate_size": text.intermediate_size,
            "max_position_embeddings": text.max_position_embeddings, "model_type": "gemma",
            "num_attention_heads": text.num_attention_heads, "num_hidden_layers": text.num_hidden_layers,
            "num_image_tokens": nano.IMAGE_TOKENS, "num_key_value_heads": text.num_key_value_heads,
            "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "torch_dtype": "bfloat16", "vocab_size": nano.VOCABULARY},
        "vision_config": {
            "hidden_act": "gelu_pytorch_tanh", "hidden_size": vision.hidden_size, "image_size": nano.SIDE,
            "intermediate_size": vision.intermediate_size, "layer_norm_eps": 1e-6,
            "model_type": "siglip_vision_model", "num_attention_heads": vision.num_attention_heads,
            "num_hidden_layers": vision.num_hidden_layers, "num_image_tokens": nano.IMAGE_TOKENS,
            "patch_size": nano.PATCH, "projection_dim": text.hidden_size, "projector_hidden_act": "gelu_fast",
            "vision_use_head": False}}


def preprocessor():
    return {"do_convert_rgb": None, "do_normalize": True, "do_rescale": True, "do_resize": True,
            "image_mean": [0.5, 0.5, 0.5], "image_processor_type": "SiglipImageProcessor",
            "image_seq_length": nano.IMAGE_TOKENS, "image_std": [0.5, 0.5, 0.5],
            "processor_class": "PaliGemmaProcessor", "resample": 3, "rescale_factor": 0.00392156862745098,
            "size": {"height": nano.SIDE, "width": nano.SIDE}}


def write_json(folder, name, value):
    with open(os.path.join(folder, name), "w") as file:
        json.dump(value, file, indent=2, sort_keys=True)
        file.write("\n")


def main():
    trained, tokenizer, codec, out = sys.argv[1:5]
    os.makedirs(out, exist_ok=True)
    state = torch.load(trained, map_location="cpu")
    state.pop("lm_head.weight", None)
    state = {n: t for n, t in state.items() if not n.endswith(("position_ids", "inv_freq", "embed_scale"))}
    hub = {hub_name(n): t.to(torch.bfloat16).contiguous() for n, t in sorted(state.items())}
    save_file(hub, os.path.join(out, "model.safetensors"), metadata={"format": "pt"})
    os.chmod(os.path.join(out, "model.safetensors"), 0o644)
    write_json(out, "config.json", config())
    write_json(out, "preprocessor_config.json", preprocessor())
    write_json(out, "generation_config.json", {"bos_token_id": nano.BOS, "eos_token_id": nano.EOS,
                                               "pad_token_id": nano.PAD, "do_sample": False, "max_new_tokens": 80})
    for name in ("tokenizer.model", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copyfile(os.path.join(tokenizer, name), os.path.join(out, name))
    shutil.copyfile(codec, os.path.join(out, "vae-oid.npz"))

    back, info = PaliGemmaForConditionalGeneration.from_pretrained(out, dtype=torch.float32, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"], info
    again = back.state_dict()
    for name, tensor in state.items():
        assert torch.equal(again[name], tensor.to(torch.bfloat16).float()), name
    assert torch.equal(again["lm_head.weight"], again["model.language_model.embed_tokens.weight"])
    print("%d tensors, %d parameters, loads in transformers with equal weights"
          % (len(hub), nano.parameter_count(back)))


if __name__ == "__main__":
    main()
