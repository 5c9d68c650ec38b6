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

    vector = ials.solved(seen, others)[0]

    penalty = ials.REGULARIZATION * (2 + ials.UNOBSERVED * 5)
    normal = penalty * np.eye(3) + ials.UNOBSERVED * others.T @ others
    normal += np.outer(others[0], others[0]) + 0.5 * np.outer(others[2], others[2])
    assert normal @ vector == pytest.approx(others[0] + 0.5 * others[2])


def test_who_has_nothing_gets_nothing():
    others = np.ones((5, 3))

    assert ials.solved(sparse.csr_matrix((1, 5)), others).tolist() == [[0, 0, 0]]


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
        users = ials.solved(sparse.csr_matrix(had), items)
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
