"""What a training computes with, and the state that it begins from."""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from trainer import network, precision, tables
from trainer.config import TrainConfig
from trainer.devices import Devices
from trainer.steps import Engine, State


def engine_of(
    config: TrainConfig, lengths: tuple[int, ...], devices: Devices, n_users: int, n_items: int
) -> tuple[Engine, tables.Decision]:
    """The model, its optimizer, and how they are computed."""
    device = devices.devices[0]
    capability = precision.capability_of(device)
    numbers = precision.chosen(config.precision, device.platform, capability)
    keras.utils.set_random_seed(config.seed)
    model = network.build(config, n_users, n_items, numbers)
    named = model.tables() if hasattr(model, "tables") else {}
    kinds = {kind for kind, of in named.items() if of}
    decided = tables.decide(config, lengths[-1], n_users, n_items, kinds)

    @cache
    def small(length: int) -> keras.Model:
        rows = tables.most_rows(config, length, n_items)
        return network.build(config, min(config.batch_size, n_users), rows - 1, numbers)

    optimizer = keras.optimizers.Adam(config.learning_rate)
    by_rows = small if decided.by_rows else None
    engine = Engine(config, model, optimizer, numbers, by_rows, devices.spread)
    optimizer.build([model.trainable_variables[i] for i in engine.whole()])
    return engine, decided


def host_copy(value: Any) -> np.ndarray:
    """In host memory. What comes from another device is a copy already; on a CPU it is a view of
    a buffer that the next step writes into."""
    there = np.asarray(value)
    is_view = not isinstance(value, jax.Array) or jax.default_backend() == "cpu"
    return there.copy() if is_view else there


def first_state(engine: Engine) -> tuple[State, State]:
    """What training starts from, and the name of each of its arrays.

    By place and name: Keras counts what it named itself through the process (`adam_1`), so a path
    could differ between the process that wrote and the one that resumes.
    """
    model, variables = engine.model, engine.model.trainable_variables
    by_rows = list(engine.by_rows())
    state = State(
        [jnp.asarray(value) for value in network.first_weights(model, engine.config.seed)],
        [variable.value for variable in model.non_trainable_variables],
        [variable.value for variable in engine.optimizer.variables],
        [jnp.zeros(variables[i].shape[0]) for i in by_rows],
        precision.first_scaling(),
    )
    names = State(
        [f"trainable/{i:03d}/{v.path}" for i, v in enumerate(variables)],
        [f"other/{i:03d}/{v.name}" for i, v in enumerate(model.non_trainable_variables)],
        [f"optimizer/{i:03d}/{v.name}" for i, v in enumerate(engine.optimizer.variables)],
        [f"rows/{i:03d}/{variables[i].path}" for i in by_rows],
        ["scaling/factor", "scaling/since"],
    )
    return state, names
