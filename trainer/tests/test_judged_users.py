"""Where there are too many cases, some users are judged: who they are follows from their ids."""

import numpy as np
import pyarrow as pa
import pytest
from conftest import interactions_of, table

from trainer import judged_users
from trainer.judged_users import judged
from trainer.metrics import run_candidate
from trainer.split import p2_rolling


@pytest.fixture(scope="module")
def events():
    return interactions_of(table())


@pytest.fixture(scope="module")
def split(events):
    return p2_rolling(events)


@pytest.fixture
def few(monkeypatch):
    """Limits that the small shop is above."""
    monkeypatch.setattr(judged_users, "MOST_CASES", 40)
    monkeypatch.setattr(judged_users, "LEAST_USERS", 5)


class ByUser:
    """Scores that follow from user and length of history, so that every case has its own."""

    def scores(self, item, start, end, user):
        return np.stack([np.roll(np.arange(30.0), one) for one in user + end], dtype=np.float32)


def test_up_to_the_limit_all_are_judged(events, split, monkeypatch):
    monkeypatch.setattr(judged_users, "MOST_CASES", len(split.cases))

    some, said = judged(split, events.user_ids, 7)

    assert some is split
    assert said == ""


def test_above_it_as_many_users_as_make_about_the_limit(events, split, few):
    users = len(np.unique(split.cases.user))

    some, said = judged(split, events.user_ids, 7)

    kept = users * 40 // len(split.cases)
    assert len(np.unique(some.cases.user)) == kept
    assert said == (
        f" Judged are {kept} of {users} users, chosen by a hash of their ids (seed 7): to rank all "
        f"items for all {len(split.cases)} histories would take longer than a stage may."
    )


def test_a_user_is_judged_whole_and_as_before(events, split, few):
    some, _ = judged(split, events.user_ids, 7)

    chosen = np.isin(split.cases.user[split.cases.target_row], some.cases.user)
    whole, part = (
        run_candidate(ByUser(), events.item, one.cases, events.n_items).ranks
        for one in (split, some)
    )
    assert 0 < len(part) < len(whole)
    assert np.array_equal(part, whole[chosen])
    assert np.array_equal(some.cases.target_item, split.cases.target_item[chosen])


def test_few_users_of_many_cases_are_enough_to_resample(events, split, few, monkeypatch):
    monkeypatch.setattr(judged_users, "MOST_CASES", 1)

    some, _ = judged(split, events.user_ids, 7)

    assert len(np.unique(some.cases.user)) == 5


def test_who_is_judged_follows_from_id_and_seed_alone():
    ids = pa.array(["b", "a", "c", "d"])

    numbers = judged_users.hashed(ids, 7)

    assert np.array_equal(judged_users.hashed(ids.take(pa.array([3, 1])), 7), numbers[[3, 1]])
    assert len(set(numbers.tolist()) | set(judged_users.hashed(ids, 8).tolist())) == 8
    assert judged_users.hashed(pa.array(["b"]), 7).tolist() == [3066352189946304139]
    assert np.array_equal(
        judged_users.hashed(pa.array([12]), 7), judged_users.hashed(pa.array(["12"]), 7)
    )
