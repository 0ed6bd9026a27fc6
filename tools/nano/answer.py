"""Greedy answers of a Hugging Face PaliGemma folder by transformers: file, PIL, bicubic resize, model, text.

Weights are stored in bf16 and computed in f32. Ids that have no SentencePiece piece, and <image>, are never chosen.
"""
import os

import numpy as np
import torch
from PIL import Image
from transformers import PaliGemmaForConditionalGeneration

import model as nano


class Answerer:
    def __init__(self, folder, max_new_tokens=80):
        self.model = PaliGemmaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
        self.prompts = nano.Prompts(os.path.join(folder, "tokenizer.model"))
        self.banned = list(range(self.prompts.pieces.get_piece_size(), self.model.config.text_config.vocab_size))
        self.max_new_tokens = max_new_tokens

    @staticmethod
    def load(path):
        """[SIDE, SIDE, 3] bytes"""
        return np.array(Image.open(path).convert("RGB").resize((nano.SIDE, nano.SIDE), Image.BICUBIC))

    @torch.no_grad()
    def batch(self, pictures, prefixes):
        """Prefixes of equal length in tokens. Returns ids (EOS kept) and log-probabilities, a list each."""
        text = torch.tensor([self.prompts.prefix(p) for p in prefixes])
        image = torch.full((len(prefixes), nano.IMAGE_TOKENS), nano.IMAGE_TOKEN)
        ids = torch.cat([image, text], dim=1)
        out = self.model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), token_type_ids=torch.zeros_like(ids),
            pixel_values=nano.pixels(torch.from_numpy(np.stack(pictures))), do_sample=False, num_beams=1,
            max_new_tokens=self.max_new_tokens, suppress_tokens=self.banned, output_logits=True,
            return_dict_in_generate=True)
        tokens = out.sequences[:, ids.shape[1]:]
        logits = torch.stack(out.logits, 1)
        logits[:, :, self.banned] = -torch.inf
        logs = logits.log_softmax(-1).gather(2, tokens[:, :, None])[:, :, 0]
        answers = []
        for row, log in zip(tokens.tolist(), logs.tolist()):
            end = row.index(nano.EOS) + 1 if nano.EOS in row else len(row)
            answers.append((row[:end], log[:end]))
        return answers

    def many(self, paths, prefixes, size=100):
        """Answers in the order of the questions: (text, ids, log-probabilities)."""
        order = sorted(range(len(paths)), key=lambda k: len(self.prompts.prefix(prefixes[k])))
        answers, at = [None] * len(paths), 0
        while at < len(order):
            length = len(self.prompts.prefix(prefixes[order[at]]))
            part = [k for k in order[at:at + size] if len(self.prompts.prefix(prefixes[k])) == length]
            pictures = [self.load(paths[k]) for k in part]
            for k, (ids, logs) in zip(part, self.batch(pictures, [prefixes[k] for k in part])):
                answers[k] = (self.prompts.decode(ids), ids, logs)
            at += len(part)
        return answers
