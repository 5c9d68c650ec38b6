"""The running top K against a full sort, however the items come in tiles."""

import numpy as np
import pytest

from trainer import best_items, top_k
from trainer.best_items import Factors, by_tiles
from trainer.failure import DataError
from trainer.top_k import RunningTopK

NONE = np.zeros(0, np.int64)


def sorted_fully(scores, k):
    """By score, then by the lower item."""
    items = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return items, np.take_along_axis(scores, items, axis=1)


def in_tiles(scores, k, width):
    running = RunningTopK(len(scores), k)
    for first in range(0, scores.shape[1], width):
        part = np.ascontiguousarray(scores[:, first : first + width])
        running.add(part, np.arange(first, first + part.shape[1]))
    return running.result()


def rising(generator, shape):
    """The worst that a running top K can meet: each item is better than all before it."""
    return np.sort(generator.normal(size=shape).astype(np.float32), axis=1)


def ties(generator, shape):
    """Few values, so that nearly all that matters is the order of items."""
    return generator.integers(-3, 3, shape).astype(np.float32)


def mostly_equal(generator, shape):
    return np.where(generator.random(shape) < 0.02, 1.0, 0.0).astype(np.float32)


def any_numbers(generator, shape):
    return generator.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("made", [any_numbers, ties, mostly_equal, rising])
@pytest.mark.parametrize("width", [1, 7, 64, 1000])
@pytest.mark.parametrize("k", [1, 20, 300])
def test_tiles_of_any_width_give_what_a_full_sort_gives(made, width, k):
    scores = made(np.random.Generator(np.random.PCG64(4)), (9, 300))

    items, values = in_tiles(scores, k, width)

    expected = sorted_fully(scores, k)
    assert np.array_equal(items, expected[0])
    assert np.array_equal(values, expected[1])


def test_minus_zero_ties_with_zero():
    items, values = in_tiles(np.array([[-0.0, 0.0, -0.0]], np.float32), 2, 1)

    assert items.tolist() == [[0, 1]]
    assert not np.signbit(values).any()


def test_hidden_items_never_push_out_visible_ones():
    scores = np.full((2, 50), -np.inf, np.float32)
    scores[0, 49] = -5.0

    items, values = in_tiles(scores, 3, 10)

    assert (items[0, 0], values[0].tolist()) == (49, [-5.0, -np.inf, -np.inf])
    assert not np.isfinite(values[1]).any()


@pytest.mark.parametrize("cells", [30, 1_048_576])
@pytest.mark.parametrize("most", [5, 60])
def test_a_product_by_tiles_is_the_product(monkeypatch, cells, most):
    """With items that the candidate does not know, and what users had hidden."""
    monkeypatch.setattr(top_k, "TILE_CELLS", cells)
    generator = np.random.Generator(np.random.PCG64(8))
    vectors = generator.integers(-3, 4, (6, 4)).astype(np.float32)  # exact sums, and many ties
    n_items, known = 60, np.flatnonzero(generator.random(60) < 0.8)
    items = generator.integers(-3, 4, (len(known), 4)).astype(np.float32)
    bias = generator.integers(-2, 3, len(known)).astype(np.float32)
    seen_row, seen = np.repeat(np.arange(6), 20), generator.integers(0, n_items, 120)
    order = np.argsort(seen, kind="stable")

    made = by_tiles(
        Factors(known, items, bias), vectors, seen_row[order], seen[order], most, n_items
    )

    product = vectors @ items.T + bias
    dense = np.repeat(product.min(axis=1, keepdims=True) - 1, n_items, axis=1)
    dense[:, known] = product
    dense[seen_row, seen] = -np.inf
    expected = sorted_fully(dense, most)
    visible = np.isfinite(expected[1])
    assert np.array_equal(made[1], expected[1])
    assert np.array_equal(made[0][visible], expected[0][visible])


def test_a_candidate_that_knows_no_item_serves_all_in_a_tie():
    factors = Factors(NONE, np.zeros((0, 4), np.float32), np.zeros(0, np.float32))

    items, values = by_tiles(factors, np.ones((2, 4), np.float32), NONE, NONE, 3, 5)

    assert items.tolist() == [[0, 1, 2], [0, 1, 2]]
    assert not values.any()


def test_a_diverged_network_is_refused():
    factors = Factors(np.arange(2), np.array([[1.0], [np.nan]], np.float32), np.zeros(2, "f4"))

    with pytest.raises(DataError, match="must score with numbers, received: NaN"):
        by_tiles(factors, np.ones((1, 1), np.float32), NONE, NONE, 1, 2)


def test_what_is_held_of_a_large_catalogue_is_a_tile(monkeypatch):
    """A million items: the widest piece that the running top K is given has a tile's cells."""
    cells = []

    class Watched(RunningTopK):
        def add(self, scores, items):
            cells.append(scores.size)
            super().add(scores, items)

    monkeypatch.setattr(best_items, "RunningTopK", Watched)
    n_items = 1_000_000
    items = np.arange(n_items, dtype=np.float32)[:, None]
    factors = Factors(np.arange(n_items), items, np.zeros(n_items, np.float32))

    best, _ = by_tiles(factors, np.ones((64, 1), np.float32), NONE, NONE, 4, n_items)

    assert best[63].tolist() == [999_999, 999_998, 999_997, 999_996]
    assert max(cells) <= top_k.TILE_CELLS
