"""A table as a pandas data frame, each column with the type that its kind calls for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from holdfast.errors import UsageError
from holdfast.present.table import Cell, Column, Kind, Table

if TYPE_CHECKING:
    from pandas import DataFrame

_TYPES = {
    Kind.TEXT: "object",  # a `str` of pandas cannot hold names that are not UTF-8
    Kind.LINES: "object",
    Kind.PATH: "object",
    Kind.ID: "object",
    Kind.NUMBER: "Int64",
    Kind.COUNT: "Int64",
    Kind.BYTES: "Int64",
    Kind.RATE: "float64",
    Kind.TIME: "datetime64[us, UTC]",  # nanoseconds end in the year 2262, and files may be later
    Kind.SECONDS: "float64",
    Kind.RATIO: "float64",
    Kind.FLAG: "boolean",
}

_AT_ONCE = 1 << 16
"""Rows that are Python objects at a time, for columns of numbers take a fourth of their memory."""


def frame(table: Table) -> DataFrame:
    """The rows of a table as a data frame.

    Raises:
        UsageError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError:
        raise UsageError("data frames take pandas: pip install 'holdfast[notebook]'") from None
    rows = iter(table.rows)
    parts = [_part(islice(rows, _AT_ONCE), table.columns)]
    while len(parts[-1]) == _AT_ONCE:
        parts.append(_part(islice(rows, _AT_ONCE), table.columns))
    return parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)


def _part(rows: Iterator[tuple[Cell, ...]], columns: Sequence[Column]) -> DataFrame:
    import pandas as pd

    values: list[list[Cell]] = [[] for _ in columns]
    for row in rows:
        for each, value in zip(values, row, strict=True):
            each.append(value)
    return pd.DataFrame(
        {
            column.name: pd.Series(each, dtype=_type(each, column.kind))
            for column, each in zip(columns, values, strict=True)
        }
    )


def _type(values: list[Cell], kind: Kind) -> str:
    found = _TYPES[kind]
    return found if found != "Int64" or all(_fits(value) for value in values) else "object"


def _fits(number: Cell) -> bool:
    """Whether it is a number of 64 bits with a sign; a damaged or forged record may have others."""
    return not isinstance(number, int) or -(1 << 63) <= number < 1 << 63
