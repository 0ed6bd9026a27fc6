#!/usr/bin/env python3
"""Makes tests/fuzz/seeds/codec (a codec of few channels) and tests/fuzz/seeds/mask. Needs numpy."""
import json
import os
import struct

import numpy as np

SEEDS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "seeds")
LAYERS = [("encoder.0", 4, 1, 2), ("encoder.2", 4, 2, 2), ("encoder.4", 4, 2, 1), ("encoder.6", 4, 1, 2)]
LAYERS += [("encoder.%d.net.%d" % (b, l), k, 2, 2) for b in (8, 9) for l, k in ((0, 3), (2, 3), (4, 1))] + [("encoder.10", 1, 2, 3), ("decoder.0", 1, 3, 2)]
LAYERS += [("decoder.%d.net.%d" % (b, l), k, 2, 2) for b in (2, 3) for l, k in ((0, 3), (2, 3), (4, 1))]
LAYERS += [("decoder.%d" % n, 4, i, o) for n, i, o in ((4, 2, 2), (6, 2, 1), (8, 1, 2), (10, 2, 1))] + [("decoder.12", 1, 1, 1)]


def codec(dtype):
    rng = np.random.default_rng(1)
    arrays = {}
    for name, k, i, o in LAYERS:
        turned = name in ("decoder.4", "decoder.6", "decoder.8", "decoder.10")
        arrays[name + ".weight"] = rng.normal(0, 0.5, (i, o, k, k) if turned else (o, i, k, k)).astype(dtype)
        arrays[name + ".bias"] = rng.normal(0, 0.1, o).astype(dtype)
    arrays["_vq_vae._embedding"] = rng.normal(0, 1, (128, 3)).astype(dtype)
    arrays["_vq_vae._ema_w"] = arrays["_vq_vae._embedding"]
    arrays["_vq_vae._ema_cluster_size"] = np.ones(128, dtype)
    return arrays


def save(folder, name, data):
    with open(os.path.join(SEEDS, folder, name), "wb") as file:
        file.write(data)


np.savez(os.path.join(SEEDS, "codec", "f32.npz"), **codec(np.float32))
np.savez_compressed(os.path.join(SEEDS, "codec", "f16.npz"), **codec(np.float16))
head, data = {}, b""
for name, array in codec(np.float32).items():
    head[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [len(data), len(data) + array.nbytes]}
    data += array.tobytes()
text = json.dumps(head).encode()
text += b" " * (-len(text) % 8)
save("codec", "f32.safetensors", struct.pack("<Q", len(text)) + text + data)
save("mask", "runs", b"r\x25\x17QQX1c0S>?ROk0YOg0B>A>E;F:_O`0G")
save("mask", "runs_whole", b"r\x04\x03113020O1")
save("mask", "tokens", b"t<loc0001><loc0002><loc0300><loc1023>" + b"".join(b"<seg%03d>" % (i * 8) for i in range(16)) + b" cat")
save("mask", "bits", b"b" + bytes(range(1, 200, 3)))
save("mask", "polygon", b"p" + struct.pack("<8d", 1, 1, 20.5, 3, 15, 14.25, -3, 9))
