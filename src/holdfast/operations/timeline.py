"""What each snapshot brought, compared with the one before it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from holdfast.model.compare import Change, ChangeKind, compare
from holdfast.model.node import Node, NodeType
from holdfast.model.roles import BlobLoader
from holdfast.model.select import group_of, ordered
from holdfast.model.snapshot import Snapshot
from holdfast.operations.reachable import mark
from holdfast.overrides import override
from holdfast.present import Cell, Column, Kind, Row, columns, record_of
from holdfast.primitives.ids import BlobId
from holdfast.progress import Progress
from holdfast.store import BlobSet, Group, Table

Record: TypeAlias = dict[str, object]

_NUMBERS = (
    "added",
    "changed",
    "removed",
    "metadata",
    "directories_added",
    "directories_removed",
    "bytes_added",
    "bytes_removed",
    "new_bytes",
    "new_stored",
)


@dataclass(frozen=True, slots=True)
class Step(Row):
    """What a snapshot brought.

    Files are regular files here; links and special files are not counted.

    Attributes:
        snapshot: which.
        previous: the snapshot before it of the same host and paths; None when it is the first.
        added, changed, removed: files that are new, of other content, or gone since `previous`;
            of the first snapshot all are new.
        metadata: files of which only owner, mode, mtime or attributes changed.
        directories_added, directories_removed: directories that are new, or gone.
        bytes_added: size of the files that were added or changed, as they are now.
        bytes_removed: size of the files that were removed or changed, as they were.
        new_bytes: bytes of the blobs, of data and of trees, that this snapshot is the first of
            all to need, as they were.
        new_stored: bytes that these take in the repository.
    """

    _COLUMNS: ClassVar[tuple[Column, ...]] = columns(
        snapshot=Kind.ID,
        time=Kind.TIME,
        host=Kind.TEXT,
        previous=Kind.ID,
        added=Kind.COUNT,
        changed=Kind.COUNT,
        removed=Kind.COUNT,
        metadata=Kind.COUNT,
        directories_added=Kind.COUNT,
        directories_removed=Kind.COUNT,
        bytes_added=Kind.BYTES,
        bytes_removed=Kind.BYTES,
        new_bytes=Kind.BYTES,
        new_stored=Kind.BYTES,
    )

    snapshot: Snapshot
    previous: Snapshot | None
    added: int
    changed: int
    removed: int
    metadata: int
    directories_added: int
    directories_removed: int
    bytes_added: int
    bytes_removed: int
    new_bytes: int
    new_stored: int

    def dict(self) -> Record:
        """All of it by name, ready for JSON; the snapshots by their ids."""
        return record_of(self) | {
            **self.snapshot.reference(),
            "previous": self.previous.id if self.previous else None,
        }

    @override
    def _row(self) -> tuple[Cell, ...]:
        previous = self.previous.id if self.previous else None
        about = self.snapshot.id, self.snapshot.time, self.snapshot.host, previous
        return *about, *(getattr(self, name) for name in _NUMBERS)


def timeline(
    snapshots: Iterable[Snapshot], loader: BlobLoader, table: Table, progress: Progress
) -> Iterator[Step]:
    """Give what each snapshot brought, in the order of time.

    What a snapshot shares with those before it is not even loaded. Memory: one bit for each row
    of the index.

    Args:
        snapshots: which; "first" is meant among these.
        loader: where trees are.
        table: the index.
        progress: told of the files that are looked at.

    Raises:
        DamagedRepository: a tree is missing or damaged.
    """
    latest: dict[tuple[object, ...], Snapshot] = {}
    blobs = _NewBlobs(table)
    for snapshot in ordered(snapshots):
        group = group_of(snapshot.host, snapshot.paths, snapshot.tags, ("host", "paths"))
        previous = latest.get(group)
        latest[group] = snapshot
        tally = _Tally()
        for change in compare(previous.tree if previous else None, snapshot.tree, loader):
            tally.add(change)
        raw, stored = blobs.raw, blobs.stored
        mark([snapshot], loader, blobs, progress)
        yield tally.step(snapshot, previous, blobs.raw - raw, blobs.stored - stored)
    progress.finish()


class _NewBlobs:
    """Marks, as `mark` makes them, that count what is marked for the first time."""

    def __init__(self, table: Table) -> None:
        self.raw = self.stored = 0
        self._table = table
        self._seen = BlobSet(table)

    def add(self, blob: bytes, group: Group | None = None) -> bool:  # noqa: ARG002 - as `Marks.add`
        """See `Marks.add`."""
        if not self._seen.add(blob):
            return False
        raw, stored = self._table.sizes(BlobId(blob)) or (0, 0)
        self.raw += raw
        self.stored += stored
        return True

    def __contains__(self, blob: object) -> bool:
        return blob in self._seen


class _Tally:
    """Changes, counted."""

    def __init__(self) -> None:
        self._files: Counter[ChangeKind] = Counter()
        self._directories: Counter[ChangeKind] = Counter()
        self._bytes_added = self._bytes_removed = 0

    def add(self, change: Change) -> None:
        """Count a change; one of type is an end and a beginning."""
        before, after = change.before, change.after
        if change.kind == ChangeKind.TYPE:
            self._count(ChangeKind.REMOVED, before, None)
            self._count(ChangeKind.ADDED, None, after)
        else:
            self._count(change.kind, before, after)

    def _count(self, kind: ChangeKind, before: Node | None, after: Node | None) -> None:
        node = after or before
        if node is None:
            return
        if node.type == NodeType.DIRECTORY:
            self._directories[kind] += 1
        elif node.type == NodeType.FILE:
            self._files[kind] += 1
            if kind != ChangeKind.METADATA:
                self._bytes_added += after.size if after else 0
                self._bytes_removed += before.size if before else 0

    def step(
        self, snapshot: Snapshot, previous: Snapshot | None, new_bytes: int, new_stored: int
    ) -> Step:
        """All of it."""
        return Step(
            snapshot=snapshot,
            previous=previous,
            added=self._files[ChangeKind.ADDED],
            changed=self._files[ChangeKind.MODIFIED],
            removed=self._files[ChangeKind.REMOVED],
            metadata=self._files[ChangeKind.METADATA],
            directories_added=self._directories[ChangeKind.ADDED],
            directories_removed=self._directories[ChangeKind.REMOVED],
            bytes_added=self._bytes_added,
            bytes_removed=self._bytes_removed,
            new_bytes=new_bytes,
            new_stored=new_stored,
        )
