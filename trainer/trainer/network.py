"""The networks, as Keras layers used only through the stateless API.

Item 0 is padding; item i of the dataset is row i + 1 of the table, which both reads the history
and scores the items (tied). Importing this module imports Keras and JAX: seconds that verbs
without a network must not pay.
"""

from functools import partial

import jax
import jax.numpy as jnp
import keras
import numpy as np
from keras import ops

from trainer import factory, order
from trainer.config import TrainConfig

MASKED = -1e9
TABLE_STDDEV = 0.05


# How Keras calls them: variables stay float32, what lies between layers does not.
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


def blank_table(rows: int, dim: int, name: str, dtype: str) -> keras.layers.Embedding:
    """An embedding of zeros; see `first_weights`."""
    return keras.layers.Embedding(rows, dim, embeddings_initializer="zeros", name=name, dtype=dtype)


def dropped(x: jax.Array, rate: float, noise: jax.Array | None, number: int) -> jax.Array:
    """Dropout that follows from a number: the noise of (seed, step), which is None when serving.

    Keras's own dropout carries a generator's state through the loop and calls Threefry, which
    costs a fifth of each step and a third of the compile time on a CPU. This has no state.
    """
    if noise is None or rate == 0:
        return x
    of = order.mix(noise ^ order.mix(jnp.uint32(number)))
    places = jax.lax.iota(jnp.uint32, x.size)
    bits = order.mix(places ^ of).reshape(x.shape)
    return jnp.where(bits >= jnp.uint32(rate * 2**32), x / (1 - rate), jnp.zeros_like(x))


class CausalBlock(keras.layers.Layer):
    """Attention over what came before, then a feed-forward layer; both residual, norm first."""

    def __init__(self, dim: int, heads: int, dropout: float, name: str, dtype: str) -> None:
        super().__init__(name=name, dtype=dtype)
        self.dim, self.heads, self.rate = dim, heads, dropout
        norm = partial(keras.layers.LayerNormalization, epsilon=1e-6, dtype=dtype)
        dense = partial(keras.layers.Dense, kernel_initializer="zeros", dtype=dtype)
        self.norm_1, self.norm_2 = norm(name="norm_1"), norm(name="norm_2")
        self.qkv = dense(3 * dim, use_bias=False, name="qkv")
        self.mix = dense(dim, use_bias=False, name="mix")
        self.widen = dense(2 * dim, activation="gelu", name="widen")
        self.narrow = dense(dim, name="narrow")

    def build(self, shape: tuple) -> None:
        for layer in (self.norm_1, self.norm_2, self.qkv, self.mix, self.widen):
            layer.build(shape)
        self.narrow.build((*shape[:-1], 2 * self.dim))
        self.built = True

    def call(self, x: jax.Array, bias: jax.Array, noise: jax.Array | None = None) -> jax.Array:
        batch, length, size = x.shape[0], x.shape[1], self.dim // self.heads
        qkv = ops.reshape(self.qkv(self.norm_1(x)), (batch, length, 3, self.heads, size))
        q, k, v = qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2]
        # In float32 whatever the rest is in: a softmax of float16 loses what it is for.
        logits = ops.cast(ops.einsum("bqhs,bkhs->bhqk", q, k), "float32") / size**0.5 + bias
        seen = ops.cast(ops.softmax(logits), v.dtype)
        mixed = ops.einsum("bhqk,bkhs->bqhs", seen, v)
        mixed = self.mix(ops.reshape(mixed, (batch, length, self.dim)))
        x = x + dropped(mixed, self.rate, noise, 1)
        return x + dropped(self.narrow(self.widen(self.norm_2(x))), self.rate, noise, 2)


class SequentialTwoTower(keras.Model):
    """User tower: a causal transformer over the history. Item tower: the embedding table."""

    reads_history = True
    any_length = True  # a shorter history is read as the newest places of a whole one
    scores_items = False

    def __init__(
        self, config: TrainConfig, n_users: int, n_items: int, dtype: str = "float32"
    ) -> None:
        super().__init__(name="sequential_two_tower", dtype=dtype)
        self.length, self.dim = config.max_len, config.dim
        self.items = blank_table(n_items + 1, config.dim, "items", dtype)
        self.places = blank_table(config.max_len, config.dim, "places", dtype)
        self.rate = config.dropout
        self.blocks = [
            CausalBlock(config.dim, config.heads, config.dropout, f"block_{i}", dtype)
            for i in range(config.layers)
        ]
        self.norm = keras.layers.LayerNormalization(epsilon=1e-6, name="norm", dtype=dtype)

    def build(self, shape: tuple) -> None:
        inner = (None, self.length, self.dim)
        self.items.build(shape)
        self.places.build((self.length,))
        for layer in (*self.blocks, self.norm):
            layer.build(inner)
        self.built = True

    def call(
        self, history: jax.Array, user: jax.Array, noise: jax.Array | None = None
    ) -> jax.Array:
        """A vector for each place of each history: the user just after that event."""
        length = history.shape[1]
        places = ops.arange(self.length - length, self.length)
        # A padded place sees itself, so that a row never softmaxes over nothing: the last of
        # them is where an empty history ends, and learns what people start with.
        visible = (places[None, :] <= places[:, None])[None] & (
            (history > 0)[:, None, :] | ops.equal(places[None, :], places[:, None])[None]
        )
        bias = ops.where(visible, 0.0, MASKED)[:, None]
        x = self.items(history) + self.places(places)[None]
        x = dropped(x, self.rate, noise, 0)
        for number, block in enumerate(self.blocks):
            of_block = None if noise is None else order.mix(noise + jnp.uint32(number + 1))
            x = block(x, bias, of_block)
        return self.norm(x)

    def item_bias(self) -> jax.Array:
        """The sequential model needs none: its vectors carry what everybody likes."""
        return ops.zeros((1,))

    def tables(self) -> dict[str, list[keras.Variable]]:
        """The variables of which a batch touches the rows of its items, or of its users."""
        return {"item": [self.items.embeddings], "user": []}


class TwoTowerId(keras.Model):
    """The cheap variant: one vector a user, one an item, and a bias for what everybody likes.

    A user it was not fitted on gets a zero vector, that is, the biases alone.
    """

    reads_history = False
    any_length = False
    scores_items = False

    def __init__(
        self, config: TrainConfig, n_users: int, n_items: int, dtype: str = "float32"
    ) -> None:
        super().__init__(name="two_tower_id", dtype=dtype)
        self.n_users = n_users
        self.items = blank_table(n_items + 1, config.dim, "items", dtype)
        self.users = blank_table(n_users, config.dim, "users", dtype)
        self.bias = blank_table(n_items + 1, 1, "bias", "float32")

    def build(self, shape: tuple) -> None:
        for layer in (self.items, self.users, self.bias):
            layer.build((None,))
        self.built = True

    def call(
        self, history: jax.Array, user: jax.Array, noise: jax.Array | None = None
    ) -> jax.Array:
        known = (user >= 0)[:, None, None]
        vectors = self.users(ops.maximum(user, 0))[:, None, :]
        return ops.where(known, vectors, ops.zeros_like(vectors))

    def item_bias(self) -> jax.Array:
        return self.bias(ops.arange(self.bias.input_dim))[:, 0]

    def tables(self) -> dict[str, list[keras.Variable]]:
        """See `SequentialTwoTower.tables`."""
        return {
            "item": [self.items.embeddings, self.bias.embeddings],
            "user": [self.users.embeddings],
        }


class OwnModel(keras.Model):
    """A user's model, which gives the scores of all items itself; see `factory.py`."""

    reads_history = True
    any_length = False
    scores_items = True  # and has no table of its own that the loop or serving could use

    def __init__(self, inner: keras.Model) -> None:
        super().__init__(name="own_model")
        self.inner = inner
        self.built = True

    def call(
        self, history: jax.Array, user: jax.Array, noise: jax.Array | None = None
    ) -> jax.Array:
        """Scores of all items at each place. Its noise is Keras's own, kept in the state."""
        return self.inner(history, training=noise is not None)


MODELS = {"sequential-two-tower": SequentialTwoTower, "two-tower-id": TwoTowerId}


def window_length(config: TrainConfig) -> int:
    """How many places a training sample has: the id model looks at one event at a time."""
    return config.max_len if MODELS.get(config.model, OwnModel).reads_history else 1


def takes_any_length(config: TrainConfig) -> bool:
    """Whether the model may be given windows that are shorter than `window_length`."""
    return MODELS.get(config.model, OwnModel).any_length


def all_scores(model: keras.Model, given: jax.Array) -> jax.Array:
    """Scores of padding and all items (..., n_items + 1), from what `model` gave; nothing means
    anything in the column of padding."""
    if model.scores_items:
        return jnp.concatenate([jnp.zeros_like(given[..., :1]), given], axis=-1)
    table = model.items.embeddings.value
    return given @ table.T + jnp.broadcast_to(model.item_bias(), table.shape[:1])


def build(
    config: TrainConfig, n_users: int, n_items: int, precision: str = "float32"
) -> keras.Model:
    """The model with its variables made, blank: their values are loaded or `first_weights`."""
    if factory.is_own(config.model):
        return OwnModel(factory.build(config, n_items))
    model = MODELS[config.model](config, n_users, n_items, POLICIES[precision])
    model.build((None, window_length(config)))
    return model


def first_weights(model: keras.Model, seed: int) -> list[np.ndarray]:
    """What training starts from, a function of the seed alone: small normal tables, Glorot
    kernels, and what Keras chose for the rest and for a model of the user's own.

    Drawn by NumPy, since Keras's own initializers are compiled one by one when they first run:
    three seconds of every start, a resumed one too, which throws the values away.
    """
    if model.scores_items:
        return [np.asarray(variable.value, np.float32) for variable in model.trainable_variables]
    values = []
    for number, variable in enumerate(model.trainable_variables):
        generator = np.random.Generator(np.random.PCG64([seed, number]))
        shape = variable.shape
        if variable.name == "embeddings":
            value = TABLE_STDDEV * generator.standard_normal(shape, np.float32)
        elif variable.name == "kernel":
            limit = (6.0 / sum(shape)) ** 0.5
            value = generator.uniform(-limit, limit, shape)
        else:
            value = np.asarray(variable.value)
        values.append(np.asarray(value, np.float32))
    return values
