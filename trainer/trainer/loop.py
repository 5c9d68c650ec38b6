"""The training loop: legs of steps over parts of the data, run on the device in stretches.

Between two calls of `advance` the run's whole state is on the device and can be copied out.
Nothing here touches files, signals or clocks.
"""

import bisect
import hashlib
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from trainer import batches, network, plan, shards
from trainer.config import TrainConfig
from trainer.dataset import Interactions
from trainer.devices import Devices
from trainer.engine import engine_of, first_state, host_copy
from trainer.steps import MOST_STEPS, At, State, run_steps
from trainer.validation import Validation

# Level 1 compiles a quarter faster than the default and its code is as fast here: the time goes
# into matrix products, which are library code.
CPU_COMPILER = {"xla_backend_optimization_level": 1}
EVALUATED, BEST = "evaluated/", "best/"
LOSSES, VALIDATED = "history/loss", "history/validation"


@dataclass(frozen=True)
class Judged:
    """What the first leg is validated on: the events of `fit` from a moment on."""

    fit: Interactions
    from_ms: int


class TrainingLoop:
    """A model, its optimizer and its data; `step` counts over all legs."""

    def __init__(
        self,
        config: TrainConfig,
        parts: list[tuple[Interactions, int]],
        judged: Judged | None = None,
    ) -> None:
        """`parts` are (events, epochs): first what is fitted on, then what is refitted on. With
        `judged`, the first part lacks what is judged by, and the second is all that may be
        fitted on before the split."""
        self.config = config
        length = network.window_length(config)
        self.lengths = self.window_lengths([events for events, _ in parts], length)
        n_shards = shards.n_shards(max(events.n_events for events, _ in parts), config.shard_events)
        self.parts = [shards.part(events, n_shards, self.lengths) for events, _ in parts]
        self.frequencies = [batches.frequencies(events) for events, _ in parts]
        self.devices = Devices(config.devices, config.batch_size)
        place = self.devices.on_all
        self.frequencies = [place(of_part) for of_part in self.frequencies]
        resident_bytes = config.resident_mib * 2**20
        self.shelf = shards.Shelf(self.parts, shards.room_of(self.parts), resident_bytes, place)
        self.epochs = [epochs for _, epochs in parts]
        self.per_epoch = [
            max(1, sum(map(sum, one.batches(config.batch_size)))) for one in self.parts
        ]
        self.judged_by = judged
        self.validated: list[float] = []
        self.sums = np.zeros((0, 2))
        self.best: list[jax.Array] | None = None
        self.evaluated: list[np.ndarray] | None = None
        self.step = 0
        self.losses = np.zeros(self.total, np.float32)
        self.epoch_runs: tuple[tuple[int, int], plan.Epoch] | None = None

        self.engine, self.tables = engine_of(
            config, self.lengths, self.devices, parts[0][0].n_users, parts[0][0].n_items
        )
        self.model = self.engine.model
        self.state, self.names = first_state(self.engine)
        self.state = State(*self.devices.on_all(tuple(self.state)))
        self.programs = [
            jax.jit(partial(run_steps, self.engine, one), donate_argnums=0) for one in self.lengths
        ]
        self.validation = (
            Validation(config, self.model, judged.fit, judged.from_ms) if judged else None
        )

    def window_lengths(self, parts: list[Interactions], length: int) -> tuple[int, ...]:
        """The lengths of the buckets, by the windows of all parts."""
        if not network.takes_any_length(self.config):
            return (length,)
        sizes = [batches.windows(events, length).sizes(length) for events in parts]
        return batches.bucket_lengths(np.concatenate(sizes), length, self.config.batch_size)

    @property
    def judged(self) -> bool:
        """Whether the first leg is validated."""
        return self.judged_by is not None

    @property
    def legs(self) -> list[plan.Leg]:
        """The legs, as far as the validations so far decide them."""
        stopped = (
            plan.stopped_after(self.validated, self.epochs[0], self.config.patience)
            if self.judged
            else None
        )
        return plan.legs(list(zip(self.per_epoch, self.epochs, strict=True)), stopped)

    @property
    def total(self) -> int:
        """How many steps there are; it falls when the first leg ends early."""
        return self.legs[-1].last_step

    @property
    def bounds(self) -> list[int]:
        """The step after each leg."""
        return [leg.last_step for leg in self.legs]

    @property
    def epoch_firsts(self) -> list[int]:
        """The first step of each epoch."""
        return plan.epoch_firsts(self.legs)

    def epoch_of(self, step: int) -> int:
        """The epoch in which `step` lies, from 0."""
        return bisect.bisect_right(self.epoch_firsts, step) - 1

    def leg_at(self, step: int) -> plan.Leg:
        """The leg in which `step` lies."""
        return next(leg for leg in self.legs if step < leg.last_step)

    @property
    def validation_due(self) -> bool:
        """Whether an epoch of the first leg is done and not yet judged."""
        if not self.judged or self.step == 0:
            return False
        epochs, rest = divmod(self.step, self.per_epoch[0])
        return rest == 0 and epochs == len(self.validated) + 1 and self.step <= self.bounds[0]

    def compile(self) -> None:
        """Makes the programs without running a step."""
        options = CPU_COMPILER if jax.default_backend() == "cpu" else {}
        leg = self.leg_at(self.step)
        resident = self.shelf.take((leg.part, 0), None)
        nothing = At(*(jnp.int32(0) for _ in At._fields))
        self.programs = [
            program.lower(
                self.state, resident.data, bucket, self.frequencies[leg.part], nothing
            ).compile(compiler_options=options)
            for program, bucket in zip(self.programs, resident.buckets, strict=True)
        ]
        if self.validation is not None:
            self.validation.compile(self.state.trainable, self.state.other)

    def runs_of(self, leg: plan.Leg, epoch: int) -> plan.Epoch:
        """The runs of an epoch; the last one asked for is kept."""
        if self.epoch_runs is None or self.epoch_runs[0] != (leg.part, epoch):
            counted = self.parts[leg.part].batches(self.config.batch_size)
            found = plan.Epoch(plan.runs(counted, self.config.seed, epoch))
            self.epoch_runs = ((leg.part, epoch), found)
        return self.epoch_runs[1]

    def advance(self, limit: int) -> np.ndarray:
        """Runs up to `limit` steps, never across the end of a leg or of an epoch that is to be
        judged; returns their losses. The device is waited for once, at the end."""
        leg = self.leg_at(self.step)
        end = leg.last_step
        if self.judged and leg.part == 0:
            end = leg.first_step + leg.steps_per_epoch * (len(self.validated) + 1)
        first, stop = self.step, min(self.step + min(limit, MOST_STEPS), end)
        waiting = []
        while self.step < stop:
            losses, count = self.run(leg, stop - self.step)
            waiting.append((losses, count))
            self.step += count
        done = np.concatenate([np.asarray(losses)[:count] for losses, count in waiting])
        self.losses[first:stop] = done
        self.reach_boundary()
        return done

    def run(self, leg: plan.Leg, limit: int) -> tuple[jax.Array, int]:
        """Sends up to `limit` steps of one run to the device: their losses, and how many."""
        in_leg = self.step - leg.first_step
        epoch = leg.first_epoch + in_leg // leg.steps_per_epoch
        of_epoch = self.runs_of(leg, epoch)
        number, past = of_epoch.at(in_leg % leg.steps_per_epoch)
        run = of_epoch.runs[number]
        count = min(run.count - past, limit)
        following = next((r.shard for r in of_epoch.runs[number:] if r.shard != run.shard), None)
        resident = self.shelf.take(
            (leg.part, run.shard), None if following is None else (leg.part, following)
        )
        numbers = (
            self.step,
            count,
            epoch,
            run.first + past,
            self.epochs[0] * self.per_epoch[0] if leg.part == 0 else 0,
        )
        self.state, losses = self.programs[run.bucket](
            self.state,
            resident.data,
            resident.buckets[run.bucket],
            self.frequencies[leg.part],
            At(*(np.int32(number) for number in numbers)),
        )
        return losses, count

    def validate(self) -> float | None:
        """Judges a bit more of the epoch that is done; the whole of it, when it is judged."""
        assert self.validation is not None
        part = self.validation.batch(*self.state[:2], len(self.sums))
        self.sums = np.vstack([self.sums, part])
        if len(self.sums) < self.validation.batches:
            return None
        gain, weight = self.sums.sum(axis=0)
        self.sums = np.zeros((0, 2))
        self.validated.append(float(gain / max(weight, 1e-9)))
        if plan.best_of(self.validated) == len(self.validated) - 1:
            self.best = [jnp.copy(value) for value in self.state[0]]
        if self.step == self.bounds[0]:
            self.state = self.state._replace(trainable=[jnp.copy(value) for value in self.best])
        return self.validated[-1]

    def reach_boundary(self) -> None:
        """Keeps the weights that are evaluated when their leg is done."""
        last = 1 if self.judged else 0
        if last + 1 < len(self.epochs) and self.step == self.bounds[last]:
            self.evaluated = [np.array(value) for value in self.state[0]]

    def tensors(self) -> dict[str, np.ndarray]:
        """A copy of the whole state in host memory, the losses so far included.

        A copy and not a view: the next stretch is given the buffers to write into.
        """
        for value in jax.tree.leaves((self.state, self.best)):
            value.copy_to_host_async()
        copied = {
            name: host_copy(value)
            for names, values in zip(self.names, self.state, strict=True)
            for name, value in zip(names, values, strict=True)
        }
        for kind, values in ((EVALUATED, self.evaluated), (BEST, self.best)):
            if values is not None:
                for name, value in zip(self.names[0], values, strict=True):
                    copied[f"{kind}{name}"] = host_copy(value)
        copied[LOSSES] = self.losses[: self.step].copy()
        copied[VALIDATED] = np.asarray(self.validated, np.float64)
        return copied

    def unlike(self, tensors: dict[str, np.ndarray]) -> str:
        """What of a copied state is not as it would be here; nothing if it is a state of this."""
        for names, values in zip(self.names, self.state, strict=True):
            for name, value in zip(names, values, strict=True):
                if name not in tensors:
                    return f"no `{name}`"
                if tensors[name].shape != value.shape:
                    return f"`{name}` of shape {tensors[name].shape} instead of {value.shape}"
        missing = [name for name in (LOSSES, VALIDATED) if name not in tensors]
        return f"no `{missing[0]}`" if missing else ""

    def restore(self, tensors: dict[str, np.ndarray], step: int) -> None:
        """Puts a copied state back."""
        self.state = State(
            *self.devices.on_all(
                tuple([jnp.asarray(tensors[name]) for name in names] for names in self.names)
            )
        )
        self.evaluated, self.best = (
            [tensors[f"{kind}{name}"] for name in self.names[0]]
            if f"{kind}{self.names[0][0]}" in tensors
            else None
            for kind in (EVALUATED, BEST)
        )
        if self.best is not None:
            self.best = self.devices.on_all([jnp.asarray(value) for value in self.best])
        self.validated = [float(value) for value in tensors[VALIDATED]]
        self.sums = np.zeros((0, 2))
        self.losses[:step] = tensors[LOSSES]
        self.step = step

    def weights(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """The weights that serve and the weights that are evaluated, by name."""
        served = {name: np.array(v) for name, v in zip(self.names[0], self.state[0], strict=True)}
        if self.evaluated is None:
            return served, served
        return served, dict(zip(self.names[0], self.evaluated, strict=True))

    def digest(self) -> str:
        """Over all variables, the optimizer, the generator states and the step."""
        digest = hashlib.sha256(f"state 2 {self.step}\n".encode())
        for name, value in sorted(self.tensors().items()):
            if name != LOSSES:
                digest.update(f"{name} {value.dtype} {value.shape}\n".encode())
                digest.update(np.ascontiguousarray(value).tobytes())
        return digest.hexdigest()

    def is_finite(self) -> bool:
        """Whether the last step's loss is a number."""
        return self.step == 0 or bool(np.isfinite(self.losses[self.step - 1]))

    def about(self) -> dict[str, Any]:
        """What the loop chose by itself."""
        return {
            "window_lengths": list(self.lengths),
            "shards": self.parts[0].n_shards,
            "streams": self.shelf.streams,
            "precision": self.engine.precision,
            "devices": len(self.devices.devices),
            "device": self.devices.devices[0].device_kind,
            "tables": self.tables.record(),
        }
