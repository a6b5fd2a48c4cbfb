"""What is wrong with a snapshot, and why it is said to be."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import ClassVar, TypeAlias

from holdfast.model.snapshot import Snapshot
from holdfast.overrides import override
from holdfast.present import Cell, Column, Kind, Row

Record: TypeAlias = dict[str, object]

ALARM = 0.5
"""Severity from which on a finding is an alarm; those below are remarks, such as that unusually
much was added, which mostly have an innocent reason."""


class AnomalyKind(StrEnum):
    """What was found."""

    RANSOMWARE = "ransomware"
    ENTROPY = "entropy"
    EMPTY = "empty"
    DELETION = "deletion"
    TRUNCATION = "truncation"
    ERRORS = "errors"
    NOTE = "note"
    DAMAGED = "damaged"
    SHRINK = "shrink"
    EXTENSION = "extension"
    RENAME = "rename"
    BURST = "burst"
    METADATA = "metadata"
    GROWTH = "growth"
    DURATION = "duration"


@dataclass(frozen=True, slots=True)
class Anomaly(Row):
    """Something about a snapshot that its own history does not explain.

    Attributes:
        snapshot: the snapshot.
        kind: what was found.
        severity: how bad it looks, 0 to 1; from `ALARM` (0.5) on it is an alarm.
        summary: one sentence.
        evidence: why it is said, a sentence with numbers each.
        value: the number that was judged, in the unit that the summary tells.
        expected: what it would have been from and to, if nothing was wrong.
        paths: some of the files, as `os.fsdecode` has them.
        clean: the newest snapshot of the same group before it began that has no alarm, from
            which to restore; None when there is none.
    """

    snapshot: Snapshot
    kind: AnomalyKind
    severity: float
    summary: str
    evidence: tuple[str, ...]
    value: float
    expected: tuple[float, float]
    paths: tuple[str, ...] = ()
    clean: Snapshot | None = None

    _COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("severity", Kind.RATIO),
        Column("kind"),
        Column("snapshot", Kind.ID),
        Column("time", Kind.TIME),
        Column("host"),
        Column("summary"),
        Column("value", Kind.RATIO, is_detail=True),
        Column("expected_low", Kind.RATIO, is_detail=True),
        Column("expected_high", Kind.RATIO, is_detail=True),
        Column("evidence", Kind.LINES, is_detail=True),
        Column("paths", Kind.LINES, is_detail=True),
        Column("clean", Kind.ID),
    )

    @property
    def is_alarm(self) -> bool:
        """Whether somebody should look at it now."""
        return self.severity >= ALARM

    def dict(self) -> Record:
        """All of it by name, ready for JSON; an open end of what is expected is None."""
        low, high = self.expected
        return {
            "snapshot": self.snapshot.id,
            "time": self.snapshot.time.isoformat(),
            "host": self.snapshot.host,
            "kind": str(self.kind),
            "severity": round(self.severity, 3),
            "summary": self.summary,
            "evidence": list(self.evidence),
            "value": self.value,
            "expected": [low, None if high == inf else high],
            "paths": list(self.paths),
            "clean": None if self.clean is None else self.clean.id,
        }

    @override
    def _row(self) -> tuple[Cell, ...]:
        low, high = self.expected
        return (
            round(self.severity, 3),
            str(self.kind),
            self.snapshot.id,
            self.snapshot.time,
            self.snapshot.host,
            self.summary,
            float(self.value),
            float(low),
            None if high == inf else float(high),
            "\n".join(self.evidence),
            "\n".join(self.paths),
            None if self.clean is None else self.clean.id,
        )

    @override
    def _caption(self) -> str:
        return f"{self.kind}, snapshot {self.snapshot.short_id}"
