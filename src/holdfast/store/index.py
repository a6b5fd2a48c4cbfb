"""Index objects: where every blob is, in sealed columns (docs/format.md, "Index").

::

    header | length of head | head | page … page

The head lists packs and segments; a page holds rows of blobs. Rows are sorted by id through all
pages, so that a reader may fetch the one page that an id falls in.
"""

from __future__ import annotations

import operator
import struct
import sys
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice, pairwise
from typing import NamedTuple

from holdfast.backend import Backend
from holdfast.errors import DamagedRepository
from holdfast.primitives import codec
from holdfast.primitives.crypto import TAG_SIZE, Buffer, Domain, Forged
from holdfast.primitives.hashing import digest
from holdfast.primitives.ids import ID_SIZE, PackName
from holdfast.store.envelope import HEADER_SIZE as OBJECT_HEADER_SIZE
from holdfast.store.envelope import ObjectType, bound_to, new_sealer, opener
from holdfast.store.keys import Keys
from holdfast.store.objects import get_object, is_pack
from holdfast.store.pack import HEADER_SIZE as PACK_HEADER_SIZE
from holdfast.store.pack import PACK_LIMIT, PackInfo, Segment, is_possible, parse_header

PAGE_ROWS = 1 << 16
"""Most rows in a page."""

OBJECT_ROWS = 1 << 17
"""Most rows that a writer puts into one index object."""

SEGMENT_ROW = struct.Struct("<IIIII")
"""Pack number, offset, stored length, raw length, ordinal × 256 + codec."""

PLACE_ROW = struct.Struct("<III")
"""Segment number, offset in the decoded segment, length."""

_HEAD_READ = 64 << 10
"""Bytes that are read for a head at first; nearly all are shorter."""


class PackRow(NamedTuple):
    """A pack as an index knows it: enough to read any segment with one ranged get."""

    name: PackName
    header: bytes
    size: int


@dataclass(frozen=True, slots=True)
class IndexHead:
    """What the head of an index object says.

    Attributes:
        packs: the packs that its segments are in.
        segments: rows of `SEGMENT_ROW`.
        counts: the number of rows of each page.
        removed: packs that nothing is to be read from, whoever tells of them.
    """

    packs: Sequence[PackRow]
    segments: bytes = field(repr=False)
    counts: Sequence[int]
    removed: frozenset[PackName]

    @property
    def rows(self) -> int:
        """The number of rows in all pages."""
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class IndexObject:
    """A decoded index object.

    Attributes:
        packs: the packs that its segments are in.
        segments: rows of `SEGMENT_ROW`.
        ids: 32 bytes a blob, ascending.
        places: rows of `PLACE_ROW`, one for each id.
        removed: packs that nothing is to be read from, whoever tells of them.
    """

    packs: Sequence[PackRow]
    segments: bytes | bytearray = field(repr=False)
    ids: bytes | bytearray = field(repr=False)
    places: bytes | bytearray = field(repr=False)
    removed: frozenset[PackName] = frozenset()

    @property
    def rows(self) -> int:
        """The number of blobs, counted once for each place."""
        return len(self.ids) // ID_SIZE


def uint32s(data: Buffer) -> array[int]:
    """Little-endian 32-bit numbers as an array."""
    numbers = array("I")
    numbers.frombytes(data)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def prefixes(ids: Buffer) -> array[int]:
    """The first 8 bytes of each id as a number; numbers are in the order of the ids."""
    numbers = array("Q")
    numbers.frombytes(ids)
    numbers = numbers[:: ID_SIZE // 8]
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers


def encode_index(
    name: str, packs: Sequence[PackInfo], keys: Keys, *, removed: Iterable[PackName] = ()
) -> bytes:
    """An index object for whole packs, of at most `OBJECT_ROWS` rows or one pack.

    Args:
        name: of the object.
        packs: what their trailers say; there may be none.
        keys: of the repository.
        removed: names of packs that nothing is ever to be read from again.
    """
    segments = bytearray()
    rows: list[tuple[bytes, bytes]] = []
    first = 0
    for number, pack in enumerate(packs):
        for ordinal, (offset, stored, raw, codec_) in enumerate(pack.segments):
            segments += SEGMENT_ROW.pack(number, offset, stored, raw, ordinal << 8 | codec_)
        rows += [
            (blob, PLACE_ROW.pack(first + segment, offset, length))
            for blob, segment, offset, length in pack.blobs
        ]
        first += len(pack.segments)
    rows.sort()
    index = IndexObject(
        packs=[PackRow(pack.name, pack.header, pack.size) for pack in packs],
        segments=segments,
        ids=b"".join(id_ for id_, _ in rows),
        places=b"".join(place for _, place in rows),
        removed=frozenset(removed),
    )
    return encode_object(name, index, keys)


def encode_object(name: str, index: IndexObject, keys: Keys) -> bytes:
    """An index object of rows that are sorted already."""
    ids, places = memoryview(index.ids), memoryview(index.places)
    starts = range(0, index.rows, PAGE_ROWS)
    record: dict[str, object] = {
        "packs": list(index.packs),
        "pages": [
            (min(PAGE_ROWS, index.rows - at), bytes(ids[at * ID_SIZE : (at + 1) * ID_SIZE]))
            for at in starts
        ],
        "segments": bytes(index.segments),
    }
    if index.removed:
        record["removed"] = sorted(index.removed)
    head = codec.pack(record)
    bound = bound_to(name, keys)
    content = bound + digest(b"".join((head, ids, places)))
    header, sealer = new_sealer(ObjectType.INDEX, keys, content)
    length = (len(head) + TAG_SIZE).to_bytes(4, "little")
    context = header + length + bound
    parts = [header, length, sealer.seal(Domain.OBJECT, head, context)]
    for at in starts:
        page = b"".join(
            (
                ids[at * ID_SIZE : (at + PAGE_ROWS) * ID_SIZE],
                places[at * PLACE_ROW.size : (at + PAGE_ROWS) * PLACE_ROW.size],
            )
        )
        parts.append(sealer.seal(Domain.PAGE, page, context))
    return b"".join(parts)


def decode_index(name: str, data: bytes, keys: Keys) -> IndexObject:
    """The rows of an index object.

    Raises:
        DamagedRepository: damaged, forged, or it makes no sense.
    """
    found = _Head(name, data, len(data), keys)
    head = found.head
    ids, places = bytearray(head.rows * ID_SIZE), bytearray(head.rows * PLACE_ROW.size)
    segments = len(head.segments) // SEGMENT_ROW.size
    view = memoryview(data)
    row, last = 0, bytes(ID_SIZE)
    for ordinal, count in enumerate(head.counts):
        page = memoryview(found.open_page(ordinal, view, row))
        middle, end = count * ID_SIZE, row + count
        _check_page(name, last, page[:middle], page[middle:], segments)
        ids[row * ID_SIZE : end * ID_SIZE] = page[:middle]
        places[row * PLACE_ROW.size : end * PLACE_ROW.size] = page[middle:]
        row, last = end, bytes(page[middle - ID_SIZE : middle])
    return IndexObject(head.packs, head.segments, ids, places, head.removed)


def read_head(backend: Backend, name: str, size: int, keys: Keys) -> IndexHead:
    """The head of a stored index object of so many bytes, without its pages.

    Raises:
        ObjectNotFound: there is no such object.
        DamagedRepository: it is damaged, forged, or it makes no sense.
    """
    data = get_object(backend, name, 0, min(size, _HEAD_READ))
    end = _head_end(data)
    if len(data) < end <= size:
        data += get_object(backend, name, len(data), end - len(data))
    return _Head(name, data, size, keys).head


def _head_end(data: bytes) -> int:
    start = OBJECT_HEADER_SIZE + 4
    return start + int.from_bytes(data[OBJECT_HEADER_SIZE:start], "little")


class _Head:
    """A head, opened, and the way to the pages after it."""

    def __init__(self, name: str, data: bytes, size: int, keys: Keys) -> None:
        _, self._opener = opener(ObjectType.INDEX, keys, name, data)
        self._name = name
        start = OBJECT_HEADER_SIZE + 4
        self._end = _head_end(data)
        self._context = data[:start] + bound_to(name, keys)
        sealed = memoryview(data)[start : self._end]
        try:
            record = self._opener.open(Domain.OBJECT, 0, sealed, self._context)
            self.head = _parse_head(codec.unpack(record))
        except Forged:
            raise _forged(name) from None
        except ValueError as error:
            raise DamagedRepository(name, str(error)) from None
        head = self.head
        if size - self._end != head.rows * _ROW + len(head.counts) * TAG_SIZE:
            raise DamagedRepository(name, "its length is not that of its pages")
        _check_segments(name, head.packs, head.segments)

    def open_page(self, ordinal: int, data: memoryview, row: int) -> bytes:
        """The page of that ordinal, before which there are so many rows."""
        start = self._end + row * _ROW + ordinal * TAG_SIZE
        sealed = data[start : start + self.head.counts[ordinal] * _ROW + TAG_SIZE]
        try:
            return self._opener.open(Domain.PAGE, ordinal, sealed, self._context)
        except Forged:
            raise _forged(self._name) from None


_ROW = ID_SIZE + PLACE_ROW.size


def _forged(name: str) -> DamagedRepository:
    return DamagedRepository(name, "damaged, or not the object of that name")


def _parse_head(head: object) -> IndexHead:
    match head:
        case {"packs": tuple(packs), "segments": bytes(segments), "pages": tuple(pages)} if (
            len(segments) % SEGMENT_ROW.size == 0
        ):
            rows, counts = list(map(_parse_pack, packs)), list(map(_parse_page, pages))
            return IndexHead(rows, segments, counts, _parse_removed(head))
        case _:
            raise ValueError("its head lacks fields")


def _parse_removed(head: object) -> frozenset[PackName]:
    match head:
        case {"removed": tuple(names)} if all(isinstance(n, str) and is_pack(n) for n in names):
            return frozenset(map(PackName, names))
        case {"removed": _}:
            raise ValueError("what it says of removed packs makes no sense")
        case _:
            return frozenset()


def _parse_pack(row: object) -> PackRow:
    match row:
        case (str(name), bytes(header), int(size)) if (
            is_pack(name) and len(header) == PACK_HEADER_SIZE and 0 < size <= PACK_LIMIT
        ):
            try:
                parse_header(header, PackName(name))
            except DamagedRepository as error:
                raise ValueError(f"pack {name}: {error.problem}") from None
            return PackRow(PackName(name), header, size)
        case _:
            raise ValueError("a pack's row makes no sense")


def _parse_page(row: object) -> int:
    match row:
        case (int(count), bytes()) if 0 < count <= PAGE_ROWS:
            return count
        case _:
            raise ValueError("a page's row makes no sense")


def _check_segments(name: str, packs: Sequence[PackRow], segments: bytes) -> None:
    for pack, offset, stored, raw, mixed in SEGMENT_ROW.iter_unpack(segments):
        if pack >= len(packs):
            raise DamagedRepository(name, "a segment of no pack")
        if not is_possible(Segment(offset, stored, raw, mixed & 255), packs[pack].size):
            raise DamagedRepository(name, f"an impossible segment of pack {packs[pack].name}")


def _check_page(name: str, last: bytes, ids: memoryview, places: memoryview, segments: int) -> None:
    """Check the rows of a page; `last` is the id before them."""
    if max(uint32s(places)[::3]) >= segments:
        raise DamagedRepository(name, "a blob of no segment")
    # What is not sorted here would hide what other objects tell.
    if bytes(ids[:ID_SIZE]) < last or not _ascend(ids):
        raise DamagedRepository(name, "its blobs are in no order")


def _ascend(ids: memoryview) -> bool:
    numbers = prefixes(ids)
    if all(map(operator.lt, numbers, islice(numbers, 1, None))):
        return True
    rows = (bytes(ids[at : at + ID_SIZE]) for at in range(0, len(ids), ID_SIZE))
    return all(before <= after for before, after in pairwise(rows))
