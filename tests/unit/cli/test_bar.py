"""What stands beside the progress bar."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.cli.bar import progress_bar
from holdfast.cli.output import Output
from holdfast.progress import ProgressCallback, ProgressEvent

EVENT = ProgressEvent(
    percent=50.0,
    files=1200,
    files_total=2400,
    bytes=3 << 20,
    bytes_total=6 << 20,
    path="/data/odd \x1b[31m",
    elapsed=2.0,
    rate=1.5 * (1 << 20),
    seconds_left=2.0,
)


def test_files_bytes_rate_time_left_and_path() -> None:
    assert EVENT.told == (
        "1,200 files, 3.00 MiB of 6.00 MiB, 1.50 MiB/s, 2.0 s left  /data/odd \\x1b[31m"
    )


def test_what_is_not_known_yet_is_left_out() -> None:
    early = replace(EVENT, percent=0.0, seconds_left=None, path="")
    assert early.told == "1,200 files, 3.00 MiB, 1.50 MiB/s"


def test_nothing_is_counted_when_nobody_looks() -> None:
    with progress_bar(Output(), "working") as progress:  # standard error is no terminal here
        assert progress is None


class Terminal:
    """A terminal as standard error, and somebody who looks at it."""

    def __init__(self) -> None:
        self._end, inner = os.openpty()
        self._inner = os.fdopen(inner, "w")

    @contextmanager
    def bar(self) -> Iterator[ProgressCallback]:
        """Work that shows a bar."""
        with redirect_stderr(self._inner), progress_bar(Output(), "working") as progress:
            assert progress is not None
            yield progress

    def shown(self) -> str:
        """What was written since it was looked last: a terminal passes it on when it likes."""
        os.write(self._inner.fileno(), b"\0")
        text = b""
        while not text.endswith(b"\0"):
            text += os.read(self._end, 1 << 16)
        return text[:-1].decode()

    def close(self) -> None:
        self._inner.close()
        os.close(self._end)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    with closing(Terminal()) as terminal:
        yield terminal


def test_work_that_is_done_soon_shows_nothing(terminal: Terminal) -> None:
    with terminal.bar() as progress:
        for elapsed in (0.0, 0.1, 0.4):
            progress(replace(EVENT, elapsed=elapsed))
        progress(replace(EVENT, elapsed=10.0, percent=100.0))
    assert terminal.shown() == ""


def test_longer_work_shows_how_far_it_is_until_it_ends(terminal: Terminal) -> None:
    with terminal.bar() as progress:
        progress(EVENT)
        text = terminal.shown()
        assert "working" in text
        assert "50%" in text
        assert EVENT.told in text
        progress(replace(EVENT, elapsed=2.1, percent=100.0))
        assert "100%" in terminal.shown()
    assert terminal.shown().endswith("\x1b[2K")  # the line is wiped


def test_no_percentage_before_it_is_known(terminal: Terminal) -> None:
    with terminal.bar() as progress:
        progress(replace(EVENT, percent=0.0))
        text = terminal.shown()
        assert "1,200 files" in text
        assert "%" not in text
        progress(replace(EVENT, elapsed=3.0))
        assert "50%" in terminal.shown()


def test_a_few_states_a_second_are_enough(terminal: Terminal) -> None:
    states = 0
    with terminal.bar() as progress:
        for step in range(100):
            progress(replace(EVENT, elapsed=2.0 + step / 100))
            states += bool(terminal.shown())
    assert states == 4


def test_one_work_after_another(terminal: Terminal) -> None:
    with terminal.bar() as progress:
        progress(replace(EVENT, elapsed=100.0))
        progress(replace(EVENT, elapsed=101.0, percent=100.0))
        terminal.shown()
        progress(replace(EVENT, elapsed=0.0, percent=7.0))
        assert "  7%" in terminal.shown()


def test_what_goes_to_a_file_goes_there_while_there_is_a_bar(
    terminal: Terminal, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    with path.open("w") as file, redirect_stdout(file), terminal.bar() as progress:
        progress(EVENT)
        sys.stdout.write("a line\n")
        progress(replace(EVENT, elapsed=9.0))
    assert path.read_text() == "a line\n"
    assert "a line" not in terminal.shown()
