"""iALS against normal equations written down the long way."""

import numpy as np
import pytest
from scipy import sparse
from test_baselines import events, row
from test_ease import shop

from trainer import baselines, ials


def test_a_row_is_the_weighted_ridge_regression_over_all_columns():
    generator = np.random.Generator(np.random.PCG64(1))
    others = generator.standard_normal((5, 3))
    seen = sparse.csr_matrix(np.array([[1.0, 0, 0.5, 0, 0]]))

    vector = ials.solved(seen, ials.side(others))[0]

    penalty = ials.REGULARIZATION * (2 + ials.UNOBSERVED * 5)
    normal = penalty * np.eye(3) + ials.UNOBSERVED * others.T @ others
    normal += np.outer(others[0], others[0]) + 0.5 * np.outer(others[2], others[2])
    assert normal @ vector == pytest.approx(others[0] + 0.5 * others[2])


def the_long_way(seen, others):
    """One system of normal equations a row, for any matrix."""
    size = others.shape[1]
    vectors = np.zeros((seen.shape[0], size))
    for number, weights in enumerate(seen):
        penalty = ials.REGULARIZATION * ((weights > 0).sum() + ials.UNOBSERVED * len(others))
        normal = penalty * np.eye(size) + ials.UNOBSERVED * others.T @ others
        normal += (others * weights[:, None]).T @ others
        vectors[number] = np.linalg.solve(normal, weights @ others)
    return vectors


@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0])
def test_rows_of_every_length_are_solved_as_one_by_one(scale):
    generator = np.random.Generator(np.random.PCG64(2))
    others = scale * generator.standard_normal((700, ials.FACTORS))
    seen = np.zeros((150, 700))
    for number, count in enumerate([*range(130), *range(130, 700, 30), 700]):
        place = generator.permutation(700)[:count]
        seen[number, place] = 2.0 ** -generator.uniform(0, 30, count)
    order = generator.permutation(150)

    vectors = ials.solved(sparse.csr_matrix(seen[order]), ials.side(others))

    expected = the_long_way(seen[order], others)
    assert np.abs(vectors - expected).max() < 1e-9 * np.abs(expected).max()


def test_an_event_that_weighs_nothing_pulls_nowhere():
    others = np.eye(3)
    seen = sparse.csr_matrix(([1.0, 0.0], ([0, 0], [0, 1])), (1, 3))

    assert ials.solved(seen, ials.side(others))[0, 1:] == pytest.approx([0, 0])


def test_who_has_nothing_gets_nothing():
    others = np.ones((5, 3))

    assert ials.solved(sparse.csr_matrix((1, 5)), ials.side(others)).tolist() == [[0, 0, 0]]


def test_blocks_change_nothing(monkeypatch):
    made = shop()
    whole = ials.ials(made).items
    monkeypatch.setattr(ials, "ROWS_AT_ONCE", 4)

    assert np.allclose(ials.ials(made).items, whole, rtol=1e-9, atol=1e-12)


def test_the_same_events_give_the_same_vectors():
    assert np.array_equal(ials.ials(shop()).items, ials.ials(shop()).items)


def test_each_sweep_lowers_the_loss(monkeypatch):
    made = shop()
    had = np.zeros((made.n_users, made.n_items))
    had[made.user, made.item] = 1.0
    monkeypatch.setattr(ials, "HALF_LIFE", 1e12)
    losses = []
    for sweeps in (1, 2, 8):
        monkeypatch.setattr(ials, "SWEEPS", sweeps)
        items = ials.ials(made).items
        users = ials.solved(sparse.csr_matrix(had), ials.side(items))
        guess = users @ items.T
        loss = (had * (guess - 1) ** 2).sum() + ials.UNOBSERVED * (guess**2).sum()
        for vectors, counts, width in (
            (users, had.sum(1), made.n_items),
            (items, had.sum(0), made.n_users),
        ):
            scale = ials.REGULARIZATION * (counts + ials.UNOBSERVED * width)
            loss += (scale * (vectors**2).sum(1)).sum()
        losses.append(loss)

    assert losses[0] > losses[1] > losses[2]


def test_two_kinds_of_users_are_told_apart_and_new_ones_too():
    rows = [
        (f"u{user}", 2 * item + user % 2, 10 * user + item)
        for user in range(20)
        for item in range(5)
        if (user // 2 + item) % 5
    ]

    fitted = baselines.fit("ials", events(rows))

    even, odd = row(fitted, [0, 2]), row(fitted, [1, 3])
    assert even[[4, 6, 8]].min() > even[[5, 7, 9]].max()
    assert odd[[5, 7, 9]].min() > odd[[4, 6, 8]].max()


def test_an_empty_history_gets_what_is_popular_now():
    made = shop()

    assert np.argsort(row(baselines.fit("ials", made), [])).tolist() == (
        np.argsort(row(baselines.fit("recency-popularity", made), [])).tolist()
    )
