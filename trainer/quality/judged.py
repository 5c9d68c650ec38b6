"""Results as means, intervals and paired differences: plain numbers for the page to print.

The network is one candidate here: each user's value is the mean over its seeds, and the spread
over seeds is said beside it. All candidates of a question see the same resamples of users.
"""

from dataclasses import dataclass

import numpy as np

from quality.cells import Cell, Result
from quality.datasets import Dataset, Question
from trainer import metrics
from trainer.bootstrap import interval, resampled_means
from trainer.metrics import METRICS, Outcome
from trainer.scoring import Scored, fine_segments, user_means

GATE = "ndcg_at_10"
RESAMPLING_SEED = 7
FEWEST_USERS = 5  # of a segment that is worth a row


@dataclass(frozen=True)
class Estimate:
    """A mean over users with its 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """One candidate on one question."""

    name: str
    metrics: dict[str, Estimate]
    coverage: float
    popularity_lift: float
    seeds: tuple[float, ...]  # the gate's metric by seed; one value where there is no seed
    epochs: tuple[int, ...]  # by seed


@dataclass(frozen=True)
class Segment:
    """Part of the users, or of what they took: the gate's metric by candidate."""

    name: str
    users: int
    by_candidate: dict[str, Estimate]


@dataclass(frozen=True)
class Answer:
    """All candidates on one question."""

    question: Question
    users: int
    events: int
    rows: list[Row]  # the best first
    differences: dict[tuple[str, str], Estimate]  # of the gate's metric
    segments: list[Segment]

    @property
    def best(self) -> str:
        """The candidate with the highest mean."""
        return self.rows[0].name

    def holds(self, promoted: str) -> bool:
        """Whether `promoted` is at least as good as every other within the paired interval."""
        return all(self.difference(promoted, row.name).high >= 0 for row in self.rows)

    def difference(self, one: str, other: str) -> Estimate:
        """`one` - `other`."""
        return self.differences[one, other]


def answers(data: Dataset, results: dict[Cell, Result]) -> list[Answer]:
    """The answers to all questions about a dataset that there are results of, in its order."""
    asked = [
        (question, by_candidate(data, fit, question, results))
        for fit, questions in data.questions
        for question in questions
    ]
    return [answer(data, question, found) for question, found in asked if found]


def by_candidate(
    data: Dataset, fit: str, question: Question, results: dict[Cell, Result]
) -> dict[str, list[tuple[Outcome, int | None]]]:
    """(outcome, epochs) by candidate, one for each seed."""
    found: dict[str, list[tuple[Outcome, int | None]]] = {}
    for cell, result in results.items():
        if (cell.dataset, cell.fit) == (data.name, fit):
            found.setdefault(cell.candidate, []).append(
                (result.outcomes[question.name], result.epochs)
            )
    return found


def answer(
    data: Dataset, question: Question, found: dict[str, list[tuple[Outcome, int | None]]]
) -> Answer:
    """Everything about one question."""
    scored = scores(data, question, found)
    names = list(found)
    values = {name: over_seeds(scored, name, len(found[name])) for name in names}
    columns = [(name, metric) for name in names for metric in METRICS]
    table = np.stack([values[name][metric] for name, metric in columns], axis=1)
    drawn = dict(zip(columns, resampled_means(table, RESAMPLING_SEED).T, strict=True))
    mean = dict(zip(columns, table.mean(axis=0), strict=True))
    rows = [row(scored, name, [epochs for _, epochs in found[name]], mean, drawn) for name in names]
    differences = {
        (one, other): estimate(
            mean[one, GATE] - mean[other, GATE], drawn[one, GATE] - drawn[other, GATE]
        )
        for one in names
        for other in names
    }
    return Answer(
        question=question,
        users=len(scored.users),
        events=len(question.split.cases.target_row),
        rows=sorted(rows, key=lambda one: -one.metrics[GATE].mean),
        differences=differences,
        segments=segments(scored, {name: len(found[name]) for name in names}),
    )


def scores(
    data: Dataset, question: Question, found: dict[str, list[tuple[Outcome, int | None]]]
) -> Scored:
    """All outcomes under names that tell seeds apart."""
    outcomes = {
        numbered(name, seed): outcome
        for name, some in found.items()
        for seed, (outcome, _) in enumerate(some)
    }
    split = question.split
    counts = np.bincount(split.fit.item, minlength=data.events.n_items).astype(np.float64)
    return Scored(split, np.unique(split.cases.user), outcomes, counts)


def numbered(name: str, seed: int) -> str:
    """A candidate's outcome of its n-th seed."""
    return f"{name} {seed}"


def over_seeds(
    scored: Scored, name: str, seeds: int, targets: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Each metric by user, the mean over seeds."""
    found = [user_means(scored, numbered(name, seed), targets) for seed in range(seeds)]
    return {metric: np.mean([one[metric] for one in found], axis=0) for metric in METRICS}


def row(scored: Scored, name: str, epochs: list, mean: dict, drawn: dict) -> Row:
    """One candidate."""
    seeds = range(len(epochs))
    outcomes = [scored.outcomes[numbered(name, seed)] for seed in seeds]
    of_seeds = [user_means(scored, numbered(name, seed))[GATE].mean() for seed in seeds]
    lifts = [metrics.popularity_lift(outcome, scored.counts) for outcome in outcomes]
    return Row(
        name=name,
        metrics={metric: estimate(mean[name, metric], drawn[name, metric]) for metric in METRICS},
        coverage=float(np.mean([metrics.coverage(outcome) for outcome in outcomes])),
        popularity_lift=float(np.mean(lifts)),
        seeds=tuple(float(value) for value in of_seeds),
        epochs=tuple(number for number in epochs if number is not None),
    )


def segments(scored: Scored, seeds: dict[str, int]) -> list[Segment]:
    """The gate's metric by history length and by the popularity of what was taken."""
    made = []
    for name, targets in fine_segments(scored):
        users = len(np.unique(scored.target_user[targets]))
        if users < FEWEST_USERS:
            continue
        columns = [over_seeds(scored, one, seeds[one], targets)[GATE] for one in seeds]
        table = np.stack(columns, axis=1)
        drawn = resampled_means(table, RESAMPLING_SEED)
        of_segment = {
            one: estimate(table[:, at].mean(), drawn[:, at]) for at, one in enumerate(seeds)
        }
        made.append(Segment(name, users, of_segment))
    return made


def estimate(mean: float, drawn: np.ndarray) -> Estimate:
    """A mean with its interval."""
    return Estimate(float(mean), *interval(drawn))
