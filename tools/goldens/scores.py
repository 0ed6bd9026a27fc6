"""Log-likelihoods of candidate answers, and hidden states as transformers numbers them.

Writes scores.safetensors: `<model>.first` [n + 1] and `<model>.logprobs`, those of candidate i's tokens with its end
at first[i]..first[i+1], every candidate run through the whole model by itself; `<model>.hidden.<i>` [S, D], entry i of
output_hidden_states for picture a and prompt `caption en`; `<model>.siglip` and `<model>.projector`, the outputs of
get_image_features. Log-probabilities are computed in float64 from float32 logits.
"""

import torch
from safetensors.torch import save_file

from golden import PROMPTS, Text, forward, load, pixels
from shapes import OUT, PG1, PG2

PROMPT = "answer en how many cats?"
CANDIDATES = [
    "1", "2", "", "no", "yes", "a cat", "a cat on a mat", "two cats", "<loc0100><loc0200><loc0900><loc1023> cat",
    "cat ; dog", "no", "there are two cats and a dog on the red car",
]  # fmt: skip


@torch.no_grad()
def scores(name, shape, model, text, out):
    first, logprobs = [0], []
    for candidate in CANDIDATES:
        ids, types = text.ids(["a"], PROMPT, candidate) if candidate else text.ids(["a"], PROMPT)
        if not candidate:
            ids, types = ids + [1], types + [1]
        start = types.index(1)
        logits = forward(model, ids, types, pixels(shape, ["a"])).double()
        each = logits[start - 1 : -1].log_softmax(-1)
        logprobs += each.gather(1, torch.tensor(ids[start:])[:, None])[:, 0].tolist()
        first.append(len(logprobs))
    out[f"{name}.first"] = torch.tensor(first, dtype=torch.int32)
    out[f"{name}.logprobs"] = torch.tensor(logprobs, dtype=torch.float32)


@torch.no_grad()
def hidden(name, shape, model, text, out):
    images, prompt = PROMPTS[""]
    ids, types = text.ids(images, prompt)
    result = model(
        input_ids=torch.tensor([ids]), token_type_ids=torch.tensor([types]), pixel_values=pixels(shape, images),
        use_cache=False, output_hidden_states=True,
    )  # fmt: skip
    for i, rows in enumerate(result.hidden_states):
        out[f"{name}.hidden.{i}"] = rows[0].contiguous().clone()
    features = model.get_image_features(pixels(shape, images), return_dict=True)
    out[f"{name}.siglip"] = features.last_hidden_state[0].contiguous().clone()
    out[f"{name}.projector"] = features.pooler_output[0].contiguous().clone()


if __name__ == "__main__":
    torch.set_num_threads(1)
    out = {}
    for name, shape in (("pg1", PG1), ("pg2", PG2)):
        model, text = load(OUT / shape.name), Text(shape)
        scores(name, shape, model, text, out)
        hidden(name, shape, model, text, out)
    for name, tensor in sorted(out.items()):
        print(name, list(tensor.shape))
    save_file(out, OUT / "scores.safetensors")
