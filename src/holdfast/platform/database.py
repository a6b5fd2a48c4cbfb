"""The one SQLite file of a workspace: jobs, runs, drills, recoveries, checks, notifications.

Each part of the platform reads and writes its own tables. How they look is written here alone, so
that a change is one step of a list, and an older file is brought up to date when it is opened.
"""

from __future__ import annotations

import re
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from holdfast.errors import UsageError

_COMMENT = re.compile("--.*")

BUSY = 30.0
"""Seconds that one process waits for another's transaction."""

STEPS: tuple[str, ...] = (
    """
    CREATE TABLE jobs (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        cron TEXT NOT NULL,
        zone TEXT NOT NULL,
        config TEXT NOT NULL,          -- JSON: what it does
        priority INTEGER NOT NULL,
        enabled INTEGER NOT NULL,
        created_ns INTEGER NOT NULL,
        planned_ns INTEGER NOT NULL,   -- until when the times it was to run at are dealt with
        alerted_ns INTEGER             -- the moment whose distance from now was last warned about
    ) STRICT;
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY,
        job TEXT NOT NULL,             -- its id, which stays when the job is removed
        name TEXT NOT NULL,
        operation TEXT NOT NULL,
        planned_ns INTEGER NOT NULL,
        started_ns INTEGER NOT NULL,
        ended_ns INTEGER,              -- null while it runs
        state TEXT NOT NULL,           -- running, done, partial, failed, lost
        attempt INTEGER NOT NULL,      -- from 1; 0 for a run that was asked for by hand
        retry_ns INTEGER,              -- when it is tried again; null if it is not
        owner TEXT NOT NULL,           -- which scheduler runs it
        result TEXT,                   -- JSON
        error TEXT
    ) STRICT;
    CREATE INDEX runs_by_job ON runs (job, planned_ns);
    CREATE INDEX runs_of_job ON runs (job);   -- in the order of their ids
    CREATE UNIQUE INDEX one_run_of_a_job ON runs (job) WHERE state = 'running';
    CREATE TABLE drills (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        repository TEXT NOT NULL,      -- its id
        started_ns INTEGER NOT NULL,
        status TEXT NOT NULL,          -- SUCCESS, PARTIAL, FAILED
        report TEXT NOT NULL           -- JSON
    ) STRICT;
    CREATE TABLE checks (
        id INTEGER PRIMARY KEY,
        repository TEXT NOT NULL,
        started_ns INTEGER NOT NULL,
        level TEXT NOT NULL,
        valid INTEGER NOT NULL,
        report TEXT NOT NULL           -- JSON
    ) STRICT;
    CREATE TABLE recoveries (
        id TEXT PRIMARY KEY,
        repository TEXT NOT NULL,
        snapshot TEXT NOT NULL,
        target TEXT NOT NULL,
        started_ns INTEGER NOT NULL,
        ended_ns INTEGER,
        state TEXT NOT NULL,           -- running, done, partial, failed, undone
        safety TEXT,                   -- snapshot of what was there before, null for nothing
        result TEXT                    -- JSON
    ) STRICT;
    CREATE TABLE notifications (
        id INTEGER PRIMARY KEY,
        sent_ns INTEGER NOT NULL,
        event TEXT NOT NULL,
        subject TEXT NOT NULL,
        channel TEXT NOT NULL,         -- without secrets
        ok INTEGER NOT NULL,
        problem TEXT
    ) STRICT;
    """,
)
"""What brings a file from one version of the tables to the next; never edited, only added to."""


class _Held:
    """A thread's connection, which is closed when the thread has ended."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.close = weakref.finalize(self, connection.close)


class Database:
    """A connection to the file for each thread that asks for one, until the thread ends.

    Transactions of all processes on a machine follow one another; readers wait for nobody.

    Args:
        file: made if it is not there, for its owner only.

    Raises:
        UsageError: it is no database, or one of a newer version of holdfast.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._local = threading.local()
        self._open: weakref.WeakSet[_Held] = weakref.WeakSet()
        self._lock = threading.Lock()
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            self._bring_up_to_date()
        except sqlite3.DatabaseError as error:
            self.close()
            raise UsageError(f"{file}: not a database of holdfast, or damaged: {error}") from error

    def close(self) -> None:
        """Close the connections of all threads."""
        with self._lock:
            for held in list(self._open):
                held.close()
            self._open.clear()
            self._local = threading.local()

    @property
    def connection(self) -> sqlite3.Connection:
        """This thread's connection; rows can be asked for their columns by name."""
        held: _Held | None = getattr(self._local, "held", None)
        return self._connect() if held is None else held.connection

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Do several things or none: what is raised inside undoes all of them."""
        connection = self.connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # a full disk may have ended it
                connection.execute("ROLLBACK")
            raise

    def _connect(self) -> sqlite3.Connection:
        if not self.file.exists():
            self.file.touch(mode=0o600)
        connection = sqlite3.connect(
            self.file, timeout=BUSY, isolation_level=None, check_same_thread=False
        )
        connection.row_factory = sqlite3.Row
        self._local.held = held = _Held(connection)
        with self._lock:
            self._open.add(held)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    def _bring_up_to_date(self) -> None:
        with self.transaction() as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version > len(STEPS):
                raise UsageError(
                    f"{self.file}: made by a newer version of holdfast: use that one, or another "
                    "folder"
                )
            for step in STEPS[version:]:
                for statement in _COMMENT.sub("", step).split(";"):
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {len(STEPS)}")
