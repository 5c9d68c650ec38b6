"""The candidates that need no network: two popularities and sequential rules.

They are fitted from scratch in seconds wherever they are needed, so they have no saved state
that could go stale. Every candidate here and elsewhere has `scores(item, start, end, user)`.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from trainer.dataset import Interactions

HALF_LIFE_SHARE = 0.05  # of the fitted span: a year of data gives a half-life of 18 days
WINDOW = 10  # how far apart two events may be and still make a rule


@dataclass(frozen=True)
class Popularity:
    """The same list for everybody."""

    item_scores: np.ndarray

    def scores(
        self, item: np.ndarray, start: np.ndarray, end: np.ndarray, user: np.ndarray
    ) -> np.ndarray:
        """One row of scores for each history."""
        return np.tile(self.item_scores, (len(start), 1))


@dataclass(frozen=True)
class SequentialRules:
    """What followed what, within a window, nearer counting more."""

    transitions: sparse.csr_matrix
    fallback: np.ndarray  # in (0, 1): decides only between items about which the rules say nothing

    def scores(
        self, item: np.ndarray, start: np.ndarray, end: np.ndarray, user: np.ndarray
    ) -> np.ndarray:
        """One row of scores for each history."""
        distance = np.arange(1, WINDOW + 1)
        places = end[:, None] - distance[None, :]
        known = places >= start[:, None]
        rows = np.repeat(np.arange(len(start)), known.sum(1))
        weights = np.broadcast_to(1.0 / distance, known.shape)[known]
        shape = (len(start), self.transitions.shape[0])
        recent = sparse.csr_matrix((weights, (rows, item[places[known]])), shape=shape)
        return (recent @ self.transitions).toarray().astype(np.float32) + self.fallback


def fit(name: str, events: Interactions) -> Popularity | SequentialRules:
    """Fits the baseline called `name` on `events`."""
    if name == "popularity":
        counts = np.bincount(events.item, events.weight, events.n_items)
        return Popularity(counts.astype(np.float32))
    recent = recency(events)
    if name == "recency-popularity":
        return Popularity(recent.astype(np.float32))
    if name == "sequential-rules":
        return SequentialRules(transitions(events), fallback(recent))
    raise ValueError(f"no baseline is called {name!r}")


def recency(events: Interactions) -> np.ndarray:
    """Popularity in which an event counts half for each half-life that it is old."""
    if events.n_events == 0:
        return np.zeros(events.n_items)
    newest, oldest = int(events.time_ms.max()), int(events.time_ms.min())
    half_life = max((newest - oldest) * HALF_LIFE_SHARE, 1.0)
    age = (newest - events.time_ms) / half_life
    return np.bincount(events.item, events.weight * np.exp2(-age), events.n_items)


def fallback(recent: np.ndarray) -> np.ndarray:
    """Recent popularity scaled far below the weakest rule (a tenth at distance 10 twice)."""
    return (recent / max(recent.max(initial=0.0), 1e-12) * 1e-4).astype(np.float32)


def transitions(events: Interactions) -> sparse.csr_matrix:
    """How often each item followed each other one, weighted by 1 / distance."""
    total = sparse.csr_matrix((events.n_items, events.n_items))
    for distance in range(1, WINDOW + 1):
        same = events.user[:-distance] == events.user[distance:]
        before, after = events.item[:-distance][same], events.item[distance:][same]
        weight = events.weight[distance:][same].astype(np.float64) / distance
        total = total + sparse.csr_matrix((weight, (before, after)), shape=total.shape)
    return total.tocsr()
