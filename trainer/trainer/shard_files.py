"""What a shard leaves behind: its rows as Parquet, and `shard.json`, which says what they are.

The same rows give the same bytes: format version, compression, pages and row groups are fixed, and
nothing in the file tells when or where it was written. Rows are written group by group, so a shard
of any size is written in bounded memory.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trainer.atomic import sha256_of, write_with
from trainer.dataset import Interactions

ROWS, SHARD = "recommendations.parquet", "shard.json"
GROUP_ENTRIES = 1_000_000  # users and items of a row group: about 12 MB before compression
ZSTD_LEVEL = 3

Block = tuple[np.ndarray, np.ndarray, np.ndarray]  # lengths, items, scores


def write_rows(path: Path, events: Interactions, first: int, blocks: Iterable[Block]) -> int:
    """Writes the rows of the users from `first` on, one each; returns how many."""
    schema = pa.schema(
        {
            "user_id": events.user_ids.type,
            "items": pa.list_(events.item_ids.type),
            "scores": pa.list_(pa.float32()),
        }
    )
    written = 0

    def write(partial: Path) -> None:
        nonlocal written
        with pq.ParquetWriter(
            partial,
            schema,
            version="2.6",
            compression="zstd",
            compression_level=ZSTD_LEVEL,
            use_dictionary=["items.list.element"],
            write_statistics=True,
            data_page_version="1.0",
            store_schema=True,
        ) as writer:
            for group in groups(blocks):
                table = rows_table(schema, events, first + written, group)
                writer.write_table(table, row_group_size=table.num_rows)
                written += table.num_rows

    write_with(path, write)
    return written


def groups(blocks: Iterable[Block]) -> Iterator[list[Block]]:
    """Blocks put together to row groups; where one ends follows from the lengths alone."""
    waiting: list[Block] = []
    entries = 0
    for block in blocks:
        waiting.append(block)
        entries += len(block[0]) + len(block[1])
        if entries >= GROUP_ENTRIES:
            yield waiting
            waiting, entries = [], 0
    if waiting:
        yield waiting


def rows_table(
    schema: pa.Schema, events: Interactions, first: int, blocks: list[Block]
) -> pa.Table:
    """One row for each user, items and scores as lists, best first."""
    lengths, items, scores = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    chosen = events.item_ids.take(pa.array(items.astype(np.int64)))
    return pa.table(
        {
            "user_id": events.user_ids.slice(first, len(lengths)),
            "items": pa.ListArray.from_arrays(offsets, chosen),
            "scores": pa.ListArray.from_arrays(offsets, pa.array(scores.astype(np.float32))),
        },
        schema=schema,
    )


def finished(out_dir: Path, wanted: dict[str, Any]) -> dict[str, Any] | None:
    """What `shard.json` says, if it and its rows are there, whole, and what is `wanted`: a child
    that is tried again has nothing to do then."""
    try:
        about = json.loads((out_dir / SHARD).read_text(encoding="utf-8"))
        if not isinstance(about, dict) or any(about.get(k) != v for k, v in wanted.items()):
            return None
        return about if about.get("sha256") == sha256_of(out_dir / ROWS) else None
    except (OSError, ValueError):
        return None  # not there, or cut off: it is made anew
