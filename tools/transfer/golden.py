"""What transformers with peft answers by an adapter that `pali train` wrote: tests/data/nano/adapter/golden.jsonl.

usage: golden.py PROJECT_ROOT, with the adapter in tests/data/nano/adapter, taught as recipes/transfer/lora.yaml says, but
of rank 4:
    pali train recipes/transfer/lora.yaml data=ROWS.jsonl data.0.limit=256 epochs=10 lora.rank=4 seed=1 out=RUN
The pictures are those of tests/data/nano. `ids` are the greedy ones (f32 on the bf16 weights, PIL bicubic). Pictures
at which a second choice comes so close that another order of sums may take it are left out. It fails if peft left out a
tensor of the file.
"""
import json
import os
import sys
from pathlib import Path

root = Path(sys.argv[1])
sys.path.insert(0, str(root / "tools" / "nano"))
os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors.torch import load_file

from answer import Answerer
from goldens import margins

ROWS = 36
PROMPT = "table"


def main():
    torch.set_num_threads(1)
    folder = root / "tests" / "data" / "nano"
    answerer = Answerer(str(root / "models" / "nano"), max_new_tokens=48)
    pictures = sorted(p for p in folder.iterdir() if p.suffix in (".jpg", ".png") and "-" not in p.name)[:ROWS]
    before = answerer.many(pictures, [PROMPT] * len(pictures))
    peft = PeftModel.from_pretrained(answerer.model, folder / "adapter").eval()
    tensors = load_file(folder / "adapter" / "adapter_model.safetensors")
    loaded = get_peft_model_state_dict(peft)
    assert loaded.keys() == tensors.keys() and all(torch.equal(loaded[k], t.float()) for k, t in tensors.items())
    answerer.model = peft
    after = answerer.many(pictures, [PROMPT] * len(pictures))
    answerer.model = peft.get_base_model()  # the same modules, adapters in place
    assert sum(a[0] != b[0] for a, b in zip(after, before)) > ROWS // 2, "the adapter changes few answers"
    with open(folder / "adapter" / "golden.jsonl", "w") as file:
        for path, (text, ids, _) in zip(pictures, after):
            margin = margins(answerer, path, PROMPT, ids)
            if margin < 0.02:
                continue
            row = {"image": f"../{path.name}", "prompt": PROMPT, "text": text, "ids": ids, "margin": round(margin, 5)}
            file.write(json.dumps(row) + "\n")
    print(len(after), "pictures,", len({text for text, _, _ in after}), "different answers")


if __name__ == "__main__":
    main()
