"""Lower precision between variables: chosen by the device, tested here by asking for it."""

import jax.numpy as jnp
import numpy as np
import pytest
from conftest import interactions_of, loop_of, run_to, table

from trainer import precision


@pytest.fixture(scope="module")
def events():
    return interactions_of(table())


@pytest.mark.parametrize(
    ("asked", "platform", "capability", "expected"),
    [
        ("auto", "cpu", None, "float32"),
        ("auto", "gpu", 7.5, "float16"),  # T4: no bfloat16 there
        ("auto", "gpu", 8.0, "bfloat16"),
        ("auto", "gpu", 9.0, "bfloat16"),
        ("auto", "gpu", 7.0, "float32"),
        ("auto", "gpu", None, "float32"),
        ("bfloat16", "cpu", None, "bfloat16"),
        ("float32", "gpu", 9.0, "float32"),
    ],
)
def test_what_is_computed_in_is_asked_for_or_the_devices_best(
    asked, platform, capability, expected
):
    assert precision.chosen(asked, platform, capability) == expected


def test_the_capability_is_read_from_what_the_device_says():
    class Device:
        compute_capability = "8.6"

    assert precision.capability_of(Device()) == 8.6
    assert precision.capability_of(object()) is None


@pytest.mark.parametrize("numbers", ["bfloat16", "float16"])
def test_lower_precision_trains_about_as_float32_does(events, numbers):
    loops = [loop_of(events, epochs=3, precision=one) for one in (numbers, "float32")]
    for loop in loops:
        run_to(loop, loop.total, 50)

    low, full = (loop.losses for loop in loops)
    assert low[0] == pytest.approx(full[0], abs=0.02)
    assert low[-5:].mean() == pytest.approx(full[-5:].mean(), abs=0.1)
    assert not np.array_equal(low, full), "it was computed in float32"
    for value in loops[0].state.trainable:
        assert value.dtype == jnp.float32


@pytest.mark.parametrize("settings", [{}, {"full_softmax_up_to": 0, "table_updates": "sparse"}])
def test_an_overflow_of_float16_changes_nothing_and_halves_the_factor(events, settings):
    loop = loop_of(events, epochs=1, precision="float16", **settings)
    loop.state = loop.state._replace(scaling=[jnp.float32(2.0**40), jnp.int32(3)])
    before = [np.array(value) for value in loop.state.trainable + loop.state.sums]

    loop.advance(1)

    assert float(loop.state.scaling[0]) == 2.0**39
    assert int(loop.state.scaling[1]) == 0
    after = loop.state.trainable + loop.state.sums
    for one, other in zip(before, after, strict=True):
        assert np.array_equal(one, np.asarray(other))
    assert loop.is_finite(), "the loss itself did not overflow"


def test_the_factor_grows_after_many_steps_without_an_overflow():
    scaling = [jnp.float32(4.0), jnp.int32(precision.GROW_AFTER - 1)]
    from trainer.steps import State

    state = State([jnp.ones(2)], [], [], [], scaling)

    grown = precision.scaled_update("float16", state, state, jnp.bool_(True))

    assert [float(value) for value in grown.scaling] == [8.0, 0.0]


def test_the_state_is_laid_out_the_same_in_every_precision(events):
    names = [
        {name: value.dtype for name, value in loop_of(events, precision=one).tensors().items()}
        for one in ("float32", "bfloat16", "float16")
    ]

    assert names[0] == names[1] == names[2]
