"""iALS: matrix factorization of implicit feedback by alternating least squares.

Hu, Koren and Volinsky (2008) with the weights and the regularization by frequency of Rendle et al.
(2021, "Revisiting the Performance of iALS"), and with recency: old events weigh less in the fit.
A user is not looked up but folded in from the history at hand, the newer events weighing more, so
users that came after the fit are served like all others.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse
from scipy.linalg.lapack import dposv

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
FEW = 64  # events of a row, up to which an equation for each is less work than one by factor
PADDED_TO = 8  # rows of few events are padded to a multiple of this, so that many are alike
ROWS_AT_ONCE = 128  # rows of 64 events: their vectors are 4 MB
EVENTS_AT_ONCE = 256  # of a row of many: their vectors are 128 kB, and stay in a core's cache
# Vectors that are turned back at once, 8 MB: one array beside that of all, and few products. As
# many small ones, which OpenBLAS hands to several threads, it took three times the CPU time.
TURNED_AT_ONCE = 16_384


@dataclass(frozen=True)
class Side:
    """The vectors of users or of items as those of the other side are solved beside them: turned so
    that what is common to all normal equations, the product of all of them, is a diagonal."""

    turned: np.ndarray  # float64, rows x FACTORS
    basis: np.ndarray  # turned = vectors @ basis
    common: np.ndarray  # the diagonal, by factor


def side(vectors: np.ndarray) -> Side:
    """Turns the vectors; a rotation, so nothing is lost."""
    common, basis = np.linalg.eigh(UNOBSERVED * (vectors.T @ vectors))
    return Side(vectors @ basis, basis, np.maximum(common, 0.0))


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

    @cached_property
    def side(self) -> Side:
        """What histories are solved beside."""
        return side(self.items)

    def folded_in(self, item: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        """The vectors (float64) of histories; an empty one's is zero."""
        history = recent_rows(item, start, end, len(self.items), WINDOW, FADING)
        history.sum_duplicates()
        return solved(history, self.side)


def ials(events: Interactions, alive: Alive = silent) -> Ials:
    """Fits item vectors; the same events give the same vectors."""
    had, _ = had_by(events, HALF_LIFE)
    seen = had.multiply(had).tocsr()
    seen.sort_indices()
    of_item = seen.T.tocsr()
    generator = np.random.Generator(np.random.PCG64(SEED))
    items = generator.standard_normal((events.n_items, FACTORS)) * STDDEV / FACTORS**0.5
    for _ in range(SWEEPS):
        # Users have no name of their own here: two arrays of them at once are the most.
        items = solved(of_item, side(solved(seen, side(items), alive)), alive)
    popular = decayed_counts(events)
    return Ials(items, popular / max(popular.sum(), 1e-12))


def solved(seen: sparse.csr_matrix, beside: Side, alive: Alive = silent) -> np.ndarray:
    """The best vectors of the rows of `seen` (weights of what was seen) beside those of the other
    side: weighted ridge regressions, with `UNOBSERVED` as the weight of all that was not seen. A
    row with nothing seen gets zeros."""
    counts = np.diff(seen.indptr)
    unseen = UNOBSERVED * beside.turned.shape[0]
    vectors = np.zeros((seen.shape[0], beside.turned.shape[1]))
    for rows, length in alike(counts):
        shrunk = beside.common + REGULARIZATION * (counts[rows, None] + unseen)
        if length <= FEW:
            vectors[rows] = of_few(seen, rows, length, beside.turned, shrunk)
        else:
            vectors[rows] = of_many(seen, rows, beside.turned, shrunk)
        alive("fitting ials")
    for first in range(0, len(vectors), TURNED_AT_ONCE):
        rows = slice(first, first + TURNED_AT_ONCE)
        vectors[rows] = vectors[rows] @ beside.basis.T
    return vectors


def alike(counts: np.ndarray) -> Iterator[tuple[np.ndarray, int]]:
    """Rows that have something, in groups that are solved at once, with a number of events that
    none of them is above, or one that is above `FEW`. It follows from a row's own count alone, so a
    row is computed in the same way whatever rows are beside it."""
    lengths = np.where(counts <= FEW, -(-counts // PADDED_TO) * PADDED_TO, FEW + 1)
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 0]
    bounds = np.flatnonzero(np.diff(lengths[order], prepend=0, append=0))
    for first, last in itertools.pairwise(bounds):
        for at in range(first, last, ROWS_AT_ONCE):
            yield order[at : min(at + ROWS_AT_ONCE, last)], int(lengths[order[first]])


def of_few(
    seen: sparse.csr_matrix, rows: np.ndarray, length: int, others: np.ndarray, shrunk: np.ndarray
) -> np.ndarray:
    """Of rows of up to `length` events, by an equation for each event and not for each factor: with
    D the diagonal, R = sqrt(weights) x events x D^-1/2 and s the square roots of the weights, the
    vector is D^-1/2 R' (I + R R')^-1 s. With 20 events that is a sixth of the multiplications."""
    place = seen.indptr[rows][:, None] + np.arange(length)
    is_event = place < seen.indptr[rows + 1][:, None]
    place = np.where(is_event, place, 0)
    root = np.sqrt(np.where(is_event, seen.data[place], 0.0))
    scale = 1.0 / np.sqrt(shrunk)
    near = others[seen.indices[place]]
    near *= root[:, :, None]
    near *= scale[:, None, :]
    equations = near @ near.swapaxes(1, 2)
    equations[:, np.arange(length), np.arange(length)] += 1.0
    for of_row, wanted in zip(equations, root, strict=True):
        wanted[:] = positive_solved(of_row, wanted)
    return (root[:, None] @ near)[:, 0] * scale


def of_many(
    seen: sparse.csr_matrix, rows: np.ndarray, others: np.ndarray, shrunk: np.ndarray
) -> np.ndarray:
    """Of rows of any number of events, by the normal equations."""
    found = np.zeros(shrunk.shape)
    for row, of_row, diagonal in zip(rows, found, shrunk, strict=True):
        normal, right = np.diag(diagonal), np.zeros(len(diagonal))
        past = seen.indptr[row + 1]
        for at in range(seen.indptr[row], past, EVENTS_AT_ONCE):
            some = slice(at, min(at + EVENTS_AT_ONCE, past))
            root = np.sqrt(seen.data[some])
            near = others[seen.indices[some]] * root[:, None]
            normal += near.T @ near
            right += root @ near
        of_row[:] = positive_solved(normal, right)
    return found


def positive_solved(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solves by Cholesky; both are overwritten, the symmetric `matrix` as LAPACK lays it out."""
    _, found, fault = dposv(matrix.T, right, lower=1, overwrite_a=1, overwrite_b=1)
    if fault:
        raise np.linalg.LinAlgError(f"equations that are not positive definite: dposv says {fault}")
    return found
