"""A table: typed columns, rows of plain values, and what is to be said above and below it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, TypeAlias

Cell: TypeAlias = str | int | float | bool | datetime | None
"""A value: what a JSON document has, and aware times."""


class Kind(StrEnum):
    """What the values of a column are, which decides how they are written and aligned."""

    TEXT = "text"
    LINES = "lines"
    PATH = "path"
    ID = "id"
    NUMBER = "number"
    COUNT = "count"
    BYTES = "bytes"
    RATE = "rate"
    TIME = "time"
    SECONDS = "seconds"
    RATIO = "ratio"
    FLAG = "flag"


class Tone(StrEnum):
    """How a value is to be taken, which decides its colour."""

    GOOD = "good"
    NOTABLE = "notable"
    BAD = "bad"
    FAINT = "faint"


class Column(NamedTuple):
    """A column.

    Attributes:
        name: what pandas calls it: an identifier, such as ``size``.
        kind: what its values are: TEXT, LINES (texts, one on each line), PATH and ID
            str, COUNT, BYTES and NUMBER (which counts
            nothing, such as a line's) int, TIME aware datetimes, SECONDS, RATIO and RATE (bytes a
            second) float, FLAG bool. Every value may be None, for "not known".
        tones: how some of the values are to be taken, or all of them.
        is_detail: left out where many are shown below one another; a record by itself and data
            frames have it.
    """

    name: str
    kind: Kind = Kind.TEXT
    tones: Mapping[Cell, Tone] | Tone | None = None
    is_detail: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Attributes:
        columns: its columns.
        rows: its rows, each with a value for every column. A sequence is shown from both of its
            ends; anything else is gone through once, and only as far as it is needed.
        caption: what it shows, in a few words.
        notes: sentences below it, such as what was left out.
        is_record: it is one row, which is shown upright: names beside values.
        parts: tables that are shown below it; data frames are of the table itself.
    """

    columns: tuple[Column, ...]
    rows: Iterable[tuple[Cell, ...]]
    caption: str = ""
    notes: tuple[str, ...] = ()
    is_record: bool = False
    parts: tuple[Table, ...] = ()


def columns(**kinds: Kind) -> tuple[Column, ...]:
    """Columns of these names and kinds."""
    return tuple(Column(name, kind) for name, kind in kinds.items())


def cells(record: object, columns: Iterable[Column]) -> tuple[Cell, ...]:
    """The attributes of a record that are called as the columns are."""
    return tuple(getattr(record, column.name) for column in columns)
