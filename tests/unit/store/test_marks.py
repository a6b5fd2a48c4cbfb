"""The marks of needed blobs."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from holdfast.primitives.hashing import digest
from holdfast.primitives.ids import BlobId, PackName
from holdfast.store import Marks, Table
from holdfast.store.filler import TREES
from holdfast.store.pack import HEADER_SIZE, PackInfo, Placed, Segment


def blob(number: int) -> BlobId:
    return BlobId(digest(number.to_bytes(4, "little")))


def table(*numbers: int) -> Table:
    """A table that knows these blobs, in two packs that have all of them."""
    found = Table()
    placed = [Placed(blob(number), 0, at * 10, 10) for at, number in enumerate(numbers)]
    segments = [Segment(HEADER_SIZE, 1000, 10 * len(numbers), 0)]
    for pack in "ab":
        name = PackName(pack * 64 + "-" + "0" * 8)
        found.add_pack(PackInfo(name, bytes(HEADER_SIZE), 4096, segments, placed))
    return found


def test_a_blob_is_marked_once_and_with_what_it_was_first_met_as() -> None:
    marks = Marks(table(1, 2))
    assert marks.add(blob(1), ("small", 7))
    assert not marks.add(blob(1), ("large", 8))
    assert marks.group(blob(1)) == ("small", 7)
    assert blob(1) in marks
    assert blob(2) not in marks
    assert "text" not in marks


def test_what_the_table_does_not_know_is_marked_too() -> None:
    marks = Marks(table(1))
    assert marks.add(blob(9))
    assert not marks.add(blob(9))
    assert marks.group(blob(9)) == TREES
    assert list(marks.unknown()) == [blob(9)]


def test_the_group_of_what_is_not_marked_is_no_answer() -> None:
    with pytest.raises(KeyError):
        Marks(table(1)).group(blob(1))


def test_of_very_many_groups_the_last_share_with_nobody() -> None:
    numbers = range(300)
    marks = Marks(table(*numbers))
    for number in numbers:
        marks.add(blob(number), ("small", number))
    kept = [number for number in numbers if marks.group(blob(number)) == ("small", number)]
    assert kept == list(range(253))
    assert {marks.group(blob(number)) for number in numbers[253:]} == {None}


@given(known=st.sets(st.integers(0, 60)), marked=st.lists(st.integers(0, 90)))
def test_all_that_was_marked_is_told_once(known: set[int], marked: list[int]) -> None:
    marks = Marks(table(*known))
    told = [marks.add(blob(number)) for number in marked]
    assert sum(told) == len(set(marked))
    assert sorted(marks) == sorted({blob(number) for number in marked})
    assert set(marks.unknown()) == {blob(number) for number in set(marked) - known}


@given(known=st.sets(st.integers(0, 30)), marked=st.sets(st.integers(0, 40)))
def test_the_groups_are_those_of_what_is_marked(known: set[int], marked: set[int]) -> None:
    marks = Marks(table(*known))
    for number in marked:
        marks.add(blob(number), ("small", number))
    asked = [blob(number) for number in range(50)]
    assert marks.groups(asked) == {blob(number): ("small", number) for number in sorted(marked)}


NUMBERS = st.sets(st.integers(0, 20))


@given(
    packs=st.lists(NUMBERS, max_size=4),
    later=st.lists(NUMBERS, max_size=3),
    marked=NUMBERS,
    leave=st.sets(st.integers(0, 6)),
    removed=st.sets(st.integers(0, 6)),
)
@example(packs=[], later=[{1}], marked={1}, leave=set(), removed=set())
def test_what_is_lacking_is_in_no_pack_that_counts(
    packs: list[set[int]],
    later: list[set[int]],
    marked: set[int],
    leave: set[int],
    removed: set[int],
) -> None:
    """Whether it was there when the marks were begun or came later."""
    found = Table()
    for pack in packs:
        add(found, pack)
    marks = Marks(found)
    for number in marked:
        marks.add(blob(number))
    for pack in later:
        add(found, pack)
    found.remove(row.name for number, row in enumerate(found.pack_rows()) if number in removed)
    gone = leave | removed
    there = set[int]().union(*(p for at, p in enumerate([*packs, *later]) if at not in gone))
    assert set(marks.lacking(found, leave)) == {blob(number) for number in marked - there}


def add(found: Table, numbers: set[int]) -> None:
    """Add a pack of these blobs."""
    placed = [Placed(blob(number), 0, at * 10, 10) for at, number in enumerate(numbers)]
    segments = [Segment(HEADER_SIZE, 1000, 1000, 0)]
    name = PackName(digest(bytes([len(found.packs)])).hex() + "-" + "0" * 8)
    found.add_pack(PackInfo(name, bytes(HEADER_SIZE), 4096, segments, placed))
