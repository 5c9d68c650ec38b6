"""Which users a shard has: contiguous ranges of the sorted users, of nearly equal cost.

Users are computed in blocks that lie on a grid over all of them, so that every user is computed in
the same company and place whatever the number of shards. Ranges end on that grid where it is fine
enough, so that no block is computed twice.

How many shards there are is decided before the job is submitted (`shared/src/shard_plan.rs`), by
what `evaluate` estimates here.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from trainer.config import TrainConfig

# What a user costs besides hiding what they had, in events: encoding and ranking take 100 us and
# more, hiding one event 0.1 us (`bench/recommend.py`).
USER_COST = 1_000


# What recommending 50 items to a user takes of a core: microseconds, and nanoseconds for each item
# of the catalogue. From `bench/recommend.py` at 1k, 12k and 100k items on a busy AMD EPYC with
# AVX-512, rounded up: 37, 65 and 250 us a user for the network with its default sizes.
COST_US_NS = {
    "network": (40.0, 2.5),
    "popularity": (3.0, 1.0),
    "recency-popularity": (3.0, 1.0),
    "sequential-rules": (10.0, 6.0),
    "item-knn": (10.0, 12.0),
    "ease": (10.0, 200.0),  # each event of a history reads a row of a matrix beyond any cache
    "ials": (45.0, 2.5),
}
DENSE_US_NS = (20.0, 12.0)  # of a candidate that nobody measured
# With fewer blocks than this to a shard, whole ones would make shards too uneven.
BLOCKS_OF_A_SHARD = 4


def shard_range(offsets: np.ndarray, size: int, shard: int, shards: int) -> tuple[int, int]:
    """The users `first..last` of a shard. `offsets` (users + 1,) are where each user's events
    begin, `size` is the users in a block. With fewer users than shards, some have none."""
    n_users = len(offsets) - 1
    step = size if n_users >= BLOCKS_OF_A_SHARD * shards * size else 1
    bounds = np.append(np.arange(0, n_users, step), n_users).astype(np.int64)
    cost = offsets[bounds] + USER_COST * bounds
    total = int(cost[-1])
    first, last = (int(bounds[nearest(cost, total * part, shards)]) for part in (shard, shard + 1))
    return first, last


def nearest(cost: np.ndarray, part: int, parts: int) -> int:
    """The place in the rising `cost` that is nearest to `part / parts`; whole numbers only, so that
    every machine finds the same."""
    place = int(np.searchsorted(cost * parts, part))
    if place == 0:
        return 0
    below, above = part - int(cost[place - 1]) * parts, int(cost[place]) * parts - part
    return place - 1 if below <= above else place


def estimate(
    candidates: Iterable[str], n_users: int, n_items: int, config: TrainConfig
) -> dict[str, Any]:
    """What a fan-out would take, for `metrics.json`: users, items, and by candidate the seconds of
    one core for all users, without a child's start. `config` is the network's."""
    return {
        "users": n_users,
        "items": n_items,
        "core_s": {name: core_seconds(name, n_users, n_items, config) for name in candidates},
    }


def core_seconds(candidate: str, n_users: int, n_items: int, config: TrainConfig) -> float:
    """`users * (encode + items * score)`. Encoding grows with layers, length and width of the
    network, a score with its width; the constants are of the defaults."""
    user_us, item_ns = COST_US_NS.get(candidate, DENSE_US_NS)
    if candidate == "network":
        default = TrainConfig()
        width = config.dim / default.dim
        user_us *= width * config.layers * config.max_len / default.max_len
        item_ns *= width
    return round(n_users * (user_us + n_items * item_ns / 1000.0) / 1e6, 3)
