"""Parquet files become interactions: dense ids, sorted by user and time, with a fingerprint.

Bad data is refused here, by file, column and number of rows, so that nothing behind it meets a null
or an unknown type. Events of one user at one moment have no order of their own: they are laid in a
fixed pseudo-random order, because the order of their ids would be a pattern that a model learns.

Files are read in batches into arrays that were made for all rows: 20 bytes an event, about 40 while
they are sorted, besides what Parquet's reader takes for one batch.
"""

import hashlib
import sys
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

from trainer import columns
from trainer.columns import Faults
from trainer.failure import DataError
from trainer.ids import Numbering
from trainer.parquet_files import DataFile, data_files

SLICE_EVENTS = 1_000_000  # sorted by time at once, or one user's events if they are more
SLICE_IDS = 65_536


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
        return starts(self.user, self.n_users).astype(np.int64)

    @cached_property
    def fingerprint(self) -> str:
        """The same for the same events, whatever files hold them."""
        digest = hashlib.sha256(b"interactions 2\n")
        for ids in (self.user_ids, self.item_ids):
            digest.update(f"{ids.type} {len(ids)}\n".encode())
            for first in range(0, len(ids), SLICE_IDS):
                for value in ids.slice(first, SLICE_IDS).to_pylist():
                    text = str(value).encode()
                    digest.update(b"%d:" % len(text) + text)
        for column in (self.user, self.item, self.time_ms, self.weight):
            digest.update(np.ascontiguousarray(column))
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


def read_interactions(data_dir: Path, now_ms: int | None = None) -> Interactions:
    """Reads every Parquet file below `data_dir`. Events that lie more than a day after `now_ms`,
    the clock's milliseconds since 1970 unless it is told, are refused. A later stage has a later
    clock, so what train took the others take.

    A row that repeats another in user, item, time and weight is left out: it was delivered twice.
    """
    now_ms = int(time.time() * 1000) if now_ms is None else now_ms
    files = data_files(data_dir)
    n_rows = sum(file.n_rows for file in files)
    if n_rows == 0:
        raise DataError(
            "the dataset must have events, received: 0 rows",
            f"in {len(files)} files, of which the first is {files[0].name}",
        )
    users, items = (Numbering(kind, n_rows) for kind in files[0].id_types)
    time_ms, weight = np.empty(n_rows, np.int64), np.ones(n_rows, np.float32)
    first = 0
    for file in files:
        first = read_file(file, (users, items), time_ms, weight, first, now_ms)
    events, repeated = laid_out(*users.finish(), *items.finish(), time_ms[:first], weight[:first])
    if repeated:
        sys.stderr.write(
            f"trainer: {repeated} of {n_rows} rows repeat another in user, item, time and weight, "
            "and are left out\n"
        )
    if events.n_items < 2:
        raise DataError(
            f"the dataset must have at least 2 items, received: {events.n_items} in {n_rows} rows",
            "with one item there is nothing to choose from",
        )
    return events


def read_file(
    file: DataFile,
    numberings: tuple[Numbering, Numbering],
    time_ms: np.ndarray,
    weight: np.ndarray,
    first: int,
    now_ms: int,
) -> int:
    """Reads a file's rows to `first` and after; returns where the next file's begin."""
    faults = Faults(file.name)
    for batch in file.batches():
        n = len(batch["timestamp"])
        faults.rows += n
        nulls = {name: column.null_count for name, column in batch.items()}
        for name, count in nulls.items():
            faults.count(name, "have no nulls", count)
        if any(nulls.values()):
            continue  # the file is refused at its end, with all that were counted
        for numbering, kind, name in zip(
            numberings, file.id_types, ("user_id", "item_id"), strict=True
        ):
            numbering.add(columns.ids(batch[name], kind, name, faults))
        time_ms[first : first + n] = columns.times(batch["timestamp"], faults, now_ms)
        if "weight" in batch:
            weight[first : first + n] = columns.weights(batch["weight"], faults)
        first += n
    faults.refuse()
    return first


def interactions(table: pa.Table) -> Interactions:
    """Events of a table of `user_id`, `item_id`, `time_ms` and `weight`, repeated rows and all."""
    numberings = []
    for name in ("user_id", "item_id"):
        column = table.column(name)
        numberings.append(Numbering(column.type, len(column)))
        for chunk in column.chunks:
            numberings[-1].add(chunk)
    parts = (table.column(name).to_numpy().copy() for name in ("time_ms", "weight"))
    users, items = (numbering.finish() for numbering in numberings)
    return laid_out(*users, *items, *parts, keeps_repeated=True)[0]


def laid_out(
    user_ids: pa.Array,
    user: np.ndarray,
    item_ids: pa.Array,
    item: np.ndarray,
    time_ms: np.ndarray,
    weight: np.ndarray,
    keeps_repeated: bool = False,
) -> tuple[Interactions, int]:
    """Puts events in order, in the arrays that are given, and drops rows that repeat another;
    returns how many those were."""
    order = np.argsort(user, kind="stable")
    user[:] = user[order]
    for column in (item, time_ms, weight):
        column[:] = column[order]
    del order
    bounds = starts(user, len(user_ids))
    low = 0
    while low < len(user):
        # Whole users, as many as fit.
        past = int(np.searchsorted(bounds, low + SLICE_EVENTS, "right")) - 1
        high = int(bounds[past]) if bounds[past] > low else int(bounds[past + 1])
        part = slice(low, high)
        keys = (weight[part], scatter(user[part], item[part]), time_ms[part], user[part])
        order = np.lexsort(keys)
        for column in (item, time_ms, weight):
            column[part] = column[part][order]
        low = high
    repeats = np.zeros(len(user), bool)
    if not keeps_repeated:
        repeats[1:] = (user[1:] == user[:-1]) & (item[1:] == item[:-1])
        repeats[1:] &= (time_ms[1:] == time_ms[:-1]) & (weight[1:] == weight[:-1])
    found = int(repeats.sum())
    if found:
        kept = ~repeats
        user, item, time_ms, weight = (c[kept] for c in (user, item, time_ms, weight))
    return Interactions(user_ids, item_ids, user, item, time_ms, weight), found


def starts(user: np.ndarray, n_users: int) -> np.ndarray:
    """Where each user's events begin in the sorted `user`, and where the last one's end."""
    # Of the same type as `user`, which would be copied as int64 otherwise.
    return np.searchsorted(user, np.arange(n_users + 1, dtype=user.dtype))


def scatter(user: np.ndarray, item: np.ndarray) -> np.ndarray:
    """A fixed pseudo-random number for each (user, item): the order of simultaneous events."""
    x = (user.astype(np.uint64) << np.uint64(32)) | item.astype(np.uint64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
