"""Compiled programs travel with the checkpoints, and only to where they fit."""

import json
import shutil
from dataclasses import dataclass

import numpy as np
from conftest import TINY, Place, table
from pyarrow import parquet

from trainer import xla_cache
from trainer.cold_start import ColdStart, since_process_start_s
from trainer.xla_cache import XlaCache, kind_of


@dataclass
class Device:
    platform: str
    device_kind: str


def test_entries_go_into_a_checkpoint_and_out_of_it(tmp_path):
    here, there = XlaCache(tmp_path / "here", "k"), XlaCache(tmp_path / "there", "k")
    here.folder.mkdir(parents=True)
    (here.folder / "jit_run-1-cache").write_bytes(b"program")
    (here.folder / "jit_run-1-atime").write_bytes(b"time")

    there.restore(here.tensors() | {"trainable/000": np.zeros(3)})

    assert (there.folder / "jit_run-1-cache").read_bytes() == b"program"
    assert there.record() == {"restored": 1, "entries": 1}


def test_programs_of_another_device_and_names_with_folders_are_left(tmp_path):
    cache = XlaCache(tmp_path, "k")
    program = np.frombuffer(b"program", np.uint8)

    cache.restore({f"xla/{n}": program for n in ("other/a-cache", "k/../../a-cache", "k/x")})

    assert list(tmp_path.rglob("*")) == []


def test_too_much_is_not_shipped(tmp_path, monkeypatch):
    cache = XlaCache(tmp_path, "k")
    cache.folder.mkdir(parents=True)
    (cache.folder / "a-cache").write_bytes(b"12345")
    monkeypatch.setattr(xla_cache, "MOST_BYTES", 4)

    assert cache.tensors() == {}


def test_a_cpu_is_told_by_its_features_and_a_gpu_by_its_kind():
    cpu, t4 = Device("cpu", "cpu"), Device("gpu", "Tesla T4")

    assert kind_of(cpu, "1", "avx2") != kind_of(cpu, "1", "avx2 avx512f")
    assert kind_of(t4, "1", "avx2") == kind_of(t4, "1", "avx2 avx512f")
    assert kind_of(t4, "1", "") != kind_of(Device("gpu", "A10G"), "1", "")
    assert kind_of(t4, "1", "") != kind_of(t4, "2", "")


def test_a_resumed_attempt_on_another_host_compiles_nothing(tmp_path):
    params = {**TINY, "epochs": 3}
    first, second = Place(tmp_path / "1", params), Place(tmp_path / "2", params)
    for made in (first, second):
        parquet.write_table(table(), made.data / "interactions.parquet")
    env = {"JAX_COMPILATION_CACHE_DIR": ""}
    code, errors = first.run("train", tmp_path / "out-1", env=env)
    assert code == 0, errors
    steps = sorted(int(path.name) for path in first.checkpoints.iterdir() if path.name.isdigit())
    shutil.copytree(first.checkpoints / str(steps[0]), second.checkpoints / str(steps[0]))

    code, errors = second.run("train", tmp_path / "out-2", env=env)

    assert code == 0, errors
    one, two = (
        json.loads((tmp_path / out / "training.json").read_text()) for out in ("out-1", "out-2")
    )
    assert two["resumed_from"] == steps[0]
    assert two["digest"] == one["digest"]
    assert two["xla_cache"]["restored"] > 0
    programs = [
        {path.name for path in made.checkpoints.glob("xla-*/*-cache") if "run_steps" in path.name}
        for made in (first, second)
    ]
    assert programs[0] and programs[1] == programs[0]


def test_the_cold_start_is_told_part_by_part_and_closed_by_the_first_step():
    told = []
    start = ColdStart(1.25, lambda: told.append(1))

    start.end("import_s")
    assert start.is_open
    start.end("first_step_s")

    assert list(start.seconds) == ["process_s", "import_s", "first_step_s"]
    assert start.seconds["process_s"] == 1.25
    assert not start.is_open
    assert len(told) == 2


def test_the_age_of_the_process_is_the_kernels_or_nobodys(tmp_path):
    assert 0 < since_process_start_s() < 1e6
    assert since_process_start_s(tmp_path) is None
