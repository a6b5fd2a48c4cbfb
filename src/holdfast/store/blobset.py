"""A set of blobs at one bit each, for passes over everything that a repository holds."""

from __future__ import annotations

from holdfast.store.table import Table


class BlobSet:
    """Which of a table's blobs were met; blobs that it does not know are kept as they are."""

    def __init__(self, table: Table) -> None:
        table.flatten()
        self._run = table.base
        self._bits = bytearray((self._run.rows + 7) // 8)
        self._others: set[bytes] = set()

    def add(self, blob: bytes) -> bool:
        """Add a blob; returns whether it was not in the set before."""
        row = self._run.find(blob)
        if row < 0:
            before = len(self._others)
            self._others.add(blob)
            return len(self._others) > before
        place, bit = row >> 3, 1 << (row & 7)
        if self._bits[place] & bit:
            return False
        self._bits[place] |= bit
        return True

    def meet(self, blob: bytes) -> int | None:
        """Add a blob that the table knew when the set was begun; returns its length in bytes.

        Of several copies it is that of the first. None when the blob is another, and not added.
        """
        row = self._run.find(blob)
        if row < 0:
            return None
        self._bits[row >> 3] |= 1 << (row & 7)
        return self._run.place(row)[2]

    def __contains__(self, blob: object) -> bool:
        if not isinstance(blob, bytes):
            return False
        row = self._run.find(blob)
        if row < 0:
            return blob in self._others
        return bool(self._bits[row >> 3] & 1 << (row & 7))
