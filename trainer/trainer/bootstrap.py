"""Intervals by resampling users. Every candidate sees the same resamples, so differences are
paired: what makes one user easy for all candidates cancels out."""

import numpy as np

from trainer.alive import Alive, silent

RESAMPLES = 2_000
RESAMPLES_AT_ONCE = 50
LOW, HIGH = 2.5, 97.5


def resampled_means(
    values: np.ndarray, seed: int, resamples: int = RESAMPLES, alive: Alive = silent
) -> np.ndarray:
    """Means of the columns of `values` (users x anything) over `resamples` draws of users."""
    users = values.shape[0]
    generator = np.random.Generator(np.random.PCG64(seed))
    means = np.empty((resamples, values.shape[1]))
    for first in range(0, resamples, RESAMPLES_AT_ONCE):
        last = min(first + RESAMPLES_AT_ONCE, resamples)
        drawn = generator.integers(0, users, (last - first, users))
        counts = np.stack([np.bincount(row, minlength=users) for row in drawn])
        means[first:last] = counts @ values / users
        alive("resampling users")
    return means


def interval(means: np.ndarray) -> tuple[float, float]:
    """The 95 % percentile interval of resampled means."""
    low, high = np.percentile(means, [LOW, HIGH])
    return float(low), float(high)
