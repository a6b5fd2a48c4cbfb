"""Tables as HTML: quiet, bounded, safe, and the same in every front end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from itertools import count

import pytest
from tests.unit.present.html_reader import read

from holdfast.present import Cell, Column, Kind, Table, Tone, bar, columns
from holdfast.present.page import MOST_NOTES, MOST_ROWS, page

NUMBERS = columns(number=Kind.COUNT)


def one(value: Cell, kind: Kind) -> tuple[str, str | None]:
    """How a value is written in a table, and its title."""
    found = read(page(Table((Column("before"), Column("it", kind)), [("x", value)])))
    assert len(found.rows) == 2
    return found.rows[1][-1], found.titles[-1]


@pytest.mark.parametrize(
    ("value", "kind", "shown", "title"),
    [
        (12_345, Kind.COUNT, "12,345", None),
        (12_345, Kind.NUMBER, "12345", None),
        (1_536, Kind.BYTES, "1.50 KiB", "1,536 bytes"),
        (-1_536, Kind.BYTES, "-1.50 KiB", "-1,536 bytes"),
        (1_048_576.4, Kind.RATE, "1.00 MiB/s", "1,048,576 bytes a second"),
        (float("inf"), Kind.RATE, "inf", None),
        (125.0, Kind.SECONDS, "2 min 5 s", "125.0 s"),
        (0.0123, Kind.SECONDS, "0.012 s", "0.0123 s"),
        (float("nan"), Kind.SECONDS, "nan s", "nan s"),
        (float("inf"), Kind.SECONDS, "inf s", "inf s"),
        (3.14159, Kind.RATIO, "3.14", "3.14159"),
        (True, Kind.FLAG, "yes", None),
        (False, Kind.FLAG, "no", None),
        ("ab" * 16, Kind.ID, "abababab", "ab" * 16),
        ("/a/b c.txt", Kind.PATH, "/a/b c.txt", None),
        ('<b> & "it\'s"', Kind.TEXT, '<b> & "it\'s"', None),
        ("a\nb\x1b[2J\u202e", Kind.TEXT, "a\\nb\\x1b[2J\\u202e", None),
        (os.fsdecode(b"/odd\xff"), Kind.PATH, "/odd\\xff", None),
        (None, Kind.BYTES, "–", None),  # noqa: RUF001 - the dash that is shown
        ("", Kind.TEXT, "", None),
    ],
)
def test_a_value_is_written_as_its_kind_asks(
    value: Cell, kind: Kind, shown: str, title: str | None
) -> None:
    if value in (None, ""):  # a column with nothing but such values is left out
        table = Table(columns(it=kind), [(value,), (1,)])
        found = read(page(table))
        assert (found.rows[1][-1], found.titles[0]) == (shown, title)
    else:
        assert one(value, kind) == (shown, title)


@pytest.mark.parametrize(
    ("when", "shown"),
    [
        (datetime(2026, 11, 22, 2, 31, 14, 250_000, tzinfo=UTC), "2026-11-22 02:31"),
        (datetime(2026, 11, 22, 1, 0, tzinfo=timezone(timedelta(hours=2))), "2026-11-21 23:00"),
        (datetime(1, 1, 1, 0, 5, tzinfo=timezone(timedelta(hours=1))), "0001-01-01 00:05+01:00"),
        (datetime(9999, 12, 31, 23, 59, tzinfo=UTC), "9999-12-31 23:59"),
    ],
)
def test_times_are_to_the_minute_in_utc_and_exact_in_the_title(when: datetime, shown: str) -> None:
    found = read(page(Table(columns(mtime=Kind.TIME), [(when,)])))
    assert found.rows == [["mtime UTC"], [shown]]
    assert found.titles == [when.isoformat(" ")]


def test_values_of_another_type_than_their_kind_do_no_harm() -> None:
    for kind in Kind:
        for value in ("<x>", 1, 1.5, True, datetime(2026, 1, 1, tzinfo=UTC)):
            shown, _ = one(value, kind)
            assert shown


def test_a_long_text_is_shortened_and_its_title_has_more() -> None:
    text = "/" + "a" * 3000 + "\x1b" + "b" * 3000
    shown, title = one(text, Kind.PATH)
    assert len(shown) < 300
    assert shown.startswith("/aaa")
    assert shown.endswith("bbb")
    assert " … " in shown
    assert title is not None
    assert "\\x1b" in title
    assert len(title) == 4096


def test_a_long_path_may_be_broken_behind_slashes_but_no_slash_of_an_element_is() -> None:
    html = page(Table(columns(path=Kind.PATH), [("/a/b\x1b/c",)]))
    assert "/<wbr>a/<wbr>b<span" in html
    assert "</span>/<wbr>c" in html
    assert "<<wbr>" not in html


def test_of_many_rows_both_ends_are_shown() -> None:
    rows = [(number,) for number in range(12_385)]
    found = read(page(Table(NUMBERS, rows)))
    assert [row[0] for row in found.rows[:3]] == ["number", "0", "1"]
    assert found.rows[1 + MOST_ROWS // 2] == ["… 12,345 more rows"]
    assert found.rows[-1] == ["12,384"]
    assert len(found.rows) == 2 + MOST_ROWS


def test_as_many_rows_as_there_is_room_for_are_all_shown() -> None:
    for rows in (
        [(number,) for number in range(MOST_ROWS)],
        iter([(number,) for number in range(MOST_ROWS)]),
    ):
        assert len(read(page(Table(NUMBERS, rows))).rows) == 1 + MOST_ROWS


def test_of_rows_without_an_end_only_what_is_shown_is_computed() -> None:
    asked: list[int] = []

    def rows() -> Iterator[tuple[Cell, ...]]:
        for number in count():
            asked.append(number)
            yield (number,)

    found = read(page(Table(NUMBERS, rows())))
    assert found.rows[-1] == ["… more rows"]
    assert len(found.rows) == 2 + MOST_ROWS
    assert len(asked) == MOST_ROWS + 1


def test_columns_that_say_nothing_are_left_out() -> None:
    table = Table(columns(a=Kind.TEXT, b=Kind.TEXT, c=Kind.COUNT), [("x", "", 0), ("y", None, 0)])
    assert read(page(table)).rows == [["a", "c"], ["x", "0"], ["y", "0"]]


def test_a_table_without_rows_says_so_below_all_its_columns() -> None:
    assert read(page(Table(columns(a=Kind.TEXT, b=Kind.TEXT), []))).rows == [["a", "b"], ["none"]]


def test_a_record_is_shown_upright_without_what_is_not_known() -> None:
    names = columns(files_new=Kind.COUNT, label=Kind.TEXT, size=Kind.BYTES, when=Kind.TIME)
    html = page(Table(names, [(3, "", 1_536, None)], "It", is_record=True))
    found = read(html)
    assert found.rows == [["files new", "3"], ["size", "1.50 KiB"]]
    assert found.captions == ["It"]
    assert html.count('<th scope="row"') == 2


def test_heads_and_captions_are_marked_as_such() -> None:
    html = page(Table(columns(a_b=Kind.TEXT), [("x",)], "A <caption>"))
    assert html.count('<th scope="col"') == 1
    found = read(html)
    assert found.captions == ["A <caption>"]
    assert found.rows[0] == ["a b"]


def test_notes_and_parts_are_below_and_bounded() -> None:
    part = Table(NUMBERS, [(1,)], "part")
    notes = tuple(f"note {number} <b>" for number in range(MOST_NOTES + 3))
    found = read(page(Table(NUMBERS, [(0,)], "whole", notes, parts=(part,) * (MOST_NOTES + 1))))
    assert found.captions == ["whole", *["part"] * MOST_NOTES]
    assert "note 9 <b>" in found.text
    assert "note 10" not in found.text
    assert "… 3 more notes" in found.text


def test_numbers_are_at_the_right_and_figures_of_one_width() -> None:
    html = page(Table(columns(size=Kind.BYTES, name=Kind.TEXT), [(1, "x")]))
    assert "font-variant-numeric:tabular-nums" in html
    size, name = (cell.split(">")[0] for cell in html.split("<td")[1:])
    assert "text-align:right" in size
    assert "text-align:left" in name


def test_tones_are_given_to_some_values_or_to_all() -> None:
    some = Column("kind", Kind.TEXT, {"bad": Tone.BAD})
    every = Column("problem", Kind.TEXT, Tone.BAD)
    html = page(Table((some, every), [("bad", "x"), ("good", "y")]))
    cells = [cell.split(">")[0] for cell in html.split("<td")[1:]]
    assert ["color:" in cell for cell in cells] == [True, True, False, True]


def test_nothing_is_fetched_or_run_or_leaks() -> None:
    html = page(Table(columns(path=Kind.PATH), [("http://example.org/x.js",)], "x"))
    for word in ("<script", "<style", "<link", "<img", "class=", "id=", "href=", "src=", "onload"):
        assert word not in html


def test_a_bar_says_what_it_shows() -> None:
    found = read(bar(41.6, "restore", "3 files <x>\x1b"))
    assert found.text == "restore42 % · 3 files <x>\\x1b"
    assert 'aria-valuenow="42"' in bar(41.6, "", "")
    assert "width:41.6%" in bar(41.6, "", "")


def test_a_bar_without_an_end_in_sight_has_no_number() -> None:
    html = bar(None, "", "3 files")
    assert read(html).text == "3 files"
    assert "aria-valuenow" not in html


def test_a_bar_that_is_done_says_what_was_done() -> None:
    assert read(bar(100.0, "check", "12 files")).text == "check12 files"


def test_a_text_keeps_its_words_whole_and_a_path_may_be_broken_anywhere() -> None:
    html = page(Table(columns(kind=Kind.TEXT, path=Kind.PATH), [("ransomware", "/a" * 90)]))
    kind, path = (cell.split(">")[0] for cell in html.split("<td")[1:])
    assert "overflow-wrap:break-word" in kind
    assert "overflow-wrap:anywhere" in path


def test_details_are_in_records_and_not_in_lists() -> None:
    names = (Column("kind"), Column("evidence", Kind.LINES, is_detail=True))
    row = ("burst", "10 of 20\n<b>\x1b\u202e")
    assert read(page(Table(names, [row, row]))).rows == [["kind"], ["burst"], ["burst"]]
    html = page(Table(names, [row], is_record=True))
    assert read(html).rows == [["kind", "burst"], ["evidence", "10 of 20<b>\\x1b\\u202e"]]
    assert html.count("<br>") == 1


def test_lines_are_bounded() -> None:
    names = columns(evidence=Kind.LINES)
    html = page(Table(names, [("x\n" * 100_000,)], is_record=True))
    assert len(html) < 2_000
