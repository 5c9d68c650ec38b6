"""The recommend stage: the best items of each user of one shard, unseen ones unless repeats count.

N shards give the rows of one, bit by bit, on machines of one kind: users are computed in blocks
that lie on a grid over all of them (`fan_out.py`). A shard that is there already and is whole is
left as it is.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from trainer import candidates, kept_fits, model_files, rule
from trainer.alive import Steps
from trainer.atomic import sha256_of, write_json
from trainer.best_items import best_items, block_size
from trainer.config import BASELINES, RecommendConfig
from trainer.dataset import Interactions, read_interactions
from trainer.fan_out import shard_range
from trainer.metrics import Candidate
from trainer.progress import Progress
from trainer.shard_files import ROWS, SHARD, Block, finished, write_rows


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
    fits = input_dir / kept_fits.STAGE / kept_fits.FOLDER
    kept = kept_fits.kept(fits, config.candidate, events.fingerprint)
    what = {
        "shard": shard,
        "shards": shards,
        "top_k": config.top_k,
        "candidate": config.candidate,
        "repeats": going_by.repeats,
        rule.KEY: going_by.record(),
        "dataset_fingerprint": events.fingerprint,
        "model_sha256": model_sha256(config.candidate, model_dir) if kept is None else kept.sha256,
    }
    there = finished(out_dir, what)
    if there is not None:
        progress.say("done: the shard was there already", there["users"], there["users"])
        return there
    if kept is None:
        place = (events, events, model_dir, model_files.SERVED)
        serving = candidates.candidate(config.candidate, *place, Steps(progress))
    else:
        serving = kept.read()
    size = block_size(serving, events.n_items)
    first, last = shard_range(events.offsets, size, shard, shards)
    path = out_dir / ROWS
    made = blocks(config, serving, events, (first, last, size), going_by.repeats, progress)
    rows = write_rows(path, events, first, made)
    about = {**what, "users": last - first, "rows": rows, "sha256": sha256_of(path)}
    if drop_rows:
        path.unlink()
    write_json(out_dir / SHARD, about)
    progress.say("done", last - first, last - first)
    return about


def blocks(
    config: RecommendConfig,
    serving: Candidate,
    events: Interactions,
    place: tuple[int, int, int],
    repeats: bool,
    progress: Progress,
) -> Iterator[Block]:
    """The best items of the users `first..last` of `place`, from whole blocks of its size."""
    first, last, size = place
    for low in range(first // size * size, last if first < last else 0, size):
        progress.tick(max(low - first, 0), last - first, config.candidate)
        users = np.arange(low, min(low + size, events.n_users))
        best, values = best_items(serving, events, users, config.top_k, repeats)
        mine = (users >= first) & (users < last)
        best, values = best[mine], values[mine]
        visible = np.isfinite(values)
        yield visible.sum(axis=1), best[visible], values[visible]


def model_sha256(candidate: str, model_dir: Path) -> str:
    """Which weights serve, as the model's own record has it; a baseline that is fitted here has
    none."""
    if candidate in BASELINES or not (model_dir / "config.json").is_file():
        return ""
    return sha256_of(model_dir / "config.json")
