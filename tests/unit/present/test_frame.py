"""Tables as data frames: a type for each kind, whatever the values are."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime

import pandas as pd
import pytest

from holdfast.errors import UsageError
from holdfast.overrides import override
from holdfast.present import Cell, Kind, Shown, Table, columns
from holdfast.present import frame as frame_module
from holdfast.present.frame import frame

TYPES = {
    Kind.TEXT: "object",
    Kind.LINES: "object",
    Kind.PATH: "object",
    Kind.ID: "object",
    Kind.NUMBER: "Int64",
    Kind.COUNT: "Int64",
    Kind.BYTES: "Int64",
    Kind.RATE: "float64",
    Kind.TIME: "datetime64[us, UTC]",
    Kind.SECONDS: "float64",
    Kind.RATIO: "float64",
    Kind.FLAG: "boolean",
}
ALL = columns(**{kind.value: kind for kind in Kind})


def test_every_kind_has_its_type_also_without_rows_or_values() -> None:
    nothing: tuple[Cell, ...] = (None,) * len(ALL)
    for rows in ([], [nothing], [nothing] * 3):
        found = frame(Table(ALL, rows))
        assert {name: str(kind) for name, kind in found.dtypes.items()} == TYPES
        assert len(found) == len(rows)


def test_values_are_what_they_were() -> None:
    first = datetime(1, 1, 1, tzinfo=UTC)
    last = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    rows: list[tuple[Cell, ...]] = [
        (os.fsdecode(b"odd\xff"), (1 << 63) - 1, first, 1.5, True),
        ("\x00", -(1 << 63), last, float("inf"), False),
        (None, None, None, None, None),
    ]
    names = columns(
        path=Kind.PATH, size=Kind.BYTES, time=Kind.TIME, ratio=Kind.RATIO, flag=Kind.FLAG
    )
    found = frame(Table(names, iter(rows)))
    assert list(found["path"]) == ["odd\udcff", "\x00", None]
    assert list(found["size"])[:2] == [(1 << 63) - 1, -(1 << 63)]
    assert [each.to_pydatetime() for each in found["time"][:2]] == [first, last]
    assert list(found["ratio"])[:2] == [1.5, float("inf")]
    assert list(found["flag"])[:2] == [True, False]
    assert found.iloc[2].isna().all()


def test_numbers_that_no_64_bits_hold_stay_as_they_are() -> None:
    found = frame(Table(columns(size=Kind.BYTES), [(1 << 64,), (1,)]))
    assert list(found["size"]) == [1 << 64, 1]


def test_many_rows_are_taken_in_parts_of_which_nobody_sees_anything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(frame_module, "_AT_ONCE", 7)
    for length in (0, 1, 6, 7, 8, 14, 20):
        rows = [(f"item {number}", number) for number in range(length)]
        found = frame(Table(columns(name=Kind.TEXT, size=Kind.BYTES), iter(rows)))
        assert list(found.itertuples(index=False, name=None)) == rows
        assert list(found.index) == list(range(length))
        assert str(found["size"].dtype) == "Int64"


def test_a_part_whose_numbers_are_too_large_does_not_spoil_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(frame_module, "_AT_ONCE", 2)
    found = frame(Table(columns(size=Kind.BYTES), [(1,), (2,), (1 << 70,)]))
    assert list(found["size"]) == [1, 2, 1 << 70]


class Something(Shown):
    """Has a table."""

    @override
    def _table(self) -> Table:
        return Table(columns(size=Kind.BYTES), [(1,), (2,)])


def test_whatever_shows_itself_has_a_frame() -> None:
    assert isinstance(Something().to_pandas(), pd.DataFrame)
    assert Something().to_pandas()["size"].sum() == 3


def test_without_pandas_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError, match=r"pip install 'holdfast\[notebook\]'"):
        Something().to_pandas()
