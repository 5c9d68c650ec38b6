"""Large tables updated by the rows that a batch touches, instead of whole.

A dense update reads and writes the whole table, its gradient and the optimizer's two copies of
it in every step, whatever the batch is. Here the distinct rows of a batch are gathered, the model
runs on them as if they were its whole table, so that its backward pass sums the gradients by row,
and row-wise Adagrad (one number a row) writes them back. Which of the two it is, is decided by
the bytes that either would move: a function of sizes alone, the same on every host.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from trainer import batches
from trainer.config import TrainConfig

FLOAT_BYTES = 4
# Gradient: zeroed, summed into, read. Value, mean and square: read and written each. Nine times.
DENSE_PASSES = 9
# Row gradient: zeroed, summed into, read. Rows: gathered, read, written; sorted ids are small.
SPARSE_PASSES = 6
# What is scattered moves slower than what streams: whole sectors for single rows, and the sort.
# See docs/performance.md for where it pays on a CPU.
SCATTER_PENALTY = 4
EPSILON = 1e-8


@dataclass(frozen=True)
class Decision:
    """Whether tables are updated by rows, and the bytes that it rests on."""

    by_rows: bool
    dense_bytes: int
    sparse_bytes: int
    reason: str

    def record(self) -> dict[str, Any]:
        """As it is written into `training.json`."""
        return {
            "updates": "sparse" if self.by_rows else "dense",
            "dense_bytes_per_step": self.dense_bytes,
            "sparse_bytes_per_step": self.sparse_bytes,
            "reason": self.reason,
        }


def most_rows(config: TrainConfig, length: int, n_items: int) -> int:
    """The most distinct item rows that a batch of windows of `length` can touch."""
    return min(1 + 2 * config.batch_size * length + config.negatives, n_items + 1)


def decide(
    config: TrainConfig, length: int, n_users: int, n_items: int, kinds: set[str]
) -> Decision:
    """By the bytes of one step. `kinds` says which tables the model has: item, user."""
    width = FLOAT_BYTES * config.dim
    rows = (n_items + 1) * ("item" in kinds) + n_users * ("user" in kinds)
    touched = most_rows(config, length, n_items) * ("item" in kinds)
    touched += min(config.batch_size, n_users) * ("user" in kinds)
    dense, sparse = rows * width * DENSE_PASSES, touched * width * SPARSE_PASSES

    def decided(by_rows: bool, reason: str) -> Decision:
        return Decision(by_rows, dense, sparse, reason)

    if not kinds:
        return decided(False, "the model does not name its tables")
    if n_items <= config.full_softmax_up_to:
        return decided(False, "the full softmax touches every row")
    if config.table_updates != "auto":
        return decided(config.table_updates == "sparse", "the params say so")
    if sparse * SCATTER_PENALTY < dense:
        return decided(True, f"less than 1/{SCATTER_PENALTY} of the bytes of a dense update")
    return decided(False, f"not less than 1/{SCATTER_PENALTY} of the bytes of a dense update")


def distinct(ids: jax.Array, most: int, n_rows: int) -> tuple[jax.Array, jax.Array]:
    """The distinct of `ids`, ascending and padded with rows that do not exist, and each id's
    place among them. All are distinct, the padding too."""
    found, place = jnp.unique(ids, return_inverse=True, size=most, fill_value=n_rows)
    beyond = n_rows + jnp.arange(most, dtype=found.dtype)
    return jnp.where(found < n_rows, found, beyond), place.reshape(ids.shape)


def rows_of(table: jax.Array, ids: jax.Array) -> jax.Array:
    """The rows `ids`; zeros for those that do not exist."""
    return table.at[ids].get(mode="fill", fill_value=0, indices_are_sorted=True)


def adagrad(
    table: jax.Array, sums: jax.Array, ids: jax.Array, gradient: jax.Array, rate: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Row-wise Adagrad on the rows `ids`: `sums` holds, for each row, the mean squares so far."""
    how = {"mode": "drop", "unique_indices": True, "indices_are_sorted": True}
    new = rows_of(sums, ids) + jnp.square(gradient).mean(axis=-1)
    step = rate * gradient * jax.lax.rsqrt(new + EPSILON)[:, None]
    return table.at[ids].add(-step, **how), sums.at[ids].set(new, **how)


def remapped(
    batch: batches.Batch, negatives: jax.Array, most: int, n_rows: int
) -> tuple[jax.Array, batches.Batch, jax.Array]:
    """The item rows of a step, and its batch and negatives in places among them. Row 0, padding,
    is always there and stays 0."""
    history, target = batch.history.ravel(), batch.target.ravel()
    zero = jnp.zeros(1, history.dtype)
    ids = jnp.concatenate([zero, history, target, negatives.astype(history.dtype)])
    rows, place = distinct(ids, most, n_rows)
    history, target, negatives = jnp.split(
        place[1:].astype(jnp.int32), [history.size, history.size + target.size]
    )
    shaped = batch._replace(
        history=history.reshape(batch.history.shape), target=target.reshape(batch.target.shape)
    )
    return rows, shaped, negatives
