"""The compiled part of training: a run of steps over one bucket, as one loop on the device.

The loop's bound is an argument of the program, so a run of any length executes the same machine
code and the result does not depend on where runs begin and end: that is what makes a resumed
training equal to an undisturbed one. Nothing here touches files, signals or clocks.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import keras

from trainer import batches, network, order
from trainer.config import TrainConfig

MOST_STEPS = 512  # of one call: the length of the buffer for its losses
WARM_UP_SHARE = 0.05
LAST_SHARE = 0.1  # of the learning rate at the end of the first leg
LATER_SHARE = 1 / 3  # of the learning rate in later legs


class At(NamedTuple):
    """Where a call begins, all int32."""

    step: jax.Array  # over all legs: the noise and the sampled items follow from it
    count: jax.Array  # how many steps
    epoch: jax.Array
    first: jax.Array  # batch of the bucket
    falling_steps: jax.Array  # the planned length of the first leg; 0 in a later one


def learning_rate(rate: float, step: jax.Array, falling_steps: jax.Array) -> jax.Array:
    """Warm-up, then a cosine down to a tenth; a later leg goes on at a third."""
    at, whole = step.astype(jnp.float32), jnp.maximum(falling_steps, 1).astype(jnp.float32)
    warm = jnp.minimum(1.0, (at + 1) / jnp.maximum(1.0, WARM_UP_SHARE * whole))
    through = jnp.clip(at / whole, 0.0, 1.0)
    falling = LAST_SHARE + (1 - LAST_SHARE) * 0.5 * (1 + jnp.cos(jnp.pi * through))
    return rate * jnp.where(falling_steps > 0, warm * falling, LATER_SHARE)


def run_steps(
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    config: TrainConfig,
    length: int,
    state: tuple,
    data: batches.Sequences,
    bucket: batches.Bucket,
    frequencies: batches.Frequencies,
    at: At,
) -> tuple[tuple, jax.Array]:
    """`at.count` steps over windows of `length`; returns the state and the losses.

    A `fori_loop` and not a `scan`, which is the same loop with its length fixed at compile
    time: a scan would need a second program for the last run of a bucket.
    """
    differentiate = jax.value_and_grad(partial(loss, model, config), has_aux=True)
    # By identity: variables compare by value. Where it stands is part of the state's layout.
    rate_at = [v is optimizer._learning_rate for v in optimizer.variables].index(True)

    def one(number: jax.Array, carry: tuple) -> tuple:
        (trainable, other, slots), losses = carry
        step = at.step + number
        batch = batches.batch_at(
            data, bucket, at.first + number, at.epoch, config.seed, config.batch_size, length
        )
        (value, other), gradients = differentiate(trainable, other, frequencies, batch, step)
        slots = [*slots]
        slots[rate_at] = learning_rate(config.learning_rate, step, at.falling_steps)
        trainable, slots = optimizer.stateless_apply(slots, gradients, trainable)
        return (trainable, other, slots), losses.at[number].set(value)

    return jax.lax.fori_loop(0, at.count, one, (state, jnp.zeros(MOST_STEPS)))


def loss(
    model: keras.Model,
    config: TrainConfig,
    trainable: list,
    other: list,
    frequencies: batches.Frequencies,
    batch: batches.Batch,
    step: jax.Array,
) -> tuple[jax.Array, list]:
    """Cross-entropy of each target among all items, or among sampled ones for large catalogues."""
    pairs = [
        *zip(model.trainable_variables, trainable, strict=True),
        *zip(model.non_trainable_variables, other, strict=True),
    ]
    with keras.StatelessScope(state_mapping=pairs) as scope:
        vectors = model(batch.history, batch.user, noise=order.key(config.seed, step))
        if not model.scores_items:
            table = model.items.embeddings.value
            bias = jnp.broadcast_to(model.item_bias(), table.shape[:1])
        if model.scores_items:
            each = cross_entropy(vectors, batch.target)
        elif table.shape[0] - 1 <= config.full_softmax_up_to:
            each = full_softmax(vectors, table, bias, batch.target)
        else:
            each = sampled_softmax(config, vectors, table, bias, batch.target, frequencies, step)
    updated = [scope.get_current_value(variable) for variable in model.non_trainable_variables]
    other = [old if new is None else new for old, new in zip(other, updated, strict=True)]
    total = jnp.maximum(batch.weight.sum(), 1e-6)
    return (each * batch.weight).sum() / total, other


def cross_entropy(scores: jax.Array, target: jax.Array) -> jax.Array:
    """Of a model that scores all items itself; item 0 is padding and has no column."""
    scores = scores.astype(jnp.float32)
    own = jnp.take_along_axis(scores, jnp.maximum(target - 1, 0)[..., None], axis=-1)[..., 0]
    return jax.nn.logsumexp(scores, axis=-1) - own


def full_softmax(
    vectors: jax.Array, table: jax.Array, bias: jax.Array, target: jax.Array
) -> jax.Array:
    """Against every item; row 0 is padding and takes no part."""
    logits = vectors @ table[1:].T + bias[1:]
    own = (vectors * table[target]).sum(-1) + bias[target]
    return jax.nn.logsumexp(logits, axis=-1) - own


def sampled_softmax(
    config: TrainConfig,
    vectors: jax.Array,
    table: jax.Array,
    bias: jax.Array,
    target: jax.Array,
    frequencies: batches.Frequencies,
    step: jax.Array,
) -> jax.Array:
    """Against items drawn by how often they are targets, shared by the batch, with the logQ
    correction that takes the draw's own bias out again."""
    drawn = jax.random.uniform(
        jax.random.fold_in(jax.random.key(config.seed), step), (config.negatives,)
    )
    last = table.shape[0] - 1
    negative = jnp.clip(jnp.searchsorted(frequencies.cumulative, drawn, side="right"), 1, last)
    expected = frequencies.log_share[negative] + jnp.log(float(config.negatives))
    logits = vectors @ table[negative].T + bias[negative] - expected
    logits = jnp.where(negative[None, None, :] == target[..., None], network.MASKED, logits)
    own = (vectors * table[target]).sum(-1) + bias[target]
    # The target is there for sure, so its own expected count is 1 and its correction 0.
    return jnp.logaddexp(jax.nn.logsumexp(logits, axis=-1), own) - own
