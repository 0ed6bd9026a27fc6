"""transformers with PyTorch: PaliGemma in bf16, built from its configuration with random weights; one line of JSON."""

import torch
from transformers import DynamicCache, PaliGemmaConfig, PaliGemmaForConditionalGeneration

import measure
import shape as S

TYPE = torch.bfloat16


def configuration():
    vision = {
        "hidden_size": S.VISION_WIDTH, "intermediate_size": S.VISION_MLP, "num_hidden_layers": S.VISION_LAYERS,
        "num_attention_heads": S.VISION_HEADS, "image_size": S.SIDE, "patch_size": S.PATCH, "vision_use_head": False,
        "model_type": "siglip_vision_model",
    }
    text = {
        "vocab_size": S.VOCABULARY, "hidden_size": S.WIDTH, "intermediate_size": S.MLP, "num_hidden_layers": S.LAYERS,
        "num_attention_heads": S.HEADS, "num_key_value_heads": S.KV_HEADS, "head_dim": S.HEAD_DIM, "model_type": "gemma",
        "num_image_tokens": S.IMAGE_TOKENS,
    }
    return PaliGemmaConfig(
        vision_config=vision, text_config=text, image_token_index=S.VOCABULARY - 64, projection_dim=S.WIDTH,
        hidden_size=S.WIDTH,
    )


def random_model():
    with torch.device("meta"):
        model = PaliGemmaForConditionalGeneration(configuration()).to(TYPE)
    model.to_empty(device="cpu").eval()
    model.tie_weights()
    # Rows of one drawn table: billions of normal values would take minutes and change no time.
    table = torch.randn(1 << 22, dtype=torch.float32).to(TYPE)
    for parameter in model.parameters():
        flat = parameter.data.view(-1)
        scale = parameter.shape[-1] ** -0.5 if parameter.dim() > 1 else 0.1
        for start in range(0, flat.numel(), table.numel()):
            part = flat[start : start + table.numel()]
            torch.mul(table[: part.numel()], scale, out=part)
    for name, buffer in model.named_buffers():
        if name.endswith("position_ids"):
            buffer.copy_(torch.arange(buffer.shape[-1]).expand_as(buffer))
        elif name.endswith("inv_freq"):
            buffer.copy_(10000.0 ** (-torch.arange(0, S.HEAD_DIM, 2) / S.HEAD_DIM))
    return model


class Stages:
    """The parts of one question, called as transformers' own forward calls them."""

    def __init__(self, model):
        self.model, self.language = model, model.model.language_model
        self.tower, self.projector = model.model.vision_tower, model.model.multi_modal_projector
        self.pixels = torch.rand(1, 3, S.SIDE, S.SIDE).to(TYPE)
        self.rows = (torch.randn(1, S.PREFIX, S.WIDTH) / S.WIDTH**0.5).to(TYPE)
        self.row = self.rows[:, :1]
        self.everything = torch.zeros(1, 1, S.PREFIX, S.PREFIX, dtype=TYPE)  # the prefix sees all of itself
        self.cache = None

    def compile(self):
        self.tower, self.language = torch.compile(self.tower), torch.compile(self.language)

    def vision(self):
        return self.projector(self.tower(self.pixels).last_hidden_state)

    def prefill(self):
        self.cache = DynamicCache()
        out = self.language(
            inputs_embeds=self.rows, attention_mask=self.everything, past_key_values=self.cache,
            position_ids=torch.arange(S.PREFIX)[None], use_cache=True,
        )
        return self.model.lm_head(out.last_hidden_state[:, -1])

    def token(self):
        out = self.language(
            inputs_embeds=self.row, past_key_values=self.cache, position_ids=torch.tensor([[S.PREFIX]]), use_cache=True
        )
        self.cache.crop(-1)
        return self.model.lm_head(out.last_hidden_state[:, -1])


def main():
    parser = measure.options(__doc__, weights=("bf16",))
    parser.add_argument("--compile", action="store_true", help="through torch.compile")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    stages = Stages(random_model())
    if arguments.compile:
        stages.compile()
    with torch.inference_mode():
        vision = measure.seconds(stages.vision, arguments.repeats)
        prefill = measure.seconds(stages.prefill, arguments.repeats)
        token = measure.seconds(stages.token, 4 * arguments.repeats)
    measure.report(
        "PyTorch, compiled" if arguments.compile else "PyTorch", arguments, note=torch.__version__, vision=vision,
        prefill=prefill, token=token, peak_memory=measure.peak_memory(),
    )  # fmt: skip


if __name__ == "__main__":
    main()
