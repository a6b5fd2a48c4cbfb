from __future__ import annotations

import pytest

from holdfast.errors import DamagedRepository
from holdfast.model.content import (
    CUT_MASK,
    MAX_INLINE,
    MAX_LIST,
    MIN_LIST,
    ContentBuilder,
    blob_ids,
    check_content,
    data_size,
    iter_items,
    list_blobs,
    references,
)
from holdfast.model.node import Content, Item
from holdfast.primitives import codec, hashing
from holdfast.primitives.ids import BlobId
from holdfast.testing.blobs import ForgedBlobs, MemoryBlobs


def blob_id(number: int) -> BlobId:
    return BlobId(hashing.digest(number.to_bytes(8, "big")))


def build(blobs: MemoryBlobs, items: list[Item]) -> tuple[int, Content | None]:
    builder = ContentBuilder(blobs)
    for item in items:
        if isinstance(item, int):
            builder.add_zeros(item)
        else:
            builder.add_blob(*item)
    return builder.finish()


def many(count: int, start: int = 0) -> list[Item]:
    return [(blob_id(number), 100 + number % 7) for number in range(start, start + count)]


def total(items: list[Item]) -> int:
    return sum(item if isinstance(item, int) else item[1] for item in items)


def test_an_empty_file_has_no_content() -> None:
    assert build(MemoryBlobs(), []) == (0, None)
    assert build(MemoryBlobs(), [0, 0]) == (0, None)


def test_a_file_of_one_blob_is_its_id() -> None:
    assert build(MemoryBlobs(), [(blob_id(1), 5)]) == (5, blob_id(1))


def test_a_hole_is_one_run_however_it_was_told() -> None:
    blobs = MemoryBlobs()
    assert build(blobs, [1 << 39, 0, 1 << 39]) == (1 << 40, (0, (1 << 40,)))
    assert build(blobs, [3, (blob_id(1), 5), 1, 2]) == (11, (0, (3, (blob_id(1), 5), 3)))
    assert not blobs.blobs


def test_what_fits_in_the_entry_makes_no_list() -> None:
    blobs = MemoryBlobs()
    size, content = build(blobs, many(MAX_INLINE))
    assert content == (0, tuple(many(MAX_INLINE)))
    assert size == total(many(MAX_INLINE))
    assert not blobs.blobs


@pytest.mark.parametrize("count", [MAX_INLINE + 1, 5000, 40_000])
def test_long_files_go_through_lists(count: int) -> None:
    blobs = MemoryBlobs()
    items = many(count)
    items[3] = 77
    size, content = build(blobs, items)
    assert isinstance(content, tuple)
    assert content[0] == 1
    assert [item for _, item in iter_items(content, size, blobs)] == items
    lists = [codec.unpack(blobs.blobs[blob]) for blob in list_blobs(content, blobs)]
    assert [item for each in lists for item in each] == items  # type: ignore[attr-defined]
    for each in lists[:-1]:
        last = each[-1][0]  # type: ignore[index]
        length = len(each)  # type: ignore[arg-type]
        cut = not int.from_bytes(last[:4], "little") & CUT_MASK
        assert length == MAX_LIST or (length >= MIN_LIST and cut)


@pytest.mark.fault(42)
def test_levels_rise_until_the_items_fit() -> None:
    blobs = MemoryBlobs()
    # Ids that never end a list: every list has the most items that it may have.
    items: list[Item] = [
        (BlobId(b"\1" + number.to_bytes(31, "big")), 1) for number in range(MAX_LIST * 4)
    ]
    size, content = build(blobs, items)
    assert isinstance(content, tuple)
    assert content[0] == 1
    assert len(content[1]) == 4
    assert size == MAX_LIST * 4


def test_a_change_at_the_front_leaves_the_later_lists() -> None:
    blobs = MemoryBlobs()
    items = many(20_000)
    _, first = build(blobs, items)
    before = set(list_blobs(first, blobs))
    _, second = build(blobs, [(blob_id(-1 & 0xFFFF_FFFF), 9), *items])
    after = set(list_blobs(second, blobs))
    assert len(after - before) <= 2
    assert len(before) > 10


def test_a_list_that_ends_with_the_file() -> None:
    blobs = MemoryBlobs()
    ends = BlobId(bytes(32))
    plain = [(BlobId(b"\1" + bytes(27) + n.to_bytes(4, "big")), 1) for n in range(MAX_INLINE)]
    size, content = build(blobs, [*plain, (ends, 1)])
    assert isinstance(content, tuple)
    assert content[0] == 1
    assert len(content[1]) == 1
    assert [item for _, item in iter_items(content, size, blobs)] == [*plain, (ends, 1)]


def test_seeking_loads_one_list_a_level() -> None:
    blobs = MemoryBlobs()
    size, content = build(blobs, many(20_000))
    items = list(iter_items(content, size, blobs))
    blobs.loaded.clear()
    offset, item = items[15_000]
    assert next(iter_items(content, size, blobs, offset + 1)) == (offset, item)
    assert len(blobs.loaded) == 1
    assert next(iter_items(content, size, blobs, size), None) is None


def test_the_size_of_the_data_without_holes() -> None:
    blobs = MemoryBlobs()
    items: list[Item] = [*many(5000), 1 << 40, *many(5000, 7000), 4096]
    size, content = build(blobs, items)
    told: list[tuple[int, BlobId]] = []
    known: dict[BlobId, int] = {}
    data = total(items) - (1 << 40) - 4096
    assert data_size(content, size, blobs, known, lambda *blob: told.append(blob)) == data
    assert told == list(references(content, blobs))
    blobs.loaded.clear()
    again: list[tuple[int, BlobId]] = []
    assert data_size(content, size, blobs, known, lambda *blob: again.append(blob)) == data
    assert (again, blobs.loaded) == ([], [])


def test_the_size_of_the_data_of_small_files() -> None:
    told: list[tuple[int, BlobId]] = []
    blobs = MemoryBlobs()
    assert data_size(None, 0, blobs, {}, lambda *blob: told.append(blob)) == 0
    assert told == []
    assert data_size(blob_id(1), 5, blobs, {}, lambda *blob: told.append(blob)) == 5
    assert told == [(0, blob_id(1))]


def test_lists_are_announced() -> None:
    blobs = MemoryBlobs()
    size, content = build(blobs, many(20_000))
    assert sum(1 for _ in iter_items(content, size, blobs)) == 20_000
    assert set(blobs.hinted) == set(blobs.loaded[1:])


def test_known_lists_are_passed_over() -> None:
    blobs = MemoryBlobs()
    _, content = build(blobs, many(5000))
    known: set[BlobId] = set()
    for _, blob in references(content, blobs, known):
        known.add(blob)
    assert len(known) == 5000 + len(list(list_blobs(content, blobs)))
    blobs.loaded.clear()
    assert list(references(content, blobs, known)) == []
    assert not blobs.loaded
    assert list(blob_ids(content, blobs)) == [blob for blob, _ in many(5000)]  # type: ignore[misc]


ID = blob_id(1)


@pytest.mark.parametrize(
    ("content", "size"),
    [
        (None, 1),
        (ID, 0),
        (b"short", 5),
        ("text", 1),
        ((), 1),
        ((0,), 1),
        ((0, (), 1), 1),
        ((0, ()), 0),
        (("0", ((ID, 1), (ID, 1))), 2),
        ((True, ((ID, 1), (ID, 1))), 2),
        ((-1, ((ID, 1), (ID, 1))), 2),
        ((9, ((ID, 1), (ID, 1))), 2),
        ((0, ((ID, 1),)), 1),
        ((0, ((ID, 1), (ID, 1))), 3),
        ((0, ((ID, 1), (ID, 0))), 1),
        ((0, ((ID, 3), (ID, -1))), 2),
        ((0, ((ID, 1), (b"id", 1))), 2),
        ((0, ((ID, 1), (ID, True))), 2),
        ((0, ((ID, 1), (ID, 1, 1))), 2),
        ((0, ((ID, 1), 0)), 1),
        ((0, ((ID, 1), 1, 1)), 3),
        ((0, ((ID, 1), True)), 2),
        ((0, ((ID, 1), None)), 1),
        ((1, ((ID, 1), 1)), 2),
        ((0, tuple(many(MAX_INLINE + 1))), total(many(MAX_INLINE + 1))),
    ],
)
def test_malformed_content_is_refused(content: object, size: int) -> None:
    with pytest.raises(ValueError, match=r"content|item"):
        check_content(content, size)


@pytest.mark.parametrize(
    ("content", "size"),
    [(None, 0), (ID, 7), ((0, (7,)), 7), ((0, (3, (ID, 4))), 7), ((1, ((ID, 7),)), 7)],
)
def test_sound_content_is_accepted(content: object, size: int) -> None:
    check_content(content, size)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        codec.pack(None),
        codec.pack([]),
        codec.pack([[ID, 9]]),
        codec.pack([[ID, 5], [ID, 4], [ID, 2]]),
        codec.pack([1] * 10),
        codec.pack([[ID, 10]]) + b"\0",
        codec.pack([[ID, 1]] * (MAX_LIST + 1)),
        bytes(2 << 20),
    ],
)
def test_a_damaged_list_names_itself(data: bytes) -> None:
    blobs = MemoryBlobs()
    listed = blobs.add(data)
    size = 10 if len(data) < 1 << 16 else MAX_LIST + 1
    with pytest.raises(DamagedRepository) as caught:
        list(iter_items((1, ((listed, size),)), size, blobs))
    assert caught.value.object == f"tree {listed.hex()}"


def test_lists_that_name_themselves_end() -> None:
    """Only a forger can do that, but then reading must end."""
    blobs = ForgedBlobs(lambda _: codec.pack([[ID, 7]]))
    assert list(iter_items((8, ((ID, 7),)), 7, blobs)) == [(0, (ID, 7))]
    assert len(blobs.loaded) == 8


def test_lengths_must_be_sound() -> None:
    builder = ContentBuilder(MemoryBlobs())
    with pytest.raises(ValueError, match="0 bytes"):
        builder.add_blob(ID, 0)
    with pytest.raises(ValueError, match="-1 bytes"):
        builder.add_zeros(-1)
