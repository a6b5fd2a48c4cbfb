"""The index in memory: one binary search a lookup, and no Python object for a blob.

Blobs are rows of 44 bytes in sorted columns, either mapped from the cache's file or built here;
segments and packs are rows of their own. Blobs that were just added wait in a dictionary until
there are enough of them to be worth merging. What is in a removed pack is never found, whenever
the table learns that it was removed.
"""

from __future__ import annotations

import struct
import sys
import threading
from array import array
from collections import Counter
from collections.abc import Collection, Container, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from itertools import compress
from typing import NamedTuple

from holdfast.primitives.ids import ID_SIZE, BlobId, PackName
from holdfast.store.columns import Columns, Place, Rows, Run, merge
from holdfast.store.index import PLACE_ROW, SEGMENT_ROW, IndexObject, PackRow, uint32s
from holdfast.store.pack import HEADER_SIZE, PackInfo, Segment, share

RECENT_LIMIT = 1 << 15
"""Blobs that wait in the dictionary before they are merged into columns."""

_PACK_ROW = struct.Struct(f"<32s{HEADER_SIZE}sI")
_SESSION_AT = 20
PACK_ROW_SIZE = _PACK_ROW.size
_NOWHERE = (1 << 32) - 1
"""Number of a segment that is not kept: its pack was removed."""

_FEW = 4
"""A base of more than so many times as many rows is left alone when rows are added."""


class Location(NamedTuple):
    """One place where a blob is."""

    pack: int
    ordinal: int
    segment: Segment
    offset: int
    length: int


class Table:
    """Every blob that is known, and where it is.

    Any thread may add and any may look up: adding takes a lock, looking up relies on what is
    added being complete before it can be found.

    Attributes:
        packs: rows of packs, in the order of their numbers, which never change.
        segments: rows of `SEGMENT_ROW`.
        base: the blobs, but for what was added since it was made.
        removed: packs of which nothing is found, whether the table knows them or not.
    """

    def __init__(self) -> None:
        self.packs = Rows(PACK_ROW_SIZE)
        self.segments = Rows(SEGMENT_ROW.size)
        self.base = Run.build(b"", b"")
        self.removed: set[PackName] = set()
        self._gone: set[int] = set()
        self._has_gone_rows = False
        self._overlay = Run.build(b"", b"")
        self._recent: dict[bytes, tuple[Place, ...]] = {}
        self._recent_rows = 0
        self._numbers: dict[PackName, int] | None = None
        self._lock = threading.Lock()

    @classmethod
    def of_columns(
        cls,
        packs: memoryview,
        segments: memoryview,
        base: Run,
        removed: Iterable[tuple[PackName, int | None]] = (),
    ) -> Table:
        """A table over columns that are in memory or mapped already.

        Args:
            packs: rows of packs.
            segments: rows of `SEGMENT_ROW`.
            base: the blobs; none is in a removed pack.
            removed: packs with their numbers, if they have any.
        """
        table = cls()
        table.packs = Rows(PACK_ROW_SIZE, packs)
        table.segments = Rows(SEGMENT_ROW.size, segments)
        table.base = base
        for name, number in removed:
            table.removed.add(name)
            if number is not None:
                table._gone.add(number)
        return table

    def removed_rows(self) -> Iterator[tuple[PackName, int | None]]:
        """All removed packs, with their numbers as far as they are known here."""
        return ((name, self.pack_number(name)) for name in sorted(self.removed))

    def __len__(self) -> int:
        return self.base.rows + self._overlay.rows + self._recent_rows

    def known(self, blob: bytes, excluded: Container[int]) -> int:
        """Number of a pack that holds the blob and is not excluded or removed, or -1."""
        segment = self._first_segment(blob)
        if segment < 0:
            return -1
        pack = self._pack_of(segment)
        if pack not in excluded and pack not in self._gone:
            return pack
        packs = (self._pack_of(number) for number, _, _ in self._places(blob))
        usable = (pack for pack in packs if pack not in excluded and pack not in self._gone)
        return next(usable, -1)

    def missing(
        self, blobs: Collection[BlobId], excluded: AbstractSet[int], used: set[int]
    ) -> Collection[BlobId]:
        """Those of many blobs that no pack holds which is neither excluded nor removed.

        Args:
            blobs: what is looked for.
            excluded: numbers of packs that do not count.
            used: gets the number of a pack for each blob that is found.
        """
        numbers = self.base.segments(blobs)
        packs = {self._pack_of(number) for number in set(numbers) if number >= 0}
        unsure: Iterable[BlobId] = blobs
        if packs.isdisjoint(excluded) and packs.isdisjoint(self._gone):
            used |= packs
            if -1 not in numbers:
                return ()
            unsure = (blob for blob, at in zip(blobs, numbers, strict=True) if at < 0)
        missing: list[BlobId] = []
        for blob in unsure:
            pack = self.known(blob, excluded)
            if pack < 0:
                missing.append(blob)
            else:
                used.add(pack)
        return missing

    def _pack_of(self, segment: int) -> int:
        number: int = SEGMENT_ROW.unpack(self.segments.row(segment))[0]
        return number

    def _first_segment(self, blob: bytes) -> int:
        place = self.place(blob)
        return -1 if place is None else place[0]

    def place(self, blob: bytes) -> Place | None:
        """The first place of a blob, perhaps in a removed pack; None when it is unknown.

        A caller that wants many blobs can look up each segment once: see `segment`.
        """
        places = self._recent.get(blob)
        if places is not None:
            return places[0]
        for run in (self._overlay, self.base):
            row = run.find(blob) if run.rows else -1
            if row >= 0:
                return run.place(row)
        return None

    def segment(self, number: int) -> Location | None:
        """Where a segment is, by the number in a `Place`; None when its pack is removed."""
        location = self._location(number, 0, 0)
        return None if location.pack in self._gone else location

    def locate(self, blob: bytes) -> list[Location]:
        """Every place where a blob is, excluded packs among them, but no removed ones."""
        found = [self._location(*place) for place in self._places(blob)]
        return [at for at in found if at.pack not in self._gone] if self._gone else found

    def _places(self, blob: bytes) -> list[Place]:
        places = list(self._recent.get(blob, ()))
        for run in (self._overlay, self.base):
            row = run.find(blob) if run.rows else -1
            while 0 <= row < run.rows and run.id(row) == blob:
                places.append(run.place(row))
                row += 1
        return places

    def _location(self, number: int, offset: int, length: int) -> Location:
        pack, start, stored, raw, mixed = SEGMENT_ROW.unpack(self.segments.row(number))
        return Location(pack, mixed >> 8, Segment(start, stored, raw, mixed & 255), offset, length)

    def sizes(self, blob: BlobId) -> tuple[int, int] | None:
        """Bytes of a blob as it was, and its share of what is stored; None when it is unknown."""
        places = self.locate(blob)
        if not places:
            return None
        _, _, segment, offset, length = places[0]
        return length, share(segment.stored, segment.raw, offset, length)

    def rows(self) -> Iterator[tuple[BlobId, Location]]:
        """Every blob with every place it is in, ascending by id."""
        self.flatten()
        run = self.base  # what is added meanwhile makes a new one
        for row in range(run.rows):
            at = self._location(*run.place(row))
            if at.pack not in self._gone:
                yield BlobId(run.id(row)), at

    def columns(self) -> Iterator[tuple[bytes, int, int]]:
        """As `rows`, many times as fast: (blob, number of the segment, length in bytes)."""
        self.flatten()
        for blob, segment, _, length in self.base.unpacked():
            yield blob, segment, length

    def segment_columns(self) -> tuple[array[int], array[int], array[int]]:
        """Of all segments, by their numbers: the pack, the stored length and the raw one."""
        fields, width = uint32s(b"".join(self.segments.parts())), SEGMENT_ROW.size // 4
        return fields[::width], fields[2::width], fields[3::width]

    # Packs

    def pack(self, number: int) -> PackRow:
        """A pack by its number."""
        digest, header, size = _PACK_ROW.unpack(self.packs.row(number))
        session = header[_SESSION_AT : _SESSION_AT + 4]
        return PackRow(PackName(f"{digest.hex()}-{session.hex()}"), header, size)

    def pack_number(self, name: PackName) -> int | None:
        """The number of a pack, or None when no index object has told of it."""
        if self._numbers is None:
            self._numbers = {self.pack(n).name: n for n in range(len(self.packs))}
        return self._numbers.get(name)

    def pack_rows(self) -> Iterable[PackRow]:
        """All packs in the order of their numbers, removed ones too: see `is_removed`."""
        return (self.pack(number) for number in range(len(self.packs)))

    def is_removed(self, number: int) -> bool:
        """Whether nothing is to be read from the pack of that number any more."""
        return number in self._gone

    def agrees(self, info: PackInfo) -> bool:
        """Whether every blob of a pack's trailer is known to be where the trailer says."""
        number = self.pack_number(info.name)
        if number is None or number in self._gone:
            return False
        for blob, ordinal, offset, length in info.blobs:
            expected = Location(number, ordinal, info.segments[ordinal], offset, length)
            if expected not in self.locate(blob):
                return False
        return True

    def remove(self, packs: Iterable[PackName]) -> None:
        """Learn that packs were removed; the table need not know them."""
        with self._lock:
            self._remove(packs)

    def _remove(self, packs: Iterable[PackName]) -> None:
        for name in packs:
            self.removed.add(name)
            number = self.pack_number(name)
            if number is not None and number not in self._gone:
                self._gone.add(number)
                self._has_gone_rows = True

    def _new_pack(self, row: PackRow) -> int | None:
        if self.pack_number(row.name) is not None or self._numbers is None:
            return None
        digest = bytes.fromhex(row.name[:64])
        number = self.packs.append(_PACK_ROW.pack(digest, row.header, row.size))
        if row.name in self.removed:
            self._gone.add(number)
        self._numbers[row.name] = number
        return number

    # Adding

    def add_pack(self, info: PackInfo) -> int | None:
        """Take in one pack; returns its number, None when it was known already."""
        with self._lock:
            return self._add_pack(info)

    def _add_pack(self, info: PackInfo) -> int | None:
        number = self._new_pack(PackRow(info.name, info.header, info.size))
        if number is None or number in self._gone:
            return number
        first = len(self.segments)
        for ordinal, (offset, stored, raw, codec) in enumerate(info.segments):
            self.segments.append(
                SEGMENT_ROW.pack(number, offset, stored, raw, ordinal << 8 | codec)
            )
        for blob, at, offset, length in info.blobs:
            self._wait(blob, (first + at, offset, length))
        self._settle_many()
        return number

    def add_object(self, index: IndexObject) -> None:
        """Take in the rows of an index object, except those that are known already."""
        self.add_objects([index])

    def add_objects(self, objects: Sequence[IndexObject]) -> None:
        """Take in the rows of many index objects at once, which costs less than one by one."""
        with self._lock:
            for index in objects:
                self._remove(index.removed)
            repeated = self._repeated(objects)
            segments = self._segments_of(repeated)
            several = [self._renumbered(index, repeated, segments) for index in objects]
            rows = sum(each.rows for each in several)
            if rows < RECENT_LIMIT:
                for each in several:
                    self._wait_all(each, are_new=not repeated)
                self._settle_many()
            elif rows * _FEW < self.base.rows:
                self._settle(several)
            else:
                self._merge(several)

    def _repeated(self, objects: Sequence[IndexObject]) -> set[PackName]:
        """The packs that are told of more than once: by objects merged from others, say."""
        times = Counter(row.name for index in objects for row in index.packs)
        return {
            name for name, told in times.items() if told > 1 or self.pack_number(name) is not None
        }

    def _segments_of(self, packs: Iterable[PackName]) -> dict[bytes, int]:
        """The numbers of these packs' segments that are known, by their rows."""
        numbers = {self.pack_number(name) for name in packs} - {None}
        if not numbers:
            return {}
        return {
            SEGMENT_ROW.pack(*row): at
            for at, row in enumerate(self.segments.unpacked(SEGMENT_ROW))
            if row[0] in numbers
        }

    def _renumbered(
        self, index: IndexObject, repeated: Container[PackName], segments: dict[bytes, int]
    ) -> Columns:
        """The rows of an object with our numbers of segments, but none in removed packs."""
        numbers, is_new = array("I"), True
        for row in index.packs:
            number = self._new_pack(row)
            numbers.append((self.pack_number(row.name) or 0) if number is None else number)
            is_new = is_new and row.name not in repeated and numbers[-1] not in self._gone
        if is_new:
            return _moved(index, self._all_segments(index, numbers))
        known = [row.name in repeated for row in index.packs]
        ours = array("I")
        for pack, *rest in SEGMENT_ROW.iter_unpack(index.segments):
            packed = SEGMENT_ROW.pack(numbers[pack], *rest)
            if numbers[pack] in self._gone:
                ours.append(_NOWHERE)
            elif known[pack] and packed in segments:
                ours.append(segments[packed])
            else:
                ours.append(self.segments.append(packed))
                if known[pack]:
                    segments[packed] = ours[-1]
        return _moved(index, ours)

    def _all_segments(self, index: IndexObject, packs: array[int]) -> array[int]:
        """Take in all segments of an object; returns their numbers."""
        fields, width = uint32s(index.segments), SEGMENT_ROW.size // 4
        fields[::width] = array("I", map(packs.__getitem__, fields[::width]))
        first = len(self.segments)
        self.segments.extend(_little(fields))
        return array("I", range(first, len(self.segments)))

    def _wait_all(self, columns: Columns, *, are_new: bool) -> None:
        """Put many rows into the dictionary; no row of a pack that is new is there already."""
        for blob, segment, offset, length in columns.unpacked():
            place = (segment, offset, length)
            if (
                are_new
                or self._first_segment(blob) < 0
                or self._location(*place) not in self.locate(blob)
            ):
                self._wait(blob, place)

    def _wait(self, blob: bytes, place: Place) -> None:
        """Put a row into the dictionary, where it costs little to add a few."""
        self._recent[blob] = (*self._recent.get(blob, ()), place)
        self._recent_rows += 1

    def _settle_many(self) -> None:
        if self._recent_rows >= RECENT_LIMIT:
            self._settle()

    def _settle(self, more: Sequence[Columns] = ()) -> None:
        """Merge what waits in the dictionary, and more, into the overlay."""
        self._overlay = merge([self._overlay, self._waiting(), *more])
        self._recent, self._recent_rows = {}, 0

    def _waiting(self) -> Columns:
        return Columns.of(
            [
                blob + PLACE_ROW.pack(*place)
                for blob in sorted(self._recent)
                for place in self._recent[blob]
            ]
        )

    def flatten(self) -> None:
        """Merge everything into one run, without the rows of removed packs."""
        with self._lock:
            if self._recent_rows or self._overlay.rows or self._has_gone_rows:
                self._merge([])

    def _merge(self, more: Sequence[Columns]) -> None:
        gone = self._gone_segments() if self._has_gone_rows else None
        self.base = merge([self.base, self._overlay, self._waiting(), *more], gone)
        self._overlay = Run.build(b"", b"")
        self._recent, self._recent_rows = {}, 0
        self._has_gone_rows = False

    def _gone_segments(self) -> set[int]:
        rows = enumerate(self.segments.unpacked(SEGMENT_ROW))
        return {at for at, row in rows if row[0] in self._gone}


def _moved(index: IndexObject, segments: array[int]) -> Columns:
    """The columns of an object, whose segments have new numbers; without those that have none."""
    numbers = uint32s(index.places)
    moved = array("I", map(segments.__getitem__, numbers[::3]))
    numbers[::3] = moved
    places = _little(numbers)
    if _NOWHERE not in segments:
        return Columns(index.ids, 0, memoryview(places), index.rows)
    keep = [number != _NOWHERE for number in moved]
    ids = b"".join(compress(_pieces(index.ids, ID_SIZE), keep))
    places = b"".join(compress(_pieces(places, PLACE_ROW.size), keep))
    return Columns(ids, 0, memoryview(places), sum(keep))


def _little(numbers: array[int]) -> bytes:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


def _pieces(data: bytes | bytearray, size: int) -> Iterator[bytes | bytearray]:
    return (data[at : at + size] for at in range(0, len(data), size))
