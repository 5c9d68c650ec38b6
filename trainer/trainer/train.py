"""The train stage: data, loop, checkpoints and outputs brought together.

It resumes by itself from whatever valid checkpoint lies in the checkpoint folder, and a resumed
run ends in the same state as one that nobody disturbed.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainer import checkpoint, factory, model_files, rule
from trainer.atomic import write_bytes, write_json
from trainer.cold_start import Clock, ColdStart, since_process_start_s
from trainer.config import TrainConfig
from trainer.dataset import Interactions, read_interactions
from trainer.failure import ConfigurationError, DataError
from trainer.model_card import model_card
from trainer.progress import Progress, curve
from trainer.signals import Requests
from trainer.split import REPEATS_HINT, Split, nothing_to_judge, p2_rolling
from trainer.stretches import best_epoch, run, validated
from trainer.watchdog import Watchdog
from trainer.xla_cache import opened

# Sums of products of two such are still numbers in float32, which end at 3e38.
MOST_WEIGHT = 1e15


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
    cold_start = ColdStart(since_process_start_s(), watchdog.alive)
    progress = Progress(folders.out, "train")
    progress.say("starting")
    # Imported here and not above: the import takes seconds, and belongs to the measured start.
    from trainer import validation
    from trainer.loop import Judged, TrainingLoop

    cold_start.end("import_s")
    clock.lap("import_s")
    progress.say("starting the device")
    cache = opened(folders.checkpoints)
    cold_start.end("device_s")
    progress.say("reading data")
    events = read_interactions(folders.data)
    decided = rule.decide(events, config.repeats, run_id)
    split = p2_rolling(events, decided.repeats)
    refuse_what_cannot_be_learnt(split)
    cold_start.end("data_s")
    model = factory.identity(config.model)
    origin = checkpoint.Origin(model, events.fingerprint, config.digest(), config.seed)
    found, reached = newest(folders.checkpoints, origin, ignore_checkpoint)
    if cache is not None and found is not None:
        # Before anything is compiled: building the model compiles, too.
        cache.restore(found.tensors)
    cold_start.end("restore_s")
    from_ms = validation.slice_from(split.fit) if config.patience else None
    if config.patience and from_ms is None:
        sys.stderr.write(
            "trainer: too few events before the split to validate on; all are fitted\n"
        )
    judged = None if from_ms is None else Judged(split.fit, from_ms)
    loop = TrainingLoop(config, parts(config, events, split.fit, from_ms), judged)
    resumed_from = [] if found is None else resume(config, loop, found)
    del found  # as large as the state
    cold_start.end("model_s")
    reached = max(reached, progress.start_metrics(loop.step))
    clock.lap("data_s")
    progress.say("compiling", loop.step, loop.total)
    loop.compile()
    cold_start.end("compile_s")
    clock.lap("compile_s")

    start_step = loop.step
    history = [*resumed_from, start_step] if start_step else resumed_from
    writer = checkpoint.Writer(folders.checkpoints, origin, history)
    writer.last_step = start_step or None
    requests.is_saving_worthwhile = True
    run(config, loop, writer, progress, requests, watchdog, cold_start, cache)
    train_s = clock.lap("train_s")

    progress.say("writing the model", loop.step, loop.total)
    served, evaluated = loop.weights()
    model_dir = folders.out / "model"
    weights = {model_files.SERVED: served, model_files.EVALUATED: evaluated}
    for tensors in weights.values():
        refuse_what_diverged(config, tensors)
    about = model_files.save(model_dir, config, events, split, decided, weights, model)
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
        "cold_start": cold_start.seconds,
        "xla_cache": None if cache is None else cache.record(),
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


def refuse_what_cannot_be_learnt(split: Split) -> None:
    """A split with an empty side cannot be trained on or judged."""
    if split.fit.n_events == 0 or len(split.cases) == 0:
        raise DataError(nothing_to_judge(split), REPEATS_HINT)


def refuse_what_diverged(config: TrainConfig, weights: dict[str, np.ndarray]) -> None:
    """What the last steps made of the weights: no loss tells, each is from before its update."""
    for name, value in weights.items():
        largest = float(np.abs(value).max(initial=0.0))
        if not largest < MOST_WEIGHT:
            raise ConfigurationError(
                f"the weights must be numbers below {MOST_WEIGHT:g}, received: {largest:g} in "
                f"`{name}`",
                f"training diverged: lower `learning_rate` ({config.learning_rate})",
            )


def newest(
    folder: Path, origin: checkpoint.Origin, ignore: bool
) -> tuple[checkpoint.Checkpoint | None, int]:
    """The newest valid checkpoint, and the last step that the folder speaks of."""
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint.remove_partials(folder)
    reached = max(checkpoint.steps_in(folder), default=0)
    if ignore:
        return None, reached
    found, passed_over = checkpoint.newest(folder, origin)
    for reason in passed_over:
        sys.stderr.write(f"trainer: {reason}\n")
    return found, reached


def resume(config: TrainConfig, loop: Any, found: checkpoint.Checkpoint) -> list[int]:
    """Puts a checkpoint into the loop. Returns where earlier attempts resumed."""
    refuse_what_does_not_fit(config, loop, found)
    loop.restore(found.tensors, found.step)
    sys.stderr.write(f"trainer: resumed from step {found.step} of {loop.total}\n")
    return found.resumed_from


def refuse_what_does_not_fit(config: TrainConfig, loop: Any, found: checkpoint.Checkpoint) -> None:
    """A state of other arrays than this training's, or, where bits matter, of another device."""
    unlike = loop.unlike(found.tensors)
    if unlike:
        raise ConfigurationError(
            f"checkpoint {found.step} must hold the state of this training, received: {unlike}",
            "another version of the trainer wrote it; start a new run",
        )
    here = loop.about()["device"]
    if found.device in (None, here):
        return
    if config.deterministic:
        raise ConfigurationError(
            f"checkpoint {found.step} must be of this kind of device ({here}), "
            f"received: {found.device}",
            "`deterministic` asks for equal bits, which another kind does not give; run on the "
            "kind that it began on, or leave `deterministic` out",
        )
    sys.stderr.write(
        f"trainer: checkpoint {found.step} is of another kind of device ({found.device}); "
        "from here on bits may differ from what it would have computed\n"
    )
