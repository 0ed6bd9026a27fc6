"""Trains nano's vocabulary and writes it as tokenizer.model and as a Hugging Face tokenizer with equal ids.

usage: vocabulary.py OUT_FOLDER ROWS.tsv [WORD_LIST]
ROWS.tsv comes from `pali-scenes --rows --segment --count 60000`.
Gemma's conventions: BPE, pad 0, eos 1, bos 2, unk 3, runs of 1..31 newlines and 2..31 spaces as user-defined pieces,
256 byte pieces, identity normaliser, no dummy prefix, extra whitespace kept, digits split. The 1,024 location and 128
segment pieces follow as user-defined; the Hugging Face files add <image> after them.
"""
import collections
import io
import itertools
import json
import os
import random
import re
import sys

import sentencepiece as spm
from sentencepiece import sentencepiece_model_pb2 as proto
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors

BASE_PIECES = 1792
NEWLINES = ["\n" * n for n in range(1, 32)]
SPACES = ["\u2581" * n for n in range(2, 32)]
LOCATIONS = ["<loc%04d>" % n for n in range(1024)]
SEGMENTS = ["<seg%03d>" % n for n in range(128)]
CHARACTERS = [chr(c) for c in range(33, 127)]


def corpus(pool, word_list):
    """Scene texts and dictionary words. Capitals never merge, so that a word in capitals is read letter by letter. The
    vocabulary is older than the `segment` rows and is kept: they do not count."""
    count = collections.Counter()
    with open(pool) as file:
        rows = (line.rstrip("\n").split("\t") for line in file)
        for row in itertools.islice((r for r in rows if r[0] != "segment"), 200000):
            for text in row[1:3]:
                if "<loc" not in text:
                    count.update(part for part in re.split("[A-Z]+", text) if part.strip())
    lines = [text for text, n in sorted(count.items()) for _ in range(min(n, 150))]
    if word_list and os.path.exists(word_list):
        with open(word_list) as words:
            lower = [w.strip() for w in words if w.strip().isascii() and w.strip().isalpha() and w.strip().islower()]
        random.Random(1).shuffle(lower)
        lines += [" ".join(lower[i:i + 8]) for i in range(0, len(lower), 8)]
    return lines


def train(lines):
    """Returns the finished sentencepiece proto."""
    out = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=out, model_type="bpe",
        vocab_size=BASE_PIECES - len(NEWLINES) - len(SPACES), byte_fallback=True, split_digits=True,
        pad_id=0, eos_id=1, bos_id=2, unk_id=3, pad_piece="<pad>", eos_piece="<eos>", bos_piece="<bos>",
        unk_piece="<unk>", normalization_rule_name="identity", add_dummy_prefix=False, remove_extra_whitespaces=False,
        character_coverage=1.0, required_chars="".join(CHARACTERS), num_threads=1, minloglevel=2)
    model = proto.ModelProto.FromString(out.getvalue())
    trained = list(model.pieces)
    del model.pieces[:]

    def append(texts):
        for text in texts:
            model.pieces.add(piece=text, score=0.0, type=proto.ModelProto.SentencePiece.USER_DEFINED)

    model.pieces.extend(trained[:4])
    append(NEWLINES + SPACES)
    model.pieces.extend(trained[4:])
    assert len(model.pieces) == BASE_PIECES, len(model.pieces)
    append(LOCATIONS + SEGMENTS)
    model.trainer_spec.vocab_size = len(model.pieces)
    model.trainer_spec.ClearField("input")
    return model


def merges_of(model):
    """Every way to make a piece from two others, in the order in which sentencepiece would merge."""
    kind = proto.ModelProto.SentencePiece
    pairs = []
    for family in (NEWLINES, ["\u2581"] + SPACES):  # runs before everything else
        for whole in family[1:]:
            pairs += [(whole[:i], whole[i:]) for i in range(1, len(whole))]
    normal = {p.piece: p.score for p in model.pieces if p.type == kind.NORMAL}
    for whole in sorted(normal, key=lambda piece: -normal[piece]):
        pairs += [(whole[:i], whole[i:]) for i in range(1, len(whole)) if whole[:i] in normal and whole[i:] in normal]
    return pairs


def hugging_face(model):
    """The tokenizers form: same ids, plus <image>."""
    base = {p.piece: i for i, p in enumerate(model.pieces) if i < BASE_PIECES}
    tokenizer = Tokenizer(models.BPE(vocab=base, merges=merges_of(model), unk_token="<unk>", fuse_unk=True,
                                     byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", pair="<bos> $A <bos>:1 $B:1", special_tokens=[("<bos>", 2)])
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True)
                                  for t in ("<pad>", "<eos>", "<bos>", "<unk>")])
    tokenizer.add_tokens([AddedToken(t, normalized=False, special=False) for t in LOCATIONS + SEGMENTS])
    tokenizer.add_special_tokens([AddedToken("<image>", normalized=False, special=True)])
    return tokenizer


def check(model, tokenizer):
    """Both must give the same ids; text without control pieces, runs up to 31."""
    processor = spm.SentencePieceProcessor(model_proto=model.SerializeToString())
    dice = random.Random(7)
    alphabet = "abcdefghij klmnop  \n\n\tqrstuvwxyzABCXYZ0123456789?;,.<>\u00e9\u4e2d\U0001f600"
    texts = ["detect red circle ; blue square", "<loc0000><loc1023> a ; <seg127>", "a  b   c", "\n\n\nx\n", "\t\t",
             "answer en how many squares?", " " * 31, "\n" * 31, "<image" + ">x"[1:], "2024", "\u2581 \u2581"]
    texts += ["".join(dice.choice(alphabet) for _ in range(dice.randint(0, 60))) for _ in range(5000)]
    for text in texts:
        ours, theirs = processor.encode(text), tokenizer.encode(text, add_special_tokens=False).ids
        assert ours == theirs, (text, ours, theirs)
        assert tokenizer.decode(theirs, skip_special_tokens=False) == processor.decode(ours), text
    return len(texts)


def main():
    folder, pool = sys.argv[1], sys.argv[2]
    word_list = sys.argv[3] if len(sys.argv) > 3 else "/usr/share/dict/words"
    os.makedirs(folder, exist_ok=True)
    model = train(corpus(pool, word_list))
    tokenizer = hugging_face(model)
    texts = check(model, tokenizer)
    with open(os.path.join(folder, "tokenizer.model"), "wb") as file:
        file.write(model.SerializeToString())
    tokenizer.save(os.path.join(folder, "tokenizer.json"), pretty=False)
    special = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}
    config = dict(special, add_bos_token=True, add_eos_token=False, clean_up_tokenization_spaces=False,
                  extra_special_tokens={"image_token": "<image>"}, model_max_length=1024,
                  processor_class="PaliGemmaProcessor", sp_model_kwargs={}, spaces_between_special_tokens=False,
                  tokenizer_class="PreTrainedTokenizerFast", use_default_system_prompt=False)
    with open(os.path.join(folder, "tokenizer_config.json"), "w") as file:
        json.dump(config, file, indent=2, sort_keys=True)
        file.write("\n")
    with open(os.path.join(folder, "special_tokens_map.json"), "w") as file:
        json.dump(dict(special, additional_special_tokens=["<image>"]), file, indent=2, sort_keys=True)
        file.write("\n")
    print("%d pieces, <image> %d; both forms agree on %d texts"
          % (len(model.pieces), tokenizer.token_to_id("<image>"), texts))


if __name__ == "__main__":
    main()
