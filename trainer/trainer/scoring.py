"""All candidates of one protocol on the same cases, and what came of it by user.

The candidates are told apart by name only; nothing here knows which of them is better.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from trainer import metrics
from trainer.alive import Alive, silent
from trainer.dataset import Interactions
from trainer.failure import Unfitting
from trainer.metrics import Candidate, Outcome
from trainer.split import Split

Make = Callable[[], Candidate]  # raises `Unfitting` where it cannot be fitted


@dataclass(frozen=True)
class Scored:
    """All candidates of one protocol, by user and metric."""

    split: Split
    users: np.ndarray
    outcomes: dict[str, Outcome]
    counts: np.ndarray  # how often each item occurs in what was fitted on

    @property
    def target_user(self) -> np.ndarray:
        """The user of each target."""
        return self.split.cases.user[self.split.cases.target_row]


def score(
    contenders: Mapping[str, Make],
    split: Split,
    events: Interactions,
    alive: Alive = silent,
    hides_seen: bool = True,
) -> tuple[Scored, dict[str, str]]:
    """Ranks all targets by all candidates; those that cannot be fitted are left out, and why.

    Each is made when its turn comes and let go before the next one: a fitted baseline may be as
    large as the catalogue's square, and all of them together are beyond a usual host.
    """
    outcomes, left_out = {}, {}
    for name, make in contenders.items():
        try:
            outcomes[name] = ranked(name, make(), split, events, alive, hides_seen)
        except Unfitting as reason:
            left_out[name] = str(reason)
    counts = np.bincount(split.fit.item, minlength=events.n_items).astype(np.float64)
    return Scored(split, np.unique(split.cases.user), outcomes, counts), left_out


def ranked(
    name: str,
    contender: Candidate,
    split: Split,
    events: Interactions,
    alive: Alive = silent,
    hides_seen: bool = True,
) -> Outcome:
    """Ranks all targets by one candidate, whom signs of life and errors call `name`."""
    place = (events.item, split.cases, events.n_items, hides_seen)
    return metrics.run_candidate(contender, *place, alive, f"scoring {name}")


def user_means(
    scored: Scored, name: str, targets: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Each metric by user, over all targets or those of `targets`."""
    user, ranks = scored.target_user, scored.outcomes[name].ranks
    if targets is not None:
        user, ranks = user[targets], ranks[targets]
    users = np.unique(user)
    return {
        metric: metrics.per_user(values, user, users)
        for metric, values in metrics.metric_values(ranks).items()
    }


def history_segments(scored: Scored) -> list[tuple[str, np.ndarray]]:
    """By how many events of the user were fitted on: names, and which targets belong to each."""
    known = np.diff(scored.split.fit.offsets)[scored.target_user]
    return [
        ("history 0", known == 0),
        ("history 1-10", (known >= 1) & (known <= 10)),
        ("history 11-50", (known >= 11) & (known <= 50)),
        ("history over 50", known > 50),
    ]


def target_decile(scored: Scored) -> np.ndarray:
    """The popularity decile of each target, 0 for the tenth of all items that is fitted on most."""
    by_count = np.argsort(-scored.counts, kind="stable")
    decile = np.empty(len(by_count), np.int64)
    decile[by_count] = np.arange(len(by_count)) * 10 // len(by_count)
    return decile[scored.split.cases.target_item]


def fine_segments(scored: Scored) -> list[tuple[str, np.ndarray]]:
    """For people: history lengths, and each decile."""
    decile = target_decile(scored)
    deciles = [(f"item decile {number + 1}", decile == number) for number in range(10)]
    return history_segments(scored) + deciles


def coarse_segments(scored: Scored) -> list[tuple[str, np.ndarray]]:
    """For the gate, which a few targets of one decile must not close: deciles in groups."""
    decile = target_decile(scored)
    return [
        *history_segments(scored),
        ("item decile 1", decile == 0),
        ("item deciles 2-5", (decile >= 1) & (decile <= 4)),
        ("item deciles 6-10", decile >= 5),
    ]
