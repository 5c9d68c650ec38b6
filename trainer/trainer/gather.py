"""The gather stage: proves that the shards together are the recommendations of all users.

It trusts nothing that a shard says about itself: rows, users, distinctness, unseen items and the
order of scores are checked against the files and the dataset, a row group at a time; the shards'
users, one after another, must be the dataset's. Whether repeats count is the rule
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
from trainer.shard_files import ROWS, SHARD

AGREED = (
    "shards", "top_k", "candidate", "repeats", "dataset_fingerprint", "model_sha256", rule.KEY
)  # fmt: skip


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
    rows = 0  # and the number of the first user that no shard had yet
    for shard, about in enumerate(abouts):
        progress.tick(shard, len(abouts), "verifying shards")
        rows = verify(folder / str(shard) / ROWS, shard, about, events, seen, unseen, rows)
    if rows != events.n_users:
        raise DataError(
            f"the rows of all shards must be {events.n_users}, received: {rows}: user "
            f"{events.user_ids[rows].as_py()} and all after them are in no shard"
        )
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
            if about.get(name) != first.get(name):
                raise DataError(
                    f"shard {number}: `{name}` must be {first.get(name)} as in the others, "
                    f"received: {about.get(name)}"
                )
    return [abouts[number] for number in range(first["shards"])]


def verify(
    path: Path,
    shard: int,
    about: dict[str, Any],
    events: Interactions,
    seen: np.ndarray,
    unseen: np.ndarray,
    first: int,
) -> int:
    """Checks one shard, row group by row group. `first` is the user that no shard before it had;
    returns the same for the shard after it."""

    def require(holds: bool, what: str) -> None:
        if not holds:
            raise DataError(f"shard {shard}: {what}")

    require(path.is_file(), f"`{ROWS}` is missing")
    require(sha256_of(path) == about["sha256"], f"`{ROWS}` must match its checksum")
    wanted = {
        "user_id": events.user_ids.type,
        "items": pa.list_(events.item_ids.type),
        "scores": pa.list_(pa.float32()),
    }
    rows, place = 0, first
    try:
        with pq.ParquetFile(path) as file:
            rows = file.metadata.num_rows
            for name, kind in wanted.items():
                has = file.schema_arrow.field(name).type
                require(has == kind, f"column `{name}` must be of type {kind}, received: {has}")
            require(
                about["rows"] == about["users"] == rows,
                f"must have {about['users']} rows, received: {rows}",
            )
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, columns=list(wanted)).combine_chunks()
                chunks = [column.chunk(0) for column in table.columns if column.num_chunks]
                if chunks:
                    verify_users(chunks[0], shard, events, first, place)
                    verify_rows(chunks, shard, about["top_k"], events, seen, unseen, place)
                place += table.num_rows
    except (pa.ArrowException, KeyError, OSError) as error:
        raise DataError(f"shard {shard}: `{ROWS}` must be readable ({error})") from error
    return place


def verify_users(
    user_id: pa.Array, shard: int, events: Interactions, first: int, place: int
) -> None:
    """The users of a row group must be those from `place` on, in the order of the dataset. `first`
    is where the shard must begin."""
    expected = events.user_ids.slice(place, len(user_id))
    if user_id.equals(expected):
        return
    found = pc.index_in(user_id, value_set=events.user_ids)
    where = found.fill_null(-1).to_numpy()
    row = int(np.flatnonzero(where != place + np.arange(len(where)))[0])
    who, at, due = user_id[row].as_py(), int(where[row]), place + row
    if at < 0:
        raise DataError(f"shard {shard}: has user {who}, who is not in the dataset")
    if at > due:
        missing = events.user_ids[due].as_py()
        raise DataError(
            f"shard {shard}: must go on with user {missing}, who would be in no shard or out of "
            f"order, received: user {who}"
        )
    if at < first:
        raise DataError(f"shard {shard}: has user {who}, who is in an earlier shard too")
    raise DataError(f"shard {shard}: must have each user once and sorted, received: {who} again")


def verify_rows(
    columns: list[pa.Array],
    shard: int,
    top_k: int,
    events: Interactions,
    seen: np.ndarray,
    unseen: np.ndarray,
    place: int,
) -> None:
    """K distinct items each, none of them `seen`, by falling score. The error names the user."""
    user_id, items, scores = columns
    last = place + len(user_id)
    row = np.repeat(np.arange(len(user_id)), lengths_of(items))

    def refuse(bad: np.ndarray, what: str) -> None:
        if bad.any():
            who = user_id[int(np.flatnonzero(bad)[0])].as_py()
            raise DataError(f"shard {shard}: user {who} {what}")

    def refuse_entry(bad: np.ndarray, what: str) -> None:
        refuse(np.bincount(row[bad], minlength=len(user_id)) > 0, what)

    wanted = np.minimum(top_k, unseen[place:last])
    refuse(lengths_of(items) != wanted, "has not as many items as it must")
    refuse(lengths_of(scores) != wanted, "must have one score for each item")
    found = pc.index_in(items.flatten(), value_set=events.item_ids)
    item = found.fill_null(-1).to_numpy().astype(np.int64)
    refuse_entry(item < 0, "has an item that is not in the dataset")
    pair = (row + place) * np.int64(events.n_items) + item
    again = np.ones(len(pair), bool)
    again[np.unique(pair, return_index=True)[1]] = False
    refuse_entry(again, "has an item twice")
    had = np.searchsorted(seen, pair, "right") > np.searchsorted(seen, pair)
    refuse_entry(had, "has an item that they had already")
    value = scores.flatten().to_numpy(zero_copy_only=False)
    refuse_entry(~np.isfinite(value), "has a score that is no number")
    rising = np.zeros(len(value), bool)
    rising[1:] = (value[1:] > value[:-1]) & (row[1:] == row[:-1])
    refuse_entry(rising, "has scores that rise")


def lengths_of(lists: pa.Array) -> np.ndarray:
    """How long each list is; one that is null has none."""
    return pc.list_value_length(lists).fill_null(0).to_numpy().astype(np.int64)
