"""The four protocols, and the class that has them, row by row."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

import holdfast
from holdfast import BackupRecoveryProtocol, LocalStorageAdapter, UsageError
from holdfast.platform import protocols
from holdfast.platform.protocols import DAILY, DRILL, SIX_HOURLY, ResilienceTimes
from holdfast.platform.schedule import BackupScheduler
from holdfast.platform.workspace import Workspace
from holdfast.primitives.kdf import KDF_PROFILES
from holdfast.testing.repositories import PASSWORD, QUICK_KDF, ManualClock

NOW = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)


class Machine:
    """A machine with something to back up, a repository, and a clock that is turned by hand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock(NOW.timestamp())
        self.workspace = Workspace(folder / "state", self.clock)
        self.password_file = folder / "password"
        self.password_file.write_text(PASSWORD)
        self.password_file.chmod(0o600)
        self.location = folder / "repository"
        holdfast.init(self.location, password=PASSWORD).close()
        self.data = folder / "data"
        (self.data / "etc").mkdir(parents=True)
        (self.data / "etc/hosts").write_text("127.0.0.1 localhost\n")
        (self.data / "etc/boot.log").write_text("noise\n")
        (self.data / "etc/settings.json").write_text(json.dumps({"level": 3}))

    def protocol(self, drill: holdfast.DrillConfig = DRILL) -> BackupRecoveryProtocol:
        return BackupRecoveryProtocol(
            str(self.location),
            str(self.password_file),
            sources=[self.data],
            drill=drill,
            workspace=self.workspace,
            cache=False,
        )

    def jobs(self) -> list[dict[str, object]]:
        with BackupScheduler(workspace=self.workspace) as scheduler:
            return scheduler.list_jobs()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    monkeypatch.setitem(KDF_PROFILES, "default", QUICK_KDF)
    machine = Machine(tmp_path)
    yield machine
    machine.workspace.close()


@pytest.fixture
def protocol(machine: Machine) -> Iterator[BackupRecoveryProtocol]:
    with machine.protocol() as protocol:
        yield protocol


def test_r331_a_system_backup_is_of_these_folders_unless_told_otherwise() -> None:
    assert protocols.SYSTEM_SOURCES == ("/etc", "/var/lib", "/home", "/opt")
    assert protocols.SYSTEM_EXCLUDE == ("/var/lib/docker/", "*.log", "/tmp")


def test_r372_a_system_backup_has_its_tags_and_says_its_snapshot(
    machine: Machine, protocol: BackupRecoveryProtocol, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="holdfast.platform.protocols"):
        made = protocol.execute_p_system_backup()
    assert made["message"] == f"[P-SYSTEM-BACKUP] Snapshot: {made['snapshot_id']}"
    assert made["message"] in caplog.messages
    with holdfast.open(machine.location, password=PASSWORD, cache=False) as repository:
        (found,) = repository.snapshots(tags=["P-SYSTEM-BACKUP", "system", "production"])
        names = [entry.name for entry in repository.listdir(found.id, machine.data / "etc")]
    assert found.id == made["snapshot_id"]
    assert names == ["hosts", "settings.json"], "*.log is left out"


def test_r372_sources_may_be_named_for_one_backup(
    machine: Machine, protocol: BackupRecoveryProtocol
) -> None:
    other = machine.folder / "other"
    other.mkdir()
    made = protocol.execute_p_system_backup([other])
    with holdfast.open(machine.location, password=PASSWORD, cache=False) as repository:
        assert repository.snapshot(str(made["snapshot_id"])).paths == (str(other),)


def test_r373_a_validation_reads_everything_and_finds_damage(
    machine: Machine, protocol: BackupRecoveryProtocol
) -> None:
    protocol.execute_p_system_backup()
    good = protocol.execute_p_backup_validation()
    assert (good["valid"], good["errors"]) == (True, [])
    assert good["validation_level"] == "forensic"
    assert good["message"] == "[P-BACKUP-VALIDATION] Valid: True (no damage found)"
    for pack in (machine.location / "data").rglob("*"):
        if pack.is_file():
            pack.write_bytes(pack.read_bytes()[:-200] + bytes(200))
    bad = protocol.execute_p_backup_validation()
    assert bad["valid"] is False
    assert bad["errors"]
    assert "of damage)" in str(bad["message"])


def test_r374_a_drill_tells_both_objectives_and_writes_a_json_report(
    machine: Machine, protocol: BackupRecoveryProtocol
) -> None:
    protocol.execute_p_system_backup()
    machine.clock.advance(600)
    held = protocol.execute_p_res_dr_drill()
    assert (held["status"], held["rto_compliant"], held["rpo_compliant"]) == ("SUCCESS", True, True)
    assert held["data_age_minutes"] == pytest.approx(10)
    assert held["message"] == "[P-RES-DR-DRILL] SUCCESS, RTO met, RPO met"
    compliance = held["compliance"]
    assert isinstance(compliance, dict)
    assert compliance["compliant"] is True, compliance["reasons"]
    report = json.loads(Path(str(compliance["report_file"])).read_text())
    assert str(held["drill_id"]) in json.dumps(report)
    assert Path(str(compliance["report_file"])).parent == machine.workspace.reports


def test_r374_data_that_is_too_old_is_not_compliant(
    machine: Machine, protocol: BackupRecoveryProtocol
) -> None:
    protocol.execute_p_system_backup()
    machine.clock.advance(16 * 60)
    held = protocol.execute_p_res_dr_drill()
    assert (held["status"], held["rpo_compliant"]) == ("PARTIAL", False)
    assert held["message"] == "[P-RES-DR-DRILL] PARTIAL, RTO met, RPO MISSED"
    compliance = held["compliance"]
    assert isinstance(compliance, dict)
    assert compliance["compliant"] is False


def test_r374_a_repository_that_is_gone_is_found_by_the_drill(machine: Machine) -> None:
    machine.location.rename(machine.folder / "gone")
    with machine.protocol() as protocol:
        held = protocol.execute_p_res_dr_drill()
    assert (held["status"], held["rto_compliant"]) == ("FAILED", False)
    assert held["rpo_compliant"] is None
    assert str(held["message"]).endswith("RPO not known")


def test_r375_backups_every_six_hours_are_the_usual_plan(
    machine: Machine, protocol: BackupRecoveryProtocol
) -> None:
    times = (SIX_HOURLY.backup, SIX_HOURLY.validation, SIX_HOURLY.drill)
    assert times == ("0 */6 * * *", "0 2 * * *", "0 2 1 * *")
    ids = protocol.execute_p_ops_resilience()
    jobs = machine.jobs()
    assert [job["id"] for job in jobs] == ids
    assert [(job["name"], job["operation"], job["cron"]) for job in jobs] == [
        ("P-SYSTEM-BACKUP", "backup", "0 */6 * * *"),
        ("P-BACKUP-VALIDATION", "validate", "0 2 * * *"),
        ("P-RES-DR-DRILL", "drill", "0 2 1 * *"),
    ]


def test_r375_nightly_backups_are_the_other_plan_and_take_the_place_of_the_first(
    machine: Machine, protocol: BackupRecoveryProtocol
) -> None:
    first = protocol.execute_p_ops_resilience()
    second = protocol.execute_p_ops_resilience(DAILY)
    assert second == first[:2], "the jobs are changed, and none is there twice"
    assert [(job["name"], job["cron"]) for job in machine.jobs()] == [
        ("P-SYSTEM-BACKUP", "0 2 * * *"),
        ("P-BACKUP-VALIDATION", "0 3 * * *"),
    ]
    with BackupScheduler(workspace=machine.workspace) as scheduler:
        other = scheduler.add_job(
            "0 1 * * *",
            {"backend": "elsewhere", "password_file": "x", "sources": ["y"], "protocol": "mine"},
        )
    assert len(protocol.execute_p_ops_resilience(replace(DAILY, drill="0 4 1 * *"))) == 3
    assert other in [job["id"] for job in machine.jobs()], "jobs of others stay"


def test_r375_the_jobs_of_another_repository_stay(
    machine: Machine, protocol: BackupRecoveryProtocol
) -> None:
    other = BackupRecoveryProtocol(
        machine.folder / "other", machine.password_file, workspace=machine.workspace
    )
    ids = other.execute_p_ops_resilience()
    assert not set(ids) & set(protocol.execute_p_ops_resilience(DAILY))
    assert len(machine.jobs()) == 5
    assert other.execute_p_ops_resilience() == ids


def test_r375_the_planned_jobs_do_what_the_protocols_do(
    machine: Machine, protocol: BackupRecoveryProtocol
) -> None:
    ids = protocol.execute_p_ops_resilience()
    with BackupScheduler(workspace=machine.workspace) as scheduler:
        runs = [scheduler.run_job(id_) for id_ in ids]
    assert [run["state"] for run in runs] == ["done", "done", "done"], runs
    with holdfast.open(machine.location, password=PASSWORD, cache=False) as repository:
        assert len(repository.snapshots(tags=["P-SYSTEM-BACKUP", "production"])) == 1


def test_r375_a_time_that_makes_no_sense_is_refused(protocol: BackupRecoveryProtocol) -> None:
    with pytest.raises(UsageError, match="cron"):
        protocol.execute_p_ops_resilience(ResilienceTimes(backup="now", validation="0 2 * * *"))


def test_r375_nobody_can_be_asked_for_a_password_when_a_job_runs(machine: Machine) -> None:
    with (
        BackupRecoveryProtocol(
            LocalStorageAdapter(machine.location), password=PASSWORD, workspace=machine.workspace
        ) as protocol,
        pytest.raises(UsageError, match="secret"),
    ):
        protocol.execute_p_ops_resilience()
    with pytest.raises(UsageError, match="password of backend is missing"):
        BackupRecoveryProtocol(
            machine.location, workspace=machine.workspace
        ).execute_p_ops_resilience()


def test_r376_the_class_takes_a_backend_and_a_password_file(machine: Machine) -> None:
    with BackupRecoveryProtocol(
        backend=LocalStorageAdapter(machine.location),
        password_file=machine.password_file,
        workspace=machine.workspace,
        cache=False,
    ) as protocol:
        assert protocol.execute_p_system_backup([machine.data])["files_new"] == 2
        assert protocol.execute_p_backup_validation()["valid"] is True
        assert protocol.execute_p_res_dr_drill()["status"] == "SUCCESS"
        ids = protocol.execute_p_ops_resilience()
    backends = {str(config["backend"]) for config in _configs(machine.jobs())}
    assert (len(ids), backends) == (3, {str(machine.location)})


def _configs(jobs: list[dict[str, object]]) -> list[dict[str, object]]:
    return [config for job in jobs if isinstance(config := job["config"], dict)]
