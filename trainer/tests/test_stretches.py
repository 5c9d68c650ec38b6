"""When a training saves and stops, by signals that come at the worst moments."""

import errno
import threading

import numpy as np
import pytest

from trainer import checkpoint
from trainer.cold_start import ColdStart
from trainer.config import TrainConfig
from trainer.failure import ConfigurationError, Preempted
from trainer.progress import Progress
from trainer.stretches import run
from trainer.train import refuse_what_does_not_fit

ORIGIN = checkpoint.Origin("m", "d", "c", 1)


class Counting:
    """A training that counts: its state is its step."""

    total, epoch_firsts, validated, validation_due = 40, [0], (), False

    def __init__(self, on_advance=lambda step: None):
        self.step, self.on_advance = 0, on_advance
        self.losses = np.zeros(self.total, np.float32)

    def epoch_of(self, step):
        return 0

    def advance(self, limit):
        self.on_advance(self.step)
        done = min(limit, 3, self.total - self.step)
        self.step += done
        return np.zeros(done, np.float32)

    def is_finite(self):
        return True

    def tensors(self):
        return {"step": np.array(self.step)}

    def unlike(self, tensors):
        return ""

    def about(self):
        return {"device": "cpu", "precision": "float32"}


class Asked:
    """Requests whose flags are set when a script says so."""

    def __init__(self):
        self.stop, self.checkpoint = threading.Event(), threading.Event()


class Alive:
    def alive(self):
        pass


def go(tmp_path, loop, requests, writer=None, **more):
    config = TrainConfig(**{"checkpoint_every_s": 3600.0, "chunk_s": 1.0, **more})
    out = tmp_path / "out"
    out.mkdir(exist_ok=True)
    writer = writer or checkpoint.Writer(tmp_path / "ckpt", ORIGIN, [])
    cold_start = ColdStart(None, lambda: None)
    run(config, loop, writer, Progress(out, "train"), requests, Alive(), cold_start)
    return writer


def test_a_stop_before_the_first_step_leaves_a_checkpoint_of_step_0(tmp_path):
    requests = Asked()
    requests.stop.set()

    with pytest.raises(Preempted, match="stopped at step 0"):
        go(tmp_path, Counting(), requests)

    assert checkpoint.newest(tmp_path / "ckpt", ORIGIN)[0].step == 0


class SetBetween(threading.Event):
    """A flag that becomes set just after it was first looked at, as by a signal."""

    def is_set(self):
        seen = super().is_set()
        self.set()
        return seen


def test_a_stop_that_comes_after_the_look_is_saved_all_the_same(tmp_path):
    requests = Asked()
    requests.stop = SetBetween()
    loop = Counting()

    with pytest.raises(Preempted):
        go(tmp_path, loop, requests)

    assert checkpoint.newest(tmp_path / "ckpt", ORIGIN)[0].step == loop.step > 0


def test_nothing_is_saved_before_the_first_step_however_late_it_is(tmp_path):
    requests = Asked()
    requests.checkpoint.set()
    writer = Slow(tmp_path / "ckpt")
    writer.let_go.set()

    go(tmp_path, Counting(), requests, writer, checkpoint_every_s=1e-9)

    steps = [step for step, _ in writer.started]
    assert steps
    assert steps[0] > 0


def test_a_stop_after_a_checkpoint_that_failed_leaves_a_newer_one(tmp_path, monkeypatch):
    requests = Asked()
    written = checkpoint.write

    def full_at_first(folder, step, *more):
        if not requests.stop.is_set():
            raise OSError(errno.ENOSPC, "No space left on device")
        return written(folder, step, *more)

    monkeypatch.setattr(checkpoint, "write", full_at_first)
    writer = checkpoint.Writer(tmp_path / "ckpt", ORIGIN, [])

    def until_it_failed(step):
        if writer.thread is not None:
            writer.thread.join()
            requests.stop.set()

    loop = Counting(until_it_failed)

    with pytest.raises(Preempted):
        go(tmp_path, loop, requests, writer, checkpoint_every_s=1e-9)

    assert checkpoint.newest(tmp_path / "ckpt", ORIGIN)[0].step == loop.step > 0


def test_a_stop_in_a_stretch_loses_nothing(tmp_path):
    requests = Asked()
    loop = Counting(lambda step: requests.stop.set() if step >= 20 else None)

    with pytest.raises(Preempted):
        go(tmp_path, loop, requests)

    assert loop.step < loop.total
    assert checkpoint.newest(tmp_path / "ckpt", ORIGIN)[0].step == loop.step


class Slow(checkpoint.Writer):
    """A writer whose checkpoints take until they are let go."""

    def __init__(self, folder):
        super().__init__(folder, ORIGIN, [])
        self.let_go, self.started, self.most = threading.Event(), [], 0

    def start(self, step, tensors, extra):
        self.started.append((step, self.is_busy))
        super().start(step, tensors, extra)

    @property
    def is_busy(self):
        return bool(self.started) and not self.let_go.is_set()


def test_who_asks_for_a_checkpoint_during_a_write_gets_it_after_it(tmp_path):
    requests, writer = Asked(), Slow(tmp_path / "ckpt")

    def script(step):
        if step in (1, 6):
            requests.checkpoint.set()
        if step >= 20:
            writer.let_go.set()

    go(tmp_path, Counting(script), requests, writer)

    steps = [step for step, _ in writer.started]
    assert len(steps) == 2, "one for each time that it was asked"
    assert steps[1] >= 20
    assert not any(busy for _, busy in writer.started), "two were in flight"


def test_a_stop_during_a_write_gives_that_one_up_for_the_newest_state(tmp_path):
    requests = Asked()
    loop = Counting(
        lambda step: (
            (requests.stop if step >= 20 else requests.checkpoint).set()
            if step in (0, 20, 21, 22, 23, 24)
            else None
        )
    )

    with pytest.raises(Preempted):
        go(tmp_path, loop, requests)

    assert checkpoint.newest(tmp_path / "ckpt", ORIGIN)[0].step == loop.step


def test_a_stop_after_the_last_step_is_no_reason_not_to_finish(tmp_path):
    requests = Asked()
    loop = Counting(lambda step: requests.stop.set() if step == 39 else None)
    loop.step = 39

    go(tmp_path, loop, requests)

    assert loop.step == loop.total


def test_another_kind_of_device_is_refused_where_bits_matter_and_told_where_not(capsys):
    found = checkpoint.Checkpoint(7, {}, [], "Tesla T4")

    refuse_what_does_not_fit(TrainConfig(), Counting(), found)
    assert "another kind of device (Tesla T4)" in capsys.readouterr().err
    with pytest.raises(ConfigurationError, match="must be of this kind of device"):
        refuse_what_does_not_fit(TrainConfig(deterministic=True), Counting(), found)


def test_a_state_of_other_arrays_is_refused():
    loop = Counting()
    loop.unlike = lambda tensors: "no `rows/000/items`"

    with pytest.raises(ConfigurationError, match="received: no `rows/000/items`"):
        refuse_what_does_not_fit(TrainConfig(), loop, checkpoint.Checkpoint(7, {}))
