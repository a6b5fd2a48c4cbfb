"""Repair snapshots: new ones without what is lost; the old ones stay until they are forgotten."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from holdfast.errors import DamagedRepository
from holdfast.model.content import references
from holdfast.model.labels import carried, encode_label
from holdfast.model.node import Node, NodeType
from holdfast.model.path import ROOT
from holdfast.model.roles import BlobLoader
from holdfast.model.snapshot import MAX_PROBLEMS, Problem, Snapshot, encode_snapshot
from holdfast.model.tree import load_directory, save_directory
from holdfast.model.walk import directory_tree, file_content
from holdfast.operations.carry import carry, carry_file
from holdfast.operations.confirm import confirmed
from holdfast.operations.hurt import Hurt, Hurts, lost_blob
from holdfast.operations.rebuild import Directory, rebuild
from holdfast.overrides import override
from holdfast.present import Cell, Column, Kind, Row, Shown, Table, columns, count, table_of
from holdfast.primitives.ids import BlobId, SnapshotId
from holdfast.progress import Progress
from holdfast.store import BlobSet, Loader, Rehearsal, Store, Writer

REPAIR = "repair"
"""The operation that the problems of a repaired snapshot name."""


@dataclass(frozen=True, slots=True)
class SnapshotRepair(Row):
    """What became of a snapshot of which something is lost.

    Attributes:
        snapshot: its id; it stays as it is.
        lost: how many files and directories are lost.
        paths: the first of them.
        new: id of the snapshot that has all the rest; None in a dry run, and when there is none.
        made: whether that was made now, and not by an earlier repair.
        problem: why there is none, "" otherwise.
    """

    snapshot: SnapshotId
    lost: int
    paths: tuple[str, ...]
    new: SnapshotId | None = None
    made: bool = False
    problem: str = ""

    _COLUMNS: ClassVar[tuple[Column, ...]] = columns(
        snapshot=Kind.ID,
        lost=Kind.COUNT,
        paths=Kind.PATH,
        new=Kind.ID,
        made=Kind.FLAG,
        problem=Kind.TEXT,
    )

    def dict(self) -> dict[str, object]:
        """Ready for JSON."""
        return {
            "snapshot": self.snapshot,
            "lost": self.lost,
            "paths": list(self.paths),
            "new": self.new,
            "made": self.made,
            "problem": self.problem,
        }

    @override
    def _row(self) -> tuple[Cell, ...]:
        paths = ", ".join(self.paths)
        return self.snapshot, self.lost, paths, self.new, self.made, self.problem


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotRepairs(Shown):
    """What a repair of snapshots did; of a dry run, what it would do.

    Attributes:
        dry_run: whether nothing was done.
        checked: how many snapshots were looked at.
        snapshots: those of which something is lost.
        unreadable: objects of snapshots that cannot be read at all; nothing can be made of them.
    """

    dry_run: bool
    checked: int
    snapshots: tuple[SnapshotRepair, ...]
    unreadable: tuple[str, ...] = ()

    def dict(self) -> dict[str, object]:
        """Ready for JSON."""
        return {
            "dry_run": self.dry_run,
            "checked": self.checked,
            "snapshots": [snapshot.dict() for snapshot in self.snapshots],
            "unreadable": list(self.unreadable),
        }

    @override
    def _table(self) -> Table:
        verb = "what would be done" if self.dry_run else "what was done"
        caption = f"Repair of snapshots: {verb}"
        told = [f"{count(self.checked, 'snapshot')} looked at"]
        if self.unreadable:
            told.append(f"cannot be read at all: {', '.join(self.unreadable)}")
        return table_of(SnapshotRepair, self.snapshots, caption, tuple(told))


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotRepairOptions:
    """How snapshots are repaired.

    Attributes:
        about: what the sessions say of themselves.
        host, user: who does it, for labels that are carried over.
        now_ns: what time it is.
        dry_run: only find out what would be done.
        read_data: read all data of the snapshots, and leave out what turns out to be damaged.
    """

    about: dict[str, object]
    host: str
    user: str
    now_ns: int
    dry_run: bool = True
    read_data: bool = False


def repair_snapshots(
    store: Store,
    snapshots: Sequence[Snapshot],
    known: Iterable[Snapshot],
    options: SnapshotRepairOptions,
    progress: Progress,
) -> tuple[SnapshotRepair, ...]:
    """Make new snapshots in place of those of which something is lost.

    Args:
        store: the repository.
        snapshots: those to look at.
        known: all that there are; when the new one is among them already, no second one is made.
        options: how.
        progress: told of every directory entry.

    Returns:
        What became of those of which something is lost.

    Raises:
        DamagedRepository: more turned out to be lost on the way; run it again.
        BackendError: the storage fails, or refuses.
    """
    store.check_current()
    with store.loader() as loader:
        losses = _Losses(store, loader, progress, read_data=options.read_data)
        losses.find(snapshots)
        progress.finish()
        if not losses.lost:
            return ()
        work = _Repair(store, loader, losses, tuple(known), options)
        return tuple(work.repaired())


class _Losses:
    """What cannot be read of the blobs that snapshots need.

    Attributes:
        lost: these blobs, each with the object that it was to be in.
        hurt: the snapshots that need one of them, each with what it loses.
        finder: knows which directories these losses are in or below.
    """

    def __init__(
        self, store: Store, loader: Loader, progress: Progress, *, read_data: bool
    ) -> None:
        self._loader = loader
        self._progress = progress
        self._read_data = read_data
        with store.rehearsal() as usable:
            self._usable = usable
        self._seen = BlobSet(store.catalog.load())
        self.lost: dict[BlobId, str] = {}
        self.finder = Hurts(self.lost, loader, BlobSet(store.catalog.load()))
        self.hurt: list[tuple[Snapshot, Sequence[Hurt]]] = []

    def find(self, snapshots: Sequence[Snapshot]) -> None:
        """Look at all that these snapshots need."""
        for snapshot in snapshots:
            pending = [snapshot.tree]
            while pending:
                tree = pending.pop()
                if self._seen.add(tree):
                    pending += self._look_at(tree)
        for snapshot in snapshots if self.lost else ():
            hurts = list(self.finder.of(snapshot).values())
            if hurts:
                self.hurt.append((snapshot, hurts))

    def _look_at(self, tree: BlobId) -> Iterator[BlobId]:
        """Look at the files of a directory; gives the directories in it."""
        pages = [tree]

        def on_page(page: BlobId) -> None:
            pages[0] = page

        def on_damage(error: DamagedRepository) -> None:
            self.lost[pages[0]] = error.object

        for node in load_directory(tree, self._loader, on_page=on_page, on_damage=on_damage):
            self._progress.advance(1, 0)
            if node.type == NodeType.DIRECTORY:
                yield directory_tree(node)
            elif node.type == NodeType.FILE:
                self._look_at_file(node)

    def _look_at_file(self, node: Node) -> None:
        blob: BlobId | None = None
        try:
            for level, blob in references(file_content(node), self._loader, self._seen):
                if self._seen.add(blob) and not level:
                    self._look_at_data(blob)
        except DamagedRepository as error:
            if blob is not None:  # a list, of which nobody knows what else it names
                self.lost[blob] = error.object

    def _look_at_data(self, blob: BlobId) -> None:
        """Read a blob where it is not known to be good."""
        if not self._read_data and self._usable.has((blob,)):
            return
        try:
            self._loader.load(blob)
        except DamagedRepository as error:
            self.lost[blob] = error.object


class _Repair:
    """Makes the new snapshots."""

    def __init__(
        self,
        store: Store,
        loader: Loader,
        losses: _Losses,
        known: Sequence[Snapshot],
        options: SnapshotRepairOptions,
    ) -> None:
        self._store = store
        self._loader = loader
        self._losses = losses
        self._known = known
        self._options = options

    def repaired(self) -> Iterator[SnapshotRepair]:
        """What became of each snapshot that something hurts."""
        for snapshot, hurts in self._losses.hurt:
            count = sum(hurt.count for hurt in hurts)
            paths = tuple(dict.fromkeys(path for hurt in hurts for path in hurt.paths))
            found = SnapshotRepair(snapshot.id, count, paths)
            if snapshot.tree in self._losses.lost:
                yield replace(found, problem="its root directory is lost")
                continue
            new = self._made_before(snapshot)
            is_made = new is None and not self._options.dry_run
            if is_made:
                new = self._make(snapshot, hurts)
            yield replace(found, new=new, made=is_made)

    def _made_before(self, snapshot: Snapshot) -> SnapshotId | None:
        """The snapshot that an earlier repair has made of this one."""
        with self._store.rehearsal() as rehearsal:
            tree = _Rest(self._loader, self._losses, rehearsal, None).of(snapshot.tree)
        for other in self._known:
            if other.replaces == snapshot.id and other.tree == tree:
                return other.id
        return None

    def _make(self, snapshot: Snapshot, hurts: Sequence[Hurt]) -> SnapshotId:
        options = self._options
        with self._store.writer(options.about) as writer:

            def store_all() -> BlobId:
                seen = BlobSet(self._store.catalog.load())
                return _Rest(self._loader, self._losses, writer, seen).of(snapshot.tree)

            tree = confirmed(writer, store_all)
            for label in carried(snapshot, options.now_ns, options.host, options.user):
                writer.put_label(encode_label(label))
            return writer.commit(encode_snapshot(_without(snapshot, writer.id, tree, hurts)))


def _without(snapshot: Snapshot, id_: SnapshotId, tree: BlobId, hurts: Sequence[Hurt]) -> Snapshot:
    """The record of a repaired snapshot, which says what is lost."""
    problems = [
        Problem(path, REPAIR, "it is lost, and was left out")
        for hurt in hurts
        for path in hurt.paths
    ]
    return replace(
        snapshot,
        id=id_,
        tree=tree,
        original=snapshot.id,
        replaces=snapshot.id,
        problems=(*snapshot.problems, *problems)[:MAX_PROBLEMS],
        problem_count=snapshot.problem_count + sum(hurt.count for hurt in hurts),
        holds=(),
        notes=(),
    )


class _Rest:
    """Makes trees anew without what is lost.

    What stays as it is is stored anew where it may not be built upon, as `carry` does it; not
    without a set of what was looked at, which is for rehearsals.
    """

    def __init__(
        self,
        loader: BlobLoader,
        losses: _Losses,
        keeper: Writer | Rehearsal,
        seen: BlobSet | None,
    ) -> None:
        self._loader = loader
        self._losses = losses
        self._keeper = keeper
        self._seen = seen
        self._made: dict[BlobId, BlobId] = {}
        self._cut: set[BlobId] = set()

    def of(self, tree: BlobId) -> BlobId:
        """What is left of a tree."""
        top = Directory(tree, ROOT, None)
        return rebuild(top, self._loader, self._enter, self._leave, on_damage=_pass_over)

    def _enter(
        self, _: Directory[None], path: bytes, node: Node
    ) -> Directory[None] | BlobId | None:
        tree = directory_tree(node)
        if tree in self._losses.lost:
            return None
        if tree in self._made:
            return self._made[tree]
        if self._losses.finder.is_hurt(tree):
            return Directory(tree, path, None)
        if self._seen is not None:
            carry(tree, self._loader, self._keeper, self._seen, Progress(None))
        return tree

    def _leave(self, directory: Directory[None]) -> BlobId:
        tree = directory.tree

        def on_damage(_: DamagedRepository) -> None:
            self._cut.add(tree)

        nodes = load_directory(tree, self._loader, on_damage=on_damage)
        kept = [rest for node in nodes if (rest := self._rest(node, directory)) is not None]
        self._made[tree] = save_directory(kept, self._keeper)
        return self._made[tree]

    def _rest(self, node: Node, directory: Directory[None]) -> Node | None:
        """An entry as it is to stay; None when it is lost."""
        if node.type == NodeType.DIRECTORY:
            below = directory.below.get(node.name)
            if below is None:
                return None
            if directory_tree(node) in self._cut:
                node = node._replace(extra={**(node.extra or {}), "incomplete": True})
            return node._replace(payload=below)
        if node.type == NodeType.FILE:
            if lost_blob(node, self._losses.lost, self._loader) is not None:
                return None
            if self._seen is not None:
                carry_file(node, self._loader, self._keeper, self._seen)
        return node


def _pass_over(_: DamagedRepository) -> None:
    """It is known to be lost."""
