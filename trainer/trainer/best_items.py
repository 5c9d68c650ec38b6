"""The best items of a block of users, by whichever way the candidate scores.

A candidate with `factors` is a matrix product and is done tile by tile: memory does not grow with
the catalogue. Any other one scores all items of a block densely, in blocks that have fewer users
where there are more items. Both are exact and order ties alike.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from trainer.dataset import Interactions
from trainer.failure import DataError
from trainer.metrics import Candidate, hide_seen
from trainer.top_k import MOST_ROWS, RunningTopK, rows_at_once, tile_width, top_k


@dataclass(frozen=True)
class Factors:
    """Scores as a product: `users @ items.T + bias` for the items that the candidate knows.

    The rest of the dataset's items stand below all of them, in a tie.
    """

    known: np.ndarray  # (known,) int64, rising: the dataset's item of each row of `items`
    items: np.ndarray  # (known, dim) float32
    bias: np.ndarray  # (known,) float32


@runtime_checkable
class Factored(Protocol):
    """A candidate whose scores are a product; without `factors`, they are not after all."""

    @property
    def factors(self) -> Factors | None: ...

    def user_vectors(
        self, item: np.ndarray, start: np.ndarray, end: np.ndarray, user: np.ndarray
    ) -> np.ndarray:
        """(users, dim) float32, one for each history."""
        ...


def factors_of(serving: Candidate) -> Factors | None:
    """The candidate's product, if its scores are one."""
    return serving.factors if isinstance(serving, Factored) else None


def block_size(serving: Candidate, n_items: int) -> int:
    """Users in a block: of the candidate and the catalogue alone, so that all shards agree."""
    return rows_at_once(n_items) if factors_of(serving) is None else MOST_ROWS


def best_items(
    serving: Candidate, events: Interactions, users: np.ndarray, most: int, repeats: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Items and scores (users, most), best first, without those that a user had already unless
    `repeats`; where there are not as many, the score is -inf."""
    start, end = events.offsets[users], events.offsets[users + 1]
    most = min(most, events.n_items)
    factors = factors_of(serving)
    if isinstance(serving, Factored) and factors is not None:
        vectors = serving.user_vectors(events.item, start, end, users)
        rows, seen = np.zeros(0, np.int64), np.zeros(0, np.int64)
        if not repeats:
            rows, seen = histories(events.item, start, end)
        return by_tiles(factors, vectors, rows, seen, most, events.n_items)
    scores = serving.scores(events.item, start, end, users)
    refuse_no_numbers(scores)
    if not repeats:
        hide_seen(scores, events.item, start, end)
    return top_k(scores, most)


def histories(
    item: np.ndarray, start: np.ndarray, end: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The (row, item) pairs of all events of the histories, by item."""
    lengths = end - start
    rows = np.repeat(np.arange(len(start)), lengths)
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    items = item[np.repeat(start, lengths) + within]
    order = np.argsort(items, kind="stable")
    return rows[order], items[order].astype(np.int64)


def by_tiles(
    factors: Factors,
    vectors: np.ndarray,
    seen_row: np.ndarray,
    seen: np.ndarray,
    most: int,
    n_items: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Items and scores of the best `most` of each row of `vectors`; hidden ones score -inf.
    `seen_row` and `seen` are pairs that are hidden, by item."""
    refuse_no_numbers(vectors)
    refuse_no_numbers(factors.items)
    known, rows = factors.known, len(vectors)
    running = RunningTopK(rows, most)
    column = np.searchsorted(known, seen)
    met = column < len(known)
    met[met] = known[column[met]] == seen[met]
    seen_column, hidden_row = column[met], seen_row[met]
    # Unknown items are wanted only where what is known may not fill a row.
    fills = len(known) < n_items and len(known) - most_hidden(hidden_row, rows) < most
    lowest = np.full((rows, 1), np.inf, np.float32)
    width = tile_width(rows)
    for first in range(0, len(known), width):
        last = min(first + width, len(known))
        scores = vectors @ factors.items[first:last].T
        scores += factors.bias[first:last]
        if fills:
            lowest = np.minimum(lowest, scores.min(axis=1, keepdims=True))
        low, high = np.searchsorted(seen_column, (first, last))
        scores[hidden_row[low:high], seen_column[low:high] - first] = -np.inf
        running.add(scores, known[first:last])
    if fills:
        add_unknown(running, known, lowest, seen_row, seen, n_items)
    return running.result()


def most_hidden(hidden_row: np.ndarray, rows: int) -> int:
    """The most events that any row hides: so many of its known items may be missing."""
    return int(np.bincount(hidden_row, minlength=rows).max(initial=0))


def add_unknown(
    running: RunningTopK,
    known: np.ndarray,
    lowest: np.ndarray,
    seen_row: np.ndarray,
    seen: np.ndarray,
    n_items: int,
) -> None:
    """Adds the items that the candidate does not know, one below its lowest score: last, in a tie,
    as they are in the evaluation."""
    floor = np.where(np.isfinite(lowest), lowest - np.float32(1.0), np.float32(0.0))
    is_known = np.zeros(n_items, bool)
    is_known[known] = True
    unknown = np.flatnonzero(~is_known)
    width = tile_width(running.rows)
    for first in range(0, len(unknown), width):
        items = unknown[first : first + width]
        scores = np.repeat(floor, len(items), axis=1)
        low, high = np.searchsorted(seen, (items[0], items[-1] + 1))
        place = np.searchsorted(items, seen[low:high])
        here = items[place] == seen[low:high]
        scores[seen_row[low:high][here], place[here]] = -np.inf
        running.add(scores, items)


def refuse_no_numbers(scores: np.ndarray) -> None:
    """A model whose training diverged recommends nothing."""
    if not np.isfinite(scores).all():
        raise DataError(
            "the candidate must score with numbers, received: NaN or infinity",
            "its training diverged: lower `learning_rate`, and look at the loss curve of the run",
        )
