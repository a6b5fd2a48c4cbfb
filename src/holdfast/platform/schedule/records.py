"""Jobs and runs as documented dicts."""

from __future__ import annotations

from datetime import datetime

from holdfast.platform.schedule.cron import moment_of
from holdfast.platform.schedule.table import Job, Run


def job_record(job: Job, last: Run | None, next_ns: int | None) -> dict[str, object]:
    """What `BackupScheduler.list_jobs` tells of a job."""
    return {
        "id": job.id,
        "name": job.config.name,
        "operation": str(job.config.operation),
        "cron": job.cron,
        "time_zone": job.zone,
        "enabled": job.enabled,
        "priority": job.config.priority.name.lower(),
        "next_run": _moment(next_ns),
        "last_run": None if last is None else moment_of(last.started_ns),
        "last_result": None if last is None else last.state,
        "last_error": None if last is None else last.error,
        "config": dict(job.values),
    }


def run_record(run: Run) -> dict[str, object]:
    """What `BackupScheduler.history` tells of a run."""
    return {
        "run": run.id,
        "job_id": run.job,
        "name": run.name,
        "operation": run.operation,
        "planned": _moment(run.planned_ns),
        "started": _moment(run.started_ns),
        "ended": _moment(run.ended_ns),
        "state": run.state,
        "attempt": run.attempt,
        "by_hand": run.attempt == 0,
        "retry": _moment(run.retry_ns),
        "result": None if run.result is None else dict(run.result),
        "error": run.error,
    }


def _moment(ns: int | None) -> datetime | None:
    return None if ns is None else moment_of(ns)
