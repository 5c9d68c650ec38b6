"""The train stage: data, loop, checkpoints and outputs brought together.

It resumes by itself from whatever valid checkpoint lies in the checkpoint folder, and a resumed
run ends in the same state as one that nobody disturbed.
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainer import checkpoint, factory, model_files, plan, rule
from trainer.atomic import write_bytes, write_json
from trainer.config import TrainConfig
from trainer.dataset import Interactions, read_interactions
from trainer.failure import ConfigurationError, DataError, Preempted
from trainer.interval import checkpoint_interval_s
from trainer.model_card import model_card
from trainer.progress import Progress, curve
from trainer.signals import Requests
from trainer.split import REPEATS_HINT, Split, nothing_to_judge, p2_rolling
from trainer.watchdog import Watchdog


@dataclass(frozen=True)
class Folders:
    """Where a train stage reads and writes."""

    data: Path
    checkpoints: Path
    out: Path


def train(
    config: TrainConfig,
    folders: Folders,
    requests: Requests,
    watchdog: Watchdog,
    ignore_checkpoint: bool = False,
    run_id: str = "",
) -> dict[str, Any]:
    """Trains to the end and returns what `training.json` says.

    Raises `Preempted` after SIGTERM, when the checkpoint is complete.
    """
    clock = Clock()
    progress = Progress(folders.out, "train")
    progress.say("starting")
    # Imported here and not above: the import takes seconds, and belongs to the measured start.
    from trainer import validation
    from trainer.loop import Judged, TrainingLoop

    clock.lap("import_s")
    progress.say("reading data")
    events = read_interactions(folders.data)
    decided = rule.decide(events, config.repeats, run_id)
    split = p2_rolling(events, decided.repeats)
    refuse_what_cannot_be_learnt(split)
    from_ms = validation.slice_from(split.fit) if config.patience else None
    judged = None if from_ms is None else Judged(split.fit, from_ms)
    loop = TrainingLoop(config, parts(config, events, split.fit, from_ms), judged)
    model = factory.identity(config.model)
    origin = checkpoint.Origin(model, events.fingerprint, config.digest(), config.seed)
    resumed_from, reached = resume(loop, folders.checkpoints, origin, ignore_checkpoint)
    reached = max(reached, progress.start_metrics(loop.step))
    clock.lap("data_s")
    progress.say("compiling", loop.step, loop.total)
    loop.compile()
    clock.lap("compile_s")

    start_step = loop.step
    history = [*resumed_from, start_step] if start_step else resumed_from
    writer = checkpoint.Writer(folders.checkpoints, origin, history)
    writer.last_step = start_step or None
    requests.is_saving_worthwhile = True
    run(config, loop, writer, progress, requests, watchdog)
    train_s = clock.lap("train_s")

    progress.say("writing the model", loop.step, loop.total)
    served, evaluated = loop.weights()
    model_dir = folders.out / "model"
    weights = {model_files.SERVED: served, model_files.EVALUATED: evaluated}
    about = model_files.save(model_dir, config, events, split, decided, weights)
    last_loss = float(loop.losses[loop.step - 1])
    write_bytes(folders.out / "model-card.md", model_card(about, events, last_loss).encode())
    write_json(folders.out / "curve.json", curve(loop.losses[: loop.step], history))
    samples = (loop.step - start_step) * config.batch_size
    training = {
        "resumed_from": start_step or None,
        "steps": loop.step,
        "digest": loop.digest(),
        # Steps that an earlier attempt is known to have done, and that were done again here.
        "repeated_steps": max(0, reached - start_step),
        "seconds": round(clock.total(), 3),
        "samples_per_s": round(samples / train_s, 3) if samples else 0.0,
        "stages": clock.laps,
        "best": best_epoch(loop.losses[: loop.step], loop.epoch_firsts),
        "validation": validated(loop),
        "chosen": loop.about(),
        "parameters": about["parameters"],
        "dataset_fingerprint": events.fingerprint,
    }
    write_json(folders.out / "training.json", training)
    progress.say("done", loop.step, loop.total)
    return training


def parts(
    config: TrainConfig, events: Interactions, fit: Interactions, from_ms: int | None
) -> list[tuple[Interactions, int]]:
    """What the loop goes through, and how often. What is validated on from `from_ms` is left out
    at first; then the best weights go on over all of `fit`, as they later do over all events."""
    made = [(fit, config.epochs)]
    if from_ms is not None:
        early = fit.only(fit.time_ms < from_ms)
        made = [(early, config.epochs), (fit, max(1, config.refit_epochs))]
    return [*made, (events, config.refit_epochs)] if config.refit_epochs else made


def validated(loop: Any) -> dict[str, Any] | None:
    """How the first leg was judged, and which of its epochs was the best."""
    if not loop.validated:
        return None
    best = plan.best_of(loop.validated)
    return {
        "metric": "ndcg_at_10",
        "values": [round(value, 6) for value in loop.validated],
        "best_epoch": best,
        "best_step": (best + 1) * loop.per_epoch[0],
        "best": loop.validated[best],
        "stopped_after": len(loop.validated),
    }


def refuse_what_cannot_be_learnt(split: Split) -> None:
    """A split with an empty side cannot be trained on or judged."""
    if split.fit.n_events == 0 or len(split.cases) == 0:
        raise DataError(nothing_to_judge(split), REPEATS_HINT)


def resume(
    loop: Any, folder: Path, origin: checkpoint.Origin, ignore: bool
) -> tuple[list[int], int]:
    """Puts the newest valid checkpoint into the loop. Returns where earlier attempts resumed,
    and the last step that the folder speaks of."""
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint.remove_partials(folder)
    reached = max(checkpoint.steps_in(folder), default=0)
    if ignore:
        return [], reached
    found, passed_over = checkpoint.newest(folder, origin)
    for reason in passed_over:
        sys.stderr.write(f"trainer: {reason}\n")
    if found is None:
        return [], reached
    loop.restore(found.tensors, found.step)
    sys.stderr.write(f"trainer: resumed from step {found.step} of {loop.total}\n")
    return found.resumed_from, reached


def run(
    config: TrainConfig,
    loop: Any,
    writer: checkpoint.Writer,
    progress: Progress,
    requests: Requests,
    watchdog: Watchdog,
) -> None:
    """Stretch after stretch until the last step, with checkpoints between them."""
    every_s = config.checkpoint_every_s or checkpoint_interval_s(0.0, config.expected_reclaim_s)
    saved_at = time.monotonic()
    stretch = 1
    while True:
        detail = f"epoch {loop.epoch_of(loop.step) + 1}"
        if progress.tick(loop.step, loop.total, detail):
            write_json(
                progress.out_dir / "curve.json",
                curve(loop.losses[: loop.step], writer.resumed_from),
            )
        asked = requests.stop.is_set() or requests.checkpoint.is_set()
        due = time.monotonic() - saved_at >= every_s and not writer.is_busy
        if (asked or due) and loop.step < loop.total and loop.step != writer.last_step:
            began = time.monotonic()
            writer.finish()
            tensors = loop.tensors()
            saved_at = time.monotonic()
            if config.checkpoint_every_s is None:
                every_s = checkpoint_interval_s(saved_at - began, config.expected_reclaim_s)
            best = best_epoch(loop.losses[: loop.step], loop.epoch_firsts)
            writer.start(loop.step, tensors, {"best": best, "validation": validated(loop)})
        requests.checkpoint.clear()
        if loop.step >= loop.total:
            break
        if requests.stop.is_set():
            writer.finish()
            progress.say("checkpointed and stopped", loop.step, loop.total)
            raise Preempted(f"stopped at step {loop.step}")
        if loop.step == config.raise_at_step:
            raise RuntimeError(f"`raise_at_step` is {loop.step}: failing as asked")
        if loop.validation_due:
            validate(loop, progress)
            watchdog.alive()
            continue
        stretch = advance(config, loop, stretch, progress)
        watchdog.alive()
    writer.finish()


def validate(loop: Any, progress: Progress) -> None:
    """Judges a bit more of the epoch that is done; short, so that a signal is soon seen."""
    value = loop.validate()
    if value is not None:
        progress.metric(step=loop.step, epoch=loop.epoch_of(loop.step - 1), ndcg_at_10=value)


def advance(config: TrainConfig, loop: Any, stretch: int, progress: Progress) -> int:
    """Runs one stretch, and returns how long the next one may be to take about `chunk_s`."""
    limit = stretch
    if config.raise_at_step is not None and config.raise_at_step > loop.step:
        limit = min(limit, config.raise_at_step - loop.step)
    began = time.monotonic()
    losses = loop.advance(limit)
    passed = max(time.monotonic() - began, 1e-6)
    if not loop.is_finite():
        raise ConfigurationError(
            f"the loss must be a finite number, received: {losses[-1]} by step {loop.step}",
            f"training diverged: lower `learning_rate` ({config.learning_rate})",
        )
    progress.metric(
        step=loop.step,
        epoch=loop.epoch_of(loop.step - 1),
        loss=float(np.mean(losses, dtype=np.float64)),
        samples_per_s=round(len(losses) * config.batch_size / passed, 1),
    )
    aimed = int(len(losses) * config.chunk_s / passed)
    return max(1, min(aimed, 2 * stretch))


def best_epoch(losses: np.ndarray, epoch_firsts: list[int]) -> dict[str, Any] | None:
    """The epoch with the lowest mean loss so far; it follows from the losses alone, so a resumed
    run knows the same best."""
    starts = [first for first in epoch_firsts if first < len(losses)]
    if not starts:
        return None
    means = [
        float(np.mean(losses[first:last], dtype=np.float64))
        for first, last in zip(starts, [*starts[1:], len(losses)], strict=True)
    ]
    at = int(np.argmin(means))
    return {"epoch": at, "loss": means[at]}


class Clock:
    """Seconds spent in each part of the stage."""

    def __init__(self) -> None:
        self.began = self.last = time.monotonic()
        self.laps: dict[str, float] = {}

    def lap(self, name: str) -> float:
        """Ends a part and returns its seconds."""
        now = time.monotonic()
        seconds, self.last = now - self.last, now
        self.laps[name] = round(seconds, 3)
        return seconds

    def total(self) -> float:
        """Seconds since the stage began."""
        return time.monotonic() - self.began
