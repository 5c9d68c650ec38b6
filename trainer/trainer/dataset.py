"""Parquet files become interactions: dense ids, sorted by user and time, with a fingerprint.

Bad data is refused here, by file and column, so that nothing behind it meets a null or an
unknown type. Events of one user at one moment have no order of their own: they are laid in a
fixed pseudo-random order, because the order of their ids would be a pattern that a model learns.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trainer.failure import DataError

REQUIRED = ("user_id", "item_id", "timestamp")
MILLISECONDS = 1000


@dataclass(frozen=True)
class Interactions:
    """All events, sorted by (user, time). `user` and `item` index `user_ids` and `item_ids`."""

    user_ids: pa.Array
    item_ids: pa.Array
    user: np.ndarray  # int32
    item: np.ndarray  # int32
    time_ms: np.ndarray  # int64
    weight: np.ndarray  # float32, above 0

    @property
    def n_users(self) -> int:
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        return len(self.item_ids)

    @property
    def n_events(self) -> int:
        return len(self.user)

    @cached_property
    def offsets(self) -> np.ndarray:
        """Events of user `u` are `offsets[u]..offsets[u + 1]`."""
        return np.searchsorted(self.user, np.arange(self.n_users + 1)).astype(np.int64)

    @cached_property
    def fingerprint(self) -> str:
        """The same for the same events, whatever files hold them."""
        digest = hashlib.sha256(b"interactions 1\n")
        for ids in (self.user_ids, self.item_ids):
            digest.update(json.dumps([str(ids.type), ids.to_pylist()]).encode())
        for column in (self.user, self.item, self.time_ms, self.weight):
            digest.update(np.ascontiguousarray(column).tobytes())
        return digest.hexdigest()

    def only(self, mask: np.ndarray) -> "Interactions":
        """The events where `mask` holds, under the same ids."""
        return Interactions(
            self.user_ids,
            self.item_ids,
            self.user[mask],
            self.item[mask],
            self.time_ms[mask],
            self.weight[mask],
        )


def read_interactions(data_dir: Path) -> Interactions:
    """Reads every Parquet file below `data_dir`."""
    files = sorted(
        path
        for path in data_dir.rglob("*.parquet")
        if path.is_file() and not path.name.startswith(".")
    )
    if not files:
        raise DataError(
            f"`{data_dir.name}/` must hold Parquet files, found none",
            "check `data.prefix` of the pipeline and what was uploaded there",
        )
    parts = [read_file(path, path.relative_to(data_dir).as_posix()) for path in files]
    first = parts[0].schema
    for path, part in zip(files, parts, strict=True):
        for name in ("user_id", "item_id"):
            if part.schema.field(name).type != first.field(name).type:
                raise DataError(
                    f"column `{name}` must have one type in all files, received: "
                    f"{part.schema.field(name).type} in {path.relative_to(data_dir)} and "
                    f"{first.field(name).type} in {files[0].relative_to(data_dir)}"
                )
    return interactions(pa.concat_tables(parts))


def read_file(path: Path, name: str) -> pa.Table:
    """One file with its columns checked and brought to four known types."""
    try:
        schema = pq.read_schema(path)
        wanted = [column for column in (*REQUIRED, "weight") if column in schema.names]
        for column in REQUIRED:
            if column not in wanted:
                raise DataError(
                    f"{name}: column `{column}` is missing",
                    f"the file has: {', '.join(schema.names) or 'no columns'}",
                )
        # `ParquetFile` reads this one file; `read_table` would look for a partitioned dataset.
        with pq.ParquetFile(path) as file:
            table = file.read(columns=wanted)
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{name}: must be a readable Parquet file ({first_line(error)})",
            "the file is truncated or not Parquet: upload it again",
        ) from error
    for column in wanted:
        nulls = table.column(column).null_count
        if nulls:
            raise DataError(f"{name}: column `{column}` must have no nulls, received: {nulls}")
    weight = (
        decimals(table.column("weight"), name, "weight")
        if "weight" in wanted
        else np.ones(table.num_rows)
    )
    if not (np.isfinite(weight).all() and (weight > 0).all()):
        bad = weight[~(np.isfinite(weight) & (weight > 0))][0]
        raise DataError(f"{name}: column `weight` must be positive, received: {bad}")
    return pa.table(
        {
            "user_id": ids(table.column("user_id"), name, "user_id"),
            "item_id": ids(table.column("item_id"), name, "item_id"),
            "time_ms": pa.array(times(table.column("timestamp"), name)),
            "weight": pa.array(weight.astype(np.float32)),
        }
    )


def ids(column: pa.ChunkedArray, name: str, label: str) -> pa.ChunkedArray:
    """Ids are whole numbers or strings, and keep being what they are."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    if pa.types.is_integer(kind):
        return column.cast(pa.int64())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return column.cast(pa.string())
    raise DataError(
        f"{name}: column `{label}` must hold whole numbers or strings, received: {kind}"
    )


def times(column: pa.ChunkedArray, name: str) -> np.ndarray:
    """Timestamps of any unit, dates, or numbers of seconds since 1970, as milliseconds."""
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        moments = column.cast(pa.timestamp("ms", getattr(kind, "tz", None)), safe=False)
        return moments.cast(pa.int64()).to_numpy()
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise DataError(
            f"{name}: column `timestamp` must be a timestamp or seconds since 1970, "
            f"received: {kind}"
        )
    seconds = decimals(column, name, "timestamp")
    # Year 9999: a larger number is milliseconds or nanoseconds by mistake.
    if not (np.isfinite(seconds).all() and (np.abs(seconds) < 253_402_300_800).all()):
        bad = seconds[~(np.abs(seconds) < 253_402_300_800)][0]
        raise DataError(
            f"{name}: column `timestamp` must be seconds since 1970, received: {bad:.0f}",
            "milliseconds belong in a column of Parquet's timestamp type",
        )
    return np.round(seconds * MILLISECONDS).astype(np.int64)


def decimals(column: pa.ChunkedArray, name: str, label: str) -> np.ndarray:
    """A numeric column as float64."""
    try:
        return column.cast(pa.float64(), safe=False).to_numpy()
    except pa.ArrowException as error:
        raise DataError(
            f"{name}: column `{label}` must be a number, received: {column.type}"
        ) from error


def interactions(table: pa.Table) -> Interactions:
    """Gives ids their dense numbers and puts the events in order."""
    if table.num_rows == 0:
        raise DataError("the dataset must have events, received: 0 rows")
    user_ids, user = dense(table.column("user_id"))
    item_ids, item = dense(table.column("item_id"))
    time_ms = table.column("time_ms").to_numpy()
    weight = table.column("weight").to_numpy()
    order = np.lexsort((weight, scatter(user, item), time_ms, user))
    return Interactions(user_ids, item_ids, user[order], item[order], time_ms[order], weight[order])


def dense(column: pa.ChunkedArray) -> tuple[pa.Array, np.ndarray]:
    """The sorted distinct ids, and each row's place among them."""
    distinct = pc.unique(column)
    distinct = distinct.take(pc.sort_indices(distinct))
    places = pc.index_in(column, value_set=distinct)
    return distinct, places.to_numpy().astype(np.int32)


def scatter(user: np.ndarray, item: np.ndarray) -> np.ndarray:
    """A fixed pseudo-random number for each (user, item): the order of simultaneous events."""
    x = (user.astype(np.uint64) << np.uint64(32)) | item.astype(np.uint64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def first_line(error: BaseException) -> str:
    """The first line of an error, without the trace that some libraries put behind it."""
    return str(error).split("\n", 1)[0]
