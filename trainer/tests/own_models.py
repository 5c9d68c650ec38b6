"""Models that a user might bring, right ones and each with one mistake."""

import keras
from keras import ops

NOT_CALLABLE = 7


class Gru(keras.Model):
    """Embedding, dropout, one recurrent layer, scores of all items."""

    def __init__(self, n_items, dim, dropout):
        super().__init__()
        self.items = keras.layers.Embedding(n_items + 1, dim)
        self.drop = keras.layers.Dropout(dropout)
        self.gru = keras.layers.GRU(dim, return_sequences=True)
        self.head = keras.layers.Dense(n_items)

    def call(self, history, training=False):
        return self.head(self.gru(self.drop(self.items(history), training=training)))


def gru(n_items, params):
    return Gru(n_items, params["dim"] * params.get("times", 1), params["dropout"])


def raises(n_items, params):
    raise ValueError(f"no {params['depth']} here")


def no_model(n_items, params):
    return n_items


def sequential(*layers):
    return keras.Sequential(list(layers))


def too_few_axes(n_items, params):
    return sequential(
        keras.layers.Embedding(n_items + 1, 4), keras.layers.Flatten(), keras.layers.Dense(n_items)
    )


def a_column_for_padding(n_items, params):
    return sequential(keras.layers.Embedding(n_items + 1, 4), keras.layers.Dense(n_items + 1))


def fails_when_called(n_items, params):
    return sequential(keras.layers.Embedding(n_items + 1, 4), keras.layers.Reshape((5,)))


def looks_ahead(n_items, params):
    return sequential(
        keras.layers.Embedding(n_items + 1, 4),
        keras.layers.Bidirectional(keras.layers.GRU(4, return_sequences=True)),
        keras.layers.Dense(n_items),
    )


def keeps_state(n_items, params):
    return sequential(
        keras.layers.Embedding(n_items + 1, 4),
        keras.layers.BatchNormalization(),
        keras.layers.Dense(n_items),
    )


class Divides(keras.Model):
    """Divides by how much of a row is no padding."""

    def __init__(self, n_items):
        super().__init__()
        self.items = keras.layers.Embedding(n_items + 1, n_items)

    def call(self, history, training=False):
        counted = ops.cumsum(ops.cast(history > 0, "float32"), axis=1)
        return ops.cumsum(self.items(history), axis=1) / counted[..., None]


def divides_by_nothing(n_items, params):
    return Divides(n_items)


def frozen(n_items, params):
    table = keras.layers.Embedding(n_items + 1, 4, trainable=False)
    return sequential(table, keras.layers.Dense(n_items))
