"""Helper processes: whatever goes wrong with one is no more than having none."""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.primitives.child import Child, can_start

WAIT = 60.0
ECHO = """
import sys
from holdfast.primitives.child import connected, receive, receive_into, send

def main():
    questions, answers = connected()
    print("what it prints later reaches nobody")
    first = receive(questions)
    while (question := receive(questions)) is not None:
        memory = bytearray(question[0])
        receive_into(questions, memoryview(memory))
        send(answers, (first, question, bytes(memory), sys.flags.isolated))
"""


def descriptors() -> set[str]:
    """Those that are open, where the system tells."""
    place = Path("/proc/self/fd")
    return {each.name for each in place.iterdir()} if place.exists() else set()


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module with a helper that answers with what it got."""
    (tmp_path / "echoing.py").write_text(ECHO)
    monkeypatch.syspath_prepend(tmp_path)
    return "echoing"


@pytest.fixture
def child(module: str) -> Iterator[Child]:
    found = Child(module, b"first")
    yield found
    found.close()


def test_it_answers(child: Child) -> None:
    assert child.is_ready(WAIT)
    for size in (0, 1, 70_000, 5_000_000):
        data = os.urandom(size)
        answer = child.ask((size, "name"), memoryview(data))
        assert answer == (b"first", (size, "name"), data, 1)


def test_several_threads_get_their_own_answers(child: Child) -> None:
    assert child.is_ready(WAIT)
    wrong: list[object] = []

    def ask(number: int) -> None:
        for turn in range(50):
            data = bytes([number]) * (turn * 100)
            answer = child.ask((len(data), number), memoryview(data))
            if answer != (b"first", (len(data), number), data, 1):
                wrong.append(answer)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_one_that_is_killed_is_given_up(child: Child) -> None:
    assert child.is_ready(WAIT)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    assert child.ask((0,)) is None
    assert not child.is_ready(WAIT)
    assert child.ask((0,)) is None


def test_one_that_is_killed_before_it_is_ready_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sleeping.py").write_text(f"import time\ntime.sleep(600)\n{ECHO}")
    monkeypatch.syspath_prepend(tmp_path)
    child = Child("sleeping", b"first")
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    assert not child.is_ready(WAIT)
    assert child.ask((0,)) is None


def test_a_module_that_is_not_there(tmp_path: Path) -> None:
    child = Child("nowhere.at.all", str(tmp_path))
    assert not child.is_ready(WAIT)
    assert child.pid is None


def test_a_program_that_is_not_there(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.setattr("sys.executable", "/nonexistent/python")
    child = Child(module, b"first")
    assert child.pid is None
    child.close()


def test_a_path_that_cannot_be_an_argument(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, "with\0nul"])
    assert Child(module, b"first").pid is None


@pytest.mark.parametrize("text", ["x", "hello from a hook\\n", "\\xff" * 100])
def test_one_whose_start_prints_something_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """As a hook of an installation may do; its text must not be taken for a message."""
    (tmp_path / "printing.py").write_text(f"print('{text}', flush=True)\n{ECHO}")
    monkeypatch.syspath_prepend(tmp_path)
    child = Child("printing", b"first")
    assert not child.is_ready(WAIT)
    assert child.pid is None


def test_the_environment_has_no_say_in_what_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()")
    monkeypatch.setenv("PYTHONPATH", str(hooks))
    child = Child(module, b"first")
    assert child.is_ready(WAIT)
    child.close()
    assert not (tmp_path / "ran").exists()


def test_descriptors_of_any_number(module: str) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2000:
        pytest.skip("this system allows fewer descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (2000, hard))
    held = [os.open("/dev/null", os.O_RDONLY) for _ in range(1100)]
    try:
        child = Child(module, b"first")
        assert child.is_ready(WAIT)
        child.close()
    finally:
        for fd in held:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_nothing_of_it_is_left(module: str) -> None:
    before = descriptors()
    child = Child(module, b"first")
    assert child.is_ready(WAIT)
    pid = child.pid
    assert pid is not None
    child.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert descriptors() <= before  # those of earlier tests may be closed meanwhile


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("python", True), ("python3", True), ("python3.11", True), ("python3.13t", True),
        ("pypy3", True), ("copyq", False), ("spyder", False), ("", False), ("uwsgi", False),
    ],
)  # fmt: skip
def test_only_a_python_is_started(
    monkeypatch: pytest.MonkeyPatch, name: str, expected: bool
) -> None:
    monkeypatch.setattr("sys.executable", f"/usr/bin/{name}" if name else "")
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1}, raising=False)
    assert can_start() == expected
