"""What the peers' programs share: options, timing, peak memory, and the line of JSON that the table reads."""

import argparse
import json
import statistics
import time


def options(description, levels=("best",), weights=()):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--weights", required=True, choices=weights)
    parser.add_argument("--level", default="best", choices=levels)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    return parser


def seconds(call, repeats):
    """Median of `repeats` calls after one that warms up."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def peak_memory():
    """Bytes: the most that was resident at once, mapped files included."""
    with open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status: found no VmHWM")


def report(peer, arguments, **found):
    """One run: seconds of the stages, bytes of memory; what a peer cannot do is left out."""
    line = {"peer": peer, "weights": arguments.weights, "level": arguments.level, "threads": arguments.threads}
    print(json.dumps(line | found), flush=True)
