"""Text for people: sizes, times, tables, and names that can do a terminal no harm."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime

from holdfast.present import count, duration, escaped, size

__all__ = ["count", "duration", "escaped", "moment", "print_table", "size"]


def moment(when: datetime | None) -> str:
    """A time in the local zone, to the second; ``-`` when there is none that can be shown."""
    if when is None:
        return "-"
    try:
        return f"{when.astimezone():%Y-%m-%d %H:%M:%S}"
    except (OverflowError, OSError, ValueError):
        return f"{when:%Y-%m-%d %H:%M:%S}Z"


def print_table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Sequence[int] = ()
) -> None:
    """Print columns, aligned with spaces.

    Args:
        heads: what stands above the columns.
        rows: the cells; they are escaped here.
        numbers: columns to align at their right.
    """
    cells = [heads, *([escaped(cell) for cell in row] for row in rows)]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        aligned = []
        for number, (cell, width) in enumerate(zip(row, widths, strict=True)):
            space = " " * (width - _width(cell))
            aligned.append(space + cell if number in numbers else cell + space)
        print("  ".join(aligned).rstrip())


def _width(text: str) -> int:
    """How many columns of a terminal it takes."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(each) in "WF" for each in text)
    marks = sum(unicodedata.combining(each) != 0 for each in text)
    return len(text) + wide - marks
