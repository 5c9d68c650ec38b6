"""How well the network predicts the last slice of what it may learn from: NDCG@10, all items
ranked, ties at mid-rank.

It decides when to stop and which weights are best; no row that is tested on takes part. A target
is ranked among the items that its window does not show, which suits both rules of `rule.py`, so
that the rule changes no weight. At most a fixed number of windows is looked at.
"""

from functools import partial

import jax
import jax.numpy as jnp
import keras
import numpy as np

from trainer import batches, network, order
from trainer.config import TrainConfig
from trainer.dataset import Interactions

# The newest events before the split that the first leg leaves out to judge by.
SHARE = 0.1
MOST_WINDOWS = 4096
MOST_CELLS = 16_000_000  # scores held at once
LIST_LENGTH = 10


def slice_from(events: Interactions) -> int | None:
    """The moment from which events are validated on; nothing where one side would be empty."""
    if events.n_events == 0:
        return None
    ordered = np.sort(events.time_ms)
    at = int(ordered[min(int(len(ordered) * (1 - SHARE)), len(ordered) - 1)])
    return at if at > ordered[0] else None


class Validation:
    """The windows of the slice on the device, and the program that ranks their targets."""

    def __init__(
        self, config: TrainConfig, model: keras.Model, events: Interactions, from_ms: int
    ) -> None:
        self.length = network.window_length(config)
        cut = batches.windows(events, self.length)
        cut = cut.only(events.time_ms[cut.end] >= from_ms)
        chosen = np.sort(order.host_shuffled(len(cut.end), config.seed)[:MOST_WINDOWS])
        self.cut = cut.only(chosen)
        judged = np.where(events.time_ms >= from_ms, events.weight, 0.0).astype(np.float32)
        self.data = batches.Sequences(jnp.asarray(events.item + 1, jnp.int32), jnp.asarray(judged))
        cells = self.length * (events.n_items + 1)
        self.rows = max(1, min(len(self.cut.end), MOST_CELLS // cells))
        self.batches = -(-len(self.cut.end) // self.rows)
        self.windows = batches.bucket(self.cut, len(self.cut.end))
        self.program = jax.jit(partial(judge, model, self.rows, self.length))

    def compile(self, trainable: list, other: list) -> None:
        """Makes the program without running it."""
        lowered = self.program.lower(trainable, other, self.data, self.windows, jnp.int32(0))
        self.program = lowered.compile()

    def batch(self, trainable: list, other: list, number: int) -> np.ndarray:
        """(sum of NDCG by weight, sum of weights) of one batch of windows."""
        found = self.program(trainable, other, self.data, self.windows, jnp.int32(number))
        return np.asarray(found, np.float64)


def judge(
    model: keras.Model,
    rows: int,
    length: int,
    trainable: list,
    other: list,
    data: batches.Sequences,
    windows: batches.Bucket,
    number: jax.Array,
) -> jax.Array:
    """Ranks the targets of batch `number`."""
    place = number * rows + jnp.arange(rows)
    inside = place < windows.n_windows
    place = jnp.minimum(place, windows.n_windows - 1)
    batch = batches.gathered(
        data, windows.end[place], windows.start[place], windows.user[place], inside, length
    )
    pairs = [
        *zip(model.trainable_variables, trainable, strict=True),
        *zip(model.non_trainable_variables, other, strict=True),
    ]
    with keras.StatelessScope(state_mapping=pairs):
        scores = network.all_scores(model, model(batch.history, batch.user))
    own = jnp.take_along_axis(scores, batch.target[..., None], axis=-1)
    # Row 0 is padding, and what the window shows up to a place is no rival there.
    rival = jnp.ones(scores.shape, bool).at[..., 0].set(False)
    shown = batch.history[:, None, :] * jnp.tril(jnp.ones((length, length), jnp.int32))[None]
    at = (jnp.arange(rows)[:, None, None], jnp.arange(length)[None, :, None], shown)
    rival = rival.at[at].set(False)
    rival = rival & (jnp.arange(scores.shape[-1]) != batch.target[..., None])
    rank = 1 + (rival & (scores > own)).sum(-1) + 0.5 * (rival & (scores == own)).sum(-1)
    # Nothing stands above a NaN, nor does a NaN above anything: such a row has found nothing.
    numbers = jnp.isfinite(scores[..., 1:]).all(-1)
    gain = jnp.where(numbers & (rank <= LIST_LENGTH), 1 / jnp.log2(rank + 1.0), 0.0)
    return jnp.stack([(gain * batch.weight).sum(), batch.weight.sum()])
