"""Sequences on the device, and the batch of a step gathered inside the compiled loop.

A sample is a window of one user's events: its places are targets, and the event before each is
the input. Nothing random happens here: which windows, and how far they are shifted, follows
from (seed, epoch, position).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from trainer import order
from trainer.dataset import Interactions


class Phase(NamedTuple):
    """What one stretch of steps trains on. All phases of a run have arrays of one size, so that
    they share one compiled program; only the first `n_windows` windows count."""

    items: jax.Array
    weights: jax.Array
    window_end: jax.Array  # place of a window's last target
    window_start: jax.Array  # place of its user's first event
    window_user: jax.Array
    movable: jax.Array  # 0 where a window must stay: the newest events count in every epoch
    log_frequency: jax.Array  # of each item among the targets, for the sampled softmax
    cumulative: jax.Array
    n_windows: jax.Array
    half_bits: jax.Array
    first_step: jax.Array
    first_epoch: jax.Array
    steps_per_epoch: jax.Array


class Batch(NamedTuple):
    """Inputs, targets and weights of a step; a weight of 0 is padding."""

    history: jax.Array
    target: jax.Array
    weight: jax.Array
    user: jax.Array


class Windows(NamedTuple):
    """Windows as NumPy sees them."""

    end: np.ndarray
    start: np.ndarray
    user: np.ndarray
    movable: np.ndarray


def windows(events: Interactions, length: int) -> Windows:
    """Cuts each user's events into windows of `length` targets, from the newest backwards."""
    first, past = events.offsets[:-1], events.offsets[1:]
    per_user = -(-(past - first) // length)
    user = np.repeat(np.arange(events.n_users), per_user)
    number = np.arange(len(user)) - np.repeat(np.cumsum(per_user) - per_user, per_user)
    end = past[user] - 1 - number * length
    return Windows(end, first[user], user, (number > 0).astype(np.int32))


def phase(
    events: Interactions,
    length: int,
    batch_size: int,
    first_step: int,
    first_epoch: int,
    room: tuple[int, int],
) -> Phase:
    """Lays a part of the data on the device, padded to `room` (events, windows)."""
    cut = windows(events, length)
    counts = np.bincount(events.item + 1, events.weight, events.n_items + 1)
    share = np.maximum(counts, 1e-9) / max(counts.sum(), 1e-9)

    def padded(values: np.ndarray, size: int, kind: type) -> jax.Array:
        full = np.zeros(size, kind)
        full[: len(values)] = values
        return jnp.asarray(full)

    return Phase(
        items=padded(events.item + 1, room[0], np.int32),
        weights=padded(events.weight, room[0], np.float32),
        window_end=padded(cut.end, room[1], np.int32),
        window_start=padded(cut.start, room[1], np.int32),
        window_user=padded(cut.user, room[1], np.int32),
        movable=padded(cut.movable, room[1], np.int32),
        log_frequency=jnp.asarray(np.log(share), jnp.float32),
        cumulative=jnp.asarray(np.cumsum(share), jnp.float32),
        n_windows=jnp.int32(len(cut.end)),
        half_bits=jnp.uint32(order.half_bits(len(cut.end))),
        first_step=jnp.int32(first_step),
        first_epoch=jnp.int32(first_epoch),
        steps_per_epoch=jnp.int32(max(1, -(-len(cut.end) // batch_size))),
    )


def batch_at(data: Phase, step: jax.Array, seed: int, batch_size: int, length: int) -> Batch:
    """The batch of a global step; called inside the compiled loop."""
    local = step - data.first_step
    epoch = data.first_epoch + local // data.steps_per_epoch
    position = (local % data.steps_per_epoch) * batch_size + jnp.arange(batch_size)
    inside = position < data.n_windows
    of = order.key(seed, epoch)
    place = order.shuffled(position % data.n_windows, data.n_windows, data.half_bits, of)

    start = data.window_start[place]
    drawn = order.mix(place.astype(jnp.uint32) ^ order.mix(of)) % jnp.uint32(length)
    shift = jnp.minimum(drawn.astype(jnp.int32), data.window_end[place] - start)
    end = data.window_end[place] - shift * data.movable[place]
    target_at = end[:, None] - length + 1 + jnp.arange(length)[None, :]
    is_target = (target_at >= start[:, None]) & inside[:, None]
    has_input = target_at - 1 >= start[:, None]
    target = data.items[jnp.maximum(target_at, 0)]
    history = jnp.where(has_input, data.items[jnp.maximum(target_at - 1, 0)], 0)
    weight = jnp.where(is_target, data.weights[jnp.maximum(target_at, 0)], 0.0)
    return Batch(history, target, weight, data.window_user[place])
