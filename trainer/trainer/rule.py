"""Whether the items that a user had already count: one rule for all stages of a run.

`train` decides it once, by the events before the split, and writes it beside the model; the stages
after it follow what is written, so that what is measured is what is served. The rows that must be
predicted never take part: they must not choose how they are counted.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trainer.config import AUTO, Repeats
from trainer.dataset import Interactions
from trainer.failure import ConfigurationError, DataError
from trainer.split import before_split, is_first, once_a_moment

# Where a user never comes back (ratings) the share is 0, and in a shop's year it is tens of per
# cent. At a tenth, leaving returns out would ignore one event in ten of those to be predicted.
REPEAT_SHARE = 0.10
KEY = "rule"
BY_DATA, BY_PARAMS = "data", "params"
KINDS = {
    "repeats": bool,
    "decided_by": str,
    "repeat_share": float,
    "threshold": float,
    "run_id": str,
    "dataset_fingerprint": str,
}


@dataclass(frozen=True)
class Rule:
    """The decision, what it rests on, and of which run and dataset it is."""

    repeats: bool
    decided_by: str  # the data, or the params
    repeat_share: float
    threshold: float
    run_id: str
    dataset_fingerprint: str

    @property
    def by_data(self) -> bool:
        """What the share says, whatever was decided."""
        return self.repeat_share >= self.threshold

    @property
    def reason(self) -> str:
        """Why it is so, for a person."""
        side = "at or above" if self.by_data else "below"
        share = (
            f"{100 * self.repeat_share:.1f} % of the events before the split return to an item "
            f"that their user had before, {side} the threshold of {100 * self.threshold:.0f} %"
        )
        if self.decided_by == BY_DATA:
            return share
        told = f"the params say so; {share}"
        return told if self.repeats == self.by_data else f"{told}, which would decide otherwise"

    def record(self) -> dict[str, Any]:
        """As it is written beside the model and into each report."""
        return {**asdict(self), "reason": self.reason}


def repeat_share(fit: Interactions) -> float:
    """The share of events whose user had their item at an earlier moment. The same item twice at
    one moment is one event: a line that was written twice is nobody coming back."""
    events = once_a_moment(fit)
    return float((events & ~is_first(fit)).sum() / max(events.sum(), 1))


def decide(events: Interactions, asked: Repeats = AUTO, run_id: str = "") -> Rule:
    """The rule of this dataset, unless the params tell one."""
    share = repeat_share(before_split(events))
    return Rule(
        repeats=share >= REPEAT_SHARE if asked == AUTO else bool(asked),
        decided_by=BY_DATA if asked == AUTO else BY_PARAMS,
        repeat_share=share,
        threshold=REPEAT_SHARE,
        run_id=run_id,
        dataset_fingerprint=events.fingerprint,
    )


def written(model_dir: Path) -> Rule | None:
    """What `train` wrote beside this model. Nothing where there is no model, or an old one."""
    path = model_dir / "config.json"
    if not path.is_file():
        return None
    shown = f"{model_dir.parent.name}/{model_dir.name}/{path.name}"
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"`{shown}` must be readable ({error})") from error
    return parsed(about[KEY], shown) if isinstance(about, dict) and KEY in about else None


def parsed(record: Any, shown: str) -> Rule:
    """A record that an earlier stage wrote into the file `shown`."""
    for name, kind in KINDS.items():
        if not isinstance(record, dict) or not isinstance(record.get(name), kind):
            raise DataError(f"`{shown}` must hold a `{KEY}` with `{name}` ({kind.__name__})")
    rule = Rule(**{name: record[name] for name in KINDS})
    if rule.decided_by not in (BY_DATA, BY_PARAMS):
        raise DataError(
            f"`{shown}`: `decided_by` must be {BY_DATA} or {BY_PARAMS}, received: {rule.decided_by}"
        )
    if rule.decided_by == BY_DATA and rule.repeats != rule.by_data:
        raise DataError(f"`{shown}` must hold a `{KEY}` that agrees with itself: {rule.reason}")
    return rule


def followed(rule: Rule | None, asked: Repeats, events: Interactions, run_id: str = "") -> Rule:
    """The rule of a stage after `train` of the same run. A model without a record is older than
    records are, and the dataset decides here as it would have there."""
    if rule is None:
        return decide(events, asked, run_id)
    refuse_contradiction(rule, asked)
    return rule


def served(rule: Rule | None, asked: Repeats, events: Interactions, run_id: str) -> Rule:
    """The rule to recommend by. The model may be the champion's, of an earlier run and dataset:
    then this dataset decides, as it did when the champion was scored again, unless the params tell
    a rule, or told the champion's run one."""
    if rule is None or (rule.run_id, rule.dataset_fingerprint) == (run_id, events.fingerprint):
        return followed(rule, asked, events, run_id)
    if asked == AUTO and rule.decided_by == BY_PARAMS:
        asked = rule.repeats
    return decide(events, asked, run_id)


def refuse_contradiction(rule: Rule, asked: Repeats) -> None:
    """Refuses params that tell another rule than the one that the run goes by."""
    if asked not in (AUTO, rule.repeats):
        raise ConfigurationError(
            f"`repeats` must be {json.dumps(AUTO)} or {json.dumps(rule.repeats)} as train wrote, "
            f"received: {json.dumps(asked)}",
            f"train's reason: {rule.reason}; to have the other rule, set it in train's params",
        )


def refuse_unlike_data(rule: Rule, events: Interactions, shown: str) -> None:
    """Refuses a record that says the data decided, where the data decides otherwise."""
    by_data = repeat_share(before_split(events)) >= rule.threshold
    if rule.decided_by == BY_DATA and rule.repeats != by_data:
        raise DataError(
            f"{shown}: `repeats` must be {json.dumps(by_data)} by this dataset, "
            f"received: {json.dumps(rule.repeats)}"
        )
