"""Going down the trees of many snapshots side by side, in bounded memory.

A directory that is the same in many of them is loaded once, and each version of an entry is given
once, with those that have it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from heapq import merge
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple, TypeAlias

from holdfast.errors import DamagedRepository
from holdfast.model.descent import Descent
from holdfast.model.node import Node, NodeType
from holdfast.model.path import ROOT, join_path
from holdfast.model.roles import BlobLoader
from holdfast.model.tree import load_directory
from holdfast.model.walk import OnDamagedPath, directory_tree, tell_damage
from holdfast.primitives.ids import BlobId

MOST_TREES = 64
"""Versions of a directory that are read side by side."""

_Holders: TypeAlias = tuple[int, ...]
"""Numbers of trees, as they were given."""

_Place: TypeAlias = tuple[tuple[BlobId, _Holders], ...]
"""The versions of a directory, and which trees have each."""


class Held(NamedTuple):
    """An entry, and which of the trees have it just so, by their numbers."""

    name: bytes
    node: Node
    holders: _Holders


class Versions(NamedTuple):
    """What the trees have at one path.

    Attributes:
        name: the last component of the path.
        all: each version once.
    """

    name: bytes
    all: list[Held]


class Spot(NamedTuple):
    """A path, and what the trees have there.

    Attributes:
        directory: the path of the directory that it is in.
        path: the path itself.
        name: its last component.
        versions: each version once.
    """

    directory: bytes
    path: bytes
    name: bytes
    versions: list[Held]


def side_by_side(
    trees: Sequence[BlobId],
    loader: BlobLoader,
    descend: Callable[[bytes], bool],
    on_damage: OnDamagedPath | None = None,
) -> Iterator[Spot]:
    """Give what the trees have at every path, in order of paths.

    Very many trees are gone through in groups, each in order of paths; then a version may be given
    once for each group.

    Args:
        trees: root directories, which may be the same.
        loader: where they are.
        descend: asked of the path of a directory, after that was given, whether to go into it.
        on_damage: called for a directory that cannot be read; it goes on without that. Without it
            the error is raised.

    Raises:
        DamagedRepository: a tree is missing or damaged, is too deep, or contains itself.
    """
    for place in _roots(trees):
        yield from _go_down(place, loader, descend, on_damage)


def _roots(trees: Sequence[BlobId]) -> Iterator[_Place]:
    """The root directories, in groups that are small enough to be read side by side."""
    holders: dict[BlobId, list[int]] = {}
    for number, tree in enumerate(trees):
        holders.setdefault(tree, []).append(number)
    roots = [(tree, tuple(numbers)) for tree, numbers in holders.items()]
    for start in range(0, len(roots), MOST_TREES):
        yield tuple(roots[start : start + MOST_TREES])


def _go_down(
    place: _Place,
    loader: BlobLoader,
    descend: Callable[[bytes], bool],
    on_damage: OnDamagedPath | None,
) -> Iterator[Spot]:
    descent = Descent(place, ROOT, partial(_read, loader=loader, on_damage=on_damage))
    while (versions := descent.next()) is not None:
        path = join_path(descent.path, versions.name)
        yield Spot(descent.path, path, versions.name, versions.all)
        below = _below(versions.all)
        if below and descend(path) and (problem := descent.enter(below, path)):
            tell_damage(path, DamagedRepository(f"tree {below[0][0].hex()}", problem), on_damage)


def _read(
    place: _Place,
    path: bytes,
    after: bytes,
    *,
    loader: BlobLoader,
    on_damage: OnDamagedPath | None,
) -> Iterator[Versions]:
    """The entries of all versions of a directory, side by side."""
    told = partial(on_damage, path) if on_damage else None
    entries = [
        _held(load_directory(tree, loader, after=after, on_damage=told), holders)
        for tree, holders in place
    ]
    for name, versions in groupby(merge(*entries, key=_name), key=_name):
        yield Versions(name, _united(versions))


_name = attrgetter("name")


def _held(nodes: Iterator[Node], holders: _Holders) -> Iterator[Held]:
    return (Held(node.name, node, holders) for node in nodes)


def _united(versions: Iterable[Held]) -> list[Held]:
    """Each version once, with all that have it."""
    united: list[Held] = []
    for version in versions:
        for index, known in enumerate(united):
            if known.node == version.node:
                united[index] = known._replace(holders=(*known.holders, *version.holders))
                break
        else:
            united.append(version)
    return [each._replace(holders=tuple(sorted(each.holders))) for each in united]


def _below(versions: list[Held]) -> _Place:
    """The directories among the versions: each tree once."""
    holders: dict[BlobId, list[int]] = {}
    for version in versions:
        if version.node.type == NodeType.DIRECTORY:
            holders.setdefault(directory_tree(version.node), []).extend(version.holders)
    return tuple((tree, tuple(sorted(numbers))) for tree, numbers in holders.items())
