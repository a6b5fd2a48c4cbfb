"""How a repository is, and the work on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import TypedDict, Unpack

import pytest

from holdfast import Repository, RepositoryNotFound
from holdfast.model.select import SAFETY
from holdfast.platform.schedule import BackupScheduler
from holdfast.platform.status import Objectives, Status, status
from holdfast.platform.workspace import Workspace
from holdfast.testing.repositories import ManualClock, new_store

NOW = 1_700_000_000
HOUR, DAY = 3600, 86400


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def workspace(tmp_path: Path, clock: ManualClock) -> Iterator[Workspace]:
    with Workspace(tmp_path / "state", clock) as found:
        yield found


@pytest.fixture
def repository(tmp_path: Path, clock: ManualClock) -> Iterator[Repository]:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/file").write_bytes(b"x" * 5000)
    (tmp_path / "other").mkdir()
    with Repository(new_store(clock=clock), clock) as repo:
        yield repo


class Expected(TypedDict, total=False):
    """What `Objectives` takes."""

    days: int
    max_rpo_minutes: float
    of_paths: Mapping[str, float]
    sources: tuple[str, ...]


@dataclass
class Asked:
    """Asks for the status of a repository that is said to be at /srv/repo."""

    repository: Repository
    workspace: Workspace

    def __call__(self, **expected: Unpack[Expected]) -> Status:
        objectives = Objectives(**expected)
        return status(lambda: self.repository, "/srv/repo", objectives, workspace=self.workspace)


@pytest.fixture
def asked(repository: Repository, workspace: Workspace) -> Asked:
    return Asked(repository, workspace)


def kinds(found: Status) -> list[str]:
    return [each.kind for each in found.problems]


def back_up(repo: Repository, path: Path, ago: float = 0, **options: str) -> None:
    when = datetime.fromtimestamp(NOW - ago, UTC)
    repo.backup([path], time=when, host=options.get("host", "h"), tags=options.get("tags", ()))


def test_r149_an_empty_repository_is_not_well(asked: Asked) -> None:
    found = asked()
    assert (found.reachable, found.snapshots, found.ok) == (True, 0, False)
    assert kinds(found) == ["no-backup"]


def test_r31_a_repository_that_is_not_there_is_a_result(workspace: Workspace) -> None:
    def opened() -> Repository:
        raise RepositoryNotFound("nothing there")

    found = status(opened, "/nowhere", workspace=workspace)
    assert (found.reachable, found.snapshots, found.id) == (False, None, None)
    assert [each.dict() for each in found.problems] == [
        {"kind": "unreachable", "text": "nothing there"}
    ]


def test_r275_the_newest_backup_of_each_source_against_its_limit(
    asked: Asked, repository: Repository, tmp_path: Path
) -> None:
    data, other = tmp_path / "data", tmp_path / "other"
    back_up(repository, data, 30 * HOUR)
    back_up(repository, data, 23 * HOUR)
    back_up(repository, other, 25 * HOUR)
    back_up(repository, data, 50 * HOUR, host="z")
    found = asked()
    assert [(each.host, each.paths[0], each.snapshots, each.late) for each in found.sources] == [
        ("h", str(data), 2, False),
        ("h", str(other), 1, True),
        ("z", str(data), 1, True),
    ]
    assert found.sources[0].age == timedelta(hours=23)
    assert kinds(found) == ["late", "late"]
    assert f"{other} of h: the newest backup is 1500 minutes old, and may be 1440" in [
        each.text for each in found.problems
    ]
    assert kinds(asked(max_rpo_minutes=51 * 60)) == []
    assert kinds(asked(of_paths={str(tmp_path): 60})) == ["late"] * 3
    assert kinds(asked(max_rpo_minutes=23 * 60)) == ["late"] * 2, "as old as it may be"


def test_the_verdict_goes_by_the_sources_that_are_expected(
    asked: Asked, repository: Repository, tmp_path: Path
) -> None:
    data, other = str(tmp_path / "data"), str(tmp_path / "other")
    back_up(repository, tmp_path / "data")
    back_up(repository, tmp_path / "other", 90 * DAY)
    assert asked().ok is False
    found = asked(sources=(data,))
    assert found.ok
    assert [(each.paths, each.late, each.counts) for each in found.sources] == [
        ((data,), False, True),
        ((other,), True, False),
    ]
    missing = asked(sources=(data, f"{data}/file", "/never"))
    assert [each.text for each in missing.problems] == ["/never: there is no backup"]


def test_a_snapshot_of_the_future_and_one_for_safety_are_no_backups(
    asked: Asked, repository: Repository, tmp_path: Path
) -> None:
    back_up(repository, tmp_path / "data", -2 * HOUR)
    back_up(repository, tmp_path / "other", tags=SAFETY)
    found = asked()
    assert [(each.paths[0], each.snapshot) for each in found.sources] == [
        (str(tmp_path / "data"), None)
    ]
    assert kinds(found)[0] == "late"
    back_up(repository, tmp_path / "data", -60)
    assert asked().sources[0].age == timedelta()


def run(workspace: Workspace, job: str, state: str, ago: float, error: str | None = None) -> None:
    start = int((NOW - ago) * 1e9)
    workspace.database.connection.execute(
        "INSERT INTO runs (job, name, operation, planned_ns, started_ns, ended_ns, state, attempt, "
        "owner, error) VALUES (?, ?, 'backup', ?, ?, ?, ?, 1, 'x', ?)",
        (job, f"job {job}", start, start, start, state, error),
    )


def test_failed_runs_of_the_last_days(
    asked: Asked, repository: Repository, workspace: Workspace, tmp_path: Path
) -> None:
    back_up(repository, tmp_path / "data")
    run(workspace, "a", "failed", 8 * DAY)
    run(workspace, "a", "failed", 3 * DAY, "the disk is full")
    run(workspace, "a", "done", 2 * DAY)
    found = asked()
    assert [(each.name, each.state, each.error, each.is_last) for each in found.failures] == [
        ("job a", "failed", "the disk is full", False)
    ]
    assert found.ok, "it worked since"
    run(workspace, "b", "lost", DAY)
    run(workspace, "a", "partial", DAY)
    run(workspace, "a", "running", 0)
    assert kinds(asked()) == ["failure", "failure"]
    assert len(asked(days=30).failures) == 4


def test_last_check_and_drill_are_those_of_this_repository(
    asked: Asked, repository: Repository, workspace: Workspace, tmp_path: Path
) -> None:
    back_up(repository, tmp_path / "data")
    assert (asked().last_check, asked().last_drill) == (None, None)
    for id_, ago, valid in ((repository.id, 50, 0), (repository.id, 40, 1), ("other", 1, 0)):
        workspace.database.connection.execute(
            "INSERT INTO checks (repository, started_ns, level, valid, report) "
            "VALUES (?, ?, 'thorough', ?, '{}')",
            (id_, (NOW - ago) * 10**9, valid),
        )
        workspace.database.connection.execute(
            "INSERT INTO drills VALUES (?, 'quarterly', ?, ?, ?, '{}')",
            (str(ago), id_, (NOW - ago) * 10**9, "SUCCESS" if valid else "FAILED"),
        )
    found = asked()
    assert found.last_check is not None
    assert found.last_drill is not None
    assert found.last_check.dict() == {
        "time": "2023-11-14T22:12:40+00:00",
        "name": "thorough",
        "result": "valid",
        "ok": True,
    }
    assert (found.last_drill.result, found.ok) == ("SUCCESS", True)
    workspace.database.connection.execute("UPDATE checks SET valid = 0")
    workspace.database.connection.execute("UPDATE drills SET status = 'PARTIAL'")
    assert kinds(asked()) == ["check", "drill"]


def test_a_job_that_failed_long_ago_and_not_run_since_is_not_well(
    asked: Asked, repository: Repository, workspace: Workspace, tmp_path: Path
) -> None:
    back_up(repository, tmp_path / "data")
    with BackupScheduler(workspace=workspace) as scheduler:
        about = {"backend": "/srv/repo", "password_file": "/pw", "operation": "validate"}
        job = scheduler.add_job("0 2 1 * *", {"name": "monthly", **about})
        run(workspace, job, "failed", 20 * DAY)
        run(workspace, "removed", "failed", 20 * DAY)
        assert kinds(asked()) == ["failure"]
        assert asked().failures[0].name == f"job {job}"
        run(workspace, job, "done", 10 * DAY)
        assert asked().ok


def test_a_lighter_check_does_not_hide_damage(
    asked: Asked, repository: Repository, workspace: Workspace, tmp_path: Path
) -> None:
    back_up(repository, tmp_path / "data")

    def checked(level: str, valid: int, ago: int) -> None:
        workspace.database.connection.execute(
            "INSERT INTO checks (repository, started_ns, level, valid, report) "
            "VALUES (?, ?, ?, ?, '{}')",
            (repository.id, (NOW - ago) * 10**9, level, valid),
        )

    checked("forensic", 0, 50)
    checked("basic", 1, 40)
    assert kinds(asked()) == ["check"]
    checked("forensic", 1, 30)
    assert asked().ok


def test_a_clock_that_was_wrong_does_not_hide_what_came_later(
    asked: Asked, repository: Repository, workspace: Workspace, tmp_path: Path
) -> None:
    back_up(repository, tmp_path / "data")
    for ago, valid in ((-9 * DAY, 1), (5, 0)):
        workspace.database.connection.execute(
            "INSERT INTO checks (repository, started_ns, level, valid, report) "
            "VALUES (?, ?, 'basic', ?, '{}')",
            (repository.id, (NOW - ago) * 10**9, valid),
        )
        workspace.database.connection.execute(
            "INSERT INTO drills VALUES (?, 'quarterly', ?, ?, ?, '{}')",
            (str(ago), repository.id, (NOW - ago) * 10**9, "SUCCESS" if valid else "FAILED"),
        )
    assert kinds(asked()) == ["check", "drill"]


def test_next_runs_and_failures_of_jobs_for_other_repositories_are_left_out(
    asked: Asked, repository: Repository, workspace: Workspace, tmp_path: Path
) -> None:
    back_up(repository, tmp_path / "data")
    with BackupScheduler(workspace=workspace) as scheduler:
        about = {"sources": ["/a"], "password_file": "/pw", "time_zone": "UTC"}
        scheduler.add_job("0 12 * * *", {"name": "noon", "backend": "file:///srv/repo/", **about})
        scheduler.add_job("0 2 * * *", {"name": "early", "backend": "/srv/repo", **about})
        other = scheduler.add_job("0 1 * * *", {"name": "x", "backend": "/srv/other", **about})
        scheduler.add_job("manual", {"name": "by hand", "backend": "/srv/repo", **about})
    run(workspace, other, "failed", 5)
    found = asked()
    assert [(each.name, each.time and f"{each.time:%d %H:%M}") for each in found.next_runs] == [
        ("early", "15 02:00"),
        ("noon", "15 12:00"),
        ("by hand", None),
    ]
    assert found.failures == ()


def test_growth_by_day(asked: Asked, repository: Repository, tmp_path: Path) -> None:
    back_up(repository, tmp_path / "data", 9 * DAY)
    (tmp_path / "data/new").write_bytes(b"".join(blake2b(bytes([n])).digest() for n in range(200)))
    back_up(repository, tmp_path / "data", DAY)
    back_up(repository, tmp_path / "data")
    found = asked(days=3)
    assert [(each.day, each.snapshots) for each in found.growth] == [
        ("2023-11-12", 0),
        ("2023-11-13", 1),
        ("2023-11-14", 1),
    ]
    newest = repository.snapshots()[-2].summary
    assert (found.growth[1].added, found.growth[1].stored) == (
        newest.data_added,
        newest.data_stored,
    )
    assert found.growth[1].added > 10_000
