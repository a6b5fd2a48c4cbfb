"""Many ranges of files at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from holdfast.engine.snapshotfs.reading import AHEAD, FileReader
from holdfast.errors import HoldfastError


class Ranges:
    """Ranges of files, which are read in the order that they have in these.

    Args:
        wanted: path, first byte and end of each.
        opened: gives the file at a path.
    """

    def __init__(
        self,
        wanted: Sequence[tuple[str, int | None, int | None]],
        opened: Callable[[str], FileReader],
    ) -> None:
        self._opened = opened
        self._files: dict[str, FileReader | Exception] = {}
        self._numbers: dict[str, int] = {}
        self._places = sorted(self._place(number, *each) for number, each in enumerate(wanted))
        self._found: list[bytes | Exception] = [b""] * len(wanted)

    def read(self, *, raises: bool) -> list[bytes | Exception]:
        """What is in the ranges, or what is wrong with them; raises the first error if asked to."""
        later, told = 0, 0
        for number, (_, begin, end, position, path) in enumerate(self._places):
            while later < len(self._places) and (later <= number or told < AHEAD):
                told += self._announce(later)
                later += 1
            told -= end - begin
            self._found[position] = found = self._read(path, begin, end)
            if raises and isinstance(found, Exception):
                raise found
        return self._found

    def close(self) -> None:
        """Let go of the files."""
        for file in self._files.values():
            if isinstance(file, FileReader):
                file.close()

    def _place(
        self, position: int, path: str, start: int | None, end: int | None
    ) -> tuple[int, int, int, int, str]:
        """The number of a file, where in it a range begins and ends, its position and path."""
        if path not in self._files:
            try:
                self._files[path] = self._opened(path)
            except (OSError, HoldfastError) as error:
                self._files[path] = error
        file = self._files[path]
        size = file.size if isinstance(file, FileReader) else 0
        begin, stop = limits(start, end, size)
        return self._numbers.setdefault(path, len(self._numbers)), begin, stop, position, path

    def _announce(self, number: int) -> int:
        _, begin, end, _, path = self._places[number]
        file = self._files[path]
        if isinstance(file, FileReader):
            file.announce(begin, end - begin)
        return end - begin

    def _read(self, path: str, begin: int, end: int) -> bytes | Exception:
        file = self._files[path]
        if isinstance(file, Exception):
            return file
        try:
            return file.read_at(begin, end - begin)
        except HoldfastError as error:
            return error


def limits(start: int | None, end: int | None, size: int) -> tuple[int, int]:
    """A range as slices have it: negative places count from the end, and none is beyond it."""
    begin, stop, _ = slice(start, end).indices(size)
    return begin, max(begin, stop)
