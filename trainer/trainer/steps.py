"""The compiled part of training: a run of steps over one bucket, as one loop on the device.

The loop's bound is an argument of the program, so a run of any length executes the same machine
code and the result does not depend on where runs begin and end: that is what makes a resumed
training equal to an undisturbed one. Nothing here touches files, signals or clocks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import keras

from trainer import batches, network, order, tables
from trainer.config import TrainConfig
from trainer.precision import scaled_update, unscaled

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


class State(NamedTuple):
    """All that changes from step to step."""

    trainable: list  # by the model's variables
    other: list
    slots: list  # of Keras's optimizer, over all variables that are updated whole
    sums: list  # of row-wise Adagrad, over the tables that are updated by rows
    scaling: list  # of the loss in float16: factor, and steps since it last changed


@dataclass(frozen=True)
class Engine:
    """What a step is made of, fixed when it is compiled."""

    config: TrainConfig
    model: keras.Model
    optimizer: keras.optimizers.Optimizer
    precision: str
    # A model whose tables hold just the rows of a step, by length of window; none: dense updates.
    small: Callable[[int], keras.Model] | None
    spread: Callable[[batches.Batch], batches.Batch]  # over the devices

    def by_rows(self) -> dict[int, str]:
        """Which variables are updated by rows: place among the model's, and whose rows."""
        if self.small is None:
            return {}
        place = {id(v): i for i, v in enumerate(self.model.trainable_variables)}
        return {place[id(v)]: k for k, of in self.model.tables().items() for v in of}

    def whole(self) -> list[int]:
        """Which variables the optimizer updates."""
        apart = self.by_rows()
        return [i for i in range(len(self.model.trainable_variables)) if i not in apart]


def learning_rate(rate: float, step: jax.Array, falling_steps: jax.Array) -> jax.Array:
    """Warm-up, then a cosine down to a tenth; a later leg goes on at a third."""
    at, whole = step.astype(jnp.float32), jnp.maximum(falling_steps, 1).astype(jnp.float32)
    warm = jnp.minimum(1.0, (at + 1) / jnp.maximum(1.0, WARM_UP_SHARE * whole))
    through = jnp.clip(at / whole, 0.0, 1.0)
    falling = LAST_SHARE + (1 - LAST_SHARE) * 0.5 * (1 + jnp.cos(jnp.pi * through))
    return rate * jnp.where(falling_steps > 0, warm * falling, LATER_SHARE)


def run_steps(
    engine: Engine,
    length: int,
    state: State,
    data: batches.Sequences,
    bucket: batches.Bucket,
    frequencies: batches.Frequencies,
    at: At,
) -> tuple[State, jax.Array]:
    """`at.count` steps over windows of `length`; returns the state and the losses.

    A `fori_loop` and not a `scan`, which is the same loop with its length fixed at compile
    time: a scan would need a second program for the last run of a bucket.
    """
    config = engine.config
    update = update_whole if engine.small is None else partial(update_by_rows, length=length)

    def one(number: jax.Array, carry: tuple) -> tuple:
        state, losses = carry
        step = at.step + number
        batch = batches.batch_at(
            data, bucket, at.first + number, at.epoch, config.seed, config.batch_size, length
        )
        shape = jnp.float32(learning_rate(1.0, step, at.falling_steps))
        state, value = update(engine, state, engine.spread(batch), frequencies, step, shape)
        return state, losses.at[number].set(value)

    return jax.lax.fori_loop(0, at.count, one, (state, jnp.zeros(MOST_STEPS)))


def update_whole(
    engine: Engine,
    state: State,
    batch: batches.Batch,
    frequencies: batches.Frequencies,
    step: jax.Array,
    shape: jax.Array,
) -> tuple[State, jax.Array]:
    """One step in which every variable is updated whole."""
    negatives = sampled(engine, frequencies, step)
    of = partial(loss, engine, engine.model, state, batch=batch, negatives=negatives, step=step)
    (_, (value, other)), gradients = jax.value_and_grad(of, has_aux=True)(state.trainable)
    gradients, finite = unscaled(engine.precision, gradients, state.scaling)
    trainable, slots = applied(engine, state.slots, gradients, state.trainable, shape)
    new = State(trainable, other, slots, state.sums, state.scaling)
    return scaled_update(engine.precision, state, new, finite), value


def update_by_rows(
    engine: Engine,
    state: State,
    batch: batches.Batch,
    frequencies: batches.Frequencies,
    step: jax.Array,
    shape: jax.Array,
    length: int,
) -> tuple[State, jax.Array]:
    """One step in which of the tables only the rows of the batch are read and written."""
    config, kinds = engine.config, engine.by_rows()
    n_rows = {"item": engine.model.items.input_dim}
    negatives = sampled(engine, frequencies, step)
    most = tables.most_rows(config, length, n_rows["item"] - 1)
    rows = {}
    rows["item"], batch, places = tables.remapped(batch, negatives.row, most, n_rows["item"])
    if "user" in kinds.values():
        n_users = engine.model.n_users
        most_users = min(config.batch_size, n_users)
        rows["user"], user = tables.distinct(batch.user, most_users, n_users)
        batch = batch._replace(user=user.astype(jnp.int32))
    gathered = [
        tables.rows_of(value, rows[kinds[i]]) if i in kinds else value
        for i, value in enumerate(state.trainable)
    ]
    of = partial(
        loss, engine, engine.small(length), state,
        batch=batch, negatives=negatives._replace(row=places), step=step,
    )  # fmt: skip
    (_, (value, other)), gradients = jax.value_and_grad(of, has_aux=True)(gathered)
    gradients, finite = unscaled(engine.precision, gradients, state.scaling)
    whole = engine.whole()
    updated, slots = applied(
        engine,
        state.slots,
        [gradients[i] for i in whole],
        [state.trainable[i] for i in whole],
        shape,
    )
    trainable, sums = list(state.trainable), []
    for i, new in zip(whole, updated, strict=True):
        trainable[i] = new
    for of_table, (i, kind) in zip(state.sums, kinds.items(), strict=True):
        # Left as it was where float16 overflowed: selecting between two whole tables would cost
        # what is saved here.
        gradient = jnp.where(finite, gradients[i], 0.0)
        trainable[i], summed = tables.adagrad(
            trainable[i], of_table, rows[kind], gradient, config.table_learning_rate * shape
        )
        sums.append(summed)
    new = State(trainable, other, slots, sums, state.scaling)
    return scaled_update(engine.precision, state, new, finite, leave=set(kinds)), value


def applied(
    engine: Engine, slots: list, gradients: list, values: list, shape: jax.Array
) -> tuple[list, list]:
    """Keras's optimizer at this step's learning rate, which is one of its own variables."""
    # By identity: variables compare by value.
    rate_at = [v is engine.optimizer._learning_rate for v in engine.optimizer.variables].index(True)
    slots = [*slots]
    slots[rate_at] = engine.config.learning_rate * shape
    return engine.optimizer.stateless_apply(slots, gradients, values)


class Negatives(NamedTuple):
    """Items drawn to compete with the targets of a batch."""

    row: jax.Array  # of the table in use
    expected: jax.Array  # logarithm of how often each is expected among them


def sampled(engine: Engine, frequencies: batches.Frequencies, step: jax.Array) -> Negatives | None:
    """Drawn by how often items are targets; nothing where the softmax is over all items."""
    if engine.model.scores_items:
        return None
    config = engine.config
    if engine.model.items.input_dim - 1 <= config.full_softmax_up_to:
        return None
    key = jax.random.fold_in(jax.random.key(config.seed), step)
    bits = jax.random.bits(key, (config.negatives,), jnp.uint32)
    row = batches.drawn_rows(frequencies, bits)
    return Negatives(row, frequencies.log_share[row] + jnp.log(float(config.negatives)))


def loss(
    engine: Engine,
    model: keras.Model,
    state: State,
    trainable: list,
    batch: batches.Batch,
    negatives: Negatives | None,
    step: jax.Array,
) -> tuple[jax.Array, tuple[jax.Array, list]]:
    """Cross-entropy of each target among all items, or among sampled ones for large catalogues.

    Returns what is differentiated, which float16 has multiplied, then the loss and the model's
    other variables.
    """
    pairs = [
        *zip(model.trainable_variables, trainable, strict=True),
        *zip(model.non_trainable_variables, state.other, strict=True),
    ]
    with keras.StatelessScope(state_mapping=pairs) as scope:
        vectors = model(batch.history, batch.user, noise=order.key(engine.config.seed, step))
        if not model.scores_items:
            table = model.items.embeddings.value
            bias = jnp.broadcast_to(model.item_bias(), table.shape[:1])
    if model.scores_items:
        each = cross_entropy(vectors, batch.target)
    elif negatives is None:
        each = full_softmax(vectors, table, bias, batch.target)
    else:
        each = sampled_softmax(vectors, table, bias, batch.target, negatives)
    updated = [scope.get_current_value(variable) for variable in model.non_trainable_variables]
    other = [old if new is None else new for old, new in zip(state.other, updated, strict=True)]
    total = jnp.maximum(batch.weight.sum(), 1e-6)
    value = (each * batch.weight).sum() / total
    factor = state.scaling[0] if engine.precision == "float16" else 1.0
    return value * factor, (value, other)


def products(vectors: jax.Array, rows: jax.Array) -> jax.Array:
    """Every vector with every row: multiplied in the vectors' precision, summed in float32."""
    return jnp.einsum(
        "bld,nd->bln", vectors, rows.astype(vectors.dtype), preferred_element_type=jnp.float32
    )


def own_product(vectors: jax.Array, rows: jax.Array) -> jax.Array:
    """Each vector with its own target's row, in float32."""
    return (vectors.astype(jnp.float32) * rows).sum(-1)


def cross_entropy(scores: jax.Array, target: jax.Array) -> jax.Array:
    """Of a model that scores all items itself; item 0 is padding and has no column."""
    scores = scores.astype(jnp.float32)
    own = jnp.take_along_axis(scores, jnp.maximum(target - 1, 0)[..., None], axis=-1)[..., 0]
    return jax.nn.logsumexp(scores, axis=-1) - own


def full_softmax(
    vectors: jax.Array, table: jax.Array, bias: jax.Array, target: jax.Array
) -> jax.Array:
    """Against every item; row 0 is padding and takes no part."""
    logits = products(vectors, table[1:]) + bias[1:]
    own = own_product(vectors, table[target]) + bias[target]
    return jax.nn.logsumexp(logits, axis=-1) - own


def sampled_softmax(
    vectors: jax.Array,
    table: jax.Array,
    bias: jax.Array,
    target: jax.Array,
    negatives: Negatives,
) -> jax.Array:
    """Against sampled items, shared by the batch, with the logQ correction that takes the draw's
    own bias out again."""
    row = negatives.row
    logits = products(vectors, table[row]) + bias[row] - negatives.expected
    logits = jnp.where(row[None, None, :] == target[..., None], network.MASKED, logits)
    own = own_product(vectors, table[target]) + bias[target]
    # The target is there for sure, so its own expected count is 1 and its correction 0.
    return jnp.logaddexp(jax.nn.logsumexp(logits, axis=-1), own) - own
