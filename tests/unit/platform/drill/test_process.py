"""Programs that a drill runs: no secrets, no end without end, nothing left (row R251)."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from holdfast.clock import SYSTEM_CLOCK, SystemClock
from holdfast.overrides import override
from holdfast.platform.drill.deadline import Deadline, OutOfTime
from holdfast.platform.drill.process import OUTPUT_LIMIT, run_command


def deadline(seconds: float = 30.0) -> Deadline:
    return Deadline(SYSTEM_CLOCK, seconds / 60, "too late")


class UntilWritten(SystemClock):
    """A clock on which no time passes until something is in a file, and then all of it."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @override
    def monotonic(self) -> float:
        return 1e9 if self._file.exists() and self._file.stat().st_size else 0.0


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and not yet buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def gone(pid: int) -> bool:
    end = time.monotonic() + 60
    while is_alive(pid) and time.monotonic() < end:
        time.sleep(0.01)
    return not is_alive(pid)


def test_output_and_status_are_told(tmp_path: Path) -> None:
    ended = run_command(["sh", "-c", "echo out; echo err >&2; exit 3"], deadline(), tmp_path, {})
    assert (ended.status, ended.output, ended.problem) == (3, "out\nerr", "exit status 3")
    assert run_command(["true"], deadline(), tmp_path, {}).problem == ""
    assert run_command(["sh", "-c", "kill -9 $$"], deadline(), tmp_path, {}).problem == (
        "ended by signal 9"
    )


def test_arguments_are_not_seen_by_a_shell(tmp_path: Path) -> None:
    ended = run_command(["echo", "$(id); *", ">x"], deadline(), tmp_path, {})
    assert ended.output == "$(id); * >x"
    assert list(tmp_path.iterdir()) == []


def test_the_environment_holds_no_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_PASSWORD", "hush")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    ended = run_command(["env"], deadline(), tmp_path, {"HOLDFAST_RESTORED": "here"})
    assert "hush" not in ended.output
    assert "HOLDFAST_RESTORED=here" in ended.output
    assert "PATH=" in ended.output


def test_only_the_end_of_much_output_is_kept(tmp_path: Path) -> None:
    ended = run_command(["sh", "-c", "seq 200000; echo end"], deadline(), tmp_path, {})
    assert len(ended.output) <= OUTPUT_LIMIT
    assert ended.output.endswith("end")


def test_r248_past_its_time_the_whole_group_is_killed(tmp_path: Path) -> None:
    script = "sleep 600 & echo $! > child; echo $$ > parent; echo begun; echo so > begun; wait"
    passing = Deadline(UntilWritten(tmp_path / "begun"), 1, "too late")
    with pytest.raises(OutOfTime, match="too late") as late:
        run_command(["sh", "-c", script], passing, tmp_path, {})
    assert late.value.__notes__ == ["begun"]
    assert gone(int((tmp_path / "parent").read_text()))
    assert gone(int((tmp_path / "child").read_text()))


def test_what_a_program_leaves_running_is_killed_when_it_ends(tmp_path: Path) -> None:
    ended = run_command(["sh", "-c", "sleep 600 & echo $! > child"], deadline(), tmp_path, {})
    assert ended.status == 0
    assert gone(int((tmp_path / "child").read_text()))


def test_what_cannot_be_run_is_told(tmp_path: Path) -> None:
    assert "cannot be run" in run_command(["no-such"], deadline(), tmp_path, {}).problem
    assert "cannot be run" in run_command(["a\0b"], deadline(), tmp_path, {}).problem
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_never_stops_printing_is_ended(tmp_path: Path) -> None:
    begin = time.monotonic()
    with pytest.raises(OutOfTime):
        run_command(["cat", "/dev/zero"], deadline(0.3), tmp_path, {})
    assert time.monotonic() - begin < 60


def test_what_left_the_group_and_goes_on_printing_is_not_waited_for(tmp_path: Path) -> None:
    script = (
        f"setsid sh -c 'echo $$ > {tmp_path}/pid; exec cat /dev/zero' & "
        f"until test -s {tmp_path}/pid; do sleep 0.05; done; sleep 0.3"
    )
    begin = time.monotonic()
    try:
        assert run_command(["sh", "-c", script], deadline(200), tmp_path, {}).status == 0
    finally:
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    assert time.monotonic() - begin < 100
