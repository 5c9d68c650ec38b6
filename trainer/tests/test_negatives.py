"""What a sampled softmax draws: items that have events, each by how often, and no other."""

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
import pytest
from conftest import loop_of

from trainer import batches, steps
from trainer.dataset import interactions

LAST = 2**32 - 1


def of_counts(counts):
    """Events of which each item has as many as told, as the weight of one, where it has any."""
    counts = np.asarray(counts, np.float64)
    items = np.flatnonzero(counts)
    made = interactions(
        pa.table(
            {
                "user_id": np.zeros(len(counts), np.int64),
                "item_id": np.arange(len(counts)),
                "time_ms": np.arange(len(counts)) + 1,
                "weight": np.maximum(counts, 1e-30).astype(np.float32),
            }
        )
    )
    return made.only(np.isin(made.item, items))


def long_tail(n_items=100_000, events=20_000_000):
    """Counts of a shop: half of its items have one to three events of twenty million."""
    generator = np.random.Generator(np.random.PCG64(0))
    shares = 1 / (np.arange(n_items) + 1.0)
    counts = generator.multinomial(events, shares / shares.sum())
    counts[n_items // 2 :] = generator.integers(1, 4, n_items // 2)
    return counts


def rows_of(frequencies, bits):
    return np.asarray(batches.drawn_rows(frequencies, jnp.asarray(bits, jnp.uint32)))


COUNTS = {
    "a long tail": long_tail(),
    "none at either end": [0, 0, 3, 0, 5, 1, 0, 0],
    "all at both ends": [4, 0, 0, 9],
    "a weight far too small": [1e9, 1e-9, 1.0],
    "one item": [0, 7, 0],
}


@pytest.mark.parametrize("case", COUNTS)
def test_what_can_be_drawn_is_what_has_events(case):
    frequencies = batches.frequencies(of_counts(COUNTS[case]))
    starts = np.asarray(frequencies.starts).astype(np.int64)
    edges = np.concatenate([starts, starts - 1, [0, LAST - 1, LAST]])

    drawn = rows_of(frequencies, edges[edges >= 0])

    assert np.unique(drawn).tolist() == (np.flatnonzero(COUNTS[case]) + 1).tolist()


@pytest.mark.parametrize("case", COUNTS)
def test_each_is_drawn_as_often_as_its_logarithm_says(case):
    counts = np.asarray(COUNTS[case], np.float64)
    frequencies = batches.frequencies(of_counts(counts))
    wide = np.diff(np.asarray(frequencies.starts).astype(np.int64), append=LAST)[1:]

    has = counts > 0
    said = np.exp(np.asarray(frequencies.log_share, np.float64)[1:][has])
    assert np.allclose(wide[has] / LAST, said, rtol=1e-5, atol=1 / LAST)
    if case != "a weight far too small":
        assert np.allclose(said, counts[has] / counts.sum(), rtol=1e-5)


def test_a_step_draws_by_its_number_and_gives_what_it_draws():
    made = of_counts([0, 6, 1, 3, 0])
    loop = loop_of(made, full_softmax_up_to=2, negatives=4_000, epochs=1)

    first, again, other = (
        np.asarray(steps.sampled(loop.engine, loop.frequencies[0], jnp.int32(step)).row)
        for step in (5, 5, 6)
    )

    assert first.tolist() == again.tolist() != other.tolist()
    found = np.bincount(first, minlength=6) / 4_000
    expected = np.exp(np.asarray(loop.frequencies[0].log_share))
    assert np.allclose(found, np.where(expected > 1e-6, expected, 0), atol=0.03)


def test_what_is_kept_on_the_device_to_draw_from_is_four_bytes_an_item():
    frequencies = batches.frequencies(of_counts(long_tail()))

    assert frequencies.starts.nbytes == 4 * 100_001
    assert jax.tree.leaves(frequencies)[1].dtype == jnp.uint32
