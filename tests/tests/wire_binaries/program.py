"""A training program as short as one can be: steps, checkpoints, and the files that the gates read.

It knows nothing of trainspot but the container contract: environment variables and files.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

STEPS = 12
STEP_S = 0.12
CHECKPOINT_EVERY = 4
OUTPUT = Path(os.environ["TRAINSPOT_OUTPUT_DIR"])
CHECKPOINTS = Path(os.environ["TRAINSPOT_CHECKPOINT_DIR"])


def write(path: Path, content: Any) -> None:
    """By rename: what is there is whole."""
    half = path.with_suffix(".half")
    half.write_text(json.dumps(content))
    half.rename(path)


def checkpoint(step: int) -> None:
    """Once for each step."""
    whole = CHECKPOINTS / str(step)
    if not whole.exists():
        partial = CHECKPOINTS / f"{step}.partial"
        partial.mkdir(exist_ok=True)
        (partial / "weights").write_text(str(step))
        partial.rename(whole)


def train(params: dict[str, Any]) -> int:
    """From the newest checkpoint to the end, or until somebody wants it to stop."""
    wishes: set[int] = set()
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, lambda wish, _: wishes.add(wish))
    step_s = params.get("step_s", STEP_S)
    done = [int(folder.name) for folder in CHECKPOINTS.iterdir() if folder.name.isdigit()]
    first = max(done, default=0)
    for step in range(first + 1, STEPS + 1):
        time.sleep(step_s)
        write(OUTPUT / "progress.json", {"step": step, "total": STEPS, "rate": 1 / step_s})
        if step % CHECKPOINT_EVERY == 0 or wishes:
            checkpoint(step)
        if signal.SIGTERM in wishes:
            return 143
        wishes.clear()
    write(OUTPUT / "training.json", {"step": STEPS, "resumed_from": first})
    return 0


def evaluate(params: dict[str, Any]) -> int:
    """The network, a little better than the champion."""
    champion = None
    if run := params.get("champion_run_id"):
        interval = {"metric": "ndcg_at_10", "mean": 0.05, "low": 0.02, "high": 0.08}
        champion = {
            "run_id": run,
            "candidate": params.get("champion_candidate"),
            "relative_gain": 0.05,
            "paired": interval,
        }
    candidates = {"network": {"ndcg_at_10": {"mean": 0.11}}}
    metrics = {
        "schema": 1,
        "gate_protocol": "p2_rolling",
        "best": "network",
        "protocols": {"p2_rolling": {"users": 100, "candidates": candidates}},
        "champion": champion,
    }
    write(OUTPUT / "metrics.json", metrics)
    return 0


def main() -> int:
    """By stage."""
    params = json.loads(Path(os.environ["TRAINSPOT_PARAMS"]).read_text())
    match os.environ["TRAINSPOT_STAGE"]:
        case "train":
            return train(params)
        case "evaluate":
            return evaluate(params)
        case "recommend":
            write(OUTPUT / "part.json", {"users": 25})
        case "gather":
            write(OUTPUT / "recommendations.json", {"verified": True, "users": 100})
    return 0


if __name__ == "__main__":
    sys.exit(main())
