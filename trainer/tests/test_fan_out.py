"""How users are cut into shards, and that the cut shows in nothing but the files' number."""

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import RUN_ID, TRAINER, table
from test_stages import all_rows, run_gather, shards_of, told

from trainer import best_items, candidates, fan_out, model_files, shard_files
from trainer.atomic import sha256_of
from trainer.config import CANDIDATES, METRICS, RecommendConfig, TrainConfig
from trainer.dataset import read_interactions
from trainer.fan_out import USER_COST, shard_range
from trainer.progress import Progress
from trainer.recommend import recommend

REPOSITORY = TRAINER.parent


def offsets_of(events_a_user):
    return np.concatenate([[0], np.cumsum(events_a_user)]).astype(np.int64)


def ranges(offsets, size, count):
    return [shard_range(offsets, size, shard, count) for shard in range(count)]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 50, 10_000])
@pytest.mark.parametrize("n_users", [1, 40, 256, 257, 5000])
def test_ranges_follow_one_another_from_the_first_user_to_the_last(n_users, count):
    generator = np.random.Generator(np.random.PCG64(n_users))
    offsets = offsets_of(generator.integers(1, 90, n_users))

    made = ranges(offsets, 256, count)

    assert [first for first, _ in made] == [0, *(last for _, last in made[:-1])]
    assert made[-1][1] == n_users
    assert all(first <= last for first, last in made)


def test_long_histories_make_a_shard_smaller():
    offsets = offsets_of([USER_COST * 3] * 20_000 + [1] * 20_000)

    (_, end), _ = ranges(offsets, 64, 2)

    cost = offsets[[0, end, -1]] + USER_COST * np.array([0, end, 40_000])
    first, second = np.diff(cost)
    assert end < 20_000
    assert abs(first - second) <= 64 * USER_COST * 4  # a block


def test_ranges_end_on_the_grid_where_it_is_fine_enough():
    offsets = offsets_of([5] * 10_000)

    assert all(first % 64 == 0 for first, _ in ranges(offsets, 64, 20))
    assert {last - first for first, last in ranges(offsets, 64, 2_500)} == {4}


@pytest.mark.parametrize("candidate", CANDIDATES)
def test_one_three_and_seven_shards_have_the_same_content_and_scores(
    trained, tmp_path, monkeypatch, candidate
):
    """With blocks of three users, so that shards end inside of blocks and on them."""
    monkeypatch.setattr(best_items, "MOST_ROWS", 3)
    monkeypatch.setattr(best_items, "rows_at_once", lambda n_items: 3)
    for count in (1, 3, 7):
        shards_of(trained, tmp_path / str(count), candidate, count)
        run_gather(trained, tmp_path / str(count))

    one = all_rows(tmp_path / "1").combine_chunks()
    for count in ("3", "7"):
        many = all_rows(tmp_path / count).combine_chunks()
        assert many.equals(one)
        for name in ("items", "scores"):
            columns = (made.column(name).chunk(0).flatten() for made in (one, many))
            first, second = (np.asarray(column).tobytes() for column in columns)
            assert first == second


@pytest.mark.parametrize("candidate", ["network", "ials"])
def test_the_product_that_serves_is_what_was_measured(trained, candidate):
    """evaluate scores densely, recommend by tiles."""
    events = read_interactions(trained.data)
    model_dir = trained.inputs / "train" / "model"
    serving = candidates.candidate(candidate, events, events, model_dir, model_files.SERVED)
    users = np.arange(events.n_users)
    start, end = events.offsets[users], events.offsets[users + 1]
    start[3] = end[3]  # an empty history

    dense = serving.scores(events.item, start, end, users)

    factors = best_items.factors_of(serving)
    product = serving.user_vectors(events.item, start, end, users) @ factors.items.T + factors.bias
    assert np.allclose(dense[:, factors.known], product, rtol=1e-4, atol=1e-5)
    unknown = np.setdiff1d(np.arange(events.n_items), factors.known)
    assert (dense[:, unknown] < product.min(axis=1, keepdims=True)).all()


def test_the_same_rows_give_the_same_bytes(trained, tmp_path):
    for name in ("a", "b"):
        shards_of(trained, tmp_path / name, "sequential-rules", 2)

    for shard in "01":
        paths = [
            tmp_path / name / "recommend" / shard / "recommendations.parquet" for name in ("a", "b")
        ]
        assert paths[0].read_bytes() == paths[1].read_bytes()
        about = json.loads((paths[0].parent / "shard.json").read_text())
        assert about["sha256"] == sha256_of(paths[0])


def test_rows_are_written_group_by_group(trained, tmp_path, monkeypatch):
    shards_of(trained, tmp_path / "one", "popularity", 1)
    monkeypatch.setattr(shard_files, "GROUP_ENTRIES", 10)
    monkeypatch.setattr(best_items, "rows_at_once", lambda n_items: 3)
    shards_of(trained, tmp_path / "many", "popularity", 1)

    path = tmp_path / "many" / "recommend" / "0" / "recommendations.parquet"
    assert pq.ParquetFile(path).num_row_groups == 14  # 13 blocks of three users and one of one
    assert all_rows(tmp_path / "many").equals(all_rows(tmp_path / "one"))
    assert run_gather(trained, tmp_path / "many")["rows"] == 40


def again(trained, folder, candidate="popularity", inputs=None, **params):
    """A second try in the folder of the first; says whether it made the rows again."""
    path = folder / "recommendations.parquet"
    before = path.stat().st_mtime_ns if path.exists() else 0
    recommend(
        RecommendConfig(candidate, **{"top_k": 7, **params}),
        trained.data,
        inputs or told(trained, False),
        folder,
        0,
        1,
        Progress(folder, "recommend"),
        run_id=RUN_ID,
    )
    return path.stat().st_mtime_ns != before


@pytest.fixture
def shard(trained, tmp_path):
    shards_of(trained, tmp_path, "popularity", 1)
    return tmp_path / "recommend" / "0"


def test_a_shard_that_is_whole_is_left_as_it_is(trained, shard):
    assert not again(trained, shard)

    progress = json.loads((shard / "progress.json").read_text())
    assert progress["detail"] == "done: the shard was there already"


@pytest.mark.parametrize("other", [{"top_k": 5}, {"candidate": "recency-popularity"}])
def test_a_shard_of_other_params_is_made_anew(trained, shard, other):
    assert again(trained, shard, **other)


def test_a_shard_by_another_rule_is_made_anew(trained, shard):
    assert again(trained, shard, inputs=trained.inputs)


def cut(folder):
    path = folder / "recommendations.parquet"
    path.write_bytes(path.read_bytes()[:-9])


def tear(folder):
    path = folder / "shard.json"
    path.write_text(path.read_text()[:40])


def lose(folder):
    (folder / "recommendations.parquet").unlink()


@pytest.mark.parametrize("spoil", [cut, tear, lose])
def test_a_shard_that_is_not_whole_is_made_anew(trained, shard, spoil):
    whole = (shard / "recommendations.parquet").read_bytes()
    spoil(shard)

    again(trained, shard)

    assert (shard / "recommendations.parquet").read_bytes() == whole
    assert run_gather(trained, shard.parent.parent)["verified"] is True


def test_a_shard_of_another_dataset_is_made_anew(trained, shard, tmp_path):
    other = tmp_path / "other"
    (other / "data").mkdir(parents=True)
    pq.write_table(table(seed=6), other / "data" / "interactions.parquet")

    assert again(replace(trained, root=other), shard, inputs=told(trained, False))


def test_the_estimate_is_users_by_a_fixed_and_a_growing_part():
    config = TrainConfig()

    assert fan_out.core_seconds("network", 1_000_000, 0, config) == 40.0
    assert fan_out.core_seconds("network", 1_000_000, 100_000, config) == 290.0
    assert fan_out.core_seconds("network", 10**6, 10**5, replace(config, dim=128)) == 580.0
    assert fan_out.core_seconds("network", 10**6, 10**5, replace(config, layers=2)) == 330.0
    assert fan_out.core_seconds("popularity", 10**6, 10**5, replace(config, dim=128)) == 103.0
    assert fan_out.core_seconds("of somebody else", 10**6, 10**5, config) == 1220.0


def test_the_estimate_has_the_shape_that_the_other_side_reads():
    """The golden file is parsed by a test in `shared/src/metrics.rs` too."""
    golden = json.loads((REPOSITORY / "shared" / "golden" / "metrics.json").read_text())

    made = fan_out.estimate(["network", "popularity"], 7, 3, TrainConfig())

    assert set(made) == set(golden["fan_out"])
    for name, value in golden["fan_out"].items():
        assert type(made[name]) is type(value)
    assert all(type(value) is float for value in made["core_s"].values())
    assert set(golden["fan_out"]["core_s"]) <= set(CANDIDATES)
    scores = golden["protocols"]["p2_rolling"]["candidates"]["sequential-rules"]
    assert {name for name, score in scores.items() if "low" in score} == set(METRICS)
