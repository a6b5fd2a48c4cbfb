"""What the workspace knows of jobs, checks and drills."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from holdfast.errors import UsageError
from holdfast.platform.managers import IntegrityLevel
from holdfast.platform.status.result import FailedRun, NextRun, Verified
from holdfast.platform.workspace import Workspace

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_GOOD = "SUCCESS"
_LEVELS = {each.name.lower(): each.value for each in IntegrityLevel}


def moment(ns: int) -> datetime:
    """Nanoseconds since the epoch as a time in UTC."""
    return _EPOCH + timedelta(microseconds=ns // 1000)


def failed_runs(workspace: Workspace, location: str, since_ns: int) -> tuple[FailedRun, ...]:
    """Runs since then that did not do all they should, newest first.

    A job that is still there and has not run since counts however long ago that was.

    Args:
        workspace: where runs are kept.
        location: of the repository: runs of jobs that are known to be of another are left out.
        since_ns: in nanoseconds since the epoch.
    """
    connection = workspace.database.connection
    others = _jobs_of_others(connection, location)
    rows = connection.execute(
        "SELECT job, name, operation, started_ns, state, error, id = (SELECT max(id) FROM runs AS "
        "later WHERE later.job = runs.job AND later.state != 'running') AS is_last FROM runs "
        "WHERE state IN ('failed', 'partial', 'lost') AND (started_ns >= ? OR (is_last AND job IN "
        "(SELECT id FROM jobs))) ORDER BY id DESC",
        (since_ns,),
    )
    return tuple(
        FailedRun(
            row["job"],
            row["name"],
            row["operation"],
            moment(row["started_ns"]),
            row["state"],
            row["error"],
            bool(row["is_last"]),
        )
        for row in rows
        if row["job"] not in others
    )


def last_check(workspace: Workspace, repository: str) -> Verified | None:
    """The last check of a repository, by its id.

    What a check found that no later one as thorough has found to be gone is there still: then that
    check is the last. A check's number says which came later, as clocks may have been wrong.
    """
    rows = workspace.database.connection.execute(
        "SELECT started_ns, level, valid FROM checks WHERE repository = ? ORDER BY id DESC",
        (repository,),
    ).fetchall()
    if not rows:
        return None
    row, good = rows[0], -1
    for each in rows:
        level = _LEVELS.get(each["level"], max(_LEVELS.values()))
        if not each["valid"] and level > good:
            row = each
            break
        good = max(good, level)
    result = "valid" if row["valid"] else "damaged"
    return Verified(moment(row["started_ns"]), row["level"], result, bool(row["valid"]))


def last_drill(workspace: Workspace, repository: str) -> Verified | None:
    """The last drill on a repository, by its id."""
    row = workspace.database.connection.execute(
        "SELECT started_ns, name, status FROM drills WHERE repository = ? "
        "ORDER BY rowid DESC LIMIT 1",
        (repository,),
    ).fetchone()
    if row is None:
        return None
    status = row["status"]
    return Verified(moment(row["started_ns"]), row["name"], status, status == _GOOD)


def next_runs(workspace: Workspace, location: str) -> tuple[NextRun, ...]:
    """When jobs run next, the next first; nothing where schedules are not installed."""
    connection = workspace.database.connection
    if connection.execute("SELECT 1 FROM jobs LIMIT 1").fetchone() is None:
        return ()
    try:
        from holdfast.platform.schedule import BackupScheduler
    except UsageError:
        return ()
    others = _jobs_of_others(connection, location)
    with BackupScheduler(workspace=workspace) as scheduler:
        jobs = scheduler.list_jobs()
    runs = [
        NextRun(str(job["id"]), str(job["name"]), str(job["operation"]), _time(job["next_run"]))
        for job in jobs
        if job["enabled"] and job["id"] not in others
    ]
    return tuple(sorted(runs, key=lambda run: (run.time is None, run.time or _EPOCH, run.name)))


def _time(value: object) -> datetime | None:
    return value if isinstance(value, datetime) else None


def _jobs_of_others(connection: sqlite3.Connection, location: str) -> set[str]:
    """Ids of the jobs that are known to be about another repository."""
    return {
        row["id"]
        for row in connection.execute("SELECT id, config FROM jobs")
        if (backend := _backend(row["config"])) is not None and not _is_same(backend, location)
    }


def _backend(config: str) -> str | None:
    record: object = json.loads(config)
    backend = record.get("backend") if isinstance(record, Mapping) else None
    return backend if isinstance(backend, str) else None


def _is_same(one: str, other: str) -> bool:
    return plain_location(one) == plain_location(other)


def plain_location(location: str) -> str:
    """A location, the same however it is written."""
    text = location.removeprefix("file://").rstrip("/")
    return text if "://" in text else os.path.abspath(text)  # noqa: PTH100 - links are not followed
