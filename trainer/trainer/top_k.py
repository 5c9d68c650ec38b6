"""The best K of each row, in one order that does not depend on how the work was cut.

Scores come tile by tile, and only what can still be among the best is kept: memory is a tile's,
whatever the catalogue. Score and item are packed into one 64-bit number, so that no two items of a
row tie: a higher score first, then the lower item. It is exact: nothing is sampled or hashed.
"""

import numpy as np

# One tile of scores: 4 MB of float32, which stays in a core's own cache.
TILE_CELLS = 1_048_576
# A row of candidates that score densely is held whole; with the float64 sums that they make, about
# 20 bytes a cell: 160 MB at most.
MOST_ROWS = 256
MOST_CELLS = 8_000_000
NOTHING = np.uint64(0x007FFFFF_FFFFFFFF)  # what sorts last of all: minus infinity, no item


def rows_at_once(n_items: int) -> int:
    """How many rows of dense scores are held together; it depends on the catalogue alone, so that
    blocks of users lie the same however the users are shared out."""
    return max(1, min(MOST_ROWS, MOST_CELLS // max(n_items, 1)))


def tile_width(rows: int) -> int:
    """How many items a tile has for a block of `rows` users."""
    return max(1, TILE_CELLS // max(rows, 1))


def packed(scores: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Keys (uint64) of scores (float32) and their items that sort as (score, lower item first)."""
    # Adding 0 turns -0.0 into 0.0, which compares equal and must have the same bits.
    bits = np.ascontiguousarray(scores + np.float32(0.0), np.float32).view(np.uint32)
    negative = bits >> np.uint32(31) == 1
    ordered = np.where(negative, ~bits, bits | np.uint32(0x80000000)).astype(np.uint64)
    return (ordered << np.uint64(32)) | (np.uint64(0xFFFFFFFF) - items.astype(np.uint64))


def unpacked(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Items (int64) and scores (float32) of keys."""
    item = (np.uint64(0xFFFFFFFF) - (keys & np.uint64(0xFFFFFFFF))).astype(np.int64)
    ordered = (keys >> np.uint64(32)).astype(np.uint32)
    positive = ordered >> np.uint32(31) == 1
    bits = np.where(positive, ordered & np.uint32(0x7FFFFFFF), ~ordered)
    return item, bits.astype(np.uint32).view(np.float32)


class RunningTopK:
    """The best `k` of each of `rows` rows among all that was added so far.

    Tiles must come with their items rising, from tile to tile too: then a later item that ties with
    the worst of the best never displaces it, and one comparison a cell decides what is looked at.
    """

    def __init__(self, rows: int, k: int) -> None:
        self.rows, self.k = rows, k
        self.best = np.full((rows, k), NOTHING)  # ascending in each row
        self.threshold: np.ndarray | None = None  # (rows, 1) float32: what must be exceeded
        self.pending: list[tuple[np.ndarray, np.ndarray]] = []  # rows and keys, not merged yet
        self.n_pending = 0

    def add(self, scores: np.ndarray, items: np.ndarray) -> None:
        """Adds a tile: `scores` (rows, width) float32, hidden ones minus infinity; `items` (width,)
        rising."""
        kept = scores > self.threshold if self.threshold is not None else self.among_first(scores)
        places = np.flatnonzero(kept)
        row, column = np.divmod(places, scores.shape[1])
        self.pending.append((row, packed(scores.ravel()[places], items[column])))
        self.n_pending += len(places)
        # Merging costs a sort of the best; done when as much again has come, it is done about once
        # for each doubling of what was seen.
        if self.threshold is None or self.n_pending >= self.rows * self.k:
            self.merge()

    def among_first(self, scores: np.ndarray) -> np.ndarray:
        """Of the first tile, at least the best `k` of each row, with all that tie with the last."""
        width = scores.shape[1]
        if width <= self.k:
            return np.ones(scores.shape, bool)
        worst = np.partition(scores, width - self.k, axis=1)[:, width - self.k]
        return scores >= worst[:, None]

    def merge(self) -> None:
        """Takes what is pending into the best."""
        row = np.concatenate([row for row, _ in self.pending])
        keys = np.concatenate([keys for _, keys in self.pending])
        self.pending, self.n_pending = [], 0
        order = np.argsort(row, kind="stable")
        row, keys = row[order], keys[order]
        counts = np.bincount(row, minlength=self.rows)
        places = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
        both = np.full((self.rows, self.k + int(counts.max(initial=0))), NOTHING)
        both[:, : self.k] = self.best
        both[row, self.k + places] = keys
        both.sort(axis=1)
        self.best = both[:, both.shape[1] - self.k :]
        self.threshold = unpacked(self.best[:, :1])[1]

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """Items (rows, k) and scores, best first; where there was nothing, the score is -inf."""
        if self.pending:
            self.merge()
        return unpacked(self.best[:, ::-1])


def top_k(scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Items and scores of the best `k` of each row, best first; hidden ones score -inf."""
    rows, n_items = scores.shape
    running = RunningTopK(rows, min(k, n_items))
    items, width = np.arange(n_items), tile_width(rows)
    for first in range(0, n_items, width):
        running.add(np.ascontiguousarray(scores[:, first : first + width]), items[first:][:width])
    return running.result()
