"""How much an event still counts: half for each half-life that it is old."""

import numpy as np

from trainer.dataset import Interactions

RECENT_HALF_LIFE = 0.02  # of the fitted span: with a year of data, a week


def decayed_weights(events: Interactions, half_life_share: float) -> np.ndarray:
    """Each event's weight, halved for each half-life that it is old."""
    if events.n_events == 0:
        return np.zeros(0)
    newest, oldest = int(events.time_ms.max()), int(events.time_ms.min())
    half_life = max((newest - oldest) * half_life_share, 1.0)
    return events.weight * np.exp2((events.time_ms - newest) / half_life)


def decayed_counts(events: Interactions) -> np.ndarray:
    """How popular each item is now."""
    return np.bincount(events.item, decayed_weights(events, RECENT_HALF_LIFE), events.n_items)
