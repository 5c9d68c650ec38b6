"""Tables updated by the rows of a batch: the same gradients, nothing else touched, exact resume."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import TINY, interactions_of, loop_of, run_to, table

from trainer import tables
from trainer.config import TrainConfig

SPARSE = {"full_softmax_up_to": 0, "negatives": 4, "batch_size": 2, "table_updates": "sparse"}
MODELS = ["sequential-two-tower", "two-tower-id"]


@pytest.fixture(scope="module")
def events():
    return interactions_of(table())


@pytest.mark.parametrize(
    ("items", "more", "by_rows", "reason"),
    [
        (20_000, {}, False, "the full softmax touches every row"),
        (20_001, {"batch_size": 512}, False, "not less than"),
        (1_000_000, {"batch_size": 512}, True, "less than 1/4"),
        (1_000_000, {"batch_size": 512, "table_updates": "dense"}, False, "the params say so"),
        (20_001, {"table_updates": "sparse"}, True, "the params say so"),
    ],
)
def test_which_update_moves_fewer_bytes_is_chosen(items, more, by_rows, reason):
    decided = tables.decide(TrainConfig(**more), 30, 10, items, {"item"})

    assert decided.by_rows is by_rows
    assert reason in decided.reason


def test_a_model_that_names_no_tables_is_updated_whole():
    assert not tables.decide(TrainConfig(), 30, 10, 10**7, set()).by_rows


def test_a_gigabyte_moves_nine_times_dense_and_a_tenth_of_one_by_rows():
    decided = tables.decide(TrainConfig(batch_size=512, max_len=50), 50, 1, 4_000_000, {"item"})

    assert decided.dense_bytes == pytest.approx(9 * 4_000_000 * 64 * 4, rel=1e-3)
    assert decided.sparse_bytes < decided.dense_bytes / 100


def test_distinct_rows_are_ascending_and_padded_with_rows_that_are_not():
    ids = jnp.array([[5, 0, 2], [5, 5, 0]])

    rows, place = tables.distinct(ids, 6, 9)

    assert rows.tolist()[:3] == [0, 2, 5]
    assert (np.diff(rows) > 0).all() and min(rows.tolist()[3:]) >= 9
    assert np.array_equal(np.asarray(rows)[np.asarray(place)], np.asarray(ids))


@pytest.mark.parametrize("model", MODELS)
def test_a_step_by_rows_is_adagrad_with_the_gradient_of_the_whole_table(events, model):
    loop = loop_of(events, model=model, **SPARSE)
    whole = loop_of(events, model=model, **{**SPARSE, "table_updates": "dense"})
    before = [np.array(value) for value in loop.state.trainable]
    rate = 0.05 * float(steps_rate(loop))

    gradients = first_gradients(whole)
    loop.advance(1)

    assert loop.losses[0] == pytest.approx(float(gradients[0]), abs=1e-6)
    by_rows = loop.engine.by_rows()
    assert len(by_rows) == (1 if model == MODELS[0] else 3)
    for sums, at in zip(loop.state.sums, by_rows, strict=True):
        gradient, value = np.asarray(gradients[1][at]), np.asarray(loop.state.trainable[at])
        squares = (gradient**2).mean(-1)
        assert np.allclose(sums, squares, rtol=1e-4, atol=1e-12)
        expected = before[at] - rate * gradient / np.sqrt(squares + tables.EPSILON)[:, None]
        assert np.allclose(value, expected, atol=1e-5)
        untouched = squares == 0
        assert untouched.any()
        assert np.array_equal(value[untouched], before[at][untouched])


def steps_rate(loop):
    from trainer.steps import learning_rate

    return learning_rate(1.0, jnp.int32(0), jnp.int32(loop.epochs[0] * loop.per_epoch[0]))


def first_gradients(loop):
    """(loss, gradients) of the first step, of the whole tables."""
    from trainer import batches, steps

    leg = loop.legs[0]
    run = loop.runs_of(leg, 0).runs[0]
    resident = loop.shelf.take((0, run.shard), None)
    length, bucket = loop.lengths[run.bucket], resident.buckets[run.bucket]
    batch = batches.batch_at(
        resident.data, bucket, jnp.int32(run.first), jnp.int32(0), loop.config.seed, 2, length
    )
    step = jnp.int32(0)
    drawn = steps.sampled(loop.engine, loop.frequencies[0], step)
    (_, (value, _)), gradients = jax.value_and_grad(
        lambda trainable: steps.loss(
            loop.engine, loop.model, loop.state, trainable, batch, drawn, step
        ),
        has_aux=True,
    )(loop.state.trainable)
    return value, gradients


def test_a_training_by_rows_learns_and_resumes_exactly(events):
    loop = loop_of(events, **{**SPARSE, "batch_size": 8, "negatives": 16, "epochs": 12})
    loop.compile()
    first = loop.tensors()
    end, losses = run_to(loop, loop.total, 50), loop.losses.copy()
    assert losses[-10:].mean() < 0.95 * losses[:10].mean()

    loop.restore(first, 0)
    run_to(loop, 7, 3)
    copied = loop.tensors()
    assert any(name.startswith("rows/") for name in copied)
    run_to(loop, 20, 3)
    loop.restore(copied, 7)

    assert run_to(loop, loop.total, 5) == end
    assert loop.about()["tables"]["updates"] == "sparse"


def test_how_tables_are_updated_changes_the_configuration():
    assert TrainConfig(**TINY).digest() != TrainConfig(**TINY, table_updates="dense").digest()
