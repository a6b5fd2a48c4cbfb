"""Drills that were done: kept in the workspace, listed, and how they change over time."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from statistics import median

from pydantic import TypeAdapter, ValidationError

from holdfast.errors import UsageError
from holdfast.platform.drill.report import DrillReport, digest_of
from holdfast.platform.drill.words import DrillStatus
from holdfast.platform.workspace import Workspace

_log = logging.getLogger(__name__)

_REPORTS: TypeAdapter[DrillReport] = TypeAdapter(DrillReport)


def report_file(workspace: Workspace, report: DrillReport) -> Path:
    """Where the report of a drill is kept."""
    return workspace.reports / f"{report.time:%Y%m%dT%H%M%SZ}-{report.drill_id}.json"


def keep(workspace: Workspace, report: DrillReport, event: str) -> None:
    """Keep a report: in the database, as a file, and its hash in the audit trail.

    The drill is done, so that something of this fails is a warning.
    """
    record = report.dict()
    try:
        with workspace.database.transaction() as connection:
            connection.execute(
                "INSERT INTO drills (id, name, repository, started_ns, status, report) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (
                    report.drill_id,
                    report.name,
                    report.repository_id,
                    int(report.time.timestamp() * 1e6) * 1000,
                    report.status.value,
                    json.dumps(record),
                ),
            )
        _write(report_file(workspace, report), json.dumps(record, indent=1) + "\n")
    except (OSError, sqlite3.Error) as error:
        _log.warning("the report of drill %s could not be kept: %s", report.drill_id, error)
    workspace.audit.record(
        event,
        result=_RESULTS[report.status],
        repository=report.repository_id,
        snapshot=report.snapshot_id,
        details={
            "drill": report.drill_id,
            "name": report.name,
            "status": report.status.value,
            "recovery_time_minutes": report.recovery_time_minutes,
            "digest": report.digest,
        },
    )


_RESULTS = {
    DrillStatus.SUCCESS: "ok",
    DrillStatus.PARTIAL: "partial",
    DrillStatus.FAILED: "failed",
}


def _write(file: Path, text: str) -> None:
    """Write a file whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = file.with_suffix(".tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="ascii") as stream:  # noqa: PTH123 - a descriptor
        stream.write(text)
        stream.flush()
        os.fsync(descriptor)
    temporary.replace(file)


def load_report(text: str) -> DrillReport:
    """A report from its JSON.

    Raises:
        UsageError: it is none, or was changed since it was written.
    """
    try:
        record = json.loads(text)
        digest = record.pop("digest", "") if isinstance(record, dict) else ""
        report = _REPORTS.validate_python(record)
    except (ValueError, RecursionError, ValidationError) as error:
        raise UsageError(f"this is no report of a drill: {error}") from error
    if digest != digest_of(record):
        raise UsageError(f"the report of drill {report.drill_id} was changed since it was written")
    return report


def past_drills(
    workspace: Workspace, *, repository: str | None = None, limit: int | None = None
) -> list[DrillReport]:
    """The drills that are kept, oldest first; what was changed is left out and logged.

    Args:
        workspace: where they are.
        repository: only those of this one; its id, or how that begins.
        limit: only the newest so many.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"a limit of {limit} drills makes no sense")
    rows = workspace.database.connection.execute(
        "SELECT report FROM drills WHERE substr(repository, 1, ?) = ? "
        "ORDER BY started_ns DESC, rowid DESC LIMIT ?",
        (len(repository or ""), repository or "", -1 if limit is None else limit),
    ).fetchall()
    found = []
    for row in reversed(rows):
        try:
            found.append(load_report(row["report"]))
        except UsageError as error:
            _log.warning("%s", error)
    return found


@dataclass(frozen=True, slots=True)
class TrendPoint:
    """One drill of a trend.

    Attributes:
        drill_id: its id.
        name: of the drill.
        time: when it began.
        status: how it ended.
        recovery_time_minutes: how long the recovery took.
        restore_rate: bytes a second.
        bytes: how much was restored.
    """

    drill_id: str
    name: str
    time: datetime
    status: DrillStatus
    recovery_time_minutes: float
    restore_rate: float
    bytes: int


@dataclass(frozen=True, slots=True)
class DrillTrend:
    """How drills change over time.

    Attributes:
        points: all drills, oldest first.
        recovery_change: by what share the recovery of the newest took longer than that of the
            others in the median; of drills that failed nothing is compared, and None is for
            when there are not two.
        rate_change: by what share its restore was quicker, likewise.
    """

    points: tuple[TrendPoint, ...]
    recovery_change: float | None
    rate_change: float | None

    def dict(self) -> dict[str, object]:
        """Ready for JSON."""
        points = [
            {**asdict(each), "time": each.time.isoformat(), "status": each.status.value}
            for each in self.points
        ]
        return {
            "points": points,
            "recovery_change": self.recovery_change,
            "rate_change": self.rate_change,
        }


def trend_of(reports: Sequence[DrillReport]) -> DrillTrend:
    """The trend of drills, oldest first."""
    points = tuple(
        TrendPoint(
            each.drill_id,
            each.name,
            each.time,
            each.status,
            each.recovery_time_minutes,
            each.restore_rate,
            each.bytes,
        )
        for each in reports
    )
    whole = [each for each in points if each.status is not DrillStatus.FAILED]
    return DrillTrend(
        points,
        _change([each.recovery_time_minutes for each in whole]),
        _change([each.restore_rate for each in whole]),
    )


def _change(values: Sequence[float]) -> float | None:
    """How the last differs from the median of the others, as a share of it."""
    if len(values) < 2:  # noqa: PLR2004 - one to compare with another
        return None
    usual = median(values[:-1])
    return values[-1] / usual - 1 if usual > 0 else None
