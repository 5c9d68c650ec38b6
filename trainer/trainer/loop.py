"""The training loop: whole stretches of steps in one compiled program.

Between two calls of `advance` the run's whole state is on the device and can be copied out.
The loop's bound is an argument of the program, so a stretch of any length runs the same
machine code and the result does not depend on where stretches begin and end: that is what makes
a resumed run equal to an undisturbed one. Nothing here touches files, signals or clocks.
"""

import bisect
import hashlib
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from trainer import batches, network, order
from trainer.config import TrainConfig
from trainer.dataset import Interactions

MOST_STEPS = 512  # of one stretch: the length of the buffer for its losses
WARM_UP_SHARE = 0.05
# Level 1 compiles a quarter faster than the default and its code is as fast here: the time goes
# into matrix products, which are library code.
CPU_COMPILER = {"xla_backend_optimization_level": 1}
LAST_SHARE = 0.1  # of the learning rate at the end of the first phase


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """Warm-up, then a cosine down to a tenth; a refit goes on at a third."""

    def __init__(self, rate: float, fit_steps: int) -> None:
        super().__init__()
        self.rate, self.fit_steps = rate, fit_steps

    def __call__(self, step: jax.Array) -> jax.Array:
        step = jnp.asarray(step, jnp.float32)
        warm = jnp.minimum(1.0, (step + 1) / max(1.0, WARM_UP_SHARE * self.fit_steps))
        through = jnp.clip(step / self.fit_steps, 0.0, 1.0)
        falling = LAST_SHARE + (1 - LAST_SHARE) * 0.5 * (1 + jnp.cos(jnp.pi * through))
        return self.rate * jnp.where(step < self.fit_steps, warm * falling, 1 / 3)

    def get_config(self) -> dict[str, Any]:
        return {"rate": self.rate, "fit_steps": self.fit_steps}


class TrainingLoop:
    """A model, its optimizer and its data; `step` counts over all phases."""

    def __init__(self, config: TrainConfig, parts: list[tuple[Interactions, int]]) -> None:
        """`parts` are (events, epochs): first what is fitted on, then what is refitted on."""
        self.config = config
        length = network.window_length(config)
        cut = [len(batches.windows(events, length).end) for events, _ in parts]
        room = (max(events.n_events for events, _ in parts), max(max(cut), 1))
        self.phases, self.bounds, step, epoch = [], [], 0, 0
        self.epoch_firsts: list[int] = []
        for events, epochs in parts:
            data = batches.phase(events, length, config.batch_size, step, epoch, room)
            self.phases.append(data)
            steps_per_epoch = int(data.steps_per_epoch)
            self.epoch_firsts += [step + i * steps_per_epoch for i in range(epochs)]
            step += steps_per_epoch * epochs
            epoch += epochs
            self.bounds.append(step)
        self.total, self.step = step, 0
        self.losses = np.zeros(self.total, np.float32)
        self.evaluated: list[np.ndarray] | None = None

        keras.utils.set_random_seed(config.seed)
        self.model = network.build(config, parts[0][0].n_users, parts[0][0].n_items)
        self.optimizer = keras.optimizers.Adam(Schedule(config.learning_rate, self.bounds[0]))
        self.optimizer.build(self.model.trainable_variables)
        self.state = (
            [jnp.asarray(value) for value in network.first_weights(self.model, config.seed)],
            [variable.value for variable in self.model.non_trainable_variables],
            [variable.value for variable in self.optimizer.variables],
        )
        # By place and name: Keras counts what it named itself through the process (`adam_1`), so
        # a path could differ between the process that wrote and the one that resumes.
        names = (
            [f"trainable/{i:03d}/{v.path}" for i, v in enumerate(self.model.trainable_variables)],
            [f"other/{i:03d}/{v.name}" for i, v in enumerate(self.model.non_trainable_variables)],
            [f"optimizer/{i:03d}/{v.name}" for i, v in enumerate(self.optimizer.variables)],
        )
        self.names = names
        self.program = jax.jit(
            partial(run_steps, self.model, self.optimizer, config), donate_argnums=0
        )

    def epoch_of(self, step: int) -> int:
        """The epoch in which `step` lies, from 0."""
        return bisect.bisect_right(self.epoch_firsts, step) - 1

    def phase_at(self, step: int) -> int:
        """The phase in which `step` lies."""
        return next(i for i, bound in enumerate(self.bounds) if step < bound)

    def compile(self) -> None:
        """Makes the program without running a step."""
        options = CPU_COMPILER if jax.default_backend() == "cpu" else {}
        self.program = self.program.lower(
            self.state, self.phases[0], jnp.int32(0), jnp.int32(0)
        ).compile(compiler_options=options)

    def advance(self, limit: int) -> np.ndarray:
        """Runs up to `limit` steps, never across the end of a phase; returns their losses."""
        number = self.phase_at(self.step)
        stop = min(self.step + min(limit, MOST_STEPS), self.bounds[number])
        self.state, losses = self.program(
            self.state, self.phases[number], jnp.int32(self.step), jnp.int32(stop)
        )
        done = np.array(losses[: stop - self.step])
        self.losses[self.step : stop] = done
        self.step = stop
        if stop == self.bounds[0] and len(self.bounds) > 1:
            self.evaluated = [np.array(value) for value in self.state[0]]
        return done

    def tensors(self) -> dict[str, np.ndarray]:
        """A copy of the whole state in host memory, the losses so far included.

        A copy and not a view: the next stretch is given the buffers to write into.
        """
        copied = {
            name: np.array(value)
            for names, values in zip(self.names, self.state, strict=True)
            for name, value in zip(names, values, strict=True)
        }
        if self.evaluated is not None:
            for name, value in zip(self.names[0], self.evaluated, strict=True):
                copied[f"evaluated/{name}"] = value
        copied["history/loss"] = self.losses[: self.step].copy()
        return copied

    def restore(self, tensors: dict[str, np.ndarray], step: int) -> None:
        """Puts a copied state back."""
        self.state = tuple([jnp.asarray(tensors[name]) for name in names] for names in self.names)
        if len(self.bounds) > 1 and step >= self.bounds[0]:
            self.evaluated = [tensors[f"evaluated/{name}"] for name in self.names[0]]
        self.losses[:step] = tensors["history/loss"]
        self.step = step

    def weights(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """The weights that serve and the weights that are evaluated, by name."""
        served = {name: np.array(v) for name, v in zip(self.names[0], self.state[0], strict=True)}
        if self.evaluated is None:
            return served, served
        return served, dict(zip(self.names[0], self.evaluated, strict=True))

    def digest(self) -> str:
        """Over all variables, the optimizer, the generator states and the step."""
        digest = hashlib.sha256(f"state 1 {self.step}\n".encode())
        for name, value in sorted(self.tensors().items()):
            if name != "history/loss":
                digest.update(f"{name} {value.dtype} {value.shape}\n".encode())
                digest.update(np.ascontiguousarray(value).tobytes())
        return digest.hexdigest()

    def is_finite(self) -> bool:
        """Whether the last step's loss is a number."""
        return self.step == 0 or bool(np.isfinite(self.losses[self.step - 1]))


def run_steps(
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    config: TrainConfig,
    state: tuple,
    data: batches.Phase,
    start: jax.Array,
    stop: jax.Array,
) -> tuple[tuple, jax.Array]:
    """Steps `start..stop` as one loop on the device.

    A `fori_loop` and not a `scan`, which is the same loop with its length fixed at compile
    time: a scan would need a second program for the last stretch.
    """
    length = network.window_length(config)
    differentiate = jax.value_and_grad(partial(loss, model, config), has_aux=True)

    def one(step: jax.Array, carry: tuple) -> tuple:
        (trainable, other, slots), losses = carry
        batch = batches.batch_at(data, step, config.seed, config.batch_size, length)
        (value, other), gradients = differentiate(trainable, other, data, batch, step)
        trainable, slots = optimizer.stateless_apply(slots, gradients, trainable)
        return (trainable, other, slots), losses.at[step - start].set(value)

    return jax.lax.fori_loop(start, stop, one, (state, jnp.zeros(MOST_STEPS)))


def loss(
    model: keras.Model,
    config: TrainConfig,
    trainable: list,
    other: list,
    data: batches.Phase,
    batch: batches.Batch,
    step: jax.Array,
) -> tuple[jax.Array, list]:
    """Cross-entropy of each target among all items, or among sampled ones for large catalogues."""
    pairs = [
        *zip(model.trainable_variables, trainable, strict=True),
        *zip(model.non_trainable_variables, other, strict=True),
    ]
    with keras.StatelessScope(state_mapping=pairs) as scope:
        vectors = model(batch.history, batch.user, noise=order.key(config.seed, step))
        table = model.items.embeddings.value
        bias = jnp.broadcast_to(model.item_bias(), table.shape[:1])
        if table.shape[0] - 1 <= config.full_softmax_up_to:
            each = full_softmax(vectors, table, bias, batch.target)
        else:
            each = sampled_softmax(config, vectors, table, bias, batch.target, data, step)
    updated = [scope.get_current_value(variable) for variable in model.non_trainable_variables]
    other = [old if new is None else new for old, new in zip(other, updated, strict=True)]
    total = jnp.maximum(batch.weight.sum(), 1e-6)
    return (each * batch.weight).sum() / total, other


def full_softmax(
    vectors: jax.Array, table: jax.Array, bias: jax.Array, target: jax.Array
) -> jax.Array:
    """Against every item; row 0 is padding and takes no part."""
    logits = vectors @ table[1:].T + bias[1:]
    own = (vectors * table[target]).sum(-1) + bias[target]
    return jax.nn.logsumexp(logits, axis=-1) - own


def sampled_softmax(
    config: TrainConfig,
    vectors: jax.Array,
    table: jax.Array,
    bias: jax.Array,
    target: jax.Array,
    data: batches.Phase,
    step: jax.Array,
) -> jax.Array:
    """Against items drawn by how often they are targets, shared by the batch, with the logQ
    correction that takes the draw's own bias out again."""
    drawn = jax.random.uniform(
        jax.random.fold_in(jax.random.key(config.seed), step), (config.negatives,)
    )
    last = table.shape[0] - 1
    negative = jnp.clip(jnp.searchsorted(data.cumulative, drawn, side="right"), 1, last)
    expected = data.log_frequency[negative] + jnp.log(float(config.negatives))
    logits = vectors @ table[negative].T + bias[negative] - expected
    logits = jnp.where(negative[None, None, :] == target[..., None], network.MASKED, logits)
    own = (vectors * table[target]).sum(-1) + bias[target]
    # The target is there for sure, so its own expected count is 1 and its correction 0.
    return jnp.logaddexp(jax.nn.logsumexp(logits, axis=-1), own) - own
