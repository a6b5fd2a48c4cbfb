"""Lists and iterators that show themselves are still lists and iterators."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import pytest
from tests.unit.present.html_reader import read

from holdfast.present import (
    Column,
    Kind,
    LazyRows,
    Mapped,
    Row,
    Rows,
    Table,
    columns,
    lazy_rows_of,
    rows_of,
    table_of,
)


@dataclass(frozen=True, slots=True)
class Item(Row):
    """Something that is one row."""

    name: str
    size: int

    _COLUMNS: ClassVar[tuple[Column, ...]] = columns(name=Kind.TEXT, size=Kind.BYTES)


ITEMS = [Item(f"item {number}", number) for number in range(100)]


def texts(rows: list[list[str]]) -> list[str]:
    return [row[0] for row in rows]


def test_rows_are_equal_to_the_list_of_their_items() -> None:
    rows = rows_of(Item, ITEMS, "items")
    assert rows == ITEMS
    assert isinstance(rows, list)
    assert repr(rows[:2]) == repr(ITEMS[:2])
    assert json.dumps(Rows([1, 2], columns(n=Kind.COUNT), lambda each: (each,))) == "[1, 2]"


def test_rows_show_both_of_their_ends() -> None:
    found = read(rows_of(Item, ITEMS, "items")._repr_html_())
    assert found.captions == ["items"]
    assert found.rows[1] == ["item 0", "0 B"]
    assert found.rows[-1] == ["item 99", "99 B"]
    assert ["… 60 more rows"] in found.rows


def test_only_rows_that_are_shown_are_made() -> None:
    made: list[int] = []

    def row(number: int) -> tuple[int]:
        made.append(number)
        return (number,)

    Rows(range(1_000_000), columns(n=Kind.COUNT), row)._repr_html_()
    assert len(made) == 40


def test_a_slice_shows_itself_too_and_an_item_is_itself() -> None:
    rows = rows_of(Item, ITEMS, "items")
    last = rows[-2:]
    assert last == ITEMS[-2:]
    assert read(last._repr_html_()).rows[1:] == [["item 98", "98 B"], ["item 99", "99 B"]]
    assert rows[3] is ITEMS[3]


def test_rows_can_be_pickled() -> None:
    rows = pickle.loads(pickle.dumps(rows_of(Item, ITEMS, "items")))  # noqa: S301 - just made
    assert rows == ITEMS
    assert read(rows._repr_html_()).captions == ["items"]


def test_what_was_added_later_is_shown() -> None:
    rows = rows_of(Item, [], "items")
    rows.append(ITEMS[7])
    assert read(rows._repr_html_()).rows[1:] == [["item 7", "7 B"]]


class Search:
    """Finds items, and counts how many it was asked for."""

    def __init__(self) -> None:
        self.begun = self.found = 0

    def __call__(self) -> Iterator[Item]:
        self.begun += 1
        for item in ITEMS:
            self.found += 1
            yield item


def test_showing_what_is_yet_to_be_found_uses_nothing_up() -> None:
    search = Search()
    rows = lazy_rows_of(Item, search, "items")
    assert search.begun == 0
    assert next(rows) == ITEMS[0]
    assert read(rows._repr_html_()).rows[1] == ["item 0", "0 B"]
    assert search.found == 1 + 41
    assert list(rows.to_pandas()["size"]) == list(range(100))
    assert list(rows) == ITEMS[1:]
    assert list(rows) == []
    assert next(rows, None) is None


def test_an_error_of_the_search_is_raised_where_it_is_asked_for() -> None:
    def search() -> Iterator[Item]:
        yield ITEMS[0]
        raise ValueError("damaged")

    rows = lazy_rows_of(Item, search)
    assert next(rows) == ITEMS[0]
    with pytest.raises(ValueError, match="damaged"):
        next(rows)
    with pytest.raises(ValueError, match="damaged"):
        rows.to_pandas()


def test_rows_are_iterated_over_by_for() -> None:
    rows: LazyRows[Item] = lazy_rows_of(Item, Search())
    assert [each.size for each in rows] == list(range(100))


def test_a_mapped_sequence_makes_a_row_when_it_is_asked_for() -> None:
    mapped = Mapped(ITEMS, Item._row)
    assert len(mapped) == 100
    assert mapped[-1] == ("item 99", 99)
    assert mapped[1:3] == [("item 1", 1), ("item 2", 2)]


def test_a_table_of_an_iterator_is_lazy() -> None:
    search = Search()
    table = table_of(Item, search())
    assert isinstance(table, Table)
    assert search.found == 0


def test_a_row_by_itself_is_a_data_frame_of_one_row() -> None:
    frame = ITEMS[3].to_pandas()
    assert frame.to_dict("records") == [{"name": "item 3", "size": 3}]
