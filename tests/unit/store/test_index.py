"""Index objects: they tell where blobs are, exactly, or they are refused whole."""

from __future__ import annotations

import itertools
import random
import struct
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.backend import Faulty, MemoryBackend, NoFault
from holdfast.errors import DamagedRepository
from holdfast.primitives import codec
from holdfast.primitives.crypto import TAG_SIZE, Domain
from holdfast.primitives.hashing import digest
from holdfast.primitives.ids import BlobId, PackName
from holdfast.store.envelope import ObjectType, bound_to, new_sealer, seal_object
from holdfast.store.index import (
    PAGE_ROWS,
    PLACE_ROW,
    SEGMENT_ROW,
    decode_index,
    encode_index,
    prefixes,
    read_head,
    uint32s,
)
from holdfast.store.keys import Keys
from holdfast.store.pack import HEADER_SIZE, PACK_LIMIT, PackInfo, Placed, Segment

KEYS = Keys(bytes(range(16)), 0, b"d" * 32, b"m" * 32)
NAME = "index/" + "0" * 32
SESSION = bytes(range(16))


def header(salt: int = 0) -> bytes:
    return struct.pack(
        "<8sHHBBHI16s32s32s",
        b"HFPACK\r\n", 1, HEADER_SIZE, 1, 0, 0, 0, SESSION, bytes([salt % 256]) * 32, bytes(32),
    )  # fmt: skip


def pack(number: int, blobs: Sequence[Sequence[bytes]]) -> PackInfo:
    """A pack of so many segments with these blobs, each of 10 bytes."""
    segments, placed = [], []
    for ordinal, ids in enumerate(blobs):
        segments.append(Segment(100 + 1000 * ordinal, 500, 10 * len(ids), ordinal % 2))
        placed += [Placed(BlobId(id_), ordinal, 10 * at, 10) for at, id_ in enumerate(ids)]
    name = PackName(digest(number.to_bytes(4, "little")).hex() + "-" + SESSION.hex()[:8])
    return PackInfo(name, header(number), 1 << 20, segments, placed)


def rows_of(packs: Sequence[PackInfo]) -> list[tuple[bytes, PackName, Segment, int, int, int]]:
    return sorted(
        (blob.id, info.name, info.segments[blob.segment], blob.segment, blob.offset, blob.length)
        for info in packs
        for blob in info.blobs
    )


def decoded_rows(data: bytes) -> list[tuple[bytes, PackName, Segment, int, int, int]]:
    index = decode_index(NAME, data, KEYS)
    segments = list(SEGMENT_ROW.iter_unpack(index.segments))
    found = []
    for at, (number, offset, length) in enumerate(PLACE_ROW.iter_unpack(index.places)):
        in_pack, start, stored, raw, mixed = segments[number]
        where = Segment(start, stored, raw, mixed & 255)
        blob = bytes(index.ids[at * 32 : at * 32 + 32])
        found.append((blob, index.packs[in_pack].name, where, mixed >> 8, offset, length))
    assert [row[0] for row in found] == sorted(row[0] for row in found)
    return sorted(found)


IDS = st.binary(min_size=32, max_size=32) | st.binary(min_size=1, max_size=1).map(lambda b: b * 32)
PACKS = st.lists(st.lists(st.lists(IDS, max_size=6), max_size=3), max_size=4).map(
    lambda layouts: [pack(number, blobs) for number, blobs in enumerate(layouts)]
)


@given(PACKS)
def test_what_is_encoded_is_decoded(packs: list[PackInfo]) -> None:
    data = encode_index(NAME, packs, KEYS)
    assert decoded_rows(data) == rows_of(packs)
    index = decode_index(NAME, data, KEYS)
    assert [(row.name, row.header, row.size) for row in index.packs] == [
        (info.name, info.header, info.size) for info in packs
    ]


NAMES = st.sets(st.integers(0, 9).map(lambda number: pack(number, []).name))


@given(PACKS, NAMES)
def test_removed_packs_are_told(packs: list[PackInfo], removed: set[PackName]) -> None:
    data = encode_index(NAME, packs, KEYS, removed=removed)
    assert decode_index(NAME, data, KEYS).removed == removed
    assert decoded_rows(data) == rows_of(packs)


def test_an_object_may_hold_nothing_but_removed_packs() -> None:
    name = pack(0, []).name
    data = encode_index(NAME, [], KEYS, removed=[name, name])
    index = decode_index(NAME, data, KEYS)
    assert (index.rows, list(index.packs), bytes(index.ids)) == (0, [], b"")
    assert index.removed == {name}


@given(PACKS, NAMES)
def test_a_head_is_read_without_the_pages(packs: list[PackInfo], removed: set[PackName]) -> None:
    backend = Faulty(MemoryBackend(), NoFault())
    data = encode_index(NAME, packs, KEYS, removed=removed)
    backend.put(NAME, data)
    found = read_head(backend, NAME, len(data), KEYS)
    index = decode_index(NAME, data, KEYS)
    assert (found.packs, found.segments, found.removed, found.rows) == (
        index.packs, index.segments, index.removed, index.rows,
    )  # fmt: skip
    with pytest.raises(DamagedRepository):
        read_head(backend, NAME, len(data) + 1, KEYS)


def test_a_long_head_takes_two_reads() -> None:
    info = replace(pack(0, [[at.to_bytes(32, "big")] for at in range(5000)]), size=1 << 24)
    data = encode_index(NAME, [info], KEYS)
    backend = Faulty(MemoryBackend(), NoFault())
    backend.put(NAME, data)
    assert read_head(backend, NAME, len(data), KEYS).rows == 5000
    assert [call.verb for call in backend.calls] == ["put", "get", "get"]


@pytest.mark.parametrize("size", [70_000, 200_000, -1])
def test_a_truncated_object_has_no_head(size: int) -> None:
    info = replace(pack(0, [[at.to_bytes(32, "big")] for at in range(5000)]), size=1 << 24)
    data = encode_index(NAME, [info], KEYS)[:size]
    backend = MemoryBackend()
    backend.put(NAME, data)
    with pytest.raises(DamagedRepository):
        read_head(backend, NAME, len(data), KEYS)


@pytest.mark.parametrize("count", [PAGE_ROWS - 1, PAGE_ROWS, PAGE_ROWS + 1, 2 * PAGE_ROWS + 5])
def test_many_rows_take_several_pages(count: int) -> None:
    numbers = random.Random(count)  # noqa: S311 - the same in every run
    info = pack(0, [[numbers.randbytes(32) for _ in range(count)]])
    data = encode_index(NAME, [info], KEYS)
    assert decoded_rows(data) == rows_of([info])


def test_every_changed_byte_is_damage() -> None:
    data = bytearray(encode_index(NAME, [pack(0, [[b"a" * 32, b"b" * 32]])], KEYS))
    for place in range(len(data)):
        data[place] ^= 1
        with pytest.raises(DamagedRepository) as caught:
            decode_index(NAME, bytes(data), KEYS)
        assert caught.value.object == NAME
        data[place] ^= 1


@pytest.mark.fault(8)
def test_every_length_but_its_own_is_damage() -> None:
    data = encode_index(NAME, [pack(0, [[b"a" * 32, b"b" * 32]])], KEYS)
    for size in range(len(data)):
        with pytest.raises(DamagedRepository):
            decode_index(NAME, data[:size], KEYS)
    for rest in (b"\0", bytes(44), data):
        with pytest.raises(DamagedRepository):
            decode_index(NAME, data + rest, KEYS)


def test_an_index_is_bound_to_its_name_and_repository() -> None:
    data = encode_index(NAME, [pack(0, [[b"a" * 32]])], KEYS)
    with pytest.raises(DamagedRepository):
        decode_index("index/" + "1" * 32, data, KEYS)
    with pytest.raises(DamagedRepository):
        decode_index(NAME, data, Keys(bytes(16), 0, b"d" * 32, b"m" * 32))
    with pytest.raises(DamagedRepository):
        decode_index(NAME, seal_object(ObjectType.SNAPSHOT, KEYS, NAME, b"x"), KEYS)


def test_pages_cannot_change_places() -> None:
    numbers = random.Random(1)  # noqa: S311 - the same in every run
    count = 2 * PAGE_ROWS
    data = encode_index(NAME, [pack(0, [[numbers.randbytes(32) for _ in range(count)]])], KEYS)
    page = 44 * PAGE_ROWS + TAG_SIZE
    start = len(data) - 2 * page
    swapped = data[:start] + data[start + page :] + data[start : start + page]
    with pytest.raises(DamagedRepository):
        decode_index(NAME, swapped, KEYS)


# What only a holder of the key can make


def forged(head: object, *pages: bytes) -> bytes:
    message = head if isinstance(head, bytes) else codec.pack(head)
    start, sealer = new_sealer(ObjectType.INDEX, KEYS, message)
    length = (len(message) + TAG_SIZE).to_bytes(4, "little")
    context = start + length + bound_to(NAME, KEYS)
    sealed = sealer.seal(Domain.OBJECT, message, context)
    return b"".join(
        [start, length, sealed, *(sealer.seal(Domain.PAGE, page, context) for page in pages)]
    )


PACK = (pack(0, []).name, header(), 1 << 20)
SEGMENT = (0, 100, 500, 20, 0)


def head(
    packs: object = (PACK,),
    segments: Sequence[tuple[int, ...]] = (SEGMENT,),
    pages: object = ((1, b"a" * 32),),
) -> dict[str, object]:
    rows = b"".join(SEGMENT_ROW.pack(*row) for row in segments)
    return {"packs": packs, "segments": rows, "pages": pages}


def page(*rows: tuple[bytes, int, int, int]) -> bytes:
    return b"".join(row[0] for row in rows) + b"".join(PLACE_ROW.pack(*row[1:]) for row in rows)


ROW = (b"a" * 32, 0, 0, 10)
LAST = 0xFFFFFFFF


def test_the_forger_can_make_what_decodes() -> None:
    index = decode_index(NAME, forged(head(), page(ROW)), KEYS)
    assert index.ids == b"a" * 32


@pytest.mark.parametrize(
    "data",
    [
        forged(b""),
        forged(b"\xc1"),
        forged(None),
        forged([]),
        forged({}),
        forged(b"\x91" * 100),
        forged(head(packs=None), page(ROW)),
        forged(head(packs=[1]), page(ROW)),
        forged(head(packs=[("zz" * 32 + "-00010203", header(), 9)]), page(ROW)),
        forged(head(packs=[("../../etc/passwd-00010203", header(), 9)]), page(ROW)),
        forged(head(packs=[(PACK[0].upper(), header(), 9)]), page(ROW)),
        forged(head(packs=[(PACK[0][:-8] + "99999999", header(), 1 << 20)]), page(ROW)),
        forged(head(packs=[(PACK[0], header()[:-1], 1 << 20)]), page(ROW)),
        forged(head(packs=[(PACK[0], bytes(100), 1 << 20)]), page(ROW)),
        forged(head(packs=[(PACK[0], header(), 0)]), page(ROW)),
        forged(head(packs=[(PACK[0], header(), -1)]), page(ROW)),
        forged(head(packs=[(PACK[0], header(), PACK_LIMIT + 1)]), page(ROW)),
        forged(head(packs=[(PACK[0], header(), 1 << 62)]), page(ROW)),
        forged(head(segments=[(1, 100, 500, 20, 0)]), page(ROW)),
        forged(head(segments=[(LAST, 100, 500, 20, 0)]), page(ROW)),
        forged(head(segments=[(0, 99, 500, 20, 0)]), page(ROW)),
        forged(head(segments=[(0, LAST, LAST, 20, 0)]), page(ROW)),
        forged(head(segments=[(0, 100, LAST, 20, 0)]), page(ROW)),
        forged(head(segments=[(0, 100, 1 << 20, 20, 0)]), page(ROW)),
        forged(head(segments=[(0, 100, 500, LAST, 1)]), page(ROW)),
        forged(head(segments=[(0, 100, 500, 20, 2)]), page(ROW)),
        forged({**head(), "segments": b"x"}, page(ROW)),
        forged(head(pages=None), page(ROW)),
        forged(head(pages=[(0, b"a" * 32)]), page()),
        forged(head(pages=[(-1, b"a" * 32)]), page(ROW)),
        forged(head(pages=[(1_000_000_000, b"a" * 32)]), page(ROW)),
        forged(head(pages=[(PAGE_ROWS + 1, b"a" * 32)]), page(*[ROW] * (PAGE_ROWS + 1))),
        forged(head(pages=[(2, b"a" * 32)]), page(ROW)),
        forged({**head(), "removed": None}, page(ROW)),
        forged({**head(), "removed": "a" * 73}, page(ROW)),
        forged({**head(), "removed": [PACK[0], 1]}, page(ROW)),
        forged({**head(), "removed": [PACK[0][:-1]]}, page(ROW)),
        forged({**head(), "removed": [f"data/{PACK[0]}"]}, page(ROW)),
        forged({**head(), "removed": [PACK[0].encode()]}, page(ROW)),
        forged(head(pages=[]), page(ROW)),
        forged(head()),
        forged(head(), page((b"a" * 32, 1, 0, 10))),
        forged(head(), page((b"a" * 32, LAST, LAST, LAST))),
        forged(head(segments=[]), page(ROW)),
        forged(head(pages=[(2, b"b" * 32)]), page((b"b" * 32, 0, 0, 10), ROW)),
        forged(
            head(pages=[(1, b"b" * 32), (1, b"a" * 32)]), page((b"b" * 32, 0, 0, 10)), page(ROW)
        ),
    ],
    ids=itertools.count(),
)
def test_what_makes_no_sense_is_damage(data: bytes) -> None:
    with pytest.raises(DamagedRepository) as caught:
        decode_index(NAME, data, KEYS)
    assert caught.value.object == NAME


@given(st.lists(st.integers(0, LAST), max_size=20))
def test_numbers_are_little_endian(numbers: list[int]) -> None:
    data = b"".join(number.to_bytes(4, "little") for number in numbers)
    assert uint32s(data).tolist() == numbers


def test_prefixes_are_in_the_order_of_the_ids() -> None:
    ids = [bytes([number, 255 - number]) + bytes(30) for number in range(256)]
    assert list(prefixes(b"".join(ids))) == [int.from_bytes(each[:8], "big") for each in ids]
