"""Which snapshots need each blob: none, one, or several. 4 bytes of memory a blob."""

from __future__ import annotations

from array import array
from typing import Final

from holdfast.store import Group, Shares

_NOBODY: Final = 0
_SEVERAL: Final = 1
"""Several of the snapshots that were asked for, and no others."""
_OTHERS: Final = 2
"""At least one of the others."""
_FIRST: Final = 3
"""The number of the first snapshot that was asked for."""

_DONE: Final = (_SEVERAL, _OTHERS)


class Holders:
    """Marks as `holdfast.operations.reachable.mark` makes them, one snapshot after another.

    First the snapshots that were not asked for, then `begin` with each of the others. What is
    marked as needed by several, or by others, is marked so with all below it; what one snapshot
    has is gone through once more by the next that has it too, and never again.

    Attributes:
        missing: blobs that are needed and are not stored.
    """

    def __init__(self, shares: Shares) -> None:
        self.missing: set[bytes] = set()
        self._shares = shares
        self._owners = array("I", bytes(4 * len(shares.stored)))
        self._now = _OTHERS
        self._unknown: set[bytes] = set()

    def begin(self, position: int) -> None:
        """What is marked from now on is needed by the snapshot of that position."""
        self._now = _FIRST + position
        self._unknown.clear()

    def add(self, blob: bytes, group: Group | None = None) -> bool:  # noqa: ARG002 - as `Marks.add`
        """Mark a blob; returns whether what it names has to be marked too."""
        row = self._shares.row(blob)
        if row < 0:
            return self._add_unknown(blob)
        owner = self._owners[row]
        if owner == _NOBODY:
            self._owners[row] = self._now
            if not self._shares.stored[row] and not self._shares.is_stored(row):
                self.missing.add(blob)
            return True
        if owner == self._now or owner in _DONE:
            return False
        self._owners[row] = _SEVERAL
        return True

    def _add_unknown(self, blob: bytes) -> bool:
        self.missing.add(blob)
        if blob in self._unknown:
            return False
        self._unknown.add(blob)
        return True

    def __contains__(self, blob: object) -> bool:
        if not isinstance(blob, bytes):
            return False
        row = self._shares.row(blob)
        if row < 0:
            return blob in self._unknown
        owner = self._owners[row]
        return owner == self._now or owner in _DONE

    def is_needed(self, row: int) -> bool:
        """Whether any snapshot needs the blob of a row."""
        return self._owners[row] != _NOBODY

    def freed(self, count: int) -> tuple[list[int], int]:
        """What would be free without each of so many snapshots, and without all of them."""
        sums = [0] * (_FIRST + count)
        for owner, stored in zip(self._owners, self._shares.stored, strict=True):
            sums[owner] += stored
        return sums[_FIRST:], sum(sums[_FIRST:]) + sums[_SEVERAL]
