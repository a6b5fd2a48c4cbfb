"""Whether backups are made often enough: by their plan, and in fact."""

from __future__ import annotations

from datetime import timedelta

from holdfast.platform.schedule.cron import MANUAL, moment_of, timing_of
from holdfast.platform.schedule.job import Operation
from holdfast.platform.schedule.notices import RPO, Notices
from holdfast.platform.schedule.table import GOOD, Job, Table

_MINUTE = 60_000_000_000
_LOOKED_AT = 2000
_YEAR = timedelta(days=366)


def plan_warnings(job: Job, now_ns: int) -> list[str]:
    """What is wrong with the plan of a job: that its backups may get older than they are to be."""
    limit = job.config.max_rpo_minutes
    if limit is None or job.config.operation != Operation.BACKUP:
        return []
    if job.cron == MANUAL:
        return [f"an RPO of {limit} minutes is asked for, and the job never runs by itself"]
    gap = _longest_gap(job, now_ns, limit)
    if gap <= limit:
        return []
    warning = (
        f"backups are up to {gap} minutes apart, so an RPO of {limit} minutes cannot be met: run "
        "the job more often; for less than 15 minutes ship the logs of the database"
    )
    return [warning]


def _longest_gap(job: Job, now_ns: int, limit: int) -> int:
    """The most minutes between two planned times within a year, or what is more than the limit."""
    timing = timing_of(job.cron, job.zone)
    start = moment_of(now_ns)
    before = timing.next_after(start)
    longest = 0
    for _ in range(_LOOKED_AT):
        after = None if before is None else timing.next_after(before)
        if before is None or after is None:
            return limit + 1
        longest = max(longest, (after - before) // timedelta(minutes=1))
        if longest > limit or after > start + _YEAR:
            break
        before = after
    return longest


def watch(job: Job, table: Table, notices: Notices, now_ns: int) -> None:
    """Tell, once for each, that the newest snapshot of a job is older than it may get."""
    limit = job.config.max_rpo_minutes
    if limit is None or job.config.operation != Operation.BACKUP or not job.enabled:
        return
    newest = table.last_run(job.id, GOOD)
    since = job.created_ns if newest is None else newest.started_ns
    age = (now_ns - since) // _MINUTE
    if age <= limit or job.alerted_ns == since:
        return
    table.alerted(job.id, since)
    what = "no snapshot yet" if newest is None else f"the newest snapshot is {age} minutes old"
    notices.send(
        job.config.notification,
        RPO,
        f"{job.config.name}: {what}",
        f"{what}; the limit (RPO) of job {job.config.name} is {limit} minutes.",
    )


def alarm_ns(job: Job, table: Table) -> int | None:
    """When the newest snapshot of a job will be too old, if that is not told yet."""
    limit = job.config.max_rpo_minutes
    if limit is None or job.config.operation != Operation.BACKUP or not job.enabled:
        return None
    newest = table.last_run(job.id, GOOD)
    since = job.created_ns if newest is None else newest.started_ns
    return None if job.alerted_ns == since else since + (limit + 1) * _MINUTE
