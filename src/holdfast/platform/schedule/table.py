"""Jobs and their runs, as the database has them."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from holdfast.errors import UsageError
from holdfast.platform.database import Database
from holdfast.platform.schedule.job import JobConfig

RUNNING, DONE, PARTIAL, FAILED, LOST = "running", "done", "partial", "failed", "lost"
"""What a run can be: at work; ended well; with losses; badly; or with its scheduler."""

GOOD = (DONE, PARTIAL)
"""States of a backup that has a snapshot."""


KEPT_RUNS = 10_000
"""So many runs are kept, the newest; of each job the newest and the newest good one always."""

_TRIM = """
    DELETE FROM runs WHERE id <= (SELECT max(id) FROM runs) - :kept AND state != 'running'
    AND EXISTS (
        SELECT 1 FROM runs AS newer WHERE newer.job = runs.job AND newer.id > runs.id
        AND (newer.state IN ('done', 'partial') OR runs.state NOT IN ('done', 'partial'))
    )
"""


@dataclass(frozen=True, slots=True)
class Job:
    """A job.

    Attributes:
        id: 12 hexadecimal digits.
        cron: five fields, or ``manual``.
        zone: the time zone in which they are meant.
        values: its configuration as it was given.
        config: the same, checked.
        enabled: whether it runs by itself.
        created_ns: when it was added.
        planned_ns: until when the times it was to run at are dealt with.
        alerted_ns: the moment whose age was last warned about.
    """

    id: str
    cron: str
    zone: str
    values: Mapping[str, object]
    config: JobConfig
    enabled: bool
    created_ns: int
    planned_ns: int
    alerted_ns: int | None = None

    @classmethod
    def of(cls, row: sqlite3.Row) -> Job:
        """From a row."""
        values, config = _read(row["config"])
        return cls(
            row["id"],
            row["cron"],
            row["zone"],
            values,
            config,
            bool(row["enabled"]),
            row["created_ns"],
            row["planned_ns"],
            row["alerted_ns"],
        )


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a job.

    Attributes:
        id: its number.
        job, name, operation: of the job, as they were.
        planned_ns: the time that it stands for; of one by hand, when it was asked for.
        started_ns, ended_ns: when it ran.
        state: one of those above.
        attempt: 1, or more when it was tried again; 0 by hand.
        retry_ns: when it is tried again; None if it is not.
        owner: the scheduler that runs it.
        result: what came of it.
        error: what went wrong.
    """

    id: int
    job: str
    name: str
    operation: str
    planned_ns: int
    started_ns: int
    ended_ns: int | None
    state: str
    attempt: int
    retry_ns: int | None
    owner: str
    result: Mapping[str, object] | None
    error: str | None

    @classmethod
    def of(cls, row: sqlite3.Row) -> Run:
        """From a row."""
        return cls(
            row["id"],
            row["job"],
            row["name"],
            row["operation"],
            row["planned_ns"],
            row["started_ns"],
            row["ended_ns"],
            row["state"],
            row["attempt"],
            row["retry_ns"],
            row["owner"],
            None if row["result"] is None else json.loads(row["result"]),
            row["error"],
        )


class Table:
    """Reads and writes jobs and runs. Safe to share between threads and processes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, job: Job) -> None:
        """Keep a new job."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO jobs (id, name, cron, zone, config, priority, enabled, created_ns,"
                " planned_ns) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (job.id, *_columns(job), job.created_ns, job.planned_ns),
            )

    def change(self, name: str, changed: Callable[[Job], Job]) -> Job:
        """Keep a job as a function changes it, with the time from which it is planned.

        Nobody else can change it between what the function is given and what is kept.

        Raises:
            UsageError: there is no such job, or several.
        """
        with self._database.transaction() as connection:
            job = changed(self.find(name))
            connection.execute(
                "UPDATE jobs SET name = ?, cron = ?, zone = ?, config = ?, priority = ?,"
                " enabled = ?, planned_ns = ? WHERE id = ?",
                (*_columns(job), job.planned_ns, job.id),
            )
        return job

    def remove(self, job: str) -> None:
        """Forget a job; its runs stay."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM jobs WHERE id = ?", (job,))

    def jobs(self) -> list[Job]:
        """All jobs, in the order in which they were added."""
        rows = self._database.connection.execute("SELECT * FROM jobs ORDER BY rowid")
        return [Job.of(row) for row in rows.fetchall()]

    def find(self, name: str) -> Job:
        """The job of an id, the beginning of one, or a name.

        Raises:
            UsageError: there is none, or several.
        """
        jobs = self.jobs()
        found = [each for each in jobs if each.id == name]
        found = found or [each for each in jobs if each.config.name == name]
        found = found or [each for each in jobs if name and each.id.startswith(name)]
        if len(found) != 1:
            several = ", ".join(each.id for each in found)
            raise UsageError(
                f"job {name} not found" if not found else f"{name} is several jobs: {several}"
            )
        return found[0]

    def last_run(self, job: str, states: Sequence[str] = ()) -> Run | None:
        """The newest run of a job, of these states if some are given."""
        condition = f" AND state IN ({', '.join('?' * len(states))})" if states else ""
        row = self._database.connection.execute(
            f"SELECT * FROM runs WHERE job = ?{condition} ORDER BY id DESC LIMIT 1",  # noqa: S608 - question marks only
            (job, *states),
        ).fetchone()
        return None if row is None else Run.of(row)

    def last_runs(self) -> dict[str, Run]:
        """The newest run of each job that has one, by the job's id."""
        rows = self._database.connection.execute(
            "SELECT runs.* FROM jobs JOIN runs"
            " ON runs.id = (SELECT max(id) FROM runs WHERE job = jobs.id)"
        )
        return {row["job"]: Run.of(row) for row in rows.fetchall()}

    def has_run(self, job: str, planned_ns: int) -> bool:
        """Whether a planned time was run at."""
        row = self._database.connection.execute(
            "SELECT 1 FROM runs WHERE job = ? AND planned_ns = ? AND attempt > 0 LIMIT 1",
            (job, planned_ns),
        ).fetchone()
        return row is not None

    def run(self, number: int) -> Run:
        """A run by its number."""
        row = self._database.connection.execute("SELECT * FROM runs WHERE id = ?", (number,))
        return Run.of(row.fetchone())

    def runs(self, job: str | None = None, limit: int = 100) -> list[Run]:
        """The newest runs, newest first."""
        rows = self._database.connection.execute(
            "SELECT * FROM runs WHERE ? IS NULL OR job = ? ORDER BY id DESC LIMIT ?",
            (job, job, limit),
        )
        return [Run.of(row) for row in rows.fetchall()]

    def running(self) -> list[Run]:
        """The runs that are at work, as far as the database knows."""
        rows = self._database.connection.execute(
            "SELECT * FROM runs WHERE state = ? ORDER BY id", (RUNNING,)
        )
        return [Run.of(row) for row in rows.fetchall()]

    def begin(self, job: Job, planned_ns: int, attempt: int, now_ns: int, owner: str) -> Run | None:
        """Begin a run, and note the planned time as dealt with; None if another is at work.

        Nobody else can begin one between what is looked at and what is written; and who comes
        second for a planned time finds it dealt with.
        """
        with self._database.transaction() as connection:
            there = connection.execute(
                "SELECT planned_ns FROM jobs WHERE id = ?", (job.id,)
            ).fetchone()
            if there is None or (attempt and there["planned_ns"] != job.planned_ns):
                return None
            try:
                cursor = connection.execute(
                    "INSERT INTO runs (job, name, operation, planned_ns, started_ns, state,"
                    " attempt, owner) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (job.id, job.config.name, job.config.operation, planned_ns, now_ns, RUNNING,
                     attempt, owner),
                )  # fmt: skip
            except sqlite3.IntegrityError:  # one_run_of_a_job
                return None
            if attempt == 1:
                connection.execute(
                    "UPDATE jobs SET planned_ns = ? WHERE id = ?", (planned_ns, job.id)
                )
            connection.execute(_TRIM, {"kept": KEPT_RUNS})
            row = connection.execute(
                "SELECT * FROM runs WHERE id = ?", (cursor.lastrowid,)
            ).fetchone()
        return Run.of(row)

    def end(
        self,
        run: Run,
        state: str,
        now_ns: int,
        *,
        result: Mapping[str, object] | None = None,
        error: str | None = None,
        retry_ns: int | None = None,
    ) -> bool:
        """Note how a run ended; False if that is known already."""
        with self._database.transaction() as connection:
            cursor = connection.execute(
                "UPDATE runs SET state = ?, ended_ns = ?, result = ?, error = ?, retry_ns = ?"
                " WHERE id = ? AND state = ?",
                (state, now_ns, _json(result), error, retry_ns, run.id, RUNNING),
            )
        return cursor.rowcount == 1

    def deal_with(self, job: str, planned_ns: int) -> None:
        """Note until when the times that a job was to run at are dealt with."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE jobs SET planned_ns = ? WHERE id = ?", (planned_ns, job))

    def alerted(self, job: str, moment_ns: int) -> None:
        """Note that the age of a moment was warned about."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE jobs SET alerted_ns = ? WHERE id = ?", (moment_ns, job))


@lru_cache(maxsize=1024)
def _read(text: str) -> tuple[Mapping[str, object], JobConfig]:
    """A configuration as it was kept, and checked."""
    values: dict[str, object] = json.loads(text)
    return values, JobConfig.parse(values)


def new_id() -> str:
    """An id for a job."""
    return secrets.token_hex(6)


def _columns(job: Job) -> tuple[str | int, ...]:
    config = json.dumps(dict(job.values))
    priority = int(job.config.priority)
    return job.config.name, job.cron, job.zone, config, priority, int(job.enabled)


def _json(record: Mapping[str, object] | None) -> str | None:
    return None if record is None else json.dumps(dict(record))
