"""New snapshots made of old ones: without some paths, or with other metadata.

Nothing is changed in place. What stays as it is keeps its ids, and is walked all the same: a new
snapshot may build only upon what no reclaim has condemned.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

from holdfast.errors import DamagedRepository, HoldfastError, UsageError
from holdfast.filesystem import Deciders, Patterns
from holdfast.model.node import Node, NodeType
from holdfast.model.path import ROOT
from holdfast.model.roles import BlobLoader
from holdfast.model.snapshot import Snapshot, Summary, encode_snapshot
from holdfast.model.tree import load_directory, save_directory
from holdfast.model.walk import directory_tree, walk
from holdfast.operations.carry import BlobKeeper, Seen, carry, carry_file
from holdfast.operations.confirm import confirmed
from holdfast.operations.labels import carry_labels
from holdfast.operations.rebuild import Directory, rebuild
from holdfast.overrides import override
from holdfast.present import Cell, Column, Kind, Row, Shown, Table, Tone, columns, table_of
from holdfast.primitives.ids import BlobId
from holdfast.progress import Progress
from holdfast.store import BlobSet, Loader, Rehearsal, Store, Writer


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What is to be different; None leaves as it is.

    Attributes:
        exclude: what matches is left out; empty leaves out nothing.
        patterns: the same as text, for the record.
        host: where the backup was made.
        time_ns: when, in nanoseconds since the Unix epoch.
        tags: all tags.
        label: the name.
        description: the note.
    """

    exclude: Patterns
    patterns: tuple[str, ...] = ()
    host: str | None = None
    time_ns: int | None = None
    tags: tuple[str, ...] | None = None
    label: str | None = None
    description: str | None = None


@dataclass(slots=True)
class Dropped:
    """What was left out.

    Attributes:
        files, directories, others: how many there were.
        size: bytes of the files.
    """

    files: int = 0
    directories: int = 0
    others: int = 0
    size: int = 0

    def add(self, node: Node) -> None:
        """Count an entry."""
        if node.type == NodeType.FILE:
            self.files += 1
            self.size += node.size
        elif node.type == NodeType.DIRECTORY:
            self.directories += 1
        else:
            self.others += 1


@dataclass(frozen=True, slots=True)
class RewrittenSnapshot(Row):
    """What became of a snapshot.

    Attributes:
        before: as it was.
        snapshot: the one that takes its place, in a dry run as it would be; None when nothing
            would be different.
        files_removed: files that it does not have any more.
        bytes_removed: their bytes.
        forgotten: whether the old one was removed.
        kept: why it was not although it was to be; "" otherwise.
    """

    before: Snapshot
    snapshot: Snapshot | None
    files_removed: int = 0
    bytes_removed: int = 0
    forgotten: bool = False
    kept: str = ""

    _COLUMNS: ClassVar[tuple[Column, ...]] = columns(
        snapshot_id=Kind.ID,
        new_snapshot_id=Kind.ID,
        changed=Kind.FLAG,
        files_removed=Kind.COUNT,
        bytes_removed=Kind.BYTES,
        forgotten=Kind.FLAG,
        kept=Kind.TEXT,
    )

    def dict(self) -> dict[str, object]:
        """Ready for JSON."""
        return {
            "snapshot_id": self.before.id,
            "new_snapshot_id": self.snapshot.id if self.snapshot else None,
            "changed": self.snapshot is not None,
            "files_removed": self.files_removed,
            "bytes_removed": self.bytes_removed,
            "forgotten": self.forgotten,
            "kept": self.kept,
        }

    @override
    def _row(self) -> tuple[Cell, ...]:
        made = self.snapshot
        return (
            self.before.id,
            made.id if made else None,
            made is not None,
            self.files_removed,
            self.bytes_removed,
            self.forgotten,
            self.kept,
        )


@dataclass(frozen=True, slots=True)
class RewriteFailure(Row):
    """A snapshot that could not be rewritten, and stays as it is.

    Attributes:
        snapshot: its id.
        error: why.
    """

    snapshot: str
    error: HoldfastError

    _COLUMNS: ClassVar[tuple[Column, ...]] = (
        *columns(snapshot_id=Kind.ID, type=Kind.TEXT),
        Column("message", Kind.TEXT, Tone.BAD),
    )

    def dict(self) -> dict[str, object]:
        """Ready for JSON."""
        return {
            "snapshot_id": self.snapshot,
            "type": type(self.error).__name__,
            "message": str(self.error),
        }

    @override
    def _row(self) -> tuple[Cell, ...]:
        return self.snapshot, type(self.error).__name__, str(self.error)


@dataclass(frozen=True, slots=True)
class RewriteResult(Shown):
    """What a rewrite did.

    Attributes:
        snapshots: what became of each snapshot.
        failures: those that could not be rewritten: what was to go is still in them.
        dry_run: nothing was done; the ids of new snapshots mean nothing.
    """

    snapshots: tuple[RewrittenSnapshot, ...]
    failures: tuple[RewriteFailure, ...]
    dry_run: bool

    def dict(self) -> dict[str, object]:
        """Ready for JSON."""
        return {
            "snapshots": [each.dict() for each in self.snapshots],
            "failures": [each.dict() for each in self.failures],
            "dry_run": self.dry_run,
        }

    @override
    def _table(self) -> Table:
        caption = "Rewrite: what would be done" if self.dry_run else "Rewrite"
        parts = (table_of(RewriteFailure, self.failures, "Failed"),) if self.failures else ()
        return table_of(RewrittenSnapshot, self.snapshots, caption, parts=parts)


def rewrite(
    store: Store,
    snapshot: Snapshot,
    known: Iterable[Snapshot],
    changes: Changes,
    about: dict[str, object] | None,
    progress: Progress,
) -> RewrittenSnapshot:
    """Make a snapshot that takes another's place; the other one stays.

    Args:
        store: the repository.
        snapshot: as it is.
        known: all snapshots; when the new one is among them already, no second one is made.
        changes: what is to be different.
        about: what the session says of itself; None for a dry run.
        progress: told of every file.

    Raises:
        UsageError: nothing would be left of it.
        DamagedRepository: something that is to stay is lost.
    """
    with (
        store.loader() as loader,
        store.rehearsal() if about is None else store.writer(about) as writer,
    ):
        work = _Rewrite(store, loader, changes, writer, progress)
        tree = confirmed(writer, lambda: work.run(snapshot.tree))
        after = work.snapshot(snapshot, tree)
        if _essence(after) == _essence(snapshot):
            return RewrittenSnapshot(snapshot, None)
        dropped = work.dropped
        for other in known:
            if other.replaces == snapshot.id and _essence(other) == _essence(after):
                return RewrittenSnapshot(snapshot, other, dropped.files, dropped.size)
        if about is not None and isinstance(writer, Writer):
            carry_labels(writer, snapshot, about)
        writer.commit(encode_snapshot(after))
        return RewrittenSnapshot(snapshot, after, dropped.files, dropped.size)


def _essence(snapshot: Snapshot) -> tuple[object, ...]:
    """What a rewrite may change."""
    return (
        snapshot.tree,
        snapshot.host,
        snapshot.time_ns,
        frozenset(snapshot.tags),
        snapshot.label,
        snapshot.description,
    )


class _Rewrite:
    """The rewrite of one snapshot; knows after each attempt what it left out."""

    def __init__(
        self,
        store: Store,
        loader: Loader,
        changes: Changes,
        writer: Writer | Rehearsal,
        progress: Progress,
    ) -> None:
        self._store = store
        self._loader = loader
        self._changes = changes
        self._writer = writer
        self._progress = progress
        self.dropped = Dropped()

    def run(self, tree: BlobId) -> BlobId:
        """Store all that the new snapshot needs; returns the id of its root.

        Raises:
            UsageError: it would hold nothing.
        """
        seen = BlobSet(self._store.catalog.load())
        if not self._changes.exclude:
            carry(tree, self._loader, self._writer, seen, self._progress)
            return tree
        cut = _Cut(self._changes.exclude, self._loader, self._writer, seen, self._progress)
        self.dropped = cut.dropped
        after = cut.run(tree)
        if after != tree and not cut.keeps_something:
            raise UsageError("nothing but directories would be left: forget the snapshot instead")
        return after

    def snapshot(self, before: Snapshot, tree: BlobId) -> Snapshot:
        """The new snapshot."""
        changes = self._changes
        is_cut = tree != before.tree
        return replace(
            before,
            id=self._writer.id,
            tree=tree,
            time_ns=before.time_ns if changes.time_ns is None else changes.time_ns,
            host=before.host if changes.host is None else changes.host,
            tags=before.tags if changes.tags is None else changes.tags,
            label=before.label if changes.label is None else changes.label,
            description=before.description if changes.description is None else changes.description,
            replaces=before.id,
            # The next backup goes by this to know which files may have changed unnoticed.
            how={"started": before.time_ns, **before.how},
            excluded=(*before.excluded, *changes.patterns) if is_cut else before.excluded,
            summary=self._summary(before, is_cut=is_cut),
            holds=(),
            notes=(),
        )

    def _summary(self, before: Snapshot, *, is_cut: bool) -> Summary:
        old, dropped = before.summary, self.dropped
        stored = replace(old, data_added=self._writer.added, data_stored=self._writer.stored)
        if not is_cut:
            return stored
        return replace(
            stored,
            files_new=0,
            files_changed=0,
            files_unmodified=max(old.files - dropped.files, 0),
            directories=max(old.directories - dropped.directories, 0),
            others=max(old.others - dropped.others, 0),
            bytes_processed=max(old.bytes_processed - dropped.size, 0),
        )


class _Cut:
    """Leaves out of a tree what matches patterns.

    Attributes:
        dropped: what was left out.
        keeps_something: whether more than directories is left.
    """

    def __init__(
        self,
        patterns: Patterns,
        loader: BlobLoader,
        keeper: BlobKeeper,
        seen: Seen,
        progress: Progress,
    ) -> None:
        self._patterns = patterns
        self._loader = loader
        self._keeper = keeper
        self._seen = seen
        self._progress = progress
        self.dropped = Dropped()
        self.keeps_something = False

    def run(self, tree: BlobId) -> BlobId:
        """Cut a tree; returns the id of what is left of it."""
        return rebuild(self._directory(tree, ROOT), self._loader, self._enter, self._leave)

    def _directory(self, tree: BlobId, path: bytes) -> Directory[Deciders]:
        return Directory(tree, path, self._patterns.within(os.fsdecode(path).rstrip("/")))

    def _enter(
        self, parent: Directory[Deciders], path: bytes, node: Node
    ) -> Directory[Deciders] | BlobId | None:
        tree = directory_tree(node)
        if parent.note.directory(os.fsdecode(node.name)):
            self._drop(node, path)
            return None
        if self._patterns.could_match_below(path):
            return self._directory(tree, path)
        carry(tree, self._loader, self._keeper, self._seen, self._progress)
        self.keeps_something = True
        return tree

    def _drop(self, node: Node, path: bytes) -> None:
        self.dropped.add(node)
        # What goes may well go because it is damaged.
        for _, below in walk(directory_tree(node), self._loader, path, on_damage=_ignore):
            self.dropped.add(below)

    def _leave(self, directory: Directory[Deciders]) -> BlobId:
        kept: list[Node] = []
        pages: list[BlobId] = []
        is_cut = False
        for node in load_directory(directory.tree, self._loader, on_page=pages.append):
            after = self._kept(node, directory)
            is_cut = is_cut or after is not node
            if after is not None:
                kept.append(after)
        if is_cut:
            return save_directory(kept, self._keeper)
        for page in pages:
            if not self._keeper.has((page,)):
                self._keeper.save_tree(self._loader.load(page))
        return directory.tree

    def _kept(self, node: Node, directory: Directory[Deciders]) -> Node | None:
        """An entry as it is to stay; None when it is left out."""
        if node.type == NodeType.DIRECTORY:
            tree = directory.below.get(node.name)
            if tree is None or tree == node.payload:
                return None if tree is None else node
            return node._replace(payload=tree)
        if directory.note.file(os.fsdecode(node.name)):
            self.dropped.add(node)
            return None
        self.keeps_something = True
        if node.type == NodeType.FILE:
            carry_file(node, self._loader, self._keeper, self._seen)
            self._progress.advance(1, node.size, os.fsdecode(directory.path))
        return node


def _ignore(path: bytes, error: DamagedRepository) -> None:
    """It is left out anyway."""
