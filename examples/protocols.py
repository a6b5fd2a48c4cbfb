"""The four protocols of a system's resilience, done by the managers one after the other."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from holdfast import (
    BackupManager,
    BackupScheduler,
    BackupValidator,
    ComplianceReporter,
    DRDrill,
    DrillConfig,
)
from holdfast.platform.workspace import Workspace

CHECKS = ("integrity", "restore_speed", "data_consistency", "encryption_status")


def expect(what: str, *, is_so: bool) -> None:
    """Say what was found; end the program if it is not as it must be."""
    if not is_so:
        raise SystemExit(f"NOT SO: {what}")
    print(f"  {what}")


def p_system_backup(manager: BackupManager, sources: list[Path]) -> None:
    """Back up the system, so that the backup can be found as what it is."""
    made = manager.create_backup(
        sources,
        tags=["P-SYSTEM-BACKUP", "system", "production"],
        exclude=["/var/lib/docker/", "*.log", "/tmp"],  # noqa: S108 - left out, not used
    )
    print(f"[P-SYSTEM-BACKUP] Snapshot: {made['snapshot_id']}")
    expect("without the log", is_so=made["files_new"] == 2)


def p_backup_validation(validator: BackupValidator) -> None:
    """Read all that is stored."""
    found = validator.validate_snapshot(full_check=True, read_data=True)
    print(f"[P-BACKUP-VALIDATION] Valid: {found['valid']}")
    expect(f"{found['results']}", is_so=found["valid"] is True and not found["errors"])


def p_res_dr_drill(drill: DRDrill, reporter: ComplianceReporter) -> None:
    """Rehearse the recovery, and write down for the auditors how it went."""
    config = DrillConfig(
        name="P-RES-DR-DRILL", validation_checks=CHECKS, compliance_framework="SOC2"
    )
    held = drill.execute_drill(config)
    print(f"[P-RES-DR-DRILL] {held.status}: recovered in {held.recovery_time_minutes:.2f} minutes")
    expect("in time, from data young enough, all checks passed", is_so=held.status == "SUCCESS")
    made = reporter.generate_report(held, "SOC2", "json")
    report = json.loads(Path(str(made["report_file"])).read_text())
    expect(f"a report of {len(report)} parts, compliant", is_so=made["compliant"] is True)


def p_ops_resilience(
    scheduler: BackupScheduler, place: tuple[str, str], sources: list[Path]
) -> None:
    """Have the other three run by themselves from now on."""
    access = {"backend": place[0], "password_file": place[1]}
    backup = {"name": "P-SYSTEM-BACKUP", "sources": [str(source) for source in sources]}
    jobs: list[tuple[str, dict[str, object]]] = [
        ("0 */6 * * *", {**access, **backup, "tags": ["P-SYSTEM-BACKUP"]}),
        ("0 2 * * *", {**access, "name": "P-BACKUP-VALIDATION", "action": "validation"}),
        ("0 2 1 * *", {**access, "name": "P-RES-DR-DRILL", "action": "drill"}),
    ]
    ids = [scheduler.add_job(cron, job) for cron, job in jobs]
    print(f"[P-OPS-RESILIENCE] Jobs: {', '.join(ids)}")
    for job in scheduler.list_jobs():
        expect(f"{job['name']}: next run {job['next_run']}", is_so=job["next_run"] is not None)
    first = scheduler.run_job(ids[0])
    expect(f"the first one, run by hand: {first['state']}", is_so=first["state"] == "done")


def main(folder: Path) -> None:
    """Do all of it in a folder, which stands for a machine."""
    password_file = folder / "password.txt"
    password_file.write_text("a long password\n")
    password_file.chmod(0o600)
    for name, text in (("etc/hosts", "127.0.0.1 localhost"), ("home/ada/notes.json", '{"x": 1}')):
        (folder / "system" / name).parent.mkdir(parents=True)
        (folder / "system" / name).write_text(text + "\n")
    (folder / "system/etc/boot.log").write_text("noise\n")
    sources = [folder / "system/etc", folder / "system/home"]
    place = str(folder / "repository"), str(password_file)
    with Workspace(folder / "state") as workspace:
        with BackupManager(*place, workspace=workspace) as manager:
            manager.init_repository()
            p_system_backup(manager, sources)
            p_backup_validation(BackupValidator.on(manager.repository, workspace))
        p_res_dr_drill(
            DRDrill(*place, workspace=workspace),
            ComplianceReporter(folder / "reports", workspace=workspace),
        )
        with BackupScheduler(workspace=workspace) as scheduler:
            p_ops_resilience(scheduler, place, sources)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
