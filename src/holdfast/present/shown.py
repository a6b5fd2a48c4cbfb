"""What every public result can do: show itself in a notebook, and become a data frame."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import fields
from typing import TYPE_CHECKING, ClassVar

from holdfast.overrides import override
from holdfast.present.table import Cell, Column, Table, cells

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from pandas import DataFrame


def record_of(result: DataclassInstance) -> dict[str, object]:
    """The attributes of a dataclass by name, as they are: not those of attributes in turn."""
    return {each.name: getattr(result, each.name) for each in fields(result)}


class Shown:
    """Something that has a table. A base class without attributes, also for slotted classes."""

    __slots__ = ()

    @abstractmethod
    def _table(self) -> Table:
        """What it shows."""

    def to_pandas(self) -> DataFrame:
        """All of it as a data frame.

        Sizes are ``Int64``, times ``datetime64[us, UTC]``, seconds and ratios ``float64``, flags
        ``boolean``, text ``object``: names that are not UTF-8 stay as `os.fsdecode` has them.

        Raises:
            UsageError: pandas is not installed.
        """
        from holdfast.present.frame import frame

        return frame(self._table())

    def _repr_html_(self) -> str:
        """What a notebook shows; it is safe to show, whatever names the files have."""
        from holdfast.present.page import page

        return page(self._table())


class Row(Shown):
    """A result that is one row; by itself it is shown upright, names beside values.

    A class says in `_COLUMNS` which of its attributes these are.
    """

    __slots__ = ()

    _COLUMNS: ClassVar[tuple[Column, ...]]

    def _row(self) -> tuple[Cell, ...]:
        """The values of its columns."""
        return cells(self, self._COLUMNS)

    def _caption(self) -> str:
        """What it is, in a few words."""
        return ""

    def _notes(self) -> tuple[str, ...]:
        """Sentences below it."""
        return ()

    def _parts(self) -> tuple[Table, ...]:
        """Tables below it."""
        return ()

    @override
    def _table(self) -> Table:
        return Table(
            self._COLUMNS,
            (self._row(),),
            self._caption(),
            self._notes(),
            is_record=True,
            parts=self._parts(),
        )
