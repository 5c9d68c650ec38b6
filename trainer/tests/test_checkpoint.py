"""Checkpoints appear whole, are found again, and are refused where they do not belong."""

import json
import resource
import threading
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save_file

from trainer import checkpoint
from trainer.failure import ConfigurationError
from trainer.interval import checkpoint_interval_s

ORIGIN = checkpoint.Origin("sequential-two-tower", "data", "config", 7)


def state(step):
    return {"a": np.full((3, 2), step, np.float32), "b": np.arange(step), "c": np.array(step)}


def write(folder, *steps):
    for step in steps:
        checkpoint.write(folder, step, state(step), ORIGIN, {"resumed_from": [1]})


def test_newest_comes_back_as_it_was(tmp_path):
    write(tmp_path, 5, 9)

    found, passed_over = checkpoint.newest(tmp_path, ORIGIN)

    assert (found.step, found.resumed_from, passed_over) == (9, [1], [])
    for name, value in state(9).items():
        assert found.tensors[name].shape == value.shape
        assert np.array_equal(found.tensors[name], value)


def test_only_the_two_newest_stay(tmp_path):
    write(tmp_path, 5, 9, 20, 100)

    assert checkpoint.steps_in(tmp_path) == [100, 20]
    assert list(tmp_path.glob("*.partial")) == []


@pytest.mark.parametrize("damage", ["truncate", "flip", "no index", "no part", "half an index"])
def test_a_torn_checkpoint_falls_back_to_the_one_before(tmp_path, damage):
    write(tmp_path, 5, 9)
    part, index = tmp_path / "9" / "part-00000.safetensors", tmp_path / "9" / "index.json"
    if damage == "truncate":
        part.write_bytes(part.read_bytes()[:-1])
    elif damage == "flip":
        part.write_bytes(part.read_bytes()[:-1] + b"\xff")
    elif damage == "half an index":
        index.write_text(index.read_text()[:50])
    else:
        (index if damage == "no index" else part).unlink()

    found, passed_over = checkpoint.newest(tmp_path, ORIGIN)

    assert found.step == 5
    assert passed_over[0].startswith("checkpoint 9 is torn")


def test_unfinished_folders_and_other_files_are_no_checkpoints(tmp_path):
    (tmp_path / "12.partial").mkdir()
    (tmp_path / "notes").mkdir()

    assert checkpoint.newest(tmp_path, ORIGIN) == (None, [])

    checkpoint.remove_partials(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("dataset_fingerprint", "dataset"),
        ("config_digest", "configuration"),
        ("model", "model"),
    ],
)
def test_a_foreign_checkpoint_is_refused_with_its_reason(tmp_path, name, word):
    write(tmp_path, 5)

    with pytest.raises(ConfigurationError, match=f"of this run's {word} .*received: "):
        checkpoint.newest(tmp_path, replace(ORIGIN, **{name: "other"}))


def test_large_states_are_cut_into_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "PART_BYTES", 20)
    write(tmp_path, 9)

    index = json.loads((tmp_path / "9" / "index.json").read_text())

    assert [part["tensors"] for part in index["parts"]] == [["a"], ["b"], ["c"]]
    assert checkpoint.newest(tmp_path, ORIGIN)[0].tensors["b"].tolist() == list(range(9))


@pytest.mark.parametrize(
    ("before", "torn", "after"), [((30, 40), (30, 40), [10]), ((5, 40), (40,), [10, 5])]
)
def test_one_that_went_back_before_others_is_kept_and_they_go(tmp_path, before, torn, after):
    write(tmp_path, *before)
    for step in torn:
        (tmp_path / str(step) / "index.json").unlink()

    write(tmp_path, 10)

    assert checkpoint.steps_in(tmp_path) == after


@pytest.mark.parametrize(
    "index",
    [
        "[]",
        "null",
        '{"schema": 3}',
        '{"schema": 3, "step": 9, "model": "m", "dataset_fingerprint": "d", "config_digest": "c", '
        '"seed": 1, "parts": [3]}',
        '{"schema": 3, "step": 9, "model": "m", "dataset_fingerprint": "d", "config_digest": "c", '
        '"seed": 1, "parts": [{"file": "part-00000.safetensors"}]}',
        '{"schema": 3, "step": 9, "model": "m", "dataset_fingerprint": "d", "config_digest": "c", '
        '"seed": 1, "parts": null, "resumed_from": "x"}',
    ],
)
def test_an_index_that_is_json_and_nonsense_is_torn(tmp_path, index):
    write(tmp_path, 5, 9)
    (tmp_path / "9" / "index.json").write_text(index)

    found, passed_over = checkpoint.newest(tmp_path, ORIGIN)

    assert found.step == 5
    assert passed_over[0].startswith("checkpoint 9 is torn")


def test_an_older_format_is_refused_with_what_to_do(tmp_path):
    write(tmp_path, 5)
    path = tmp_path / "5" / "index.json"
    path.write_text(path.read_text().replace('"schema": 3', '"schema": 2'))

    with pytest.raises(ConfigurationError, match="must have schema 3, received: 2") as caught:
        checkpoint.newest(tmp_path, ORIGIN)

    assert "start a new run" in caught.value.hint


def test_one_that_is_given_up_leaves_nothing_and_the_next_is_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "PART_BYTES", 20)
    writing, go_on = threading.Event(), threading.Event()

    def slow(tensors, path):
        writing.set()
        assert go_on.wait(60)
        save_file(tensors, path)

    monkeypatch.setattr(checkpoint, "save_file", slow)
    writer = checkpoint.Writer(tmp_path, ORIGIN, [])
    writer.start(3, state(3), {})
    assert writing.wait(60)
    threading.Thread(target=lambda: (writer.abandoned.wait(60), go_on.set())).start()

    writer.abandon()
    assert not writer.is_busy
    assert list(tmp_path.iterdir()) == []
    writer.start(4, state(4), {})
    writer.finish()

    assert checkpoint.newest(tmp_path, ORIGIN)[0].step == 4


def test_a_failed_write_is_raised_and_not_swallowed(tmp_path):
    (tmp_path / "file").write_text("in the way")
    writer = checkpoint.Writer(tmp_path / "file", ORIGIN, [])

    writer.start(3, state(3), {})

    with pytest.raises(ConfigurationError, match=r"checkpoint 3 could not .* directory"):
        writer.finish()


def test_a_write_that_fails_by_a_bug_is_one_with_its_cause(tmp_path):
    writer = checkpoint.Writer(tmp_path, ORIGIN, [])

    writer.start(3, state(3), {"not json": object()})

    with pytest.raises(RuntimeError, match="checkpoint 3 could not be written: TypeError: Object"):
        writer.finish()


@contextmanager
def room_for(size_bytes):
    """No file may be larger, as on a disk that is full by then."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


LARGE = {"a": np.zeros(100_000)}


def test_a_full_disk_is_told_as_one_and_what_was_written_gives_its_room_back(tmp_path):
    writer = checkpoint.Writer(tmp_path, ORIGIN, [])
    with room_for(65_536):
        writer.start(5, LARGE, {})
        writer.thread.join()

    with pytest.raises(ConfigurationError) as caught:
        writer.finish()

    assert caught.value.reason.startswith("checkpoint 5 could not be written: ")
    assert "File too large (os error 27)" in caught.value.reason
    assert "is full, or may not be written" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_failed_one_that_is_given_up_does_not_keep_the_next_from_being_written(tmp_path, capsys):
    writer = checkpoint.Writer(tmp_path, ORIGIN, [])
    with room_for(65_536):
        writer.start(5, LARGE, {})
        writer.thread.join()

    writer.abandon()
    writer.start(6, LARGE, {})
    writer.finish()

    assert checkpoint.newest(tmp_path, ORIGIN)[0].step == 6
    assert "trainer: checkpoint 5 could not be written: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("stall_s", "expected"),
    [(0.0, 60.0), (0.5, 10_800**0.5), (1.0, (2 * 10_800) ** 0.5), (0.01, 60.0), (30.0, 3000.0)],
)
def test_interval_follows_the_square_root_within_its_bounds(stall_s, expected):
    # 30 s: the square root is cut to 600, but one per cent of overhead asks for 3,000.
    assert checkpoint_interval_s(stall_s, 10_800.0) == pytest.approx(expected)
