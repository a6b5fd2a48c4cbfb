"""What the engine's verbs give back, where an operation's own result does not do."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from holdfast.overrides import override
from holdfast.present import Cell, Column, Kind, Row, Table, cells, columns, table_of

if TYPE_CHECKING:
    from holdfast.filesystem import Problem
    from holdfast.model.snapshot import Snapshot
    from holdfast.operations.backup import BackupOutcome


@dataclass(frozen=True, slots=True)
class SourceProblem(Row):
    """A source item that could not be backed up.

    Attributes:
        path: where it is; bytes that are no text are as `os.fsdecode` has them.
        operation: what was tried.
        errno: the system's number for why it failed, 0 when the system did not object.
        message: why it failed.
    """

    path: str
    operation: str
    errno: int
    message: str

    _COLUMNS: ClassVar[tuple[Column, ...]] = columns(
        path=Kind.PATH, operation=Kind.TEXT, errno=Kind.NUMBER, message=Kind.TEXT
    )

    @classmethod
    def of(cls, problem: Problem) -> SourceProblem:
        """From a problem of the file system."""
        return cls(os.fsdecode(problem.path), problem.operation, problem.errno, problem.message)

    def dict(self) -> dict[str, object]:
        """Ready for JSON."""
        return {
            "path": self.path,
            "operation": self.operation,
            "errno": self.errno,
            "message": self.message,
        }


@dataclass(frozen=True, slots=True)
class BackupResult(Row):
    """What a backup did.

    Attributes:
        snapshot: the snapshot, None when there is none: after a dry run, or when nothing had
            changed and that was to make none.
        files_new, files_changed, files_unmodified: regular files, compared with the parent.
        directories: directories.
        bytes_processed: bytes of all files, unmodified ones and holes among them.
        data_added: bytes of the blobs that the repository did not have, as they were.
        data_stored: bytes that they took in the repository.
        errors: source items that could not be read, the first 10,000 of them.
        errors_total: how many there are in all.
        duration: seconds.
    """

    snapshot: Snapshot | None
    files_new: int
    files_changed: int
    files_unmodified: int
    directories: int
    bytes_processed: int
    data_added: int
    data_stored: int
    errors: tuple[SourceProblem, ...]
    errors_total: int
    duration: float

    _COLUMNS: ClassVar[tuple[Column, ...]] = columns(
        snapshot_id=Kind.ID,
        files_new=Kind.COUNT,
        files_changed=Kind.COUNT,
        files_unmodified=Kind.COUNT,
        directories=Kind.COUNT,
        bytes_processed=Kind.BYTES,
        data_added=Kind.BYTES,
        data_stored=Kind.BYTES,
        errors_total=Kind.COUNT,
        duration=Kind.SECONDS,
    )

    @classmethod
    def of(cls, outcome: BackupOutcome, duration: float) -> BackupResult:
        """From the outcome of the operation."""
        summary = outcome.snapshot.summary
        return cls(
            snapshot=outcome.snapshot if outcome.committed else None,
            files_new=summary.files_new,
            files_changed=summary.files_changed,
            files_unmodified=summary.files_unmodified,
            directories=summary.directories,
            bytes_processed=summary.bytes_processed,
            data_added=summary.data_added,
            data_stored=summary.data_stored,
            errors=tuple(SourceProblem.of(problem) for problem in outcome.problems),
            errors_total=outcome.problem_count,
            duration=duration,
        )

    def dict(self) -> dict[str, object]:
        """Ready for JSON."""
        return {
            "snapshot_id": self.snapshot.id if self.snapshot else None,
            "parent_id": self.snapshot.parent if self.snapshot else None,
            "files_new": self.files_new,
            "files_changed": self.files_changed,
            "files_unmodified": self.files_unmodified,
            "directories": self.directories,
            "bytes_processed": self.bytes_processed,
            "data_added": self.data_added,
            "data_stored": self.data_stored,
            "errors": [error.dict() for error in self.errors],
            "errors_total": self.errors_total,
            "duration": self.duration,
        }

    @override
    def _row(self) -> tuple[Cell, ...]:
        made = self.snapshot
        return (made.id if made else None, *cells(self, self._COLUMNS[1:]))

    @override
    def _caption(self) -> str:
        return "Backup" if self.snapshot else "Backup: no snapshot was made"

    @override
    def _parts(self) -> tuple[Table, ...]:
        caption = "What could not be read"
        return (table_of(SourceProblem, self.errors, caption),) if self.errors else ()
