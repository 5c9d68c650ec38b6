"""Keras's `model.fit` as a contender: the same layers, its own loop, arrays in memory.

`python -m bench.keras_fit <folder> <precision> <steps_per_execution>`
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"

import jax
import jax.numpy as jnp
import keras
import numpy as np

from bench import contender, problem
from trainer import network, steps
from trainer.config import TrainConfig


class Rates(keras.optimizers.schedules.LearningRateSchedule):
    """The same learning rates; after the series, the last one."""

    def __init__(self, rates: np.ndarray) -> None:
        super().__init__()
        self.rates = jnp.asarray(rates)

    def __call__(self, step: Any) -> Any:
        return self.rates[jnp.minimum(jnp.asarray(step, jnp.int32), len(self.rates) - 1)]


class Fitted(keras.Model):
    """The network with its loss, as `fit` wants it."""

    def __init__(self, inner: keras.Model, negatives: int) -> None:
        super().__init__(name="fitted")
        self.inner, self.negatives = inner, negatives
        self.built = True

    def call(self, inputs: dict[str, Any]) -> Any:
        return self.inner(inputs["history"], None)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        table = self.inner.items.embeddings.value
        bias = jnp.zeros(table.shape[0])
        if self.negatives:
            drawn = steps.Negatives(jnp.reshape(x["negative"], -1), jnp.reshape(x["expected"], -1))
            each = steps.sampled_softmax(y_pred, table, bias, y, drawn)
        else:
            each = steps.full_softmax(y_pred, table, bias, y)
        weight = x["weight"]
        return (each * weight).sum() / jnp.maximum(weight.sum(), 1e-6)


class Losses(keras.callbacks.Callback):
    """The loss of each step, out of the running mean that `fit` tells."""

    def __init__(self) -> None:
        super().__init__()
        self.means: list[float] = []

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.means.append(float((logs or {})["loss"]))

    def each(self) -> list[float]:
        """By step."""
        sums = np.asarray(self.means, np.float64) * np.arange(1, len(self.means) + 1)
        return np.diff(sums, prepend=0.0).tolist()


def prepare(folder: Path, precision: str, per_execution: int) -> tuple[dict, Callable[[], float]]:
    """What is known before the rounds, and a round."""
    of, arrays = problem.read(folder)
    config = TrainConfig(**of.params)
    inner = network.build(config, of.users, of.items, precision)
    first = {name: value for name, value in arrays.items() if name.startswith("first/")}
    for variable in inner.trainable_variables:
        variable.assign(first[f"first/{variable.path}"])

    def laid(name: str, count: int) -> np.ndarray:
        value = np.concatenate([arrays[name]] * -(-count // of.steps))[:count]
        return value.reshape(count * of.batch_size, *value.shape[2:])

    def inputs(count: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        x = {"history": laid("history", count), "weight": laid("weight", count)}
        if of.negatives:
            # `fit` cuts everything by samples: each row of a batch brings its share.
            share = of.negatives // of.batch_size
            for name in ("negative", "expected"):
                value = np.concatenate([arrays[name]] * -(-count // of.steps))[:count]
                x[name] = value.reshape(count * of.batch_size, share)
        return x, laid("target", count)

    model = Fitted(inner, of.negatives)
    optimizer = keras.optimizers.Adam(Rates(arrays["rate"]))
    model.compile(optimizer=optimizer, jit_compile=True, steps_per_execution=per_execution)
    how = {"batch_size": of.batch_size, "shuffle": False, "verbose": 0, "epochs": 1}
    losses: list[float] = []
    began = time.perf_counter()
    if per_execution == 1:
        told = Losses()
        x, y = inputs(max(problem.AT_STEPS))
        model.fit(x, y, callbacks=[told], **how)
        losses = told.each()
    else:
        x, y = inputs(per_execution)
        model.fit(x, y, **how)
    warm_s = time.perf_counter() - began
    x, y = inputs(of.timed_steps)
    model.fit(x, y, **how)

    def one() -> float:
        began = time.perf_counter()
        model.fit(x, y, **how)
        jax.block_until_ready(inner.items.embeddings.value)
        return of.timed_steps * of.batch_size / (time.perf_counter() - began)

    # What is not stepping is compiling.
    steps_warm = max(problem.AT_STEPS) if per_execution == 1 else per_execution
    known = {
        "losses": problem.losses_at(losses) if losses else None,
        "compile_s": max(0.0, warm_s - steps_warm * of.batch_size / one()),
        "versions": {"keras": keras.__version__, "jax": jax.__version__},
    }
    return known, one


if __name__ == "__main__":
    contender.serve(*prepare(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
