"""How results show themselves: as HTML tables in notebooks, and as pandas data frames.

A result says once what its table is (`Shown._table`); what becomes of it in a notebook or in
pandas is decided here. Nothing here knows what the results are about.
"""

from __future__ import annotations

from holdfast.present.bar import bar
from holdfast.present.rows import LazyRows, Mapped, Rows, lazy_rows_of, rows_of, table_of
from holdfast.present.shown import Row, Shown, record_of
from holdfast.present.table import Cell, Column, Kind, Table, Tone, cells, columns
from holdfast.present.words import count, duration, escaped, minute, size

__all__ = [
    "Cell",
    "Column",
    "Kind",
    "LazyRows",
    "Mapped",
    "Row",
    "Rows",
    "Shown",
    "Table",
    "Tone",
    "bar",
    "cells",
    "columns",
    "count",
    "duration",
    "escaped",
    "lazy_rows_of",
    "minute",
    "record_of",
    "rows_of",
    "size",
    "table_of",
]
