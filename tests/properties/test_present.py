"""Laws of tables: no text gets out of its cell, and values are the same in a data frame."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.present.html_reader import read

from holdfast.present import Cell, Column, Kind, Table, bar, escaped
from holdfast.present.cell import LONGEST
from holdfast.present.frame import frame
from holdfast.present.page import page

TEXTS = st.text(st.characters(exclude_categories=()), max_size=60) | st.sampled_from(
    ["<script>alert(1)</script>", "</td></table>", "&lt;&#60;", '" onclick="x', "<!-- ", "]]>"]
)
NAMES = TEXTS | st.binary(max_size=60).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
TIMES = st.datetimes(timezones=st.just(UTC))
INTEGERS = st.integers(-(1 << 63), (1 << 63) - 1)
VALUES: dict[Kind, st.SearchStrategy[Cell]] = {
    Kind.TEXT: NAMES,
    Kind.LINES: NAMES,
    Kind.PATH: NAMES,
    Kind.ID: NAMES,
    Kind.NUMBER: INTEGERS,
    Kind.COUNT: INTEGERS,
    Kind.BYTES: INTEGERS,
    Kind.RATE: st.floats(),
    Kind.TIME: TIMES,
    Kind.SECONDS: st.floats(),
    Kind.RATIO: st.floats(),
    Kind.FLAG: st.booleans(),
}
COLUMNS = tuple(Column(kind.value, kind) for kind in Kind)
ROWS = st.lists(st.tuples(*(st.none() | VALUES[kind] for kind in Kind)), max_size=12)


@given(st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=12), NAMES, NAMES)
def test_no_text_gets_out_of_its_place(
    rows: list[tuple[str, str]], caption: str, note: str
) -> None:
    table = Table(
        (Column("kept", Kind.COUNT), Column("path", Kind.PATH), Column("text")),
        [(1, *row) for row in rows],
        caption,
        (note,),
    )
    found = read(page(table))
    assert len(found.rows) == 1 + len(rows)
    assert found.captions == ([escaped(caption)] if caption else [])
    assert found.text.endswith(escaped(note))
    for row, shown in zip(rows, found.rows[1:], strict=True):
        kept = [escaped(text) for number, text in enumerate(row) if any(r[number] for r in rows)]
        assert shown == ["1", *kept]


@given(NAMES.filter(lambda text: len(text) <= LONGEST), NAMES)
def test_nor_does_what_stands_beside_a_bar(what: str, told: str) -> None:
    assert read(bar(None, what, told)).text == escaped(what) + escaped(told)


@given(ROWS)
def test_every_table_of_any_values_is_a_page(rows: list[tuple[Cell, ...]]) -> None:
    for is_record in (False, True):
        read(page(Table(COLUMNS, rows, "any", is_record=is_record)))


@settings(deadline=None)
@given(ROWS)
def test_values_are_the_same_in_a_data_frame(rows: list[tuple[Cell, ...]]) -> None:
    found = frame(Table(COLUMNS, iter(rows)))
    assert len(found) == len(rows)
    for number, kind in enumerate(Kind):
        for row, value in zip(rows, found[kind.value], strict=True):
            assert is_same(row[number], value), (kind, row[number], value)


def is_same(before: Cell, after: object) -> bool:
    """Whether a value of a data frame is what it was made from."""
    if before is None or (isinstance(before, float) and math.isnan(before)):
        return after is None or str(after) in {"nan", "NaT", "<NA>"}
    if isinstance(before, datetime):
        return bool(after == before)
    return bool(after == before) and (not isinstance(before, str) or isinstance(after, str))
