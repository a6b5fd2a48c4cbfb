"""Which blob of one repository is which in another: a table of fixed size."""

from __future__ import annotations

import mmap

from holdfast.primitives.ids import ID_SIZE, BlobId

ROWS = 1 << 20
"""Blobs that are remembered at most: 64 MiB, of which only what is used takes memory."""

MOST_ROWS = 1 << 24
"""No table is larger: that is 1 GiB."""

_ROW = 2 * ID_SIZE


class KnownIds:
    """The new ids of blobs by their old ones; forgets some when there are many.

    Each blob has one possible row, which the next blob of that row overwrites. Ids are as good
    as random, so nothing more is needed.
    """

    def __init__(self, rows: int = ROWS) -> None:
        self._rows = rows
        self._table = mmap.mmap(-1, rows * _ROW)

    def get(self, old: BlobId) -> BlobId | None:
        """The new id of a blob; None when it is not known, or no longer."""
        start = self._start(old)
        middle = start + ID_SIZE
        if self._table[start:middle] != old:
            return None
        return BlobId(self._table[middle : start + _ROW])

    def put(self, old: BlobId, new: BlobId) -> None:
        """Remember the new id of a blob."""
        start = self._start(old)
        self._table[start : start + _ROW] = old + new

    def _start(self, old: BlobId) -> int:
        return int.from_bytes(old[:8], "little") % self._rows * _ROW
