"""What a validation found, as it goes on and when it has ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from holdfast.platform.managers.levels import IntegrityLevel
from holdfast.platform.managers.recording import iso
from holdfast.platform.managers.score import PASS, Results, score

if TYPE_CHECKING:
    from holdfast.operations.check import Finding
    from holdfast.operations.hurt import Hurt


_Record: TypeAlias = dict[str, object]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is wrong, or worth knowing.

    Attributes:
        object: name of the object, or of the snapshot.
        kind: what it is about, such as ``damaged pack`` or ``trial restore``.
        message: what is wrong.
        hurts: which paths of which snapshots it hurts.
    """

    object: str
    kind: str
    message: str
    hurts: tuple[Hurt, ...] = ()

    @classmethod
    def of(cls, finding: Finding) -> Fault:
        """From a finding of the engine."""
        return cls(finding.object, finding.kind.value, finding.message, finding.hurts)

    def dict(self) -> _Record:
        """Ready for JSON."""
        return {
            "object": self.object,
            "kind": self.kind,
            "message": self.message,
            "hurts": [hurt.dict() for hurt in self.hurts],
        }


@dataclass(slots=True)
class Validation:
    """A validation.

    Attributes:
        repository: id of the repository.
        level: how thorough it is.
        snapshots: ids of the snapshots that it is about; none for everything.
        read_data: how much of the data is read, as `Repository.check` takes it.
        started_ns: when it began, nanoseconds since the Unix epoch.
        results: of each check whether it passed; None if it was not made.
        errors: what is wrong.
        warnings: what is harmless.
        bytes_read: bytes of data that were read.
        restored: what the trial restore says; None if there was none.
        duration: seconds.
    """

    repository: str
    level: IntegrityLevel
    snapshots: Sequence[str]
    read_data: bool | str
    started_ns: int
    results: Results = field(default_factory=dict)
    errors: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)
    bytes_read: int = 0
    restored: dict[str, object] | None = None
    duration: float = 0.0

    @property
    def word(self) -> str:
        """The level in a word."""
        return self.level.name.lower()

    @property
    def snapshot(self) -> str | None:
        """Id of the snapshot that it is about; None for everything."""
        return self.snapshots[0] if self.snapshots else None

    @property
    def valid(self) -> bool:
        """Whether nothing is wrong."""
        return not self.errors

    @property
    def score(self) -> float:
        """The score, 0 to 1."""
        return score(self.results)

    def dict(self) -> dict[str, object]:
        """See `BackupValidator.validate_snapshot`."""
        return {
            "valid": self.valid,
            "errors": [each.dict() for each in self.errors],
            "warnings": [each.dict() for each in self.warnings],
            "backup_id": self.snapshot,
            "validation_level": self.word,
            "validation_score": self.score,
            "passed": self.score >= PASS,
            "results": dict(self.results),
            "test_restore": self.restored,
            "timestamp": iso(self.started_ns),
            "duration": self.duration,
            "bytes_read": self.bytes_read,
            "repository": self.repository,
        }
