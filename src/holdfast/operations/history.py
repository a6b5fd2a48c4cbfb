"""What one path was through time.

The snapshots that say something of the path form lines: those of one host, and, for a directory
above what was backed up, of the same places below it. Within a line, neighbouring snapshots that
have the path just so are one version of it.

A snapshot says something of a path if the path is in it, or if it is a backup of the path, or of
a directory above or places below it. If there is no such path then, it was removed; unless a
pattern left it out, or it could not be read: then the snapshot is passed over.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from itertools import chain
from typing import ClassVar, TypeAlias

from holdfast.errors import DamagedRepository, PathNotFound, UsageError
from holdfast.filesystem import Patterns
from holdfast.model.compare import ChangeKind, change_kind
from holdfast.model.entry import Entry
from holdfast.model.node import Node, NodeType
from holdfast.model.path import ROOT, join_path, printable, split_path
from holdfast.model.roles import BlobLoader
from holdfast.model.select import ordered
from holdfast.model.snapshot import Snapshot
from holdfast.model.tree import find_entry
from holdfast.model.walk import directory_tree, root_node
from holdfast.overrides import override
from holdfast.present import Cell, Column, Kind, Row, Rows, Tone, columns, rows_of
from holdfast.primitives.ids import BlobId

Record: TypeAlias = dict[str, object]

AHEAD = 16
"""Trees that are asked for ahead of their use."""


class VersionKind(StrEnum):
    """How a version came to be, compared with the one before it.

    Attributes:
        ADDED: the path is in a snapshot for the first time.
        MODIFIED: a file has other content, a link another target, a directory another tree.
        METADATA: nothing but owner, mode, mtime or extended attributes changed.
        TYPE: what was a file is a directory, or the like.
        REMOVED: the path is not there any more.
        REAPPEARED: it is there again, whatever it is now.
        DAMAGED: the repository has lost what it was; `Version.problem` says what is wrong.
    """

    ADDED = "added"
    MODIFIED = "modified"
    METADATA = "metadata"
    TYPE = "type"
    REMOVED = "removed"
    REAPPEARED = "reappeared"
    DAMAGED = "damaged"


_TONES: Mapping[Cell, Tone] = {
    "added": Tone.GOOD,
    "reappeared": Tone.GOOD,
    "removed": Tone.BAD,
    "damaged": Tone.BAD,
    "modified": Tone.NOTABLE,
    "type": Tone.NOTABLE,
    "metadata": Tone.FAINT,
}


@dataclass(frozen=True, slots=True)
class Version(Row):
    """What a path was in some snapshots of a host that follow each other.

    Whether two are the same is decided by the ids of their content, and by their metadata; ctime
    and inode, which a copy would have otherwise, do not count. A directory is what its tree is: a
    version of it is another one when anything below it is.

    Attributes:
        path: the path.
        kind: how it came to be.
        entry: what the path is, of the first of the snapshots; None if it is not there.
        first, last: the oldest and the newest of the snapshots.
        snapshots: how many they are. Damaged ones between them are a version of their own.
        problem: what is wrong with the repository, for a damaged one; else "".
    """

    path: str
    kind: VersionKind
    entry: Entry | None
    first: Snapshot
    last: Snapshot
    snapshots: int
    problem: str = ""

    _COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("kind", Kind.TEXT, _TONES),
        *columns(
            size=Kind.BYTES,
            mtime=Kind.TIME,
            first_time=Kind.TIME,
            last_time=Kind.TIME,
            snapshots=Kind.COUNT,
            first=Kind.ID,
            last=Kind.ID,
            host=Kind.TEXT,
            problem=Kind.TEXT,
        ),
    )

    def dict(self) -> Record:
        """All of it by name, ready for JSON."""
        return {
            "path": self.path,
            "kind": str(self.kind),
            "entry": self.entry.dict() if self.entry else None,
            "first": self.first.id,
            "first_time": self.first.time.isoformat(),
            "last": self.last.id,
            "last_time": self.last.time.isoformat(),
            "snapshots": self.snapshots,
            "host": self.first.host,
            "problem": self.problem,
        }

    @override
    def _row(self) -> tuple[Cell, ...]:
        entry = self.entry
        return (
            str(self.kind),
            None if entry is None or entry.is_dir else entry.size,
            None if entry is None else entry.mtime,
            self.first.time,
            self.last.time,
            self.snapshots,
            self.first.id,
            self.last.id,
            self.first.host,
            self.problem,
        )

    @override
    def _caption(self) -> str:
        return self.path


_State: TypeAlias = Node | DamagedRepository | None
"""What a path is in a snapshot, or why that cannot be said."""

_Line: TypeAlias = tuple[str, tuple[bytes, ...]]
"""What the snapshots of a line have in common: the host, and places below the path."""


def history(snapshots: Iterable[Snapshot], path: bytes, loader: BlobLoader) -> Rows[Version]:
    """Give the distinct versions of a path, those that began first before others.

    Only the directories on the way to the path are loaded, each tree once.

    Args:
        snapshots: where to look, in any order.
        path: a file, a directory or anything else; links are not followed.
        loader: where trees are.

    Raises:
        PathNotFound: no snapshot has the path, and none is damaged on the way to it.
        BackendError: the storage fails.
    """
    known = ordered(snapshots)
    names = split_path(path)
    path = join_path(ROOT, b"/".join(names))
    states = _states({snapshot.tree for snapshot in known}, names, loader)
    lines: dict[_Line, _Past] = {}
    for snapshot in known:
        state = states[snapshot.tree]
        line = _line(snapshot, names, state)
        if line is not None:
            lines.setdefault(line, _Past(os.fsdecode(path), path)).add(snapshot, state)
    found = list(chain.from_iterable(past.versions() for past in lines.values()))
    if not found:
        raise PathNotFound(f"{printable(path)}: no snapshot has such a path")
    found.sort(key=lambda version: (version.first.time_ns, version.first.id))
    return rows_of(Version, found, f"Versions of {os.fsdecode(path)}")


def _states(trees: set[BlobId], names: Sequence[bytes], loader: BlobLoader) -> dict[BlobId, _State]:
    """What the path is below each of some root directories, found out for all at once."""
    states: dict[BlobId, _State] = {tree: root_node(tree) for tree in trees}
    for name in names:
        below = dict.fromkeys(tree for tree in map(_tree, states.values()) if tree is not None)
        found = _entries(list(below), name, loader)
        for root, state in states.items():
            if not isinstance(state, DamagedRepository):
                tree = _tree(state)
                states[root] = None if tree is None else found[tree]
    return states


def _tree(state: _State) -> BlobId | None:
    if isinstance(state, Node) and state.type == NodeType.DIRECTORY:
        return directory_tree(state)
    return None


def _entries(trees: Sequence[BlobId], name: bytes, loader: BlobLoader) -> dict[BlobId, _State]:
    """The entry of one name in each of some directories."""
    found: dict[BlobId, _State] = {}
    for number, tree in enumerate(trees):
        if number % AHEAD == 0:
            loader.prefetch(trees[number : number + 2 * AHEAD])
        try:
            found[tree] = find_entry(tree, name, loader)
        except DamagedRepository as error:
            found[tree] = error.with_traceback(None)
    return found


def _line(snapshot: Snapshot, names: Sequence[bytes], state: _State) -> _Line | None:
    """The line that a snapshot is in; None if it says nothing of the path."""
    if any("://" in path for path in snapshot.paths if not path.startswith("/")):
        return snapshot.host, tuple(map(os.fsencode, snapshot.paths))  # a folder of a store
    roots = [split_path(os.fsencode(path)) for path in snapshot.paths or ("/",)]
    if any(names[: len(root)] == root for root in roots):
        unknown = state is None and _is_left_out(snapshot, names)
        return None if unknown else (snapshot.host, ())
    below = sorted(b"/".join(root) for root in roots if root[: len(names)] == names)
    return (snapshot.host, tuple(below)) if below or isinstance(state, Node) else None


def _is_left_out(snapshot: Snapshot, names: Sequence[bytes]) -> bool:
    """Whether a path may be missing only because it was excluded, or could not be read."""
    ways = [b"/" + b"/".join(names[: end + 1]) for end in range(len(names))]
    texts = {os.fsdecode(way) for way in ways}
    if any(problem.path in texts for problem in snapshot.problems):
        return True
    patterns = _patterns(snapshot.excluded)
    # Whether the last one would be a directory is not known.
    return patterns is not None and any(patterns.match(way, is_dir=True) for way in ways)


@lru_cache(maxsize=16)
def _patterns(excluded: tuple[str, ...]) -> Patterns | None:
    """The patterns of what a backup left out; None if these are not understood."""
    try:
        return Patterns(excluded)
    except UsageError:
        return None


@dataclass(slots=True)
class _Stretch:
    """A version that may go on."""

    kind: VersionKind
    state: _State
    first: Snapshot
    last: Snapshot
    snapshots: int = 1

    def go_on(self, snapshot: Snapshot) -> None:
        self.last = snapshot
        self.snapshots += 1


@dataclass(slots=True)
class _Past:
    """The versions of the path in one line, found by adding snapshot after snapshot.

    Attributes:
        text: the path as text.
        path: the path.
    """

    text: str
    path: bytes
    _all: list[_Stretch] = field(default_factory=list)
    _now: _Stretch | None = None
    _damage: dict[str, _Stretch] = field(default_factory=dict)

    def add(self, snapshot: Snapshot, state: _State) -> None:
        """Take in the next snapshot."""
        if isinstance(state, DamagedRepository):
            self._add_damaged(snapshot, state)
            return
        kind = self._kind(state)
        if kind is not None:
            self._now = _Stretch(kind, state, snapshot, snapshot)
            self._all.append(self._now)
            self._damage.clear()
        elif self._now is not None:
            self._now.go_on(snapshot)

    def _add_damaged(self, snapshot: Snapshot, error: DamagedRepository) -> None:
        known = self._damage.get(str(error))
        if known is not None:
            known.go_on(snapshot)
            return
        stretch = _Stretch(VersionKind.DAMAGED, error, snapshot, snapshot)
        self._damage[str(error)] = stretch
        self._all.append(stretch)

    def _kind(self, state: Node | None) -> VersionKind | None:
        """What makes this another version; None if it is the last one, or none yet."""
        if self._now is None:
            return None if state is None else VersionKind.ADDED
        before = self._now.state
        if state is None:
            return None if before is None else VersionKind.REMOVED
        if not isinstance(before, Node):
            return VersionKind.REAPPEARED
        if _tree(before) != _tree(state) and before.type == state.type:
            return VersionKind.MODIFIED
        changed: ChangeKind | None = change_kind(before, state)
        return None if changed is None else VersionKind(str(changed))

    def versions(self) -> Iterator[Version]:
        """The versions, oldest first."""
        for each in self._all:
            state = each.state
            yield Version(
                self.text,
                each.kind,
                Entry.of(self.path, state) if isinstance(state, Node) else None,
                each.first,
                each.last,
                each.snapshots,
                f"{state.object}: {state.problem}" if isinstance(state, DamagedRepository) else "",
            )
