"""Sequences on the device, and the batch of a step gathered inside the compiled loop.

A sample is a window of one user's events: its places are targets, and the event before each is
the input. Windows of like length share a bucket, so that a batch has little padding. Nothing
random happens here: which windows, and how far they are shifted, follows from (seed, epoch,
position).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from trainer import order
from trainer.dataset import Interactions

# Each length is a program of its own to compile, seconds of every start; a further one must save
# this share of all places, which are most of the work of an epoch.
MOST_LENGTHS = 4
WORTH_A_LENGTH = 0.15
DRAWN_FROM = 2**32 - 1  # whole numbers that draw negatives: those of uint32 but the last
LEAST_SHARE = 1e-12  # of what is never drawn: its logarithm is a number


class Sequences(NamedTuple):
    """The events of a shard, padded to the room that all shards have."""

    items: jax.Array  # int32, 0 is padding
    weights: jax.Array  # float32


class Bucket(NamedTuple):
    """The windows of a shard that share a length. Buckets of one length have arrays of one size
    in all shards and phases, so that they share one compiled program; only the first `n_windows`
    count."""

    end: jax.Array  # place of a window's last target
    start: jax.Array  # place of its user's first event
    user: jax.Array
    movable: jax.Array  # 0 where a window must stay: the newest events count in every epoch
    n_windows: jax.Array
    half_bits: jax.Array


class Frequencies(NamedTuple):
    """How often each row of the table is a target, for the sampled softmax."""

    log_share: jax.Array
    starts: jax.Array  # uint32: the first of the whole numbers that draw a row


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

    def sizes(self, length: int) -> np.ndarray:
        """How many targets each has before it is shifted, which only takes some away."""
        return np.minimum(self.end - self.start + 1, length)

    def only(self, mask: np.ndarray) -> "Windows":
        """Those where `mask` holds."""
        return Windows(*(values[mask] for values in self))


def windows(events: Interactions, length: int) -> Windows:
    """Cuts each user's events into windows of `length` targets, from the newest backwards."""
    first, past = events.offsets[:-1], events.offsets[1:]
    per_user = -(-(past - first) // length)
    user = np.repeat(np.arange(events.n_users), per_user)
    number = np.arange(len(user)) - np.repeat(np.cumsum(per_user) - per_user, per_user)
    end = past[user] - 1 - number * length
    return Windows(end, first[user], user, (number > 0).astype(np.int32))


def bucket_lengths(
    sizes: np.ndarray, length: int, batch_size: int, most: int = MOST_LENGTHS
) -> tuple[int, ...]:
    """The lengths, ascending and ending in `length`, that leave the least padding; as few as do.

    `sizes` are of windows, 1 to `length`. A batch that is not full costs as much as a full one.
    By dynamic programming over the last length but one.
    """
    count = np.bincount(sizes, minlength=length + 1)
    upto = np.cumsum(count)

    def rows(windows: np.ndarray) -> np.ndarray:
        return -(-windows // batch_size) * float(batch_size)

    # places[k][n]: the fewest places for the windows of up to n targets in k + 1 buckets.
    places = [np.arange(length + 1) * rows(upto)]
    before: list[np.ndarray] = []
    for _ in range(1, min(most, length)):
        last = places[-1]
        # with[m][n]: the bucket below ends at m, the one on top holds m + 1 to n.
        on_top = rows(np.maximum(upto[None, :] - upto[:, None], 0))
        with_one = last[:, None] + np.arange(length + 1)[None, :] * on_top
        with_one[np.tril_indices(length + 1)] = np.inf
        before.append(np.argmin(with_one, axis=0))
        places.append(np.min(with_one, axis=0))
    buckets = 1
    while (
        buckets < len(places)
        and places[buckets][length] < (1 - WORTH_A_LENGTH) * places[buckets - 1][length]
    ):
        buckets += 1
    found = [length]
    for number in range(buckets - 1, 0, -1):
        found.append(int(before[number - 1][found[-1]]))
    # A bucket up to 0 targets is one that nothing is in.
    return tuple(sorted(one for one in found if one > 0))


def in_buckets(cut: Windows, lengths: tuple[int, ...]) -> list[Windows]:
    """The windows of each length: the shortest that holds them."""
    number = np.searchsorted(lengths, cut.sizes(lengths[-1]))
    return [cut.only(number == at) for at in range(len(lengths))]


def padded(values: np.ndarray, size: int, kind: type) -> np.ndarray:
    """`values` with zeros behind them."""
    full = np.zeros(size, kind)
    full[: len(values)] = values
    return full


def sequences(events: Interactions, room: int) -> Sequences:
    """Events as they are gathered from."""
    return Sequences(
        items=jnp.asarray(padded(events.item + 1, room, np.int32)),
        weights=jnp.asarray(padded(events.weight, room, np.float32)),
    )


def bucket(cut: Windows, room: int) -> Bucket:
    """Windows as they are drawn from."""
    place = [jnp.asarray(padded(values, room, np.int32)) for values in cut]
    n = len(cut.end)
    return Bucket(*place, jnp.int32(n), jnp.uint32(order.half_bits(n)))


def frequencies(events: Interactions) -> Frequencies:
    """Of the items of one phase. A row with events is drawn by one whole number at least, however
    small its share; one without events by none.

    Whole numbers and not decimals: those of float32 have 2^23 steps between 0 and 1, which passed
    over a tenth of a catalogue of 100,000 items with 20 million events. Four bytes an item on the
    device, as decimals would take; to draw an event and take its item would need all events there.
    """
    counts = np.bincount(events.item + 1, events.weight, events.n_items + 1)
    share = counts / max(counts.sum(), LEAST_SHARE)
    # Two steps, so that one is left when all shares are made smaller to add up to 1 again.
    share = np.where(counts > 0, np.maximum(share, 2 / DRAWN_FROM), 0.0)
    share /= max(share.sum(), LEAST_SHARE)
    past = np.minimum(np.rint(np.cumsum(share) * DRAWN_FROM), DRAWN_FROM).astype(np.uint32)
    return Frequencies(
        jnp.asarray(np.log(np.maximum(share, LEAST_SHARE)), jnp.float32),
        jnp.asarray(np.concatenate([np.zeros(1, np.uint32), past[:-1]])),
    )


def drawn_rows(of: Frequencies, bits: jax.Array) -> jax.Array:
    """The rows that random whole numbers (uint32) draw."""
    # Rows without events behind the last that has some start at `DRAWN_FROM`.
    bits = jnp.minimum(bits, jnp.uint32(DRAWN_FROM - 1))
    # A row without events starts where the next one does: the last of equal starts is meant.
    return jnp.searchsorted(of.starts, bits, side="right") - 1


def batch_at(
    data: Sequences,
    drawn_from: Bucket,
    number: jax.Array,
    epoch: jax.Array,
    seed: int,
    batch_size: int,
    length: int,
) -> Batch:
    """Batch `number` of a bucket in an epoch; called inside the compiled loop."""
    position = number * batch_size + jnp.arange(batch_size)
    n = drawn_from.n_windows
    of = order.key(seed, epoch)
    place = order.shuffled(position % n, n, drawn_from.half_bits, of)
    start = drawn_from.start[place]
    drawn = order.mix(place.astype(jnp.uint32) ^ order.mix(of)) % jnp.uint32(length)
    shift = jnp.minimum(drawn.astype(jnp.int32), drawn_from.end[place] - start)
    end = drawn_from.end[place] - shift * drawn_from.movable[place]
    return gathered(data, end, start, drawn_from.user[place], position < n, length)


def gathered(
    data: Sequences,
    end: jax.Array,
    start: jax.Array,
    user: jax.Array,
    inside: jax.Array,
    length: int,
) -> Batch:
    """The windows that end at `end`, as inputs and targets; those not `inside` weigh nothing."""
    target_at = end[:, None] - length + 1 + jnp.arange(length)[None, :]
    is_target = (target_at >= start[:, None]) & inside[:, None]
    has_input = target_at - 1 >= start[:, None]
    target = data.items[jnp.maximum(target_at, 0)]
    history = jnp.where(has_input, data.items[jnp.maximum(target_at - 1, 0)], 0)
    weight = jnp.where(is_target, data.weights[jnp.maximum(target_at, 0)], 0.0)
    return Batch(history, target, weight, user)
