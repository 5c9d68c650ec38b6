"""Builders that the tests share: small datasets, and stages run as the agent runs them."""

import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trainer.config import TrainConfig
from trainer.dataset import Interactions, interactions
from trainer.main import main
from trainer.signals import Requests
from trainer.split import p2_rolling

os.environ["KERAS_BACKEND"] = "jax"
# JAX's own cache, for this session only: most tests start a process that compiles what another
# one has compiled.
COMPILED = tempfile.TemporaryDirectory(prefix="trainer-tests-")
os.environ["JAX_COMPILATION_CACHE_DIR"] = COMPILED.name
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
# XLA's further caches would put the folder's name into the keys, and a copied entry go unfound.
os.environ["JAX_PERSISTENT_CACHE_ENABLE_XLA_CACHES"] = "none"

TRAINER = Path(__file__).resolve().parent.parent
DAY_S = 86_400
RUN_ID = "tiny-20261123T0200Z"
# Steps short enough to be stopped between, and a checkpoint after each stretch when the one before
# is written: at least one, however fast or busy the machine is. All tests train with these, so
# that one program serves them.
TINY = {
    "epochs": 25,
    "refit_epochs": 1,
    "dim": 8,
    "heads": 2,
    "max_len": 6,
    "batch_size": 8,
    "learning_rate": 0.02,
    "seed": 3,
    "chunk_s": 0.001,
    "checkpoint_every_s": 1e-6,
}


def table(users=40, items=30, events=700, seed=5) -> pa.Table:
    """A shop in which item i is usually followed by i + 1."""
    generator = np.random.Generator(np.random.PCG64(seed))
    user = generator.integers(0, users, events)
    time = np.sort(generator.integers(0, 100 * DAY_S, events))
    item = np.zeros(events, np.int64)
    last = generator.integers(0, items, users)
    for at in range(events):
        follows = generator.random() < 0.7
        last[user[at]] = (last[user[at]] + 1) % items if follows else generator.integers(0, items)
        item[at] = last[user[at]]
    return pa.table(
        {
            "user_id": pa.array([f"u{number:03d}" for number in user]),
            "item_id": pa.array(item),
            "timestamp": pa.array((time + 1_700_000_000) * 1000, pa.timestamp("ms")),
        }
    )


def short_histories() -> pa.Table:
    """Many users with two or three events and a few with many: what padding is made of."""
    made = table(users=150, items=30, events=350)
    return pa.concat_tables([made, table(users=8, items=30, events=300, seed=6)])


def interactions_of(made: pa.Table) -> Interactions:
    """As the stages read it from files."""
    made = made.set_column(2, "time_ms", made.column("timestamp").cast("int64"))
    return interactions(made.append_column("weight", [np.ones(made.num_rows, np.float32)]))


def loop_of(events, **more):
    """The tiny training of these events in this process."""
    from trainer.loop import TrainingLoop

    config = TrainConfig(**{**TINY, **more})
    fit = p2_rolling(events).fit
    parts = [(fit, config.epochs)]
    if config.refit_epochs:
        parts.append((events, config.refit_epochs))
    return TrainingLoop(config, parts)


def run_to(loop, stop, stretch):
    """Goes on to a step in stretches, and returns the digest there."""
    while loop.step < stop:
        loop.advance(min(stretch, stop - loop.step))
    return loop.digest()


@dataclass
class Place:
    """The folders of one run, as the agent lays them out."""

    root: Path
    params: dict = field(default_factory=dict)

    def __post_init__(self):
        for name in ("data", "in", "ckpt"):
            (self.root / name).mkdir(parents=True, exist_ok=True)

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def inputs(self) -> Path:
        return self.root / "in"

    @property
    def checkpoints(self) -> Path:
        return self.root / "ckpt"

    def start(self, stage, out, shard=0, shards=1, env=None, params=None) -> subprocess.Popen:
        """Starts a stage and leaves it running."""
        variables = self.variables(stage, out, shard, shards, params)
        return subprocess.Popen(
            [sys.executable, "-m", "trainer", stage],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(TRAINER), **variables, **(env or {})},
        )

    def variables(self, stage, out, shard, shards, params) -> dict[str, str]:
        """What the agent would set, its files and folders made."""
        path = self.root / f"params-{stage}.json"
        path.write_text(json.dumps(self.params if params is None else params))
        out.mkdir(parents=True, exist_ok=True)
        return {
            "TRAINSPOT_RUN_ID": RUN_ID,
            "TRAINSPOT_PIPELINE": "tiny",
            "TRAINSPOT_STAGE": stage,
            "TRAINSPOT_SHARD": str(shard),
            "TRAINSPOT_SHARDS": str(shards),
            "TRAINSPOT_DATA_DIR": str(self.data),
            "TRAINSPOT_INPUT_DIR": str(self.inputs),
            "TRAINSPOT_CHECKPOINT_DIR": str(self.checkpoints),
            "TRAINSPOT_OUTPUT_DIR": str(out),
            "TRAINSPOT_PARAMS": str(path),
        }

    def run(self, stage, out, **more) -> tuple[int, str]:
        """Runs a stage to its end: exit code and stderr."""
        process = self.start(stage, out, **more)
        _, errors = process.communicate(timeout=120)
        return process.returncode, errors

    def call(self, stage, out, shard=0, shards=1, env=None, params=None) -> tuple[int, str]:
        """`run` without a process of its own, for what does not depend on one: the same `main`,
        but for the signals, which stay pytest's."""
        variables = self.variables(stage, out, shard, shards, params) | (env or {})
        errors = io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stderr(errors):
            for name, value in variables.items():
                patch.setenv(name, value)
            patch.setattr(Requests, "listen", lambda _: None)
            code = main([stage])
        return code, errors.getvalue()


@pytest.fixture
def place(tmp_path) -> Place:
    """An empty run with the small dataset."""
    made = Place(tmp_path, dict(TINY))
    pq.write_table(table(), made.data / "interactions.parquet")
    return made


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Place:
    """A run whose train stage is done, and that nobody stopped. Tests read it and write elsewhere.

    It is compiled by itself: its own cache is empty when it begins, and becomes the session's.
    """
    made = Place(tmp_path_factory.mktemp("trained"), dict(TINY))
    pq.write_table(table(), made.data / "interactions.parquet")
    compiled = made.root / "compiled"
    env = {"JAX_COMPILATION_CACHE_DIR": str(compiled)}
    code, errors = made.run("train", made.inputs / "train", env=env)
    assert code == 0, errors
    shutil.copytree(compiled, COMPILED.name, dirs_exist_ok=True)
    return made
