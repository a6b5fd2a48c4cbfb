"""Backups, validations, prunes and drills that run by themselves when it is time.

The program does not wait for the night. It plans the jobs, then goes on with a clock that is a day
ahead, on which all of them are due, and has them run once. On a server the same is done by
`holdfast scheduler run`, which keeps running, or by `holdfast scheduler run --once` from cron.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import holdfast
from holdfast import BackupScheduler, RetentionPolicy
from holdfast.clock import SystemClock
from holdfast.overrides import override
from holdfast.platform.workspace import Workspace

DAY_NS = 86_400_000_000_000
MESSAGES: list[str] = []


class DaysAhead(SystemClock):
    """The machine's clock, and some days more."""

    def __init__(self, days: int) -> None:
        self._ahead = days * DAY_NS

    @override
    def now_ns(self) -> int:
        """See `Clock.now_ns`."""
        return super().now_ns() + self._ahead


def expect(what: str, *, is_so: bool) -> None:
    """Say what was found; end the program if it is not as it must be."""
    if not is_so:
        raise SystemExit(f"NOT SO: {what}")
    print(f"  {what}")


def tell(event: str, subject: str, body: str) -> None:
    """Where messages go: a mail server, a chat, or as here a list."""
    MESSAGES.append(f"{event}: {subject}: {body.splitlines()[0]}")


def plan(scheduler: BackupScheduler, data: Path, place: dict[str, object]) -> None:
    """Keep four jobs."""
    always = {"on_success": True, "on_failure": True}
    scheduler.add_job(
        "0 2 * * *",
        {
            **place,
            "name": "nightly backup",
            "sources": [str(data)],
            "tags": ["scheduled"],
            "retention_policy": RetentionPolicy(keep_daily=7, keep_weekly=4).dict(),
            "notification": always,
            "priority": "high",
        },
    )
    scheduler.add_job(
        "0 3 * * *",
        {**place, "name": "validation", "action": "validate", "full_check": True},
    )
    scheduler.add_job(
        "0 4 * * *",
        {**place, "name": "pruning", "operation": "prune", "retention_policy": "standard"},
    )
    scheduler.add_job(
        "0 5 * * *",
        {
            **place,
            "name": "drill",
            "operation": "drill",
            "compliance_framework": "SOC2",
            "drill": {"validation_checks": ["integrity"], "max_rpo_minutes": 1440},
            "notification": always,
        },
    )


def main(folder: Path) -> None:
    """Do all of it in a folder."""
    password_file = folder / "password.txt"
    password_file.write_text("a long password\n")
    password_file.chmod(0o600)
    data = folder / "data"
    data.mkdir()
    (data / "ledger.csv").write_text("2026-11-21,42\n")
    location = folder / "repository"
    holdfast.init(location, password_file=password_file).close()
    place: dict[str, object] = {"backend": str(location), "password_file": str(password_file)}

    print("1. plan")
    with BackupScheduler(workspace=Workspace(folder / "state")) as scheduler:
        plan(scheduler, data, place)
        for job in scheduler.list_jobs():
            print(f"  {job['name']}: {job['cron']}, next {job['next_run']}")
        expect("nothing is due yet", is_so=scheduler.run_pending() == [])

    print("2. a day later, in another process as far as anybody can tell")
    later = Workspace(folder / "state", DaysAhead(1))
    with BackupScheduler(workspace=later, notify=tell, max_concurrent=1) as scheduler:
        runs = scheduler.run_pending()
        for run in runs:
            told = run["result"] if isinstance(run["result"], dict) else {}
            print(f"  {run['name']}: {run['state']} ({run['error'] or told.get('summary')})")
        expect("all four have run", is_so=len(runs) == 4)
        expect("and are done", is_so={run["state"] for run in runs} == {"done"})
        expect("the most important one first", is_so=runs[0]["name"] == "nightly backup")
        expect("none of them runs a second time", is_so=scheduler.run_pending() == [])
        again = scheduler.run_job("nightly backup")
        expect("but one can be run by hand", is_so=again["state"] == "done")

    print("3. what people were told")
    for message in MESSAGES:
        print(f"  {message}")
    expect("three messages", is_so=len(MESSAGES) == 3)
    with holdfast.open(location, password_file=password_file) as repo:
        found = repo.snapshots(tags=["scheduled"])
        expect(f"{len(found)} snapshots were made", is_so=len(found) == 2)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
