"""One value as HTML: how it is written, what it says in full, and how it looks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from html import escape
from itertools import groupby
from typing import NamedTuple

from holdfast.present.table import Cell, Column, Kind, Tone
from holdfast.present.words import duration, escaped, minute, size

LONGEST = 240
"""Characters of a text that are shown; of a longer one both ends are, and its title has more."""

MOST_LINES = 40
"""Lines of a value that are shown."""

_LONGEST_TITLE = 4096
_SHORT_ID = 8
_UNKNOWN = "–"  # noqa: RUF001 - a dash as wide as a figure

MONO = "font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.95em"
_FAINT = "opacity:.6"

TONES: Mapping[Tone, str] = {
    # Mixed with the colour of text, so that it can be read on light and on dark.
    Tone.GOOD: "color:#2a8a4a;color:color-mix(in srgb,#1f9d4d 72%,currentColor)",
    Tone.NOTABLE: "color:#a86a12;color:color-mix(in srgb,#c47a10 76%,currentColor)",
    Tone.BAD: "color:#cc3d3d;color:color-mix(in srgb,#dd3333 76%,currentColor)",
    Tone.FAINT: _FAINT,
}

NUMBERS = frozenset(
    {
        Kind.NUMBER,
        Kind.COUNT,
        Kind.BYTES,
        Kind.RATE,
        Kind.SECONDS,
        Kind.RATIO,
        Kind.TIME,
        Kind.FLAG,
    }
)
"""Kinds whose values are never broken into two lines."""

AT_THE_RIGHT = NUMBERS - {Kind.TIME, Kind.FLAG}


class Written(NamedTuple):
    """A value as it is written.

    Attributes:
        html: what stands in the cell.
        title: what it says in full, as text; "" when there is no more to it.
        style: of the cell, besides what its kind calls for.
    """

    html: str
    title: str = ""
    style: str = ""


def written(value: Cell, column: Column) -> Written:
    """How a value of a column is written."""
    if value is None:
        return Written(_UNKNOWN, style=_FAINT)
    tones = column.tones
    tone = tones.get(value) if isinstance(tones, Mapping) else tones
    found = _WRITERS[column.kind](value)
    return found if tone is None else found._replace(style=TONES[tone])


def plain(value: Cell) -> Written:
    """A text; what does not print is escaped, and looks so."""
    text = str(value)
    return Written(_marked(_shortened(text), ""), _more_of(text))


def _lines(value: Cell) -> Written:
    lines = [plain(line) for line in str(value).split("\n")]
    return Written("<br>".join(line.html for line in lines[:MOST_LINES]))


def _path(value: Cell) -> Written:
    text = str(value)
    return Written(_marked(_shortened(text), "/"), _more_of(text))


def _id(value: Cell) -> Written:
    text = str(value)
    return Written(_marked(text[:_SHORT_ID], ""), escaped(text)[:_LONGEST_TITLE])


def _marked(text: str, breaks_after: str) -> str:
    """A text as HTML, the escapes in it faint, that may be broken after a character."""
    if text.isprintable():
        return _broken(text, breaks_after)
    return "".join(
        _broken("".join(run), breaks_after)
        if prints
        else f'<span style="{_FAINT}">{escaped("".join(run))}</span>'
        for prints, run in groupby(text, str.isprintable)
    )


def _broken(text: str, after: str) -> str:
    safe = escape(text)
    return safe.replace(after, f"{after}<wbr>") if after else safe


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} … {text[-LONGEST // 2 :]}"


def _more_of(text: str) -> str:
    return "" if len(text) <= LONGEST else escaped(text)[:_LONGEST_TITLE]


def _count(value: Cell) -> Written:
    return Written(f"{value:,}") if isinstance(value, int) else plain(value)


def _bytes(value: Cell) -> Written:
    return Written(size(value), f"{value:,} bytes") if isinstance(value, int) else plain(value)


def _rate(value: Cell) -> Written:
    if not isinstance(value, int | float) or not math.isfinite(value):
        return plain(value)
    return Written(f"{size(round(value))}/s", f"{value:,.0f} bytes a second")


def _time(value: Cell) -> Written:
    if not isinstance(value, datetime):
        return plain(value)
    return Written(minute(value), value.isoformat(" "))


def _seconds(value: Cell) -> Written:
    if not isinstance(value, int | float):
        return plain(value)
    return Written(f"{value:.2g} s" if -1 < value < 1 else duration(value), f"{value:,} s")


def _ratio(value: Cell) -> Written:
    if not isinstance(value, int | float):
        return plain(value)
    return Written(f"{value:.2f}", str(value))


def _flag(value: Cell) -> Written:
    return Written("yes") if value else Written("no", style=_FAINT)


_WRITERS: Mapping[Kind, Callable[[Cell], Written]] = {
    Kind.TEXT: plain,
    Kind.LINES: _lines,
    Kind.PATH: _path,
    Kind.ID: _id,
    Kind.NUMBER: plain,
    Kind.COUNT: _count,
    Kind.BYTES: _bytes,
    Kind.RATE: _rate,
    Kind.TIME: _time,
    Kind.SECONDS: _seconds,
    Kind.RATIO: _ratio,
    Kind.FLAG: _flag,
}
