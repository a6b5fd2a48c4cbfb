"""Which blobs are needed, and what each may share a segment with: one byte a blob."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from itertools import chain
from typing import TypeVar

from holdfast.primitives.ids import ID_SIZE, BlobId
from holdfast.store.filler import TREES, Group
from holdfast.store.table import Table

_Blob = TypeVar("_Blob", bound=bytes)

_END = b"\xff" * (ID_SIZE + 1)
"""Comes after all ids."""

_TREE = 1
_ALONE = 255
"""Marks the blobs of all groups that come after the first 253."""


class Marks:
    """The blobs that were met in a pass over snapshots, each with the group it was first met in.

    A pass that failed has marked lists and directories of which not all that they name is marked:
    then make new marks.
    """

    def __init__(self, table: Table) -> None:
        table.flatten()
        self._run = table.base
        self._values = bytearray(self._run.rows)
        self._others: dict[bytes, int] = {}
        self._numbers: dict[Group, int] = {TREES: _TREE}
        self._groups: list[Group] = [TREES, TREES]

    def add(self, blob: bytes, group: Group = TREES) -> bool:
        """Mark a blob; returns whether it was not marked before."""
        row = self._run.find(blob)
        if row < 0:
            before = len(self._others)
            self._others.setdefault(blob, self._number(group))
            return len(self._others) > before
        if self._values[row]:
            return False
        self._values[row] = self._number(group)
        return True

    def _number(self, group: Group) -> int:
        number = self._numbers.get(group)
        if number is None:
            if len(self._groups) == _ALONE:
                return _ALONE
            number = self._numbers[group] = len(self._groups)
            self._groups.append(group)
        return number

    def __contains__(self, blob: object) -> bool:
        return isinstance(blob, bytes) and self._value(blob) > 0

    def _value(self, blob: bytes) -> int:
        row = self._run.find(blob)
        return self._others.get(blob, 0) if row < 0 else self._values[row]

    def group(self, blob: bytes) -> Group | None:
        """The group of a marked blob; None when it has to have a segment of its own.

        Raises:
            KeyError: it is not marked.
        """
        return self.groups([blob])[blob]

    def groups(self, blobs: Iterable[_Blob]) -> dict[_Blob, Group | None]:
        """Those of these blobs that are marked, in their order, each with its group."""
        values = ((blob, self._value(blob)) for blob in blobs)
        return {
            blob: None if value == _ALONE else self._groups[value]
            for blob, value in values
            if value
        }

    def unknown(self) -> Iterator[BlobId]:
        """The marked blobs that the table did not have when the marks were begun."""
        yield from map(BlobId, self._others)

    def __iter__(self) -> Iterator[BlobId]:
        """Every marked blob once."""
        return chain(self._known(), self.unknown())

    def _known(self) -> Iterator[BlobId]:
        """The others, ascending."""
        run = self._run
        for row, value in enumerate(self._values):
            if value:
                yield BlobId(run.id(row))

    def lacking(self, table: Table, leave: Container[int]) -> list[BlobId]:
        """The marked blobs that are in no pack, but for those whose numbers are in `leave`.

        Args:
            table: where blobs are by now.
            leave: the packs that do not count; removed ones never do.
        """
        is_left = bytearray(pack in leave for pack in table.segment_columns()[0])
        there = (blob for blob, segment, _ in table.columns() if not is_left[segment])
        found: list[BlobId] = []
        next_there = next(there, _END)
        for blob in self._known():
            while next_there < blob:
                next_there = next(there, _END)
            if next_there != blob:
                found.append(blob)
        return found + [blob for blob in self.unknown() if table.known(blob, leave) < 0]
