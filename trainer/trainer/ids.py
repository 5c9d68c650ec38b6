"""Ids become dense numbers while they are read, batch by batch, without holding all of them.

Numbers are given by first appearance and turned into places among the sorted ids at the end, so
that the order of files and batches changes nothing.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# Distinct ids of batches are put together when there are so many more of them than are known: each
# id is hashed a few times in all, however many batches there are.
FOLD_AT = 1_000_000


class Numbering:
    """The ids of one column. Codes lie in `codes`, as many as there are rows at most."""

    def __init__(self, kind: pa.DataType, n_rows: int) -> None:
        self.known = pa.array([], kind)
        self.codes = np.empty(n_rows, np.int32)
        self.n_rows = 0
        self.pending: list[tuple[int, pa.Array]] = []  # first row of a batch, its distinct ids
        self.n_pending = 0

    def add(self, values: pa.Array) -> None:
        """Takes the next rows."""
        encoded = values.dictionary_encode()
        self.codes[self.n_rows : self.n_rows + len(values)] = encoded.indices.to_numpy()
        self.pending.append((self.n_rows, encoded.dictionary))
        self.n_rows += len(values)
        self.n_pending += len(encoded.dictionary)
        if self.n_pending > max(FOLD_AT, 2 * len(self.known)):
            self.fold()

    def fold(self) -> None:
        """Gives the codes of pending batches their numbers among all that is known."""
        if not self.pending:
            return
        # What was known comes first among the distinct ones, so that its numbers stay.
        some = pc.unique(pa.chunked_array([self.known, *(ids for _, ids in self.pending)]))
        ends = [first for first, _ in self.pending[1:]] + [self.n_rows]
        for (first, ids), end in zip(self.pending, ends, strict=True):
            number = pc.index_in(ids, value_set=some).to_numpy()
            self.codes[first:end] = number[self.codes[first:end]]
        self.known, self.pending, self.n_pending = some, [], 0

    def finish(self) -> tuple[pa.Array, np.ndarray]:
        """The sorted distinct ids, and each row's place among them (int32)."""
        self.fold()
        order = pc.sort_indices(self.known)
        place = np.empty(len(order), np.int32)
        place[order.to_numpy()] = np.arange(len(order), dtype=np.int32)
        codes = self.codes[: self.n_rows]
        np.take(place, codes, out=codes, mode="clip")
        return self.known.take(order), codes
