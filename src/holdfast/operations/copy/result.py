"""What came of a copy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from holdfast.errors import HoldfastError, RepositoryError
from holdfast.model.snapshot import Snapshot
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
    count,
    duration,
    size,
    table_of,
)


@dataclass(frozen=True, slots=True)
class CopiedSnapshot(Row):
    """A snapshot that was copied, or would be.

    Attributes:
        target: where the other repository is.
        original: the snapshot here.
        snapshot: the snapshot there; None after a dry run.
    """

    target: str
    original: Snapshot
    snapshot: Snapshot | None

    _COLUMNS: ClassVar[tuple[Column, ...]] = columns(
        target=Kind.PATH,
        original_id=Kind.ID,
        snapshot_id=Kind.ID,
        time=Kind.TIME,
        data_added=Kind.BYTES,
        data_stored=Kind.BYTES,
    )

    def dict(self) -> dict[str, object]:
        """Ready for JSON."""
        summary = None if self.snapshot is None else self.snapshot.summary
        return {
            "target": self.target,
            "original_id": self.original.id,
            "snapshot_id": None if self.snapshot is None else self.snapshot.id,
            "data_added": 0 if summary is None else summary.data_added,
            "data_stored": 0 if summary is None else summary.data_stored,
        }

    @override
    def _row(self) -> tuple[Cell, ...]:
        made, original = self.snapshot, self.original
        added, stored = (made.summary.data_added, made.summary.data_stored) if made else (0, 0)
        id_ = made.id if made else None
        return self.target, original.id, id_, original.time, added, stored


@dataclass(frozen=True, slots=True)
class CopyFailure(Row):
    """A copy that failed.

    Attributes:
        target: where the other repository is; "" when the snapshot here cannot even be read.
        snapshot: id of the snapshot; "" when all of the target failed.
        error: why.
    """

    target: str
    snapshot: str
    error: HoldfastError

    _COLUMNS: ClassVar[tuple[Column, ...]] = (
        *columns(target=Kind.PATH, snapshot_id=Kind.ID, type=Kind.TEXT),
        Column("message", Kind.TEXT, Tone.BAD),
    )

    def dict(self) -> dict[str, object]:
        """Ready for JSON."""
        return {
            "target": self.target,
            "snapshot_id": self.snapshot or None,
            "type": type(self.error).__name__,
            "message": str(self.error),
        }

    @override
    def _row(self) -> tuple[Cell, ...]:
        return self.target, self.snapshot or None, type(self.error).__name__, str(self.error)


@dataclass(frozen=True, slots=True)
class CopyResult(Shown):
    """What a copy did.

    Attributes:
        copied: the snapshots that were copied, or would be in a dry run.
        skipped: how many were there already, counted for each target.
        failures: what failed; `Repository.copy` raises when there is something.
        dry_run: nothing was done.
        duration: seconds.
    """

    copied: tuple[CopiedSnapshot, ...]
    skipped: int
    failures: tuple[CopyFailure, ...]
    dry_run: bool
    duration: float

    @property
    def data_added(self) -> int:
        """Bytes of the blobs that the targets did not have, as they were."""
        return sum(each.snapshot.summary.data_added for each in self.copied if each.snapshot)

    @property
    def data_stored(self) -> int:
        """Bytes that they took there."""
        return sum(each.snapshot.summary.data_stored for each in self.copied if each.snapshot)

    def dict(self) -> dict[str, object]:
        """Ready for JSON."""
        return {
            "copied": [each.dict() for each in self.copied],
            "skipped": self.skipped,
            "failures": [each.dict() for each in self.failures],
            "data_added": self.data_added,
            "data_stored": self.data_stored,
            "dry_run": self.dry_run,
            "duration": self.duration,
        }

    @override
    def _table(self) -> Table:
        caption = f"Copy: {count(len(self.copied), 'snapshot')}"
        told = (
            f"{self.skipped:,} were there already; {size(self.data_added)} were new and take "
            f"{size(self.data_stored)}; {duration(self.duration)}"
        )
        parts = (table_of(CopyFailure, self.failures, "Failed"),) if self.failures else ()
        caption += ", would be copied" if self.dry_run else " copied"
        return table_of(CopiedSnapshot, self.copied, caption, (told,), parts)


class CopyIncomplete(RepositoryError):  # noqa: N818 - named for what is wrong, as in errors.py
    """Not all snapshots could be copied; the others were.

    Attributes:
        result: what was copied, and each failure with its error.
    """

    def __init__(self, result: CopyResult) -> None:
        first, *more = result.failures
        rest = f" (and {len(more)} more)" if more else ""
        place = f"{first.target}: " if first.target else ""
        super().__init__(f"not all was copied: {place}{first.error}{rest}")
        self.result = result
