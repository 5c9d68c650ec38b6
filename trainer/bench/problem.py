"""What all contenders compute: one network, one series of batches, one optimizer.

Made once, by the trainer's own code, and written as arrays; each contender is a process of its own
that reads them. There is no dropout, since its noise is drawn differently everywhere.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

ARRAYS, ABOUT = "arrays.npz", "about.json"


@dataclass(frozen=True)
class Problem:
    """Sizes, and how much of it is run."""

    name: str
    items: int
    users: int
    events: int  # a user
    length: int
    dim: int
    layers: int
    batch_size: int
    negatives: int  # 0: the softmax is over all items
    steps: int  # in the series, which is gone through again and again
    timed_steps: int  # a round
    seed: int = 7
    table_updates: str = "dense"  # of ours; "sparse" is other mathematics, and is said to be

    @property
    def params(self) -> dict[str, Any]:
        """As the trainer is told."""
        return {
            "seed": self.seed,
            "dim": self.dim,
            "layers": self.layers,
            "heads": 2,
            "max_len": self.length,
            "batch_size": self.batch_size,
            "dropout": 0.0,
            "negatives": self.negatives or 1,
            "full_softmax_up_to": 0 if self.negatives else self.items,
            "epochs": 1_000,
            "refit_epochs": 0,
            "table_updates": self.table_updates if self.negatives else "auto",
        }


# The first is the demo's size, where a step is short and the loop around it counts; the second's
# time goes into matrix products, which are the same library for all; in the third the table is
# most of the work.
CPU = (
    Problem("MovieLens-100K's size, batch 32", 1_682, 943, 85, 30, 64, 1, 32, 0, 110, 64),
    Problem("batch 256, mostly matrix products", 2_000, 4_000, 20, 20, 64, 1, 256, 0, 110, 16),
    Problem("100,000 items, sampled softmax", 100_000, 4_000, 20, 20, 64, 1, 64, 256, 110, 16),
)
GPU = (
    Problem("MovieLens-1M's size, batch 256", 3_706, 6_040, 200, 100, 64, 2, 256, 0, 110, 320),
    Problem("batch 2048, all matrix products", 12_000, 60_000, 50, 50, 128, 2, 2048, 0, 110, 64),
    Problem("2,000,000 items, sampled", 2_000_000, 200_000, 50, 50, 128, 2, 512, 1024, 110, 96),
)
SMOKE = (
    Problem("smoke", 60, 50, 16, 8, 8, 1, 8, 0, 100, 5),
    Problem("smoke, sampled", 300, 50, 16, 8, 8, 1, 8, 16, 100, 5),
)


def loop_of(problem: Problem, precision: str = "float32") -> Any:
    """The trainer's loop on made-up events in which items follow each other."""
    import pyarrow as pa

    from trainer.config import TrainConfig
    from trainer.dataset import Interactions
    from trainer.loop import TrainingLoop

    generator = np.random.Generator(np.random.PCG64(problem.seed))
    n = problem.users * problem.events
    popular = (generator.random(n) ** 3 * problem.items).astype(np.int64)
    follows = generator.random(n) < 0.5
    item = np.where(follows, (np.roll(popular, 1) + 1) % problem.items, popular)
    events = Interactions(
        pa.array(np.arange(problem.users)),
        pa.array(np.arange(problem.items)),
        np.repeat(np.arange(problem.users, dtype=np.int32), problem.events),
        item.astype(np.int32),
        np.tile(np.arange(problem.events), problem.users),
        np.ones(n, np.float32),
    )
    config = TrainConfig(**problem.params, precision=precision)
    return TrainingLoop(config, [(events, config.epochs)])


def write(problem: Problem, folder: Path) -> None:
    """The series of batches, the learning rates and the first weights."""
    import jax
    import jax.numpy as jnp

    from trainer import batches, steps

    loop = loop_of(problem)
    config, leg = loop.config, loop.legs[0]
    resident = loop.shelf.take((0, 0), None)
    found: dict[str, list[np.ndarray]] = {
        name: [] for name in ("history", "target", "weight", "negative", "expected", "rate")
    }
    if len(loop.lengths) > 1:
        raise ValueError("the events must have one length of window: contenders have one")
    at = jax.jit(
        lambda number, epoch: batches.batch_at(
            resident.data, resident.buckets[0], number, epoch, config.seed, config.batch_size,
            loop.lengths[0],
        )
    )  # fmt: skip
    drawn_at = jax.jit(lambda step: steps.sampled(loop.engine, loop.frequencies[0], step))
    falling = jnp.int32(loop.epochs[0] * loop.per_epoch[0])
    for step in range(problem.steps):
        epoch, number = divmod(step, leg.steps_per_epoch)
        batch = at(jnp.int32(number), jnp.int32(epoch))
        found["history"].append(np.asarray(batch.history))
        found["target"].append(np.asarray(batch.target))
        found["weight"].append(np.asarray(batch.weight))
        rate = steps.learning_rate(config.learning_rate, jnp.int32(step), falling)
        found["rate"].append(np.asarray(rate, np.float32))
        drawn = drawn_at(jnp.int32(step))
        if drawn is not None:
            found["negative"].append(np.asarray(drawn.row, np.int32))
            found["expected"].append(np.asarray(drawn.expected, np.float32))
    arrays = {name: np.stack(values) for name, values in found.items() if values}
    for name, value in zip(loop.names.trainable, loop.state.trainable, strict=True):
        arrays[f"first/{name.split('/', 2)[2]}"] = np.asarray(value)
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / ARRAYS, **arrays)
    (folder / ABOUT).write_text(json.dumps(asdict(problem)))


def read(folder: Path) -> tuple[Problem, dict[str, np.ndarray]]:
    """What `write` wrote."""
    problem = Problem(**json.loads((folder / ABOUT).read_text()))
    with np.load(folder / ARRAYS) as arrays:
        return problem, {name: arrays[name] for name in arrays.files}


AT_STEPS = (1, 10, 100)  # losses are compared there


def losses_at(losses: list[float] | np.ndarray) -> dict[str, float]:
    """The losses of the steps that are compared."""
    return {str(step): float(losses[step - 1]) for step in AT_STEPS}
