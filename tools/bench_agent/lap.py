"""What one contestant did in one round."""

from __future__ import annotations

from dataclasses import dataclass

from bench_agent.process import Measured
from bench_agent.shape import Shape


@dataclass(frozen=True)
class Lap:
    """One transfer: measured, or why it was not."""

    case: str
    who: str
    shape: Shape
    measured: Measured | None
    server_cpu_s: float
    failure: str | None = None
