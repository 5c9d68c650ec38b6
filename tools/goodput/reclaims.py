"""When hosts are taken back: drawn from a seed, or as it really was."""

from __future__ import annotations

import bisect
import json
import math
import random
from dataclasses import dataclass
from pathlib import Path

from goodput.costs import HOUR
from goodput.simulation import LONGEST_S, Ends


def drawn(seed: int, mean_s: float) -> Ends:
    """Hosts are taken back every `mean_s` on average, without memory; the same for everybody."""
    draw = random.Random(seed)
    times, now = [], 0.0
    while now < 2 * LONGEST_S:
        now += draw.expovariate(1 / mean_s)
        times.append(now)

    def end(begin: float) -> float:
        return times[bisect.bisect_right(times, begin)]

    return end


@dataclass(frozen=True)
class Trace:
    """Where Spot capacity was: `[begin, end)` of each stretch that had it, in seconds."""

    name: str
    ups: tuple[tuple[float, float], ...]
    length_s: float

    def ends(self) -> Ends:
        """On the clock of the stretches with capacity alone: waiting is left out."""
        bounds, total = [], 0.0
        for begin, end in self.ups:
            total += end - begin
            bounds.append(total)

        def end_of(begin: float) -> float:
            at = bisect.bisect_right(bounds, begin)
            # The trace's own end is no reclaim.
            return bounds[at] if at < len(bounds) - 1 else math.inf

        return end_of

    def up_s(self) -> float:
        """Seconds with capacity."""
        return sum(end - begin for begin, end in self.ups)


def traces(folder: Path) -> list[Trace]:
    """Every trace of AWS, which gives two minutes of notice; none where there is no folder."""
    found = []
    for path in sorted(folder.glob("*-aws*.json")):
        document = json.loads(path.read_text())
        is_up, at, ups = bool(document["availability"]["first"]), 0, []
        for ticks in document["availability"]["runs"]:
            if is_up:
                ups.append((at * document["gap_seconds"], (at + ticks) * document["gap_seconds"]))
            is_up, at = not is_up, at + ticks
        found.append(Trace(path.stem, tuple(ups), at * document["gap_seconds"]))
    return found


def starts(trace: Trace, work_s: float, every_s: float = 12 * HOUR) -> list[float]:
    """Times on the trace's clock of capacity at which a job begins and has twice its work left."""
    last = trace.up_s() - 2 * work_s
    return [n * every_s for n in range(max(0, math.floor(last / every_s) + 1))]
