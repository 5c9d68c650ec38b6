"""Several devices of one host: two that are forced on a CPU, in a process of their own."""

import json
import os
import subprocess
import sys

import pytest
from conftest import TRAINER

from trainer.devices import how_many
from trainer.failure import ConfigurationError

TWICE = """
import json, sys
sys.path.insert(0, "tests")
from conftest import interactions_of, loop_of, run_to, table
events = interactions_of(table())
found = {}
for devices in (1, 2):
    for name, more in {"dense": {}, "sparse": {"full_softmax_up_to": 0, "table_updates": "sparse"}}.items():
        loop = loop_of(events, epochs=2, devices=devices, **more)
        loop.compile()
        copied = loop.tensors()
        run_to(loop, loop.total, 50)
        end, losses = loop.digest(), loop.losses.tolist()
        loop.restore(copied, 0)
        run_to(loop, 9, 4)
        loop.restore(loop.tensors(), 9)
        found[f"{name} {devices}"] = {
            "losses": losses, "again": run_to(loop, loop.total, 5) == end,
            "on": len(loop.state.trainable[0].sharding.device_set),
        }
print(json.dumps(found))
"""  # noqa: E501


@pytest.fixture(scope="module")
def found():
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
    done = subprocess.run(
        [sys.executable, "-c", TWICE],
        cwd=TRAINER,
        env={**os.environ, "XLA_FLAGS": flags.strip(), "PYTHONPATH": str(TRAINER)},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("updates", ["dense", "sparse"])
def test_two_devices_have_the_losses_of_one(found, updates):
    one, two = found[f"{updates} 1"], found[f"{updates} 2"]

    assert (one["on"], two["on"]) == (1, 2)
    assert two["losses"] == pytest.approx(one["losses"], abs=1e-5)


@pytest.mark.parametrize("updates", ["dense", "sparse"])
def test_two_devices_resume_exactly(found, updates):
    assert found[f"{updates} 2"]["again"]


@pytest.mark.parametrize(
    ("asked", "there", "batch_size", "expected"),
    [(0, 1, 32, 1), (0, 4, 32, 4), (0, 3, 32, 2), (0, 8, 7, 7), (2, 4, 32, 2), (1, 8, 32, 1)],
)
def test_as_many_take_part_as_share_a_batch_evenly(asked, there, batch_size, expected):
    assert how_many(asked, there, batch_size) == expected


def test_more_devices_than_there_are_and_uneven_shares_are_refused():
    with pytest.raises(ConfigurationError, match="`devices` must be at most the 1 of this host"):
        how_many(2, 1, 32)
    with pytest.raises(ConfigurationError, match="`batch_size` must be a multiple of `devices`"):
        how_many(4, 4, 30)
