"""What was measured, as `metrics.json` says it: one protocol, and the champion against the best.

Pure: the same scores and seed, the same report.
"""

from typing import Any

import numpy as np

from trainer import metrics
from trainer.alive import Alive, silent
from trainer.atomic import rfc3339
from trainer.bootstrap import interval, resampled_means
from trainer.metrics import METRICS
from trainer.scoring import Scored, coarse_segments, fine_segments, user_means

CHAMPION = "champion"  # no candidate's name, so it can stand among them
EVERYBODY = "network"  # set against all others whether or not it leads


def protocol(
    scored: Scored,
    names: list[str],
    leading: tuple[str, ...],
    description: str,
    gate_metric: str,
    seed: int,
    alive: Alive = silent,
) -> dict[str, Any]:
    """The report of one protocol; those `leading`, and the network, are set against all others."""
    by_name = {name: user_means(scored, name) for name in names}
    columns = [(name, metric) for name in names for metric in METRICS]
    table = np.stack([by_name[name][metric] for name, metric in columns], axis=1)
    drawn = dict(zip(columns, resampled_means(table, seed, alive=alive).T, strict=True))
    mean = dict(zip(columns, table.mean(axis=0), strict=True))
    first = [name for name in dict.fromkeys((*leading, EVERYBODY)) if name in names]
    pairs = [
        (one, other)
        for place, one in enumerate(first)
        for other in names
        if other != one and other not in first[:place]
    ]
    return {
        "users": len(scored.users),
        "events": len(scored.split.cases.target_row),
        "split_at": rfc3339(scored.split.at_ms),
        "description": description,
        "candidates": {
            name: {
                **{metric: estimate(mean[name, metric], drawn[name, metric]) for metric in METRICS},
                "coverage": {"mean": metrics.coverage(scored.outcomes[name])},
                "popularity_lift": {
                    "mean": metrics.popularity_lift(scored.outcomes[name], scored.counts)
                },
            }
            for name in names
        },
        "paired": [
            {
                "candidate": one,
                "against": other,
                "metric": metric,
                **estimate(
                    mean[one, metric] - mean[other, metric],
                    drawn[one, metric] - drawn[other, metric],
                ),
            }
            for one, other in pairs
            for metric in METRICS
        ],
        "segments": segments(scored, names, gate_metric, seed, alive),
    }


def estimate(mean: float, drawn: np.ndarray) -> dict[str, float]:
    """A mean with its 95 % interval."""
    low, high = interval(drawn)
    return {"mean": float(mean), "low": low, "high": high}


def segments(
    scored: Scored, names: list[str], gate_metric: str, seed: int, alive: Alive = silent
) -> list[dict[str, Any]]:
    """The gate's metric by how much was known of the user, and by how popular the target is."""
    rows = []
    for name, targets in fine_segments(scored):
        users = len(np.unique(scored.target_user[targets]))
        if users == 0:
            continue
        table = np.stack([user_means(scored, one, targets)[gate_metric] for one in names], axis=1)
        drawn = resampled_means(table, seed, alive=alive)
        rows.append(
            {
                "name": name,
                "users": users,
                "share": users / len(scored.users),
                "candidates": {
                    one: {gate_metric: estimate(table[:, i].mean(), drawn[:, i])}
                    for i, one in enumerate(names)
                },
            }
        )
    return rows


def champion_report(
    run_id: str,
    candidate: str,
    can_serve: bool,
    scored: Scored,
    best: str,
    gate_metric: str,
    seed: int,
    alive: Alive = silent,
) -> dict[str, Any]:
    """The champion re-scored on this split, and the challenger against it. One that cannot serve
    this data any more has no lists, so nothing is said about them."""

    def by_user(name: str, targets: np.ndarray | None = None) -> np.ndarray:
        return user_means(scored, name, targets)[gate_metric]

    ours, theirs = by_user(best), by_user(CHAMPION)
    drawn = resampled_means(np.stack([ours, theirs], axis=1), seed, alive=alive)
    outcome = scored.outcomes[CHAMPION]
    rows = []
    for name, targets in coarse_segments(scored):
        users = len(np.unique(scored.target_user[targets]))
        if users == 0:
            continue
        champion = float(by_user(CHAMPION, targets).mean())
        challenger = float(by_user(best, targets).mean())
        rows.append(
            {
                "name": name,
                "users": users,
                "share": users / len(scored.users),
                "champion": champion,
                "challenger": challenger,
                "relative_change": relative(challenger, champion),
            }
        )
    lists = {
        "coverage": metrics.coverage(outcome),
        "popularity_lift": metrics.popularity_lift(outcome, scored.counts),
    }
    return {
        "run_id": run_id,
        "candidate": candidate,
        gate_metric: estimate(theirs.mean(), drawn[:, 1]),
        "paired": {
            "metric": gate_metric,
            **estimate((ours - theirs).mean(), drawn[:, 0] - drawn[:, 1]),
        },
        "relative_gain": relative(float(ours.mean()), float(theirs.mean())),
        **(lists if can_serve else {}),
        "segments": rows,
    }


def relative(new: float, old: float) -> float:
    """The gain as a share of the old value; against nothing, any gain counts as a whole one."""
    if old > 0:
        return new / old - 1.0
    return 1.0 if new > 0 else 0.0
