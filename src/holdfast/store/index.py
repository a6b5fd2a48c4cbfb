"""Index objects: where every blob is, in sealed columns (docs/format.md, "Index").

::

    header | length of head | head | page … page

The head lists packs and segments; a page holds rows of blobs. Rows are sorted by id through all
pages, so that a reader may fetch the one page that an id falls in.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from holdfast.errors import DamagedRepository
from holdfast.primitives import codec
from holdfast.primitives.crypto import TAG_SIZE, Domain, Forged, Opener
from holdfast.primitives.hashing import digest
from holdfast.primitives.ids import ID_SIZE, PackName
from holdfast.store.envelope import HEADER_SIZE as OBJECT_HEADER_SIZE
from holdfast.store.envelope import ObjectType, bound_to, new_sealer, opener
from holdfast.store.keys import Keys
from holdfast.store.objects import is_pack
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


class PackRow(NamedTuple):
    """A pack as an index knows it: enough to read any segment with one ranged get."""

    name: PackName
    header: bytes
    size: int


@dataclass(frozen=True, slots=True)
class IndexObject:
    """A decoded index object.

    Attributes:
        packs: the packs that its segments are in.
        segments: rows of `SEGMENT_ROW`.
        ids: 32 bytes a blob, ascending.
        places: rows of `PLACE_ROW`, one for each id.
    """

    packs: Sequence[PackRow]
    segments: bytes = field(repr=False)
    ids: bytes = field(repr=False)
    places: bytes = field(repr=False)


def uint32s(data: bytes | bytearray | memoryview) -> array[int]:
    """Little-endian 32-bit numbers as an array."""
    numbers = array("I")
    numbers.frombytes(data)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def encode_index(name: str, packs: Sequence[PackInfo], keys: Keys) -> bytes:
    """An index object for whole packs, of at most `OBJECT_ROWS` rows or one pack."""
    pack_rows: list[tuple[str, bytes, int]] = []
    segments = bytearray()
    rows: list[tuple[bytes, bytes]] = []
    first = 0
    for number, pack in enumerate(packs):
        pack_rows.append((pack.name, pack.header, pack.size))
        for ordinal, (offset, stored, raw, codec_) in enumerate(pack.segments):
            segments += SEGMENT_ROW.pack(number, offset, stored, raw, ordinal << 8 | codec_)
        rows += [
            (blob, PLACE_ROW.pack(first + segment, offset, length))
            for blob, segment, offset, length in pack.blobs
        ]
        first += len(pack.segments)
    rows.sort()
    groups = [rows[start : start + PAGE_ROWS] for start in range(0, len(rows), PAGE_ROWS)]
    pages = [
        b"".join(id_ for id_, _ in group) + b"".join(place for _, place in group)
        for group in groups
    ]
    head = codec.pack(
        {
            "packs": pack_rows,
            "pages": [(len(group), group[0][0]) for group in groups],
            "segments": bytes(segments),
        }
    )
    header, sealer = new_sealer(ObjectType.INDEX, keys, digest(head + b"".join(pages)))
    length = (len(head) + TAG_SIZE).to_bytes(4, "little")
    context = header + length + bound_to(name, keys)
    parts = [header, length, sealer.seal(Domain.OBJECT, head, context)]
    parts += [sealer.seal(Domain.PAGE, page, context) for page in pages]
    return b"".join(parts)


def decode_index(name: str, data: bytes, keys: Keys) -> IndexObject:
    """The rows of an index object.

    Raises:
        DamagedRepository: damaged, forged, or it makes no sense.
    """
    header, open_with = opener(ObjectType.INDEX, keys, name, data)
    start = OBJECT_HEADER_SIZE + 4
    length = data[OBJECT_HEADER_SIZE:start]
    end = start + int.from_bytes(length, "little")
    context = header + length + bound_to(name, keys)
    view = memoryview(data)
    try:
        head = codec.unpack(open_with.open(Domain.OBJECT, 0, view[start:end], context))
        packs, segments, counts = _parse_head(head)
        pages = list(_open_pages(open_with, view[end:], counts, context))
    except Forged:
        raise DamagedRepository(name, "damaged, or not the object of that name") from None
    except ValueError as error:
        raise DamagedRepository(name, str(error)) from None
    ids = b"".join(page[: count * ID_SIZE] for page, count in zip(pages, counts, strict=True))
    places = b"".join(page[count * ID_SIZE :] for page, count in zip(pages, counts, strict=True))
    _check_segments(name, packs, segments)
    _check_blobs(name, ids, places, len(segments) // SEGMENT_ROW.size)
    return IndexObject(packs, segments, ids, places)


def _parse_head(head: object) -> tuple[list[PackRow], bytes, list[int]]:
    match head:
        case {"packs": tuple(packs), "segments": bytes(segments), "pages": tuple(pages)} if (
            len(segments) % SEGMENT_ROW.size == 0
        ):
            return [_parse_pack(row) for row in packs], segments, [_parse_page(p) for p in pages]
        case _:
            raise ValueError("its head lacks fields")


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


def _open_pages(
    open_with: Opener, sealed: memoryview, counts: Sequence[int], context: bytes
) -> Iterator[bytes]:
    row = ID_SIZE + PLACE_ROW.size
    if len(sealed) != sum(count * row + TAG_SIZE for count in counts):
        raise ValueError("its length is not that of its pages")
    place = 0
    for ordinal, count in enumerate(counts):
        size = count * row + TAG_SIZE
        yield open_with.open(Domain.PAGE, ordinal, sealed[place : place + size], context)
        place += size


def _check_segments(name: str, packs: Sequence[PackRow], segments: bytes) -> None:
    for pack, offset, stored, raw, mixed in SEGMENT_ROW.iter_unpack(segments):
        if pack >= len(packs):
            raise DamagedRepository(name, "a segment of no pack")
        if not is_possible(Segment(offset, stored, raw, mixed & 255), packs[pack].size):
            raise DamagedRepository(name, f"an impossible segment of pack {packs[pack].name}")


def _check_blobs(name: str, ids: bytes, places: bytes, segments: int) -> None:
    if places and max(uint32s(places)[::3]) >= segments:
        raise DamagedRepository(name, "a blob of no segment")
    rows = (ids[at : at + ID_SIZE] for at in range(0, len(ids), ID_SIZE))
    # What is not sorted here would hide what other objects tell.
    if any(after < before for before, after in pairwise(rows)):
        raise DamagedRepository(name, "its blobs are in no order")
