"""Event records as the tensorboard package writes them (pip install tensorboard): tests/train/data/events.golden.

Its RecordWriter frames them, its protocol buffers make the bytes; no part of this is needed to build or test.
"""

from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

OUT = Path(__file__).parent / "data" / "events.golden"
ROWS = [(1, 1700000000.25, {"train/loss": 12.457442, "train/lr": 0.0}),
        (200, 1700000001.5, {"train/loss": 1.5, "train/lr": 1e-5, "held-out/loss": 2.25}),
        (70000, 1700000002.0, {"train/lr": 3e-6})]


def main():
    OUT.parent.mkdir(exist_ok=True)
    with open(OUT, "wb") as file:
        writer = RecordWriter(file)
        writer.write(Event(wall_time=ROWS[0][1], file_version="brain.Event:2").SerializeToString())
        for step, wall, values in ROWS:
            summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
            writer.write(Event(wall_time=wall, step=step, summary=summary).SerializeToString())
        writer.flush()


if __name__ == "__main__":
    main()
