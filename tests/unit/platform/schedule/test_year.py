"""A scheduler that is left running for a simulated year runs each job exactly when it should."""

from __future__ import annotations

import os
import random
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from tests.unit.platform.schedule.reference import MINUTE, Reference, utc

from holdfast.platform.schedule import BackupScheduler, JobConfig, Outcome
from holdfast.platform.schedule.cancel import Cancel
from holdfast.platform.schedule.cron import moment_of, ns_of
from holdfast.platform.workspace import Workspace

ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC")
EXPRESSIONS = (
    "30 2 * * *",  # within the hour that is skipped, and the one that comes twice
    "*/30 1-3 * * SUN",
    "0 0 29 2 *",  # leap day
    "10 4 13 */3 FRI",  # either
)
BEGIN, END = utc(2028, 1, 1), utc(2029, 1, 1)


class SimulatedClock:
    """Jumps to the end of every wait, once no job runs any more; stops the scheduler at times."""

    def __init__(self, begin: datetime) -> None:
        self.ns = ns_of(begin)
        self.scheduler: BackupScheduler | None = None
        self.stop_at: datetime | None = None

    @property
    def now(self) -> datetime:
        return moment_of(self.ns)

    def now_ns(self) -> int:
        return self.ns

    def utc_offset(self) -> int:
        return 0

    def monotonic(self) -> float:
        return self.ns / 1e9

    def wait(self, event: threading.Event, seconds: float) -> bool:
        scheduler = self.scheduler
        if scheduler is None or threading.current_thread() is not threading.main_thread():
            return event.wait(min(seconds, 10))
        deadline = time.monotonic() + 30
        while scheduler.active:
            assert time.monotonic() < deadline, "a job does not end"
            time.sleep(0.0001)
        if event.is_set():
            return True
        self.ns += round(seconds * 1e9)
        if self.stop_at is not None and self.now >= self.stop_at:
            self.ns = ns_of(self.stop_at)
            scheduler.stop(grace=0)
        return event.is_set()


class World:
    """A workspace that schedulers live and die on, and what they ran."""

    def __init__(self, folder: Path) -> None:
        self.clock = SimulatedClock(BEGIN)
        self.workspace = Workspace(folder, self.clock)
        self.ran: list[tuple[str, datetime]] = []

    def execute(self, config: JobConfig, _: Cancel) -> Outcome:
        self.ran.append((config.name, self.clock.now))
        return Outcome("done")

    def scheduler(self) -> BackupScheduler:
        return BackupScheduler(
            workspace=self.workspace, execute=self.execute, poll=86_400.0, max_concurrent=40
        )

    def live_until(self, end: datetime) -> None:
        """Let a scheduler run up to a moment, before which it is told to stop."""
        with self.scheduler() as scheduler:
            self.clock.scheduler, self.clock.stop_at = scheduler, end
            scheduler.run()
            self.clock.scheduler = None


def expected() -> dict[str, list[datetime]]:
    return {
        f"{expression} in {zone}": Reference(expression, zone).moments(BEGIN, END)
        for zone in ZONES
        for expression in EXPRESSIONS
    }


@pytest.fixture(scope="module")
def reference() -> dict[str, list[datetime]]:
    return expected()


def add_all(world: World) -> None:
    world.clock.ns -= 1  # so that a job at the first moment of the year counts
    with world.scheduler() as scheduler:
        for zone in ZONES:
            for expression in EXPRESSIONS:
                config = {"name": f"{expression} in {zone}", "sources": ["/"], "time_zone": zone}
                scheduler.add_job(expression, config)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """In memory where that can be had: a year has thousands of transactions, each made durable."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as name:
        yield Path(name)


def test_r218_a_year_without_a_stop(folder: Path, reference: dict[str, list[datetime]]) -> None:
    world = World(folder)
    add_all(world)
    world.live_until(END - MINUTE / 2)
    for name, moments in reference.items():
        assert [moment for job, moment in world.ran if job == name] == moments, name
    assert len(world.ran) > 2500


@pytest.mark.parametrize("seed", [1, 2])
def test_r227_a_year_with_stops_downtime_and_kills(
    folder: Path, reference: dict[str, list[datetime]], seed: int
) -> None:
    """Schedulers come and go; what falls into the times between is caught up once."""
    chance = random.Random(seed)  # noqa: S311 - a seeded schedule
    world = World(folder)
    add_all(world)
    times = sorted(chance.sample(range(1, 365 * 24 * 60), 24))
    lives = [(BEGIN + a * MINUTE, BEGIN + b * MINUTE) for a, b in pairwise([0, *times])][::2]
    awake: list[tuple[datetime, datetime]] = []
    for begin, end in lives:
        world.clock.ns = ns_of(begin) + 1
        world.live_until(end - MINUTE / 2)
        awake.append((begin, end - MINUTE / 2))
    for name, moments in reference.items():
        ran = [moment for job, moment in world.ran if job == name]
        assert ran == list(caught_up(moments, awake)), name


def caught_up(
    moments: list[datetime], awake: list[tuple[datetime, datetime]]
) -> Iterator[datetime]:
    """When a job runs: at its moments while a scheduler lives, and once after those it missed."""
    dealt = BEGIN - MINUTE
    for begin, end in awake:
        if any(dealt < moment <= begin for moment in moments):
            yield begin + timedelta(0)
        yield from (moment for moment in moments if begin < moment <= end)
        dealt = end
