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
NOW_MS = 1_750_000_000_000
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
    for name, times in (("a", ("86400", "172800")), ("b", ("1970-01-02", "1970-01-03"))):
        rows = "\n".join(f"u{at},i{at},{time}" for at, time in enumerate(times))
        (tmp_path / f"{name}.csv").write_text(f"who,what,when\n{rows}\n")

    first, second = (csv_file(tmp_path / f"{n}.csv", "who", "what", "when") for n in "ab")

    assert first.equals(second)


@pytest.mark.parametrize(
    ("times", "milliseconds"),
    [
        (["1", "1.5"], [1000, 1500]),
        (["+2", "1e3"], [2000, 1_000_000]),
        (["1970-01-02", "1970-01-03"], [86_400_000, 172_800_000]),
        (["1970-01-01 00:00:01", "1970-01-01T00:00:02.25"], [1000, 2250]),
        (["1970-01-01T09:00:02+09:00", "1970-01-01T00:00:03Z"], [2000, 3000]),
        (["1970-01-01T00:00:00.123456", "1970-01-01T00:00:01"], [123, 1000]),
    ],
)
def test_csv_takes_times_as_people_write_them(tmp_path, times, milliseconds):
    made = from_csv(tmp_path, *((f"u{at}", f"i{at}", time) for at, time in enumerate(times)))

    assert made.column("timestamp").cast("int64").to_pylist() == milliseconds


def test_csv_leaves_ids_as_they_are(tmp_path):
    made = from_csv(tmp_path, ("007", "9223372036854775808", "1"), ("7", "사과", "2"))

    assert made.column("user_id").to_pylist() == ["007", "7"]
    assert made.column("item_id").to_pylist() == ["9223372036854775808", "사과"]


def test_csv_makes_numbers_of_what_is_printed_as_numbers(tmp_path):
    made = from_csv(tmp_path, ("-7", "9223372036854775807", "1"), ("12", "0", "2"))

    assert made.column("user_id").to_pylist() == [-7, 12]
    assert made.column("item_id").to_pylist() == [2**63 - 1, 0]


def from_csv(folder, *rows, header="who,what,when"):
    lines = [header, *(",".join(row) for row in rows)]
    (folder / "a.csv").write_bytes("\n".join(lines).encode() + b"\n")
    return csv_file(folder / "a.csv", "who", "what", "when", NOW_MS)


GOOD = ("u", "i", "1")
REFUSED = {
    "no rows": ([], "must have events, received: 0 rows"),
    "empty ids": (
        [GOOD, ("", "i", "1"), ("", "i", "2")],
        "column `who` must have no empty ids, received: 2 of 3 rows",
    ),
    "no time": (
        [GOOD, ("u", "i", "yesterday")],
        "column `when` must be seconds since 1970, or a time in ISO 8601, received: yesterday in "
        "1 of 2 rows",
    ),
    "an empty time": (
        [GOOD, ("u", "i", "")],
        "column `when` must be seconds since 1970, or a time in ISO 8601, received: nothing in "
        "1 of 2 rows",
    ),
    "two kinds of times": (
        [GOOD, ("u", "i", "2"), ("u", "i", "2020-01-01")],
        "column `when` must be all seconds since 1970, all ISO 8601 with a zone or all without, "
        "received: 2020-01-01 in 1 of 3 rows",
    ),
    "times with and without a zone": (
        [("u", "i", "2020-01-01T00:00:00"), ("u", "i", "2020-01-01T00:00:00Z")],
        "column `when` must be all seconds since 1970, all ISO 8601 with a zone or all without, "
        "received: 2020-01-01T00:00:00Z in 1 of 2 rows",
    ),
    "milliseconds": (
        [GOOD, ("u", "i", "1700000000000")],
        "column `when` must be seconds since 1970, or a time in ISO 8601, received: "
        "1700000000000 in 1 of 2 rows",
    ),
    "a time of nothing": (
        [GOOD, ("u", "i", "0"), ("u", "j", "0.0")],
        "column `when` must be after 1970 began, received: 1970-01-01T00:00:00.000 in 2 of 3 rows",
    ),
    "the future": (
        [GOOD, ("u", "i", "2099-01-01")][1:],
        "column `when` must not be in the future, received: 2099-01-01T00:00:00.000 in 1 of 1 rows",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_csv_is_refused_by_column_and_rows(tmp_path, case):
    rows, reason = REFUSED[case]

    with pytest.raises(DataError) as caught:
        from_csv(tmp_path, *rows)

    assert caught.value.reason == f"a.csv: {reason}"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "must be a CSV file with a header (Empty CSV file"),
        (b"who,what,when\nu,i,1\nu,i\n", "must be a CSV file with a header (CSV parse error"),
        (b"who,what,when\n\xff\xfe,i,1\n", "must be a CSV file with a header ("),
        (b"who,what,when\nu,i,2020-13-41\n", "column `when` must be a time in ISO 8601 ("),
        (b"who,what,when,who\nu,i,1,u\n", "column `who` must be there once, received: 2"),
    ],
)
def test_what_is_no_csv_is_refused(tmp_path, content, reason):
    (tmp_path / "a.csv").write_bytes(content)

    with pytest.raises(DataError) as caught:
        csv_file(tmp_path / "a.csv", "who", "what", "when", NOW_MS)

    assert caught.value.reason.startswith(f"a.csv: {reason}")


def test_csv_with_another_column_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("whom,what,when\nu,i,1\n")

    with pytest.raises(ConfigurationError, match="`--user` must name a column") as caught:
        csv_file(tmp_path / "a.csv", "who", "what", "when")

    assert caught.value.hint == "did you mean `whom`? the file has: whom, what, when"


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
    made = online_retail(RETAIL)
    write_import(made, tmp_path)

    events = read_interactions(tmp_path)

    # 83 are of another invoice of the same minute: to the trainer they are one event.
    assert (made.num_rows, events.n_events) == (387_875, 387_875 - 83)
    assert (events.n_users, events.n_items) == (4339, 3665)
