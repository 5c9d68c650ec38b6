"""iALS: matrix factorization of implicit feedback by alternating least squares.

Hu, Koren and Volinsky (2008) with the weights and the regularization by frequency of Rendle et al.
(2021, "Revisiting the Performance of iALS"), and with recency: old events weigh less in the fit.
A user is not looked up but folded in from the history at hand, the newer events weighing more, so
users that came after the fit are served like all others.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from trainer.alive import Alive, silent
from trainer.best_items import Factors
from trainer.dataset import Interactions
from trainer.decay import decayed_counts
from trainer.neighbours import had_by, recent_rows

# Chosen on the first 80 % of MovieLens-100K and of Online Retail, each split again at its own 80 %:
# see `quality/choose.py`.
FACTORS = 64
SWEEPS = 8
UNOBSERVED = 0.3  # weight of each pair that was not seen, beside 1 for a new event
REGULARIZATION = 0.003  # times how often the row was seen, unseen pairs counted at their weight
HALF_LIFE = 0.25  # of the fitted span, of an event's weight
WINDOW = 50  # how many events of a history are folded in
FADING = 0.7  # the d-th newest weighs 1 / d ** FADING
PRIOR_WEIGHT = 0.01  # of what is popular now, beside scores of about 0 to 1
SEED = 7  # of the first item vectors, which is all that is random here
STDDEV = 0.1
# Multiplications up to which OpenBLAS works in one thread. Handing such small products to several
# cost 13 times the CPU time on two busy cores.
SMALL_PRODUCT = 262_144
ROWS_AT_ONCE = 512  # of normal equations: 512 x 64 x 64 numbers are 17 MB


@dataclass(frozen=True)
class Ials:
    """Item vectors, and what folding a history in needs."""

    items: np.ndarray  # float64, items x FACTORS
    prior: np.ndarray

    def scores(
        self, item: np.ndarray, start: np.ndarray, end: np.ndarray, user: np.ndarray
    ) -> np.ndarray:
        """One row of scores for each history; an empty history gets the prior."""
        vectors = self.folded_in(item, start, end)
        return (vectors @ self.items.T + PRIOR_WEIGHT * self.prior).astype(np.float32)

    @cached_property
    def factors(self) -> Factors:
        """What a folded-in history is multiplied with to serve, in float32."""
        bias = (PRIOR_WEIGHT * self.prior).astype(np.float32)
        return Factors(np.arange(len(self.items)), self.items.astype(np.float32), bias)

    def user_vectors(
        self, item: np.ndarray, start: np.ndarray, end: np.ndarray, user: np.ndarray
    ) -> np.ndarray:
        """One for each history."""
        return self.folded_in(item, start, end).astype(np.float32)

    def folded_in(self, item: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        """The vectors (float64) of histories; an empty one's is zero."""
        history = recent_rows(item, start, end, len(self.items), WINDOW, FADING)
        history.sum_duplicates()
        return solved(history, self.items)


def ials(events: Interactions, alive: Alive = silent) -> Ials:
    """Fits item vectors; the same events give the same vectors."""
    had, _ = had_by(events, HALF_LIFE)
    seen = had.multiply(had).tocsr()
    seen.sort_indices()
    of_item = seen.T.tocsr()
    generator = np.random.Generator(np.random.PCG64(SEED))
    items = generator.standard_normal((events.n_items, FACTORS)) * STDDEV / FACTORS**0.5
    for _ in range(SWEEPS):
        users = solved(seen, items, alive)
        items = solved(of_item, users, alive)
    popular = decayed_counts(events)
    return Ials(items, popular / max(popular.sum(), 1e-12))


def solved(seen: sparse.csr_matrix, others: np.ndarray, alive: Alive = silent) -> np.ndarray:
    """The best vectors of the rows of `seen` (weights of what was seen) beside those of `others`:
    weighted ridge regressions, with `UNOBSERVED` as the weight of all that was not seen."""
    size = others.shape[1]
    everything = UNOBSERVED * (others.T @ others)
    vectors = np.zeros((seen.shape[0], size))
    counts = np.diff(seen.indptr)
    small = max(1, SMALL_PRODUCT // size**2)
    for first in range(0, seen.shape[0], ROWS_AT_ONCE):
        rows = slice(first, min(first + ROWS_AT_ONCE, seen.shape[0]))
        normal = np.empty((rows.stop - first, size, size))
        right = np.zeros((rows.stop - first, size))
        for row in range(first, rows.stop):
            low, high = seen.indptr[row], seen.indptr[row + 1]
            normal[row - first] = everything
            for at in range(low, high, small):
                some = slice(at, min(at + small, high))
                near, weight = others[seen.indices[some]], seen.data[some]
                normal[row - first] += (near * weight[:, None]).T @ near
                right[row - first] += weight @ near
        scale = REGULARIZATION * (counts[rows] + UNOBSERVED * others.shape[0])
        normal[:, np.arange(size), np.arange(size)] += scale[:, None]
        vectors[rows] = np.linalg.solve(normal, right[..., None])[..., 0]
        alive("fitting ials")
    return vectors
