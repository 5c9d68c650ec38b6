"""EASE with recency: a linear model of items from items, in closed form (Steck 2019).

Ridge regression of each item on all others over the users' items, old events counting less; the
newer events of a history count most when it is scored. Its matrix has a number for each pair of
items, so a catalogue above `MOST_ITEMS` is refused, by name, and no other candidate suffers.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cholesky, solve_triangular

from trainer.alive import Alive, silent
from trainer.dataset import Interactions
from trainer.decay import decayed_counts
from trainer.failure import Unfitting
from trainer.neighbours import came_back_shares, had_by, recent_rows

# Chosen on the first 80 % of MovieLens-100K and of Online Retail, each split again at its own 80 %:
# see `quality/choose.py`.
RIDGE = 500.0
HALF_LIFE = 0.1  # of the fitted span, of an event's weight
WINDOW = 20  # how many events of a history count, the d-th newest as 1 / d
PRIOR_WEIGHT = 0.01  # of what is popular now, beside regression weights
# On the diagonal, which EASE leaves empty: the share of an item's users that came back to it, times
# this. Where repeats do not count, what it scores is hidden.
RETURN_WEIGHT = 1.0
MOST_ITEMS = 16_000  # 2 GB for the matrix in float64, and as much again while it is inverted
BLOCK = 512  # columns between two signs of life


@dataclass(frozen=True)
class Ease:
    """Regression weights by item, and what is popular now for want of any."""

    weights: np.ndarray  # float32, items x items
    prior: np.ndarray

    def scores(
        self, item: np.ndarray, start: np.ndarray, end: np.ndarray, user: np.ndarray
    ) -> np.ndarray:
        """One row of scores for each history; an empty history gets the prior."""
        recent = recent_rows(item, start, end, self.weights.shape[0], WINDOW)
        found = recent.astype(np.float32) @ self.weights
        return (found + PRIOR_WEIGHT * self.prior).astype(np.float32)


def ease(events: Interactions, alive: Alive = silent) -> Ease:
    """Fits the weights. Raises `Unfitting` where the matrix would not fit the memory."""
    n = events.n_items
    if n > MOST_ITEMS:
        raise Unfitting(
            f"{n} items make a matrix of {8 * n * n / 1e9:.1f} GB; at most {MOST_ITEMS} are fitted"
        )
    had, again = had_by(events, HALF_LIFE)
    gram = (had.T @ had).toarray()
    gram[np.diag_indices(n)] += RIDGE
    weights = inverted(gram, alive)
    del gram  # and in place from here: two matrices at once are the most
    weights /= -np.diag(weights).copy()
    np.fill_diagonal(weights, RETURN_WEIGHT * came_back_shares(had, again))
    popular = decayed_counts(events)
    return Ease(weights.astype(np.float32), popular / max(popular.sum(), 1e-12))


def inverted(matrix: np.ndarray, alive: Alive = silent) -> np.ndarray:
    """The inverse of a positive definite matrix, which is overwritten. In blocks of columns, with
    a sign of life after each: one call of LAPACK may take longer than a stage may be silent."""
    n = len(matrix)
    blocks = [slice(first, min(first + BLOCK, n)) for first in range(0, n, BLOCK)]
    for own in blocks:
        done, below = slice(0, own.start), slice(own.stop, n)
        matrix[own.start :, own] -= matrix[own.start :, done] @ matrix[own, done].T
        corner = cholesky(matrix[own, own], lower=True)
        matrix[own, own] = corner
        matrix[below, own] = solve_triangular(corner, matrix[below, own].T, lower=True).T
        alive("fitting ease")
    inverse = np.empty_like(matrix)
    for own in blocks:
        # Columns of the identity: what is above their own rows stays 0 on the way down.
        unit = np.zeros((n - own.start, own.stop - own.start))
        unit[np.arange(own.stop - own.start), np.arange(own.stop - own.start)] = 1.0
        lower = matrix[own.start :, own.start :]
        column = solve_triangular(lower, unit, lower=True, check_finite=False)
        whole = np.zeros((n, own.stop - own.start))
        whole[own.start :] = column
        inverse[:, own] = solve_triangular(matrix, whole, lower=True, trans="T", check_finite=False)
        alive("fitting ease")
    return inverse
