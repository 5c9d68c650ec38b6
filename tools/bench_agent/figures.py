"""Rows of the table from the laps: medians of each case and contestant."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median
from typing import Any

from bench_agent.lap import Lap

# In "1 file of 1 byte" and the empty job throughput means nothing.
LEAST_BYTES = 1_000_000


def rows(laps: list[Lap]) -> list[dict[str, Any]]:
    """One row for each case and contestant, in the order in which they first came."""
    groups: dict[tuple[str, str], list[Lap]] = {}
    for lap in sorted(laps, key=lambda lap: first(laps, lap)):
        groups.setdefault((lap.case, lap.who), []).append(lap)
    return [row(case, who, group) for (case, who), group in groups.items()]


def first(laps: list[Lap], lap: Lap) -> tuple[int, int]:
    """By case, then by contestant."""
    cases = [other.case for other in laps]
    names = [other.who for other in laps if other.case == lap.case]
    return cases.index(lap.case), names.index(lap.who)


def row(case: str, who: str, laps: list[Lap]) -> dict[str, Any]:
    """Medians; without a figure where a lap failed: half a contestant is none."""
    shape = laps[0].shape
    counts = shape.size_bytes >= LEAST_BYTES
    measured = [lap.measured for lap in laps if lap.measured]
    whole = len(measured) == len(laps)
    wall_s = median(one.wall_s for one in measured) if whole else None

    def of(values: Iterable[float], digits: int) -> float | None:
        return round(median(values), digits) if whole else None

    return {
        "case": case,
        "who": who,
        "mb_per_s": round(shape.size_bytes / 1e6 / wall_s, 1) if wall_s and counts else None,
        "files_per_s": round(shape.n_files / wall_s, 1) if wall_s and counts else None,
        "wall_s": of((one.wall_s for one in measured), 3),
        "slowest_s": round(max(one.wall_s for one in measured), 3) if whole else None,
        "cpu_s": of((one.cpu_s for one in measured), 3),
        "peak_mib": of((one.peak_bytes / 2**20 for one in measured), 1),
        "server_cpu_s": of((lap.server_cpu_s for lap in laps), 2),
    }


def failures(laps: list[Lap]) -> list[str]:
    """Each once, as a sentence."""
    told = dict.fromkeys(f"{lap.case}: {lap.who} {lap.failure}" for lap in laps if lap.failure)
    return [f"No figure: {' '.join(sentence.split())}" for sentence in told]


def raw(laps: list[Lap]) -> list[dict[str, Any]]:
    """Every lap in its order."""
    return [
        {
            "case": lap.case,
            "who": lap.who,
            "wall_s": lap.measured.wall_s,
            "cpu_s": lap.measured.cpu_s,
            "peak_bytes": lap.measured.peak_bytes,
            "server_cpu_s": lap.server_cpu_s,
        }
        for lap in laps
        if lap.measured
    ]
