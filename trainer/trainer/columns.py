"""Columns become the four kinds that the trainer knows, and what cannot is counted.

Ids are opaque: they are neither normalised nor trimmed, since what is recommended is joined to
other tables by them. What is wrong is told once for a file, with how many of its rows it is.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trainer.failure import DataError

MILLISECONDS = 1000
YEAR_9999_S = 253_402_300_800
DAY_MS = 86_400_000
UNIX_HINT = "milliseconds and finer belong in a column of Parquet's timestamp type"
EARLY_HINT = (
    "a time that is not known becomes 1970, or the year 1, when it is filled in: correct such rows "
    "or leave them out"
)
FLOAT_HINT = "pandas makes decimals of whole numbers with nulls: write them as Int64, or as strings"


class Faults:
    """What is wrong with the rows of one file, counted while it is read."""

    def __init__(self, name: str) -> None:
        self.name, self.rows = name, 0
        self.found: dict[tuple[str, str], tuple[int, str, str]] = {}

    def count(self, column: str, must: str, bad: int, example: str = "", hint: str = "") -> None:
        """Adds `bad` rows of which one is `example`; none are no fault."""
        if bad:
            before, first, its_hint = self.found.get((column, must), (0, example, hint))
            self.found[column, must] = (before + int(bad), first, its_hint)

    def refuse(self) -> None:
        """Raises for the first thing that was found, in a sentence; nothing where all is well."""
        for (column, must), (bad, example, hint) in self.found.items():
            received = f"{example} in " if example else ""
            raise DataError(
                f"{self.name}: column `{column}` must {must}, received: "
                f"{received}{bad} of {self.rows} rows",
                hint,
            )


def id_type(kind: pa.DataType, name: str, column: str) -> pa.DataType:
    """What a column of ids is read as: whole numbers (int64) or strings."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    is_text = (
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        # Some writers leave the note out that their bytes are text.
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
    )
    if is_text:
        return pa.string()
    if pa.types.is_integer(kind) or (pa.types.is_decimal(kind) and kind.scale == 0):
        return pa.int64()
    raise DataError(
        f"{name}: column `{column}` must hold whole numbers or strings, received: {kind}",
        FLOAT_HINT if pa.types.is_floating(kind) else "",
    )


def refuse_type(kind: pa.DataType, name: str, column: str) -> None:
    """Refuses a `timestamp` or a `weight` of a type that says neither a time nor a number."""
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    if column == "timestamp":
        if not (is_number or pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
            raise DataError(
                f"{name}: column `timestamp` must be a timestamp or seconds since 1970, "
                f"received: {kind}",
                "write it as Parquet's timestamp type"
                if pa.types.is_string(kind) or pa.types.is_large_string(kind)
                else "",
            )
    elif not is_number:
        raise DataError(f"{name}: column `{column}` must be a number, received: {kind}")


def ids(values: pa.Array, kind: pa.DataType, column: str, faults: Faults) -> pa.Array:
    """Ids without nulls as `kind`. Rows that cannot be are counted, and hold something else."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if kind == pa.int64():
        return whole_numbers(values, column, faults)
    try:
        text = values.cast(pa.string())  # bytes that are no UTF-8 are refused by the cast
        if text.type == values.type:
            text.validate(full=True)
    except pa.ArrowInvalid:
        bad = [not is_text(value) for value in values.cast(pa.binary()).to_pylist()]
        where = bad.index(True)
        shown = repr(values.cast(pa.binary())[where].as_py()[:20])
        faults.count(column, "be text in UTF-8", sum(bad), shown)
        return pa.array([""] * len(values), pa.string())
    empty = pc.equal(pc.binary_length(text), 0)
    faults.count(column, "have no empty ids", pc.sum(empty).as_py() or 0)
    return text


def is_text(value: bytes) -> bool:
    """Whether bytes are UTF-8."""
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def whole_numbers(values: pa.Array, column: str, faults: Faults) -> pa.Array:
    """Whole numbers as int64, exact beyond 2^53 too."""
    try:
        return values.cast(pa.int64())
    except pa.ArrowInvalid:
        limit = pa.scalar(2**63 - 1, values.type) if pa.types.is_integer(values.type) else None
        numbers = values.to_pylist()
        bad = (
            pc.greater(values, limit).to_numpy(zero_copy_only=False)
            if limit is not None
            else np.array([not -(2**63) <= number < 2**63 for number in numbers])
        )
        example = str(numbers[int(np.flatnonzero(bad)[0])])
        faults.count(column, "be below 2^63", bad.sum(), example, "write such ids as strings")
        return pa.array(np.zeros(len(values), np.int64))


def times(values: pa.Array, faults: Faults, now_ms: int, column: str = "timestamp") -> np.ndarray:
    """Timestamps of any unit and zone, dates, or numbers of seconds since 1970, as milliseconds
    since 1970 (int64), above 0. A timestamp without a zone is UTC."""
    kind = values.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        moments = values.cast(pa.timestamp("ms", getattr(kind, "tz", None)), safe=False)
        time_ms = moments.cast(pa.int64()).to_numpy(zero_copy_only=False)
    else:
        seconds = decimals(values)
        # A larger number is milliseconds or nanoseconds by mistake.
        bad = ~(np.abs(seconds) < YEAR_9999_S)
        first = f"{seconds[bad][0]:.0f}" if bad.any() else ""
        must = "be a timestamp, or must be seconds since 1970"
        faults.count(column, must, bad.sum(), first, UNIX_HINT)
        # Some moment that is no fault of its own stands in for what is none.
        time_ms = np.round(np.where(bad, 1.0, seconds) * MILLISECONDS).astype(np.int64)
    early = time_ms <= 0
    if early.any():
        earliest = np.datetime64(int(time_ms[early].min()), "ms")
        faults.count(column, "be after 1970 began", early.sum(), str(earliest), EARLY_HINT)
    late = time_ms > now_ms + DAY_MS
    if late.any():
        latest = np.datetime64(int(time_ms[late].max()), "ms")
        hint = "such a row would be the newest of all: correct it, or leave it out where it is made"
        faults.count(column, "not be in the future", late.sum(), str(latest), hint)
    return time_ms


def weights(values: pa.Array, faults: Faults) -> np.ndarray:
    """Weights above 0 as float32."""
    given = decimals(values)
    with np.errstate(over="ignore"):
        weight = given.astype(np.float32)
    bad = ~(np.isfinite(weight) & (weight > 0))
    example = str(given[bad][0]) if bad.any() else ""
    faults.count("weight", "be positive", bad.sum(), example)
    return weight


def decimals(values: pa.Array) -> np.ndarray:
    """Numbers as float64."""
    return values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
