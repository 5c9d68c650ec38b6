"""The evaluate stage: every candidate on the same cases, with intervals, and the champion too.

`metrics.json` is read by the gate; its shape is a contract.
"""

from pathlib import Path
from typing import Any

import numpy as np

from trainer import candidates, metrics, model_files, rule
from trainer.atomic import rfc3339, write_json
from trainer.bootstrap import interval, resampled_means
from trainer.config import BASELINES, EvaluateConfig
from trainer.dataset import Interactions, read_interactions
from trainer.failure import BelowFloor, ConfigurationError, DataError
from trainer.metrics import METRICS, Candidate
from trainer.progress import Progress
from trainer.scoring import Scored, score, segment_targets, user_means
from trainer.split import REPEATS_HINT, Split, nothing_to_judge, p1_leave_one_out, p2_rolling

SCHEMA = 1
GATE_METRIC = "ndcg_at_10"
CHAMPION = "champion"  # no candidate's name, so it can stand among them
P2_TEXT = (
    "Fitted on the events before the time at which 80 % of all events lie; each later event of a "
    "user is predicted from all of that user's strictly earlier events. Users are the units."
)
P1_TEXT = (
    "Leave-one-out: each user's last new item is predicted from all before it, fitted on those "
    "earlier events of all users, which lets the future of other users leak. Comparable to papers."
)
REPEATS_TEXT = (
    " All items are ranked, ties at mid-rank. Items that the user had already are ranked and are "
    "targets too, as in what is served (`repeats` is true: "
)
RULE_TEXT = (
    " All items are ranked, ties at mid-rank. Items that the user had already are neither ranked "
    "nor targets"
)


def evaluate(
    config: EvaluateConfig, data_dir: Path, input_dir: Path, out_dir: Path, progress: Progress
) -> dict[str, Any]:
    """Scores all candidates, writes `metrics.json` and returns it."""
    progress.say("reading data")
    events = read_interactions(data_dir)
    model_dir = input_dir / "train" / "model"
    saved = model_files.load(model_dir, model_files.EVALUATED)
    if saved.about["dataset_fingerprint"] != events.fingerprint:
        raise DataError(
            f"the network must be of this dataset ({events.fingerprint}), "
            f"received: {saved.about['dataset_fingerprint']}"
        )
    # The champion is scored by this rule too: it would serve these users of this dataset.
    going_by = rule.followed(rule.written(model_dir), config.repeats, events)
    rolling = p2_rolling(events, going_by.repeats)
    if len(rolling.cases) == 0 or rolling.fit.n_events == 0:
        raise DataError(nothing_to_judge(rolling), REPEATS_HINT)

    contenders: dict[str, Candidate] = {"network": candidates.network(saved, events)}
    contenders |= {name: candidates.baselines.fit(name, rolling.fit) for name in BASELINES}
    champion, champion_text = the_champion(config, rolling, events, input_dir, contenders)
    p2 = score(contenders | champion, rolling, events, progress, hides_seen=not going_by.repeats)

    out_of_time = p1_leave_one_out(events)
    p1_contenders: dict[str, Candidate] = {
        name: candidates.baselines.fit(name, out_of_time.fit) for name in BASELINES
    }
    if config.p1_network_epochs:
        progress.say("fitting the network for P1")
        p1_contenders["network"] = candidates.network_fitted_on(
            saved, events, out_of_time.fit, config.p1_network_epochs
        )
    p1 = score(p1_contenders, out_of_time, events, progress) if len(out_of_time.cases) else None

    progress.say("resampling users")
    names = list(contenders)
    means = {name: user_means(p2, name)[GATE_METRIC].mean() for name in names}
    best = max(names, key=lambda name: (means[name], -names.index(name)))
    rule_text = REPEATS_TEXT
    if not going_by.repeats:
        rule_text = (
            f"{RULE_TEXT}, as in what is served (`repeats` is false, with {rolling.repeats} later "
            "repeats left out: "
        )
    p2_text = P2_TEXT + f"{rule_text}{going_by.reason})." + champion_text
    p1_text = P1_TEXT + RULE_TEXT + "."
    if "network" not in p1_contenders:
        p1_text += " The network was not fitted for this protocol (`p1_network_epochs` is 0)."
    report = {
        "schema": SCHEMA,
        "dataset_fingerprint": events.fingerprint,
        "gate_protocol": "p2_rolling",
        "best": best,
        rule.KEY: going_by.record(),
        "protocols": {"p2_rolling": protocol(p2, names, (best,), p2_text, config.seed)},
        "champion": None,
    }
    if p1 is not None:
        p1_names = [name for name in names if name in p1_contenders]
        p1_best = max(p1_names, key=lambda name: user_means(p1, name)[GATE_METRIC].mean())
        report["protocols"]["p1"] = protocol(p1, p1_names, (p1_best, best), p1_text, config.seed)
    if champion:
        report["champion"] = champion_report(config, p2, best)
    write_json(out_dir / "metrics.json", report)
    if config.quality_floor is not None and means[best] < config.quality_floor:
        raise BelowFloor(
            f"`{GATE_METRIC}` of the best candidate ({best}) must be at least "
            f"{config.quality_floor}, received: {means[best]:.4f}",
            "look at the data of this run: is it whole, is it recent?",
        )
    progress.say("done", 1, 1)
    return report


def the_champion(
    config: EvaluateConfig,
    split: Split,
    events: Interactions,
    input_dir: Path,
    contenders: dict[str, Candidate],
) -> tuple[dict[str, Candidate], str]:
    """The champion as one more candidate, and what its description must admit."""
    folder = input_dir / "champion"
    name = config.champion_candidate
    if name is None:
        if folder.exists():
            raise ConfigurationError(
                "`champion_candidate` must be set where `champion/` is an input, received nothing"
            )
        return {}, ""
    if name in BASELINES:
        # A baseline serves refitted on each run's data, so on this split it is our own one.
        return {CHAMPION: contenders[name]}, ""
    saved = model_files.load(folder / "model", model_files.EVALUATED)
    text = ""
    if saved.about["split_at"] > rfc3339(split.at_ms):
        text = (
            f" The champion was fitted on events up to {saved.about['split_at']}, after this "
            "split, and is flattered by what it saw."
        )
    return {CHAMPION: candidates.network(saved, events)}, text


def protocol(
    scored: Scored, names: list[str], leading: tuple[str, ...], description: str, seed: int
) -> dict[str, Any]:
    """The report of one protocol; those `leading`, and the network, are set against all others."""
    by_name = {name: user_means(scored, name) for name in names}
    columns = [(name, metric) for name in names for metric in METRICS]
    table = np.stack([by_name[name][metric] for name, metric in columns], axis=1)
    drawn = dict(zip(columns, resampled_means(table, seed).T, strict=True))
    mean = dict(zip(columns, table.mean(axis=0), strict=True))
    first = [name for name in dict.fromkeys((*leading, "network")) if name in names]
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
        "segments": segments(scored, names, seed),
    }


def estimate(mean: float, drawn: np.ndarray) -> dict[str, float]:
    """A mean with its 95 % interval."""
    low, high = interval(drawn)
    return {"mean": float(mean), "low": low, "high": high}


def segments(scored: Scored, names: list[str], seed: int) -> list[dict[str, Any]]:
    """The gate's metric by how much was known of the user, and by how popular the target is."""
    rows = []
    for name, targets in segment_targets(scored):
        users = len(np.unique(scored.target_user[targets]))
        if users == 0:
            continue
        table = np.stack([user_means(scored, one, targets)[GATE_METRIC] for one in names], axis=1)
        drawn = resampled_means(table, seed)
        rows.append(
            {
                "name": name,
                "users": users,
                "share": users / len(scored.users),
                "candidates": {
                    one: {GATE_METRIC: estimate(table[:, i].mean(), drawn[:, i])}
                    for i, one in enumerate(names)
                },
            }
        )
    return rows


def champion_report(config: EvaluateConfig, scored: Scored, best: str) -> dict[str, Any]:
    """The champion re-scored on this split, and the challenger against it."""
    ours, theirs = user_means(scored, best)[GATE_METRIC], user_means(scored, CHAMPION)[GATE_METRIC]
    drawn = resampled_means(np.stack([ours, theirs], axis=1), config.seed)
    outcome = scored.outcomes[CHAMPION]
    rows = []
    for name, targets in segment_targets(scored):
        users = len(np.unique(scored.target_user[targets]))
        if users == 0:
            continue
        champion = float(user_means(scored, CHAMPION, targets)[GATE_METRIC].mean())
        challenger = float(user_means(scored, best, targets)[GATE_METRIC].mean())
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
    return {
        "run_id": config.champion_run_id or "",
        "candidate": config.champion_candidate,
        GATE_METRIC: estimate(theirs.mean(), drawn[:, 1]),
        "paired": {
            "metric": GATE_METRIC,
            **estimate((ours - theirs).mean(), drawn[:, 0] - drawn[:, 1]),
        },
        "relative_gain": relative(float(ours.mean()), float(theirs.mean())),
        "coverage": metrics.coverage(outcome),
        "popularity_lift": metrics.popularity_lift(outcome, scored.counts),
        "segments": rows,
    }


def relative(new: float, old: float) -> float:
    """The gain as a share of the old value; against nothing, any gain counts as a whole one."""
    if old > 0:
        return new / old - 1.0
    return 1.0 if new > 0 else 0.0
