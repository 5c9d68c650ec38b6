"""Metrics against examples worked out by hand."""

import numpy as np
import pytest

from trainer import metrics
from trainer.baselines import Popularity, Silent
from trainer.failure import DataError
from trainer.split import Cases


def ranks(scores, item):
    return metrics.mid_ranks(np.array([scores], np.float32), np.array([0]), np.array([item]))[0]


def test_rank_counts_the_higher_ones():
    assert ranks([0.1, 0.9, 0.5], 2) == 2.0


def test_ties_get_the_middle_rank():
    # One above, three that tie for 2, 3 and 4.
    assert ranks([9, 1, 1, 1, 0], 2) == 3.0
    # Two that tie for 1 and 2.
    assert ranks([5, 5, 0], 0) == 1.5


def test_hidden_items_do_not_push_a_target_down():
    scores = np.array([[3.0, 2.0, 1.0]], np.float32)

    metrics.hide_seen(scores, np.array([0, 1]), np.array([0]), np.array([2]))

    assert metrics.mid_ranks(scores, np.array([0]), np.array([2]))[0] == 1.0


def test_metrics_of_known_ranks():
    values = metrics.metric_values(np.array([1.0, 3.0, 10.0, 11.0, 20.0, 21.0]))

    assert values["ndcg_at_10"] == pytest.approx([1, 0.5, 1 / np.log2(11), 0, 0, 0])
    assert values["hr_at_10"].tolist() == [1, 1, 1, 0, 0, 0]
    assert values["mrr_at_10"] == pytest.approx([1, 1 / 3, 0.1, 0, 0, 0])
    assert values["recall_at_20"].tolist() == [1, 1, 1, 1, 1, 0]


def test_users_weigh_the_same_however_many_targets_they_have():
    user = np.array([4, 4, 4, 9])

    means = metrics.per_user(np.array([1.0, 0.0, 0.5, 1.0]), user, np.array([4, 9]))

    assert means.tolist() == [0.5, 1.0]


def test_a_candidate_is_ranked_over_unseen_items_only():
    # User 0 had item 0, the most popular; then item 2 comes, which is second among the rest.
    item = np.array([0, 2])
    cases = Cases(*(np.array([value]) for value in (0, 0, 1, 0, 2)))
    popular = Popularity(np.array([9, 5, 4, 1], np.float32))

    outcome = metrics.run_candidate(popular, item, cases, 4)

    assert outcome.ranks.tolist() == [2.0]
    assert outcome.listed.tolist() == [0, 1, 1, 1]
    assert metrics.coverage(outcome) == 0.75


def test_popularity_lift_is_one_for_lists_like_the_data():
    counts = np.array([4.0, 2.0])
    alike = metrics.Outcome(np.zeros(0), np.array([4, 2]))
    leaning = metrics.Outcome(np.zeros(0), np.array([6, 0]))

    assert metrics.popularity_lift(alike, counts) == pytest.approx(1.0)
    assert metrics.popularity_lift(leaning, counts) == pytest.approx(4 / (20 / 6))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_no_numbers_are_refused(value):
    """NaN is neither above nor beside anything: it would be the best of ranks."""
    item, cases = np.array([0, 2]), Cases(*(np.array([one]) for one in (0, 0, 1, 0, 2)))
    broken = Popularity(np.array([value, 5, 4, 1], np.float32))

    with pytest.raises(DataError) as caught:
        metrics.run_candidate(broken, item, cases, 4, doing="scoring network")

    assert caught.value.reason == "scoring network must give numbers, received: NaN or infinity"


def test_a_candidate_that_hides_all_is_no_mistake():
    item, cases = np.array([0, 2]), Cases(*(np.array([one]) for one in (0, 0, 1, 0, 2)))

    assert metrics.run_candidate(Silent(4), item, cases, 4).ranks.tolist() == [2.5]
