"""OpenVINO's CPU plugin on the models of `openvino_files.py`, one line of JSON."""

import pathlib
import time

import numpy as np
import openvino as ov

import measure
import shape as S


class Text:
    def __init__(self, compiled):
        self.request = compiled.create_infer_request()
        random = np.random.default_rng(0)
        self.rows = (random.normal(0, 1, (1, S.PREFIX, S.WIDTH)) / S.WIDTH**0.5).astype(np.float32)
        angles = np.arange(S.PREFIX + 1)[:, None] * 10000.0 ** (-np.arange(0, S.HEAD_DIM, 2) / S.HEAD_DIM)
        angles = np.concatenate([angles, angles], -1)[None, None].astype(np.float32)
        self.cosine, self.sine = np.cos(angles), np.sin(angles)
        self.caches = [np.zeros((1, 1, 0, S.HEAD_DIM), np.float32)] * (2 * S.LAYERS)

    def run(self, start, count):
        here = slice(start, start + count)
        caches = [cache[:, :, :start] for cache in self.caches]
        self.request.infer(
            [self.rows[:, :count], self.cosine[:, :, here], self.sine[:, :, here], *caches], share_inputs=True
        )

    def prefill(self):
        self.run(0, S.PREFIX)

    def keep(self):
        self.caches = [self.request.get_output_tensor(n + 1).data.copy() for n in range(2 * S.LAYERS)]

    def token(self):
        self.run(S.PREFIX, 1)


def main():
    parser = measure.options(__doc__, weights=("bf16", "q8_0", "q4_0"))
    parser.add_argument("--files", required=True, type=pathlib.Path, help="folder of the models")
    arguments = parser.parse_args()
    core = ov.Core()
    properties = {
        "INFERENCE_NUM_THREADS": arguments.threads, "INFERENCE_PRECISION_HINT": "bf16", "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
    }

    start = time.perf_counter()
    models = [
        core.compile_model(arguments.files / f"ov-{part}-{arguments.weights}.xml", "CPU", properties)
        for part in ("vision", "text")
    ]
    load = time.perf_counter() - start
    tower, text = models[0].create_infer_request(), Text(models[1])
    patches = np.random.default_rng(0).uniform(-1, 1, (1, S.IMAGE_TOKENS, 3 * S.PATCH**2)).astype(np.float32)
    vision = measure.seconds(lambda: tower.infer([patches], share_inputs=True), arguments.repeats)
    prefill = measure.seconds(text.prefill, arguments.repeats)
    text.keep()
    token = measure.seconds(text.token, 4 * arguments.repeats)
    measure.report(
        "OpenVINO", arguments, note=ov.__version__.split("-")[0], load=load, vision=vision, prefill=prefill, token=token,
        peak_memory=measure.peak_memory(),
    )


if __name__ == "__main__":
    main()
