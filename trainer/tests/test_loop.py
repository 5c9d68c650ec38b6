"""The loop in this process: parameters, order of data, and independence from its stretches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import interactions_of, loop_of, run_to, table

from trainer import batches, network, order


@pytest.fixture(scope="module")
def events():
    return interactions_of(table())


@pytest.mark.parametrize("n", [1, 2, 3, 16, 17, 700])
def test_order_is_a_permutation_and_differs_by_epoch(n):
    half = jnp.uint32(order.half_bits(n))

    shuffled = jax.jit(order.shuffled)
    first, second = (
        np.asarray(shuffled(jnp.arange(n), jnp.int32(n), half, order.key(7, jnp.int32(epoch))))
        for epoch in (0, 1)
    )

    assert sorted(first.tolist()) == list(range(n))
    assert sorted(second.tolist()) == list(range(n))
    assert n < 16 or first.tolist() != second.tolist()


def test_every_event_is_a_target_of_some_window(events):
    cut = batches.windows(events, 6)

    covered = {
        at
        for end, start in zip(cut.end, cut.start, strict=True)
        for at in range(max(end - 5, start), end + 1)
    }

    assert covered == set(range(events.n_events))


def test_a_batch_never_shows_a_target_in_its_input(events):
    cut = batches.windows(events, 6)
    data = batches.sequences(events, events.n_events)
    bucket = batches.bucket(cut, 400)
    batch_at = jax.jit(lambda number: batches.batch_at(data, bucket, number, jnp.int32(0), 3, 8, 6))
    for number in range(-(-len(cut.end) // 8)):
        batch = batch_at(jnp.int32(number))
        history, target = np.asarray(batch.history), np.asarray(batch.target)
        counted = np.asarray(batch.weight) > 0

        # The input of a place is the target of the place before it.
        inner = counted[:, 1:] & counted[:, :-1]
        assert np.array_equal(history[:, 1:][inner], target[:, :-1][inner])


def test_parameter_count_is_the_sum_of_its_parts(events):
    loop = loop_of(events)
    d, items, length = 8, events.n_items, 6

    counted = sum(value.size for value in loop.weights()[0].values())

    block = 2 * 2 * d + 3 * d * d + d * d + (d * 2 * d + 2 * d) + (2 * d * d + d)
    assert counted == (items + 1) * d + length * d + block + 2 * d


@pytest.mark.parametrize(
    "settings",
    [
        {"model": "sequential-two-tower"},
        {"model": "two-tower-id"},
        {"model": "sequential-two-tower", "full_softmax_up_to": 5, "negatives": 64},
    ],
)
def test_training_learns_and_a_copied_state_goes_on_to_the_same_end(events, settings):
    loop = loop_of(events, **settings)
    loop.compile()
    first = loop.tensors()
    end, losses = run_to(loop, loop.total, 7), loop.losses.copy()
    assert np.isfinite(losses).all()
    assert losses[-10:].mean() < 0.95 * losses[:10].mean()

    for stop, stretch in ((1, 1), (loop.bounds[0] - 1, 3), (loop.bounds[0], 50)):
        loop.restore(first, 0)
        run_to(loop, stop, stretch)
        copied = loop.tensors()
        run_to(loop, loop.total, 5)
        loop.losses[:] = 0
        loop.restore(copied, stop)

        assert run_to(loop, loop.total, stretch + 1) == end
        assert np.array_equal(loop.losses, losses)


def test_the_digest_covers_weights_optimizer_and_step(events):
    loop = loop_of(events)
    before = loop.digest()
    for kind in (0, 2):  # weights and optimizer; these models have no other state
        kept = [list(values) for values in loop.state]
        changed = [list(values) for values in loop.state]
        changed[kind][0] = changed[kind][0] + 1
        loop.state = type(loop.state)(*changed)
        assert loop.digest() != before
        loop.state = type(loop.state)(*kept)
    assert loop.digest() == before

    loop.step = 1

    assert loop.digest() != before


def test_first_weights_follow_from_the_seed(events):
    assert loop_of(events).digest() == loop_of(events).digest()
    assert loop_of(events).digest() != loop_of(events, seed=4).digest()


def test_dropout_drops_its_share_and_keeps_the_mean():
    x = jnp.ones((200, 300))

    first, second = (
        np.asarray(network.dropped(x, 0.2, order.key(7, jnp.int32(step)), 0)) for step in (1, 2)
    )

    assert abs((first == 0).mean() - 0.2) < 0.01
    assert abs(first.mean() - 1) < 0.01
    # What is dropped at one step says nothing about the next.
    assert abs(((first == 0) & (second == 0)).mean() - 0.04) < 0.005
    assert np.array_equal(np.asarray(network.dropped(x, 0.2, None, 0)), np.asarray(x))
