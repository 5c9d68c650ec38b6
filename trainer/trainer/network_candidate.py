"""The trained network as a candidate: scores all items for histories, whoever trained it.

Batches always have the same shape, and a last short one is padded, so one compiled program
serves all of them. They are smaller where there are more items.
"""

from functools import cached_property, partial

import jax
import jax.numpy as jnp
import keras
import numpy as np

from trainer import network
from trainer.best_items import Factors
from trainer.config import TrainConfig
from trainer.failure import ConfigurationError
from trainer.metrics import block_rows
from trainer.top_k import MOST_ROWS, rows_at_once


class NetworkCandidate:
    """Scores in the item order of the dataset at hand, which need not be the training one."""

    def __init__(
        self,
        config: TrainConfig,
        weights: list[np.ndarray],
        fitted: np.ndarray,
        item_rows: np.ndarray,
        user_rows: np.ndarray,
        n_model_users: int,
    ) -> None:
        """`fitted[i]` says whether the model's item i was in its training data; `item_rows[j]`
        is the model's item for the dataset's item j, or -1; `user_rows` likewise."""
        self.length = network.window_length(config)
        # As many as the evaluation asks for at once: more would be padding. Or as may be held.
        asked, held = block_rows(len(item_rows)), rows_at_once(max(len(fitted), len(item_rows)))
        self.size = min(asked, held)
        self.model = network.build(config, n_model_users, len(fitted))
        refuse_other_shapes(config, self.model, weights)
        self.weights = [jnp.asarray(value) for value in weights]
        self.other = [variable.value for variable in self.model.non_trainable_variables]
        self.fitted, self.item_rows, self.user_rows = fitted, item_rows, user_rows
        self.known = (item_rows >= 0) & np.where(
            item_rows >= 0, fitted[np.maximum(item_rows, 0)], False
        )
        self.program = jax.jit(partial(score, self.model))
        self.encoder = jax.jit(partial(encode, self.model))

    @cached_property
    def factors(self) -> Factors | None:
        """What a user's vector is multiplied with, for the dataset's items that are known. Nothing
        where the model is a user's own, which gives scores and no vectors."""
        if self.model.scores_items:
            return None
        known = np.flatnonzero(self.known)
        rows = self.item_rows[known]
        table, bias = (np.asarray(part) for part in item_side(self.model, self.weights, self.other))
        return Factors(known, np.ascontiguousarray(table[rows + 1]), bias[rows + 1])

    def user_vectors(
        self, item: np.ndarray, start: np.ndarray, end: np.ndarray, user: np.ndarray
    ) -> np.ndarray:
        """One vector (float32) for each history."""
        vectors = []
        for first in range(0, len(start), MOST_ROWS):
            some = slice(first, min(first + MOST_ROWS, len(start)))
            history, users = self.inputs(item, start[some], end[some], user[some], MOST_ROWS)
            made = np.asarray(self.encoder(self.weights, self.other, history, users))
            vectors.append(made[: some.stop - first])
        return np.concatenate(vectors)

    def scores(
        self, item: np.ndarray, start: np.ndarray, end: np.ndarray, user: np.ndarray
    ) -> np.ndarray:
        """One row of scores for each history."""
        rows = np.empty((len(start), len(self.item_rows)), np.float32)
        for first in range(0, len(start), self.size):
            last = min(first + self.size, len(start))
            rows[first:last] = self.batch(
                item, start[first:last], end[first:last], user[first:last]
            )[: last - first]
        return rows

    def batch(
        self, item: np.ndarray, start: np.ndarray, end: np.ndarray, user: np.ndarray
    ) -> np.ndarray:
        """Scores of up to `size` histories, padded to `size` rows."""
        history, users = self.inputs(item, start, end, user, self.size)
        all_scores = np.asarray(self.program(self.weights, self.other, history, users))
        chosen = all_scores[:, np.maximum(self.item_rows, 0)]
        # What the model was not fitted on has a random vector: it goes below all that is known,
        # in a tie, where a mid-rank gives it no luck.
        floor = np.min(chosen, axis=1, keepdims=True, where=self.known, initial=np.inf) - 1.0
        return np.where(self.known, chosen, np.where(np.isfinite(floor), floor, 0.0))

    def inputs(
        self, item: np.ndarray, start: np.ndarray, end: np.ndarray, user: np.ndarray, size: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """What the model reads for up to `size` histories, padded to `size` rows."""
        places = end[:, None] - self.length + np.arange(self.length)[None, :]
        rows = self.item_rows[item[np.maximum(places, 0)]]
        usable = (places >= start[:, None]) & (rows >= 0)
        usable &= self.fitted[np.maximum(rows, 0)]
        history = np.zeros((size, self.length), np.int32)
        history[: len(start)] = packed(np.where(usable, rows + 1, 0))
        users = np.full(size, -1, np.int32)
        users[: len(start)] = self.user_rows[user]
        return history, users


def refuse_other_shapes(config: TrainConfig, model: keras.Model, weights: list[np.ndarray]) -> None:
    """Weights are put in by their order, so all must be there, in the shapes of the variables."""
    built = [tuple(variable.shape) for variable in model.trainable_variables]
    trained = [value.shape for value in weights]
    if built != trained:
        raise ConfigurationError(
            f"`model` {config.model} must have weights of the shapes that were trained "
            f"({trained}), received: {built}",
            "its code changed after the training; serve it from the image that trained it",
        )


def packed(history: np.ndarray) -> np.ndarray:
    """Moves items to the right over the gaps that unknown items leave."""
    order = np.argsort(history > 0, axis=1, kind="stable")
    return np.take_along_axis(history, order, axis=1)


def state(model: keras.Model, weights: list, other: list) -> list[tuple]:
    """The model's variables with the values to use instead."""
    return [
        *zip(model.trainable_variables, weights, strict=True),
        *zip(model.non_trainable_variables, other, strict=True),
    ]


def encode(
    model: keras.Model, weights: list, other: list, history: jax.Array, user: jax.Array
) -> jax.Array:
    """The vector at the last place of each history."""
    with keras.StatelessScope(state_mapping=state(model, weights, other)):
        return model(history, user)[:, -1]


def item_side(model: keras.Model, weights: list, other: list) -> tuple[jax.Array, jax.Array]:
    """Vector and bias of each of the table's rows; row 0 is padding."""
    with keras.StatelessScope(state_mapping=state(model, weights, other)):
        table = model.items.embeddings.value
        return table, jnp.broadcast_to(model.item_bias(), table.shape[:1])


def score(
    model: keras.Model, weights: list, other: list, history: jax.Array, user: jax.Array
) -> jax.Array:
    """All item scores for the last place of each history."""
    with keras.StatelessScope(state_mapping=state(model, weights, other)):
        return network.all_scores(model, model(history, user)[:, -1])[..., 1:]
