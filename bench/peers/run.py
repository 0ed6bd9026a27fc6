"""Runs pali and its peers one after the other, each in a process of its own, and prints one table (README.md)."""

import argparse
import datetime
import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys

import table

HERE = pathlib.Path(__file__).resolve().parent
PEERS = ("pali", "llama.cpp", "pytorch", "openvino")
WEIGHTS = ("bf16", "q8_0", "q4_0")


def home():
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return pathlib.Path(os.environ.get("PALI_PEERS") or os.path.join(cache, "pali-peers"))


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        return next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "unknown processor")


class Bench:
    def __init__(self, options):
        self.options, self.home = options, home()
        self.python, self.torch = self.home / "venv/bin/python", self.home / "torch-python"
        self.files, self.logs = self.home / "files", self.home / "logs"
        if not self.python.exists():
            sys.exit(f"run.py: {self.python}: not there; run {HERE / 'setup.sh'} first")
        if "pali" in options.peers and not options.pali.exists():
            sys.exit(f"run.py: {options.pali}: not there; build pali, or name the program with --pali")
        for folder in (self.files, self.logs):
            folder.mkdir(parents=True, exist_ok=True)

    def call(self, name, command):
        """Standard output of a program, or None and a line that says where its complaints are."""
        print(name, file=sys.stderr, flush=True)
        log = self.logs / (name.replace(" ", "-") + ".txt")
        command = [str(part) for part in command]
        with open(log, "w", encoding="utf-8") as complaints, subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=complaints, text=True, start_new_session=True
        ) as process:
            try:
                output = process.communicate(timeout=self.options.limit)[0]
                wrong = f"exit code {process.returncode}" if process.returncode else None
            except subprocess.TimeoutExpired:
                wrong = f"no end within {self.options.limit:g} s"
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)  # with what it has started itself
        if wrong:
            print(f"run.py: {name}: left out, {wrong}: {log}", file=sys.stderr)
        return None if wrong else output

    def write_files(self, program, *what):
        """Files of random weights, read once: what is timed later is a warm start."""
        if self.call(f"files {' '.join(what)}", [self.python, HERE / program, self.files, *what]) is None:
            return False
        for path in self.files.iterdir():
            with open(path, "rb") as file:
                while file.read(1 << 24):
                    pass
        return True

    def remove_files(self):
        for path in self.files.iterdir():
            path.unlink()

    def measure(self, program, weights, level, where, *choices, python=None):
        """One run of a peer; `where` are options that only say where things are."""
        name = " ".join([program.removesuffix("_peer.py"), weights, level, *choices])
        fixed = ["--weights", weights, "--level", level, "--threads", self.options.threads]
        line = self.call(name, [python or self.python, HERE / program, *fixed, *where, *choices])
        if line:
            with open(self.options.results, "a", encoding="utf-8") as file:
                file.write(line)

    def convert(self, path):
        """Puts in its place what `pali convert` makes of it, in another layout perhaps."""
        target = path.with_name("converted.gguf")
        if self.call(f"convert {path.stem}", [self.options.pali.resolve(), "convert", *self.options.convert, path, target]) is None:
            return False
        target.replace(path)
        return True

    def pali(self, weights):
        where = ["--program", self.options.pali.resolve(), "--files", self.files]
        if not self.write_files("gguf_files.py", weights, "pali"):
            return
        if self.options.convert is not None:
            if not self.convert(self.files / f"pali-{weights}.gguf"):
                return
            where.append("--converted")
        for level in self.options.levels:
            if weights != "bf16":
                self.measure("pali_peer.py", weights, level, where, "--activations", "int8")
            self.measure("pali_peer.py", weights, level, where)

    def llama(self, weights):
        where = ["--backends", self.home / "ggml-libraries", "--files", self.files, "--repeats", self.options.repeats]
        for kind in ("q4_0", "q4_0+q6_K") if weights == "q4_0" else (weights,):
            self.remove_files()
            if self.write_files("gguf_files.py", kind, "llama"):
                for level in self.options.levels:
                    self.measure("llama_peer.py", kind, level, where)

    def pytorch(self, weights):
        if weights == "bf16":
            for choices in ([], ["--compile"]):
                self.measure("torch_peer.py", weights, "best", ["--repeats", self.options.repeats], *choices, python=self.torch)

    def openvino(self, weights):
        if self.write_files("openvino_files.py", weights):
            self.measure("openvino_peer.py", weights, "best", ["--files", self.files, "--repeats", self.options.repeats])


def some_of(choices):
    def read(text):
        words = text.split(",")
        for word in words:
            if word not in choices:
                raise argparse.ArgumentTypeError(f"found '{word}', expected a list of {', '.join(choices)}")
        return words

    return read


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pali", type=pathlib.Path, default=HERE.parents[1] / "build/release/apps/pali", help="the program")
    parser.add_argument("--convert", type=shlex.split, metavar="OPTIONS", help="pali's file goes through pali convert with these")
    parser.add_argument("--peers", type=some_of(PEERS), default=PEERS, help=",".join(PEERS))
    parser.add_argument("--weights", type=some_of(WEIGHTS), default=WEIGHTS, help=",".join(WEIGHTS))
    parser.add_argument("--levels", type=some_of(table.LEVELS), default=table.LEVELS, help=",".join(table.LEVELS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--limit", type=float, default=1800, metavar="SECONDS", help="for one peer's run (1800)")
    parser.add_argument("--results", type=pathlib.Path, default=home() / "results.jsonl")
    parser.add_argument("--append", action="store_true", help="add to RESULTS what this run measures")
    options = parser.parse_args()
    bench = Bench(options)
    if not options.append or not options.results.exists():
        machine = {"processor": processor(), "threads": options.threads, "date": datetime.date.today().isoformat()}
        options.results.write_text(json.dumps(machine) + "\n", encoding="utf-8")
    calls = {"pali": bench.pali, "llama.cpp": bench.llama, "pytorch": bench.pytorch, "openvino": bench.openvino}
    for weights in options.weights:
        for peer in options.peers:
            bench.remove_files()
            try:
                calls[peer](weights)
            finally:
                bench.remove_files()
    table.show(options.results)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
