"""The candidates that need no network: two popularities, sequential rules, item-kNN, EASE, iALS.

They are fitted from scratch on the data of each run, so they have no saved state that could go
stale; what takes long to fit is kept for the shards of that one run (`kept_fits.py`). That is
seconds for popularity and rules, and for all of them on catalogues of some thousand items;
item-kNN, EASE and iALS take minutes of a core on large ones (`README.md`).

Every candidate here and elsewhere has `scores(item, start, end, user)`.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from trainer.alive import Alive, silent
from trainer.dataset import Interactions
from trainer.decay import decayed_counts, decayed_weights
from trainer.ease import ease
from trainer.ials import ials
from trainer.metrics import Candidate
from trainer.neighbours import neighbours, recent_rows

# Chosen once on the first 80 % of MovieLens-100K and of Online Retail, each split again at its own
# 80 %; the events that `evaluate` predicts there took no part in the choice.
RULE_HALF_LIFE = 0.25  # of the fitted span: changes more slowly than what is popular
WINDOW = 10  # how far apart two events may be and still make a rule
PRIOR_WEIGHT = (
    100.0  # a rule counts as if this many transitions to recently popular items were seen
)


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
    """What followed what, within a window, nearer counting more: for each recent item the share
    of each other one among what came after it, smoothed towards what is popular now."""

    shares: sparse.csr_matrix
    unsure: np.ndarray  # by item: how much of its rule is the prior
    prior: np.ndarray

    def scores(
        self, item: np.ndarray, start: np.ndarray, end: np.ndarray, user: np.ndarray
    ) -> np.ndarray:
        """One row of scores for each history; an empty history gets the prior."""
        recent = recent_rows(item, start, end, self.shares.shape[0], WINDOW)
        known = np.diff(recent.indptr) > 0
        of_prior = np.where(known, recent @ self.unsure, 1.0)
        return ((recent @ self.shares).toarray() + of_prior[:, None] * self.prior).astype(
            np.float32
        )


@dataclass(frozen=True)
class Silent:
    """Lists nothing: what a candidate is worth that cannot be fitted."""

    n_items: int

    def scores(
        self, item: np.ndarray, start: np.ndarray, end: np.ndarray, user: np.ndarray
    ) -> np.ndarray:
        """Every item hidden, for each history."""
        return np.full((len(start), self.n_items), -np.inf, np.float32)


def fit(name: str, events: Interactions, alive: Alive = silent) -> Candidate:
    """Fits the baseline called `name` on `events`. Raises `Unfitting` where it cannot be."""
    if name == "popularity":
        counts = np.bincount(events.item, events.weight, events.n_items)
        return Popularity(counts.astype(np.float32))
    if name == "recency-popularity":
        return Popularity(decayed_counts(events).astype(np.float32))
    if name == "sequential-rules":
        return rules(events)
    if name == "item-knn":
        return neighbours(events, alive)
    if name == "ease":
        return ease(events, alive)
    if name == "ials":
        return ials(events, alive)
    raise ValueError(f"no baseline is called {name!r}")


def rules(events: Interactions) -> SequentialRules:
    """Counts transitions and smooths them."""
    counts = transitions(events)
    seen = np.asarray(counts.sum(axis=1)).ravel()
    popular = decayed_counts(events)
    return SequentialRules(
        shares=(sparse.diags(1.0 / (seen + PRIOR_WEIGHT)) @ counts).tocsr(),
        unsure=PRIOR_WEIGHT / (seen + PRIOR_WEIGHT),
        prior=popular / max(popular.sum(), 1e-12),
    )


def transitions(events: Interactions) -> sparse.csr_matrix:
    """How often each item followed each other one, weighted by 1 / distance and by age."""
    total = sparse.csr_matrix((events.n_items, events.n_items))
    weights = decayed_weights(events, RULE_HALF_LIFE)
    for distance in range(1, WINDOW + 1):
        same = events.user[:-distance] == events.user[distance:]
        before, after = events.item[:-distance][same], events.item[distance:][same]
        weight = weights[distance:][same] / distance
        total = total + sparse.csr_matrix((weight, (before, after)), shape=total.shape)
    return total.tocsr()
