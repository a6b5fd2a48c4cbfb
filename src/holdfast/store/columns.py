"""Sorted columns of blobs: searching in them, and merging them without an object for a blob.

A first table cuts the ids, which are uniform, into buckets of about 16 rows, and a search within
a bucket is one call. Columns are merged in parts of bounded size, whatever the ids are.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import chain
from mmap import mmap
from typing import NamedTuple, TypeAlias

from holdfast.primitives.ids import ID_SIZE
from holdfast.store.index import PLACE_ROW, uint32s

Searchable: TypeAlias = bytes | bytearray | mmap

Place: TypeAlias = tuple[int, int, int]
"""Number of a segment, offset and length, as in `PLACE_ROW`."""

Firsts: TypeAlias = "array[int] | memoryview"

PART_ROWS = 1 << 16
"""Rows that are merged at a time."""

_BUCKET_ROWS = 16
_ID = struct.Struct(f"{ID_SIZE}s")
_PLACE = struct.Struct(f"{PLACE_ROW.size}s")
_NUMBER = struct.Struct("<I")
"""The first field of `PLACE_ROW`."""
_FEW = 8
"""Rows are put in among more than so many times as many, rather than sorted with them."""


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

    def extend(self, rows: bytes) -> None:
        """Add many rows."""
        self._more += rows

    def row(self, number: int) -> bytes | memoryview | bytearray:
        """The bytes of a row."""
        place = number * self._size
        if place < len(self._base):
            return self._base[place : place + self._size]
        place -= len(self._base)
        return self._more[place : place + self._size]

    def unpacked(self, row: struct.Struct) -> Iterator[tuple[int, ...]]:
        """The fields of all rows; nothing may be added meanwhile."""
        return chain(row.iter_unpack(self._base), row.iter_unpack(self._more))

    def parts(self) -> tuple[memoryview, bytearray]:
        """All rows, in two pieces."""
        return self._base, self._more


class Columns:
    """Sorted rows of blobs.

    Attributes:
        rows: number of rows.
        ids: what holds the ids, at `ids_at`, 32 bytes a row, ascending.
        places: rows of `PLACE_ROW`.
    """

    def __init__(self, ids: Searchable, ids_at: int, places: memoryview, rows: int) -> None:
        self.rows = rows
        self.ids = ids
        self.ids_at = ids_at
        self.places = places

    @classmethod
    def of(cls, records: Sequence[bytes]) -> Columns:
        """Columns of sorted records, each an id and its packed place."""
        return cls(
            b"".join([record[:ID_SIZE] for record in records]), 0,
            memoryview(b"".join([record[ID_SIZE:] for record in records])), len(records),
        )  # fmt: skip

    def id(self, row: int) -> bytes:
        """The id in a row."""
        place = self.ids_at + row * ID_SIZE
        return bytes(self.ids[place : place + ID_SIZE])

    def place(self, row: int) -> Place:
        """Segment number, offset and length in a row."""
        segment, offset, length = PLACE_ROW.unpack_from(self.places, row * PLACE_ROW.size)
        return segment, offset, length

    def id_bytes(self, start: int, end: int) -> bytes | bytearray:
        """The ids of some rows, one after another."""
        return self.ids[self.ids_at + start * ID_SIZE : self.ids_at + end * ID_SIZE]

    def place_bytes(self, start: int, end: int) -> memoryview:
        """The places of some rows, one after another."""
        return self.places[start * PLACE_ROW.size : end * PLACE_ROW.size]

    def unpacked(self) -> Iterator[tuple[bytes, int, int, int]]:
        """All rows as (id, segment number, offset, length), quicker than one by one."""
        for start in range(0, self.rows, PART_ROWS):
            end = min(start + PART_ROWS, self.rows)
            ids = _ID.iter_unpack(self.id_bytes(start, end))
            places = PLACE_ROW.iter_unpack(self.place_bytes(start, end))
            for (id_,), (segment, offset, length) in zip(ids, places, strict=True):
                yield id_, segment, offset, length


class Run(Columns):
    """Columns that can be searched.

    Attributes:
        first: number of the first row of each bucket, and at last the number of rows.
    """

    def __init__(
        self, ids: Searchable, ids_at: int, places: memoryview, first: Firsts, rows: int
    ) -> None:
        super().__init__(ids, ids_at, places, rows)
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

    def segments(self, blobs: Iterable[bytes]) -> list[int]:
        """The number of the segment in the first row of each blob, -1 where there is none.

        One loop, because a backup asks for every blob of every unchanged file.
        """
        ids_at, first, shift = self.ids_at, self.first, self._shift
        find, number_at = self.ids.find, _NUMBER.unpack_from
        numbers: list[int] = []
        for blob in blobs:
            bucket = int.from_bytes(blob[:4], "big") >> shift
            place = find(
                blob, ids_at + first[bucket] * ID_SIZE, ids_at + first[bucket + 1] * ID_SIZE
            )
            if (place - ids_at) % ID_SIZE:  # none at all, or one across two rows
                place = ids_at + self.find(blob) * ID_SIZE
            if place < ids_at:
                numbers.append(-1)
            else:
                numbers += number_at(self.places, (place - ids_at) // ID_SIZE * PLACE_ROW.size)
        return numbers


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


# Merging


class _Slice(NamedTuple):
    """Some rows of columns, at least one."""

    columns: Columns
    start: int
    end: int

    @property
    def rows(self) -> int:
        return self.end - self.start

    def ids(self) -> bytes | bytearray:
        return self.columns.id_bytes(self.start, self.end)

    def places(self) -> memoryview:
        return self.columns.place_bytes(self.start, self.end)

    def split(self, pivot: bytes, *, after: bool) -> tuple[_Slice, _Slice]:
        """Cut before or after the rows with the id `pivot`."""
        bisect = bisect_right if after else bisect_left
        middle = bisect(range(self.end), pivot, self.start, key=self.columns.id)
        return _Slice(self.columns, self.start, middle), _Slice(self.columns, middle, self.end)


def merge(sources: Iterable[Columns], dropped: Container[int] | None = None) -> Run:
    """All rows of all sources, sorted; a row that several have alike comes once.

    Args:
        sources: sorted columns.
        dropped: numbers of segments whose rows are left out.
    """
    ids, places = bytearray(), bytearray()
    for part in _parts([_Slice(each, 0, each.rows) for each in sources if each.rows]):
        main = max(part, key=lambda each: each.rows)
        if dropped is not None:
            _write(_kept(_records(part), dropped), ids, places)
        elif len(part) == 1:
            ids += main.ids()
            places += main.places()
        elif sum(each.rows for each in part) - main.rows < main.rows // _FEW:
            rest = [each for each in part if each is not main]
            _insert(main, sorted(_records(rest)), ids, places)
        else:
            _write(_records(part), ids, places)
    return Run.build(ids, places)


def _parts(slices: list[_Slice]) -> Iterator[list[_Slice]]:
    """The same rows in pieces of at most `PART_ROWS`, of which no id is above one in the next."""
    waiting = [slices] if slices else []
    while waiting:
        part = waiting.pop()
        if sum(each.rows for each in part) <= PART_ROWS:
            yield part
            continue
        if _have_one_id(part):
            yield from _pieces(part)
            continue
        longest = max(part, key=lambda each: each.rows)
        pivot = longest.columns.id((longest.start + longest.end) // 2)
        left, right = _split(part, pivot, after=False)
        if not left:
            left, right = _split(part, pivot, after=True)
        waiting += [right, left]


def _pieces(part: Sequence[_Slice]) -> Iterator[list[_Slice]]:
    for each in part:
        for start in range(each.start, each.end, PART_ROWS):
            yield [_Slice(each.columns, start, min(start + PART_ROWS, each.end))]


def _have_one_id(part: Sequence[_Slice]) -> bool:
    first = part[0].columns.id(part[0].start)
    return all(
        each.columns.id(each.start) == first == each.columns.id(each.end - 1) for each in part
    )


def _split(
    part: Sequence[_Slice], pivot: bytes, *, after: bool
) -> tuple[list[_Slice], list[_Slice]]:
    halves = [each.split(pivot, after=after) for each in part]
    return [left for left, _ in halves if left.rows], [right for _, right in halves if right.rows]


def _records(part: Sequence[_Slice]) -> list[bytes]:
    """The rows as one piece of bytes each, id and place."""
    ids = b"".join([each.ids() for each in part])
    places = b"".join([each.places() for each in part])
    pairs = zip(_ID.iter_unpack(ids), _PLACE.iter_unpack(places), strict=True)
    return [id_ + place for (id_,), (place,) in pairs]


def _kept(records: Sequence[bytes], dropped: Container[int]) -> list[bytes]:
    end = ID_SIZE + 4
    return [each for each in records if int.from_bytes(each[ID_SIZE:end], "little") not in dropped]


def _write(records: list[bytes], ids: bytearray, places: bytearray) -> None:
    found = Columns.of(list(dict.fromkeys(sorted(records))))
    ids += found.id_bytes(0, found.rows)
    places += found.places


def _insert(main: _Slice, records: Sequence[bytes], ids: bytearray, places: bytearray) -> None:
    """Write a long piece with a few records put in, where it is cheap to copy what is between."""
    columns, done = main.columns, main.start
    for record in dict.fromkeys(records):
        blob = record[:ID_SIZE]
        row = bisect_left(range(main.end), blob, done, key=columns.id)
        ids += columns.id_bytes(done, row)
        places += columns.place_bytes(done, row)
        done = row
        if not _has(main, row, record):
            ids += blob
            places += record[ID_SIZE:]
    ids += columns.id_bytes(done, main.end)
    places += columns.place_bytes(done, main.end)


def _has(main: _Slice, row: int, record: bytes) -> bool:
    while row < main.end and main.columns.id(row) == record[:ID_SIZE]:
        if main.columns.place_bytes(row, row + 1) == record[ID_SIZE:]:
            return True
        row += 1
    return False
