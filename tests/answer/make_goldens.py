"""Writes tests/answer/data/outputs.json: outputs of a model, well formed and not, with the objects in them.

usage: make_goldens.py OUT.json
Needs the package supervision (0.31), whose parser is the published one for boxes. It knows neither masks nor objects
without a label; for those the rules of the demo's parser stand below as one regular expression, written from their
description (detection and segmentation notes: text, four locations, sixteen segments, a label, " ; "). The two must
agree wherever both apply. Where pali differs on purpose a case says what it expects, and why.
"""
import json
import re
import sys
import warnings

warnings.filterwarnings("ignore")
from supervision.detection.vlm import from_paligemma  # noqa: E402

DEMO = re.compile(r"((?:<loc\d{4}>){4})\s*((?:<seg\d{3}>){16})?\s*([^;<>]*)")


def box(*bins):
    return "".join("<loc%04d>" % b for b in bins)


def seg(count, first=0):
    return "".join("<seg%03d>" % ((first + 7 * i) % 128) for i in range(count))


A, B, FLAT = box(10, 20, 300, 400), box(0, 1023, 1023, 0), box(50, 60, 50, 90)

WELL_FORMED = [
    "", "a photo of nothing", A + " cat", A + " cat ; " + box(1, 2, 3, 4) + " dog", A + " red car ; " + A + " red car",
    A + " traffic light", box(0, 0, 1023, 1023) + " x-ray", A + seg(16) + " cat", A + seg(16) + " cat ; " + A + seg(16, 5) + " dog",
    A + seg(16), A + " cat ; " + box(5, 6, 7, 8) + seg(16, 100) + " dog",
]

# (output, what pali expects where the published rules give something else, why)
MALFORMED = [
    (box(1, 2, 3) + " cat", None, None),
    (box(1, 2) + " cat ; " + A + " dog", None, None),
    (box(1), None, None),
    (A + " cat ; " + box(1, 2, 3), None, None),
    (A + " cat ;", None, None),
    (A + " cat ; ", None, None),
    (" ; " + A + " cat", None, None),
    (" ; ; " + A + " cat ; ; ", None, None),
    (A + " ; " + A + " cat", None, None),
    (A, None, None),
    (A + A, None, None),
    (A + A + " cat", None, None),
    (A + "cat", None, None),
    (A + "\ncat", None, None),
    (FLAT + " cat", None, None),
    (B + " cat", None, None),
    (box(9, 9, 9, 9) + " dot", None, None),
    ("<loc1024>" + box(1, 2, 3) + " cat", [], "1,024 is no bin: the token is text, three are left"),
    ("<loc9999>" * 4 + " cat", [], "no bins"),
    ("<loc12><loc0013><loc0014><loc0015> cat", None, None),
    ("<LOC0001><LOC0002><LOC0003><LOC0004> cat", None, None),
    ("<loc0001> <loc0002> <loc0003> <loc0004> cat", None, None),
    (seg(16) + A + " cat", None, None),
    (seg(16), None, None),
    (A + seg(15) + " cat", [[10, 20, 300, 400, "cat", None]], "an incomplete mask is passed over, its label kept"),
    (A + seg(17) + " cat", [[10, 20, 300, 400, "cat", None]], "seventeen are no mask: which one is too many is not known"),
    (A + seg(8) + " cat " + seg(8), [[10, 20, 300, 400, "cat", None]], "likewise"),
    (A + seg(15) + "<seg128> cat", [[10, 20, 300, 400, "<seg128> cat", None]], "128 is no code: the token is text"),
    (A + " cat dog" + A + " bird", None, None),
    (A + " a < b", [[10, 20, 300, 400, "a < b", None]], "what only looks like a token is text"),
    (A + " cat<eos>", [[10, 20, 300, 400, "cat<eos>", None]], "likewise"),
    (box(1, 2, 3, 4, 5) + " cat", None, None),
    (A + "   ", None, None),
    (A + " \u732b ; " + A + " b\u00e4r", None, None),
]


def demo(text):
    found = []
    for m in DEMO.finditer(text):
        bins = [int(b) for b in re.findall(r"\d{4}", m.group(1))]
        codes = [int(c) for c in re.findall(r"\d{3}", m.group(2))] if m.group(2) else None
        found.append(bins + [m.group(3).strip(), codes])
    return found


def published(text):
    boxes, _, labels = from_paligemma(text, resolution_wh=(1024, 1024))
    return [[int(y1), int(x1), int(y2), int(x2), str(label)] for (x1, y1, x2, y2), label in zip(boxes, labels)]


def main():
    cases, agreed = [], 0
    for text, ours, why in [(t, None, None) for t in WELL_FORMED] + MALFORMED:
        objects = demo(text) if ours is None else ours
        simple = [o[:5] for o in objects]
        if ours is None and published(text) == simple:
            agreed += 1
        case = {"text": text, "objects": objects}
        if why:
            assert demo(text) != ours, text
            case["differs"] = why
        cases.append(case)
    assert len(MALFORMED) >= 30 and agreed >= 20, (len(MALFORMED), agreed)
    with open(sys.argv[1], "w") as out:
        out.write("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
    print("%d cases, %d malformed; supervision agrees on %d" % (len(cases), len(MALFORMED), agreed))


if __name__ == "__main__":
    main()
