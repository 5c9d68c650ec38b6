"""What the agent and the report can see while a stage works: progress, metrics, the loss curve.

`progress.json` is a heartbeat: it is replaced about once a second and whenever the stage turns
to something else. Writing it never decides anything.
"""

import itertools
import json
import time
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np

from trainer.atomic import now_rfc3339, write_bytes, write_json

EVERY_S = 1.0
RATE_WINDOW = 12
CURVE_POINTS = 2_000


class Progress:
    """The heartbeat and the metrics of one attempt."""

    def __init__(self, out_dir: Path, stage: str) -> None:
        self.out_dir, self.stage = out_dir, stage
        self.marks: deque[tuple[float, int]] = deque(maxlen=RATE_WINDOW)
        self.written_at = 0.0
        # Seconds by part before the first step, once that is done.
        self.cold_start: dict[str, float] | None = None

    def say(self, detail: str, step: int = 0, total: int = 0) -> None:
        """Writes now: the stage has turned to `detail`."""
        self.write(step, total, detail, time.monotonic())

    def tick(self, step: int, total: int, detail: str) -> bool:
        """Writes if a second has passed; says whether it did."""
        now = time.monotonic()
        if now - self.written_at < EVERY_S and step < total:
            return False
        self.write(step, total, detail, now)
        return True

    def write(self, step: int, total: int, detail: str, now: float) -> None:
        self.marks.append((now, step))
        (then, earlier), passed = self.marks[0], now - self.marks[0][0]
        rate = max(step - earlier, 0) / passed if passed > 0 and then < now else 0.0
        self.written_at = now
        write_json(
            self.out_dir / "progress.json",
            {
                "step": step,
                "total": total,
                "rate": round(rate, 3),
                "stage": self.stage,
                "detail": detail,
                "at": now_rfc3339(),
            }
            | ({} if self.cold_start is None else {"cold_start": self.cold_start}),
        )

    def start_metrics(self, step: int) -> int:
        """Drops metric lines past `step`, which will be written again; returns the last step
        that an earlier attempt in this folder had reached."""
        path = self.out_dir / "metrics.jsonl"
        if not path.exists():
            return 0
        kept, reached = [], 0
        for line in path.read_bytes().splitlines():
            try:
                at = int(json.loads(line)["step"])
            except (ValueError, KeyError, TypeError):
                continue  # the line that was being written when the attempt died
            reached = max(reached, at)
            if at <= step:
                kept.append(line)
        write_bytes(path, b"".join(line + b"\n" for line in kept))
        return reached

    def metric(self, **values: Any) -> None:
        """Appends one line."""
        line = json.dumps({**values, "at": now_rfc3339()}, allow_nan=False)
        with (self.out_dir / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def curve(losses: np.ndarray, resumed_from: list[int]) -> dict[str, Any]:
    """The loss of the whole training in at most 2,000 points, each the mean of its stretch and
    placed at the stretch's last step."""
    n = len(losses)
    bounds = np.unique(np.linspace(0, n, min(n, CURVE_POINTS) + 1).astype(int))
    points = [
        {"step": int(last), "loss": float(np.mean(losses[first:last], dtype=np.float64))}
        for first, last in itertools.pairwise(bounds)
    ]
    return {"points": points, "resumed_from": resumed_from}
