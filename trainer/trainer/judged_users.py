"""Which users are judged where ranking for all of them would take longer than a stage may.

Users are the units of every mean and interval, so a part of them, chosen by a hash of their ids
alone, gives the same figures with wider intervals. Items are never sampled: all of them are ranked.
"""

from dataclasses import replace
from hashlib import blake2b

import numpy as np
import pyarrow as pa

from trainer.split import Cases, Split

# Histories that all items are ranked for, by each candidate. Seven candidates take 12 ms of a core
# for one among 100,000 items: 40 minutes, where 3 million took half a day. With 30,000 users, of
# seven histories each, who differ like those of Online Retail in `docs/quality.md`, NDCG@10 is
# known to 2 % of itself, and a paired difference of two good candidates to 1 %.
MOST_CASES = 200_000
# Whatever their histories: fewer make intervals that say nothing.
LEAST_USERS = 1_000


def judged(split: Split, user_ids: pa.Array, seed: int) -> tuple[Split, str]:
    """The split with the cases of the users that are judged, and what a description must say of
    it: nothing where all are. Each user is as likely as any other, however many cases are theirs,
    so there are about `MOST_CASES`, and more where one of the chosen has very many."""
    users = np.unique(split.cases.user)
    if len(split.cases) <= MOST_CASES:
        return split, ""
    kept = max(len(users) * MOST_CASES // len(split.cases), LEAST_USERS)
    if kept >= len(users):
        return split, ""
    first = np.argsort(hashed(user_ids.take(pa.array(users)), seed), kind="stable")[:kept]
    said = (
        f" Judged are {kept:,} of {len(users):,} users, chosen by a hash of their ids (seed "
        f"{seed}): to rank all items for all {len(split.cases):,} histories would take longer than "
        "a stage may."
    )
    return replace(split, cases=of_users(split.cases, users[first])), said


def hashed(ids: pa.Array, seed: int) -> np.ndarray:
    """64 bits (uint64) for each id, of it and the seed alone: the same in every dataset."""
    return np.array(
        [
            int.from_bytes(blake2b(f"{seed} {one}".encode(), digest_size=8).digest(), "big")
            for one in ids.to_pylist()
        ],
        np.uint64,
    )


def of_users(cases: Cases, users: np.ndarray) -> Cases:
    """The cases of some users, in the order in which they were."""
    kept = np.isin(cases.user, users)
    row = np.cumsum(kept) - 1
    targets = kept[cases.target_row]
    return Cases(
        user=cases.user[kept],
        start=cases.start[kept],
        end=cases.end[kept],
        target_row=row[cases.target_row[targets]],
        target_item=cases.target_item[targets],
    )
