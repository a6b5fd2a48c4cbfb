"""Keeping jobs: adding, changing, removing, listing them, and their history."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime

from holdfast.errors import UsageError
from holdfast.platform.schedule.cron import expression_of, moment_of
from holdfast.platform.schedule.due import next_of
from holdfast.platform.schedule.job import KEYS, JobConfig, Operation
from holdfast.platform.schedule.keys import Keys
from holdfast.platform.schedule.normal import normal
from holdfast.platform.schedule.records import job_record, run_record
from holdfast.platform.schedule.table import Job, Table, new_id
from holdfast.platform.schedule.watch import plan_warnings
from holdfast.platform.schedule.zone import find_zone, machine_zone
from holdfast.platform.workspace import Workspace

_log = logging.getLogger(__name__)


class JobKeeper:
    """The jobs of a workspace; see `BackupScheduler`.

    Args:
        workspace: where they are kept.
        has_manager: whether a job may name no repository.
    """

    def __init__(self, workspace: Workspace, *, has_manager: bool) -> None:
        self.workspace = workspace
        self._clock = workspace.clock
        self._table = Table(workspace.database)
        self._has_manager = has_manager

    def add_job(self, cron_expression: str, job_config: Mapping[str, object]) -> str:
        """Keep a new job. It runs at the first planned time from now on.

        Args:
            cron_expression: five fields (minute, hour, day of the month, month, day of the week);
                ``@daily`` and the like; ``every 15 minutes``; or ``manual``, for a job that only
                `run_job` runs.
            job_config: ``operation`` or ``action`` (``backup``, ``validate``, ``drill``,
                ``prune``, ``copy``) and what it needs; the guide tells the keys.

        Returns:
            The job's id.

        Raises:
            UsageError: the expression or a key or value makes no sense.
        """
        now = self._now_ns()
        job = self._made(new_id(), expression_of(cron_expression), job_config, now)
        self._table.add(job)
        self._record(job, "added")
        for warning in plan_warnings(job, now):
            _log.warning("job %s: %s", job.config.name, warning)
        return job.id

    def update_job(
        self, job_id: str, config: Mapping[str, object], cron_expression: str | None = None
    ) -> None:
        """Change a job: the keys that are given, None taking one away, and when it runs.

        Times that have passed until then are not caught up.

        Raises:
            UsageError: there is no such job, or what it would be makes no sense.
        """

        def changed(old: Job) -> Job:
            values = {**old.values, "time_zone": old.zone, "enabled": old.enabled, **config}
            cron = old.cron if cron_expression is None else expression_of(cron_expression)
            return self._made(old.id, cron, values, self._now_ns())

        self._record(self._table.change(job_id, changed), "changed")

    def remove_job(self, job_id: str) -> None:
        """Forget a job. A run of it that is at work goes on; its history stays.

        Raises:
            UsageError: there is no such job.
        """
        job = self._table.find(job_id)
        self._table.remove(job.id)
        self._record(job, "removed")

    def list_jobs(self) -> list[dict[str, object]]:
        """The jobs, in the order in which they were added.

        Returns:
            For each ``id``, ``name``, ``operation``, ``cron``, ``time_zone``, ``enabled``,
            ``priority``; ``next_run`` (datetime in UTC; None if none comes; in the past if it is
            due), ``last_run`` (when it began, or None), ``last_result`` (``running``, ``done``,
            ``partial``, ``failed``, ``lost`` or None), ``last_error`` (text or None); ``warnings``
            (texts) and ``config`` (as it was given).
        """
        now = self._now_ns()
        records, runs = [], self._table.last_runs()
        for job in self._table.jobs():
            last = runs.get(job.id)
            record = job_record(job, last, next_of(job, last, now))
            records.append({**record, "warnings": plan_warnings(job, now)})
        return records

    def get_next_run_time(self, job_id: str) -> datetime | None:
        """When a job is to run next, in UTC; in the past if it is due, None if never.

        Raises:
            UsageError: there is no such job.
        """
        job = self._table.find(job_id)
        upcoming = next_of(job, self._table.last_run(job.id), self._now_ns())
        return None if upcoming is None else moment_of(upcoming)

    def history(self, job_id: str | None = None, limit: int = 100) -> list[dict[str, object]]:
        """Runs, newest first; also of jobs that are removed.

        Args:
            job_id: of this job only.
            limit: at most so many.

        Returns:
            For each ``run`` (its number), ``job_id``, ``name``, ``operation``; ``planned`` (the
            time that it stands for), ``started``, ``ended`` and ``retry`` (when it is tried again),
            as datetimes in UTC or None; ``state``, ``attempt``, ``by_hand``, ``result`` (what
            came of it, with ``summary``) and ``error``.
        """
        known = None if job_id is None else self._known(job_id)
        return [run_record(run) for run in self._table.runs(known, limit)]

    def _known(self, job_id: str) -> str:
        """The id of a job, which may be removed."""
        return job_id if self._table.last_run(job_id) is not None else self._table.find(job_id).id

    def _made(self, name: str, cron: str, values: Mapping[str, object], now_ns: int) -> Job:
        kept = normal(values)
        config = JobConfig.parse(kept)
        if config.access is None and not self._has_manager:
            raise UsageError("job: backend is missing: where the repository is")
        if config.operation is Operation.DRILL:
            from holdfast.platform.schedule.drills import drill_config  # for those who drill

            drill_config(config, config.drill)
        keys = Keys("job", kept, KEYS)
        zone = keys.text("time_zone")
        return Job(
            name,
            cron,
            machine_zone() if zone is None else find_zone(zone).key,
            {key: value for key, value in kept.items() if key not in {"time_zone", "enabled"}},
            config,
            keys.flag("enabled", default=True),
            now_ns,
            now_ns,
        )

    def _now_ns(self) -> int:
        return self._clock.now_ns()

    def _record(self, job: Job, action: str) -> None:
        details = {"id": job.id, "name": job.config.name, "action": action, "cron": job.cron}
        self.workspace.audit.record("job", details=details)
