"""What changed between two snapshots."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from holdfast.model.compare import Change, ChangeKind, change_kind, compare
from holdfast.model.entry import Entry
from holdfast.model.node import Node, NodeType
from holdfast.model.path import ROOT, join_path, split_path
from holdfast.model.roles import BlobLoader
from holdfast.model.snapshot import Snapshot
from holdfast.model.walk import directory_tree, lookup
from holdfast.primitives.ids import BlobId

Record: TypeAlias = dict[str, object]


@dataclass(frozen=True, slots=True)
class DiffOptions:
    """What to compare.

    Attributes:
        before_path, after_path: the files or directories to compare, one in each snapshot.
        metadata: give paths of which only owner, mode, mtime or extended attributes changed.
    """

    before_path: bytes = ROOT
    after_path: bytes = ROOT
    metadata: bool = True


@dataclass(frozen=True, slots=True)
class Difference:
    """A path that is not the same in both snapshots.

    Attributes:
        path: where it is (in the second snapshot, when two different places are compared).
        kind: added, removed, modified, metadata or type.
        before: what it was; None when it was added.
        after: what it is; None when it was removed.
    """

    path: str
    kind: ChangeKind
    before: Entry | None
    after: Entry | None

    def dict(self) -> Record:
        """All of it by name, ready for JSON."""
        return {
            "path": self.path,
            "kind": str(self.kind),
            "before": self.before.dict() if self.before else None,
            "after": self.after.dict() if self.after else None,
        }


@dataclass(frozen=True, slots=True)
class DiffCounts:
    """How much changed.

    Attributes:
        added, removed, modified, metadata, type: paths of each kind of change.
        bytes_added: size of all files that were added or modified, as they are now.
        bytes_removed: size of all files that were removed or modified, as they were.
    """

    added: int = 0
    removed: int = 0
    modified: int = 0
    metadata: int = 0
    type: int = 0
    bytes_added: int = 0
    bytes_removed: int = 0

    def dict(self) -> Record:
        """All of it by name, ready for JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


class Diff:
    """The differences of two snapshots: iterate to get each as it is found.

    Nothing is kept, so a difference of millions of paths takes little memory; iterating again
    compares again.

    Attributes:
        before, after: the snapshots.

    Raises:
        PathNotFound: on iterating, a path of the options is not in its snapshot.
        DamagedRepository: on iterating, a tree is missing or damaged.
    """

    def __init__(
        self, before: Snapshot, after: Snapshot, loader: BlobLoader, options: DiffOptions
    ) -> None:
        self.before = before
        self.after = after
        self._loader = loader
        self._options = options
        self._counts: DiffCounts | None = None

    @property
    def counts(self) -> DiffCounts:
        """How much changed; known once all differences were given, found out otherwise."""
        if self._counts is None:
            for _ in self._changes():
                pass
        return self._counts or DiffCounts()

    def __iter__(self) -> Iterator[Difference]:
        for path, kind, before, after in self._changes():
            yield Difference(
                os.fsdecode(path),
                kind,
                None if before is None else Entry.of(path, before),
                None if after is None else Entry.of(path, after),
            )

    def _changes(self) -> Iterator[Change]:
        """Every change, counted on the way."""
        kinds: Counter[ChangeKind] = Counter()
        added = removed = 0
        for change in self._all_changes():
            if change.kind == ChangeKind.METADATA and not self._options.metadata:
                continue
            kinds[change.kind] += 1
            if change.kind != ChangeKind.METADATA:
                removed += _file_size(change.before)
                added += _file_size(change.after)
            yield change
        self._counts = DiffCounts(
            added=kinds[ChangeKind.ADDED],
            removed=kinds[ChangeKind.REMOVED],
            modified=kinds[ChangeKind.MODIFIED],
            metadata=kinds[ChangeKind.METADATA],
            type=kinds[ChangeKind.TYPE],
            bytes_added=added,
            bytes_removed=removed,
        )

    def _all_changes(self) -> Iterator[Change]:
        before = lookup(self.before.tree, self._options.before_path, self._loader)
        after = lookup(self.after.tree, self._options.after_path, self._loader)
        path = ROOT
        for name in split_path(self._options.after_path):
            path = join_path(path, name)
        kind = change_kind(before, after)
        if kind is not None:
            yield Change(path, kind, before, after)
        yield from compare(_tree(before), _tree(after), self._loader, path)


def diff(
    before: Snapshot, after: Snapshot, loader: BlobLoader, options: DiffOptions | None = None
) -> Diff:
    """Compare two snapshots; subtrees that both have are not even loaded."""
    return Diff(before, after, loader, options or DiffOptions())


def _tree(node: Node) -> BlobId | None:
    return directory_tree(node) if node.type == NodeType.DIRECTORY else None


def _file_size(node: Node | None) -> int:
    return node.size if node is not None and node.type == NodeType.FILE else 0
