"""Schedulers that are killed, stopped, or started twice, as processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.faults.scheduler_life import BEGIN, END, JOBS
from tests.unit.platform.schedule.processes import is_gone
from tests.unit.platform.schedule.reference import Reference

from holdfast.platform.schedule import BackupScheduler, JobConfig, Outcome
from holdfast.platform.schedule.cancel import Cancel
from holdfast.platform.workspace import Workspace

ROOT = Path(__file__).parents[2]


def started(*arguments: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(condition: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.02)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as name:
        yield Path(name)


def nothing(_: JobConfig, __: Cancel) -> Outcome:
    return Outcome("done")


def test_r227_a_year_of_kills_loses_no_planned_time_and_runs_none_twice(folder: Path) -> None:
    ends: list[int] = []
    said = ""
    while not ends or ends[-1] == -signal.SIGKILL:
        process = started("tests.faults.scheduler_life", str(folder), str(len(ends)))
        _, said = process.communicate(timeout=250)
        ends.append(process.returncode)
    assert ends[-1] == 0, said
    kills = len(ends) - 1
    assert kills >= 3
    scheduler = BackupScheduler(workspace=Workspace(folder / "state"), execute=nothing)
    with scheduler:
        runs = scheduler.history(limit=100_000)
    assert Counter(run["state"] for run in runs)["lost"] == kills
    for cron, zone in JOBS:
        name = f"{cron} in {zone}"
        mine = [run for run in runs if run["name"] == name]
        good = [run["planned"] for run in mine if run["state"] == "done"][::-1]
        assert good == Reference(cron, zone).moments(BEGIN, END), name
        assert {run["state"] for run in mine} <= {"done", "lost"}
    done = Counter((folder / "done").read_text().splitlines())
    assert sum(done.values()) == sum(run["state"] == "done" for run in runs)


def workspace_with(folder: Path, *jobs: dict[str, object]) -> list[str]:
    with BackupScheduler(workspace=Workspace(folder), execute=nothing) as scheduler:
        return [
            scheduler.add_job("manual", {"sources": ["/"], "backend": "r", **job}) for job in jobs
        ]


SLOW: dict[str, object] = {"password": "${NOTHING}", "hooks": {"before": ["sleep", "300"]}}


def test_r227_a_killed_run_is_found_lost_and_the_job_runs_again(tmp_path: Path) -> None:
    (job,) = workspace_with(tmp_path, SLOW)
    process = started("holdfast", "scheduler", "trigger", job, HOLDFAST_STATE_DIR=str(tmp_path))
    with BackupScheduler(workspace=Workspace(tmp_path), execute=nothing) as scheduler:
        until(lambda: scheduler.status()["active"] == 1, process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        scheduler.update_job(job, {"hooks": None})
        assert scheduler.run_job(job)["state"] == "done"
        states = [run["state"] for run in scheduler.history()]
        assert states == ["done", "lost"]


def test_a_job_that_another_process_runs_is_not_run_beside_it(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    hook = ["sh", "-c", f": > {begun}; exec sleep 300"]
    (job,) = workspace_with(tmp_path, {**SLOW, "hooks": {"before": hook}})
    process = started("holdfast", "scheduler", "trigger", job, HOLDFAST_STATE_DIR=str(tmp_path))
    with BackupScheduler(workspace=Workspace(tmp_path), execute=nothing) as scheduler:
        until(begun.exists, process)  # an interrupt between its note and its work is another case
        assert scheduler.status()["active"] == 1
        with pytest.raises(Exception, match="is running already"):
            scheduler.run_job(job)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 130
        (run,) = scheduler.history()
        assert (run["state"], run["error"]) == ("failed", "interrupted")


def test_two_schedulers_on_one_workspace_the_second_says_who_has_it(tmp_path: Path) -> None:
    workspace_with(tmp_path)
    first = started("holdfast", "scheduler", "run", HOLDFAST_STATE_DIR=str(tmp_path))
    with BackupScheduler(workspace=Workspace(tmp_path), execute=nothing) as scheduler:
        until(lambda: scheduler.status()["running"] is True, first)
        second = started("holdfast", "scheduler", "run", HOLDFAST_STATE_DIR=str(tmp_path))
        _, said = second.communicate(timeout=120)
        assert second.returncode == 2
        assert f"process {first.pid}" in said
        with pytest.raises(Exception, match=f"process {first.pid}"):
            scheduler.run_pending()
        first.send_signal(signal.SIGTERM)
        out, said = first.communicate(timeout=60)
        assert first.returncode == 0, said
        assert "has stopped" in out
        assert scheduler.status()["running"] is False
        assert scheduler.run_pending() == []


@pytest.mark.fault(6)
def test_a_terminal_that_goes_away_stops_the_scheduler_unless_that_is_to_be_ignored(
    tmp_path: Path,
) -> None:
    def begun() -> subprocess.Popen[str]:
        process = started("holdfast", "scheduler", "run", HOLDFAST_STATE_DIR=str(tmp_path))
        assert process.stdout is not None
        assert "the scheduler runs" in process.stdout.readline()
        return process

    process = begun()
    process.send_signal(signal.SIGHUP)
    assert process.communicate(timeout=60) == ("the scheduler has stopped\n", "")
    assert process.returncode == 0
    usual = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as `nohup` does, and children inherit
    try:
        process = begun()
    finally:
        signal.signal(signal.SIGHUP, usual)
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=60) == ("the scheduler has stopped\n", "")
    assert process.returncode == 0


@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGINT, signal.SIGTERM]])
def test_a_signal_stops_the_scheduler_and_what_it_runs_within_the_stated_time(
    tmp_path: Path, signals: list[signal.Signals]
) -> None:
    child = tmp_path / "child"
    script = f"echo $$ > {child}; sleep 300"
    config = {**SLOW, "hooks": {"before": ["sh", "-c", script]}, "sources": ["/"], "backend": "r"}
    with BackupScheduler(workspace=Workspace(tmp_path), execute=nothing) as scheduler:
        job = scheduler.add_job("* * * * *", config)
        planned = scheduler.workspace.database.connection
        planned.execute("UPDATE jobs SET planned_ns = planned_ns - 120000000000")  # so it is due
        grace = "0.2" if len(signals) == 1 else "250"
        process = started(
            "holdfast", "scheduler", "run", "--grace", grace, HOLDFAST_STATE_DIR=str(tmp_path)
        )
        until(lambda: child.exists() and child.read_text().strip() != "", process)
        for each in signals:
            process.send_signal(each)
            time.sleep(0.2)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
        (run,) = scheduler.history(job)
        assert run["state"] == "failed"
        assert "told to stop" in str(run["error"])
        assert run["retry"] is not None  # the next scheduler runs it again
        assert is_gone(int(child.read_text()))
