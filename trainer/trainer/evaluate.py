"""The evaluate stage: every candidate on the same cases, with intervals, and the champion too.

`metrics.json` is read by the gate; its shape is a contract. Beside it lies the model card.
"""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from trainer import candidates, fan_out, kept_fits, measured, model_files, rule
from trainer.alive import Alive, Steps
from trainer.atomic import rfc3339, write_bytes, write_json
from trainer.baselines import Silent
from trainer.config import BASELINES, EvaluateConfig
from trainer.dataset import Interactions, read_interactions
from trainer.evaluation_card import evaluation_card
from trainer.failure import BelowFloor, ConfigurationError, DataError
from trainer.judged_users import judged
from trainer.measured import CHAMPION
from trainer.metrics import Candidate, blocks_of
from trainer.progress import Progress
from trainer.scoring import Make, ranked, score, user_means
from trainer.split import REPEATS_HINT, Split, nothing_to_judge, p1_leave_one_out, p2_rolling

SCHEMA = 1
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
    rolling, p2_judged = judged(rolling, events.user_ids, config.seed)
    out_of_time, p1_judged = judged(p1_leave_one_out(events), events.user_ids, config.seed)
    alive = Steps(progress)
    alive.plan(
        (len(BASELINES) + 1)
        * sum(blocks_of(split.cases, events.n_items) for split in (rolling, out_of_time))
    )

    champion = the_champion(config, rolling, events, input_dir)
    contenders = {
        "network": partial(candidates.network, saved, events),
        **fitting(rolling.fit, alive),
    }
    hides_seen = not going_by.repeats
    p2, left_out = score(contenders, rolling, events, alive, hides_seen)
    names = list(p2.outcomes)
    if champion is not None:
        champion = unless_left_out(champion, left_out, events)
        outcome = (
            p2.outcomes[champion.name]
            if champion.candidate is None
            else ranked(CHAMPION, champion.candidate, rolling, events, alive, hides_seen)
        )
        p2 = replace(p2, outcomes={**p2.outcomes, CHAMPION: outcome})

    p1_contenders = fitting(out_of_time.fit, alive)
    if config.p1_network_epochs:
        p1_contenders["network"] = partial(
            candidates.network_fitted_on,
            saved,
            events,
            out_of_time.fit,
            config.p1_network_epochs,
            alive,
        )
    p1 = None
    if len(out_of_time.cases):
        p1, _ = score(p1_contenders, out_of_time, events, alive)

    metric = config.gate_metric
    means = {name: user_means(p2, name)[metric].mean() for name in names}
    best = max(names, key=lambda name: (means[name], -names.index(name)))
    rule_text = REPEATS_TEXT
    if not going_by.repeats:
        rule_text = (
            f"{RULE_TEXT}, as in what is served (`repeats` is false, with {rolling.repeats} later "
            "repeats left out: "
        )
    p2_text = P2_TEXT + f"{rule_text}{going_by.reason})." + p2_judged
    p2_text += champion.text if champion else ""
    p1_text = P1_TEXT + RULE_TEXT + "." + p1_judged
    if not config.p1_network_epochs:
        p1_text += " The network was not fitted for this protocol (`p1_network_epochs` is 0)."
    report = {
        "schema": SCHEMA,
        "dataset_fingerprint": events.fingerprint,
        "gate_protocol": "p2_rolling",
        "gate_metric": metric,
        "best": best,
        rule.KEY: going_by.record(),
        "left_out": left_out,
        "protocols": {
            "p2_rolling": measured.protocol(p2, names, (best,), p2_text, metric, config.seed, alive)
        },
        "champion": None,
        "fan_out": fan_out.estimate(names, events.n_users, events.n_items, saved.config),
    }
    if p1 is not None:
        p1_names = [name for name in names if name in p1.outcomes]
        p1_best = max(p1_names, key=lambda name: user_means(p1, name)[metric].mean())
        leading = (p1_best, best)
        report["protocols"]["p1"] = measured.protocol(
            p1, p1_names, leading, p1_text, metric, config.seed, alive
        )
    if champion is not None:
        report["champion"] = measured.champion_report(
            config.champion_run_id or "",
            champion.name,
            champion.can_serve,
            p2,
            best,
            metric,
            config.seed,
            alive,
        )
    write_json(out_dir / "metrics.json", report)
    card = evaluation_card(saved.about, report)
    write_bytes(out_dir / "model-card.md", card.encode())
    if config.quality_floor is not None and means[best] < config.quality_floor:
        raise BelowFloor(
            f"`{metric}` of the best candidate ({best}) must be at least "
            f"{config.quality_floor}, received: {means[best]:.4f}",
            "look at the data of this run: is it whole, is it recent?",
        )
    keep_what_may_serve(champion, best, events, out_dir, alive)
    progress.say("done", alive.step + 1, alive.step + 1)
    return report


def fitting(fit: Interactions, alive: Alive) -> dict[str, Make]:
    """The baselines by name, each to be fitted when its turn comes."""
    return {name: partial(fitted, name, fit, alive) for name in BASELINES}


def fitted(name: str, fit: Interactions, alive: Alive) -> Candidate:
    """One baseline."""
    alive(f"fitting {name}")
    return candidates.baselines.fit(name, fit, alive)


@dataclass(frozen=True)
class Champion:
    """The champion as one more candidate, and what the protocol's description must admit."""

    name: str
    candidate: Candidate | None  # a baseline serves refitted on each run's data: it is our own one
    text: str = ""
    can_serve: bool = True


def the_champion(
    config: EvaluateConfig, split: Split, events: Interactions, input_dir: Path
) -> Champion | None:
    """The champion on this split, if there is one."""
    folder = input_dir / "champion"
    name = config.champion_candidate
    if name is None:
        if folder.exists():
            raise ConfigurationError(
                "`champion_candidate` must be set where `champion/` is an input, received nothing"
            )
        return None
    if name in BASELINES:
        return Champion(name, None)
    saved = model_files.load(folder / "model", model_files.EVALUATED)
    try:
        network = candidates.network(saved, events)
    except ConfigurationError as refusal:
        # Its code is not what it was, and no later run would be judged if that ended this one.
        text = f" The champion, {name}, cannot serve any more and scores nothing: {refusal.reason}."
        return Champion(name, Silent(events.n_items), text, can_serve=False)
    text = ""
    if saved.about["split_at"] > rfc3339(split.at_ms):
        text = (
            f" The champion was fitted on events up to {saved.about['split_at']}, after this "
            "split, and is flattered by what it saw."
        )
    return Champion(name, network, text)


def unless_left_out(champion: Champion, left_out: dict[str, str], events: Interactions) -> Champion:
    """The champion, or one that scores nothing where it is among those `left_out`."""
    name = champion.name
    if name not in left_out:
        return champion
    text = f" The champion, {name}, cannot be fitted any more and scores nothing: {left_out[name]}."
    return Champion(name, Silent(events.n_items), text, can_serve=False)


def keep_what_may_serve(
    champion: Champion | None, best: str, events: Interactions, out_dir: Path, alive: Alive
) -> None:
    """Fits on all events what the gate may choose, once for all shards, and writes it."""
    may_serve = [best]
    if champion is not None and champion.can_serve:
        may_serve.append(champion.name)
    for name in dict.fromkeys(may_serve):
        if name in kept_fits.KEPT:
            alive(f"fitting {name} on all events")
            made = candidates.baseline(name, events, alive)
            kept_fits.keep(out_dir / kept_fits.FOLDER, name, made, events.fingerprint)
            del made  # before the other one is fitted
