"""The index in memory: one binary search a lookup, and no Python object for a blob.

Blobs are rows of 44 bytes in sorted columns, either mapped from the cache's file or built here;
segments and packs are rows of their own. A first table cuts the ids, which are uniform, into
buckets of about 16 rows, and a search within a bucket is one call. Blobs that were just added
wait in a dictionary until there are enough of them to be worth merging.
"""

from __future__ import annotations

import struct
import threading
from array import array
from bisect import bisect_left
from collections.abc import Container, Iterable, Iterator, Sequence
from mmap import mmap
from typing import NamedTuple, TypeAlias

from holdfast.primitives.ids import ID_SIZE, BlobId, PackName
from holdfast.store.index import PLACE_ROW, SEGMENT_ROW, IndexObject, PackRow, uint32s
from holdfast.store.pack import HEADER_SIZE, PackInfo, Segment

Searchable: TypeAlias = bytes | bytearray | mmap

_Place: TypeAlias = tuple[int, int, int]
"""Number of a segment, offset and length, as in `PLACE_ROW`."""

Firsts: TypeAlias = "array[int] | memoryview"

RECENT_LIMIT = 1 << 15
"""Blobs that wait in the dictionary before they are merged into columns."""

_BUCKET_ROWS = 16
_PACK_ROW = struct.Struct(f"<32s{HEADER_SIZE}sI")
_SESSION_AT = 20
PACK_ROW_SIZE = _PACK_ROW.size


class Location(NamedTuple):
    """One place where a blob is."""

    pack: int
    ordinal: int
    segment: Segment
    offset: int
    length: int


class Run:
    """Sorted columns of blobs.

    Attributes:
        rows: number of blobs.
        ids: what holds the ids, at `ids_at`, 32 bytes a row, ascending.
        places: rows of `PLACE_ROW`.
        first: number of the first row of each bucket, and at last the number of rows.
    """

    def __init__(
        self, ids: Searchable, ids_at: int, places: memoryview, first: Firsts, rows: int
    ) -> None:
        self.rows = rows
        self.ids = ids
        self.ids_at = ids_at
        self.places = places
        self.first = first
        self._shift = 32 - (len(first) - 1).bit_length() + 1

    @classmethod
    def build(cls, ids: bytes | bytearray, places: bytes | bytearray) -> Run:
        """A run from sorted columns."""
        rows = len(ids) // ID_SIZE
        return cls(ids, 0, memoryview(places), _first_table(ids, rows), rows)

    def find(self, blob: bytes) -> int:
        """The first row with that id, or -1."""
        bucket = int.from_bytes(blob[:4], "big") >> self._shift
        place = self.ids_at + self.first[bucket] * ID_SIZE
        end = self.ids_at + self.first[bucket + 1] * ID_SIZE
        while (place := self.ids.find(blob, place, end)) >= 0:
            row, rest = divmod(place - self.ids_at, ID_SIZE)
            if not rest:
                return row
            place += 1
        return -1

    def id(self, row: int) -> bytes:
        """The id in a row."""
        place = self.ids_at + row * ID_SIZE
        return bytes(self.ids[place : place + ID_SIZE])

    def place(self, row: int) -> _Place:
        """Segment number, offset and length in a row."""
        segment, offset, length = PLACE_ROW.unpack_from(self.places, row * PLACE_ROW.size)
        return segment, offset, length

    def merged(self, more: Sequence[tuple[bytes, bytes]]) -> Run:
        """This run with more (id, packed place) rows, which are sorted."""
        ids, places = bytearray(), bytearray()
        done = 0
        for blob, packed in more:
            row = self._insertion(blob)
            if row > done:
                self._copy(done, row, ids, places)
                done = row
            ids += blob
            places += packed
        self._copy(done, self.rows, ids, places)
        return Run.build(ids, places)

    def _copy(self, start: int, end: int, ids: bytearray, places: bytearray) -> None:
        at = self.ids_at
        ids += self.ids[at + start * ID_SIZE : at + end * ID_SIZE]
        places += self.places[start * PLACE_ROW.size : end * PLACE_ROW.size]

    def _insertion(self, blob: bytes) -> int:
        bucket = int.from_bytes(blob[:4], "big") >> self._shift
        rows = range(self.first[bucket], self.first[bucket + 1])
        return rows.start + bisect_left(rows, blob, key=self.id)


def _first_table(ids: bytes | bytearray, rows: int) -> array[int]:
    bits = max(rows // _BUCKET_ROWS, 1).bit_length() - 1
    prefixes = array("I")
    step = 1 << 16
    view = memoryview(ids)
    for start in range(0, rows, step):
        prefixes.extend(uint32s(view[start * ID_SIZE : (start + step) * ID_SIZE])[:: ID_SIZE // 4])
    # The ids' first bytes are the most significant, the columns are little-endian.
    prefixes.byteswap()
    shift = 32 - bits
    table = array("I", (bisect_left(prefixes, bucket << shift) for bucket in range(1 << bits)))
    table.append(rows)
    return table


class Rows:
    """A table of fixed-size rows: those of the cache's file, then those added since."""

    def __init__(self, size: int, base: memoryview | None = None) -> None:
        self._size = size
        self._base = memoryview(b"") if base is None else base
        self._more = bytearray()

    def __len__(self) -> int:
        return (len(self._base) + len(self._more)) // self._size

    def append(self, row: bytes) -> int:
        """Add a row; returns its number."""
        self._more += row
        return len(self) - 1

    def row(self, number: int) -> bytes | memoryview | bytearray:
        """The bytes of a row."""
        place = number * self._size
        if place < len(self._base):
            return self._base[place : place + self._size]
        place -= len(self._base)
        return self._more[place : place + self._size]

    def parts(self) -> tuple[memoryview, bytearray]:
        """All rows, in two pieces."""
        return self._base, self._more


class Table:
    """Every blob that is known, and where it is.

    Any thread may add and any may look up: adding takes a lock, looking up relies on what is
    added being complete before it can be found.
    """

    def __init__(self) -> None:
        self.packs = Rows(PACK_ROW_SIZE)
        self.segments = Rows(SEGMENT_ROW.size)
        self.base = Run.build(b"", b"")
        self._overlay = Run.build(b"", b"")
        self._recent: dict[bytes, tuple[_Place, ...]] = {}
        self._recent_rows = 0
        self._numbers: dict[PackName, int] | None = None
        self._lock = threading.Lock()

    @classmethod
    def of_columns(cls, packs: memoryview, segments: memoryview, base: Run) -> Table:
        """A table over columns that are in memory or mapped already."""
        table = cls()
        table.packs = Rows(PACK_ROW_SIZE, packs)
        table.segments = Rows(SEGMENT_ROW.size, segments)
        table.base = base
        return table

    def __len__(self) -> int:
        return self.base.rows + self._overlay.rows + self._recent_rows

    def known(self, blob: bytes, excluded: Container[int]) -> int:
        """Number of a pack that holds the blob and is not excluded, or -1."""
        segment = self._first_segment(blob)
        if segment < 0:
            return -1
        pack: int = SEGMENT_ROW.unpack(self.segments.row(segment))[0]
        if pack not in excluded:
            return pack
        usable = (at.pack for at in self.locate(blob) if at.pack not in excluded)
        return next(usable, -1)

    def _first_segment(self, blob: bytes) -> int:
        places = self._recent.get(blob)
        if places is not None:
            return places[0][0]
        for run in (self._overlay, self.base):
            row = run.find(blob) if run.rows else -1
            if row >= 0:
                return run.place(row)[0]
        return -1

    def locate(self, blob: bytes) -> list[Location]:
        """Every place where a blob is, excluded packs among them."""
        places = list(self._recent.get(blob, ()))
        for run in (self._overlay, self.base):
            row = run.find(blob)
            while 0 <= row < run.rows and run.id(row) == blob:
                places.append(run.place(row))
                row += 1
        return [self._location(*place) for place in places]

    def _location(self, number: int, offset: int, length: int) -> Location:
        pack, start, stored, raw, mixed = SEGMENT_ROW.unpack(self.segments.row(number))
        return Location(pack, mixed >> 8, Segment(start, stored, raw, mixed & 255), offset, length)

    def sizes(self, blob: BlobId) -> tuple[int, int] | None:
        """Bytes of a blob as it was, and its share of what is stored; None when it is unknown."""
        places = self.locate(blob)
        if not places:
            return None
        segment, length = places[0].segment, places[0].length
        return length, -(-segment.stored * length // max(segment.raw, 1))

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
        """All packs, in the order of their numbers."""
        return (self.pack(number) for number in range(len(self.packs)))

    def agrees(self, info: PackInfo) -> bool:
        """Whether every blob of a pack's trailer is known to be where the trailer says."""
        number = self.pack_number(info.name)
        for blob, ordinal, offset, length in info.blobs:
            expected = Location(number or 0, ordinal, info.segments[ordinal], offset, length)
            if expected not in self.locate(blob):
                return False
        return number is not None

    def _new_pack(self, row: PackRow) -> int | None:
        if self.pack_number(row.name) is not None or self._numbers is None:
            return None
        digest = bytes.fromhex(row.name[:64])
        number = self.packs.append(_PACK_ROW.pack(digest, row.header, row.size))
        self._numbers[row.name] = number
        return number

    def add_pack(self, info: PackInfo) -> int | None:
        """Take in one pack; returns its number, None when it was known already."""
        with self._lock:
            return self._add_pack(info)

    def _add_pack(self, info: PackInfo) -> int | None:
        number = self._new_pack(PackRow(info.name, info.header, info.size))
        if number is None:
            return None
        first = len(self.segments)
        for ordinal, (offset, stored, raw, codec) in enumerate(info.segments):
            self.segments.append(
                SEGMENT_ROW.pack(number, offset, stored, raw, ordinal << 8 | codec)
            )
        self._wait(
            [(blob, (first + at, offset, length)) for blob, at, offset, length in info.blobs]
        )
        return number

    def add_object(self, index: IndexObject) -> None:
        """Take in the rows of an index object, except those that are known already."""
        with self._lock:
            self._add_object(index)

    def _add_object(self, index: IndexObject) -> None:
        new = [self._new_pack(row) for row in index.packs]
        numbers = [
            self.pack_number(row.name) if number is None else number
            for row, number in zip(index.packs, new, strict=True)
        ]
        # An object written twice, or merged from others, tells of packs that are known already.
        known = [number is None for number in new]
        first = len(self.segments)
        told: list[bool] = []
        for pack, *rest in SEGMENT_ROW.iter_unpack(index.segments):
            self.segments.append(SEGMENT_ROW.pack(numbers[pack], *rest))
            told.append(known[pack])
        ids = index.ids
        rows = (
            (ids[row * ID_SIZE : (row + 1) * ID_SIZE], (first + segment, offset, length))
            for row, (segment, offset, length) in enumerate(PLACE_ROW.iter_unpack(index.places))
        )
        more = [
            (blob, place)
            for blob, place in rows
            if not told[place[0] - first] or self._location(*place) not in self.locate(blob)
        ]
        if len(more) < RECENT_LIMIT:
            self._wait(more)
        else:
            self._settle()
            self._overlay = self._overlay.merged(
                [(blob, PLACE_ROW.pack(*place)) for blob, place in more]
            )

    def _wait(self, more: Sequence[tuple[bytes, _Place]]) -> None:
        """Put rows into the dictionary, where it costs little to add a few."""
        for blob, place in more:
            self._recent[blob] = (*self._recent.get(blob, ()), place)
        self._recent_rows += len(more)
        if self._recent_rows >= RECENT_LIMIT:
            self._settle()

    def _settle(self) -> None:
        """Merge what waits in the dictionary into the overlay."""
        if self._recent_rows:
            more = [
                (blob, PLACE_ROW.pack(*place))
                for blob in sorted(self._recent)
                for place in self._recent[blob]
            ]
            self._overlay = self._overlay.merged(more)
            self._recent, self._recent_rows = {}, 0

    def flatten(self) -> None:
        """Merge everything into one run."""
        with self._lock:
            self._flatten()

    def _flatten(self) -> None:
        self._settle()
        if self._overlay.rows:
            run = self._overlay
            step = 1 << 16
            for start in range(0, run.rows, step):
                end = min(start + step, run.rows)
                self.base = self.base.merged(
                    [
                        (run.id(row), bytes(run.places[row * 12 : row * 12 + 12]))
                        for row in range(start, end)
                    ]
                )
            self._overlay = Run.build(b"", b"")

    def rows(self) -> Iterator[tuple[BlobId, Location]]:
        """Every blob with every place it is in, ascending by id."""
        self.flatten()
        run = self.base  # what is added meanwhile makes a new one
        for row in range(run.rows):
            yield BlobId(run.id(row)), self._location(*run.place(row))
