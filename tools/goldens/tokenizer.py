"""A tiny tokenizer built like Gemma's: a SentencePiece model and the tokenizer.json that equals it.

Trained on the sentences below; the frozen pieces (runs of newlines, of spaces, of tabs, a few tags)
are inserted after training, as users of SentencePiece do with its protobuf.
"""

import io
import itertools
import json

import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as protobuf

from shapes import IMAGE_TOKEN, LOCATIONS, PIECES, SEGMENTS

SPACE = "\u2581"
CORPUS = """caption en
describe the image in detail
answer en where is the cow standing?
detect cat ; dog
segment the red car
a black cat and a white dog on the green grass near the house
Two people are standing on the beach, and the sun is setting.
the cow is standing in the field; there are 12 trees and 3 houses
question en What color is the car? The car is blue.
ocr: HELLO, WORLD! (1234567890)
how many objects are there in the image? there are 24.
"""
TAGS = ["<mask>", "<table>", "<start_of_turn>", "<end_of_turn>"]
FROZEN = (
    TAGS
    + ["\n" * n for n in range(1, 9)]
    + [SPACE * n for n in range(2, 9)]
    + ["\t" * n for n in range(2, 4)]
)
ADDED = [f"<loc{n:04d}>" for n in range(LOCATIONS)] + [f"<seg{n:03d}>" for n in range(SEGMENTS)]


def sentencepiece_model(extended):
    """Serialised model; with `extended`, location and segment pieces appended as big_vision does."""
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS.split("\n")), model_writer=out, model_type="bpe",
        vocab_size=PIECES - len(FROZEN), byte_fallback=True, split_digits=True,
        normalization_rule_name="identity", add_dummy_prefix=False, remove_extra_whitespaces=False,
        pad_id=0, eos_id=1, bos_id=2, unk_id=3, pad_piece="<pad>", eos_piece="<eos>",
        bos_piece="<bos>", unk_piece="<unk>", character_coverage=1.0, minloglevel=2,
    )  # fmt: skip
    model = protobuf.ModelProto.FromString(out.getvalue())
    learned = list(model.pieces)
    del model.pieces[:]
    model.pieces.extend(learned[:4])
    _append_frozen(model, FROZEN)
    model.pieces.extend(learned[4:])
    if extended:
        _append_frozen(model, ADDED)
    model.trainer_spec.vocab_size = len(model.pieces)
    model.trainer_spec.ClearField("model_prefix")
    return model.SerializeToString()


def _append_frozen(model, pieces):
    for piece in pieces:
        model.pieces.add(piece=piece, score=0.0, type=protobuf.ModelProto.SentencePiece.USER_DEFINED)


def _merges(model):
    """All pairs of pieces whose concatenation is a piece, in the order in which BPE learned them."""
    types = protobuf.ModelProto.SentencePiece
    usable = {p.piece: i for i, p in enumerate(model.pieces) if p.type in (types.NORMAL, types.USER_DEFINED)}
    usable["\t"] = [p.piece for p in model.pieces].index("<0x09>")  # a character as well as a byte
    merges = []
    for piece in usable:
        if piece in TAGS:
            continue
        pairs = [(piece[:i], piece[i:]) for i in range(1, len(piece))]
        pairs = [(a, b) for a, b in pairs if a in usable and b in usable]
        merges += sorted(pairs, key=lambda pair: (usable[pair[0]], usable[pair[1]]))
    return merges


def tokenizer_json(generation):
    """tokenizer.json; generation 1: merges as strings; 2: merges as pairs, frozen pieces listed as added."""
    model = protobuf.ModelProto.FromString(sentencepiece_model(extended=False))
    vocabulary = {p.piece: i for i, p in enumerate(model.pieces)}
    vocabulary["\t"] = vocabulary.pop("<0x09>")  # as public Gemma files print it
    ordered = dict(sorted(vocabulary.items(), key=lambda item: item[1]))
    special = ["<pad>", "<eos>", "<bos>", "<unk>"]
    listed = [(vocabulary[p], p, True) for p in special]
    listed += [(vocabulary[p], p, False) for p in (TAGS if generation == 1 else FROZEN)]
    listed += [(PIECES + i, p, False) for i, p in enumerate(ADDED)]
    listed.append((IMAGE_TOKEN, "<image>", True))
    merges = _merges(model)
    content = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added(*entry) for entry in listed],
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": SPACE},
        "pre_tokenizer": None if generation == 1 else _split_on_space(),
        "post_processor": _bos_template(),
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
            ],
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": "<unk>",
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "vocab": ordered,
            "merges": [" ".join(m) for m in merges] if generation == 1 else [list(m) for m in merges],
        },
    }
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def _added(index, content, special):
    return {
        "id": index, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
        "normalized": False, "special": special,
    }  # fmt: skip


def _split_on_space():
    return {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}


def _bos_template():
    bos = {"SpecialToken": {"id": "<bos>", "type_id": 0}}
    return {
        "type": "TemplateProcessing",
        "single": [bos, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [bos, {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<bos>": {"id": "<bos>", "ids": [2], "tokens": ["<bos>"]}},
    }


TEXTS = [
    "caption en", "detect cat ; dog", "detect cat;dog", "answer en Where is the cow standing?",
    "", " ", "  ", "   a    b     ", "\n", "\n\n", "a\n\n\nb", "\t", "\t\t", "a\t\t\tb", "2024", "3.14",
    "<loc0256><loc0128><loc0768><loc1000> cat ; <loc0000><loc0001><loc0002><loc0003> dog",
    "segment the red car", "<loc0001><seg000><seg127> the car", "loc0001", "<loc1024>", "<seg128>",
    "\u00e9t\u00e9 \u2014 \U0001f600 \u65e5\u672c", "<start_of_turn>user<end_of_turn>", "<table> a </table>",
    "the the  the", "HELLO, WORLD! (1234567890)", "trailing space ", "a\u00a0b", "caption \nen",
    "e\u0301", "\u2581", "a\u2581b", "\u2581\u2581",
]  # fmt: skip
CONTROL_TEXTS = ["<bos>", "a<eos>b", "<pad>", "<image>", "<unk>"]  # here the two files differ


def golden():
    """Ids from the sentencepiece and tokenizers libraries; fails where they should agree and do not."""
    from tokenizers import Tokenizer

    processor = sentencepiece.SentencePieceProcessor(model_proto=sentencepiece_model(extended=True))
    backends = [Tokenizer.from_str(tokenizer_json(g)) for g in (1, 2)]
    rows = []
    for text in TEXTS + CONTROL_TEXTS:
        ids = processor.encode(text)
        others = [b.encode(text, add_special_tokens=False).ids for b in backends]
        row = {"text": text, "ids": ids, "decoded": processor.decode(ids)}
        if text in CONTROL_TEXTS:
            row["json_ids"] = others[0]
        elif any(other != ids for other in others):
            raise SystemExit(f"{text!r}: sentencepiece {ids}, tokenizers {others}")
        if any(b.decode(ids, skip_special_tokens=False) != row["decoded"] for b in backends):
            row["json_decoded"] = [b.decode(ids, skip_special_tokens=False) for b in backends]
        rows.append(row)
    return {"pieces": PIECES, "rows": rows}


if __name__ == "__main__":
    for row in golden()["rows"]:
        print(row)
