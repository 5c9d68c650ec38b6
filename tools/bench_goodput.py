"""Goodput of a long job on Spot: ours, `BackupAndRestore`, and no checkpoints.

    PYTHONPATH=trainer python tools/bench_goodput.py [--seeds 101] [--traces FOLDER] [--real N]

Simulated on a virtual clock with the trainer's own checkpoint interval (`tools/goodput/`). With
`--real`, a job of about a minute is trained N times under the real agent in a local cloud that
takes its hosts back, and simulated with the costs and reclaims that were seen. Prints a table and
writes JSON (tools/bench_format.md). Figures, never a pass or a fail.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from goodput import reclaims
from goodput.costs import HOUR, Costs
from goodput.real import compared
from goodput.simulation import Outcome, Policy, epochs_only, from_scratch, ours, run

ROOT = Path(__file__).resolve().parents[1]
Row = dict[str, Any]
FIRST_SEED = 1

OURS = "trainspot"
CONTESTANTS: list[tuple[str, Policy, Callable[[Costs], Costs]]] = [
    (OURS, ours, lambda costs: costs),
    ("trainspot, hosts go unannounced", ours, lambda costs: replace(costs, notice_s=None)),
    (
        "BackupAndRestore, 6 min epochs",
        epochs_only,
        lambda costs: replace(costs, epoch_s=HOUR / 10),
    ),
    ("BackupAndRestore, 30 min epochs", epochs_only, lambda costs: costs),
    ("from scratch", from_scratch, lambda costs: costs),
]
CASES = [
    ("one reclaim an hour", Costs(), HOUR),
    ("one reclaim an hour, start in 1 min", replace(Costs(), cold_start_s=60.0), HOUR),
    ("one reclaim in three hours", Costs(), 3 * HOUR),
]


def row(case: str, who: str, outcomes: list[Outcome]) -> Row:
    """Medians over the outcomes. A job that never ends has goodput 0."""
    goodputs = sorted(100 * outcome.goodput for outcome in outcomes)
    ended_n = sum(outcome.is_done for outcome in outcomes)

    def hours(of: Callable[[Outcome], float]) -> float | None:
        """None where the median is of a job that never ended."""
        median = statistics.median(of(outcome) for outcome in outcomes) / HOUR
        return round(median, 3) if 2 * ended_n > len(outcomes) else None

    return {
        "case": case,
        "who": who,
        "goodput_percent": round(statistics.median(goodputs), 2),
        "worst_percent": round(goodputs[0], 2),
        "best_percent": round(goodputs[-1], 2),
        "host_h": hours(lambda outcome: outcome.host_s),
        "repeated_h": hours(lambda outcome: outcome.repeated_s),
        "reclaims_n": statistics.median(outcome.reclaims for outcome in outcomes),
        "ended_n": ended_n,
        "jobs_n": len(outcomes),
    }


def simulated(n_seeds: int) -> list[Row]:
    """Every case and contestant, over the same reclaims."""
    rows = []
    for case, costs, mean_s in CASES:
        for who, policy, change in CONTESTANTS:
            seeds = range(FIRST_SEED, FIRST_SEED + n_seeds)
            outcomes = [run(policy, change(costs), reclaims.drawn(seed, mean_s)) for seed in seeds]
            rows.append(row(case, who, outcomes))
    return rows


def on_traces(folder: Path) -> tuple[list[Row], str]:
    """On capacity as it was, and what to say of it."""
    found = reclaims.traces(folder)
    begins = [(trace, at) for trace in found for at in reclaims.starts(trace, Costs().work_s)]
    if not begins:
        return [], f"Left out: there are no traces of AWS's Spot capacity in `{folder.name}`."
    rows = []
    for who, policy, change in CONTESTANTS:
        outcomes = [
            run(policy, change(Costs()), trace.ends(), at, has_others=False) for trace, at in begins
        ]
        rows.append(row("Spot capacity as it was", who, outcomes))
    note = (
        f"Spot capacity as it was: {len(begins)} jobs, begun every 12 h in {len(found)} traces of "
        "AWS p3.2xlarge (Wu et al., NSDI 2024; SkyNomad artifact, NSDI 2027; Apache-2.0), each "
        "stretch with capacity one host."
    )
    return rows, note


def table(rows: list[Row]) -> str:
    """For a terminal."""
    keys = list(rows[0])
    lines = [
        keys,
        *([("-" if row[key] is None else str(row[key])) for key in keys] for row in rows),
    ]
    widths = [max(len(line[at]) for line in lines) for at in range(len(keys))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if at < 2 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=101, help="how many jobs of each case")
    parser.add_argument("--traces", type=Path, help="folder with Spot traces (spotbench-1)")
    parser.add_argument(
        "--real", type=int, default=0, help="how many trainings under the real agent"
    )
    options = parser.parse_args()

    rows = simulated(options.seeds)
    notes = [
        f"Goodput is work over hosts' time, waiting not counted; medians of {options.seeds} seeds, "
        "reclaims drawn exponentially, the same for all. Not done after 720 h counts as 0.",
        "Costs in seconds, none measured on a GPU (tools/goodput/costs.py has the sources): "
        + ", ".join(f"{name} {value:.2f}" for name, value in asdict(Costs()).items()),
        "BackupAndRestore is given storage that outlives the host at no cost.",
    ]
    if options.traces:
        more, note = on_traces(options.traces)
        rows += more
        notes.append(note)
    rounds = []
    for seed in range(FIRST_SEED, FIRST_SEED + options.real):
        real, simulated_beside, facts = compared(ROOT, seed)
        case = f"a real minute, seed {seed}"
        rows += [row(case, OURS, [real]), row(case, "the same, simulated", [simulated_beside])]
        rounds.append(facts)
    print(table(rows))
    for note in notes:
        print(f"- {note}")
    document = {
        "bench": "goodput",
        "title": "Goodput of a 10 h job on Spot",
        "command": "make bench-goodput",
        "versions": {"python": sys.version.split()[0]},
        "compare": {"figure": "goodput_percent", "better": "more", "ours": OURS},
        "notes": notes,
        "rows": rows,
        "rounds": rounds,
    }
    out = Path(os.environ.get("BENCH_OUT") or ROOT / ".trainspot/bench")
    out.mkdir(parents=True, exist_ok=True)
    (out / "goodput.json").write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
