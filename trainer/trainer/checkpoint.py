"""Checkpoints on the local disk: written beside training, found again, never half.

A checkpoint is a folder `<step>/` that appears by one rename when all of it is on disk: parts
in safetensors, then `index.json` with their checksums. The agent ships such folders and may
delete shipped ones; this module keeps the two newest and never talks to a store.
"""

import json
import os
import shutil
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from trainer import disk
from trainer.atomic import now_rfc3339, sha256_of
from trainer.failure import ConfigurationError

INDEX = "index.json"
# 2: with the history of validations and the learning rate; 3: another draw of negatives, so a
# training that began with the one before would end in weights that neither gives
SCHEMA = 3
# Small parts cost one request each; a part is closed once it is this large.
PART_BYTES = 64 * 1024 * 1024
KEPT = 2


class Torn(Exception):
    """A checkpoint that is incomplete or does not match its checksums."""


class Abandoned(Exception):
    """A checkpoint that is not finished, because a newer one is wanted at once."""


@dataclass(frozen=True)
class Origin:
    """What a checkpoint belongs to; one of another origin is refused, never adapted."""

    model: str
    dataset_fingerprint: str
    config_digest: str
    seed: int


@dataclass(frozen=True)
class Checkpoint:
    """A state read back."""

    step: int
    tensors: dict[str, np.ndarray]
    resumed_from: list[int] = field(default_factory=list)
    device: str | None = None  # the kind that computed it


def steps_in(folder: Path) -> list[int]:
    """The steps of the complete-looking folders, newest first."""
    if not folder.is_dir():
        return []
    names = [path.name for path in folder.iterdir() if path.is_dir()]
    return sorted((int(name) for name in names if name.isdecimal()), reverse=True)


def remove_partials(folder: Path) -> None:
    """Clears what an earlier attempt was writing when it died."""
    for path in folder.glob("*.partial"):
        shutil.rmtree(path, ignore_errors=True)


def write(
    folder: Path,
    step: int,
    tensors: dict[str, np.ndarray],
    origin: Origin,
    extra: dict[str, Any],
    is_abandoned: Callable[[], bool] = lambda: False,
) -> Path:
    """Writes one checkpoint completely, then lets it appear, then prunes the others: of the older
    ones all but the newest, and any of a later step, which was passed over or ignored."""
    partial = folder / f"{step}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        fill(partial, step, tensors, origin, extra, is_abandoned)
    except BaseException:
        # A full disk gets its room back: the next one may be all that is saved of the training.
        shutil.rmtree(partial, ignore_errors=True)
        raise
    final = folder / str(step)
    # Only a torn folder of an earlier attempt can be in the way: a valid one was resumed from.
    shutil.rmtree(final, ignore_errors=True)
    partial.rename(final)
    sync(folder)
    there = steps_in(folder)
    kept = [one for one in there if one <= step][:KEPT]
    for other in set(there) - set(kept):
        shutil.rmtree(folder / str(other), ignore_errors=True)
    return final


def fill(
    partial: Path,
    step: int,
    tensors: dict[str, np.ndarray],
    origin: Origin,
    extra: dict[str, Any],
    is_abandoned: Callable[[], bool],
) -> None:
    """Writes the parts and then the index into a folder that nobody reads yet."""
    parts = []
    for number, names in enumerate(cut_into_parts(tensors)):
        if is_abandoned():
            raise Abandoned(f"checkpoint {step}")
        path = partial / f"part-{number:05d}.safetensors"
        # `ascontiguousarray` would turn a scalar, such as the optimizer's counter, into a list.
        save_file({name: np.asarray(tensors[name], order="C") for name in names}, path)
        sync(path)
        parts.append(
            {
                "file": path.name,
                "bytes": path.stat().st_size,
                "sha256": sha256_of(path),
                "tensors": names,
            }
        )
    index = {
        "schema": SCHEMA,
        "step": step,
        "model": origin.model,
        "dataset_fingerprint": origin.dataset_fingerprint,
        "config_digest": origin.config_digest,
        "seed": origin.seed,
        "written_at": now_rfc3339(),
        **extra,
        "parts": parts,
    }
    (partial / INDEX).write_text(json.dumps(index, indent=1), encoding="utf-8")
    sync(partial / INDEX)
    sync(partial)


def cut_into_parts(tensors: dict[str, np.ndarray]) -> list[list[str]]:
    """Names of tensors by part, in a fixed order."""
    parts: list[list[str]] = [[]]
    size = 0
    for name in sorted(tensors):
        if size >= PART_BYTES:
            parts.append([])
            size = 0
        parts[-1].append(name)
        size += tensors[name].nbytes
    return parts


def sync(path: Path) -> None:
    """Makes a file or folder survive the host."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def newest(folder: Path, origin: Origin) -> tuple[Checkpoint | None, list[str]]:
    """The newest valid checkpoint, and why newer ones were passed over."""
    passed_over = []
    for step in steps_in(folder):
        try:
            return read(folder / str(step), step, origin), passed_over
        except Torn as torn:
            passed_over.append(f"checkpoint {step} is torn: {torn}")
    return None, passed_over


def read(path: Path, step: int, origin: Origin) -> Checkpoint:
    """Reads and verifies one checkpoint; one of another run's making is refused."""
    try:
        index = json.loads((path / INDEX).read_text(encoding="utf-8"))
        schema, written_step = index["schema"], index["step"]
        parts = [(path / part["file"], part["sha256"]) for part in index["parts"]]
        resumed_from = [int(value) for value in index.get("resumed_from", [])]
        found = {
            "model": index["model"],
            "dataset": index["dataset_fingerprint"],
            "configuration": index["config_digest"],
            "seed": index["seed"],
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Torn(f"`{INDEX}` cannot be read ({error})") from error
    if schema != SCHEMA:
        raise ConfigurationError(
            f"checkpoint {step} must have schema {SCHEMA}, received: {schema}",
            "another version of the trainer wrote it; start a new run",
        )
    if written_step != step:
        raise Torn(f"`{INDEX}` speaks of step {written_step}")
    wanted = {
        "model": origin.model,
        "dataset": origin.dataset_fingerprint,
        "configuration": origin.config_digest,
        "seed": origin.seed,
    }
    for what, value in wanted.items():
        if found[what] != value:
            raise ConfigurationError(
                f"checkpoint {step} must be of this run's {what} ({value}), "
                f"received: {found[what]}",
                "a checkpoint of another dataset, configuration or model is never resumed; "
                "start a new run",
            )
    tensors: dict[str, np.ndarray] = {}
    for file, sha256 in parts:
        try:
            if sha256_of(file) != sha256:
                raise Torn(f"`{file.name}` does not match its checksum")
            tensors.update(load_file(file))
        except (OSError, SafetensorError) as error:
            raise Torn(f"`{file.name}` cannot be read ({error})") from error
    return Checkpoint(step, tensors, resumed_from, index.get("device"))


class Writer:
    """Writes checkpoints on a thread of its own; never two at once."""

    def __init__(self, folder: Path, origin: Origin, resumed_from: list[int]) -> None:
        self.folder, self.origin, self.resumed_from = folder, origin, resumed_from
        self.thread: threading.Thread | None = None
        self.error: BaseException | None = None
        self.last_step: int | None = None
        self.abandoned = threading.Event()

    @property
    def is_busy(self) -> bool:
        """Whether the last checkpoint is still being written."""
        return self.thread is not None and self.thread.is_alive()

    def start(self, step: int, tensors: dict[str, np.ndarray], extra: dict[str, Any]) -> None:
        """Begins a checkpoint; waits for the one before, and raises what made that one fail."""
        self.finish()
        extra = {"resumed_from": self.resumed_from, **extra}

        def work() -> None:
            try:
                write(self.folder, step, tensors, self.origin, extra, self.abandoned.is_set)
            except Abandoned:
                pass  # whoever abandoned it writes the next one
            except BaseException as error:
                self.error = error

        self.last_step = step
        self.thread = threading.Thread(target=work, name="checkpoint")
        self.thread.start()

    def abandon(self) -> None:
        """Gives up the one that is being written, unless it is nearly done; returns when nothing
        is being written any more. Only for who starts another at once: a failure is told and not
        raised, which would keep the newer one from being tried."""
        self.abandoned.set()
        error = self.waited_for()
        self.abandoned.clear()
        if error is not None:
            sys.stderr.write(f"trainer: {self.failure(error)}\n")

    def finish(self) -> None:
        """Waits until the last checkpoint is complete, and raises what made it fail."""
        error = self.waited_for()
        if error is not None:
            raise self.failure(error) from error

    def waited_for(self) -> BaseException | None:
        """What made the last checkpoint fail, once nothing is being written; it is told once."""
        if self.thread is not None:
            self.thread.join()
            self.thread = None
        error, self.error = self.error, None
        return error

    def failure(self, error: BaseException) -> Exception:
        """How the last checkpoint is said to have failed."""
        what = f"checkpoint {self.last_step}"
        if disk.number(error) is not None:
            return disk.unwritten(what, error)
        return RuntimeError(f"{what} could not be written: {type(error).__name__}: {error}")
