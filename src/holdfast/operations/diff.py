"""What changed between two snapshots."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from holdfast.errors import PathNotFound, UsageError
from holdfast.model.compare import Change, ChangeKind, change_kind, compare
from holdfast.model.entry import Entry
from holdfast.model.node import Node, NodeType
from holdfast.model.patch import Patch, patch_of
from holdfast.model.path import ROOT, join_path, printable, split_path
from holdfast.model.roles import BlobLoader
from holdfast.model.snapshot import Snapshot
from holdfast.model.walk import directory_tree, lookup
from holdfast.overrides import override
from holdfast.present import (
    Cell,
    Column,
    Kind,
    Row,
    Shown,
    Table,
    Tone,
    columns,
    minute,
    size,
    table_of,
)
from holdfast.primitives.ids import BlobId

Record: TypeAlias = dict[str, object]

_TONES: Mapping[Cell, Tone] = {
    "added": Tone.GOOD,
    "removed": Tone.BAD,
    "modified": Tone.NOTABLE,
    "type": Tone.NOTABLE,
    "metadata": Tone.FAINT,
}


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
class Difference(Row):
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

    _COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("path", Kind.PATH),
        Column("kind", Kind.TEXT, _TONES),
        *columns(
            before_size=Kind.BYTES,
            after_size=Kind.BYTES,
            before_mtime=Kind.TIME,
            after_mtime=Kind.TIME,
        ),
    )

    def dict(self) -> Record:
        """All of it by name, ready for JSON."""
        return {
            "path": self.path,
            "kind": str(self.kind),
            "before": self.before.dict() if self.before else None,
            "after": self.after.dict() if self.after else None,
        }

    @override
    def _row(self) -> tuple[Cell, ...]:
        before, after = self.before, self.after
        return (
            self.path,
            str(self.kind),
            None if before is None else before.size,
            None if after is None else after.size,
            None if before is None else before.mtime,
            None if after is None else after.mtime,
        )


@dataclass(frozen=True, slots=True)
class DiffCounts(Row):
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

    _COLUMNS: ClassVar[tuple[Column, ...]] = columns(
        added=Kind.COUNT,
        removed=Kind.COUNT,
        modified=Kind.COUNT,
        metadata=Kind.COUNT,
        type=Kind.COUNT,
        bytes_added=Kind.BYTES,
        bytes_removed=Kind.BYTES,
    )

    def dict(self) -> Record:
        """All of it by name, ready for JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


class Diff(Shown):
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
        self,
        before: Snapshot,
        after: Snapshot,
        loader: Callable[[], AbstractContextManager[BlobLoader]],
        options: DiffOptions,
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
            with self._loader() as loader:
                for _ in self._changes(loader):
                    pass
        return self._counts or DiffCounts()

    def __iter__(self) -> Iterator[Difference]:
        with self._loader() as loader:
            for path, kind, before, after in self._changes(loader):
                yield Difference(
                    os.fsdecode(path),
                    kind,
                    None if before is None else Entry.of(path, before),
                    None if after is None else Entry.of(path, after),
                )

    def _changes(self, loader: BlobLoader) -> Iterator[Change]:
        """Every change, counted on the way."""
        kinds: Counter[ChangeKind] = Counter()
        added = removed = 0
        for change in self._all_changes(loader):
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

    def _all_changes(self, loader: BlobLoader) -> Iterator[Change]:
        before = lookup(self.before.tree, self._options.before_path, loader)
        after = lookup(self.after.tree, self._options.after_path, loader)
        path = ROOT
        for name in split_path(self._options.after_path):
            path = join_path(path, name)
        kind = change_kind(before, after)
        if kind is not None:
            yield Change(path, kind, before, after)
        yield from compare(_tree(before), _tree(after), loader, path)

    def text(self, path: str | bytes | None = None, *, context: int = 3) -> str:
        """What changed in text files, in unified form; `patches` says it file by file.

        Args:
            path: a path of both; all files that were added, removed or modified when None.
            context: how many equal lines to give around what differs.

        Raises:
            PathNotFound: neither snapshot has the path.
            UsageError: it is a regular file in neither.
        """
        if path is None:
            return "".join(patch.text for patch in self.patches(context=context))
        patch = self.patch(path, context=context)
        return "" if patch is None else patch.text

    def patches(self, *, context: int = 3) -> Iterator[Patch]:
        """What changed in each file that was added, removed or modified, as it is found.

        Files are named by their paths below the places that are compared, so that the patches
        together make the files of the second out of a restore of the first; links, empty
        directories, owners, modes and times are not among it. Where a directory became a file, or a
        file a directory, `git apply` takes it and `patch` may not.

        Args:
            context: how many equal lines to give around what differs.
        """
        place = split_path(self._options.after_path)
        with self._loader() as loader:
            for change in self._changes(loader):
                names = split_path(change.path)[len(place) :] or place[-1:]
                nodes = change.before, change.after
                patch = patch_of(change.path, b"/".join(names), nodes, loader, context)
                if patch is not None:
                    yield patch

    def patch(self, path: str | bytes, *, context: int = 3) -> Patch | None:
        """What changed in the file at one path; None if nothing did.

        Args:
            path: below the places that are compared.
            context: as for `patches`.

        Raises:
            PathNotFound: neither snapshot has the path.
            UsageError: it is a regular file in neither.
        """
        names = b"/".join(split_path(os.fsencode(path)))
        places = self._options.before_path, self._options.after_path
        paths = [join_path(place, names) for place in places]
        trees = self.before.tree, self.after.tree
        with self._loader() as loader:
            before, after = (
                _node(tree, each, loader) for tree, each in zip(trees, paths, strict=True)
            )
            if before is None and after is None:
                raise PathNotFound(f"{printable(paths[1])}: neither snapshot has such a path")
            if not any(node and node.type == NodeType.FILE for node in (before, after)):
                raise UsageError(f"{printable(paths[1])}: not a regular file")
            return patch_of(paths[1], names, (before, after), loader, context)

    @override
    def _table(self) -> Table:
        before, after = self.before, self.after
        caption = (
            f"{before.short_id} ({minute(before.time)}) → {after.short_id} ({minute(after.time)})"
        )
        return table_of(Difference, iter(self), caption, self._told())

    def _told(self) -> tuple[str, ...]:
        """How much changed, if all of it was gone through already."""
        counts = self._counts
        if counts is None:
            return ()
        told = (
            f"{counts.added:,} added, {counts.removed:,} removed, {counts.modified:,} modified, "
            f"{counts.metadata:,} with other metadata, {counts.type:,} of another type; "
            f"{size(counts.bytes_added)} came, {size(counts.bytes_removed)} went"
        )
        return (told,)


def diff(
    before: Snapshot,
    after: Snapshot,
    loader: Callable[[], AbstractContextManager[BlobLoader]],
    options: DiffOptions | None = None,
) -> Diff:
    """Compare two snapshots; subtrees that both have are not even loaded.

    Args:
        before: the one snapshot.
        after: the other.
        loader: makes a reader, once for each iteration, which is closed after it.
        options: what to compare.
    """
    return Diff(before, after, loader, options or DiffOptions())


def _node(tree: BlobId, path: bytes, loader: BlobLoader) -> Node | None:
    try:
        return lookup(tree, path, loader)
    except PathNotFound:
        return None


def _tree(node: Node) -> BlobId | None:
    return directory_tree(node) if node.type == NodeType.DIRECTORY else None


def _file_size(node: Node | None) -> int:
    return node.size if node is not None and node.type == NodeType.FILE else 0
