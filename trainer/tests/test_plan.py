"""Which steps there are, in which order, and when they end: plain numbers."""

import numpy as np
import pytest

from trainer import order, plan


def test_legs_follow_each_other_and_count_epochs_through():
    first, second = plan.legs([(10, 3), (12, 2)])

    assert (first.first_step, first.last_step, first.first_epoch) == (0, 30, 0)
    assert (second.first_step, second.last_step, second.first_epoch) == (30, 54, 3)
    assert plan.epoch_firsts([first, second]) == [0, 10, 20, 30, 42]


def test_a_first_leg_that_ends_early_moves_the_later_ones_forward():
    first, second = plan.legs([(10, 9), (12, 2)], stopped_after=4)

    assert (first.last_step, second.first_step, second.first_epoch) == (40, 40, 4)


@pytest.mark.parametrize(
    ("history", "stopped"),
    [
        ([], None),
        ([0.1, 0.2, 0.3], None),
        ([0.3, 0.2], None),
        ([0.3, 0.2, 0.1], 3),
        ([0.1, 0.3, 0.2, 0.3, 0.9], 4),  # an equal one is no better, and what came later no matter
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], 6),  # all epochs
    ],
)
def test_the_fit_ends_when_patience_or_epochs_do(history, stopped):
    assert plan.stopped_after(history, epochs=6, patience=2) == stopped


def test_the_best_is_the_first_of_the_highest():
    assert plan.best_of([0.1, 0.4, 0.4, 0.2]) == 1


@pytest.mark.parametrize("batches", [[[20]], [[3, 17, 40]], [[5, 0, 2], [0, 0, 9], [0, 0, 0]]])
def test_every_batch_is_in_every_epoch_once(batches):
    for epoch in range(3):
        found = plan.runs(batches, 7, epoch)

        steps = [
            (run.shard, run.bucket, number)
            for run in found
            for number in range(run.first, run.first + run.count)
        ]
        assert sorted(steps) == [
            (shard, bucket, number)
            for shard, counts in enumerate(batches)
            for bucket, count in enumerate(counts)
            for number in range(count)
        ]


def test_lengths_are_mixed_anew_in_each_epoch_and_shards_stay_together():
    batches = [[40, 40], [40, 40]]
    first, again, second = (plan.runs(batches, 7, epoch) for epoch in (0, 0, 1))

    assert first == again
    assert first != second
    shards = [run.shard for run in first]
    assert shards in (sorted(shards), sorted(shards, reverse=True))
    of_one = [run.bucket for run in first if run.shard == 0]
    assert of_one not in (sorted(of_one), sorted(of_one, reverse=True))


def test_one_length_is_one_run():
    assert plan.runs([[900]], 7, 0) == [plan.Run(0, 0, 0, 900)]


def test_a_place_in_an_epoch_is_found_in_its_run():
    of = plan.Epoch([plan.Run(0, 1, 8, 3), plan.Run(0, 0, 0, 8)])

    assert [of.at(place) for place in (0, 2, 3, 10)] == [(0, 0), (0, 2), (1, 0), (1, 7)]
    assert of.steps == 11


def test_the_host_scrambles_as_the_device_does():
    numbers = np.arange(1000, dtype=np.uint32) * np.uint32(2_654_435_761)

    assert np.array_equal(order.host_mix(numbers), np.asarray(order.mix(numbers)))
    assert sorted(order.host_shuffled(100, 1, 2)) == list(range(100))
    assert list(order.host_shuffled(100, 1, 2)) != list(order.host_shuffled(100, 2, 1))
