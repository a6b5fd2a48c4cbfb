"""`BackupScheduler`: the documented methods, and what is run when."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tests.unit.platform.schedule.reference import utc

from holdfast import BackupManager, BackupScheduler, RetentionPolicy
from holdfast.errors import BackendError, UsageError
from holdfast.platform.schedule import JobConfig, Outcome
from holdfast.platform.schedule.cancel import Cancel
from holdfast.platform.schedule.cron import moment_of, ns_of
from holdfast.platform.schedule.references import resolved
from holdfast.platform.workspace import Workspace

BEGIN = utc(2028, 1, 1, 12)
BACKUP: dict[str, object] = {
    "name": "b", "sources": ["/data"], "backend": "/srv/repo", "password_file": "/etc/pw",
    "time_zone": "UTC",
}  # fmt: skip


class Clock:
    """Stands still until it is set; waits for events only."""

    def __init__(self) -> None:
        self.now = BEGIN

    def now_ns(self) -> int:
        return ns_of(self.now)

    def utc_offset(self) -> int:
        return 0

    def monotonic(self) -> float:
        return ns_of(self.now) / 1e9

    def wait(self, event: threading.Event, seconds: float) -> bool:
        return event.wait(min(seconds, 5))


class World:
    """A scheduler whose jobs do what they are told to, and whom it tells."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.workspace = Workspace(folder, self.clock)
        self.did: list[str] = []
        self.told: list[tuple[str, ...]] = []
        self.work: Callable[[JobConfig, Cancel], Outcome] = lambda *_: Outcome("done")
        self.scheduler = self.another()

    def another(self, most: int = 4) -> BackupScheduler:
        return BackupScheduler(
            workspace=self.workspace,
            execute=self._execute,
            notify=lambda *said: self.told.append(said),
            notify_to=lambda words, *said: self.told.append((*words, *said)),
            max_concurrent=most,
            grace=0.1,
        )

    def _execute(self, config: JobConfig, cancel: Cancel) -> Outcome:
        self.did.append(config.name)
        return self.work(config, cancel)

    def add(self, cron: str, **config: object) -> str:
        return self.scheduler.add_job(cron, {**BACKUP, **config})

    def at(self, moment: datetime) -> list[dict[str, object]]:
        self.clock.now = moment
        return self.scheduler.run_pending()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.scheduler.close()
    world.workspace.close()


def fail(*_: object) -> Outcome:
    raise BackendError("", "the store is away")


def test_r211_without_arguments_and_with_a_manager(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_STATE_DIR", str(tmp_path / "state"))
    with BackupScheduler() as scheduler:
        assert scheduler.list_jobs() == []
        with pytest.raises(UsageError, match="backend is missing"):
            scheduler.add_job("@daily", {"sources": ["/data"]})
    manager = BackupManager(str(tmp_path / "repo"), "password")
    with BackupScheduler(manager) as scheduler:
        assert scheduler.add_job("@daily", {"sources": ["/data"]})


def test_r212_r214_r215_r216_adding_listing_removing(world: World) -> None:
    job = world.scheduler.add_job("0 2 * * *", {**BACKUP, "name": "nightly"})
    other = world.scheduler.add_job(cron_expression="0 3 * * 0", job_config=BACKUP)
    assert job != other
    first, _ = world.scheduler.list_jobs()
    assert first["id"] == job
    assert first["name"] == "nightly"
    assert first["next_run"] == utc(2028, 1, 2, 2)
    assert first["last_run"] is None
    assert first["last_result"] is None
    assert world.scheduler.get_next_run_time(job) == utc(2028, 1, 2, 2)
    world.scheduler.remove_job(job)
    assert [each["id"] for each in world.scheduler.list_jobs()] == [other]
    for act in (world.scheduler.remove_job, world.scheduler.get_next_run_time):
        with pytest.raises(UsageError, match="not found"):
            act(job)


def test_r217_updating_a_job_keeps_the_rest_and_catches_up_nothing(world: World) -> None:
    job = world.add("0 2 * * *", tags=["a"], time_zone="Europe/Berlin")
    world.clock.now = BEGIN + timedelta(days=3)
    world.scheduler.update_job(job, {"name": "new", "tags": None}, "0 5 * * *")
    (record,) = world.scheduler.list_jobs()
    assert (record["name"], record["cron"], record["time_zone"]) == (
        "new", "0 5 * * *", "Europe/Berlin",
    )  # fmt: skip
    assert "tags" not in str(record["config"])
    assert record["next_run"] == utc(2028, 1, 5, 4)
    assert world.scheduler.run_pending() == []
    with pytest.raises(UsageError, match="did you mean 'sources'"):
        world.scheduler.update_job(job, {"source": ["/x"]})


def test_a_job_that_is_off_does_not_run_and_is_not_caught_up(world: World) -> None:
    job = world.add("@hourly")
    world.scheduler.update_job(job, {"enabled": False})
    assert world.at(BEGIN + timedelta(hours=5)) == []
    assert world.scheduler.get_next_run_time(job) is None
    world.scheduler.update_job(job, {"name": "still off"})
    assert world.scheduler.list_jobs()[0]["enabled"] is False
    world.scheduler.update_job(job, {"enabled": True})
    assert world.scheduler.run_pending() == []
    assert len(world.at(BEGIN + timedelta(hours=6))) == 1


def test_r219_jobs_are_there_for_other_processes_and_hold_no_secret(world: World) -> None:
    world.add("0 2 * * *", storage_options={"secret": "${S3_SECRET}", "region": "x"})
    other = BackupScheduler(workspace=Workspace(world.workspace.folder), execute=fail)
    assert other.list_jobs()[0]["name"] == "b"
    for values in (
        {"password": "tiger"},
        {"storage_options": {"secret": "tiger"}},
        {"storage_options": {"client": {"token": "tiger"}}},
        {"backend": "sftp://me:tiger@host/x"},
        {"to": "https://host/x?sig=tiger", "operation": "copy", "to_password_file": "p"},
    ):
        config = {key: value for key, value in BACKUP.items() if key != "password_file"}
        config |= {} if "password" in values else {"password_file": "p"}
        with pytest.raises(UsageError, match="secret") as raised:
            world.scheduler.add_job("@daily", {**config, **values})
        assert "tiger" not in str(raised.value)
    world.add("@daily", backend="sftp://me@host/x")
    assert "tiger" not in (world.workspace.folder / "state.sqlite").read_bytes().decode("latin-1")


def test_relative_paths_are_kept_as_absolute_ones(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    world.add("@daily", sources=["data", "s3://bucket/x"], backend="repo", password_file="pw")
    config = world.scheduler.list_jobs()[0]["config"]
    assert isinstance(config, dict)
    assert config["sources"] == [str(tmp_path / "data"), "s3://bucket/x"]
    assert config["backend"] == str(tmp_path / "repo")
    assert config["password_file"] == str(tmp_path / "pw")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"sorces": []}, "did you mean 'sources'"),
        ({"operation": "defragment"}, "none of backup, validate, drill, prune, copy"),
        ({"operation": "drill", "action": "backup"}, "mean the same"),
        ({"sources": []}, "a backup needs sources"),
        ({"operation": "prune"}, "a prune needs retention_policy"),
        ({"operation": "copy"}, "a copy needs to"),
        ({"retention_policy": {"keep_dayly": 3}}, "keep_daily"),
        ({"tags": 3}, "tags is to be a list of texts"),
        ({"full_check": "yes"}, "full_check is to be true or false"),
        ({"priority": "urgent"}, "priority is to be one of low, normal"),
        ({"retries": -1}, "retries is to be a whole number"),
        ({"hooks": {"before": "rm -rf /"}}, "is to be a list"),
        ({"hooks": {"befor": []}}, "did you mean 'before'"),
        ({"notification": {"mail": []}}, "unknown key 'mail'"),
        ({"password_command": "x"}, "give one of"),
        ({"password_file": None}, "nobody can be asked"),
        ({"time_zone": "Nowhere"}, "unknown time zone"),
        ({"drill": {"checks": ["x"]}, "operation": "drill"}, "unknown key 'checks'"),
        ({"drill": {"validation_checks": ["x"]}, "operation": "drill"}, "unknown check 'x'"),
        ({"sources": ["/a", Path("/b")]}, "only texts"),
    ],
)
def test_r213_a_bad_configuration_says_what_is_wrong(
    world: World, config: dict[str, object], said: str
) -> None:
    with pytest.raises(UsageError) as raised:
        world.scheduler.add_job("0 2 * * *", {**BACKUP, **config})
    assert said in str(raised.value)
    assert world.scheduler.list_jobs() == []


def test_r213_every_documented_key_is_taken(world: World) -> None:
    seen: list[JobConfig] = []

    def work(config: JobConfig, _: Cancel) -> Outcome:
        seen.append(config)
        return Outcome("done")

    world.work = work
    job = world.add(
        "manual",
        name="all", tags=["daily"], retention_policy=RetentionPolicy(keep_daily=7),
        notification={"email": ["ops@example.org"], "on_success": True, "on_failure": True},
        action="validation", full_check=True, compliance_framework="SOC2", protocol="P-1",
    )  # fmt: skip
    world.scheduler.run_job(job)
    assert seen[0].operation == "validate"
    assert seen[0].full_check
    assert seen[0].tags == ("daily",)
    assert seen[0].protocol == "P-1"
    assert world.told[0][:2] == ("ops@example.org", "job-success")


def test_x23_the_operation_may_be_called_action_and_is_a_backup_by_default(world: World) -> None:
    world.add("@daily")
    world.add("@daily", action="validate")
    world.add("@daily", operation="validation")
    found = [each["operation"] for each in world.scheduler.list_jobs()]
    assert found == ["backup", "validate", "validate"]


def test_r220_run_pending_runs_what_is_due_once(world: World) -> None:
    job = world.add("0 * * * *")
    assert world.at(BEGIN + timedelta(minutes=59)) == []
    (run,) = world.at(BEGIN + timedelta(hours=1))
    assert run["state"] == "done"
    assert run["planned"] == BEGIN + timedelta(hours=1)
    assert world.scheduler.run_pending() == []
    (record,) = world.scheduler.list_jobs()
    assert record["last_run"] == BEGIN + timedelta(hours=1)
    assert record["last_result"] == "done"
    assert world.scheduler.get_next_run_time(job) == BEGIN + timedelta(hours=2)


def test_r227_missed_times_count_as_one_the_last(world: World) -> None:
    world.add("0 * * * *")
    (run,) = world.at(BEGIN + timedelta(days=366, minutes=30))
    assert run["planned"] == BEGIN + timedelta(days=366)
    assert world.scheduler.run_pending() == []


def test_r227_a_clock_that_goes_back_runs_no_planned_time_twice(world: World) -> None:
    world.add("*/15 * * * *")
    for minutes in (15, 30, 45):
        assert len(world.at(BEGIN + timedelta(minutes=minutes))) == 1
    for minutes in (10, 15, 31, 45, 59):  # again
        assert world.at(BEGIN + timedelta(minutes=minutes)) == []
    assert len(world.at(BEGIN + timedelta(minutes=60))) == 1


def test_r227_after_a_wrong_jump_by_a_year_jobs_go_on_when_the_clock_is_right_again(
    world: World,
) -> None:
    world.add("0 * * * *")
    assert len(world.at(BEGIN + timedelta(days=365))) == 1
    assert world.at(BEGIN + timedelta(minutes=5)) == []
    assert len(world.at(BEGIN + timedelta(hours=1))) == 1


def test_r227_a_failure_is_tried_again_after_longer_and_longer_waits(world: World) -> None:
    world.work = fail
    world.add("0 0 * * *", retries=2, retry_delay=60)
    midnight = utc(2028, 1, 2)
    waits = [0, 60, 60 + 120]
    for attempt, seconds in enumerate(waits, start=1):
        assert attempt == 1 or world.at(midnight + timedelta(seconds=seconds - 1)) == []
        (run,) = world.at(midnight + timedelta(seconds=seconds))
        assert (run["attempt"], run["planned"], run["state"]) == (attempt, midnight, "failed")
        assert (run["retry"] is None) == (attempt == 3)
    assert world.at(midnight + timedelta(hours=20)) == []
    assert [said[0] for said in world.told] == ["job-failure"]  # not for each try
    assert "the store is away" in world.told[0][2]


def test_r227_a_further_try_also_comes_from_the_next_scheduler(world: World) -> None:
    world.add("0 0 * * *")
    world.work = fail
    world.at(utc(2028, 1, 2))
    world.scheduler.close()
    world.scheduler = world.another()
    world.work = lambda *_: Outcome("done")
    (run,) = world.at(utc(2028, 1, 2, 0, 1))
    assert (run["attempt"], run["state"]) == (2, "done")


def test_what_a_run_found_is_not_tried_again(world: World) -> None:
    world.work = lambda *_: Outcome("failed", {"errors": 3}, "3 findings of damage")
    world.add("0 0 * * *", operation="validate")
    (run,) = world.at(utc(2028, 1, 2))
    assert (run["state"], run["retry"], run["error"]) == ("failed", None, None)
    assert world.told[0][0] == "job-failure"
    assert "3 findings of damage" in world.told[0][2]


def test_an_unexpected_error_ends_the_run_and_not_the_scheduler(world: World) -> None:
    world.work = lambda *_: Outcome("done", {"x": 1 // 0})
    world.add("0 0 * * *", retries=0)
    (run,) = world.at(utc(2028, 1, 2))
    assert "unexpected ZeroDivisionError" in str(run["error"])


def test_r223_a_manual_job_runs_only_when_told_to(world: World) -> None:
    job = world.add("manual")
    assert world.at(BEGIN + timedelta(days=400)) == []
    assert world.scheduler.get_next_run_time(job) is None
    run = world.scheduler.run_job(job)
    assert (run["state"], run["by_hand"]) == ("done", True)
    assert world.did == ["b"]


def test_a_run_by_hand_is_no_planned_one(world: World) -> None:
    job = world.add("0 0 * * *", name="nightly")
    world.clock.now = utc(2028, 1, 2)
    world.scheduler.run_job("nightly")
    world.scheduler.run_job(job[:6])
    (run,) = world.scheduler.run_pending()
    assert run["planned"] == utc(2028, 1, 2)
    assert [each["by_hand"] for each in world.scheduler.history()] == [False, True, True]


def test_r226_the_most_important_go_first(world: World) -> None:
    for number, priority in enumerate(["low", "normal", "critical", "high"] * 2):
        world.add("0 0 * * *", name=f"{priority} {number}", priority=priority)
    with world.another(most=1) as one:
        world.clock.now = utc(2028, 1, 2)
        one.run_pending()
    begun = [name.split()[0] for name in world.did]
    assert begun == ["critical"] * 2 + ["high"] * 2 + ["normal"] * 2 + ["low"] * 2


def test_r226_so_many_run_at_once_and_no_more(world: World) -> None:
    lock = threading.Lock()
    together = threading.Barrier(3)
    counts = [0, 0]

    def work(*_: object) -> Outcome:
        with lock:
            counts[0] += 1
            counts[1] = max(counts)
        together.wait(60)  # for two others
        with lock:
            counts[0] -= 1
        return Outcome("done")

    world.work = work
    for _ in range(6):
        world.add("0 0 * * *")
    with world.another(most=3) as three:
        world.clock.now = utc(2028, 1, 2)
        assert {run["state"] for run in three.run_pending()} == {"done"}
    assert counts == [0, 3]


def test_r221_notifications_are_sent_as_a_job_wishes(world: World) -> None:
    """Row R267."""
    world.add("0 0 * * *", name="silent", notification={"on_failure": False})
    world.add("0 0 * * *", name="both", notification={"email": ["a@b.c"], "on_success": True})
    world.add("0 0 * * *", name="usual")
    world.at(utc(2028, 1, 2))
    assert world.told == [("a@b.c", "job-success", "both: done", "backup done: ")]
    world.told.clear()
    world.work = lambda *_: Outcome("partial", {"errors": 2}, "2 files")
    world.at(utc(2028, 1, 3))
    assert sorted(said[-3:-1] for said in world.told) == [
        ("job-partial", "both: partial"), ("job-partial", "usual: partial"),
    ]  # fmt: skip


def test_a_notification_that_fails_does_not_fail_the_job(tmp_path: Path) -> None:
    def broken(*_: str) -> None:
        raise OSError("no network")

    workspace = Workspace(tmp_path)
    with BackupScheduler(workspace=workspace, execute=fail, notify=broken) as scheduler:
        job = scheduler.add_job("manual", {**BACKUP})
        assert scheduler.run_job(job)["state"] == "failed"


def test_x17_an_interval_that_cannot_meet_the_rpo_is_warned_about(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.add("0 2 * * *", max_rpo_minutes=15)
    assert "up to 1440 minutes apart" in caplog.text
    caplog.clear()
    world.add("*/15 * * * *", max_rpo_minutes=15)
    world.add("*/15 * * * 1-5", max_rpo_minutes=15)
    world.add("manual", max_rpo_minutes=15)
    found = [each["warnings"] for each in world.scheduler.list_jobs()]
    assert [len(each) if isinstance(each, list) else -1 for each in found] == [1, 0, 1, 1]
    assert "never runs by itself" in str(found[3])


def test_r131_the_newest_snapshot_being_too_old_is_told_once(world: World) -> None:
    world.add("0 0 * * *", max_rpo_minutes=30, retries=0)
    world.at(BEGIN + timedelta(minutes=30))
    assert world.told == []
    world.at(BEGIN + timedelta(minutes=31))
    world.at(BEGIN + timedelta(minutes=45))
    assert [said[:2] for said in world.told] == [("rpo-violation", "b: no snapshot yet")]
    world.told.clear()
    world.at(utc(2028, 1, 2))  # a snapshot
    world.at(utc(2028, 1, 2, 0, 30))
    assert world.told == []
    world.at(utc(2028, 1, 2, 0, 31))
    assert [said[:2] for said in world.told] == [
        ("rpo-violation", "b: the newest snapshot is 31 minutes old")
    ]


def test_r220_the_loop_runs_until_it_is_stopped(world: World) -> None:
    ran = threading.Event()

    def work(*_: object) -> Outcome:
        ran.set()
        return Outcome("done")

    world.work = work
    world.add("* * * * *")
    world.clock.now = BEGIN + timedelta(minutes=1)
    world.scheduler.start()
    assert ran.wait(30)
    with pytest.raises(UsageError, match="at work already: process"):
        world.another().run_pending()
    assert world.scheduler.status()["running"] is True
    world.scheduler.stop()
    assert world.scheduler.status()["running"] is False
    assert world.scheduler.history()[0]["state"] == "done"


def test_stopping_ends_what_does_not_end_by_itself(world: World) -> None:
    begun = threading.Event()

    def work(_: JobConfig, cancel: Cancel) -> Outcome:
        begun.set()
        cancel.event.wait(30)
        cancel.check()
        return Outcome("done")

    world.work = work
    world.add("* * * * *", retries=0)
    world.clock.now = BEGIN + timedelta(minutes=1)
    world.scheduler.start()
    assert begun.wait(30)
    world.scheduler.stop()
    (run,) = world.scheduler.history()
    assert run["state"] == "failed"
    assert "told to stop" in str(run["error"])
    assert world.told == []  # it will be run again
    world.work = lambda *_: Outcome("done")
    (again,) = world.scheduler.run_pending()
    assert (again["state"], again["planned"]) == ("done", run["planned"])


def test_the_history_of_a_removed_job_stays(world: World) -> None:
    job = world.add("manual")
    world.scheduler.run_job(job)
    world.scheduler.remove_job(job)
    assert [run["job_id"] for run in world.scheduler.history(job)] == [job]
    with pytest.raises(UsageError, match="not found"):
        world.scheduler.history("nothing")


def test_what_is_done_with_jobs_is_in_the_audit_trail(world: World) -> None:
    job = world.add("manual")
    world.scheduler.run_job(job)
    world.work = fail
    world.scheduler.run_job(job)
    world.scheduler.remove_job(job)
    entries = [each for each in world.workspace.audit.entries() if each.event == "job"]
    assert [each.result for each in entries] == ["ok", "ok", "failed", "ok"]


def test_a_reference_can_be_escaped_and_one_that_is_none_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("X", "x${Y}")
    told = {"a": ["$${X}", "${X}", "$$${X}", "$X $$ {"]}
    assert resolved(told) == {"a": ["${X}", "x${Y}", "$${X}", "$X $$ {"]}
    for text in ("a${", "${}", "${a b}", "${9}"):
        with pytest.raises(UsageError, match=r"`\$\{` is to be"):
            JobConfig.parse({"sources": [text]})
    assert JobConfig.parse(
        {"sources": ["/"], "hooks": {"before": ["sh", "-c", "${#}"]}}
    ).hooks.before


@pytest.mark.parametrize(
    "values",
    [
        {"sources": ["/data", "sftp://me:tiger@host/x"]},
        {"notification": {"channels": ["https://host/?token=tiger"]}},
        {"hooks": {"after": ["curl", "https://me:tiger@host"]}},
        {"storage_options": {"more": [{"secret": "tiger"}]}},
        {"password_file": None, "password": "$${tiger}"},
    ],
)
def test_r219_secrets_inside_of_lists_are_refused_too(
    world: World, values: dict[str, object]
) -> None:
    with pytest.raises(UsageError, match="has a secret") as raised:
        world.scheduler.add_job("@daily", {**BACKUP, **values})
    assert "tiger" not in str(raised.value)


def test_what_variables_hold_is_not_kept_in_the_history(world: World) -> None:
    def work(*_: object) -> Outcome:
        raise BackendError("", "sftp://me:tiger@host/x is away")

    world.work = work
    world.scheduler.run_job(world.add("manual", backend="sftp://${WHO}@host/x"))
    (run,) = world.scheduler.history()
    assert run["error"] == "sftp://***@host/x is away"
    assert "tiger" not in str(world.told)


def test_nobody_changes_a_job_while_somebody_else_does(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = world.add("@daily")
    other = sqlite3.connect(world.workspace.folder / "state.sqlite", timeout=0)
    parse = JobConfig.parse
    refused = []

    def meanwhile(values: Mapping[str, object]) -> JobConfig:
        try:  # what somebody else does between reading and writing would be lost
            other.execute("UPDATE jobs SET enabled = 0")
            other.commit()
        except sqlite3.OperationalError as error:
            refused.append(str(error))
        return parse(values)

    monkeypatch.setattr(JobConfig, "parse", meanwhile)
    world.scheduler.update_job(job, {"tags": ["a"]})
    other.close()
    assert set(refused) == {"database is locked"}


def test_a_full_disk_for_the_history_is_waited_for(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    connections: list[sqlite3.Connection] = []

    def limited(*_: object) -> Outcome:
        connection = world.workspace.database.connection
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        connections.append(connection)
        return Outcome("done", {"much": "x" * 1_000_000})

    world.work = limited
    job = world.add("* * * * *")
    (run,) = world.at(BEGIN + timedelta(minutes=1))
    assert "what came of it cannot be kept yet" in caplog.text
    assert run["state"] == "done"  # noted by another thread, which has room
    connections[0].execute("PRAGMA max_page_count = 1000000")
    world.work = lambda *_: Outcome("done")
    (later,) = world.at(BEGIN + timedelta(minutes=2))
    assert [each["state"] for each in world.scheduler.history(job)] == ["done", "done"]
    assert later["run"] != run["run"]


def test_what_was_given_up_stays_told_to_end_and_does_not_run_beside_itself(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.platform.schedule.scheduler.ENDING", 0.05)
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()
    was_told: list[bool] = []

    def work(config: JobConfig, cancel: Cancel) -> Outcome:
        if config.name == "stuck":
            begun.set()
            go_on.wait(60)  # and hears nothing
            was_told.append(cancel.event.is_set())
        ended.set()
        return Outcome("done")

    world.work = work
    world.add("* * * * *", name="stuck")
    world.clock.now = BEGIN + timedelta(minutes=1)
    world.scheduler.start()
    assert begun.wait(30)
    world.scheduler.stop(grace=0)
    assert [run["state"] for run in world.scheduler.history()] == ["failed"]
    world.add("* * * * *", name="other")
    world.clock.now = BEGIN + timedelta(minutes=2)
    world.scheduler.start()
    assert ended.wait(30)
    world.scheduler.stop(grace=0)
    assert world.did == ["stuck", "other"]
    ended.clear()
    go_on.set()
    assert ended.wait(30)
    assert was_told == [True]


def test_being_told_to_stop_at_once_while_nothing_runs_ends_nothing_later(world: World) -> None:
    job = world.add("* * * * *")
    world.scheduler.stop(grace=0)
    assert [run["state"] for run in world.at(BEGIN + timedelta(minutes=1))] == ["done"]
    assert world.scheduler.run_job(job)["state"] == "done"


def test_the_history_is_trimmed_and_keeps_what_is_needed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.platform.schedule.table.KEPT_RUNS", 10)
    rare, often = world.add("manual", name="rare"), world.add("manual", name="often")
    world.scheduler.run_job(rare)
    world.scheduler.run_job(rare)
    world.work = fail
    world.scheduler.run_job(rare)
    world.scheduler.run_job(rare)
    for _ in range(30):
        world.scheduler.run_job(often)
    # Of the rare job the newest good one and the newest.
    assert [run["run"] for run in world.scheduler.history(rare)] == [4, 2]
    assert [run["run"] for run in world.scheduler.history(often)] == list(range(34, 24, -1))


def test_moments_keep_their_microseconds() -> None:
    assert ns_of(moment_of(1_700_000_000_123_456_000)) == 1_700_000_000_123_456_000
