"""Many results that show themselves as one table: a list of them, and those yet to be found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, SupportsIndex, TypeAlias, TypeVar, overload

from holdfast.overrides import override
from holdfast.present.shown import Row, Shown
from holdfast.present.table import Cell, Column, Table

if TYPE_CHECKING:  # the class of slices takes no types when the program runs
    _Slice: TypeAlias = slice[SupportsIndex | None, SupportsIndex | None, SupportsIndex | None]

T = TypeVar("T")
R = TypeVar("R", bound=Row)


class Rows(Shown, list[T]):
    """A list that has a table with a row for each of its items.

    So have its slices. What is made from it otherwise, by adding or sorting, is a plain list.
    """

    def __init__(
        self,
        items: Iterable[T],
        columns: tuple[Column, ...],
        row: Callable[[T], tuple[Cell, ...]],
        caption: str = "",
    ) -> None:
        """Take the items.

        Args:
            items: what the list has.
            columns: of the table.
            row: what an item's row says. A function with a name, for the list to be pickled.
            caption: what the list is of.
        """
        super().__init__(items)
        self._columns = columns
        self._row = row
        self._caption = caption

    @overload
    def __getitem__(self, index: SupportsIndex, /) -> T: ...

    @overload
    def __getitem__(self, index: _Slice, /) -> Rows[T]: ...

    @override
    def __getitem__(self, index: SupportsIndex | _Slice, /) -> T | Rows[T]:
        if isinstance(index, slice):
            return Rows(super().__getitem__(index), self._columns, self._row, self._caption)
        return super().__getitem__(index)

    @override
    def _table(self) -> Table:
        return Table(self._columns, Mapped(self, self._row), self._caption)


class LazyRows(Shown, Iterator[T]):
    """An iterator over what is found as it is asked for, which shows what it begins with.

    It is gone through once. To show itself, and for a data frame, it searches once more from the
    beginning, as far as it takes; so nothing is used up by that.
    """

    def __init__(
        self,
        search: Callable[[], Iterator[T]],
        columns: tuple[Column, ...],
        row: Callable[[T], tuple[Cell, ...]],
        caption: str = "",
    ) -> None:
        """Find nothing yet.

        Args:
            search: begins to find.
            columns: of the table.
            row: what is in them for each that is found.
            caption: what it is that is found.
        """
        self._search = search
        self._found: Iterator[T] | None = None
        self._columns = columns
        self._row = row
        self._caption = caption

    @override
    def __next__(self) -> T:
        if self._found is None:
            self._found = self._search()
        return next(self._found)

    @override
    def _table(self) -> Table:
        return Table(self._columns, map(self._row, self._search()), self._caption)


def rows_of(result: type[R], items: Iterable[R], caption: str = "") -> Rows[R]:
    """A list of results of that class."""
    return Rows(items, result._COLUMNS, result._row, caption)  # noqa: SLF001 - made for this


def lazy_rows_of(
    result: type[R], search: Callable[[], Iterator[R]], caption: str = ""
) -> LazyRows[R]:
    """Results of that class that are yet to be found, see `LazyRows`."""
    return LazyRows(search, result._COLUMNS, result._row, caption)  # noqa: SLF001 - made for this


def table_of(
    result: type[R],
    items: Iterable[R],
    caption: str = "",
    notes: tuple[str, ...] = (),
    parts: tuple[Table, ...] = (),
) -> Table:
    """The table of results of that class."""
    row = result._row  # noqa: SLF001 - made for this
    rows = Mapped(items, row) if isinstance(items, Sequence) else map(row, items)
    return Table(result._COLUMNS, rows, caption, notes, parts=parts)  # noqa: SLF001 - likewise


class Mapped(Sequence[tuple[Cell, ...]]):
    """The rows of items, each made when it is asked for."""

    def __init__(self, items: Sequence[T], row: Callable[[T], tuple[Cell, ...]]) -> None:
        self._length = len(items)
        self._at: Callable[[int], tuple[Cell, ...]] = lambda index: row(items[index])

    @override
    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> tuple[Cell, ...]: ...

    @overload
    def __getitem__(self, index: _Slice) -> list[tuple[Cell, ...]]: ...

    @override
    def __getitem__(self, index: int | _Slice) -> tuple[Cell, ...] | list[tuple[Cell, ...]]:
        if isinstance(index, slice):
            return [self._at(each) for each in range(self._length)[index]]
        return self._at(index)
