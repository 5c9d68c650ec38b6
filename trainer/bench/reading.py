"""Reading a dataset: events a second of one core, and bytes an event at the peak.

A process writes files of made-up events (ids as numbers or as text, unsorted, 2 million rows a
file), another one reads them as every stage does. The peak is the process's largest resident size
less what it was after it had read a file of a few rows, so it holds what Parquet's reader takes
for a batch too. Figures only, never a pass or a fail. Usage:

    python trainer/bench/reading.py [--events 10000000]

It writes `reading.json` as `tools/bench_format.md` says.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TRAINER = Path(__file__).resolve().parent.parent
FILE_ROWS = 2_000_000
EVENTS_A_USER = 20
ITEMS = 100_000


def write(folder: Path, n_events: int, kind: str) -> None:
    """Files of events in the order in which they happened."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    generator = np.random.Generator(np.random.PCG64(1))
    folder.mkdir(parents=True)
    for number, first in enumerate(range(0, n_events, FILE_ROWS)):
        n = min(FILE_ROWS, n_events - first)
        user = generator.integers(0, max(n_events // EVENTS_A_USER, 1), n)
        item = generator.integers(0, ITEMS, n)
        if kind == "text":
            user = pa.array(user).cast(pa.string())
            user = pa.compute.binary_join_element_wise("customer-", user, "")
        moments = pa.array(1_600_000_000_000 + (first + np.arange(n)) * 10, pa.timestamp("ms"))
        rows = pa.table({"user_id": user, "item_id": item, "timestamp": moments})
        pq.write_table(rows, folder / f"{number:04}.parquet", compression="zstd")


def resident_bytes(key: str) -> int:
    """What the kernel says of this process: `VmRSS` now, or `VmHWM` at most so far."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{key}:")[1].split()[0]) * 1024


def read(folder: Path, small: Path) -> dict[str, Any]:
    """Reads in this process and says what it took."""
    from trainer.dataset import read_interactions

    read_interactions(small)
    before, begun = resident_bytes("VmRSS"), time.process_time()
    events = read_interactions(folder)
    core_s = time.process_time() - begun
    peak = resident_bytes("VmHWM") - before
    kept = sum(a.nbytes for a in (events.user, events.item, events.time_ms, events.weight))
    return {
        "events": events.n_events,
        "users": events.n_users,
        "events_per_core_s": round(events.n_events / core_s),
        "peak_bytes_per_event": round(peak / events.n_events, 1),
        "kept_bytes_per_event": round(kept / events.n_events, 1),
    }


def in_a_process(*arguments: str) -> str:
    """This file in a process of its own; returns what it prints."""
    env = {**os.environ, "PYTHONPATH": str(TRAINER)}
    command = [sys.executable, __file__, *arguments]
    return subprocess.run(command, env=env, stdout=subprocess.PIPE, check=True, text=True).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--write", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--read", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        folder, n_events, kind = options.write
        write(Path(folder), int(n_events), kind)
        return
    if options.read:
        print(json.dumps(read(*options.read)))  # noqa: T201
        return
    rows = []
    with tempfile.TemporaryDirectory(prefix="reading-") as made:
        for kind in ("numbers", "text"):
            folder, small = f"{made}/{kind}", f"{made}/{kind}-small"
            in_a_process("--write", folder, str(options.events), kind)
            in_a_process("--write", small, "1000", kind)
            figures = json.loads(in_a_process("--read", folder, small))
            rows.append({"case": f"user ids as {kind}", "who": "trainer", **figures})
            print(rows[-1], flush=True)  # noqa: T201
    from importlib.metadata import version

    out = Path(os.environ.get("BENCH_OUT") or TRAINER.parent / ".trainspot" / "bench")
    out.mkdir(parents=True, exist_ok=True)
    document = {
        "bench": "reading",
        "title": "Reading a dataset",
        "command": "make bench-reading",
        "versions": {name: version(name) for name in ("numpy", "pyarrow")},
        "notes": [
            "Seconds are CPU time of the process; the peak holds the Parquet reader's buffers too."
        ],
        "rows": rows,
    }
    (out / "reading.json").write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
