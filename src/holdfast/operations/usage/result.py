"""What takes how much, as it is told."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar, TypeAlias

from holdfast.model.snapshot import Snapshot
from holdfast.overrides import override
from holdfast.present import (
    Cell,
    Column,
    Kind,
    Row,
    Rows,
    Shown,
    Table,
    columns,
    count,
    record_of,
    size,
    table_of,
)

Record: TypeAlias = dict[str, object]


@dataclass(frozen=True, slots=True)
class DirectoryUsage(Row):
    """What a directory takes.

    Attributes:
        path: where it is.
        depth: how many levels below the path that was asked for.
        files: regular files in it and below, in the newest snapshot of each group (of one host
            and the same paths); 0 when it is in older ones only.
        size: bytes of these files.
        attributed: stored bytes that are attributed to it and all below.
        own: those that are not attributed to a directory listed below it.
    """

    _COLUMNS: ClassVar[tuple[Column, ...]] = columns(
        path=Kind.PATH,
        depth=Kind.COUNT,
        files=Kind.COUNT,
        size=Kind.BYTES,
        attributed=Kind.BYTES,
        own=Kind.BYTES,
    )

    path: str
    depth: int
    files: int
    size: int
    attributed: int
    own: int

    def dict(self) -> Record:
        """All of it by name, ready for JSON."""
        return record_of(self)


@dataclass(frozen=True, slots=True)
class SnapshotUsage(Row):
    """What a snapshot takes.

    Attributes:
        snapshot: which.
        files: regular files in it, below the path that was asked for.
        size: bytes of these files.
        attributed: stored bytes of what no older one of the snapshots looked at needs, below
            that path.
        freed: stored bytes that no other snapshot of the repository needs, wherever they are:
            what removing this one alone, and a prune, would free.
    """

    _COLUMNS: ClassVar[tuple[Column, ...]] = columns(
        snapshot=Kind.ID,
        time=Kind.TIME,
        host=Kind.TEXT,
        files=Kind.COUNT,
        size=Kind.BYTES,
        attributed=Kind.BYTES,
        freed=Kind.BYTES,
    )

    snapshot: Snapshot
    files: int
    size: int
    attributed: int
    freed: int

    def dict(self) -> Record:
        """All of it by name, ready for JSON."""
        return record_of(self) | self.snapshot.reference()

    @override
    def _row(self) -> tuple[Cell, ...]:
        about = self.snapshot.id, self.snapshot.time, self.snapshot.host
        return *about, self.files, self.size, self.attributed, self.freed


@dataclass(frozen=True, slots=True)
class Overhead(Row):
    """Stored bytes that no snapshot needs, by what they are.

    Attributes:
        unneeded: blobs that no snapshot needs: of forgotten snapshots, and of backups at work.
        duplicates: further copies of blobs that are needed.
        packs: what packs have around their blobs: headers, tables of contents, fillers.
        condemned: packs that a prune is about to delete.
        unknown: packs that the index does not know: of interrupted backups, or damaged ones.
        index: objects of the index.
        snapshots: snapshots, forgotten ones and labels.
        keys: key slots, settings and keys of older epochs.
        other: everything else, such as sessions at work.
    """

    _COLUMNS: ClassVar[tuple[Column, ...]] = columns(
        unneeded=Kind.BYTES,
        duplicates=Kind.BYTES,
        packs=Kind.BYTES,
        condemned=Kind.BYTES,
        unknown=Kind.BYTES,
        index=Kind.BYTES,
        snapshots=Kind.BYTES,
        keys=Kind.BYTES,
        other=Kind.BYTES,
        total=Kind.BYTES,
    )

    unneeded: int
    duplicates: int
    packs: int
    condemned: int
    unknown: int
    index: int
    snapshots: int
    keys: int
    other: int

    @property
    def total(self) -> int:
        """All of it."""
        return sum(getattr(self, each.name) for each in fields(self))

    def dict(self) -> Record:
        """All of it by name, ready for JSON."""
        return record_of(self) | {"total": self.total}


@dataclass(frozen=True, slots=True)
class Usage(Shown):
    """What a repository's storage is taken by: ``attributed + elsewhere + overhead.total`` is all.

    Attributes:
        path: the directory (or file) that was looked at.
        total_stored: bytes of all objects of the repository.
        attributed: those attributed to the directories, and as many to the snapshots.
        elsewhere: those that only other snapshots need, or what is outside of `path`.
        freed: what removing all of the snapshots that were looked at would free.
        directories: what each takes: the first is `path` itself, then what is below, each
            directory before what is in it, by name.
        snapshots: what each takes, oldest first.
        overhead: what no snapshot needs.
        missing: blobs that snapshots need and that are not stored.
    """

    path: str
    total_stored: int
    attributed: int
    elsewhere: int
    freed: int
    directories: Rows[DirectoryUsage]
    snapshots: Rows[SnapshotUsage]
    overhead: Overhead
    missing: int

    def dict(self) -> Record:
        """All of it by name, ready for JSON."""
        return record_of(self) | {
            "directories": [each.dict() for each in self.directories],
            "snapshots": [each.dict() for each in self.snapshots],
            "overhead": self.overhead.dict(),
        }

    @override
    def _table(self) -> Table:
        others = table_of(SnapshotUsage, self.snapshots, "by snapshot")
        overhead = table_of(Overhead, (self.overhead,), "overhead")
        caption = f"What {self.path} takes"
        return table_of(
            DirectoryUsage, self.directories, caption, self._notes(), (others, overhead)
        )

    def _notes(self) -> tuple[str, ...]:
        stored = (
            f"{size(self.total_stored)} are stored: {size(self.attributed)} are attributed here, "
            f"{size(self.elsewhere)} to other snapshots and paths, "
            f"{size(self.overhead.total)} are overhead."
        )
        if not self.missing:
            return (stored,)
        return stored, f"{count(self.missing, 'blob')} missing: run `holdfast validate`."
