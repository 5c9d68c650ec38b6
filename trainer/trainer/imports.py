"""Turns public datasets and CSV files into the Parquet files that a pipeline reads.

The same source gives the same bytes, so that importing again what has not changed leaves the
ETags of the uploaded objects as they were and the run is skipped.
"""

import difflib
import io
import time
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from trainer import columns
from trainer.atomic import write_with
from trainer.columns import Faults
from trainer.failure import ConfigurationError, DataError

MOVIELENS_NAME = "ml-100k.inter"
OUTPUT_NAME = "interactions.parquet"
COLUMNS = ("user_id", "item_id", "timestamp")
NUMBER = r"^[+-]?\d+(\.\d*)?([eE][+-]?\d+)?$"
ISO = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}(:?\d{2}(:?\d{2}(\.\d+)?)?)?(Z|[+-]\d{2}(:?\d{2})?)?)?$"
ZONE = r"[T ].*(Z|[+-]\d{2}(:?\d{2})?)$"


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
    moment = table.column("InvoiceDate").cast(pa.timestamp("ms"), safe=False)
    lines = pa.table(
        {
            "user_id": customer,
            "invoice": table.column("InvoiceNo"),
            "item_id": table.column("StockCode").cast(pa.string()),
            "timestamp": moment,
        }
    )
    # An invoice's lines can differ by a minute: the event is when the first of them was written.
    once = lines.group_by(["user_id", "invoice", "item_id"]).aggregate([("timestamp", "min")])
    return ordered(
        once.column("user_id"),
        once.column("item_id"),
        once.column("timestamp_min").cast(pa.timestamp("ms", "UTC")),
    )


def csv_file(
    source: Path, user: str, item: str, timestamp: str, now_ms: int | None = None
) -> pa.Table:
    """Any CSV file with a header; times are seconds since 1970 or ISO 8601, UTC where they name no
    zone. What `dataset.py` would refuse is refused here, by column and rows."""
    now_ms = int(time.time() * 1000) if now_ms is None else now_ms
    wanted = {"user_id": user, "item_id": item, "timestamp": timestamp}
    # Read as text: a guess at types would make 7 of `007`, and a decimal of what is beyond 2^63.
    options = pa_csv.ConvertOptions(
        column_types=dict.fromkeys(wanted.values(), pa.string()),
        include_columns=list(dict.fromkeys(wanted.values())),
    )
    try:
        header = pa_csv.open_csv(source).schema.names
        for option, column in zip(
            ("--user", "--item", "--timestamp"), wanted.values(), strict=True
        ):
            refuse_missing(source, option, column, header)
        table = pa_csv.read_csv(source, convert_options=options)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{source.name}: must be a CSV file with a header ({error})") from error
    if table.num_rows == 0:
        raise DataError(f"{source.name}: must have events, received: 0 rows")
    faults = Faults(source.name)
    faults.rows = table.num_rows
    made = [numbers_or_text(table.column(name), name, faults) for name in (user, item)]
    moment = csv_times(table.column(timestamp), timestamp, faults)
    if moment is not None:
        columns.times(moment.combine_chunks(), faults, now_ms, timestamp)
    faults.refuse()
    return ordered(*made, moment)


def refuse_missing(source: Path, option: str, column: str, header: list[str]) -> None:
    """Refuses an option that names no column, or one that is there twice."""
    if header.count(column) > 1:
        raise DataError(f"{source.name}: column `{column}` must be there once, received: "
                        f"{header.count(column)}")  # fmt: skip
    if column not in header:
        near = difflib.get_close_matches(column, header, n=1)
        raise ConfigurationError(
            f"`{option}` must name a column of {source.name}, received: {column}",
            (f"did you mean `{near[0]}`? " if near else "") + f"the file has: {', '.join(header)}",
        )


def numbers_or_text(texts: pa.ChunkedArray, name: str, faults: Faults) -> pa.ChunkedArray:
    """Ids as whole numbers where each is one as it would be printed, as text otherwise."""
    empty = pc.sum(pc.equal(pc.binary_length(texts), 0)).as_py() or 0
    faults.count(name, "have no empty ids", empty)
    try:
        numbers = texts.cast(pa.int64())
    except pa.ArrowInvalid:
        return texts
    return numbers if pc.all(pc.equal(numbers.cast(pa.string()), texts)).as_py() else texts


def csv_times(texts: pa.ChunkedArray, name: str, faults: Faults) -> pa.ChunkedArray | None:
    """Texts as timestamps in UTC; nothing, and a fault, where some say no time."""
    is_number = pc.match_substring_regex(texts, NUMBER)
    has_zone = pc.match_substring_regex(texts, ZONE)
    is_iso = pc.match_substring_regex(texts, ISO)
    kinds = {"seconds": is_number, "zone": pc.and_(is_iso, has_zone),
             "no zone": pc.and_not(is_iso, has_zone)}  # fmt: skip
    for kind, holds in kinds.items():
        if pc.all(holds).as_py():
            return one_kind_of_time(texts, kind, name, faults)
    bad = pc.invert(pc.or_(is_number, is_iso))
    if not pc.any(bad).as_py():  # times, but of two kinds: the rarer ones are told
        rarer = min((kind for kind in kinds.values() if pc.any(kind).as_py()), key=n_true)
        must = "be all seconds since 1970, all ISO 8601 with a zone or all without"
        faults.count(name, must, n_true(rarer), first_of(texts, rarer))
        return None
    must = "be seconds since 1970, or a time in ISO 8601"
    faults.count(name, must, n_true(bad), first_of(texts, bad) or "nothing")
    return None


def one_kind_of_time(
    texts: pa.ChunkedArray, kind: str, name: str, faults: Faults
) -> pa.ChunkedArray | None:
    """Texts that look alike, as timestamps in UTC."""
    if kind == "seconds":
        seconds = texts.cast(pa.float64())
        late = pc.greater_equal(pc.abs(seconds), columns.YEAR_9999_S)
        if pc.any(late).as_py():
            hint = "milliseconds and finer: divide them by 1000"
            must = "be seconds since 1970, or a time in ISO 8601"
            faults.count(name, must, n_true(late), first_of(texts, late), hint)
            return None
        return moments(seconds)
    try:
        # Microseconds take what databases print; a Parquet file of ours has milliseconds.
        exact = texts.cast(pa.timestamp("us", "UTC" if kind == "zone" else None))
    except pa.ArrowInvalid as error:
        raise DataError(
            f"{faults.name}: column `{name}` must be a time in ISO 8601 ({error}), "
            f"in {faults.rows} rows"
        ) from error
    return exact.cast(pa.timestamp("ms", exact.type.tz), safe=False).cast(pa.timestamp("ms", "UTC"))


def n_true(mask: pa.ChunkedArray) -> int:
    """How many hold."""
    return pc.sum(mask).as_py() or 0


def first_of(texts: pa.ChunkedArray, mask: pa.ChunkedArray) -> str:
    """The first text where the mask holds."""
    return texts.filter(mask)[0].as_py()


def moments(seconds: pa.ChunkedArray) -> pa.ChunkedArray:
    """Seconds since 1970 as a Parquet timestamp."""
    milliseconds = pc.round(pc.multiply(seconds.cast(pa.float64()), 1000.0))
    return milliseconds.cast(pa.int64()).cast(pa.timestamp("ms", "UTC"))


def ordered(user: pa.ChunkedArray, item: pa.ChunkedArray, moment: pa.ChunkedArray) -> pa.Table:
    """The events by time, then user, then item."""
    table = pa.table(dict(zip(COLUMNS, (user, item, moment), strict=True)))
    keys = [(name, "ascending") for name in ("timestamp", "user_id", "item_id")]
    return table.take(pc.sort_indices(table, sort_keys=keys)).combine_chunks()


def write_import(table: pa.Table, folder: Path) -> Path:
    """Writes the one file of an import by rename."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / OUTPUT_NAME
    write_with(path, lambda partial: pq.write_table(table, partial, compression="zstd"))
    return path
