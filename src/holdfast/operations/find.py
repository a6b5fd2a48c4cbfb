"""Where files of some name are, in one snapshot or in all.

All snapshots are searched at once, going down their trees side by side: a directory that is the
same in many of them is loaded once, and each version of a file is given once, with the snapshots
that have it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from heapq import merge
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple, TypeAlias

from holdfast.errors import DamagedRepository
from holdfast.filesystem import Patterns
from holdfast.model.descent import Descent
from holdfast.model.entry import Entry
from holdfast.model.node import Node, NodeType
from holdfast.model.path import ROOT, join_path
from holdfast.model.roles import BlobLoader
from holdfast.model.snapshot import Snapshot
from holdfast.model.tree import load_directory
from holdfast.model.walk import OnDamagedPath, directory_tree, tell_damage
from holdfast.primitives.ids import BlobId

Record: TypeAlias = dict[str, object]

MOST_TREES = 64
"""Versions of a directory that are read side by side."""


@dataclass(frozen=True, slots=True)
class FindOptions:
    """What to look for.

    Attributes:
        patterns: globs, as `holdfast.filesystem.Patterns` takes them.
        ignore_case: whether upper and lower case are the same.
    """

    patterns: tuple[str, ...]
    ignore_case: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """One version of an entry that matches.

    Attributes:
        entry: the entry.
        snapshots: those that have it just so, in the order in which they were given.
    """

    entry: Entry
    snapshots: tuple[Snapshot, ...]

    def dict(self) -> Record:
        """All of it by name, ready for JSON."""
        return self.entry.dict() | {"snapshots": [snapshot.id for snapshot in self.snapshots]}


_Holders: TypeAlias = tuple[int, ...]
"""Numbers of snapshots."""

_Place: TypeAlias = tuple[tuple[BlobId, _Holders], ...]
"""The versions of a directory, and which snapshots have each."""


class _Version(NamedTuple):
    """An entry, and which snapshots have it just so."""

    name: bytes
    node: Node
    holders: _Holders


class _Versions(NamedTuple):
    """What the snapshots have under one name."""

    name: bytes
    all: list[_Version]


def find(
    snapshots: Iterable[Snapshot],
    loader: BlobLoader,
    options: FindOptions,
    on_damage: OnDamagedPath | None = None,
) -> Iterator[Found]:
    """Give every version of every entry that matches, in order of paths.

    With very many snapshots the search goes over groups of them, each in order of paths; then a
    version may be given once for each group.

    Args:
        snapshots: where to look.
        loader: where trees are.
        options: what to look for.
        on_damage: called for a directory that cannot be read; the search goes on without it.
            Without it the error is raised.

    Raises:
        UsageError: a pattern makes no sense.
        DamagedRepository: a tree is missing or damaged.
    """
    patterns = Patterns(options.patterns, ignore_case=options.ignore_case)
    known = list(snapshots)
    for place in _roots(known):
        for path, version in _search(place, loader, patterns, on_damage):
            holders = tuple(known[number] for number in version.holders)
            yield Found(Entry.of(path, version.node), holders)


def _roots(snapshots: Sequence[Snapshot]) -> Iterator[_Place]:
    """The root directories, in groups that are small enough to be read side by side."""
    holders: dict[BlobId, list[int]] = {}
    for number, snapshot in enumerate(snapshots):
        holders.setdefault(snapshot.tree, []).append(number)
    roots = [(tree, tuple(numbers)) for tree, numbers in holders.items()]
    for start in range(0, len(roots), MOST_TREES):
        yield tuple(roots[start : start + MOST_TREES])


def _search(
    place: _Place, loader: BlobLoader, patterns: Patterns, on_damage: OnDamagedPath | None
) -> Iterator[tuple[bytes, _Version]]:
    """Give the matching versions below some versions of the root directory."""
    descent = Descent(place, ROOT, partial(_read, loader=loader, on_damage=on_damage))
    directory, matches = ROOT, patterns.within("/")
    while (versions := descent.next()) is not None:
        if directory != descent.path:
            directory = descent.path
            matches = patterns.within(os.fsdecode(directory))
        path = join_path(directory, versions.name)
        name = os.fsdecode(versions.name)
        for version in versions.all:
            is_directory = version.node.type == NodeType.DIRECTORY
            if matches.directory(name) if is_directory else matches.file(name):
                yield path, version
        below = _below(versions.all)
        if below and patterns.could_match_below(path) and (problem := descent.enter(below, path)):
            tell_damage(path, DamagedRepository(f"tree {below[0][0].hex()}", problem), on_damage)


def _read(
    place: _Place,
    path: bytes,
    after: bytes,
    *,
    loader: BlobLoader,
    on_damage: OnDamagedPath | None,
) -> Iterator[_Versions]:
    """The entries of all versions of a directory, side by side."""
    told = partial(on_damage, path) if on_damage else None
    entries = [
        _versions(load_directory(tree, loader, after=after, on_damage=told), holders)
        for tree, holders in place
    ]
    for name, versions in groupby(merge(*entries, key=_name), key=_name):
        yield _Versions(name, _united(versions))


_name = attrgetter("name")


def _versions(nodes: Iterator[Node], holders: _Holders) -> Iterator[_Version]:
    return (_Version(node.name, node, holders) for node in nodes)


def _united(versions: Iterable[_Version]) -> list[_Version]:
    """Each version once, with all the snapshots that have it."""
    united: list[_Version] = []
    for version in versions:
        for index, known in enumerate(united):
            if known.node == version.node:
                united[index] = known._replace(holders=(*known.holders, *version.holders))
                break
        else:
            united.append(version)
    return [each._replace(holders=tuple(sorted(each.holders))) for each in united]


def _below(versions: list[_Version]) -> _Place:
    """The directories among the versions: each tree once."""
    holders: dict[BlobId, list[int]] = {}
    for version in versions:
        if version.node.type == NodeType.DIRECTORY:
            holders.setdefault(directory_tree(version.node), []).extend(version.holders)
    return tuple((tree, tuple(sorted(numbers))) for tree, numbers in holders.items())
