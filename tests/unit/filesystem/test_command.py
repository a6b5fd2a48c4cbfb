from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from holdfast.errors import SourceError, UsageError
from holdfast.filesystem import CommandStream


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine that has much else to do a command takes its time to end."""
    monkeypatch.setattr("holdfast.filesystem.command._PATIENCE", 60.0)


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def read_all(stream: CommandStream) -> bytes:
    return b"".join(iter(lambda: stream.read(1 << 16), b""))


def test_the_output_of_a_command() -> None:
    with CommandStream(python("print('x' * 1_000_000, end='')")) as stream:
        assert read_all(stream) == b"x" * 1_000_000
    assert stream.diagnostics == ""


def test_reading_into_a_buffer() -> None:
    with CommandStream(["printf", "hello"]) as stream:
        buffer = bytearray(8)
        assert stream.readinto(memoryview(buffer)[2:]) == 5
        assert bytes(buffer) == b"\0\0hello\0"
        assert stream.readinto(buffer) == 0


def test_standard_input_is_empty() -> None:
    with CommandStream(["cat"]) as stream:
        assert read_all(stream) == b""


def test_a_failure_names_command_status_and_reason() -> None:
    program = "import sys; print('partial'); sys.exit('cannot connect')"
    stream = CommandStream(python(program))
    assert read_all(stream) == b"partial\n"
    with pytest.raises(SourceError, match="exit status 1: cannot connect") as caught:
        stream.close()
    assert sys.executable in str(caught.value)
    stream.close()  # says it once


def test_a_failure_without_a_word() -> None:
    stream = CommandStream(["false"])
    assert read_all(stream) == b""
    with pytest.raises(SourceError, match=r"'false' failed with exit status 1$"):
        stream.close()


def test_a_signal_is_a_failure() -> None:
    stream = CommandStream(python("import os; os.kill(os.getpid(), 9)"))
    assert read_all(stream) == b""
    with pytest.raises(SourceError, match="SIGKILL"):
        stream.close()


def test_only_the_last_diagnostics_are_kept_and_none_block() -> None:
    program = "import sys; sys.stderr.write('noise ' * 100_000 + 'last words'); print('ok')"
    with CommandStream(python(program)) as stream:
        assert read_all(stream) == b"ok\n"
    assert stream.diagnostics.endswith("noise last words")
    assert len(stream.diagnostics) <= 4096


def test_not_reading_to_the_end_is_a_failure() -> None:
    stream = CommandStream(["yes"])
    assert stream.read(2) == b"y\n"
    with pytest.raises(SourceError, match="'yes'"):
        stream.close()


def test_a_failing_body_ends_the_command() -> None:
    with pytest.raises(KeyError), CommandStream(["sleep", "600"]) as stream:
        raise KeyError
    assert stream._process.returncode == -signal.SIGTERM


def test_abort_twice() -> None:
    stream = CommandStream(["yes"])
    stream.abort()
    stream.abort()
    stream.close()
    assert stream.diagnostics == ""


def test_a_command_that_ignores_the_request_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.filesystem.command._PATIENCE", 0.1)
    program = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.write(1, b"1")
time.sleep(600)
"""
    stream = CommandStream(python(program))
    assert stream.read(1) == b"1"
    stream.abort()
    assert stream._process.returncode == -signal.SIGKILL


def test_a_command_that_cannot_be_run(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="absent' cannot be run: No such file"):
        CommandStream([bytes(tmp_path / "absent")])
    with pytest.raises(SourceError, match="cannot be run: Permission denied"):
        CommandStream([bytes(tmp_path)])
    with pytest.raises(SourceError, match="null byte"):
        CommandStream(["a\0b"])


@pytest.mark.parametrize("argv", [[], [""]])
def test_no_command(argv: list[str]) -> None:
    with pytest.raises(UsageError, match="no command"):
        CommandStream(argv)
