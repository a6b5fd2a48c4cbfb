"""What a prune did, or would do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from holdfast.overrides import override
from holdfast.present import Column, Kind, Row, Table, columns, count, record_of, table_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Waiting(Row):
    """A session that may still build upon what is to go.

    Attributes:
        session: its id.
        host: where it runs.
        kind: what it is about.
        last_ns: its last sign of life, by its own clock, nanoseconds since the Unix epoch.
    """

    session: str
    host: str
    kind: str
    last_ns: int

    _COLUMNS: ClassVar[tuple[Column, ...]] = columns(
        session=Kind.ID, host=Kind.TEXT, kind=Kind.TEXT, last=Kind.TIME
    )

    @property
    def last(self) -> datetime:
        """The last sign of life, in UTC."""
        return _EPOCH + timedelta(microseconds=self.last_ns // 1000)

    def dict(self) -> dict[str, object]:
        """Ready for JSON."""
        return {
            "session": self.session,
            "host": self.host,
            "kind": self.kind,
            "last_ns": self.last_ns,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneResult(Row):
    """What a prune did; of a dry run, what it would do.

    Attributes:
        dry_run: whether nothing was done.
        snapshots: how many there are.
        packs: packs that were stored when it began.
        bytes: bytes of these.
        used: bytes in them that snapshots need.
        unused: bytes in them that no snapshot needs.
        packs_unneeded: packs of which nothing is needed.
        packs_repacked: packs whose needed blobs were stored anew.
        bytes_repacked: bytes of these blobs, as stored.
        bytes_written: bytes of the packs that they are in now.
        packs_condemned: packs that were condemned by this run.
        packs_deleted: packs that were deleted, those that others had condemned among them.
        bytes_freed: bytes of the deleted packs, less those that were written; of a dry run, an
            estimate.
        unused_left: bytes that no snapshot needs in packs that stay.
        packs_pending: condemned packs that are not deleted yet, because sessions at work may
            build upon them: the next prune goes on.
        waiting: these sessions.
        forgotten: forgotten snapshots that cannot be brought back any more.
        stopped: why not all was stored anew that was to be, "" when it was.
        removed: ids of the snapshots that the policy removed, or would remove.
    """

    dry_run: bool
    snapshots: int
    packs: int
    bytes: int
    used: int
    unused: int
    packs_unneeded: int
    packs_repacked: int
    bytes_repacked: int
    bytes_written: int = 0
    packs_condemned: int = 0
    packs_deleted: int = 0
    bytes_freed: int = 0
    unused_left: int = 0
    packs_pending: int = 0
    waiting: tuple[Waiting, ...] = ()
    forgotten: int = 0
    stopped: str = ""
    removed: tuple[str, ...] = ()

    _COLUMNS: ClassVar[tuple[Column, ...]] = columns(
        dry_run=Kind.FLAG,
        snapshots=Kind.COUNT,
        packs=Kind.COUNT,
        bytes=Kind.BYTES,
        used=Kind.BYTES,
        unused=Kind.BYTES,
        packs_unneeded=Kind.COUNT,
        packs_repacked=Kind.COUNT,
        bytes_repacked=Kind.BYTES,
        bytes_written=Kind.BYTES,
        packs_condemned=Kind.COUNT,
        packs_deleted=Kind.COUNT,
        bytes_freed=Kind.BYTES,
        unused_left=Kind.BYTES,
        packs_pending=Kind.COUNT,
        forgotten=Kind.COUNT,
        stopped=Kind.TEXT,
    )

    def dict(self) -> dict[str, object]:
        """Ready for JSON."""
        return record_of(self) | {
            "removed": list(self.removed),
            "waiting": [each.dict() for each in self.waiting],
        }

    @override
    def _caption(self) -> str:
        return "Prune: what would be done" if self.dry_run else "Prune"

    @override
    def _notes(self) -> tuple[str, ...]:
        if not self.removed:
            return ()
        verb = "would remove" if self.dry_run else "removed"
        return (f"the policy {verb} {count(len(self.removed), 'snapshot')}",)

    @override
    def _parts(self) -> tuple[Table, ...]:
        return (table_of(Waiting, self.waiting, "Waits for"),) if self.waiting else ()
