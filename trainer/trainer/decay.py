"""How much an event still counts: half for each half-life that it is old."""

import numpy as np

from trainer.dataset import Interactions

# One event in so many may be older than what counts as the oldest: a row of decades ago, which no
# rule can tell from a real one, would stretch every half-life until nothing is old any more.
OLDEST_OF = 100
RECENT_HALF_LIFE = 0.02  # of the fitted span: with a year of data, a week


def decayed_weights(events: Interactions, half_life_share: float) -> np.ndarray:
    """Each event's weight, halved for each half-life that it is old. The half-life is a share of
    the time from about the oldest event to the newest, and at least a millisecond."""
    if events.n_events == 0:
        return np.zeros(0)
    newest = int(events.time_ms.max())
    place = events.n_events // OLDEST_OF
    oldest = int(np.partition(events.time_ms, place)[place])
    half_life = max((newest - oldest) * half_life_share, 1.0)
    return events.weight * np.exp2((events.time_ms - newest) / half_life)


def decayed_counts(events: Interactions) -> np.ndarray:
    """How popular each item is now."""
    return np.bincount(events.item, decayed_weights(events, RECENT_HALF_LIFE), events.n_items)
