"""Writes tests/data/text/models.json: small random models and what the sentencepiece library does with them.

They have what Gemma's vocabulary does not: equal scores, unused pieces, overlapping user-defined pieces,
a dummy prefix, no byte fallback. Byte pieces come last, where there are any, and are not written out.
"""

import json
import pathlib
import random

import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as protobuf

SPACE = "\u2581"
TYPES = protobuf.ModelProto.SentencePiece


def model(dice, number):
    proto = protobuf.ModelProto()
    proto.trainer_spec.model_type = protobuf.TrainerSpec.BPE
    proto.trainer_spec.byte_fallback = number % 3 != 0
    proto.normalizer_spec.add_dummy_prefix = number % 4 == 1
    proto.normalizer_spec.remove_extra_whitespaces = False
    special = [("<unk>", TYPES.UNKNOWN), ("<s>", TYPES.CONTROL), ("</s>", TYPES.CONTROL), ("<pad>", TYPES.CONTROL)]
    for text, kind in special:
        proto.pieces.add(piece=text, score=0, type=kind)
    alphabet = "ab" + SPACE + "c\u00e9\U0001f600"[: dice.randint(0, 3)]
    taken = set()
    for _ in range(dice.randint(4, 60)):
        text = "".join(dice.choice(alphabet) for _ in range(dice.choice([1, 2, 2, 3, 3, 4, 5, 6])))
        if text in taken:
            continue
        taken.add(text)
        kind = dice.choices([TYPES.NORMAL, TYPES.UNUSED, TYPES.USER_DEFINED], [10, 3 * (number % 2), 1])[0]
        score = -float(dice.randint(0, 8)) if number % 5 else -dice.randint(0, 640) / 64
        proto.pieces.add(piece=text, score=score, type=kind)
    if proto.trainer_spec.byte_fallback:
        for b in range(256):
            proto.pieces.add(piece="<0x%02X>" % b, score=0, type=TYPES.BYTE)
    return proto.SerializeToString(), alphabet.replace(SPACE, " ") + SPACE + "x<"


def main():
    dice = random.Random(7)
    cases = []
    for number in range(90):
        data, alphabet = model(dice, number)
        processor = sentencepiece.SentencePieceProcessor(model_proto=data)
        texts = ["".join(dice.choice(alphabet) for _ in range(dice.randint(0, 30))) for _ in range(16)]
        rows = [[t, processor.encode(t), processor.decode(processor.encode(t))] for t in texts]
        proto = protobuf.ModelProto.FromString(data)
        cases.append({
            "byte_fallback": proto.trainer_spec.byte_fallback,
            "add_dummy_prefix": proto.normalizer_spec.add_dummy_prefix,
            "pieces": [[p.piece, p.score, p.type] for p in proto.pieces if p.type != TYPES.BYTE],
            "texts": rows,
        })
    path = pathlib.Path(__file__).resolve().parent.parent / "data" / "text" / "models.json"
    path.write_text(json.dumps(cases, ensure_ascii=False, separators=(",", ":")) + "\n", "utf-8")
    print(path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
