"""A program with a large state, for tools/bench_notice.py: works in steps, and saves at SIGTERM.

The state is made once, is random and as large as told, and is written as parts. When which thing
happened is written to the log at the end. Usage:

    python bench_notice_program.py <log> <state bytes> <part bytes> <step ms>
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

BLOCK = 1 << 20


def main() -> None:
    """Works until it is told to go."""
    log, state_bytes, part_bytes, step_ms = Path(sys.argv[1]), *map(int, sys.argv[2:5])
    checkpoints = Path(os.environ["TRAINSPOT_CHECKPOINT_DIR"])
    output = Path(os.environ["TRAINSPOT_OUTPUT_DIR"])
    told: list[float] = []
    signal.signal(signal.SIGTERM, lambda *_: told.append(time.time()))
    # Random, so that nothing on the way can make it smaller.
    state = bytearray(state_bytes)
    for at in range(0, state_bytes, BLOCK):
        state[at : at + BLOCK] = os.urandom(min(BLOCK, state_bytes - at))
    marks: dict[str, float] = {"ready": time.time()}
    step, next_heartbeat = 0, 0.0
    while not told:
        time.sleep(step_ms / 1000)
        step += 1
        marks["last_step"] = time.time()
        if marks["last_step"] >= next_heartbeat:
            next_heartbeat = marks["last_step"] + 1
            progress = {"step": step, "total": 10**9, "at": "2026-12-01T00:00:00Z"}
            half = output / "progress.json.half"
            half.write_text(json.dumps(progress))
            half.replace(output / "progress.json")
            log.with_suffix(".ready").touch()
    marks["told"] = told[0]
    partial = checkpoints / f"{step}.partial"
    partial.mkdir()
    view = memoryview(state)
    for n, at in enumerate(range(0, state_bytes, part_bytes)):
        with (partial / f"part-{n:05}").open("wb", buffering=0) as part:
            left = view[at : at + part_bytes]
            while left:
                left = left[part.write(left) :]
    partial.rename(checkpoints / str(step))
    marks["saved"] = time.time()
    log.write_text(json.dumps({"step": step, **marks}))
    # Whoever was told to go and has saved says so.
    os._exit(143)


if __name__ == "__main__":
    main()
