"""The recommend stage: the best items of each user of one shard, unseen ones unless repeats count.

A shard is a contiguous range of the sorted users. Users are scored in blocks that lie on a grid
over all users, not over the shard, so every user is computed in the same company and place
whatever the number of shards: N shards give the rows of one, bit by bit. A block has fewer users
where there are more items, so that what it needs in memory does not grow with the catalogue.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trainer import candidates, model_files, rule
from trainer.atomic import sha256_of, write_json, write_with
from trainer.config import RecommendConfig
from trainer.dataset import Interactions, read_interactions
from trainer.metrics import Candidate, hide_seen
from trainer.progress import Progress
from trainer.top_k import rows_at_once, top_k

ROWS, SHARD = "recommendations.parquet", "shard.json"


def shard_range(n_users: int, shard: int, shards: int) -> tuple[int, int]:
    """The users of a shard, as even as whole users allow."""
    return n_users * shard // shards, n_users * (shard + 1) // shards


def recommend(
    config: RecommendConfig,
    data_dir: Path,
    input_dir: Path,
    out_dir: Path,
    shard: int,
    shards: int,
    progress: Progress,
    drop_rows: bool = False,
    run_id: str = "",
) -> dict[str, Any]:
    """Writes the rows of one shard and what `gather` needs to verify them."""
    progress.say("reading data")
    events = read_interactions(data_dir)
    model_dir = input_dir / "train" / "model"
    going_by = rule.served(rule.written(model_dir), config.repeats, events, run_id)
    serving = candidates.candidate(config.candidate, events, events, model_dir, model_files.SERVED)
    first, last = shard_range(events.n_users, shard, shards)
    lengths, items, scores = [], [], []
    size = rows_at_once(events.n_items)
    for low in range(first // size * size, last if last > first else 0, size):
        progress.tick(max(low - first, 0), last - first, config.candidate)
        users = np.arange(low, min(low + size, events.n_users))
        counted, best, values = block_rows(
            serving, events, users, config.top_k, going_by, (first, last)
        )
        lengths.append(counted)
        items.append(best)
        scores.append(values)
    table = rows_table(events, first, last, lengths, items, scores)
    path = out_dir / ROWS
    write_with(path, lambda partial: pq.write_table(table, partial, compression="zstd"))
    about = {
        "shard": shard,
        "shards": shards,
        "users": last - first,
        "rows": table.num_rows,
        "sha256": sha256_of(path),
        "top_k": config.top_k,
        "candidate": config.candidate,
        "repeats": going_by.repeats,
        rule.KEY: going_by.record(),
        "dataset_fingerprint": events.fingerprint,
    }
    if drop_rows:
        path.unlink()
    write_json(out_dir / SHARD, about)
    progress.say("done", last - first, last - first)
    return about


def block_rows(
    serving: Candidate,
    events: Interactions,
    users: np.ndarray,
    most: int,
    going_by: rule.Rule,
    wanted: tuple[int, int],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lengths, items and scores of the wanted users of one whole block."""
    start, end = events.offsets[users], events.offsets[users + 1]
    scores = serving.scores(events.item, start, end, users)
    if not going_by.repeats:
        hide_seen(scores, events.item, start, end)
    best, values = top_k(scores, most)
    mine = (users >= wanted[0]) & (users < wanted[1])
    best, values = best[mine], values[mine]
    visible = np.isfinite(values)
    return visible.sum(axis=1), best[visible], values[visible]


def rows_table(
    events: Interactions,
    first: int,
    last: int,
    lengths: list[np.ndarray],
    items: list[np.ndarray],
    scores: list[np.ndarray],
) -> pa.Table:
    """One row for each user, items and scores as lists."""
    none = np.zeros(0, np.int64)
    offsets = np.concatenate([[0], np.cumsum(np.concatenate([none, *lengths]))]).astype(np.int32)
    chosen = events.item_ids.take(pa.array(np.concatenate([none, *items])))
    values = pa.array(np.concatenate([none.astype(np.float32), *scores]).astype(np.float32))
    return pa.table(
        {
            "user_id": events.user_ids.slice(first, last - first),
            "items": pa.ListArray.from_arrays(pa.array(offsets), chosen),
            "scores": pa.ListArray.from_arrays(pa.array(offsets), values),
        }
    )
