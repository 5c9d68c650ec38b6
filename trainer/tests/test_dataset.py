"""Bad data is refused by file, column and rows; good data does not depend on how it was cut."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import DAY_S, table

from trainer import dataset, ids
from trainer.dataset import read_interactions
from trainer.failure import DataError

NOW_S = 1_750_000_000
NOW_MS = NOW_S * 1000


def read(folder):
    return read_interactions(folder, NOW_MS)


def refusal(folder) -> DataError:
    with pytest.raises(DataError) as caught:
        read(folder)
    assert caught.value.exit_code == 65
    return caught.value


def refused(folder) -> str:
    return refusal(folder).reason


def columns(**changed):
    """Three good events, with columns changed."""
    good = {"user_id": [1, 2, 2], "item_id": [1, 2, 1], "timestamp": [1, 2, 3]}
    return pa.table({name: column for name, column in (good | changed).items() if column})


def write(folder, name="a.parquet", **changed):
    """A file of three events."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(columns(**changed), path)
    return folder


NANOSECONDS = pa.array([1_700_000_000_123_456_789] * 3, pa.timestamp("ns"))
REFUSED = {
    "nulls": (
        {"item_id": pa.array([1, None, None], pa.int64())},
        "column `item_id` must have no nulls, received: 2 of 3 rows",
    ),
    "null weights": (
        {"weight": [1.0, None, 2.0]},
        "column `weight` must have no nulls, received: 1 of 3 rows",
    ),
    "null times": (
        {"timestamp": pa.array([None, 1, 2], pa.int64())},
        "column `timestamp` must have no nulls, received: 1 of 3 rows",
    ),
    "a column of nulls": (
        {"user_id": pa.nulls(3)},
        "column `user_id` must hold whole numbers or strings, received: null",
    ),
    "empty ids": (
        {"user_id": ["a", "", ""]},
        "column `user_id` must have no empty ids, received: 2 of 3 rows",
    ),
    "ids that are decimals": (
        {"user_id": [1.5, 2.5, 3.0]},
        "column `user_id` must hold whole numbers or strings, received: double",
    ),
    "ids that are true or false": (
        {"user_id": [True, False, True]},
        "column `user_id` must hold whole numbers or strings, received: bool",
    ),
    "ids with decimal places": (
        {"item_id": pa.array([Decimal("1.50")] * 3)},
        "column `item_id` must hold whole numbers or strings, received: decimal128(3, 2)",
    ),
    "ids beyond 64 bits": (
        {"user_id": pa.array([1, 2**63, 2**64 - 1], pa.uint64())},
        "column `user_id` must be below 2^63, received: 9223372036854775808 in 2 of 3 rows",
    ),
    "decimal ids beyond 64 bits": (
        {"user_id": pa.array([Decimal(10**30), Decimal(2), Decimal(3)], pa.decimal128(38, 0))},
        f"column `user_id` must be below 2^63, received: {10**30} in 1 of 3 rows",
    ),
    "bytes that are no text": (
        {"user_id": pa.array([b"a", b"\xff\xfe", b"b"], pa.binary())},
        "column `user_id` must be text in UTF-8, received: b'\\xff\\xfe' in 1 of 3 rows",
    ),
    "lists of ids": (
        {"item_id": [[1], [2], [3]]},
        "column `item_id` must hold whole numbers or strings, received: list<element: int64>",
    ),
    "milliseconds as numbers": (
        {"timestamp": [1_700_000_000_000, 1, 2]},
        "column `timestamp` must be a timestamp, or must be seconds since 1970, received: "
        "1700000000000 in 1 of 3 rows",
    ),
    "no number of seconds": (
        {"timestamp": [1.0, float("nan"), float("inf")]},
        "column `timestamp` must be a timestamp, or must be seconds since 1970, received: "
        "nan in 2 of 3 rows",
    ),
    "times as text": (
        {"timestamp": ["2026-01-01", "x", "y"]},
        "column `timestamp` must be a timestamp or seconds since 1970, received: string",
    ),
    "times of day": (
        {"timestamp": pa.array([1, 2, 3], pa.time32("s"))},
        "column `timestamp` must be a timestamp or seconds since 1970, received: time32[ms]",
    ),
    "the future": (
        {"timestamp": [1, NOW_S + 2 * DAY_S, NOW_S + 3 * DAY_S]},
        "column `timestamp` must not be in the future, received: 2025-06-18T15:06:40.000 in "
        "2 of 3 rows",
    ),
    "times of nothing": (
        {"timestamp": [0, NOW_S, NOW_S]},
        "column `timestamp` must be after 1970 began, received: 1970-01-01T00:00:00.000 in "
        "1 of 3 rows",
    ),
    "the year 1": (
        {"timestamp": pa.array([-62_135_596_800, -5, 1], pa.timestamp("s"))},
        "column `timestamp` must be after 1970 began, received: 0001-01-01T00:00:00.000 in "
        "2 of 3 rows",
    ),
    "negative weights": (
        {"weight": [1.0, -2.0, -3.0]},
        "column `weight` must be positive, received: -2.0 in 2 of 3 rows",
    ),
    "weights of zero": (
        {"weight": [1, 0, 2]},
        "column `weight` must be positive, received: 0.0 in 1 of 3 rows",
    ),
    "weights that are no numbers": (
        {"weight": [1.0, float("nan"), float("inf")]},
        "column `weight` must be positive, received: nan in 2 of 3 rows",
    ),
    "weights too small to be told from zero": (
        {"weight": [1.0, 1e-60, 1e60]},
        "column `weight` must be positive, received: 1e-60 in 2 of 3 rows",
    ),
    "weights as text": (
        {"weight": ["1", "2", "3"]},
        "column `weight` must be a number, received: string",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_by_file_column_and_rows(tmp_path, case):
    changed, reason = REFUSED[case]

    assert refused(write(tmp_path, **changed)) == f"a.parquet: {reason}"


SECONDS = [1_700_000_000, 1_700_000_001, 1_700_000_002]
UTC = [dt.datetime.fromtimestamp(second, dt.UTC) for second in SECONDS]
TAKEN = {
    "seconds": {"timestamp": SECONDS},
    "seconds as decimals": {"timestamp": [float(second) for second in SECONDS]},
    "seconds as exact decimals": {"timestamp": [Decimal(second) for second in SECONDS]},
    "unsigned seconds": {"timestamp": pa.array(SECONDS, pa.uint32())},
    **{
        f"timestamps in {unit}": {"timestamp": pa.array(UTC, pa.timestamp(unit, "UTC"))}
        for unit in ("s", "ms", "us", "ns")
    },
    "timestamps without a zone": {
        "timestamp": pa.array([moment.replace(tzinfo=None) for moment in UTC], pa.timestamp("us"))
    },
    "timestamps in Seoul": {"timestamp": pa.array(UTC, pa.timestamp("ms", "Asia/Seoul"))},
    "small whole numbers": {"user_id": pa.array([1, 2, 2], pa.int8())},
    "unsigned whole numbers": {"user_id": pa.array([1, 2, 2], pa.uint64())},
    "exact decimals": {"user_id": pa.array([Decimal(1), Decimal(2), Decimal(2)])},
    "a dictionary": {"user_id": pa.array([1, 2, 2]).dictionary_encode()},
    "weights of one": {"weight": [1, 1, 1]},
    "weights as exact decimals": {"weight": [Decimal("1.0")] * 3},
}


@pytest.mark.parametrize("case", TAKEN)
def test_it_is_taken_and_means_the_same(tmp_path, case):
    plain = read(write(tmp_path / "plain", timestamp=SECONDS))

    events = read(write(tmp_path / "case", **{"timestamp": SECONDS, **TAKEN[case]}))

    assert events.fingerprint == plain.fingerprint


TEXTS = {
    "text": pa.array(["a", "b", "b"]),
    "large text": pa.array(["a", "b", "b"], pa.large_string()),
    "text views": pa.array(["a", "b", "b"], pa.string_view()),
    "bytes": pa.array([b"a", b"b", b"b"], pa.binary()),
    "a dictionary of text": pa.array(["a", "b", "b"]).dictionary_encode(),
}


@pytest.mark.parametrize("case", TEXTS)
def test_text_is_text_however_it_is_written(tmp_path, case):
    plain = read(write(tmp_path / "plain", user_id=["a", "b", "b"]))

    events = read(write(tmp_path / "case", user_id=TEXTS[case]))

    assert events.fingerprint == plain.fingerprint


def test_dates_are_their_first_moment_in_utc(tmp_path):
    days = pa.array([dt.date(1970, 1, 2)] * 3, pa.date32())

    assert set(read(write(tmp_path, timestamp=days)).time_ms.tolist()) == {DAY_S * 1000}


def test_finer_times_are_cut_to_milliseconds(tmp_path):
    assert set(read(write(tmp_path, timestamp=NANOSECONDS)).time_ms.tolist()) == {1_700_000_000_123}


def test_the_first_moment_after_1970_began_is_a_time(tmp_path):
    assert read(write(tmp_path, timestamp=[0.001, 1, 2])).time_ms.min() == 1


IDS = [
    "사용자",
    "مستخدم",
    "😀🏽‍🚀",
    "é",
    "e\u0301",
    "a b\tc\n",
    "0",
    "x" * 10_000,
    "\u202eevil",
    "A",
]


def test_ids_of_any_script_and_length_stay_as_they_are(tmp_path):
    """Composed and decomposed letters are two ids, as they are to whoever joins by them."""
    made = pa.table({"user_id": IDS, "item_id": IDS[::-1], "timestamp": [*range(1, 11)]})
    pq.write_table(made, tmp_path / "a.parquet")

    events = read(tmp_path)

    assert sorted(events.user_ids.to_pylist()) == sorted(IDS)
    pairs = zip(events.user.tolist(), events.item.tolist(), strict=True)
    names = events.user_ids.to_pylist(), events.item_ids.to_pylist()
    read_back = {names[0][user]: names[1][item] for user, item in pairs}
    assert read_back == dict(zip(IDS, IDS[::-1], strict=True))


def test_whole_numbers_beyond_2_53_stay_apart(tmp_path):
    numbers = [2**53, 2**53 + 1, 2**63 - 1]

    assert read(write(tmp_path, user_id=numbers)).user_ids.to_pylist() == numbers


def test_a_row_that_was_delivered_twice_counts_once(tmp_path, capsys):
    pq.write_table(table(), tmp_path / "a.parquet")
    once = read(tmp_path)
    pq.write_table(table().slice(100, 300), tmp_path / "b.parquet")

    twice = read(tmp_path)

    assert twice.fingerprint == once.fingerprint
    assert "trainer: 300 of 1000 rows repeat another in user, item, time and weight" in (
        capsys.readouterr().err
    )


def test_what_differs_in_weight_or_time_is_no_repetition(tmp_path):
    rows = {"user_id": [1, 1, 1], "item_id": [1, 1, 1], "timestamp": [5, 5, 6]}
    other = {"user_id": [2], "item_id": [2], "timestamp": [5], "weight": [1.0]}
    pq.write_table(pa.table(rows | {"weight": [1.0, 2.0, 1.0]}), tmp_path / "a.parquet")
    pq.write_table(pa.table(other), tmp_path / "b.parquet")

    assert read(tmp_path).n_events == 4


def test_files_without_weights_stand_beside_files_with_them(tmp_path):
    write(tmp_path, "a.parquet", weight=[2.0, 3.0, 4.0])
    write(tmp_path, "b.parquet", timestamp=[11, 12, 13])

    assert sorted(read(tmp_path).weight.tolist()) == [1.0, 1.0, 1.0, 2.0, 3.0, 4.0]


def test_empty_folder_is_refused(tmp_path):
    assert refused(tmp_path).endswith("must hold Parquet files, found none")


def test_a_folder_of_other_files_is_refused_with_their_names(tmp_path):
    (tmp_path / "events.csv").write_text("user_id,item_id,timestamp\n1,1,1\n")
    (tmp_path / "_SUCCESS").touch()

    caught = refusal(tmp_path)

    assert caught.reason.endswith("must hold Parquet files, found none")
    assert caught.hint == "it holds events.csv: Parquet files end in `.parquet`"


def test_other_files_beside_parquet_are_told_and_not_read(tmp_path, capsys):
    write(tmp_path)
    (tmp_path / "more.csv").write_text("1,1,1\n")
    (tmp_path / "_READY").touch()

    assert read(tmp_path).n_events == 3
    assert capsys.readouterr().err == "trainer: not read, since not called `.parquet`: more.csv\n"


def test_what_a_writer_has_not_committed_is_no_data(tmp_path):
    write(tmp_path)
    write(tmp_path, "_temporary/0/b.parquet", user_id=[7, 8, 9])
    write(tmp_path, ".c.parquet", user_id=[7, 8, 9])

    assert read(tmp_path).n_events == 3


def test_folders_by_date_are_read(tmp_path):
    write(tmp_path, "date=2026-11-23/part-0.parquet")
    write(tmp_path, "date=2026-11-24/part-0.parquet", timestamp=[11, 12, 13])

    assert read(tmp_path).n_events == 6


def test_a_partition_without_rows_is_no_fault(tmp_path):
    write(tmp_path)
    pq.write_table(columns().slice(0, 0), tmp_path / "b.parquet")

    assert read(tmp_path).n_events == 3


def test_a_file_of_no_bytes_is_refused(tmp_path):
    write(tmp_path)
    (tmp_path / "b.parquet").touch()

    assert refused(tmp_path) == "b.parquet: must be a readable Parquet file, received: 0 bytes"


def test_a_file_that_is_no_parquet_is_refused(tmp_path):
    write(tmp_path)
    (tmp_path / "b.parquet").write_text("user_id,item_id,timestamp\n1,1,1\n")

    assert refused(tmp_path).startswith("b.parquet: must be a readable Parquet file (")


def test_a_truncated_file_is_named(tmp_path):
    path = tmp_path / "cut.parquet"
    pq.write_table(table(), path)
    path.write_bytes(path.read_bytes()[:-40])

    assert refused(tmp_path).startswith("cut.parquet: must be a readable Parquet file (")


def test_a_file_with_a_hole_inside_is_named(tmp_path):
    path = tmp_path / "hole.parquet"
    pq.write_table(table(), path)
    whole = bytearray(path.read_bytes())
    whole[4:400] = bytes(396)
    path.write_bytes(bytes(whole))

    assert refused(tmp_path).startswith("hole.parquet: must be a readable Parquet file (")


def test_a_flipped_bit_is_found_where_pages_have_checksums(tmp_path):
    path = tmp_path / "flipped.parquet"
    made = table()
    pq.write_table(made, path, write_page_checksum=True, compression="none", use_dictionary=False)
    whole = bytearray(path.read_bytes())
    at = pq.ParquetFile(path).metadata.row_group(0).column(2).data_page_offset
    whole[at + 500] ^= 1
    path.write_bytes(bytes(whole))

    assert refused(tmp_path).startswith("flipped.parquet: must be a readable Parquet file (")


@pytest.mark.parametrize(
    ("called", "column"),
    [
        ("userId", "user_id"),
        ("USER-ID", "user_id"),
        ("customer_number", "user_id"),
        ("itemid", "item_id"),
        ("product_id", "item_id"),
        ("event_time", "timestamp"),
        ("time_stamp", "timestamp"),
    ],
)
def test_a_renamed_column_is_told_with_what_was_meant(tmp_path, called, column):
    made = columns()
    made = made.rename_columns([called if name == column else name for name in made.column_names])
    pq.write_table(made, tmp_path / "a.parquet")

    caught = refusal(tmp_path)

    assert caught.reason == f"a.parquet: column `{column}` is missing (3 rows)"
    assert caught.hint.startswith(
        f"did you mean `{called}`? it must be called `{column}`; the file has: "
    )


def test_a_column_that_nothing_resembles_is_told_with_what_there_is(tmp_path):
    made = columns().rename_columns(["user_id", "item_id", "zzz"])
    (tmp_path / "deep").mkdir()
    pq.write_table(made, tmp_path / "deep" / "a.parquet")

    caught = refusal(tmp_path)

    assert caught.reason == "deep/a.parquet: column `timestamp` is missing (3 rows)"
    assert caught.hint == "the file has: user_id, item_id, zzz"


def test_a_column_that_is_a_folders_name_is_missing(tmp_path):
    caught = refusal(write(tmp_path, "timestamp=2026-11-23/a.parquet", timestamp=None))

    assert caught.hint.startswith("`timestamp` is a folder's name here, and must be in the file;")


def test_a_column_twice_is_refused(tmp_path):
    made = columns().append_column("user_id", pa.array([1, 2, 3]))
    pq.write_table(made, tmp_path / "a.parquet")

    assert refused(tmp_path) == "a.parquet: column `user_id` must be there once, received: 2"


def test_files_of_two_id_types_are_refused(tmp_path):
    write(tmp_path, "a.parquet")
    write(tmp_path, "b.parquet", user_id=["1", "2", "3"])

    assert refused(tmp_path) == (
        "column `user_id` must have one type in all files, received: string in b.parquet (3 rows) "
        "and int64 in a.parquet (3 rows)"
    )


def test_the_second_bad_file_is_named_though_the_first_is_good(tmp_path):
    write(tmp_path, "a.parquet")
    write(tmp_path, "b.parquet", weight=[1, 2, -3])

    assert refused(tmp_path).startswith("b.parquet: column `weight` must be positive")


def test_a_tenth_of_nulls_is_counted_over_all_batches(tmp_path, monkeypatch):
    monkeypatch.setattr("trainer.parquet_files.BATCH_ROWS", 64)
    made = table()
    user = [None if row % 10 == 3 else value for row, value in enumerate(made["user_id"])]
    pq.write_table(
        made.set_column(0, "user_id", pa.array(user, pa.string())), tmp_path / "a.parquet"
    )

    assert refused(tmp_path) == (
        "a.parquet: column `user_id` must have no nulls, received: 70 of 700 rows"
    )


def test_no_rows_are_refused(tmp_path):
    pq.write_table(table().slice(0, 0), tmp_path / "a.parquet")

    assert refused(tmp_path) == "the dataset must have events, received: 0 rows"


def test_a_single_item_is_refused(tmp_path):
    assert refused(write(tmp_path, item_id=[5, 5, 5])) == (
        "the dataset must have at least 2 items, received: 1 in 3 rows"
    )


def test_a_single_user_and_users_of_one_event_are_taken(tmp_path):
    assert read(write(tmp_path / "one", user_id=[5, 5, 5])).n_users == 1
    assert read(write(tmp_path / "each", user_id=[5, 6, 7])).n_users == 3


def parts_of(made, folder, order, cut):
    """The events shuffled, in two files at two depths."""
    shuffled = made.take(np.random.Generator(np.random.PCG64(order)).permutation(made.num_rows))
    (folder / "deep").mkdir(parents=True)
    pq.write_table(shuffled.slice(0, cut), folder / "z.parquet", row_group_size=100)
    pq.write_table(shuffled.slice(cut), folder / "deep" / "b.parquet", row_group_size=70)


@pytest.mark.parametrize("batch_rows", [1, 50, 10_000])
@pytest.mark.parametrize("slice_events", [1, 64, 10_000])
def test_order_files_batches_and_slices_change_nothing(
    tmp_path, monkeypatch, batch_rows, slice_events
):
    made = table()
    pq.write_table(made, tmp_path / "a.parquet")
    first = read(tmp_path)
    parts_of(made, tmp_path / "many", order=1, cut=300)
    monkeypatch.setattr("trainer.parquet_files.BATCH_ROWS", batch_rows)
    monkeypatch.setattr(dataset, "SLICE_EVENTS", slice_events)
    monkeypatch.setattr(ids, "FOLD_AT", 20)

    second = read(tmp_path / "many")

    assert first.fingerprint == second.fingerprint
    for name in ("user", "item", "time_ms", "weight"):
        assert np.array_equal(getattr(first, name), getattr(second, name))


def test_events_lie_by_user_time_and_a_fixed_order_within_a_moment(tmp_path):
    generator = np.random.Generator(np.random.PCG64(3))
    made = pa.table({"user_id": generator.integers(0, 9, 900),
                     "item_id": generator.integers(0, 50, 900),
                     "timestamp": generator.integers(1, 13, 900)})  # fmt: skip
    pq.write_table(made, tmp_path / "a.parquet")

    events = read(tmp_path)

    order = np.lexsort(
        (events.weight, dataset.scatter(events.user, events.item), events.time_ms, events.user)
    )
    assert np.array_equal(order, np.arange(events.n_events))
    rows = set(zip(*(made.column(name).to_pylist() for name in made.column_names), strict=True))
    read_rows = zip(
        events.user_ids.take(pa.array(events.user)).to_pylist(),
        events.item_ids.take(pa.array(events.item)).to_pylist(),
        (events.time_ms // 1000).tolist(),
        strict=True,
    )
    assert sorted(read_rows) == sorted(rows)


def test_one_event_more_is_another_fingerprint(tmp_path):
    for name, made in (("a", table()), ("b", table().slice(1))):
        (tmp_path / name).mkdir()
        pq.write_table(made, tmp_path / name / "x.parquet")

    first, second = (read(tmp_path / name).fingerprint for name in "ab")

    assert first != second


def test_ids_that_read_alike_have_other_fingerprints(tmp_path):
    numbers = read(write(tmp_path / "a", user_id=[1, 2, 2])).fingerprint
    texts = read(write(tmp_path / "b", user_id=["1", "2", "2"])).fingerprint
    moved = read(write(tmp_path / "c", user_id=["1", "22", "22"])).fingerprint

    assert len({numbers, texts, moved}) == 3


def test_a_day_ahead_is_no_future_yet(tmp_path):
    """Clocks differ, and a day's file may be written on another side of the date line."""
    write(tmp_path, timestamp=[1, 2, NOW_S + DAY_S])

    assert read(tmp_path).n_events == 3
    with pytest.raises(DataError, match="must not be in the future"):
        read_interactions(tmp_path, NOW_MS - 1)
