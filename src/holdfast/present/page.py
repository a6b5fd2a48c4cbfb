"""A table as HTML, for notebooks.

Every element has its style with it, and nothing else: no script, no style sheet that could reach
what is around it, nothing that is fetched. Colours are those of the text around it, so that it
looks right on light and on dark. What notebooks do to tables by themselves is undone.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import islice

from holdfast.present.cell import AT_THE_RIGHT, MONO, NUMBERS, plain, written
from holdfast.present.table import Cell, Column, Kind, Table
from holdfast.present.words import count

MOST_ROWS = 40
"""Rows that are shown; of more, as many from the beginning as from the end."""

MOST_NOTES = 10
"""Notes and further tables that are shown."""

_BOX = "overflow-x:auto;max-width:100%;margin:.3em 0 .8em"
_TABLE = (
    "border-collapse:collapse;border:0;margin:0;table-layout:auto;font-size:13px;"
    "line-height:1.45;font-variant-numeric:tabular-nums"
)
_CAPTION = (
    "caption-side:top;text-align:left;padding:0 0 .35em;font-weight:600;font-size:14px;"
    "color:inherit;font-style:normal;white-space:"
)
_SHORT_CAPTION = 80
_ROW = "background:none"
_LINE = "border:0;border-bottom:1px solid rgba(128,128,128,.22)"
_HEAD = (
    "padding:.25em 1.2em .25em 0;border:0;border-bottom:1px solid rgba(128,128,128,.6);"
    "font-weight:500;background:none;vertical-align:bottom;white-space:nowrap"
)
_CELL = f"padding:.25em 1.2em .25em 0;{_LINE};max-width:44em;vertical-align:top"
_NAME = f"{_CELL};text-align:left;font-weight:500;background:none;white-space:nowrap"
_QUIET = "opacity:.65"
_NOTE = f"{_QUIET};font-size:12px;line-height:1.45;margin:.35em 0 0;white-space:pre-wrap"

_Row = tuple[Cell, ...]


def page(table: Table) -> str:
    """The table as one HTML element."""
    return f'<div style="{_BOX}">{_inner(table)}</div>'


def _inner(table: Table) -> str:
    picked = _upright(table) if table.is_record else _lying(table)
    # A short one is not broken where the table is narrower than it.
    breaks = "nowrap" if len(table.caption) <= _SHORT_CAPTION else "normal"
    caption = f'<caption style="{_CAPTION}{breaks}">{plain(table.caption).html}</caption>'
    notes = [f'<div style="{_NOTE}">{plain(note).html}</div>' for note in table.notes[:MOST_NOTES]]
    if len(table.notes) > MOST_NOTES:
        more = count(len(table.notes) - MOST_NOTES, "more note")
        notes.append(f'<div style="{_NOTE}">… {more}</div>')
    parts = [
        f'<div style="margin-top:.8em">{_inner(part)}</div>' for part in table.parts[:MOST_NOTES]
    ]
    shown = f'<table style="{_TABLE}">{caption * bool(table.caption)}{picked}</table>'
    return shown + "".join(notes) + "".join(parts)


def _upright(table: Table) -> str:
    """The one row of a table, a line for each value that is known."""
    values = next(iter(table.rows), ())
    lines = []
    for column, value in zip(table.columns, values, strict=False):
        if not _says_nothing(value):
            name = f'<th scope="row" style="{_NAME}">{_title_of(column)}</th>'
            lines.append(f'<tr style="{_ROW}">{name}{_cell(value, column, "left")}</tr>')
    return f"<tbody>{''.join(lines)}</tbody>"


def _lying(table: Table) -> str:
    """Some rows of a table, without details and columns that say nothing in any of them."""
    head, left_out, tail = _picked(table)
    rows = head + tail
    used = [
        (number, column)
        for number, column in enumerate(table.columns)
        if not column.is_detail
        and (not rows or not all(_says_nothing(row[number]) for row in rows))
    ]
    heads = "".join(
        f'<th scope="col" style="{_HEAD};text-align:{_side(column)}">{_title_of(column)}</th>'
        for _, column in used
    )
    between = f'<tr style="{_ROW}">{_across(left_out, len(used))}</tr>' if left_out else ""
    if not rows:
        between = f'<tr style="{_ROW}">{_across("none", len(used))}</tr>'
    return (
        f'<thead><tr style="{_ROW}">{heads}</tr></thead><tbody>'
        f"{_lines(head, used)}{between}{_lines(tail, used)}</tbody>"
    )


def _picked(table: Table) -> tuple[list[_Row], str, list[_Row]]:
    """The first rows, what is to be said of those left out, and the last ones."""
    rows = table.rows
    if not isinstance(rows, Sequence):
        iterator = iter(rows)
        head = list(islice(iterator, MOST_ROWS))
        is_more = next(iterator, None) is not None
        return head, "… more rows" * is_more, []
    if len(rows) <= MOST_ROWS:
        return list(rows), "", []
    half = MOST_ROWS // 2
    left_out = f"… {count(len(rows) - MOST_ROWS, 'more row')}"
    return list(rows[:half]), left_out, list(rows[-half:])


def _lines(rows: list[_Row], used: list[tuple[int, Column]]) -> str:
    return "".join(
        f'<tr style="{_ROW}">'
        + "".join(_cell(row[number], column, _side(column)) for number, column in used)
        + "</tr>"
        for row in rows
    )


def _cell(value: Cell, column: Column, side: str) -> str:
    found = written(value, column)
    style = f"{_CELL};text-align:{side}"
    if column.kind in {Kind.PATH, Kind.ID}:
        style += f";{MONO}"
    # Spaces are part of a name. A path may be broken anywhere; of a text each column is at least
    # as wide as its longest word, or else a wide neighbour would leave it two letters on a line.
    rigid = column.kind in NUMBERS or column.kind == Kind.ID
    breaks = "anywhere" if column.kind == Kind.PATH else "break-word"
    style += ";white-space:nowrap" if rigid else f";white-space:pre-wrap;overflow-wrap:{breaks}"
    if column.kind == Kind.PATH and side == "left":
        style += ";min-width:14em"
    style += f";{found.style}" * bool(found.style)
    title = f' title="{escape(found.title)}"' * bool(found.title)
    return f'<td{title} style="{style}">{found.html}</td>'


def _across(text: str, width: int) -> str:
    style = f"{_CELL};text-align:left;{_QUIET}"
    return f'<td colspan="{width}" style="{style}">{text}</td>'


def _title_of(column: Column) -> str:
    name = plain(column.name.replace("_", " ")).html
    unit = f' <span style="{_QUIET};font-weight:400">UTC</span>'
    return name + unit * (column.kind == Kind.TIME)


def _side(column: Column) -> str:
    return "right" if column.kind in AT_THE_RIGHT else "left"


def _says_nothing(value: Cell) -> bool:
    return value is None or value == ""
