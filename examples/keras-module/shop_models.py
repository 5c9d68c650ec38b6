"""A Keras model of your own for the reference trainer: `model = "shop_models:gru"`."""

from typing import Any

import keras


def gru(n_items: int, params: dict[str, Any]) -> keras.Model:
    """Scores of all items after each event: (batch, max_len) of items, 0 is padding, gives (batch,
    max_len, n_items)."""
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Embedding(n_items + 1, params["dim"]),
            layers.Dropout(params["dropout"]),
            layers.GRU(params["dim"] * params["times"], return_sequences=True),
            layers.Dense(n_items),
        ]
    )
