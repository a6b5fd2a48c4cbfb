"""What is due: a pure function of a job, its last run and the time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from holdfast.platform.schedule.cron import MANUAL, moment_of, ns_of, timing_of
from holdfast.platform.schedule.table import RUNNING, Job, Run


@dataclass(frozen=True, slots=True)
class Due:
    """A run that is to be begun.

    Attributes:
        job: of which job.
        planned_ns: the time that it stands for, which is the last one that is due.
        attempt: 1, or more when it is tried again.
    """

    job: Job
    planned_ns: int
    attempt: int

    @property
    def order(self) -> tuple[int, int, str]:
        """The first of several comes first: the most important, then the one due for longest."""
        return -self.job.config.priority, self.planned_ns, self.job.id


def due_of(job: Job, last: Run | None, now_ns: int) -> Due | None:
    """The run of a job that is due, if one is; times that were missed count as one, the last."""
    if not job.enabled or (last is not None and last.state == RUNNING):
        return None
    planned = last_planned(job, now_ns)
    if planned is not None:
        return Due(job, planned, 1)
    if last is not None and last.retry_ns is not None and last.retry_ns <= now_ns:
        return Due(job, last.planned_ns, last.attempt + 1)
    return None


def next_of(job: Job, last: Run | None, now_ns: int) -> int | None:
    """When a job is to run next; in the past if it is due."""
    if not job.enabled:
        return None
    retry = None if last is None else last.retry_ns
    times = [each for each in (next_planned(job, now_ns), retry) if each is not None]
    return min(times, default=None)


def next_planned(job: Job, now_ns: int) -> int | None:
    """The first planned time that is not dealt with; in the past if it was missed."""
    since = min(job.planned_ns, now_ns)  # the clock may have gone back
    return _first_after(job.cron, job.zone, since)


def last_planned(job: Job, now_ns: int) -> int | None:
    """The last planned time that is due and not dealt with."""
    first = _first_after(job.cron, job.zone, job.planned_ns)
    if first is None or first > now_ns:
        return None
    timing = timing_of(job.cron, job.zone)
    found = timing.latest(moment_of(job.planned_ns), moment_of(now_ns))
    return None if found is None else ns_of(found)


@lru_cache(maxsize=4096)
def _first_after(cron: str, zone: str, since_ns: int) -> int | None:
    """Asked for again and again, with the same arguments until the job is run."""
    if cron == MANUAL:
        return None
    found = timing_of(cron, zone).next_after(moment_of(since_ns))
    return None if found is None else ns_of(found)
