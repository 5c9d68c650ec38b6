"""Real processes, real signals: whoever stops a training, it ends in the same state."""

import json
import random
import shutil
import signal
import time

import pyarrow.parquet as pq
from conftest import TINY, Place, table

from trainer.checkpoint import Writer, steps_in

DEADLINE_S = 60
# Seconds of training, so that a busy machine finds the time to stop it on the way.
LONG = {**TINY, "epochs": 200}


def make(root, params):
    made = Place(root, dict(params))
    pq.write_table(table(), made.data / "interactions.parquet")
    return made


def training(out):
    return json.loads((out / "training.json").read_text())


def wait_for_step(process, out, step, checkpoints=None):
    """Polls until the run is past `step` (and has a checkpoint at or past it)."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        assert process.poll() is None, process.stderr.read()
        path = out / "metrics.jsonl"
        lines = path.read_text().splitlines()[-2:-1] if path.exists() else []
        there = lines and json.loads(lines[0])["step"] >= step
        if there and (checkpoints is None or max(steps_in(checkpoints), default=0) >= step):
            return
        time.sleep(0.005)
    raise AssertionError(f"no step {step} within {DEADLINE_S} s")


def test_stops_and_kills_end_in_the_state_of_the_undisturbed_run(trained, tmp_path):
    undisturbed = tmp_path / "undisturbed"
    code, errors = make(tmp_path / "whole", LONG).call("train", undisturbed)
    assert code == 0, errors
    made = make(tmp_path, LONG)
    whole = training(undisturbed)
    total = whole["steps"]
    ways = ["TERM", "KILL", "TERM"]
    # Random, but of a part each, so that they are reached in order; printed when it fails.
    n = len(ways) + 1
    draws = [random.randrange(total * k // n, total * (k + 1) // n) for k in range(len(ways))]
    history, last_of_attempt = [], 0
    for number, (how, step) in enumerate(zip(ways, draws, strict=True)):
        out = tmp_path / f"out-{number}"
        process = made.start("train", out)
        if how == "TERM":
            wait_for_step(process, out, step)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)
            assert process.returncode == 143, (draws, how)
            done = json.loads((out / "metrics.jsonl").read_text().splitlines()[-1])["step"]
            # Nothing is lost: the checkpoint is of the last step that was done.
            assert max(steps_in(made.checkpoints)) == done
        else:
            wait_for_step(process, out, step, made.checkpoints)
            process.kill()
            process.communicate(timeout=30)
            assert process.returncode == -signal.SIGKILL
        history.append(max(steps_in(made.checkpoints)))
        assert history[-1] > last_of_attempt, draws
        last_of_attempt = history[-1]

    code, errors = made.run("train", tmp_path / "out")

    assert code == 0, errors
    resumed = training(tmp_path / "out")
    assert resumed["resumed_from"] == history[-1], draws
    assert resumed["digest"] == whole["digest"], draws
    assert resumed["steps"] == whole["steps"] == total
    assert whole["resumed_from"] is None
    curves = [json.loads((p / "curve.json").read_text()) for p in (tmp_path / "out", undisturbed)]
    assert curves[0]["points"] == curves[1]["points"]
    assert curves[0]["resumed_from"] == history
    first = json.loads((tmp_path / "out" / "metrics.jsonl").read_text().splitlines()[0])
    assert first["step"] > history[-1]


def test_a_torn_newest_checkpoint_costs_only_the_steps_since_the_one_before(
    trained, tmp_path, monkeypatch
):
    made = make(tmp_path, TINY)
    # Each is waited for, so that there are two however slow the disk is.
    monkeypatch.setattr(Writer, "is_busy", False)
    code, errors = made.call("train", tmp_path / "before")
    assert code == 0, errors
    older, newest = sorted(steps_in(made.checkpoints))
    part = made.checkpoints / str(newest) / "part-00000.safetensors"
    part.write_bytes(part.read_bytes()[:-9])

    code, errors = made.call("train", tmp_path / "out")

    assert code == 0, errors
    assert f"checkpoint {newest} is torn" in errors
    after = training(tmp_path / "out")
    assert after["resumed_from"] == older
    assert after["repeated_steps"] == newest - older
    assert after["digest"] == training(trained.inputs / "train")["digest"]


def test_sigusr1_checkpoints_and_training_goes_on(tmp_path):
    made = make(tmp_path, {**LONG, "checkpoint_every_s": 3600})
    out = tmp_path / "out"
    process = made.start("train", out)
    wait_for_step(process, out, 10)
    process.send_signal(signal.SIGUSR1)
    deadline = time.monotonic() + DEADLINE_S
    while not steps_in(made.checkpoints) and time.monotonic() < deadline:
        time.sleep(0.005)

    _, errors = process.communicate(timeout=DEADLINE_S)

    assert process.returncode == 0, errors
    assert len(steps_in(made.checkpoints)) == 1


def test_sigterm_while_compiling_is_143_and_leaves_what_was_there(trained, tmp_path):
    made, out = make(tmp_path, TINY), tmp_path / "out"
    older = min(steps_in(trained.checkpoints))
    shutil.copytree(trained.checkpoints / str(older), made.checkpoints / str(older))
    process = made.start("train", out, env={"JAX_COMPILATION_CACHE_DIR": ""})
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline and process.poll() is None:
        path = out / "progress.json"
        if path.exists() and json.loads(path.read_text())["detail"] == "compiling":
            break
        time.sleep(0.005)

    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=DEADLINE_S)

    assert process.returncode == 143, errors
    assert older in steps_in(made.checkpoints)
    assert list(made.checkpoints.glob("*.partial")) == []
    code, errors = made.call("train", tmp_path / "again")
    assert code == 0, errors
    assert training(tmp_path / "again")["digest"] == training(trained.inputs / "train")["digest"]


def test_another_configuration_refuses_the_checkpoint(trained, tmp_path):
    code, errors = trained.call("train", tmp_path / "out", params={**TINY, "seed": 4})

    assert code == 64
    failure = json.loads((tmp_path / "out" / "failure.json").read_text())
    assert "must be of this run's configuration" in failure["reason"]
    assert failure["reason"] in errors


def test_the_switch_that_ignores_checkpoints_repeats_steps(trained, tmp_path):
    made = make(tmp_path, TINY)
    newest = max(steps_in(trained.checkpoints))
    shutil.copytree(trained.checkpoints / str(newest), made.checkpoints / str(newest))

    code, errors = made.call(
        "train", tmp_path / "out", env={"TRAINSPOT_TEST_IGNORE_CHECKPOINT": "1"}
    )

    assert code == 0, errors
    after = training(tmp_path / "out")
    assert after["resumed_from"] is None
    assert after["repeated_steps"] == newest
