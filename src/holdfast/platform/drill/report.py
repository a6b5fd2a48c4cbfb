"""What a drill found and how long it took, as data and as text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import ClassVar, TypeAlias

from holdfast.overrides import override
from holdfast.platform.drill.words import DrillStatus, verdict_word
from holdfast.present import Cell, Column, Kind, Row, Table, Tone, columns, table_of
from holdfast.primitives.hashing import digest

Record: TypeAlias = dict[str, object]

MAX_ERRORS = 1000
"""Most problems that a report lists; more are counted only."""

_TONES: Mapping[Cell, Tone] = {
    DrillStatus.SUCCESS: Tone.GOOD,
    DrillStatus.PARTIAL: Tone.NOTABLE,
    DrillStatus.FAILED: Tone.BAD,
}


@dataclass(frozen=True, slots=True)
class Phase(Row):
    """A part of a drill.

    Attributes:
        name: such as ``restore`` or ``check integrity``.
        seconds: how long it took.
    """

    name: str
    seconds: float

    _COLUMNS: ClassVar[tuple[Column, ...]] = columns(name=Kind.TEXT, seconds=Kind.SECONDS)


@dataclass(frozen=True, slots=True)
class DrillError(Row):
    """Something that is wrong.

    Attributes:
        path: the file in the snapshot, or "" when it is about none.
        phase: when it was found.
        message: what is wrong.
    """

    path: str
    phase: str
    message: str

    _COLUMNS: ClassVar[tuple[Column, ...]] = columns(
        path=Kind.PATH, phase=Kind.TEXT, message=Kind.TEXT
    )


@dataclass(frozen=True, slots=True)
class CheckOutcome(Row):
    """What came of one check.

    Attributes:
        name: of the check.
        passed: None when it was not evaluated.
        summary: what was looked at, or why it was not evaluated.
        details: measured values.
        errors: what is wrong.
        errors_total: how many there are in all.
    """

    name: str
    passed: bool | None
    summary: str
    details: Mapping[str, object] = field(default_factory=dict)
    errors: tuple[DrillError, ...] = ()
    errors_total: int = 0

    _COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("name"),
        Column("passed", Kind.FLAG, {True: Tone.GOOD, False: Tone.BAD}),
        *columns(summary=Kind.TEXT, errors_total=Kind.COUNT),
    )


@dataclass(frozen=True, slots=True)
class StepOutcome(Row):
    """What came of one step of a playbook.

    Attributes:
        name: of the step.
        action: ``validate``, ``restore``, ``execute`` or ``notify``.
        state: ``completed``, ``failed``, ``skipped`` or ``not evaluated``.
        attempts: how often it was tried.
        seconds: how long that took.
        message: what was done, or why not.
        output: the end of what a command printed.
        cleanup: whether it is one of the steps that clean up.
    """

    name: str
    action: str
    state: str
    attempts: int
    seconds: float
    message: str
    output: str = ""
    cleanup: bool = False

    _COLUMNS: ClassVar[tuple[Column, ...]] = columns(
        name=Kind.TEXT,
        action=Kind.TEXT,
        state=Kind.TEXT,
        attempts=Kind.COUNT,
        seconds=Kind.SECONDS,
        message=Kind.TEXT,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillReport(Row):
    """What a drill found.

    Attributes:
        drill_id: a UUID.
        name: of the drill.
        description: what it is for.
        time: when it began, in UTC.
        status: ``SUCCESS``, ``PARTIAL`` or ``FAILED``.
        rto_compliant: the data was there and usable in time. False also when it never was; None
            when nothing was to be recovered.
        rpo_compliant: the data was young enough; None when its age is not known.
        recovery_time_minutes: from the start until the data was restored and every check of it
            had ended; of a drill that did not come so far, until it ended.
        data_age_minutes: how old the data was when the drill began; None when that is not known.
        max_rto_minutes, max_rpo_minutes: the objectives.
        validation_results: for each check that was asked for whether it passed, None when it was
            not evaluated.
        recommendations: what to do now.
        compliance_framework: what the drill is to give evidence for.
        test_environment: where it ran.
        notification_channels: who is told of it.
        location: of the repository, without secrets; "" when it could not be opened.
        repository_id, snapshot_id: of what was restored, "" when that is not known.
        snapshot_time: when its backup began.
        duration_seconds: of all of it.
        phases: how long each part took, in order.
        files, bytes: what was restored.
        restore_rate: bytes a second while restoring.
        checks: what came of each check.
        steps: of a playbook.
        errors: what is wrong, the first `MAX_ERRORS`.
        errors_total: how many there are in all.
        evidence: hashes, and what was measured with.
    """

    drill_id: str
    name: str
    description: str = ""
    time: datetime
    status: DrillStatus
    rto_compliant: bool | None
    rpo_compliant: bool | None
    recovery_time_minutes: float
    data_age_minutes: float | None
    max_rto_minutes: float
    max_rpo_minutes: float
    validation_results: Mapping[str, bool | None]
    recommendations: tuple[str, ...]
    compliance_framework: str
    test_environment: str = ""
    notification_channels: tuple[str, ...] = ()
    location: str = ""
    repository_id: str = ""
    snapshot_id: str = ""
    snapshot_time: datetime | None = None
    duration_seconds: float
    phases: tuple[Phase, ...] = ()
    files: int = 0
    bytes: int = 0
    restore_rate: float = 0.0
    checks: tuple[CheckOutcome, ...] = ()
    steps: tuple[StepOutcome, ...] = ()
    errors: tuple[DrillError, ...] = ()
    errors_total: int = 0
    evidence: Mapping[str, str] = field(default_factory=dict)

    _COLUMNS: ClassVar[tuple[Column, ...]] = (
        *columns(name=Kind.TEXT, drill_id=Kind.ID, time=Kind.TIME),
        Column("status", Kind.TEXT, _TONES),
        Column("rto_compliant", Kind.FLAG, {True: Tone.GOOD, False: Tone.BAD}),
        Column("rpo_compliant", Kind.FLAG, {True: Tone.GOOD, False: Tone.BAD}),
        *columns(
            recovery_time_minutes=Kind.RATIO,
            max_rto_minutes=Kind.RATIO,
            data_age_minutes=Kind.RATIO,
            max_rpo_minutes=Kind.RATIO,
            duration_seconds=Kind.SECONDS,
            snapshot_id=Kind.ID,
            snapshot_time=Kind.TIME,
            files=Kind.COUNT,
            bytes=Kind.BYTES,
            restore_rate=Kind.RATE,
            errors_total=Kind.COUNT,
        ),
    )

    @property
    def digest(self) -> str:
        """BLAKE3 of all of it: 64 hexadecimal digits."""
        return digest_of(_record(self))

    def dict(self) -> Record:
        """Ready for JSON; ``digest`` is that of all the rest."""
        record = _record(self)
        return {**record, "digest": digest_of(record)}

    def text(self) -> str:
        """All that matters, in lines; names in it are not escaped."""
        age = "unknown" if self.data_age_minutes is None else f"{self.data_age_minutes:.1f} min"
        rto, rpo = verdict_word(self.rto_compliant), verdict_word(self.rpo_compliant)
        took = f"{self.recovery_time_minutes:.2f} min, objective {self.max_rto_minutes:g} min"
        lines = [
            f"drill {self.name}: {self.status}",
            f"recovery time {took}: {rto}",
            f"age of the data {age}, objective {self.max_rpo_minutes:g} min: {rpo}",
        ]
        summaries = {check.name: check.summary for check in self.checks}
        for name, passed in self.validation_results.items():
            told = summaries.get(name, "")
            lines.append(f"{name}: {verdict_word(passed)}" + f" ({told})" * bool(told))
        lines += [f"step {step.name}: {step.state} ({step.message})" for step in self.steps]
        lines += [
            f"error: {each.path}: {each.message}" if each.path else f"error: {each.message}"
            for each in self.errors
        ]
        if self.errors_total > len(self.errors):
            lines.append(f"and {self.errors_total - len(self.errors):,} errors more")
        return "\n".join([*lines, *(f"advice: {each}" for each in self.recommendations)])

    @override
    def _caption(self) -> str:
        return f"Drill {self.name}"

    @override
    def _notes(self) -> tuple[str, ...]:
        return tuple(f"advice: {each}" for each in self.recommendations)

    @override
    def _parts(self) -> tuple[Table, ...]:
        found = (
            table_of(CheckOutcome, self.checks, "Checks"),
            table_of(StepOutcome, self.steps, "Steps"),
            table_of(Phase, self.phases, "Phases"),
            table_of(DrillError, self.errors, "What is wrong"),
        )
        there = (self.checks, self.steps, self.phases, self.errors)
        return tuple(part for part, results in zip(found, there, strict=True) if results)


def digest_of(record: Mapping[str, object]) -> str:
    """BLAKE3 of what JSON says of a record, in its one canonical form, without its digest."""
    rest = {name: value for name, value in record.items() if name != "digest"}
    return digest(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode("ascii")).hex()


def _record(report: DrillReport) -> Record:
    return {each.name: _json(getattr(report, each.name)) for each in fields(report)}


def _json(value: object) -> object:
    match value:
        case datetime():
            return value.isoformat()
        case DrillStatus():
            return value.value
        case Mapping():
            return {str(key): _json(each) for key, each in value.items()}
        case list() | tuple():
            return [_json(each) for each in value]
        case Phase() | DrillError() | CheckOutcome() | StepOutcome():
            return {each.name: _json(getattr(value, each.name)) for each in fields(value)}
        case _:
            return value


def bounded(outcome: CheckOutcome, errors: list[DrillError]) -> CheckOutcome:
    """An outcome with what is wrong, as much of it as a report takes."""
    return replace(outcome, errors=tuple(errors[:MAX_ERRORS]), errors_total=len(errors))
