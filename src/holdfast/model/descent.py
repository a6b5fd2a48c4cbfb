"""The way down through nested directories, in bounded memory and without recursion.

It is a stack with one reader per level. The readers far above the current directory are given up,
and opened again, after the name where they stopped, when the way comes back to them: even
thousands of levels of huge directories cost the memory of a few.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

MAX_DEPTH = 20_000
"""Most levels of directories that are followed; a backup must not go deeper either."""

MAX_PATH = 1 << 20
"""Longest path in bytes that is followed; a backup must not go further either."""

_OPEN_READERS = 32


class Named(Protocol):
    """Something in a directory."""

    @property
    def name(self) -> bytes:
        """Its name, by which the things of a directory are ordered."""


Entry = TypeVar("Entry", bound=Named)
Place = TypeVar("Place", bound=Hashable)


@dataclass(slots=True)
class _Level(Generic[Place, Entry]):
    """A directory on the way: how long its path is, and where reading it has come to."""

    place: Place
    path_length: int
    reader: Iterator[Entry] | None = None
    after: bytes = b""


class Descent(Generic[Place, Entry]):
    """The directories from where a walk began down to where it is.

    Attributes:
        path: the path of the directory whose entry `next` gave last.

    Args:
        place: the directory where it begins, in whatever form `read` takes it.
        path: its path.
        read: gives a directory's entries, from its place, its path and the name to begin after.
    """

    def __init__(
        self,
        place: Place,
        path: bytes,
        read: Callable[[Place, bytes, bytes], Iterator[Entry]],
    ) -> None:
        self.path = path
        self._read = read
        self._levels: list[_Level[Place, Entry]] = [_Level(place, len(path))]
        self._places = {place}

    @property
    def depth(self) -> int:
        """How many directories are open, from the first down to the current one; 0 at the end."""
        return len(self._levels)

    def next(self) -> Entry | None:
        """The next entry of the current directory, or of the nearest one above that has one."""
        while self._levels:
            level = self._levels[-1]
            self.path = self.path[: level.path_length]
            if level.reader is None:
                level.reader = self._read(level.place, self.path, level.after)
            entry = next(level.reader, None)
            if entry is not None:
                level.after = entry.name
                return entry
            self._places.discard(level.place)
            self._levels.pop()
        return None

    def enter(self, place: Place, path: bytes) -> str:
        """Go into a directory that `next` has just given.

        Returns:
            What forbids it; "" when it was done. No honest backup makes such a tree.
        """
        if place in self._places:
            return "a directory contains itself"
        if len(self._levels) >= MAX_DEPTH or len(path) > MAX_PATH:
            return f"directories more than {MAX_DEPTH} deep, or paths of more than {MAX_PATH} bytes"
        self.path = path
        self._places.add(place)
        self._levels.append(_Level(place, len(path)))
        if len(self._levels) > _OPEN_READERS:
            self._levels[-_OPEN_READERS - 1].reader = None
        return ""
