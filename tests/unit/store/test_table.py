"""The index in memory, against a plain dictionary."""

from __future__ import annotations

import random
import struct
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.length import examples

from holdfast.primitives.hashing import digest
from holdfast.primitives.ids import ID_SIZE, BlobId, PackName
from holdfast.store import BlobSet, table
from holdfast.store.columns import Columns, Run, merge
from holdfast.store.index import PLACE_ROW, IndexObject, PackRow, decode_index, encode_index
from holdfast.store.keys import Keys
from holdfast.store.pack import HEADER_SIZE, PackInfo, Placed, Segment
from holdfast.store.table import Location, Table

KEYS = Keys(bytes(range(16)), 0, b"d" * 32, b"m" * 32)
NAME = "index/" + "0" * 32
SESSION = bytes(range(16))


def pack(number: int, blobs: Sequence[bytes], segment: int = 3) -> PackInfo:
    """A pack of these blobs, so many in a segment, each of 10 bytes."""
    header = struct.pack(
        "<8sHHBBHI16s32s32s",
        b"HFPACK\r\n", 1, HEADER_SIZE, 1, 0, 0, 0, SESSION, number.to_bytes(32, "big"), bytes(32),
    )  # fmt: skip
    count = -(-len(blobs) // segment)
    segments = [Segment(100 + 600 * at, 516, 10 * segment, at % 2) for at in range(count)]
    placed = [
        Placed(BlobId(blob), at // segment, 10 * (at % segment), 10)
        for at, blob in enumerate(blobs)
    ]
    name = PackName(digest(number.to_bytes(4, "little")).hex() + "-" + SESSION.hex()[:8])
    return PackInfo(name, header, 1 << 24, segments, placed)


def index_of(packs: Sequence[PackInfo], removed: Iterable[PackName] = ()) -> IndexObject:
    return decode_index(NAME, encode_index(NAME, packs, KEYS, removed=removed), KEYS)


class Model:
    """What a table should hold: a dictionary."""

    def __init__(self) -> None:
        self.places: defaultdict[bytes, set[tuple[PackName, int, Segment, int, int]]]
        self.places = defaultdict(set)
        self.packs: set[PackName] = set()
        self.removed: set[PackName] = set()

    def add(self, info: PackInfo) -> None:
        self.packs.add(info.name)
        for blob, segment, offset, length in info.blobs:
            self.places[blob].add((info.name, segment, info.segments[segment], offset, length))

    def of(self, blob: bytes) -> set[tuple[PackName, int, Segment, int, int]]:
        return {place for place in self.places.get(blob, ()) if place[0] not in self.removed}

    def compare(self, found: Table, blobs: Iterable[bytes]) -> None:
        assert {row.name for row in found.pack_rows()} == self.packs
        assert found.removed == self.removed
        for number, row in enumerate(found.pack_rows()):
            assert found.is_removed(number) == (row.name in self.removed)
        for blob in blobs:
            located = [place_of(found, location) for location in found.locate(blob)]
            assert set(located) == self.of(blob)
            assert len(located) == len(set(located))
            number = found.known(blob, ())
            holders = {place[0] for place in located}
            assert {found.pack(number).name} <= holders if number >= 0 else not holders
            assert (found.sizes(BlobId(blob)) is None) == (not located)


def place_of(found: Table, at: Location) -> tuple[PackName, int, Segment, int, int]:
    return found.pack(at.pack).name, at.ordinal, at.segment, at.offset, at.length


def id_from(draw: tuple[int, int]) -> bytes:
    """Ids that share long prefixes, so that buckets are crowded and bytes align falsely."""
    kind, number = draw
    if kind == 0:
        return digest(bytes([number]))
    if kind == 1:
        return bytes(31) + bytes([number])
    if kind == 2:
        return b"\xff" * 31 + bytes([number])
    if kind == 3:
        return (b"\0\1\2\3" * 9)[number % 4 : number % 4 + 32]
    return bytes([number]) * 32


IDS = st.tuples(st.integers(0, 4), st.integers(0, 25)).map(id_from)
POOL = sorted({id_from((kind, number)) for kind in range(5) for number in range(26)})
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["pack", "object", "flatten", "again", "remove"]),
        st.lists(IDS, max_size=12),
    ),
    max_size=10,
)


@given(STEPS, st.integers(1, 12))
@settings(max_examples=examples(100))
def test_a_table_holds_what_a_dictionary_would(
    steps: list[tuple[str, list[bytes]]], limit: int
) -> None:
    found, model = Table(), Model()
    packs: list[PackInfo] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table, "RECENT_LIMIT", limit)
        for number, (step, blobs) in enumerate(steps):
            info = pack(number, blobs)
            if step == "flatten":
                found.flatten()
            elif step == "again":
                found.add_object(index_of(packs))
            elif step == "remove":
                removed = {pack(len(blobs), []).name}  # one that is known, or comes later or never
                found.add_object(index_of([], removed))
                model.removed |= removed
            else:
                packs.append(info)
                model.add(info)
                if step == "pack":
                    assert found.add_pack(info) is not None
                    assert found.add_pack(info) is None
                else:
                    found.add_object(index_of([info]))
            model.compare(found, POOL)
        for info in packs:
            assert found.agrees(info) == (info.name not in model.removed)
        found.flatten()
        model.compare(found, POOL)
        rows = [(blob, place_of(found, location)) for blob, location in found.rows()]
        assert [blob for blob, _ in rows] == sorted(blob for blob, _ in rows)
        assert set(rows) == {(blob, place) for blob in model.places for place in model.of(blob)}
        assert len(found) == len(rows)


OBJECTS = st.lists(
    st.tuples(
        st.lists(st.integers(0, 5), max_size=3, unique=True),  # no writer names a pack twice
        st.sets(st.integers(0, 7), max_size=2),
    ),
    max_size=6,
)


@given(st.lists(st.lists(IDS, max_size=6), min_size=6, max_size=6), OBJECTS, st.data())
def test_the_order_of_objects_never_matters(
    layout: list[list[bytes]],
    objects: list[tuple[list[int], set[int]]],
    data: st.DataObject,
) -> None:
    infos = [pack(number, blobs) for number, blobs in enumerate(layout)]
    indexes = [
        index_of([infos[at] for at in packs], {pack(number, []).name for number in removed})
        for packs, removed in objects
    ]
    model = Model()
    for packs, _ in objects:
        for at in packs:
            model.add(infos[at])
    model.removed = {name for index in indexes for name in index.removed}
    limit = data.draw(st.integers(1, 12))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table, "RECENT_LIMIT", limit)
        for _ in range(3):
            found = Table()
            waiting = list(data.draw(st.permutations(indexes)))
            while waiting:
                size = data.draw(st.integers(1, len(waiting)))
                found.add_objects(waiting[:size])
                del waiting[:size]
            model.compare(found, POOL)
            found.flatten()
            model.compare(found, POOL)


def test_a_pack_that_was_removed_is_never_found_again() -> None:
    """Whether its rows come before or after, and from whatever object."""
    info, other = pack(0, [b"a" * 32]), pack(1, [b"a" * 32])
    found = Table()
    found.add_objects([index_of([], {info.name}), index_of([info])])
    assert found.known(b"a" * 32, ()) == -1
    assert not found.agrees(info)
    assert found.add_pack(info) is None
    found.add_pack(other)
    assert found.known(b"a" * 32, ()) == found.pack_number(other.name)
    found.remove([other.name])
    assert found.known(b"a" * 32, ()) == -1
    assert found.locate(b"a" * 32) == []
    assert found.sizes(BlobId(b"a" * 32)) is None
    assert list(found.rows()) == []
    assert len(found) == 0
    assert not found.agrees(pack(0, []))


def test_many_objects_at_once_are_as_one_after_another() -> None:
    blobs = ids(60_000)
    indexes = [index_of([pack(at, blobs[at : at + 1500], 50)]) for at in range(0, len(blobs), 1500)]
    together, single = Table(), Table()
    together.add_objects(indexes)
    for index in indexes:
        single.add_object(index)
    assert list(together.rows()) == list(single.rows())
    assert len(together) == len(blobs)
    together.add_objects(indexes[:30])
    assert list(together.rows()) == list(single.rows())


@given(st.lists(st.lists(IDS, min_size=1, max_size=5), min_size=1, max_size=6), st.data())
def test_excluded_packs_are_passed_over(layout: list[list[bytes]], data: st.DataObject) -> None:
    found = Table()
    for number, blobs in enumerate(layout):
        found.add_pack(pack(number, blobs))
        if number % 2:
            found.flatten()
    excluded = data.draw(st.sets(st.integers(0, len(layout) - 1)))
    for blob in POOL:
        holders = {at for at, blobs in enumerate(layout) if blob in blobs} - excluded
        assert found.known(blob, excluded) in (holders or {-1})


@given(
    st.lists(st.lists(IDS, min_size=1, max_size=8), min_size=1, max_size=5),
    st.lists(IDS, max_size=20),
    st.data(),
)
def test_many_blobs_are_looked_up_as_one_by_one(
    layout: list[list[bytes]], wanted: list[bytes], data: st.DataObject
) -> None:
    found = Table()
    for number, blobs in enumerate(layout):
        found.add_pack(pack(number, blobs))
        if number % 2:
            found.flatten()
    numbers = st.sets(st.integers(0, len(layout) - 1))
    excluded, removed = data.draw(numbers), data.draw(numbers)
    found.remove(pack(number, layout[number]).name for number in removed)
    asked = [BlobId(blob) for blob in wanted]
    used: set[int] = set()
    missing = list(found.missing(asked, excluded, used))
    assert missing == [blob for blob in asked if found.known(blob, excluded) < 0]
    for blob in asked:
        holders = {at for at, held in enumerate(layout) if blob in held}
        assert bool(used & holders) == (blob not in missing)
    assert not used & (excluded | removed)


def ids(count: int, seed: int = 0) -> list[bytes]:
    numbers = random.Random(seed)  # noqa: S311 - the same in every run
    return [numbers.randbytes(ID_SIZE) for _ in range(count)]


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 31, 32, 33, 1000, 50_000])
def test_every_row_is_found_however_many_there_are(count: int) -> None:
    known = sorted(ids(count))
    places = b"".join(PLACE_ROW.pack(at, at, at) for at in range(count))
    run = Run.build(b"".join(known), places)
    step = max(count // 500, 1)
    for row in range(0, count, step):
        assert run.find(known[row]) == row
        assert run.id(row) == known[row]
        assert run.place(row) == (row, row, row)
    for blob in (bytes(32), b"\xff" * 32, *ids(200, seed=1)):
        assert run.find(blob) == -1


def test_ids_that_all_share_a_prefix_are_still_found_quickly() -> None:
    """A forger with the key can make an index of any ids."""
    known = [bytes(28) + at.to_bytes(4, "big") for at in range(100_000)]
    run = Run.build(b"".join(known), bytes(12 * len(known)))
    start = time.thread_time()  # of this thread: others may keep it waiting
    for row in range(0, len(known), 2000):
        assert run.find(known[row]) == row
    for missing in range(50):
        assert run.find(bytes(27) + b"\1" + missing.to_bytes(4, "big")) == -1
    assert time.thread_time() - start < 5


def test_a_false_alignment_is_no_match() -> None:
    """The bytes of an id may occur across two rows."""
    first = bytes(16) + b"\1" * 16
    second = bytes(15) + b"\1" + b"\1" * 16
    across = (first + second)[16:48]
    assert Run.build(first + second, bytes(24)).find(across) == -1
    rows = sorted([first, second, across])
    assert Run.build(b"".join(rows), bytes(36)).find(across) == rows.index(across)


def columns(*rows: tuple[bytes, tuple[int, int, int]]) -> Columns:
    return Columns.of(sorted(blob + PLACE_ROW.pack(*place) for blob, place in rows))


def rows_of(run: Columns) -> list[tuple[bytes, tuple[int, int, int]]]:
    return [(run.id(row), run.place(row)) for row in range(run.rows)]


def test_merging_keeps_every_row_of_equal_ids() -> None:
    blob = b"a" * 32
    run: Columns = columns()
    for at in range(5):
        run = merge([run, columns((blob, (at, 0, 0)), (blob, (at + 10, 0, 0)))])
    assert sorted(run.place(row)[0] for row in range(run.rows)) == [*range(5), *range(10, 15)]


def test_more_rows_of_one_id_than_are_merged_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.store.columns.PART_ROWS", 4)
    blob, other = b"a" * 32, b"b" * 32
    rows = [(blob, (at, 0, 10)) for at in range(11)]
    found = rows_of(merge([columns(*rows, (other, (1, 2, 3))), columns(*rows[:6])]))
    assert [each for each, _ in found] == [blob] * (len(found) - 1) + [other]
    assert set(found) == {*rows, (other, (1, 2, 3))}


def test_the_place_of_a_blob_is_the_first_that_was_told() -> None:
    found = Table()
    blob = BlobId(b"a" * 32)
    for number in range(3):
        found.add_pack(pack(number, [blob]))
    place = found.place(blob)
    assert place is not None
    assert found.segment(place[0]) == found.locate(blob)[0]._replace(offset=0, length=0)
    assert found.pack(found.locate(blob)[0].pack).name == pack(0, []).name


PLACES = st.tuples(st.integers(0, 3), st.integers(0, 1), st.just(10))


@given(
    st.lists(st.lists(st.tuples(IDS, PLACES), max_size=20), max_size=6),
    st.integers(1, 8),
    st.none() | st.sets(st.integers(0, 3)),
)
def test_merging_is_sorting_what_is_kept(
    layout: list[list[tuple[bytes, tuple[int, int, int]]]], limit: int, dropped: set[int] | None
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("holdfast.store.columns.PART_ROWS", limit)
        patch.setattr("holdfast.store.columns._FEW", limit % 3 + 1)
        run = merge([columns(*rows) for rows in layout], dropped)
    found = rows_of(run)
    assert [blob for blob, _ in found] == sorted(blob for blob, _ in found)
    expected = {row for rows in layout for row in rows if row[1][0] not in (dropped or ())}
    assert set(found) == expected
    for blob in POOL:
        row = run.find(blob)
        assert (row >= 0) == any(each[0] == blob for each in expected)
        assert row < 0 or [each[0] for each in found].index(blob) == row


@given(st.lists(st.lists(st.tuples(IDS, PLACES), max_size=20), max_size=6))
def test_what_several_tell_alike_is_merged_into_one(
    layout: list[list[tuple[bytes, tuple[int, int, int]]]],
) -> None:
    found = rows_of(merge([columns(*set(rows)) for rows in layout]))
    assert sorted(found) == sorted({row for rows in layout for row in rows})


def test_sizes_are_of_the_blob_and_its_share() -> None:
    found = Table()
    found.add_pack(pack(0, [b"a" * 32, b"b" * 32]))
    assert found.sizes(BlobId(b"a" * 32)) == (10, 172)
    assert found.sizes(BlobId(b"c" * 32)) is None


def test_a_pack_that_is_not_as_the_index_says_does_not_agree() -> None:
    found = Table()
    info = pack(0, [b"a" * 32, b"b" * 32])
    assert not found.agrees(info)
    found.add_pack(info)
    assert found.agrees(info)
    assert not found.agrees(pack(1, [b"a" * 32]))
    more = PackInfo(
        info.name, info.header, info.size, info.segments,
        [*info.blobs, Placed(BlobId(b"c" * 32), 0, 0, 10)],
    )  # fmt: skip
    assert not found.agrees(more)


def test_pack_rows_come_back() -> None:
    found = Table()
    packs = [pack(number, []) for number in range(5)]
    for info in packs:
        found.add_pack(info)
    rows = [PackRow(info.name, info.header, info.size) for info in packs]
    assert list(found.pack_rows()) == rows
    assert [found.pack_number(info.name) for info in packs] == list(range(5))
    assert found.pack_number(pack(9, []).name) is None


def test_looking_up_beside_adding_finds_all_that_was_added() -> None:
    found = Table()
    blobs = ids(60_000)
    added = 500
    stop = threading.Event()
    found.add_pack(pack(0, blobs[:500], 50))

    def look() -> bool:
        numbers = random.Random(7)  # noqa: S311 - the same in every run
        while not stop.is_set():
            blob = blobs[numbers.randrange(added)]
            if found.known(blob, ()) < 0 or not found.locate(blob):
                return False
        return True

    with ThreadPoolExecutor(2) as pool:
        lookers = [pool.submit(look) for _ in range(2)]
        try:
            for number in range(500, len(blobs), 500):
                found.add_pack(pack(number, blobs[number : number + 500], 50))
                added = number + 500
                if number % 20_000 == 0:
                    found.flatten()
        finally:
            stop.set()
    assert all(looker.result() for looker in lookers)


@given(
    st.lists(st.lists(IDS, min_size=1, max_size=8), min_size=1, max_size=5),
    st.sets(st.integers(0, 4)),
)
def test_columns_tell_what_rows_do(layout: list[list[bytes]], removed: set[int]) -> None:
    found = Table()
    packs = [pack(number, blobs) for number, blobs in enumerate(layout)]
    for info in packs:
        found.add_pack(info)
    found.remove(info.name for number, info in enumerate(packs) if number in removed)
    of, stored, raw = found.segment_columns()
    assert [
        (blob, of[segment], stored[segment], raw[segment], length)
        for blob, segment, length in found.columns()
    ] == [
        (blob, at.pack, at.segment.stored, at.segment.raw, at.length) for blob, at in found.rows()
    ]


def test_columns_are_told_in_parts_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.store.columns.PART_ROWS", 7)
    blobs = ids(50)
    found = Table()
    found.add_pack(pack(0, blobs))
    assert [blob for blob, _, _ in found.columns()] == sorted(blobs)


# Sets of blobs


@given(st.lists(IDS, max_size=40), st.lists(IDS, max_size=40))
def test_a_blob_set_is_a_set(known: list[bytes], added: list[bytes]) -> None:
    found = Table()
    found.add_pack(pack(0, known))
    blobs, model = BlobSet(found), set[bytes]()
    for blob in added:
        assert (blob in blobs) == (blob in model)
        assert blobs.add(blob) == (blob not in model)
        model.add(blob)
    for blob in POOL:
        assert (blob in blobs) == (blob in model)
    assert "text" not in blobs
    assert None not in blobs


def test_a_blob_set_stays_right_while_its_table_grows() -> None:
    found = Table()
    found.add_pack(pack(0, [b"a" * 32]))
    blobs = BlobSet(found)
    blobs.add(b"a" * 32)
    blobs.add(b"b" * 32)
    found.add_pack(pack(1, [b"b" * 32, b"0" * 32]))
    found.flatten()
    assert b"a" * 32 in blobs
    assert b"b" * 32 in blobs
    assert b"0" * 32 not in blobs


def test_a_blob_that_is_met_tells_its_length_if_the_table_knew_it() -> None:
    found = Table()
    found.add_pack(pack(0, [b"a" * 32]))
    blobs = BlobSet(found)
    assert blobs.meet(b"a" * 32) == 10
    assert blobs.meet(b"a" * 32) == 10
    assert b"a" * 32 in blobs
    assert not blobs.add(b"a" * 32)
    assert blobs.meet(b"b" * 32) is None
    assert blobs.add(b"b" * 32)
