"""EASE with recency: a linear model of items from items, in closed form (Steck 2019).

Ridge regression of each item on all others over the users' items, old events counting less; the
newer events of a history count most when it is scored. Its matrix has a number for each pair of
items, so a catalogue above `MOST_ITEMS` is refused, by name, and no other candidate suffers.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
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
# 2.05 GB for the matrix in float64, which is filled and inverted in place; at the end, and that is
# the most, half as much again for the weights in float32, which stay: 3.1 GB beside the data.
MOST_ITEMS = 16_000
BLOCK = 512  # rows or columns between two signs of life


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
    weights = inverted(gram(had), alive)
    weights /= -np.diag(weights).copy()
    np.fill_diagonal(weights, RETURN_WEIGHT * came_back_shares(had, again))
    popular = decayed_counts(events)
    return Ease(weights.astype(np.float32), popular / max(popular.sum(), 1e-12))


def gram(had: sparse.csr_matrix) -> np.ndarray:
    """Items x items: what their users have in common, and the ridge. In blocks of rows, for the
    product of sparse matrices takes half as much again as a dense one where most pairs are met."""
    n = had.shape[1]
    of_item = had.T.tocsr()
    matrix = np.empty((n, n))
    for own in blocks(n):
        (of_item[own] @ had).toarray(out=matrix[own])
    matrix[np.diag_indices(n)] += RIDGE
    return matrix


def inverted(matrix: np.ndarray, alive: Alive = silent) -> np.ndarray:
    """The inverse of a positive definite matrix, in its place. In blocks, with a sign of life after
    each: one call of LAPACK may take longer than a stage may be silent.

    Three times over the lower triangle, as LAPACK's potrf, trtri and lauum go: the root L of the
    matrix, its inverse, and that one's product with its own transpose.
    """
    n = len(matrix)
    for own in blocks(n):
        done, below = slice(0, own.start), slice(own.stop, n)
        matrix[own.start :, own] -= matrix[own.start :, done] @ matrix[own, done].T
        corner = cholesky(matrix[own, own], lower=True)
        matrix[own, own] = corner
        matrix[below, own] = solve_triangular(corner, matrix[below, own].T, lower=True).T
        matrix[own, below] = 0.0  # of no more use, and in the way of whole products
        alive("fitting ease")
    for own in reversed(blocks(n)):
        below = slice(own.stop, n)
        unit = np.eye(own.stop - own.start)
        corner = solve_triangular(matrix[own, own], unit, lower=True)
        matrix[own, own] = corner
        matrix[below, own] = -(matrix[below, below] @ (matrix[below, own] @ corner))
        alive("fitting ease")
    for own in blocks(n):
        done, upto = slice(0, own.start), slice(0, own.stop)
        matrix[own, upto] = matrix[own.start :, own].T @ matrix[own.start :, upto]
        matrix[done, own] = matrix[own, done].T
        alive("fitting ease")
    return matrix


def blocks(n: int) -> list[slice]:
    """`n` rows or columns in blocks, in their order."""
    return [slice(first, min(first + BLOCK, n)) for first in range(0, n, BLOCK)]
