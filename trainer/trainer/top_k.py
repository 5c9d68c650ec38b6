"""The best K of each row, in one order that does not depend on how the work was cut.

Score and item are packed into one 64-bit number, so that no two items of a row tie: a higher
score first, then the lower item.
"""

import numpy as np

MOST_ROWS = 256
# Keys, their sorted copy and the scores take about 40 bytes a cell: 320 MB at most.
MOST_CELLS = 8_000_000


def rows_at_once(n_items: int) -> int:
    """How many rows of scores are held together; it depends on the catalogue alone, so that
    blocks of users lie the same however the users are shared out."""
    return max(1, min(MOST_ROWS, MOST_CELLS // max(n_items, 1)))


def packed(scores: np.ndarray) -> np.ndarray:
    """Keys that sort as (score, lower item first)."""
    # Adding 0 turns -0.0 into 0.0, which compares equal and must have the same bits.
    bits = np.ascontiguousarray(scores + np.float32(0.0), np.float32).view(np.uint32)
    negative = bits >> np.uint32(31) == 1
    ordered = np.where(negative, ~bits, bits | np.uint32(0x80000000)).astype(np.uint64)
    item = np.arange(scores.shape[1], dtype=np.uint64)
    return (ordered << np.uint64(32)) | (np.uint64(0xFFFFFFFF) - item)


def unpacked(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Items and scores of keys."""
    item = (np.uint64(0xFFFFFFFF) - (keys & np.uint64(0xFFFFFFFF))).astype(np.int64)
    ordered = (keys >> np.uint64(32)).astype(np.uint32)
    positive = ordered >> np.uint32(31) == 1
    bits = np.where(positive, ordered & np.uint32(0x7FFFFFFF), ~ordered)
    return item, bits.astype(np.uint32).view(np.float32)


def top_k(scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Items and scores of the best `k` of each row, best first; hidden ones score -inf."""
    k = min(k, scores.shape[1])
    keys = packed(scores)
    best = np.partition(keys, keys.shape[1] - k, axis=1)[:, keys.shape[1] - k :]
    return unpacked(np.sort(best, axis=1)[:, ::-1])
