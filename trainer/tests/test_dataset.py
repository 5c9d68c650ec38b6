"""Bad data is refused by file and column; good data does not depend on how it was cut."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import table

from trainer.dataset import read_interactions
from trainer.failure import DataError


def refused(folder) -> str:
    with pytest.raises(DataError) as caught:
        read_interactions(folder)
    return caught.value.reason


def test_empty_folder_is_refused(tmp_path):
    assert "must hold Parquet files, found none" in refused(tmp_path)


def test_missing_column_is_named_with_its_file(tmp_path):
    (tmp_path / "deep").mkdir()
    pq.write_table(table().drop(["timestamp"]), tmp_path / "deep" / "a.parquet")

    assert refused(tmp_path) == "deep/a.parquet: column `timestamp` is missing"


def test_nulls_are_counted(tmp_path):
    made = table(events=50).slice(0, 3)
    holes = pa.array([1, None, None], pa.int64())
    pq.write_table(made.set_column(1, "item_id", holes), tmp_path / "a.parquet")

    assert refused(tmp_path) == "a.parquet: column `item_id` must have no nulls, received: 2"


def test_truncated_file_is_named(tmp_path):
    path = tmp_path / "cut.parquet"
    pq.write_table(table(), path)
    path.write_bytes(path.read_bytes()[:-40])

    assert refused(tmp_path).startswith("cut.parquet: must be a readable Parquet file")


def test_file_with_a_hole_inside_is_named(tmp_path):
    path = tmp_path / "hole.parquet"
    pq.write_table(table(), path)
    whole = bytearray(path.read_bytes())
    whole[4:400] = bytes(396)
    path.write_bytes(bytes(whole))

    assert refused(tmp_path).startswith("hole.parquet: must be a readable Parquet file")


@pytest.mark.parametrize(
    ("column", "values", "reason"),
    [
        ("timestamp", [1.0, float("nan")], "must be seconds since 1970, received: nan"),
        ("timestamp", [1_700_000_000_000, 1], "must be seconds since 1970"),
        ("timestamp", ["x", "y"], "must be a timestamp or seconds since 1970"),
        ("weight", [1.0, -2.0], "must be positive, received: -2.0"),
        ("user_id", [1.5, 2.5], "must hold whole numbers or strings, received: double"),
    ],
)
def test_impossible_values_are_refused(tmp_path, column, values, reason):
    columns = {"user_id": [1, 2], "item_id": [1, 2], "timestamp": [1, 2], column: values}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")

    assert refused(tmp_path).startswith(f"a.parquet: column `{column}` ")
    assert reason in refused(tmp_path)


def test_files_of_two_id_types_are_refused(tmp_path):
    pq.write_table(
        pa.table({"user_id": [1], "item_id": [1], "timestamp": [1]}), tmp_path / "a.parquet"
    )
    pq.write_table(
        pa.table({"user_id": ["1"], "item_id": [1], "timestamp": [1]}), tmp_path / "b.parquet"
    )

    assert "must have one type in all files" in refused(tmp_path)


def test_no_rows_are_refused(tmp_path):
    pq.write_table(table().slice(0, 0), tmp_path / "a.parquet")

    assert refused(tmp_path) == "the dataset must have events, received: 0 rows"


def test_order_and_cut_of_files_change_nothing(tmp_path):
    made = table()
    one, many = tmp_path / "one", tmp_path / "many" / "deep"
    one.mkdir()
    many.mkdir(parents=True)
    pq.write_table(made, one / "a.parquet")
    shuffled = made.take(np.random.Generator(np.random.PCG64(1)).permutation(made.num_rows))
    pq.write_table(shuffled.slice(0, 300), many / "z.parquet")
    pq.write_table(shuffled.slice(300), many / "b.parquet")

    first, second = read_interactions(one), read_interactions(tmp_path / "many")

    assert first.fingerprint == second.fingerprint
    assert np.array_equal(first.item, second.item)


def test_one_event_more_is_another_fingerprint(tmp_path):
    for name, made in (("a", table()), ("b", table().slice(1))):
        (tmp_path / name).mkdir()
        pq.write_table(made, tmp_path / name / "x.parquet")

    first, second = (read_interactions(tmp_path / name).fingerprint for name in "ab")

    assert first != second


def test_seconds_and_timestamps_mean_the_same(tmp_path):
    made = table()
    seconds = pa.array(made.column("timestamp").cast(pa.int64()).to_numpy() / 1000)
    for name, column in (("a", made.column("timestamp")), ("b", seconds)):
        (tmp_path / name).mkdir()
        pq.write_table(made.set_column(2, "timestamp", column), tmp_path / name / "x.parquet")

    first, second = (read_interactions(tmp_path / name).fingerprint for name in "ab")

    assert first == second
