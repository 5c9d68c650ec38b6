"""Exit codes and `failure.json`, as the agent sees them."""

import errno
import json
import os
import re
import resource
import shutil

import pyarrow.parquet as pq
import pytest
from conftest import table

import trainer.main


@pytest.fixture
def compiled(trained):
    """Lets a test's own training find its program in the cache."""
    return trained


def failure(out):
    return json.loads((out / "failure.json").read_text())


def test_bad_configuration_is_64(place):
    out = place.root / "out"

    code, errors = place.run("train", out, params={"epochs": 0})

    assert code == 64
    assert set(failure(out)) == {"reason", "hint"}
    assert failure(out)["reason"] == "`epochs` must be positive, received: 0"
    assert "trainer: `epochs` must be positive, received: 0" in errors


def test_a_last_step_that_diverges_is_64_and_leaves_no_model(place):
    """No loss tells of it: that of the last step is from before its update."""
    out = place.root / "out"
    whole = {"epochs": 1, "refit_epochs": 0, "batch_size": 2048, "learning_rate": 1e30}

    code, _ = place.call("train", out, params={**place.params, **whole})

    assert code == 64
    assert failure(out)["reason"].startswith("the weights must be numbers below 1e+15, received: ")
    assert "lower `learning_rate` (1e+30)" in failure(out)["hint"]
    assert not (out / "model").exists()


@pytest.mark.parametrize("stage", ["gather", "recommend"])
def test_bad_data_is_65_with_file_and_column(place, stage):
    pq.write_table(table().drop(["item_id"]), place.data / "interactions.parquet")
    out = place.root / "out"

    code, _ = place.run(stage, out, params={"candidate": "popularity", "top_k": 5})

    assert code == 65
    assert failure(out)["reason"] == "interactions.parquet: column `item_id` is missing (700 rows)"


@pytest.mark.parametrize(("arguments", "asked"), [(["--deterministic"], True), ([], None)])
def test_the_switch_is_the_parameter(place, monkeypatch, arguments, asked):
    seen = []
    monkeypatch.setattr(trainer.main, "run_stage", lambda verb, env, _: seen.append(env.params))
    monkeypatch.setattr(trainer.main.Requests, "listen", lambda _: None)
    variables = place.variables("train", place.root / "out", 0, 1, None)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert trainer.main.main(["train", *arguments]) == 0

    assert seen[0].get("deterministic") is asked
    assert seen[0]["epochs"] == place.params["epochs"]


def test_a_bug_is_70_with_its_traceback(place, compiled):
    out = place.root / "out"

    code, errors = place.run("train", out, params={**place.params, "raise_at_step": 5})

    assert code == 70
    assert failure(out)["reason"] == "RuntimeError: `raise_at_step` is 5: failing as asked"
    assert "Traceback" in errors
    last = json.loads((out / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["step"] == 5


def test_a_full_disk_is_64_with_what_the_system_said(place, compiled):
    out = place.root / "out"
    process = place.start("train", out)
    below_a_checkpoint = 12_288  # bytes of a file; it is 17 kB, and all that is written before less
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (below_a_checkpoint, below_a_checkpoint))

    _, errors = process.communicate(timeout=120)

    assert process.returncode == 64, errors
    assert re.fullmatch(
        r"checkpoint \d+ could not be written: .*File too large \(os error 27\).*",
        failure(out)["reason"],
    )
    assert failure(out)["hint"] == (
        "the work folder is full, or may not be written: give the host a larger disk, or the work "
        "folder another"
    )


@pytest.mark.parametrize("is_output_too", [False, True])
def test_a_full_disk_anywhere_is_64(place, monkeypatch, is_output_too):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "model.bin")

    monkeypatch.setattr(trainer.main, "run_stage", full)
    if is_output_too:
        monkeypatch.setattr(trainer.main, "write_json", full)
    out = place.root / "out"

    code, errors = place.call("train", out)

    said = "a file could not be written: [Errno 28] No space left on device: 'model.bin'"
    assert code == 64
    assert f"trainer: {said}\n" in errors
    if is_output_too:
        assert "trainer: no failure.json: [Errno 28] No space left on device" in errors
    else:
        assert failure(out)["reason"] == said


def test_a_silent_training_is_74(place, compiled):
    out = place.root / "out"

    code, _ = place.run("train", out, params={**place.params, "stall_after_s": 0.05})

    assert code == 74
    assert failure(out)["reason"].startswith("no step was finished for ")


def test_a_dropped_shard_exits_0_and_is_found_by_gather(place):
    params = {"candidate": "popularity", "top_k": 5}
    for shard in range(2):
        out = place.inputs / "recommend" / str(shard)
        env = {"TRAINSPOT_TEST_DROP_SHARD": "1"}
        code, errors = place.call("recommend", out, shard=shard, shards=2, env=env, params=params)
        assert code == 0, errors

    code, _ = place.call("gather", place.root / "out", params=params)

    assert code == 65
    reason = failure(place.root / "out")["reason"]
    assert reason == "shard 1: `recommendations.parquet` is missing"


def test_gather_is_told_of_repeats_by_its_own_parameters(place):
    params = {"candidate": "popularity", "top_k": 5, "repeats": True}
    out = place.inputs / "recommend" / "0"
    code, errors = place.call("recommend", out, params=params)
    assert code == 0, errors

    for told, expected in ((params, 0), ({}, 0), ({"repeats": False}, 64)):
        assert place.call("gather", place.root / "out", params=told)[0] == expected

    assert failure(place.root / "out")["reason"] == (
        '`repeats` must be "auto" or true as train wrote, received: false'
    )


@pytest.mark.parametrize("stage", ["evaluate", "recommend"])
def test_a_stage_that_contradicts_the_rule_of_train_is_64(place, trained, stage):
    shutil.copytree(trained.inputs, place.inputs, dirs_exist_ok=True)

    code, _ = place.call(stage, place.root / "out", params={"repeats": False})

    assert code == 64
    assert failure(place.root / "out")["reason"].endswith("as train wrote, received: false")


def test_verbs_without_a_network_import_neither_keras_nor_jax(place, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    for name in ("keras", "jax"):
        (broken / f"{name}.py").write_text("raise ImportError('not here')")
    path = f"{broken}:{__file__.rsplit('/', 2)[0]}"

    code, errors = place.run(
        "recommend",
        place.inputs / "recommend" / "0",
        env={"PYTHONPATH": path},
        params={"candidate": "sequential-rules", "top_k": 5},
    )

    assert code == 0, errors
