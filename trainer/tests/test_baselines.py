"""The baselines against counts made by hand."""

import numpy as np
import pyarrow as pa
import pytest

from trainer import baselines
from trainer.dataset import interactions
from trainer.decay import RECENT_HALF_LIFE, decayed_weights


def events(rows):
    """Rows of (user, item, second)."""
    user, item, second = zip(*rows, strict=True)
    columns = {"user_id": user, "item_id": item, "time_ms": [value * 1000 for value in second]}
    return interactions(pa.table({**columns, "weight": np.ones(len(rows), np.float32)}))


def row(candidate, history):
    item = np.array(history, np.int32)
    return candidate.scores(item, np.array([0]), np.array([len(item)]), np.array([0]))[0]


def test_popularity_counts():
    made = events([("a", 0, 1), ("b", 0, 2), ("a", 1, 3)])

    assert row(baselines.fit("popularity", made), []).tolist() == [2, 1]


def test_an_event_counts_half_after_each_half_life():
    # 100 s of data: the half-life is 2 s.
    made = events([("a", 0, 0), ("a", 1, 96), ("a", 2, 98), ("a", 3, 100)])

    assert row(baselines.fit("recency-popularity", made), [])[1:].tolist() == [0.25, 0.5, 1]


def test_a_row_of_long_ago_leaves_what_recent_events_count():
    year = [("a", day % 7, 20_000 + day) for day in range(365)]
    plain, beside = (
        decayed_weights(events(rows), RECENT_HALF_LIFE) for rows in (year, [("a", 0, 1), *year])
    )
    month_ago = -31  # 30 days before the newest, four half-lives

    assert beside[month_ago] == pytest.approx(plain[month_ago], rel=4 * np.log(2) * 0.02)
    assert beside[0] == pytest.approx(0, abs=1e-30)


def test_transitions_weigh_by_distance_and_age():
    # The half-life of a rule is a quarter of 8 s; a transition is as old as its later event.
    made = events([("a", 0, 0), ("a", 1, 6), ("a", 2, 8)])

    counts = baselines.transitions(made).toarray()

    assert counts[0].tolist() == [0, 0.5, 0.5]
    assert counts[1].tolist() == [0, 0, 1]
    assert counts[2].tolist() == [0, 0, 0]


def test_transitions_never_cross_users():
    made = events([("a", 0, 0), ("b", 1, 1)])

    assert baselines.transitions(made).nnz == 0


def test_rules_are_smoothed_shares():
    made = events([("a", 0, 0), ("a", 1, 6), ("a", 2, 8)])
    popular = baselines.decayed_counts(made)
    prior = popular / popular.sum()

    scores = row(baselines.fit("sequential-rules", made), [1])

    assert scores == pytest.approx((np.array([0, 0, 1]) + 100 * prior) / 101)


def test_an_empty_history_gets_what_is_popular_now():
    made = events([("a", 0, 0), ("a", 1, 6), ("a", 2, 8)])

    scores = row(baselines.fit("sequential-rules", made), [])
    recent = row(baselines.fit("recency-popularity", made), [])

    assert scores == pytest.approx(recent / recent.sum())
