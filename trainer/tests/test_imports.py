"""Imports give the same bytes for the same source, and what the sources really hold."""

import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trainer.dataset import read_interactions
from trainer.failure import ConfigurationError, DataError
from trainer.imports import csv_file, movielens_100k, online_retail, write_import

RETAIL = Path(__file__).resolve().parents[3] / "shared" / "data" / "online-retail.parquet"
INTER = (
    "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    "196\t242\t3\t881250949\n186\t302\t3\t891717742\n"
)


def test_movielens_is_read_from_a_wheel_and_from_a_folder(tmp_path):
    wheel = tmp_path / "recbole.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("recbole/dataset_example/ml-100k/ml-100k.inter", INTER)
    with zipfile.ZipFile(wheel) as file:
        file.extractall(tmp_path / "folder")

    made = movielens_100k(wheel)

    assert made.equals(movielens_100k(tmp_path / "folder"))
    assert made.column("user_id").to_pylist() == [196, 186]
    assert made.column("timestamp").cast("int64").to_pylist()[0] == 881_250_949_000


def test_a_source_without_movielens_is_refused(tmp_path):
    with pytest.raises(DataError, match="must hold ml-100k"):
        movielens_100k(tmp_path)


def test_retail_drops_returns_and_lines_without_a_customer(tmp_path):
    lines = pa.table(
        {
            "InvoiceNo": ["1", "1", "1", "C2", "3", "4"],
            "StockCode": ["a", "a", "b", "a", "a", "a"],
            "Quantity": [1, 2, 1, -1, -5, 3],
            "InvoiceDate": pa.array([60, 0, 0, 1, 2, 3], pa.timestamp("s")),
            "CustomerID": [7.0, 7.0, 7.0, 7.0, 7.0, None],
        }
    )
    pq.write_table(lines, tmp_path / "shop.parquet")

    made = online_retail(tmp_path / "shop.parquet").to_pydict()

    assert list(zip(made["user_id"], made["item_id"], strict=True)) == [(7, "a"), (7, "b")]
    assert {moment.timestamp() for moment in made["timestamp"]} == {0.0}


def test_csv_takes_seconds_and_iso_times_alike(tmp_path):
    for name, times in (("a", ("0", "86400")), ("b", ("1970-01-01", "1970-01-02"))):
        rows = "\n".join(f"u{at},i{at},{time}" for at, time in enumerate(times))
        (tmp_path / f"{name}.csv").write_text(f"who,what,when\n{rows}\n")

    first, second = (csv_file(tmp_path / f"{n}.csv", "who", "what", "when") for n in "ab")

    assert first.equals(second)


def test_csv_with_another_column_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("who,what,when\nu,i,1\n")

    with pytest.raises(ConfigurationError, match="`--user` must name a column"):
        csv_file(tmp_path / "a.csv", "user", "what", "when")


def test_importing_again_gives_the_same_bytes(tmp_path):
    (tmp_path / "a.csv").write_text("who,what,when\nu,i,1\nv,j,2\n")

    paths = [
        write_import(csv_file(tmp_path / "a.csv", "who", "what", "when"), tmp_path / name)
        for name in "xy"
    ]

    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["interactions.parquet"]
    assert read_interactions(tmp_path / "x").n_events == 2


@pytest.mark.skipif(not RETAIL.exists(), reason="shared/data/online-retail.parquet is not here")
def test_the_real_shop_has_the_events_it_had(tmp_path):
    write_import(online_retail(RETAIL), tmp_path)

    events = read_interactions(tmp_path)

    assert (events.n_users, events.n_items, events.n_events) == (4339, 3665, 387875)
