"""The devices of this host: how many take part, and how a batch is spread over them.

Every device holds all variables and all data, and computes its share of the rows of each batch;
the gradients are summed by what XLA puts in. One device needs none of that.
"""

from collections.abc import Callable
from typing import Any

import jax
import keras

from trainer import batches
from trainer.failure import ConfigurationError

AXIS = "batch"


def how_many(asked: int, there: int, batch_size: int) -> int:
    """How many devices take part: as asked, or (0) as many as share the rows of a batch evenly."""
    if asked == 0:
        return max(n for n in range(1, there + 1) if batch_size % n == 0)
    if asked > there:
        raise ConfigurationError(
            f"`devices` must be at most the {there} of this host, received: {asked}",
            "0 takes all that the host has",
        )
    if batch_size % asked:
        raise ConfigurationError(
            f"`batch_size` must be a multiple of `devices` ({asked}), received: {batch_size}"
        )
    return asked


class Devices:
    """Places values on the devices that take part."""

    def __init__(self, asked: int, batch_size: int) -> None:
        there = jax.local_devices()
        self.devices = there[: how_many(asked, len(there), batch_size)]
        self.mesh: Any = None
        if len(self.devices) > 1:
            names = [f"{d.platform}:{d.id}" for d in self.devices]
            self.mesh = keras.distribution.DeviceMesh((len(names),), [AXIS], names)

    def on_all(self, value: Any) -> Any:
        """A whole copy of an array, or of each in a tree of them, on every device."""
        if self.mesh is None:
            return value
        return jax.tree.map(
            lambda one: keras.distribution.distribute_tensor(
                one, keras.distribution.TensorLayout([None] * one.ndim, self.mesh)
            ),
            value,
        )

    @property
    def spread(self) -> Callable[[batches.Batch], batches.Batch]:
        """Gives each device its rows of a batch; called inside the compiled loop."""
        if self.mesh is None:
            return lambda batch: batch

        def spread(batch: batches.Batch) -> batches.Batch:
            return batches.Batch(
                *(
                    keras.distribution.distribute_tensor(
                        value,
                        keras.distribution.TensorLayout(
                            [AXIS, *[None] * (value.ndim - 1)], self.mesh
                        ),
                    )
                    for value in batch
                )
            )

        return spread
