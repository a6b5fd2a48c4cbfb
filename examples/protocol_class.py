"""The same four protocols by the class that has them: four calls."""

from __future__ import annotations

import tempfile
from pathlib import Path

import holdfast
from holdfast import BackupRecoveryProtocol, BackupScheduler
from holdfast.platform.protocols import DAILY
from holdfast.platform.workspace import Workspace


def expect(what: str, *, is_so: bool) -> None:
    """Say what was found; end the program if it is not as it must be."""
    if not is_so:
        raise SystemExit(f"NOT SO: {what}")
    print(f"  {what}")


def main(folder: Path) -> None:
    """Do all of it in a folder, which stands for a machine."""
    password_file = folder / "password.txt"
    password_file.write_text("a long password\n")
    password_file.chmod(0o600)
    (folder / "system/etc").mkdir(parents=True)
    (folder / "system/etc/daemon.json").write_text('{"log-driver": "journald"}\n')
    place = str(folder / "repository"), str(password_file)
    holdfast.init(place[0], password_file=password_file).close()
    with (
        Workspace(folder / "state") as workspace,
        BackupRecoveryProtocol(
            *place, sources=[folder / "system/etc"], workspace=workspace
        ) as protocol,
    ):
        backup = protocol.execute_p_system_backup()
        expect(str(backup["message"]), is_so=backup["errors_total"] == 0)
        validation = protocol.execute_p_backup_validation()
        expect(str(validation["message"]), is_so=validation["valid"] is True)
        drill = protocol.execute_p_res_dr_drill()
        expect(str(drill["message"]), is_so=drill["status"] == "SUCCESS")
        compliance = drill["compliance"]
        told = compliance if isinstance(compliance, dict) else {}
        expect(f"the report: compliant {told['compliant']}", is_so=told["compliant"] is True)
        ids = protocol.execute_p_ops_resilience()
        expect(f"three jobs: {', '.join(ids)}", is_so=len(ids) == 3)
        again = protocol.execute_p_ops_resilience(DAILY)
        expect("two, when once a day is enough", is_so=again == ids[:2])
        with BackupScheduler(workspace=workspace) as scheduler:
            for job in scheduler.list_jobs():
                print(f"  {job['name']}: {job['cron']}, next run {job['next_run']}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
