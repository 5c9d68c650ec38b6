"""item-kNN against similarities made by hand."""

import numpy as np
import pytest
from scipy import sparse
from test_baselines import events, row

from trainer import baselines, neighbours
from trainer.neighbours import SHRINK


@pytest.fixture
def ageless(monkeypatch):
    """Every event counts as much as the newest, so that sums can be done in the head."""
    monkeypatch.setattr(neighbours, "HALF_LIFE", 1e12)


def similar(made):
    return neighbours.neighbours(made).similar.toarray()


@pytest.mark.usefixtures("ageless")
def test_similar_is_what_the_same_users_had_in_whatever_order():
    made = events([("a", 0, 1), ("a", 1, 2), ("b", 1, 1), ("b", 0, 2), ("c", 1, 1), ("c", 2, 2)])

    matrix = similar(made)

    assert matrix[0, 1] == matrix[1, 0] == pytest.approx(2 / np.sqrt((2 + SHRINK) * (3 + SHRINK)))
    assert matrix[1, 2] == pytest.approx(1 / np.sqrt((3 + SHRINK) * (1 + SHRINK)))
    assert matrix[0, 2] == 0


@pytest.mark.usefixtures("ageless")
def test_an_item_is_as_similar_to_itself_as_its_users_came_back():
    made = events([("a", 0, 1), ("a", 0, 2), ("b", 0, 1), ("b", 1, 2)])

    matrix = similar(made)

    assert matrix[0, 0] == pytest.approx(1 / (2 + SHRINK))
    assert matrix[1, 1] == 0


def test_an_old_event_counts_less():
    # A quarter of 80 s is the half-life: user b's pair is four half-lives old.
    made = events([("b", 0, 0), ("b", 1, 0), ("a", 2, 80), ("a", 3, 80)])

    matrix = similar(made)

    assert matrix[2, 3] == pytest.approx(1 / (1 + SHRINK))
    assert matrix[0, 1] == pytest.approx((1 / 16) / (1 / 16 + SHRINK))


def test_the_nearest_are_kept_and_of_equal_ones_the_lower_item(monkeypatch):
    made = events([("a", 0, 1), ("a", 1, 1), ("b", 0, 1), ("b", 2, 1), ("c", 0, 1), ("c", 1, 1)])
    full = similar(made)
    monkeypatch.setattr(neighbours, "NEAREST", 1)

    thinned = similar(made)

    assert (np.count_nonzero(thinned, axis=1) == [1, 1, 1]).all()
    assert thinned[0].tolist() == [0, full[0, 1], 0]
    tied = neighbours.nearest(neighbours.sparse.csr_matrix(np.array([[0, 5.0, 0, 5.0]])))
    assert tied.toarray().tolist() == [[0, 5, 0, 0]]


def sorted_whole(matrix, nearest):
    """What is kept, by sorting all there is."""
    kept = np.zeros(matrix.shape)
    for similar_to, thinned in zip(matrix.toarray(), kept, strict=True):
        order = sorted(np.flatnonzero(similar_to > 0), key=lambda item: (-similar_to[item], item))
        thinned[order[:nearest]] = similar_to[order[:nearest]]
    return kept


@pytest.mark.parametrize("nearest", [1, 3, 20, 60])
def test_what_is_kept_is_what_sorting_everything_would_keep(monkeypatch, nearest):
    monkeypatch.setattr(neighbours, "NEAREST", nearest)
    generator = np.random.Generator(np.random.PCG64(4))
    drawn = generator.integers(-2, 5, (50, 40)) / 4  # a few values only, so that many are tied
    drawn[generator.random((50, 40)) < generator.random((50, 1))] = 0
    drawn[7] = 0
    matrix = sparse.csr_matrix(drawn)
    matrix.data[::9] = 0.0  # there, and worth nothing

    thinned = neighbours.nearest(matrix)

    assert thinned.toarray().tolist() == sorted_whole(matrix, nearest).tolist()
    assert (thinned.data > 0).all()


def test_of_a_row_only_what_may_be_kept_is_sorted(monkeypatch):
    monkeypatch.setattr(neighbours, "NEAREST", 5)
    sorted_at_once = []
    lexsort = np.lexsort
    monkeypatch.setattr(
        np, "lexsort", lambda keys: sorted_at_once.append(len(keys[0])) or lexsort(keys)
    )

    neighbours.nearest(sparse.csr_matrix(np.arange(1.0, 1001.0)))

    assert sorted_at_once == [5]


def test_blocks_change_nothing(monkeypatch):
    generator = np.random.Generator(np.random.PCG64(1))
    rows = [(int(u), int(i), t) for t, (u, i) in enumerate(generator.integers(0, 9, (80, 2)))]
    whole = similar(events(rows))
    monkeypatch.setattr(neighbours, "MOST_CELLS", 2 * 9)  # 2 of 9 items at once

    assert np.array_equal(similar(events(rows)), whole)


def test_only_the_newest_events_of_a_user_make_pairs(monkeypatch):
    monkeypatch.setattr(neighbours, "NEWEST", 2)
    made = events([("a", 0, 1), ("a", 1, 2), ("a", 2, 3)])

    matrix = similar(made)

    assert matrix[1, 2] > 0
    assert np.count_nonzero(matrix[0]) == 0


def test_the_newer_of_a_history_counts_more():
    pairs = [(f"{n}{side}", item, 1) for n in range(9) for side in "xy" for item in "02"]
    made = events([(user, int(item) + (user[-1] == "y"), at) for user, item, at in pairs])

    scores = row(baselines.fit("item-knn", made), [0, 1])

    assert scores[3] > scores[2] > scores[[0, 1]].max()


def test_an_empty_history_gets_what_is_popular_now():
    made = events([("a", 0, 0), ("a", 1, 6), ("a", 2, 8)])

    scores = row(baselines.fit("item-knn", made), [])
    recent = row(baselines.fit("recency-popularity", made), [])

    assert scores == pytest.approx(neighbours.PRIOR_WEIGHT * recent / recent.sum())
