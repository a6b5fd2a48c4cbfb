"""A disaster recovery drill, the auditor's report on it, and the same drill on damaged backups."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import holdfast
from holdfast import BackupManager, ComplianceReporter, DRDrill, DrillConfig, DrillReport
from holdfast.platform.compliance import verify
from holdfast.platform.workspace import Workspace

CHECKS = (
    "integrity",
    "restore_speed",
    "data_consistency",
    "encryption_status",
    "access_permissions",
    "service_availability",
)


def expect(what: str, *, is_so: bool) -> None:
    """Say what was found; end the program if it is not as it must be."""
    if not is_so:
        raise SystemExit(f"NOT SO: {what}")
    print(f"  {what}")


def make_shop(folder: Path) -> Path:
    """A database and what belongs to it."""
    shop = folder / "shop"
    shop.mkdir()
    with closing(sqlite3.connect(shop / "orders.db")) as database:
        database.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, total REAL)")
        database.executemany(
            "INSERT INTO orders (total) VALUES (?)", [(n * 1.5,) for n in range(9)]
        )
        database.commit()
    (shop / "catalogue.bin").write_bytes(os.urandom(2_000_000))
    (shop / "settings.json").write_text('{"currency": "EUR"}\n')
    return shop


def orders_can_be_read(restored: Path) -> bool:
    """What the service is there for: the probe of the check `service_availability`."""
    (file,) = restored.rglob("orders.db")
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        ((count,),) = database.execute("SELECT count(*) FROM orders")
    return bool(count == 9)


def report_on(held: DrillReport, workspace: Workspace, folder: Path) -> None:
    """Write the auditor's report, and show that no byte of it can be changed unnoticed."""
    print("2. the report")
    reporter = ComplianceReporter(folder / "reports", workspace=workspace)
    made = reporter.generate_report(held, "SOC2", "json")
    expect(f"compliant: {made['compliant']}", is_so=made["compliant"] is True)
    written = reporter.generate_soc2_report(held)
    file = Path(str(written["report_file"]))
    expect(f"{file.name} is as it was made", is_so=verify(file, trail=workspace.audit).ok)
    file.write_bytes(file.read_bytes().replace(b"passed", b"PASSED", 1))
    expect("a changed byte is noticed", is_so=not verify(file, trail=workspace.audit).ok)


def damage(repository: Path) -> None:
    """Overwrite a part of the largest pack, where the largest file is."""
    packs = (path for path in (repository / "data").rglob("*") if path.is_file())
    pack = max(packs, key=lambda path: path.stat().st_size)
    data = bytearray(pack.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 16] = bytes(16)
    pack.write_bytes(data)


def main(folder: Path) -> None:
    """Do all of it in a folder."""
    password_file = folder / "password.txt"
    password_file.write_text("a long password\n")
    password_file.chmod(0o600)
    place = str(folder / "repository"), str(password_file)
    with Workspace(folder / "state") as workspace:
        with BackupManager(*place, workspace=workspace) as manager:
            manager.init_repository()
            manager.create_backup([make_shop(folder)], tags=["production"])

        print("1. the drill")
        drill = DRDrill(*place, workspace=workspace)
        config = DrillConfig(
            name="shop",
            description="the shop's database can be recovered",
            validation_checks=CHECKS,
            max_rto_minutes=30,
            max_rpo_minutes=10,
            compliance_framework="SOC2",
            probes={"service_availability": orders_can_be_read},
        )
        held = drill.execute_drill(config)
        print("\n".join(f"  {line}" for line in held.text().splitlines()))
        expect(f"status {held.status}", is_so=held.status == "SUCCESS")
        expect("recovered in time", is_so=held.rto_compliant is True)
        expect("from data that is young enough", is_so=held.rpo_compliant is True)
        expect("every check passed", is_so=all(held.validation_results[each] for each in CHECKS))
        report_on(held, workspace, folder)

        print("3. the same drill, after the disk went bad")
        damage(folder / "repository")
        failed = drill.execute_drill(config)
        expect(f"status {failed.status}", is_so=failed.status == "FAILED")
        lost = {Path(error.path).name for error in failed.errors if error.path}
        expect(f"the report names {', '.join(sorted(lost))}", is_so="catalogue.bin" in lost)
        for each in failed.recommendations:
            print(f"  advice: {each}")
        history = drill.history()
        expect(f"{len(history)} drills are on record", is_so=len(history) == 2)


if __name__ == "__main__":
    print(f"holdfast {holdfast.__version__}")
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
