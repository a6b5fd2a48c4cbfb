"""`BackupScheduler`: keeps jobs, and runs them when they are due."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from holdfast.closing import Closing
from holdfast.errors import UsageError
from holdfast.overrides import override
from holdfast.platform.schedule.cancel import Cancel
from holdfast.platform.schedule.cron import moment_of
from holdfast.platform.schedule.due import Due, due_of, last_planned, next_of
from holdfast.platform.schedule.jobs import JobKeeper
from holdfast.platform.schedule.notices import Notices, Notify, NotifyTo
from holdfast.platform.schedule.outcome import Executor, Outcome
from holdfast.platform.schedule.owner import Owners, holder, instance
from holdfast.platform.schedule.pool import Pool
from holdfast.platform.schedule.records import run_record
from holdfast.platform.schedule.run import Ended, Runner
from holdfast.platform.schedule.table import FAILED, Job, Run
from holdfast.platform.schedule.watch import alarm_ns, watch
from holdfast.platform.workspace import Workspace

if TYPE_CHECKING:
    from holdfast.platform.managers import BackupManager

_log = logging.getLogger(__name__)

POLL = 10.0
"""Seconds after which the scheduler looks again, for jobs that others added and clocks that others
turned."""

GRACE = 30.0
"""Seconds that runs are waited for when the scheduler is told to stop, before they are ended."""

ENDING = 10.0
"""Seconds that they then have to end in."""

CONCURRENT = 2
"""How many jobs run at once."""

_SECOND = 1_000_000_000

_PASSING = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_IOERR})
"""Errors of a database that may be over the next time: a full disk, a slow neighbour."""


class BackupScheduler(JobKeeper, Closing):
    """Keeps jobs in a workspace, and runs them when they are due.

    Jobs are kept on disk, so those that one program adds are run by another. A job is added by
    `add_job`; something has to run them: `run` (until `stop`), `start` (the same beside), or
    `run_pending` now and then. One scheduler at a time runs the jobs of a workspace.

    - Times that were missed, because nothing ran or the job still did, are caught up once: however
      many there were, the job is run once, for the last of them.
    - A job never runs twice at once, and never twice for one planned time, also when the clock
      goes back.
    - A run that fails is tried again, each time after a longer wait, and so is one whose
      scheduler was killed, which the next one finds and marks ``lost``.
    - Of jobs that are due together the most important begin first, no more at once than
      `max_concurrent`.

    Safe to share between threads; a context manager.

    Args:
        backup_manager: does jobs that name no repository, and those that name its repository.
        workspace: where jobs and runs are kept, and whose clock is gone by; the user's own when
            None.
        execute: does the work of a job, instead of backing up, validating and so on.
        notify: called with an event (``job-success``, ``job-partial``, ``job-failure``,
            ``rpo-violation``), a subject and a body; it may raise, and should not take long.
        notify_to: the same for jobs that name somebody, whose words come first.
        max_concurrent: how many jobs run at once.
        poll: seconds until changes by others are seen.
        grace: seconds that runs have to end in when it is told to stop.
    """

    def __init__(  # noqa: PLR0913 - what a scheduler can be told
        self,
        backup_manager: BackupManager | None = None,
        *,
        workspace: Workspace | None = None,
        execute: Executor | None = None,
        notify: Notify | None = None,
        notify_to: NotifyTo | None = None,
        max_concurrent: int = CONCURRENT,
        poll: float = POLL,
        grace: float = GRACE,
    ) -> None:
        if max_concurrent < 1:
            raise UsageError("max_concurrent is to be 1 or more")
        has_manager = backup_manager is not None or execute is not None
        if execute is None:
            from holdfast.platform.schedule.execute import Dispatch  # the engine, for who runs jobs

            workspace = workspace or Workspace()
            execute = Dispatch(workspace, backup_manager)
        super().__init__(
            workspace or Workspace(),
            has_manager=has_manager,
        )
        self._owners = Owners(self.workspace.folder / "schedulers")
        self._lock_file = self.workspace.folder / "scheduler.lock"
        self._notices = Notices(notify, notify_to)
        self._cancel = Cancel()
        self._runner = Runner(
            self.workspace,
            self._table,
            execute,
            self._notices,
        )
        self._poll, self._usual_grace, self._grace = poll, grace, grace
        self._stopping, self._wake = threading.Event(), threading.Event()
        self._pool = Pool(max_concurrent, self._clock, self._wake.set)
        self._thread: threading.Thread | None = None
        self._active: dict[int, tuple[Job, Run]] = {}
        self._unnoted: list[tuple[Job, Run, Ended]] = []
        self._active_lock = threading.Lock()

    @override
    def close(self) -> None:
        """Stop, if it runs, and let go of the workspace."""
        self.stop()
        self._pool.close()
        self._owners.disappear()

    @property
    def active(self) -> int:
        """How many jobs are being run by this scheduler."""
        return self._pool.working

    def run(self) -> None:
        """Run jobs as they are due, until `stop` is called from another thread.

        Raises:
            UsageError: another scheduler runs the jobs of this workspace; it says which.
        """
        with self._only_one():
            try:
                while not self._stopping.is_set():
                    self._wake.clear()
                    pause = self._look()
                    if not self._stopping.is_set():
                        self._clock.wait(self._wake, pause)
            finally:
                self._wind_up()
                self._stopping.clear()

    def start(self) -> None:
        """Do the same in a thread of its own.

        Raises:
            UsageError: another scheduler runs the jobs of this workspace.
        """
        lock = instance(self._lock_file, self._now())
        lock.release()  # so that the error is raised here, where somebody sees it
        self._thread = threading.Thread(target=self._run, name="holdfast-scheduler", daemon=True)
        self._thread.start()

    def stop(self, grace: float | None = None) -> None:
        """Begin nothing new, and wait for what runs; whatever is not done then is ended.

        A `run` that is about to begin ends at once.

        Args:
            grace: seconds to wait, this time, in place of those that the scheduler was made with.
        """
        if grace is not None:
            self._grace = grace
            if not grace:
                self._cancel.event.set()
        self._stopping.set()
        self._wake.set()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def run_pending(self) -> list[dict[str, object]]:
        """Run what is due now, and wait until it is done.

        Returns:
            The runs, each as `history` tells it.

        Raises:
            UsageError: another scheduler runs the jobs of this workspace.
        """
        begun: list[int] = []
        self._stopping.clear()
        with self._only_one():
            try:
                while not self._stopping.is_set():
                    self._wake.clear()
                    begun += self._begin_due(frozenset(begun))
                    if not self._pool.working:
                        break
                    self._clock.wait(self._wake, self._poll)
            except BaseException:
                self._cancel.event.set()
                raise
            finally:
                self._wind_up()
        return [run_record(self._table.run(number)) for number in begun]

    def run_job(self, job_id: str) -> dict[str, object]:
        """Run a job now, whether it is due or not, and wait until it is done.

        It does not count as one of its planned runs, and is not tried again.

        Returns:
            The run, as `history` tells it.

        Raises:
            UsageError: there is no such job, or it is running.
        """
        job = self._table.find(job_id)
        self._owners.appear(self._now())
        self._find_lost()
        run = self._table.begin(job, self._now_ns(), 0, self._now_ns(), self._owners.id)
        if run is None:
            raise UsageError(f"job {job.id} is running already")
        try:
            ended = self._runner.work(job.config, Cancel())
        except BaseException:
            self._runner.finish(job, run, Ended(Outcome(FAILED), "interrupted"))
            raise
        self._runner.finish(job, run, ended)
        return run_record(self._table.run(run.id))

    def status(self) -> dict[str, object]:
        """How things stand.

        Returns:
            ``running`` (bool) and ``scheduler`` (who runs the jobs, or None); ``jobs`` and
            ``active`` (how many); ``next_run`` (datetime in UTC, or None).
        """
        who = holder(self._lock_file)
        now = self._now_ns()
        jobs, runs = self._table.jobs(), self._table.last_runs()
        times = [next_of(job, runs.get(job.id), now) for job in jobs]
        upcoming = min((each for each in times if each is not None), default=None)
        alive = [run for run in self._table.running() if self._owners.is_alive(run.owner)]
        return {
            "running": who is not None,
            "scheduler": who,
            "jobs": len(jobs),
            "active": len(alive),
            "next_run": None if upcoming is None else moment_of(upcoming),
        }

    def _run(self) -> None:
        try:
            self.run()
        except Exception:  # noqa: BLE001 - nobody is above this thread
            _log.exception("the scheduler has stopped")

    @contextmanager
    def _only_one(self) -> Iterator[None]:
        lock = instance(self._lock_file, self._now())
        try:
            # What was given up before, and may still be at work, stays told to end.
            self._cancel, self._grace = Cancel(), self._usual_grace
            self._owners.appear(self._now())
            yield
        finally:
            lock.release()

    def _look(self) -> float:
        """Begin what is due; returns seconds until there is something to do again."""
        try:
            self._begin_due()
            return self._pause()
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _PASSING:
                raise
            _log.error("%s: %s; jobs wait", self.workspace.folder, error)
            return self._poll

    def _begin_due(self, passed_over: frozenset[int] = frozenset()) -> list[int]:
        """Begin what is due, as far as there is room; returns the numbers of the runs."""
        self._note_rest()
        self._find_lost()
        begun = []
        jobs = {run.job for run in map(self._table.run, passed_over)}
        with self._active_lock:  # also what was given up and has not ended yet
            jobs |= {job.id for job, _ in self._active.values()}
        for due in sorted(self._due(), key=lambda each: each.order):
            if not self._pool.has_room or self._stopping.is_set():
                break
            if due.job.id not in jobs:
                run = self._begin(due)
                begun += [] if run is None else [run.id]
        return begun

    def _due(self) -> list[Due]:
        now = self._now_ns()
        found, runs = [], self._table.last_runs()
        for job in self._table.jobs():
            watch(job, self._table, self._notices, now)
            due = due_of(self._settled(job, now), runs.get(job.id), now)
            found += [] if due is None else [due]
        return found

    def _settled(self, job: Job, now_ns: int) -> Job:
        """The job, when the clock may have gone back: no planned time is to be run at twice."""
        dealt = job.planned_ns
        if dealt > now_ns:
            dealt = now_ns
        else:
            planned = last_planned(job, now_ns)
            if planned is not None and self._table.has_run(job.id, planned):
                dealt = planned
        if dealt != job.planned_ns:
            self._table.deal_with(job.id, dealt)
        return replace(job, planned_ns=dealt)

    def _begin(self, due: Due) -> Run | None:
        run = self._table.begin(
            due.job, due.planned_ns, due.attempt, self._now_ns(), self._owners.id
        )
        if run is None:
            return None
        with self._active_lock:
            self._active[run.id] = due.job, run
        _log.info("job %s (%s) begins", due.job.config.name, due.job.id)
        cancel = self._cancel
        self._pool.start(lambda: self._work(due.job, run, cancel))
        return run

    def _work(self, job: Job, run: Run, cancel: Cancel) -> None:
        try:
            self._note(job, run, self._runner.work(job.config, cancel))
        finally:
            with self._active_lock:
                self._active.pop(run.id, None)

    def _note(self, job: Job, run: Run, ended: Ended) -> None:
        """Note how a run ended, or remember it for when there is room on the disk again."""
        try:
            self._runner.finish(job, run, ended)
        except sqlite3.Error as error:
            _log.warning("job %s: what came of it cannot be kept yet: %s", job.config.name, error)
            with self._active_lock:
                self._unnoted.append((job, run, ended))

    def _note_rest(self) -> None:
        with self._active_lock:
            rest, self._unnoted = self._unnoted, []
        for each in rest:
            self._note(*each)

    def _find_lost(self) -> None:
        """Mark runs whose scheduler is gone."""
        for run in self._table.running():
            if not self._owners.is_alive(run.owner):
                known = {job.id: job for job in self._table.jobs()}
                self._runner.lost(known.get(run.job), run)

    def _pause(self) -> float:
        """Seconds until there is something to do, as far as is known."""
        now = self._now_ns()
        times, runs = [now + int(self._poll * _SECOND)], self._table.last_runs()
        for job in self._table.jobs():
            alarm = alarm_ns(job, self._table)
            times += [] if alarm is None else [alarm]
            last = runs.get(job.id)
            upcoming = next_of(job, last, now)
            # What waits for room, or for its last run, is woken by the end of that.
            if upcoming is not None and (upcoming > now or self._pool.has_room):
                times += [] if last is not None and last.ended_ns is None else [upcoming]
        return max(min(times) - now, 0) / _SECOND

    def _wind_up(self) -> None:
        """Let runs come to their end, or end them; none is left as if it still ran."""
        if not self._pool.wait(self._grace):
            _log.warning("runs are ended that are not done after %g s", self._grace)
            self._cancel.event.set()
            self._pool.wait(ENDING)
        self._note_rest()
        with self._active_lock:
            left = list(self._active.values())
        for job, run in left:
            error = "given up: it did not end when the scheduler was stopped"
            self._note(job, run, Ended(Outcome(FAILED), error, cancelled=True))

    def _now(self) -> datetime:
        return moment_of(self._now_ns())
