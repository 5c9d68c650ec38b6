"""Ranks among all items and the metrics made of them. Nothing is sampled.

An item that ties with others gets the middle of their ranks, so a candidate that says nothing
gains nothing by the order of ids.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from trainer.alive import Alive, silent
from trainer.config import METRICS as METRICS
from trainer.failure import DataError
from trainer.split import Cases

LIST_LENGTH = 10
BLOCK_CELLS = 4_000_000  # scores held at once: 16 MB, which stays near the cache


class Candidate(Protocol):
    """Whatever can score all items for histories."""

    def scores(
        self, item: np.ndarray, start: np.ndarray, end: np.ndarray, user: np.ndarray
    ) -> np.ndarray: ...


@dataclass(frozen=True)
class Outcome:
    """What one candidate did on all cases of a protocol."""

    ranks: np.ndarray  # of each target
    listed: np.ndarray  # how often each item stood in a list of ten


def mid_ranks(scores: np.ndarray, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
    """1 + how many score higher + half of the others that score the same."""
    chosen = scores[rows]
    own = chosen[np.arange(len(rows)), items][:, None]
    higher = np.count_nonzero(chosen > own, axis=1)
    same = np.count_nonzero(chosen == own, axis=1) - 1
    return 1.0 + higher + same / 2.0


def metric_values(ranks: np.ndarray) -> dict[str, np.ndarray]:
    """The metrics of single targets."""
    top_10 = ranks <= 10
    return {
        "ndcg_at_10": np.where(top_10, 1.0 / np.log2(ranks + 1.0), 0.0),
        "hr_at_10": top_10.astype(np.float64),
        "mrr_at_10": np.where(top_10, 1.0 / ranks, 0.0),
        "recall_at_20": (ranks <= 20).astype(np.float64),
    }


def per_user(values: np.ndarray, user: np.ndarray, users: np.ndarray) -> np.ndarray:
    """The mean over each user's targets: users are the units, however much they buy."""
    place = np.searchsorted(users, user)
    total = np.bincount(place, values, len(users))
    return total / np.bincount(place, minlength=len(users))


def hide_seen(scores: np.ndarray, item: np.ndarray, start: np.ndarray, end: np.ndarray) -> None:
    """Sets the scores of all items in a row's history to minus infinity, in place."""
    lengths = end - start
    rows = np.repeat(np.arange(len(start)), lengths)
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    scores[rows, item[np.repeat(start, lengths) + within]] = -np.inf


def block_rows(n_items: int) -> int:
    """How many histories `run_candidate` has scored at once."""
    return max(1, BLOCK_CELLS // n_items)


def blocks_of(cases: Cases, n_items: int) -> int:
    """In how many blocks `run_candidate` ranks, with a sign of life after each."""
    return -(-len(cases) // block_rows(n_items))


def run_candidate(
    candidate: Candidate,
    item: np.ndarray,
    cases: Cases,
    n_items: int,
    hides_seen: bool = True,
    alive: Alive = silent,
    doing: str = "scoring",
) -> Outcome:
    """Ranks every target of every case, among the items that its user did not have yet or all.
    Raises `DataError` where the candidate gives scores that are no numbers: nothing stands above
    a NaN, so it would have the best rank of all."""
    ranks = np.empty(len(cases.target_row))
    listed = np.zeros(n_items, np.int64)
    by_row = np.argsort(cases.target_row, kind="stable")
    sorted_rows = cases.target_row[by_row]
    size = block_rows(n_items)
    for first in range(0, len(cases), size):
        last = min(first + size, len(cases))
        start, end = cases.start[first:last], cases.end[first:last]
        scores = candidate.scores(item, start, end, cases.user[first:last])
        if not (scores < np.inf).all():
            raise DataError(
                f"{doing} must give numbers, received: NaN or infinity",
                "its training diverged: lower `learning_rate`, and look at the loss curve of the "
                "run",
            )
        if hides_seen:
            hide_seen(scores, item, start, end)
        listed += top_counts(scores, n_items)
        low, high = np.searchsorted(sorted_rows, (first, last))
        for at in range(low, high, size):
            some = by_row[at : min(at + size, high)]
            ranks[some] = mid_ranks(scores, cases.target_row[some] - first, cases.target_item[some])
        alive(doing)
    return Outcome(ranks, listed)


def top_counts(scores: np.ndarray, n_items: int) -> np.ndarray:
    """How often each item is among the ten best of a row; a hidden item never counts."""
    length = min(LIST_LENGTH, n_items)
    best = np.argpartition(scores, n_items - length, axis=1)[:, n_items - length :]
    visible = np.isfinite(np.take_along_axis(scores, best, axis=1))
    return np.bincount(best[visible], minlength=n_items)


def coverage(outcome: Outcome) -> float:
    """The share of all items that stand in at least one list of ten."""
    return float(np.count_nonzero(outcome.listed) / len(outcome.listed))


def popularity_lift(outcome: Outcome, counts: np.ndarray) -> float:
    """How popular a listed item is on average, against an item of an average fitted event.

    1 means as popular as what people take anyway; above 1 the lists lean to the popular.
    """
    usual = float((counts * counts).sum() / max(counts.sum(), 1.0))
    shown = float((outcome.listed * counts).sum() / max(outcome.listed.sum(), 1))
    return shown / max(usual, 1e-12)
