"""What streams ends in the state of what stays on the device."""

import numpy as np
import pytest
from conftest import TINY, interactions_of, loop_of, run_to, table

from trainer import shards
from trainer.config import TrainConfig


@pytest.fixture(scope="module")
def events():
    return interactions_of(table())


def test_every_user_is_in_one_shard_with_all_events(events):
    part = shards.part(events, 4, (6,))

    users = [set(part.shard(number).user.tolist()) for number in range(4)]

    assert set.union(*users) == set(range(events.n_users))
    assert sum(map(len, users)) == events.n_users
    assert sum(part.shard(number).n_events for number in range(4)) == events.n_events
    assert max(map(len, users)) < events.n_users


def test_shards_follow_from_the_data_and_never_from_the_room():
    assert shards.n_shards(700, 200) == 4
    assert shards.n_shards(700, 700) == 1
    assert shards.n_shards(1, 10**9) == 1


def test_a_streamed_training_ends_in_the_digest_of_a_resident_one(events):
    streamed = loop_of(events, epochs=2, shard_events=200, resident_mib=0)
    resident = loop_of(events, epochs=2, shard_events=200)
    for loop in (streamed, resident):
        run_to(loop, loop.total, 7)

    assert streamed.about()["streams"] and not resident.about()["streams"]
    assert streamed.about()["shards"] == resident.about()["shards"] == 4
    assert streamed.digest() == resident.digest()
    assert np.array_equal(streamed.losses, resident.losses)
    assert len(streamed.shelf.here) <= 2, "only the shard at work and the next one may be held"


def test_a_streamed_training_goes_on_inside_an_epoch(events):
    loop = loop_of(events, epochs=2, shard_events=200, resident_mib=0)
    loop.compile()
    first, end = loop.tensors(), run_to(loop, loop.total, 50)

    loop.restore(first, 0)
    run_to(loop, 7, 3)
    copied = loop.tensors()
    loop.restore(copied, 7)

    assert run_to(loop, loop.total, 2) == end


def test_where_data_lies_changes_no_weight_but_how_it_is_cut_does():
    base = TrainConfig(**TINY)

    assert base.digest() == TrainConfig(**TINY, resident_mib=1).digest()
    assert base.digest() != TrainConfig(**TINY, shard_events=200).digest()
