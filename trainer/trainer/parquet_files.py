"""The Parquet files of a dataset: which they are, what is in them, and their rows in batches.

Files and folders whose name begins with `_` or `.` are not data, as in Spark and Hive; a folder
such as `date=2026-11-23` is a name like any other.
"""

import difflib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from trainer import columns
from trainer.failure import DataError

REQUIRED = ("user_id", "item_id", "timestamp")
OPTIONAL = ("weight",)
BATCH_ROWS = 131_072
SHOWN = 5
# What others call these columns, where the words are not alike.
OTHER_WORDS = {
    "user_id": ("customer", "client", "visitor", "member", "account", "uid", "session_id"),
    "item_id": ("product", "sku", "article", "movie", "track", "stockcode", "content", "iid"),
    "timestamp": ("time", "ts", "date", "datetime", "event_time", "created_at", "invoicedate"),
    "weight": ("rating", "score", "value", "count", "quantity"),
}


@dataclass(frozen=True)
class DataFile:
    """A file whose schema was checked."""

    path: Path
    name: str  # below the data folder
    n_rows: int
    columns: tuple[str, ...]
    id_types: tuple[pa.DataType, pa.DataType]  # of users and items, as they are read

    def batches(self) -> Iterator[dict[str, pa.Array]]:
        """Its rows, some at a time; a row group is never held whole."""
        try:
            # `ParquetFile` reads this one file; `read_table` would look for a partitioned dataset.
            with pq.ParquetFile(self.path, page_checksum_verification=True) as file:
                for batch in file.iter_batches(BATCH_ROWS, columns=list(self.columns)):
                    yield {name: batch.column(name) for name in self.columns}
        except (pa.ArrowException, OSError) as error:
            raise unreadable(self.name, error) from error


def data_files(data_dir: Path) -> list[DataFile]:
    """The files of a dataset by name, all of one kind of ids."""
    paths, others = [], []
    for path in sorted(data_dir.rglob("*")):
        within = path.relative_to(data_dir)
        if path.is_file() and not any(part.startswith(("_", ".")) for part in within.parts):
            (paths if path.suffix.lower() == ".parquet" else others).append(path)
    names = ", ".join(path.relative_to(data_dir).as_posix() for path in others[:SHOWN])
    more = f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
    if not paths:
        raise DataError(
            f"`{data_dir.name}/` must hold Parquet files, found none",
            f"it holds {names}{more}: Parquet files end in `.parquet`" if others
            else "check `data.prefix` of the pipeline and what was uploaded there",
        )  # fmt: skip
    if others:
        sys.stderr.write(f"trainer: not read, since not called `.parquet`: {names}{more}\n")
    files = [opened(path, path.relative_to(data_dir).as_posix()) for path in paths]
    for place, column in enumerate(("user_id", "item_id")):
        for file in files:
            if file.id_types[place] != files[0].id_types[place]:
                raise DataError(
                    f"column `{column}` must have one type in all files, received: "
                    f"{file.id_types[place]} in {file.name} ({file.n_rows} rows) and "
                    f"{files[0].id_types[place]} in {files[0].name} ({files[0].n_rows} rows)",
                    'the number 7 and the string "7" would be two ids',
                )
    return files


def opened(path: Path, name: str) -> DataFile:
    """A file as its footer tells it: readable, with the columns that must be there."""
    try:
        if path.stat().st_size == 0:
            raise DataError(
                f"{name}: must be a readable Parquet file, received: 0 bytes",
                "an upload that broke off: upload it again, or remove it",
            )
        with pq.ParquetFile(path) as file:
            schema, n_rows = file.schema_arrow, file.metadata.num_rows
    except (pa.ArrowException, OSError) as error:
        raise unreadable(name, error) from error
    for column in REQUIRED:
        if column not in schema.names:
            raise DataError(
                f"{name}: column `{column}` is missing ({n_rows} rows)",
                f"{suggestion(column, schema.names, name)}the file has: "
                f"{', '.join(schema.names) or 'no columns'}",
            )
    wanted = tuple(column for column in (*REQUIRED, *OPTIONAL) if column in schema.names)
    for column in wanted:
        times = schema.names.count(column)
        if times > 1:
            raise DataError(f"{name}: column `{column}` must be there once, received: {times}")
    for column in wanted[2:]:
        columns.refuse_type(schema.field(column).type, name, column)
    kinds = [columns.id_type(schema.field(c).type, name, c) for c in ("user_id", "item_id")]
    return DataFile(path, name, n_rows, wanted, (kinds[0], kinds[1]))


def suggestion(column: str, names: list[str], file: str = "") -> str:
    """The name that was probably meant, if there is one."""
    if f"{column}=" in file:
        return f"`{column}` is a folder's name here, and must be in the file; "
    plain = {name.lower().replace("-", "_"): name for name in reversed(names)}
    for word in (column, column.removesuffix("_id"), *OTHER_WORDS[column]):
        near = difflib.get_close_matches(word, plain, n=1, cutoff=0.7)
        near = near or [name for name in plain if name.startswith(word)]
        if near:
            return f"did you mean `{plain[near[0]]}`? it must be called `{column}`; "
    return ""


def unreadable(name: str, error: BaseException) -> DataError:
    """A file that Parquet's reader gives up on, in the first line of its words."""
    first_line = str(error).split("\n", 1)[0]
    return DataError(
        f"{name}: must be a readable Parquet file ({first_line})",
        "the file is truncated or not Parquet: upload it again",
    )
