"""What is stored, to the byte: objects by what they are, and what each blob takes of its pack.

A pack is made of segments, and a segment of blobs, which share its stored bytes (see
`holdfast.store.pack.share`). So the shares of all blobs of all packs, and what the packs have
around their segments, add up to the packs exactly.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Final, NamedTuple

from holdfast.backend import Backend
from holdfast.primitives.ids import PackName
from holdfast.store.objects import is_object
from holdfast.store.pack import share
from holdfast.store.table import Table

_UNUSABLE: Final = 0
_CONDEMNED: Final = 1
_USABLE: Final = 2

_PACKS: Final = "data/"


@dataclass(frozen=True, slots=True)
class StoredObjects:
    """All objects of a repository, by one listing.

    Attributes:
        packs: their sizes in bytes.
        others: bytes of all other objects by their folder, such as ``index``; what is in
            ``data`` and is no pack among them.
    """

    packs: Mapping[PackName, int]
    others: Mapping[str, int]

    @property
    def total(self) -> int:
        """Bytes of all objects."""
        return sum(self.packs.values()) + sum(self.others.values())


def stored_objects(backend: Backend) -> StoredObjects:
    """List everything."""
    packs: dict[PackName, int] = {}
    others: Counter[str] = Counter()
    for info in backend.list(""):
        if info.name.startswith(_PACKS) and is_object(info.name):
            packs[PackName(info.name.rpartition("/")[2])] = info.size
        else:
            others[info.name.partition("/")[0]] += info.size
    return StoredObjects(packs, dict(others))


class Rest(NamedTuple):
    """What packs hold beside one copy of each needed blob.

    Attributes:
        unneeded: blobs that are not needed.
        duplicates: further copies of blobs that are.
        around: what packs have around their segments: headers, tables of contents, fillers.
        condemned: all of this of packs that a reclaim is about to delete.
        unknown: packs that the index does not know, or not of that size.
    """

    unneeded: int
    duplicates: int
    around: int
    condemned: int
    unknown: int


class _Copy(NamedTuple):
    """One place of a blob: the first row of the blob, its pack's state and its share of that."""

    row: int
    state: int
    stored: int


class Shares:
    """What each blob takes of what is stored: 4 bytes of memory a row of the index.

    A blob is known by its row. Of several copies one counts: the first that is in a pack which is
    not condemned, or else the first.

    Args:
        table: the index.
        packs: the packs that are stored, with their sizes; of others nothing is counted.
        condemned: those that a reclaim is about to delete.

    Attributes:
        stored: bytes of each blob, by its row.
    """

    def __init__(
        self, table: Table, packs: Mapping[PackName, int], condemned: Collection[PackName]
    ) -> None:
        table.flatten()
        self._run = table.base
        self._of_segment = table.segment_columns()
        self._states = bytearray()
        self._unknown = sum(packs.values())
        self._sizes: Counter[int] = Counter()
        for number, pack in enumerate(table.pack_rows()):
            state = _UNUSABLE
            if packs.get(pack.name) == pack.size and not table.is_removed(number):
                state = _CONDEMNED if pack.name in condemned else _USABLE
                self._sizes[state] += pack.size
                self._unknown -= pack.size
            self._states.append(state)
        self.stored = array("I", bytes(4 * self._run.rows))
        for row, copies in self._blobs():
            self.stored[row] = _chosen(copies).stored

    def row(self, blob: bytes) -> int:
        """Where a blob is in `stored`; -1 when the index did not know it."""
        return self._run.find(blob)

    def is_stored(self, row: int) -> bool:
        """Whether the blob of a row is in a pack that is stored."""
        packs = self._of_segment[0]
        blob = self._run.id(row)
        while row < self._run.rows and self._run.id(row) == blob:
            if self._states[packs[self._run.place(row)[0]]] != _UNUSABLE:
                return True
            row += 1
        return False

    def rest(self, is_needed: Callable[[int], bool]) -> Rest:
        """What packs hold beside the blobs whose rows are needed."""
        unneeded = duplicates = usable = 0
        condemned = self._sizes[_CONDEMNED]
        for row, copies in self._blobs():
            chosen = _chosen(copies) if is_needed(row) else None
            for copy in copies:
                if copy.state == _CONDEMNED:
                    condemned -= copy.stored if copy is chosen else 0
                    continue
                usable += copy.stored
                if chosen is None:
                    unneeded += copy.stored
                elif copy is not chosen:
                    duplicates += copy.stored
        around = self._sizes[_USABLE] - usable
        return Rest(unneeded, duplicates, around, condemned, self._unknown)

    def _blobs(self) -> Iterator[tuple[int, list[_Copy]]]:
        """Every stored blob by its row, with all its copies."""
        for row, copies in groupby(self._copies(), key=itemgetter(0)):
            yield row, list(copies)

    def _copies(self) -> Iterator[_Copy]:
        packs, stored, raw = self._of_segment
        states = [self._states[pack] for pack in packs]
        first, blob = 0, b""
        for row, (id_, segment, offset, length) in enumerate(self._run.unpacked()):
            if id_ != blob:
                first, blob = row, id_
            if states[segment] != _UNUSABLE:
                size = share(stored[segment], raw[segment], offset, length)
                yield _Copy(first, states[segment], size)


def _chosen(copies: list[_Copy]) -> _Copy:
    return max(copies, key=itemgetter(1))
