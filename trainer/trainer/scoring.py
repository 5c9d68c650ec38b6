"""All candidates of one protocol on the same cases, and what came of it by user.

The candidates are told apart by name only; nothing here knows which of them is better.
"""

from dataclasses import dataclass

import numpy as np

from trainer import metrics
from trainer.dataset import Interactions
from trainer.metrics import Candidate, Outcome
from trainer.progress import Progress
from trainer.split import Split


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
    contenders: dict[str, Candidate],
    split: Split,
    events: Interactions,
    progress: Progress,
    hides_seen: bool = True,
) -> Scored:
    """Ranks all targets by all candidates; the same candidate under two names is run once."""
    done: dict[int, Outcome] = {}
    outcomes = {}
    for number, (name, contender) in enumerate(contenders.items()):
        progress.say(f"scoring {name}", number, len(contenders))
        if id(contender) not in done:
            done[id(contender)] = metrics.run_candidate(
                contender, events.item, split.cases, events.n_items, hides_seen
            )
        outcomes[name] = done[id(contender)]
    counts = np.bincount(split.fit.item, minlength=events.n_items).astype(np.float64)
    return Scored(split, np.unique(split.cases.user), outcomes, counts)


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


def segment_targets(scored: Scored) -> list[tuple[str, np.ndarray]]:
    """Names of segments and which targets belong to each."""
    fit = scored.split.fit
    known = np.diff(fit.offsets)[scored.target_user]
    by_count = np.argsort(-scored.counts, kind="stable")
    decile = np.empty(len(by_count), np.int64)
    decile[by_count] = np.arange(len(by_count)) * 10 // len(by_count)
    of_target = decile[scored.split.cases.target_item]
    return [
        ("history 0", known == 0),
        ("history 1-10", (known >= 1) & (known <= 10)),
        ("history 11-50", (known >= 11) & (known <= 50)),
        ("history over 50", known > 50),
        ("item decile 1", of_target == 0),
        ("item deciles 2-5", (of_target >= 1) & (of_target <= 4)),
        ("item deciles 6-10", of_target >= 5),
    ]
