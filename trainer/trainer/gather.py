"""The gather stage: proves that the shards together are the recommendations of all users.

It trusts nothing that a shard says about itself: rows, users, distinctness, unseen items and the
order of scores are checked against the files and the dataset. Whether repeats count is the rule
that train decided and the shards carry; it must be the one that the dataset and the params of this
run tell. It changes and copies no rows.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trainer import rule
from trainer.atomic import sha256_of, write_json
from trainer.config import AUTO, Repeats
from trainer.dataset import Interactions, read_interactions
from trainer.failure import DataError
from trainer.progress import Progress
from trainer.recommend import ROWS, SHARD, shard_range

AGREED = ("shards", "top_k", "candidate", "repeats", "dataset_fingerprint", rule.KEY)


def gather(
    asked: Mapping[str, Any],
    data_dir: Path,
    input_dir: Path,
    out_dir: Path,
    progress: Progress,
    repeats: Repeats = AUTO,
) -> dict[str, Any]:
    """Verifies all shards and writes `recommendations.json`. `asked` may name the `candidate` and
    the `top_k` that the run wants; what it does not name is as the shards agree. `repeats` is
    the rule that the run's params tell, if they tell one."""
    progress.say("reading data")
    events = read_interactions(data_dir)
    folder = input_dir / "recommend"
    abouts = read_shards(folder)
    first = abouts[0]
    for name, wanted in asked.items():
        if first[name] != wanted:
            raise DataError(
                f"shard 0: `{name}` must be {wanted} in this run, received: {first[name]}"
            )
    if first["dataset_fingerprint"] != events.fingerprint:
        raise DataError(
            f"shard 0: must be of this dataset ({events.fingerprint}), "
            f"received: {first['dataset_fingerprint']}"
        )
    going_by = rule.parsed(first[rule.KEY], f"recommend/0/{SHARD}")
    if first["repeats"] != going_by.repeats:
        raise DataError(
            f"shard 0: `repeats` must be {json.dumps(going_by.repeats)} by its own `{rule.KEY}`, "
            f"received: {json.dumps(first['repeats'])}"
        )
    rule.refuse_unlike_data(going_by, events, "shard 0")
    rule.refuse_contradiction(going_by, repeats)
    seen = had_already(events, going_by.repeats)
    unseen = events.n_items - np.bincount(seen // events.n_items, minlength=events.n_users)
    for shard, about in enumerate(abouts):
        progress.tick(shard, len(abouts), "verifying shards")
        verify(folder / str(shard) / ROWS, shard, about, events, seen, unseen)
    rows = sum(about["rows"] for about in abouts)
    if rows != events.n_users:
        raise DataError(f"the rows of all shards must be {events.n_users}, received: {rows}")
    result = {
        "shards": len(abouts),
        "users": events.n_users,
        "rows": rows,
        "top_k": first["top_k"],
        "candidate": first["candidate"],
        "repeats": going_by.repeats,
        rule.KEY: going_by.record(),
        "files": [
            {"shard": shard, "rows": about["rows"], "sha256": about["sha256"]}
            for shard, about in enumerate(abouts)
        ],
        "verified": True,
    }
    write_json(out_dir / "recommendations.json", result)
    progress.say("done", len(abouts), len(abouts))
    return result


def had_already(events: Interactions, repeats: bool) -> np.ndarray:
    """Sorted (user, item) pairs that must not be recommended: none where repeats are served."""
    pairs = np.unique(events.user.astype(np.int64) * events.n_items + events.item)
    return pairs[:0] if repeats else pairs


def read_shards(folder: Path) -> list[dict[str, Any]]:
    """What each shard says of itself: every shard once, all of one plan."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    if not names:
        raise DataError("`recommend/` must hold one folder a shard, found none")
    for name in names:
        if not name.isdecimal():
            raise DataError(f"`recommend/{name}` must be named by a shard's number")
    abouts = {}
    for number in sorted(int(name) for name in names):
        path = folder / str(number) / SHARD
        try:
            about = json.loads(path.read_text(encoding="utf-8"))
            kinds = {"shard": int, "shards": int, "users": int, "rows": int, "top_k": int}
            kinds |= {"sha256": str, "candidate": str, "dataset_fingerprint": str, "repeats": bool}
            kinds |= {rule.KEY: dict}
            if not all(isinstance(about[key], kind) for key, kind in kinds.items()):
                raise DataError(f"shard {number}: `{SHARD}` has a field of a wrong type")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"shard {number}: `{SHARD}` must be readable ({error!r})") from error
        if about["shard"] != number:
            raise DataError(
                f"shard {number}: must be itself, received: shard {about['shard']}, "
                "which then appears twice"
            )
        abouts[number] = about
    first = abouts[min(abouts)]
    for number in range(first["shards"]):
        if number not in abouts:
            raise DataError(f"shard {number}: is missing, of {first['shards']}")
    for number, about in abouts.items():
        if number >= first["shards"]:
            raise DataError(f"shard {number}: must be below {first['shards']}")
        for name in AGREED:
            if about[name] != first[name]:
                raise DataError(
                    f"shard {number}: `{name}` must be {first[name]} as in the others, "
                    f"received: {about[name]}"
                )
    return [abouts[number] for number in range(first["shards"])]


def verify(
    path: Path,
    shard: int,
    about: dict[str, Any],
    events: Interactions,
    seen: np.ndarray,
    unseen: np.ndarray,
) -> None:
    """Checks one shard's rows: K distinct items each, none of them `seen`. The error names the
    shard and, where there is one, the user."""

    def require(holds: bool, what: str) -> None:
        if not holds:
            raise DataError(f"shard {shard}: {what}")

    require(path.is_file(), f"`{ROWS}` is missing")
    require(sha256_of(path) == about["sha256"], f"`{ROWS}` must match its checksum")
    try:
        table = pq.read_table(path).combine_chunks()
        user_id, items, scores = (
            table.column(name).combine_chunks() for name in ("user_id", "items", "scores")
        )
    except (pa.ArrowException, KeyError, OSError) as error:
        raise DataError(f"shard {shard}: `{ROWS}` must be readable ({error})") from error

    first, last = shard_range(events.n_users, shard, about["shards"])
    require(
        about["rows"] == about["users"] == table.num_rows == last - first,
        f"must have {last - first} rows, received: {table.num_rows}",
    )
    expected = events.user_ids.slice(first, last - first)
    require(user_id.equals(expected), "must have the users of its range in order")
    lengths = pc.list_value_length(items).to_numpy(zero_copy_only=False)
    wanted = np.minimum(about["top_k"], unseen[first:last])

    def first_user(bad: np.ndarray) -> str:
        return str(user_id[int(np.flatnonzero(bad)[0])]) if bad.any() else ""

    wrong = lengths != wanted
    require(not wrong.any(), f"user {first_user(wrong)} has not as many items as it must")
    same = pc.list_value_length(scores).to_numpy(zero_copy_only=False) == lengths
    require(bool(same.all()), "must have one score for each item")

    place = pc.index_in(items.flatten(), value_set=events.item_ids)
    require(place.null_count == 0, "has an item that is not in the dataset")
    row = np.repeat(np.arange(last - first), lengths.astype(np.int64))
    pair = (row + first) * np.int64(events.n_items) + place.to_numpy().astype(np.int64)
    require(len(np.unique(pair)) == len(pair), "has an item twice for one user")
    had = np.searchsorted(seen, pair, "right") > np.searchsorted(seen, pair)
    require(not had.any(), f"has an item that user {first_user_of(user_id, row, had)} had already")
    value = scores.flatten().to_numpy(zero_copy_only=False)
    require(bool(np.isfinite(value).all()), "has a score that is no number")
    rising = (value[1:] > value[:-1]) & (row[1:] == row[:-1])
    require(not rising.any(), "has scores that rise within a row")


def first_user_of(user_id: pa.Array, row: np.ndarray, bad: np.ndarray) -> str:
    """The user of the first bad entry."""
    return str(user_id[int(row[np.flatnonzero(bad)[0]])]) if bad.any() else ""
