"""pali itself, through `pali bench --json` on a random GGUF file of `gguf_files.py`; one line of JSON as from the peers."""

import json
import os
import pathlib
import subprocess

import measure
import shape as S

STAGES = {"load": "load", "vision": "vision", "prefill": "prefill", "decode": "token"}  # in pali bench: here


def bench(arguments):
    """What `pali bench` tells, as an object."""
    environment = dict(os.environ)
    environment.pop("PALI_CPU", None)
    if arguments.level != "best":
        environment["PALI_CPU"] = arguments.level
    command = [
        arguments.program, "bench", "--json", "--model", arguments.files / f"pali-{arguments.weights}.gguf",
        "--threads", str(arguments.threads), "--prompt-tokens", str(S.PROMPT_TOKENS), "--batch", "1",
        "--stage", ",".join(STAGES), "--seconds", str(arguments.seconds),
    ]  # fmt: skip
    if arguments.activations:
        command += ["--activations", arguments.activations]
    return json.loads(subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout)


def main():
    parser = measure.options(__doc__, ("best", "avx512", "avx2"), ("bf16", "q8_0", "q4_0"))
    parser.add_argument("--program", required=True, type=pathlib.Path)
    parser.add_argument("--files", required=True, type=pathlib.Path, help="folder of the GGUF file")
    parser.add_argument("--activations", choices=["int8"])
    parser.add_argument("--converted", action="store_true", help="say so in the table")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each stage")
    arguments = parser.parse_args()
    found = bench(arguments)
    times = {STAGES[row["stage"]]: row["seconds"] for row in found["stages"]}
    levels = {row["level"] for row in found["stages"]} - {None}
    notes = [*levels, "converted"] if arguments.converted else levels
    measure.report(
        "pali, int8 activations" if arguments.activations else "pali", arguments, note=", ".join(notes),
        peak_memory=found["peak_memory_bytes"], **times,
    )  # fmt: skip


if __name__ == "__main__":
    main()
