"""What there is to back up is counted in another process, just as in this one."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.filesystem import ExcludeRules, LocalSource
from holdfast.filesystem.counter import count_aside


@pytest.fixture(autouse=True)
def _two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})


def tree(top: Path) -> None:
    for name in ("a", "b.tmp", "c.TMP", "large", os.fsdecode(b"raw-\xff")):
        (top / name).write_bytes(b"12345")
    (top / "large").write_bytes(bytes(2000))
    for folder in ("cache", "marked", "plain"):
        (top / folder).mkdir()
        (top / folder / "file").write_bytes(b"12")
    (top / "cache" / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55")
    (top / "marked" / "skip").touch()


RULES = [
    ExcludeRules(),
    ExcludeRules(patterns=("*.tmp",)),
    ExcludeRules(ipatterns=("*.tmp",)),
    ExcludeRules(if_present=("skip",), caches=True),
    ExcludeRules(larger_than=1000, one_file_system=True),
    ExcludeRules(patterns=(os.fsdecode(b"raw-\xff"),)),
]


@pytest.mark.parametrize("rules", RULES, ids=str)
def test_another_process_counts_the_same(tmp_path: Path, rules: ExcludeRules) -> None:
    tree(tmp_path)
    source = LocalSource([tmp_path, tmp_path / "plain"], rules)
    expected = source.scan_totals(threading.Event())
    assert expected[0] > 3
    assert count_aside(source, threading.Event()) == expected


def test_it_is_another_process(tmp_path: Path, started: Callable[[], list[int]]) -> None:
    tree(tmp_path)
    count_aside(LocalSource([tmp_path], ExcludeRules()), threading.Event())
    (pid,) = started()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_count_that_is_not_wanted_any_more(
    tmp_path: Path, started: Callable[[], list[int]]
) -> None:
    tree(tmp_path)
    stop = threading.Event()
    stop.set()
    assert count_aside(LocalSource([tmp_path], ExcludeRules()), stop) is None
    (pid,) = started()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_where_there_is_no_process_it_is_counted_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(tmp_path)
    source = LocalSource([tmp_path], ExcludeRules())
    expected = source.scan_totals(threading.Event())
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    assert count_aside(source, threading.Event()) == expected


def test_a_process_that_dies_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tree(tmp_path)
    source = LocalSource([tmp_path], ExcludeRules())
    expected = source.scan_totals(threading.Event())

    class Killed(subprocess.Popen[bytes]):
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)  # type: ignore[call-overload]  # as given
            self.kill()

    monkeypatch.setattr(subprocess, "Popen", Killed)
    assert count_aside(source, threading.Event()) == expected
    assert "a helper process failed" in caplog.text


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[int]]:
    """The processes that were started since."""
    pids: list[int] = []

    class Noted(subprocess.Popen[bytes]):
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)  # type: ignore[call-overload]  # as given
            pids.append(self.pid)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    return lambda: pids
