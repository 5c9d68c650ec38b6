"""Turns public datasets and CSV files into the Parquet files that a pipeline reads.

The same source gives the same bytes, so that importing again what has not changed leaves the
ETags of the uploaded objects as they were and the run is skipped.
"""

import io
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from trainer.atomic import write_with
from trainer.failure import ConfigurationError, DataError

MOVIELENS_NAME = "ml-100k.inter"
OUTPUT_NAME = "interactions.parquet"
COLUMNS = ("user_id", "item_id", "timestamp")


def movielens_100k(source: Path) -> pa.Table:
    """From the recbole wheel, the folder it was extracted to, or the `.inter` file itself."""
    parse = pa_csv.ParseOptions(delimiter="\t")
    table = pa_csv.read_csv(io.BytesIO(movielens_bytes(source)), parse_options=parse)
    table = table.rename_columns([name.split(":")[0] for name in table.column_names])
    # Ratings are left out: whether somebody watched a film is the event, not how they liked it.
    seconds = table.column("timestamp").cast(pa.int64())
    return ordered(table.column("user_id"), table.column("item_id"), moments(seconds))


def movielens_bytes(source: Path) -> bytes:
    """The content of the `.inter` file."""
    if source.is_dir():
        found = sorted(source.rglob(MOVIELENS_NAME))
        if found:
            return found[0].read_bytes()
    elif source.name == MOVIELENS_NAME:
        return source.read_bytes()
    elif source.is_file() and zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as wheel:
            for name in wheel.namelist():
                if name.endswith("/" + MOVIELENS_NAME):
                    return wheel.read(name)
    raise DataError(f"`{source}` must hold {MOVIELENS_NAME}", "`pip download --no-deps recbole`")


def online_retail(source: Path) -> pa.Table:
    """Order lines of the UCI shop: no returns, no cancelled orders, no line without a customer;
    one event for each (customer, invoice, stock code)."""
    needed = ["InvoiceNo", "StockCode", "Quantity", "InvoiceDate", "CustomerID"]
    table = pq.read_table(source, columns=needed)
    invoice = table.column("InvoiceNo").cast(pa.string())
    sold = pc.and_(pc.greater(table.column("Quantity"), 0), pc.invert(pc.starts_with(invoice, "C")))
    table = table.set_column(0, "InvoiceNo", invoice)
    table = table.filter(pc.and_(sold, pc.is_valid(table.column("CustomerID"))))
    customer = table.column("CustomerID").cast(pa.int64())
    time = table.column("InvoiceDate").cast(pa.timestamp("ms"), safe=False)
    lines = pa.table(
        {
            "user_id": customer,
            "invoice": table.column("InvoiceNo"),
            "item_id": table.column("StockCode").cast(pa.string()),
            "timestamp": time,
        }
    )
    # An invoice's lines can differ by a minute: the event is when the first of them was written.
    once = lines.group_by(["user_id", "invoice", "item_id"]).aggregate([("timestamp", "min")])
    return ordered(
        once.column("user_id"),
        once.column("item_id"),
        once.column("timestamp_min").cast(pa.timestamp("ms", "UTC")),
    )


def csv_file(source: Path, user: str, item: str, timestamp: str) -> pa.Table:
    """Any CSV file with a header; timestamps as seconds since 1970 or as ISO 8601."""
    try:
        table = pa_csv.read_csv(source)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{source.name}: must be a CSV file with a header ({error})") from error
    for option, column in (("--user", user), ("--item", item), ("--timestamp", timestamp)):
        if column not in table.column_names:
            raise ConfigurationError(
                f"`{option}` must name a column of {source.name}, received: {column}",
                f"the file has: {', '.join(table.column_names)}",
            )
    time = table.column(timestamp)
    if not pa.types.is_timestamp(time.type) and not pa.types.is_date(time.type):
        try:
            time = moments(time.cast(pa.float64()))
        except pa.ArrowException as error:
            raise DataError(
                f"{source.name}: column `{timestamp}` must be a time, received: {time.type}"
            ) from error
    elif getattr(time.type, "tz", None) is None:
        time = time.cast(pa.timestamp("ms"), safe=False).cast(pa.timestamp("ms", "UTC"))
    return ordered(table.column(user), table.column(item), time)


def moments(seconds: pa.ChunkedArray) -> pa.ChunkedArray:
    """Seconds since 1970 as a Parquet timestamp."""
    milliseconds = pc.round(pc.multiply(seconds.cast(pa.float64()), 1000.0))
    return milliseconds.cast(pa.int64()).cast(pa.timestamp("ms", "UTC"))


def ordered(user: pa.ChunkedArray, item: pa.ChunkedArray, time: pa.ChunkedArray) -> pa.Table:
    """The events by time, then user, then item."""
    table = pa.table(dict(zip(COLUMNS, (user, item, time), strict=True)))
    keys = [(name, "ascending") for name in ("timestamp", "user_id", "item_id")]
    return table.take(pc.sort_indices(table, sort_keys=keys)).combine_chunks()


def write_import(table: pa.Table, folder: Path) -> Path:
    """Writes the one file of an import by rename."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / OUTPUT_NAME
    write_with(path, lambda partial: pq.write_table(table, partial, compression="zstd"))
    return path
