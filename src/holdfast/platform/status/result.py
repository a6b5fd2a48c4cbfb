"""What there is to say of a repository, and of the work on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from holdfast.overrides import override
from holdfast.present import Cell, Column, Kind, Row, Shown, Table, Tone, columns, count, table_of


@dataclass(frozen=True, slots=True)
class Trouble(Row):
    """Something that somebody has to look at.

    Attributes:
        kind: ``unreachable``, ``no-backup``, ``late``, ``failure``, ``check`` or ``drill``.
        text: what it is, in one line.
    """

    kind: str
    text: str

    _COLUMNS: ClassVar[tuple[Column, ...]] = (Column("kind", Kind.TEXT, Tone.BAD), Column("text"))

    def dict(self) -> dict[str, object]:
        """Ready for JSON: ``kind`` and ``text``."""
        return {"kind": self.kind, "text": self.text}


@dataclass(frozen=True, slots=True)
class SourceStatus(Row):
    """The backups of one source.

    Attributes:
        host, paths: what is backed up.
        snapshots: how many there are.
        snapshot: id of the newest; None when there is none.
        time: when that was begun.
        age: how old it is.
        limit: how old it may be.
        counts: whether the verdict goes by it.
    """

    host: str
    paths: tuple[str, ...]
    snapshots: int
    snapshot: str | None
    time: datetime | None
    age: timedelta | None
    limit: timedelta
    counts: bool = True

    _COLUMNS: ClassVar[tuple[Column, ...]] = (
        *columns(
            host=Kind.TEXT,
            paths=Kind.PATH,
            snapshots=Kind.COUNT,
            snapshot=Kind.ID,
            time=Kind.TIME,
            age=Kind.SECONDS,
            limit=Kind.SECONDS,
        ),
        Column("late", Kind.FLAG, {True: Tone.BAD}),
    )

    @property
    def late(self) -> bool:
        """Whether there is no backup, or the newest is older than it may be."""
        return self.age is None or self.age > self.limit

    def dict(self) -> dict[str, object]:
        """Ready for JSON: the attributes, ``late``, and times in minutes."""
        return {
            "host": self.host,
            "paths": list(self.paths),
            "snapshots": self.snapshots,
            "snapshot": self.snapshot,
            "time": _text(self.time),
            "age_minutes": None if self.age is None else minutes(self.age),
            "limit_minutes": minutes(self.limit),
            "late": self.late,
            "counts": self.counts,
        }

    @override
    def _row(self) -> tuple[Cell, ...]:
        age = None if self.age is None else self.age.total_seconds()
        return (
            self.host,
            ", ".join(self.paths),
            self.snapshots,
            self.snapshot,
            self.time,
            age,
            self.limit.total_seconds(),
            self.late,
        )


@dataclass(frozen=True, slots=True)
class FailedRun(Row):
    """A run of a job that did not do all that it should.

    Attributes:
        job: id of the job.
        name, operation: of the job.
        started: when.
        state: ``failed``, ``partial`` or ``lost``.
        error: why, as far as it is known.
        is_last: whether the job has not run since.
    """

    job: str
    name: str
    operation: str
    started: datetime
    state: str
    error: str | None
    is_last: bool

    _COLUMNS: ClassVar[tuple[Column, ...]] = columns(
        job=Kind.TEXT,
        name=Kind.TEXT,
        operation=Kind.TEXT,
        started=Kind.TIME,
        state=Kind.TEXT,
        error=Kind.TEXT,
        is_last=Kind.FLAG,
    )

    def dict(self) -> dict[str, object]:
        """Ready for JSON: the attributes."""
        return {
            "job": self.job,
            "name": self.name,
            "operation": self.operation,
            "started": _text(self.started),
            "state": self.state,
            "error": self.error,
            "is_last": self.is_last,
        }


@dataclass(frozen=True, slots=True)
class Verified(Row):
    """The last check, or the last drill.

    Attributes:
        time: when it began.
        name: the level of a check, the name of a drill.
        result: ``valid`` or ``damaged``; of a drill its status, such as ``SUCCESS``.
        ok: whether that is good.
    """

    time: datetime
    name: str
    result: str
    ok: bool

    _COLUMNS: ClassVar[tuple[Column, ...]] = (
        *columns(time=Kind.TIME, name=Kind.TEXT, result=Kind.TEXT),
        Column("ok", Kind.FLAG, {True: Tone.GOOD, False: Tone.BAD}),
    )

    def dict(self) -> dict[str, object]:
        """Ready for JSON: the attributes."""
        return {
            "time": _text(self.time),
            "name": self.name,
            "result": self.result,
            "ok": self.ok,
        }


@dataclass(frozen=True, slots=True)
class NextRun(Row):
    """When a job runs next.

    Attributes:
        job: its id.
        name, operation: of it.
        time: when; None when it runs only if it is told to.
    """

    job: str
    name: str
    operation: str
    time: datetime | None

    _COLUMNS: ClassVar[tuple[Column, ...]] = columns(
        job=Kind.TEXT, name=Kind.TEXT, operation=Kind.TEXT, time=Kind.TIME
    )

    def dict(self) -> dict[str, object]:
        """Ready for JSON: the attributes."""
        return {
            "job": self.job,
            "name": self.name,
            "operation": self.operation,
            "time": _text(self.time),
        }


@dataclass(frozen=True, slots=True)
class Growth(Row):
    """What the backups of a day added.

    Attributes:
        day: of UTC, such as ``2026-11-21``.
        snapshots: how many were made.
        added: bytes that the repository did not have, as they were.
        stored: bytes that they take.
    """

    day: str
    snapshots: int
    added: int
    stored: int

    _COLUMNS: ClassVar[tuple[Column, ...]] = columns(
        day=Kind.TEXT, snapshots=Kind.COUNT, added=Kind.BYTES, stored=Kind.BYTES
    )

    def dict(self) -> dict[str, object]:
        """Ready for JSON: the attributes."""
        return {
            "day": self.day,
            "snapshots": self.snapshots,
            "added": self.added,
            "stored": self.stored,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Status(Shown):
    """How a repository is, and the work on it.

    Attributes:
        repository: where it is.
        id: of it; None if it could not be opened.
        time: when this was found out.
        days: how far back runs and growth were looked at.
        error: why the repository could not be read; None when it could.
        snapshots: how many it has; None if that is not known.
        sources: the backups by host and paths.
        failures: runs of jobs in these days, newest first.
        last_check, last_drill: None when there was none.
        next_runs: of jobs, the next first.
        growth: by day, each of the days, the oldest first.
    """

    repository: str
    id: str | None
    time: datetime
    days: int
    error: str | None
    snapshots: int | None
    sources: tuple[SourceStatus, ...]
    failures: tuple[FailedRun, ...]
    last_check: Verified | None
    last_drill: Verified | None
    next_runs: tuple[NextRun, ...]
    growth: tuple[Growth, ...]

    @property
    def reachable(self) -> bool:
        """Whether the repository could be opened and its snapshots be listed."""
        return self.error is None

    @property
    def newest(self) -> datetime | None:
        """When the newest backup was begun."""
        return max((each.time for each in self.sources if each.time is not None), default=None)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    @property
    def problems(self) -> tuple[Trouble, ...]:
        """What is wrong."""
        found = []
        if self.error is not None:
            found.append(Trouble("unreachable", self.error))
        elif not self.snapshots:
            found.append(Trouble("no-backup", "there is no backup yet"))
        found += [
            Trouble("late", _late(each)) for each in self.sources if each.late and each.counts
        ]
        found += [
            Trouble("failure", f"job {each.name!r}: the last run is {each.state}")
            for each in self.failures
            if each.is_last
        ]
        if self.last_check is not None and not self.last_check.ok:
            found.append(Trouble("check", "the last check found damage"))
        if self.last_drill is not None and not self.last_drill.ok:
            found.append(Trouble("drill", f"the last drill ended with {self.last_drill.result}"))
        return tuple(found)

    def dict(self) -> Mapping[str, object]:
        """Ready for JSON: the attributes and properties, times in ISO 8601 (UTC)."""
        return {
            "repository": self.repository,
            "id": self.id,
            "time": _text(self.time),
            "days": self.days,
            "ok": self.ok,
            "problems": [each.dict() for each in self.problems],
            "reachable": self.reachable,
            "error": self.error,
            "snapshots": self.snapshots,
            "newest": _text(self.newest),
            "sources": [each.dict() for each in self.sources],
            "failures": [each.dict() for each in self.failures],
            "last_check": None if self.last_check is None else self.last_check.dict(),
            "last_drill": None if self.last_drill is None else self.last_drill.dict(),
            "next_runs": [each.dict() for each in self.next_runs],
            "growth": [each.dict() for each in self.growth],
        }

    @override
    def _table(self) -> Table:
        problems = self.problems
        wrong = count(len(problems), "problem") if problems else "nothing is wrong"
        tables = {
            "Problems": (Trouble, problems),
            "Failed runs": (FailedRun, self.failures),
            "Next runs": (NextRun, self.next_runs),
            "What the days added": (Growth, self.growth),
            "Last check and drill": (
                Verified,
                [each for each in (self.last_check, self.last_drill) if each is not None],
            ),
        }
        parts = tuple(
            table_of(kind, results, caption)
            for caption, (kind, results) in tables.items()
            if results
        )
        return table_of(SourceStatus, self.sources, f"{self.repository}: {wrong}", (), parts)


def minutes(time: timedelta) -> float:
    """A time in minutes, to the hundredth."""
    return round(time.total_seconds() / 60, 2)


def _late(source: SourceStatus) -> str:
    what = " ".join(source.paths) + (f" of {source.host}" if source.host else "")
    if source.age is None:
        return f"{what}: there is no backup"
    return (
        f"{what}: the newest backup is {minutes(source.age):.0f} minutes old, "
        f"and may be {minutes(source.limit):.0f}"
    )


def _text(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()
