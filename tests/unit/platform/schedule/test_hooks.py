"""Programs that are run around a job."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.platform.schedule.processes import is_gone

from holdfast.clock import SYSTEM_CLOCK, Clock, SystemClock
from holdfast.errors import BackendError
from holdfast.overrides import override
from holdfast.platform.schedule import BackupScheduler, JobConfig, Outcome
from holdfast.platform.schedule.cancel import Cancel, Cancelled
from holdfast.platform.schedule.hooks import HookFailed, run_hook
from holdfast.platform.workspace import Workspace


class WhenWritten(SystemClock):
    """A clock on which time passes only once something is in a file; it may also cancel then."""

    def __init__(self, file: Path, cancel: Cancel | None = None) -> None:
        self._file = file
        self._cancel = cancel
        self._now = 0.0

    @override
    def monotonic(self) -> float:
        if self._file.exists() and self._file.stat().st_size:
            if self._cancel is None:
                self._now += 1.0  # each time: who asks first may do so when it is written already
            else:
                self._cancel.event.set()
        return self._now


def hook(
    *argv: str, timeout: float = 60, cancel: Cancel | None = None, clock: Clock = SYSTEM_CLOCK
) -> str:
    return run_hook("before", argv, timeout, clock, cancel or Cancel())


def test_the_last_of_its_output_is_kept() -> None:
    assert hook("echo", "$HOME; no shell") == "$HOME; no shell"
    long = hook("sh", "-c", "head -c 100000 /dev/zero | tr '\\0' x; echo end >&2")
    assert len(long) <= 4096
    assert long.endswith("xend")


def test_a_failure_names_the_program_and_what_it_said() -> None:
    with pytest.raises(HookFailed, match="hook before: sh failed with exit status 3: oh no"):
        hook("sh", "-c", "echo oh no; exit 3")
    with pytest.raises(HookFailed, match="signal 9"):
        hook("sh", "-c", "kill -9 $$")
    with pytest.raises(HookFailed, match="nothing-of-that-name cannot be run: No such file"):
        hook("nothing-of-that-name")


def test_one_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    group = tmp_path / "group"
    script = f"trap '' TERM; sleep 300 & echo $$ > {group}; sleep 300"
    with pytest.raises(HookFailed, match=r"took longer than 0.5 s, and was ended"):
        hook("bash", "-c", script, timeout=0.5, clock=WhenWritten(group))
    assert is_gone(int(group.read_text()))


def test_being_cancelled_ends_it(tmp_path: Path) -> None:
    cancel = Cancel()
    group = tmp_path / "group"
    clock = WhenWritten(group, cancel)
    with pytest.raises(Cancelled):
        hook("sh", "-c", f"echo $$ > {group}; sleep 300", cancel=cancel, clock=clock)
    assert is_gone(int(group.read_text()))


class Jobs:
    """Runs jobs with hooks that write into a file."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "log"
        self.state = Outcome("done")
        self.scheduler = BackupScheduler(workspace=Workspace(folder / "s"), execute=self._work)

    def _work(self, *_: object) -> Outcome:
        with self.log.open("a") as file:
            file.write("work\n")
        if self.state.state == "raise":
            raise BackendError("", "away")
        return self.state

    def run(self, **hooks: str) -> dict[str, object]:
        told = {
            name: ["sh", "-c", f"echo {name} >> {self.log}; {then}"]
            for name, then in {"before": ":", "after": ":", "on_failure": ":", **hooks}.items()
        }
        config = {"sources": ["/"], "hooks": told, "retries": 0}
        run = self.scheduler.run_job(self.scheduler.add_job("manual", config))
        return {**run, "log": self.log.read_text().split()}


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    jobs = Jobs(tmp_path)
    yield jobs
    jobs.scheduler.close()


def test_hooks_before_and_after_a_job_that_succeeds(jobs: Jobs) -> None:
    run = jobs.run()
    assert run["log"] == ["before", "work", "after"]
    assert run["state"] == "done"


def test_a_failing_hook_before_keeps_the_job_from_being_run(jobs: Jobs) -> None:
    run = jobs.run(before="exit 1")
    assert run["log"] == ["before", "on_failure", "after"]
    assert run["state"] == "failed"
    assert "hook before" in str(run["error"])


def test_hooks_of_a_job_that_fails(jobs: Jobs) -> None:
    jobs.state = Outcome("raise")
    run = jobs.run()
    assert run["log"] == ["before", "work", "on_failure", "after"]
    assert (run["state"], run["error"]) == ("failed", "away")


def test_a_failing_hook_after_makes_the_run_partial(jobs: Jobs) -> None:
    run = jobs.run(after="echo not up >&2; exit 4")
    assert run["state"] == "partial"
    assert "not up" in str(run["result"])


def test_what_comes_after_is_run_also_when_the_scheduler_is_told_to_stop(tmp_path: Path) -> None:
    log, begun = tmp_path / "log", threading.Event()

    def work(_: JobConfig, cancel: Cancel) -> Outcome:
        begun.set()
        cancel.event.wait(60)
        cancel.check()
        return Outcome("done")

    script = ["sh", "-c", f"sleep 0.3; echo after >> {log}"]
    config = {"sources": ["/"], "hooks": {"after": script}, "retries": 0}
    with BackupScheduler(workspace=Workspace(tmp_path / "s"), execute=work) as scheduler:
        scheduler.add_job("* * * * *", config)
        # Due at once: the time from which it is planned lies in the past.
        scheduler.workspace.database.connection.execute("UPDATE jobs SET planned_ns = 0")
        scheduler.start()
        assert begun.wait(30)
        scheduler.stop(grace=0)
        (run,) = scheduler.history()
    assert (run["state"], log.read_text()) == ("failed", "after\n")
    assert "hook_after" not in str(run["result"])


def test_what_comes_after_is_run_also_when_somebody_interrupts(tmp_path: Path) -> None:
    log = tmp_path / "log"

    def work(*_: object) -> Outcome:
        raise KeyboardInterrupt

    hooks = {name: ["sh", "-c", f"echo {name} >> {log}"] for name in ("on_failure", "after")}
    with BackupScheduler(workspace=Workspace(tmp_path / "s"), execute=work) as scheduler:
        job = scheduler.add_job("manual", {"sources": ["/"], "hooks": hooks})
        with pytest.raises(KeyboardInterrupt):
            scheduler.run_job(job)
        (run,) = scheduler.history()
    assert (run["state"], run["error"]) == ("failed", "interrupted")
    assert log.read_text().split() == ["on_failure", "after"]


def test_config_without_hooks_has_none() -> None:
    config = JobConfig.parse({"sources": ["/"]})
    assert config.hooks.before == ()
    assert config.hooks.timeout == 300
