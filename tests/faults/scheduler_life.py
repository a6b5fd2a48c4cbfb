"""One life of a scheduler in a simulated year: it ends by SIGKILL in the middle of a job.

    python -m tests.faults.scheduler_life FOLDER SEED

The folder keeps the workspace, the clock and a line for each job that was done, so that the next
life goes on where this one ended. At the end of the year the process ends with exit code 0.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

from tests.unit.platform.schedule.reference import utc

from holdfast.platform.schedule import BackupScheduler, JobConfig, Outcome
from holdfast.platform.schedule.cancel import Cancel
from holdfast.platform.schedule.cron import ns_of
from holdfast.platform.workspace import Workspace

BEGIN, END = utc(2028, 1, 1), utc(2029, 1, 1)
JOBS = (
    ("30 2 * * SUN,WED", "Europe/Berlin"),
    ("*/30 1-2 * * SUN", "America/New_York"),
    ("15 2 1,15 * *", "Australia/Lord_Howe"),
    ("0 0 29 2 *", "UTC"),
)
DEATHS = 0.02
"""How likely a job is to be the last thing that the process does."""


class SavedClock:
    """Jumps to the end of every wait, and is kept in a file."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.ns = int(file.read_text()) if file.exists() else ns_of(BEGIN) - 1
        self.scheduler: BackupScheduler | None = None

    def now_ns(self) -> int:
        return self.ns

    def utc_offset(self) -> int:
        return 0

    def monotonic(self) -> float:
        return self.ns / 1e9

    def wait(self, event: threading.Event, seconds: float) -> bool:
        if self.scheduler is None or threading.current_thread() is not threading.main_thread():
            return event.wait(seconds)
        while self.scheduler.active:
            time.sleep(0.0002)
        if event.is_set():
            return True
        self.ns = min(self.ns + round(seconds * 1e9), ns_of(END))
        self.file.write_text(str(self.ns))
        if self.ns == ns_of(END):
            self.scheduler.stop(grace=0)
        return event.is_set()


def live(folder: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a seeded schedule
    clock = SavedClock(folder / "clock")
    workspace = Workspace(folder / "state", clock)

    def execute(config: JobConfig, _: Cancel) -> Outcome:
        if chance.random() < DEATHS:
            os.kill(os.getpid(), signal.SIGKILL)
        with (folder / "done").open("a") as file:
            file.write(f"{config.name}\n")
        return Outcome("done")

    with BackupScheduler(
        workspace=workspace, execute=execute, poll=86_400.0, max_concurrent=1
    ) as scheduler:
        if not scheduler.list_jobs():
            for cron, zone in JOBS:
                config = {"name": f"{cron} in {zone}", "sources": ["/"], "time_zone": zone}
                scheduler.add_job(cron, {**config, "retries": 100, "retry_delay": 60})
        clock.scheduler = scheduler
        scheduler.run()


if __name__ == "__main__":
    live(Path(sys.argv[1]), int(sys.argv[2]))
