"""Which entries of a snapshot, and of a target, a restore is about."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import NamedTuple

from holdfast.filesystem import Deciders, Patterns
from holdfast.model.path import ROOT, join_path, split_path
from holdfast.operations.restore.options import RestoreOptions


class Choice(NamedTuple):
    """What a restore does with an entry.

    Attributes:
        selected: it is to be restored.
        descend: it is a directory, and something in it may be selected.
    """

    selected: bool
    descend: bool


_ALL = Choice(selected=True, descend=True)
_NOTHING = Choice(selected=False, descend=False)


class Place:
    """Where an entry is: its directory's place and its name; the path is put together on demand.

    The places of a deep tree share their beginnings, so that they take little memory.
    """

    __slots__ = ("name", "parent")

    def __init__(self, parent: Place | None, name: bytes) -> None:
        self.parent = parent
        self.name = name

    @property
    def names(self) -> list[bytes]:
        """The names on the way from the target to here."""
        names: list[bytes] = []
        place = self
        while place.parent is not None:
            names.append(place.name)
            place = place.parent
        return names[::-1]

    @property
    def path(self) -> bytes:
        """The path in the snapshot."""
        return self.get_path()

    def get_path(self) -> bytes:
        """The path in the snapshot; the first place's name is the path where it all begins."""
        place = self
        names = self.names
        while place.parent is not None:
            place = place.parent
        return join_path(place.name, b"/".join(names)) if names else place.name

    def below(self, name: bytes) -> bytes:
        """The path of an entry of this directory."""
        return join_path(self.path, name)


@dataclass(frozen=True, slots=True)
class Scope:
    """What the patterns say of the entries of one directory.

    Attributes:
        include: decides what is selected; None when the directory itself is.
        exclude: decides what is not; None when nothing is excluded.
    """

    include: Deciders | None
    exclude: Deciders | None

    def judge(self, name: bytes, *, is_directory: bool) -> Choice:
        """What to do with an entry of the directory."""
        if self.include is None and self.exclude is None:
            return _ALL
        text = os.fsdecode(name)
        if self.exclude is not None and _decide(self.exclude, text, is_directory=is_directory):
            return _NOTHING
        if self.include is None or _decide(self.include, text, is_directory=is_directory):
            return _ALL
        return Choice(selected=False, descend=True)


class Selection:
    """The patterns of a restore; gives the scope of each directory."""

    def __init__(self, options: RestoreOptions) -> None:
        self._include = options.include or None
        self._exclude = options.exclude or None

    def holds(self, path: bytes) -> bool:
        """Whether the root of a restore is selected: it, or a directory above it, is included."""
        if self._include is None:
            return True
        names = split_path(path)
        ways = [ROOT, *(b"/" + b"/".join(names[: end + 1]) for end in range(len(names)))]
        return any(self._include.match(way, is_dir=True) for way in ways)

    def scope(self, path: bytes, *, selected: bool) -> Scope | None:
        """What is selected in a directory; None when nothing in it, at any depth.

        Args:
            path: of the directory, in the snapshot.
            selected: the directory itself is selected.
        """
        include = None if selected else self._include
        if include is not None and not include.could_match_below(path):
            return None
        return Scope(_within(include, path), _within(self._exclude, path))


def _within(patterns: Patterns | None, path: bytes) -> Deciders | None:
    if patterns is None:
        return None
    return patterns.within("" if path == ROOT else os.fsdecode(path))


def _decide(deciders: Deciders, name: str, *, is_directory: bool) -> bool:
    return deciders.directory(name) if is_directory else deciders.file(name)
