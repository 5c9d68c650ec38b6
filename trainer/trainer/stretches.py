"""Stretch after stretch until the last step: when to save, when to stop, how far to go at once."""

import time
from typing import Any

import numpy as np

from trainer import checkpoint, plan
from trainer.atomic import write_json
from trainer.cold_start import ColdStart
from trainer.config import TrainConfig
from trainer.failure import ConfigurationError, Preempted
from trainer.interval import checkpoint_interval_s
from trainer.progress import Progress, curve
from trainer.signals import Requests
from trainer.watchdog import Watchdog
from trainer.xla_cache import XlaCache


def run(
    config: TrainConfig,
    loop: Any,
    writer: checkpoint.Writer,
    progress: Progress,
    requests: Requests,
    watchdog: Watchdog,
    cold_start: ColdStart,
    cache: XlaCache | None = None,
) -> None:
    """Trains to the end, with checkpoints on the way.

    Raises `Preempted` after SIGTERM, when the checkpoint is complete. What was asked for is looked
    at once in each turn: a signal in the middle of a turn is the next turn's.
    """
    every_s = config.checkpoint_every_s or checkpoint_interval_s(0.0, config.expected_reclaim_s)
    saved_at = time.monotonic()
    stretch = 1
    while True:
        stop = requests.stop.is_set()
        detail = f"epoch {loop.epoch_of(loop.step) + 1}"
        if progress.tick(loop.step, loop.total, detail):
            write_json(
                progress.out_dir / "curve.json",
                curve(loop.losses[: loop.step], writer.resumed_from),
            )
        if loop.step >= loop.total:
            break
        # Before the first step there is nothing that a later start would not make itself.
        due = loop.step > 0 and (
            requests.checkpoint.is_set() or time.monotonic() - saved_at >= every_s
        )
        if loop.step == writer.last_step:
            requests.checkpoint.clear()
        elif stop or (due and not writer.is_busy):
            requests.checkpoint.clear()
            if stop:
                writer.abandon()
            began = time.monotonic()
            tensors = loop.tensors()
            saved_at = time.monotonic()
            if config.checkpoint_every_s is None:
                every_s = checkpoint_interval_s(saved_at - began, config.expected_reclaim_s)
            kept = tensors if cache is None else tensors | cache.tensors()
            writer.start(loop.step, kept, about(loop))
        if stop:
            writer.finish()
            progress.say("checkpointed and stopped", loop.step, loop.total)
            raise Preempted(f"stopped at step {loop.step}")
        if loop.step == config.raise_at_step:
            raise RuntimeError(f"`raise_at_step` is {loop.step}: failing as asked")
        if loop.validation_due:
            validate(loop, progress)
        else:
            stretch = advance(config, loop, stretch, progress)
            if cold_start.is_open:
                progress.cold_start = cold_start.end("first_step_s")
        watchdog.alive()
    writer.finish()


def about(loop: Any) -> dict[str, Any]:
    """What a checkpoint says of itself besides its tensors."""
    return {
        "best": best_epoch(loop.losses[: loop.step], loop.epoch_firsts),
        "validation": validated(loop),
        "device": loop.about()["device"],
        "precision": loop.about()["precision"],
    }


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
