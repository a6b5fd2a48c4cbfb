"""Where files of some name are, in one snapshot or in all.

All snapshots are searched at once: a directory that is the same in many of them is loaded once,
and each version of a file is given once, with the snapshots that have it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, TypeAlias

from holdfast.errors import UsageError
from holdfast.filesystem import Patterns
from holdfast.model.entry import Entry, nanoseconds, node_type
from holdfast.model.node import Node, NodeType
from holdfast.model.path import ROOT
from holdfast.model.roles import BlobLoader
from holdfast.model.sidebyside import side_by_side
from holdfast.model.snapshot import Snapshot
from holdfast.model.walk import OnDamagedPath
from holdfast.overrides import override
from holdfast.present import Cell, Column, Kind, Row, columns

Record: TypeAlias = dict[str, object]


@dataclass(frozen=True, slots=True)
class FindOptions:
    """What to look for.

    Attributes:
        patterns: globs, as `holdfast.filesystem.Patterns` takes them.
        ignore_case: whether upper and lower case are the same.
        type: only entries of this type, as `Entry.type` has it.
        min_size, max_size: only regular files of so many bytes, holes counted; both inclusive.
        newer: only what was modified (mtime) then or later; in the local zone unless it is aware.
        older: only what was modified before; likewise.
    """

    patterns: tuple[str, ...]
    ignore_case: bool = False
    type: str | None = None
    min_size: int | None = None
    max_size: int | None = None
    newer: datetime | None = None
    older: datetime | None = None


@dataclass(frozen=True, slots=True)
class Found(Row):
    """One version of an entry that matches.

    Attributes:
        entry: the entry.
        snapshots: those that have it just so, in the order in which they were given.
    """

    entry: Entry
    snapshots: tuple[Snapshot, ...]

    _COLUMNS: ClassVar[tuple[Column, ...]] = columns(
        path=Kind.PATH,
        type=Kind.TEXT,
        size=Kind.BYTES,
        mtime=Kind.TIME,
        snapshots=Kind.COUNT,
        first=Kind.TIME,
        last=Kind.TIME,
    )

    def dict(self) -> Record:
        """All of it by name, ready for JSON."""
        return self.entry.dict() | {"snapshots": [snapshot.id for snapshot in self.snapshots]}

    @override
    def _row(self) -> tuple[Cell, ...]:
        entry, times = self.entry, [snapshot.time for snapshot in self.snapshots]
        return (
            entry.path,
            entry.type,
            None if entry.is_dir else entry.size,
            entry.mtime,
            len(times),
            min(times, default=None),
            max(times, default=None),
        )


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
        UsageError: a pattern or a type makes no sense.
        DamagedRepository: a tree is missing or damaged.
    """
    patterns = Patterns(options.patterns, ignore_case=options.ignore_case)
    passes = _Filter(options).passes
    known = list(snapshots)
    trees = [snapshot.tree for snapshot in known]
    directory, matches = ROOT, patterns.within("/")
    for spot in side_by_side(trees, loader, patterns.could_match_below, on_damage):
        if directory != spot.directory:
            directory = spot.directory
            matches = patterns.within(os.fsdecode(directory))
        name = os.fsdecode(spot.name)
        for _, node, holders in spot.versions:
            is_directory = node.type == NodeType.DIRECTORY
            decide = matches.directory if is_directory else matches.file
            if decide(name) and passes(node):
                yield Found(Entry.of(spot.path, node), tuple(known[number] for number in holders))


class _Filter:
    """What is asked of an entry besides its name."""

    def __init__(self, options: FindOptions) -> None:
        self._type = None if options.type is None else node_type(options.type)
        self._min_size, self._max_size = options.min_size, options.max_size
        if self._min_size is not None or self._max_size is not None:
            if self._type not in (None, NodeType.FILE):
                raise UsageError("only files have a size: leave out the type, or the sizes")
            self._type = NodeType.FILE
        self._newer = None if options.newer is None else nanoseconds(options.newer)
        self._older = None if options.older is None else nanoseconds(options.older)

    def passes(self, node: Node) -> bool:
        """Whether the entry is of that type, size and time."""
        return (
            (self._type is None or node.type == self._type)
            and (self._min_size is None or node.size >= self._min_size)
            and (self._max_size is None or node.size <= self._max_size)
            and (self._newer is None or node.mtime >= self._newer)
            and (self._older is None or node.mtime < self._older)
        )
