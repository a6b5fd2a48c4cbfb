"""The whole life of a backup: made, changed, checked, restored, undone, thinned out."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from holdfast import BackupManager, BackupValidator, RecoveryManager, RetentionPolicy
from holdfast.platform.workspace import Workspace


def expect(what: str, *, is_so: bool) -> None:
    """Say what was found; end the program if it is not as it must be."""
    if not is_so:
        raise SystemExit(f"NOT SO: {what}")
    print(f"  {what}")


def make_data(folder: Path) -> Path:
    """Something to back up, some of it not worth it."""
    data = folder / "data"
    (data / "documents").mkdir(parents=True)
    (data / "documents/report.txt").write_text("first draft\n")
    (data / "documents/figures.bin").write_bytes(os.urandom(300_000))
    (data / "copy of figures.bin").write_bytes((data / "documents/figures.bin").read_bytes())
    (data / "scratch.tmp").write_text("not worth keeping\n")
    return data


def back_up(manager: BackupManager, data: Path) -> str:
    """Back up twice, with a change in between; returns the id of the first snapshot."""
    print("1. a repository and two backups")
    manager.init_repository()
    first = manager.create_backup([data], tags=["daily", "documents"], exclude=["*.tmp"])
    expect(f"{first['files_new']} files are new", is_so=first["files_new"] == 3)
    expect(
        f"{first['data_added']} bytes were added: the copy is stored once",
        is_so=isinstance(first["data_added"], int) and first["data_added"] < 400_000,
    )
    (data / "documents/report.txt").write_text("second draft\n")
    second = manager.create_backup([data], tags=["daily", "documents"], exclude=["*.tmp"])
    expect("the second backup found one changed file", is_so=second["files_changed"] == 1)
    for snapshot in manager.list_snapshots(tag="daily"):
        print(f"  {snapshot['short_id']}  {snapshot['time']}")
    return str(first["snapshot_id"])


def check(validator: BackupValidator) -> None:
    """Read all that is stored, and restore the newest snapshot on trial."""
    print("2. validation")
    found = validator.validate_snapshot(full_check=True, read_data=True)
    expect(f"no damage, score {found['validation_score']}", is_so=found["valid"] is True)


def restore(recovery: RecoveryManager, first: str, data: Path, folder: Path) -> None:
    """Look into a snapshot, restore all of it, a file of an older one, and undo that again."""
    print("3. recovery")
    names = [entry["name"] for entry in recovery.browse_snapshot("latest", data)]
    expect(f"the newest snapshot holds {names}", is_so="scratch.tmp" not in names)
    target = folder / "restored"
    done = recovery.restore_snapshot("latest", target, verify=True)
    inside = target / data.relative_to("/")
    expect(f"{done['files_restored']} files restored", is_so=done["verified"] is True)
    figures = (data / "documents/figures.bin").read_bytes()
    expect("they are as they were", is_so=(inside / "copy of figures.bin").read_bytes() == figures)

    report = data / "documents/report.txt"
    recovery.restore_files(first, [report], "/", undoable=True)
    expect("the first draft is back in its place", is_so=report.read_text() == "first draft\n")
    recovery.undo()
    expect("that was undone: the second draft", is_so=report.read_text() == "second draft\n")


def thin_out(manager: BackupManager) -> None:
    """Keep the newest backup only, having asked first what that would remove."""
    print("4. retention")
    policy = RetentionPolicy(keep_last=1)
    plan = manager.prune_snapshots(policy, dry_run=True)
    removed = plan["removed"]
    expect(f"a dry run would remove {removed}", is_so=len(manager.list_snapshots()) == 2)
    manager.prune_snapshots(policy)
    expect("one backup is left", is_so=len(manager.list_snapshots()) == 1)
    stats, status = manager.get_stats(), manager.get_status()
    print(f"  deduplication {stats['dedup_ratio']}, compression {stats['compression_ratio']}")
    expect("the repository is usable and fresh", is_so=status["usable"] is status["fresh"] is True)


def main(folder: Path) -> None:
    """Do all of it in a folder."""
    password_file = folder / "password.txt"
    password_file.write_text("a long password\n")
    password_file.chmod(0o600)
    data = make_data(folder)
    place = str(folder / "repository"), str(password_file)
    with (
        Workspace(folder / "state") as workspace,
        BackupManager(*place, workspace=workspace) as manager,
    ):
        first = back_up(manager, data)
        check(BackupValidator.on(manager.repository, workspace))
        restore(RecoveryManager.on(manager.repository, workspace), first, data, folder)
        thin_out(manager)
        events = [entry.event for entry in workspace.audit.entries()]
        expect(f"the audit trail tells of {events}", is_so="undo" in events)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
