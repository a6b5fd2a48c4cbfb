"""Index objects of made-up packs, for tests of what is done with them."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from holdfast.backend import Backend, MemoryBackend
from holdfast.primitives.hashing import digest
from holdfast.primitives.ids import BlobId, PackName
from holdfast.store.catalog import Catalog
from holdfast.store.index import IndexObject, decode_index, encode_index
from holdfast.store.keys import Keys
from holdfast.store.pack import HEADER_SIZE, PackInfo, Placed, Segment
from holdfast.store.table import Table

KEYS = Keys(bytes(range(16)), 0, b"d" * 32, b"m" * 32)
SESSION = bytes(range(16))

Told: TypeAlias = set[tuple[bytes, PackName, int, Segment, int, int]]


def pack(number: int, blobs: int = 5) -> PackInfo:
    """A pack of so many blobs, three in a segment; every second one is in the next pack too."""
    header = struct.pack(
        "<8sHHBBHI16s32s32s",
        b"HFPACK\r\n", 1, HEADER_SIZE, 1, 0, 0, 0, SESSION, number.to_bytes(32, "big"), bytes(32),
    )  # fmt: skip
    segments = [Segment(100 + 600 * at, 516, 30, at % 2) for at in range(-(-blobs // 3))]
    placed = [
        Placed(BlobId(digest(b"%d %d" % (at, number + at % 2))), at // 3, 10 * (at % 3), 10)
        for at in range(blobs)
    ]
    name = PackName(digest(number.to_bytes(4, "little")).hex() + "-" + SESSION.hex()[:8])
    return PackInfo(name, header, 1 << 24, segments, placed)


def name_of(number: int) -> PackName:
    return pack(number, 0).name


def put(
    backend: Backend, at: int, packs: Sequence[PackInfo], removed: Iterable[PackName] = ()
) -> str:
    name = f"index/{at:032x}"
    backend.put(name, encode_index(name, packs, KEYS, removed=removed))
    return name


def many(count: int = 12) -> MemoryBackend:
    """A repository with so many index objects of one pack each."""
    backend = MemoryBackend()
    for at in range(count):
        put(backend, at, [pack(at)])
    return backend


def told_by(table: Table) -> Told:
    return {
        (blob, table.pack(at.pack).name, at.ordinal, at.segment, at.offset, at.length)
        for blob, at in table.rows()
    }


def told(backend: Backend) -> Told:
    """All that somebody finds who opens the repository now."""
    return told_by(Catalog(backend, KEYS, None).load())


def rows_of(*packs: PackInfo) -> Told:
    return {
        (blob, each.name, segment, each.segments[segment], offset, length)
        for each in packs
        for blob, segment, offset, length in each.blobs
    }


def names(backend: Backend) -> list[str]:
    return sorted(info.name for info in backend.list("index/"))


def indexes(backend: Backend) -> list[IndexObject]:
    return [decode_index(name, backend.get(name), KEYS) for name in names(backend)]
