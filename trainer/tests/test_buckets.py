"""Windows of like length share a batch: less padding, the same mathematics, an exact order."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest
from conftest import TINY, interactions_of, loop_of, run_to, short_histories, table

from trainer import batches, network
from trainer.config import TrainConfig
from trainer.loop import TrainingLoop


def places(sizes, lengths, batch_size):
    batches_of = [
        -(-sum(below < size <= one for size in sizes) // batch_size)
        for below, one in itertools.pairwise((0, *lengths))
    ]
    return sum(n * batch_size * one for n, one in zip(batches_of, lengths, strict=True))


@pytest.mark.parametrize("batch_size", [1, 16])
@pytest.mark.parametrize("seed", range(5))
def test_no_other_lengths_of_as_many_leave_less_padding(seed, batch_size):
    generator = np.random.Generator(np.random.PCG64(seed))
    sizes = np.minimum(generator.geometric(0.3, 200), 9)

    found = batches.bucket_lengths(sizes, 9, batch_size)

    others = itertools.combinations(range(1, 9), len(found) - 1)
    best = min(places(sizes, (*other, 9), batch_size) for other in others)
    assert places(sizes, found, batch_size) == best


@pytest.mark.parametrize(
    ("sizes", "lengths"),
    [
        ([9, 9, 9], (9,)),
        ([1] * 50 + [9] * 50, (1, 9)),
        ([], (9,)),
        ([1], (1, 9)),  # nothing is as long as the longest: that bucket stays empty
    ],
)
def test_a_length_must_be_worth_its_program(sizes, lengths):
    assert batches.bucket_lengths(np.array(sizes, np.int64), 9, 1) == lengths


def test_there_are_never_more_than_four():
    sizes = np.repeat(2 ** np.arange(10), 1000)

    assert len(batches.bucket_lengths(sizes, 512, 32)) == 4


def test_a_short_window_is_a_long_one_without_its_padding():
    config = TrainConfig(**TINY)
    model = network.build(config, 3, 20)
    for variable, value in zip(
        model.trainable_variables, network.first_weights(model, 3), strict=True
    ):
        variable.assign(value)
    short = jnp.array([[0, 5, 9], [7, 7, 2]])
    long = jnp.pad(short, ((0, 0), (3, 0)))

    vectors = [np.asarray(model(history, jnp.zeros(2, int))) for history in (short, long)]

    # The first place of an empty history looks the same in both.
    assert np.allclose(vectors[0], vectors[1][:, 3:], atol=1e-6)


def test_several_lengths_resume_exactly_inside_an_epoch():
    events = interactions_of(short_histories())
    loop = loop_of(events, epochs=3)
    assert len(loop.lengths) > 1
    loop.compile()
    first = loop.tensors()
    end, losses = run_to(loop, loop.total, 50), loop.losses.copy()

    # Within a run of one length, between two of them, and at the end of an epoch.
    for stop in (3, 8, 13, loop.per_epoch[0], loop.per_epoch[0] + 5):
        loop.restore(first, 0)
        run_to(loop, stop, 5)
        copied = loop.tensors()
        run_to(loop, loop.total, 7)
        loop.restore(copied, stop)

        assert run_to(loop, loop.total, 3) == end
        assert np.array_equal(loop.losses, losses)


def test_every_window_is_drawn_once_an_epoch_whatever_its_length():
    events = interactions_of(short_histories())
    loop = loop_of(events, epochs=1, refit_epochs=0)
    part, leg = loop.parts[0], loop.legs[0]
    resident = loop.shelf.take((0, 0), None)

    drawn = []
    for run in loop.runs_of(leg, 0).runs:
        length = loop.lengths[run.bucket]
        for number in range(run.first, run.first + run.count):
            batch = batches.batch_at(
                resident.data, resident.buckets[run.bucket], jnp.int32(number), jnp.int32(0), 3, 8,
                length,
            )  # fmt: skip
            assert batch.history.shape == (8, length)
            drawn += np.asarray(batch.user)[np.asarray(batch.weight).sum(1) > 0].tolist()

    cut = batches.windows(part.events, 6)
    assert sorted(drawn) == sorted(cut.user.tolist())


@pytest.mark.parametrize("events", [1, 9])
def test_less_data_than_a_batch_and_a_single_user_train(events):
    made = interactions_of(table(users=1, items=5, events=events))

    loop = TrainingLoop(TrainConfig(**{**TINY, "batch_size": 64}), [(made, 2)])

    run_to(loop, loop.total, 5)
    assert loop.step == loop.total == 2
    assert np.isfinite(loop.losses).all()
