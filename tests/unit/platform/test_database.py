"""The workspace's folder and its database."""

from __future__ import annotations

import gc
import os
import sqlite3
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from holdfast.errors import UsageError
from holdfast.platform.database import STEPS, Database
from holdfast.platform.workspace import Workspace


def insert(database: Database, name: str) -> None:
    with database.transaction() as connection:
        connection.execute(
            "INSERT INTO checks (repository, started_ns, level, valid, report)"
            " VALUES (?, 1, 'basic', 1, '{}')",
            (name,),
        )


def count(database: Database) -> int:
    (found,) = database.connection.execute("SELECT count(*) FROM checks").fetchone()
    assert isinstance(found, int)
    return found


def test_it_is_for_its_owner_only_and_stays(tmp_path: Path) -> None:
    file = tmp_path / "deep/state.sqlite"
    database = Database(file)
    insert(database, "r")
    database.close()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = Database(file)
    assert count(again) == 1
    again.close()


def test_threads_and_other_openings_wait_for_each_other(tmp_path: Path) -> None:
    one, two = Database(tmp_path / "s"), Database(tmp_path / "s")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: insert((one, two)[n % 2], str(n)), range(40)))
    assert count(one) == count(two) == 40
    one.close()
    two.close()


def test_a_transaction_that_fails_does_nothing(tmp_path: Path) -> None:
    database = Database(tmp_path / "s")

    def fail() -> None:
        with database.transaction() as connection:
            connection.execute(
                "INSERT INTO checks (repository, started_ns, level, valid, report)"
                " VALUES ('r', 1, 'basic', 1, '{}')"
            )
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert count(database) == 0
    insert(database, "r")
    assert count(database) == 1
    database.close()


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("text, and more of it than a header has in bytes\n" * 9)
    with pytest.raises(UsageError, match="not a database of holdfast"):
        Database(tmp_path / "s")


def test_a_newer_version_is_refused(tmp_path: Path) -> None:
    database = Database(tmp_path / "s")
    database.connection.execute(f"PRAGMA user_version = {len(STEPS) + 1}")
    database.close()
    with pytest.raises(UsageError, match="newer version"):
        Database(tmp_path / "s")


def test_a_job_cannot_run_twice_at_once(tmp_path: Path) -> None:
    database = Database(tmp_path / "s")
    run = (
        "INSERT INTO runs (job, name, operation, planned_ns, started_ns, state, attempt, owner)"
        " VALUES ('j', 'n', 'backup', 1, 1, ?, 1, 'o')"
    )
    for state in ("done", "running", "done"):
        database.connection.execute(run, (state,))
    with pytest.raises(sqlite3.IntegrityError):
        database.connection.execute(run, ("running",))
    database.close()


def test_where_a_workspace_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_STATE_DIR", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert Workspace().folder == tmp_path / "own"
    monkeypatch.delenv("HOLDFAST_STATE_DIR")
    assert Workspace().folder == tmp_path / "state/holdfast"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Workspace().folder == tmp_path / ".local/state/holdfast"
    assert Workspace(tmp_path / "given").folder == tmp_path / "given"


def test_a_workspace_opens_its_database_once_and_again(tmp_path: Path) -> None:
    with Workspace(tmp_path) as workspace:
        with ThreadPoolExecutor(4) as pool:
            found = set(pool.map(lambda _: workspace.database, range(8)))
        assert len(found) == 1
        insert(workspace.database, "r")
        workspace.close()
        assert count(workspace.database) == 1


def test_the_connections_of_threads_that_have_ended_are_closed(tmp_path: Path) -> None:
    file = tmp_path / "s"
    database = Database(file)
    for number in range(20):
        thread = threading.Thread(target=insert, args=(database, str(number)))
        thread.start()
        thread.join()
    gc.collect()
    opened = [os.path.realpath(each) for each in Path("/proc/self/fd").iterdir()]
    assert opened.count(str(file)) <= 2
    assert count(database) == 20
    database.close()
    assert str(file) not in [os.path.realpath(each) for each in Path("/proc/self/fd").iterdir()]


def test_a_full_disk_is_told_as_such_and_passes(tmp_path: Path) -> None:
    database = Database(tmp_path / "s")
    (pages,) = database.connection.execute("PRAGMA page_count").fetchone()
    database.connection.execute(f"PRAGMA max_page_count = {pages}")
    for _ in range(2):
        with pytest.raises(sqlite3.OperationalError, match="disk is full"):
            insert(database, "x" * 1_000_000)
    database.connection.execute("PRAGMA max_page_count = 1000000")
    insert(database, "x" * 1_000_000)
    assert count(database) == 1
    database.close()


def test_a_transaction_that_cannot_be_committed_is_undone(tmp_path: Path) -> None:
    database = Database(tmp_path / "s")
    connection = database.connection
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
    connection.execute(
        "CREATE TABLE child (id INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED)"
    )

    def orphan() -> None:
        with database.transaction() as inside:
            inside.execute("INSERT INTO child VALUES (7)")

    with pytest.raises(sqlite3.IntegrityError):
        orphan()
    insert(database, "r")
    assert count(database) == 1
    database.close()
