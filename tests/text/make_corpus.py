"""Writes tests/data/text/corpus.hash: what the sentencepiece library makes of generated strings.

usage: make_corpus.py TOKENIZER.model [STRINGS [SEQUENCES]]
The strings come from a seeded generator that corpus.c repeats step by step, so that only a hash of each
string's ids is kept. After them, sequences of ids and a hash of each one's decoded text.
"""

import pathlib
import struct
import sys

import sentencepiece

DATA = pathlib.Path(__file__).resolve().parent.parent / "data" / "text"
MASK = (1 << 64) - 1
SEED = 20240717
FRAGMENTS = (DATA / "fragments.txt").read_bytes().split(b"\n")[:-1]
RUNS = [" ", "\n", "\t", "\r", "\u2581", "a", "\u00a0", " \n", "<", "\U0001f600"]
RANGES = [
    (0x20, 0x7F), (0xA0, 0x250), (0x250, 0x370), (0x370, 0x400), (0x400, 0x530), (0x530, 0x600), (0x600, 0x700),
    (0x900, 0xE00), (0xE00, 0x1000), (0x1000, 0x1200), (0x1200, 0x1400), (0x1E00, 0x2000), (0x2000, 0x2300),
    (0x2300, 0x2C00), (0x3000, 0x3400), (0x4E00, 0xA000), (0xAC00, 0xD7A4), (0xE000, 0xFFFF), (0x10000, 0x10400),
    (0x1D400, 0x1D800), (0x1F000, 0x1FB00), (0x20000, 0x2A700), (0xE0000, 0x10FFFF),
]  # fmt: skip
LETTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,;:!?-_/'\"()[]{}<>=+*&%$#@^~`|\\"


class Dice:
    """splitmix64 (Steele, Lea and Flood, 2014)."""

    def __init__(self, stream):
        self.state = (SEED + stream * 0xD1B54A32D192ED03) & MASK

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK
        z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
        return z ^ z >> 31

    def below(self, n):
        return self.next() % n


def part(dice, kind, processor):
    if kind < 3:
        return FRAGMENTS[dice.below(len(FRAGMENTS))]
    if kind == 3:
        return b" " + FRAGMENTS[dice.below(len(FRAGMENTS))]
    if kind == 4:
        unit = RUNS[dice.below(len(RUNS))].encode()
        return unit * (1 + dice.below(70))
    if kind == 5:
        low, high = RANGES[dice.below(len(RANGES))]
        return b"".join(chr(low + dice.below(high - low)).encode() for _ in range(1 + dice.below(6)))
    if kind == 6:
        return bytes(dice.below(256) for _ in range(1 + dice.below(5)))
    if kind == 7:
        location = b"<loc%04d>" % dice.below(1100)
        return location if dice.below(4) else b"<seg%03d>" % dice.below(140)
    if kind < 11:
        piece = processor.id_to_piece(dice.below(processor.get_piece_size())).encode()
        return piece.replace("\u2581".encode(), b" ") if kind < 10 else piece
    return bytes(LETTERS[dice.below(len(LETTERS))] for _ in range(1 + dice.below(12)))


def string(stream, processor):
    dice = Dice(stream)
    count = 60 if stream % 128 == 0 else 1 + dice.below(6)
    return b"".join(part(dice, dice.below(12), processor) for _ in range(count))


def sequence(stream, processor):
    """Ids of any kind but unk, which the library prints in a way of its own; half of them byte pieces."""
    dice = Dice(stream)
    first_byte = processor.piece_to_id("<0x00>")
    ids = []
    for _ in range(1 + dice.below(24)):
        kind = dice.below(8)
        if kind < 2:
            ids.append(first_byte + dice.below(256))
        elif kind < 5:
            low, high = RANGES[dice.below(len(RANGES))]
            ids += [first_byte + b for b in chr(low + dice.below(high - low)).encode()]
            if dice.below(3) == 0:
                ids.pop()
        else:
            ids.append(dice.below(processor.get_piece_size()))
    return [i for i in ids if i != processor.unk_id()]


def fold(data):
    """FNV-1a in 64 bits, folded to 32."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & MASK
    return (value ^ value >> 32) & 0xFFFFFFFF


def main():
    processor = sentencepiece.SentencePieceProcessor(model_file=sys.argv[1])
    strings = int(sys.argv[2]) if len(sys.argv) > 2 else 40000
    sequences = int(sys.argv[3]) if len(sys.argv) > 3 else 10000
    out = [b"PLTK", struct.pack("<III", SEED, strings, sequences)]
    size = 0
    for stream in range(strings):
        text = string(stream, processor)
        ids = processor.encode(text)
        size += len(text)
        out.append(struct.pack("<I", fold(struct.pack("<%di" % len(ids), *ids))))
    for stream in range(strings, strings + sequences):
        text = processor.decode(sequence(stream, processor))
        out.append(struct.pack("<I", fold(text.encode())))
    (DATA / "corpus.hash").write_bytes(b"".join(out))
    print("%d strings of %d bytes, %d sequences" % (strings, size, sequences))


if __name__ == "__main__":
    main()
