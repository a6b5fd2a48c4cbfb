"""Where a password comes from."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import pytest

from holdfast.engine.password import find_password
from holdfast.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def private(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    path.chmod(0o600)
    return path


def test_a_command_that_cannot_be_split_is_told_and_not_echoed() -> None:
    with pytest.raises(UsageError, match="cannot be split") as caught:
        find_password(password_command="echo 'hunter2")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "password"),
    [
        (b"secret\n", "secret"),
        (b"secret\r\n", "secret"),
        (b"secret", "secret"),
        (b" two words \n\n", " two words \n"),
        ("naïve\n".encode(), "naïve"),
        (b"\xff\xfe\n", b"\xff\xfe"),
    ],
)
def test_a_file_gives_all_but_its_last_line_break(
    tmp_path: Path, content: bytes, password: str | bytes
) -> None:
    assert find_password(password_file=private(tmp_path / "p", content)) == password


def test_a_file_that_others_can_read_is_warned_about(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = private(tmp_path / "p", b"secret\n")
    with caplog.at_level(logging.WARNING):
        find_password(password_file=path)
        assert not [each for each in caplog.records if each.name.startswith("holdfast")]
        path.chmod(0o640)
        find_password(password_file=path)
    assert f"chmod 600 {path}" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.fault(15)
@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n"])
def test_an_empty_password_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(UsageError, match="empty"):
        find_password(password_file=private(tmp_path / "p", content))
    with pytest.raises(UsageError, match="empty"):
        find_password("")


def test_exactly_one_place_is_taken(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no password is given"):
        find_password()
    with pytest.raises(UsageError, match="several passwords"):
        find_password("secret", password_file=private(tmp_path / "p", b"secret"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"absent: No such file"):
        find_password(password_file=tmp_path / "absent")


def test_a_command_gives_its_output() -> None:
    command = [sys.executable, "-c", "print('from a command')"]
    assert find_password(password_command=command) == "from a command"
    quoted = f"{sys.executable} -c 'print(1 + 1)'"
    assert find_password(password_command=quoted) == "2"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ([sys.executable, "-c", "print('said'); raise SystemExit(3)"], "exit status 3"),
        (["/nowhere/at-all"], "No such file"),
        ([], "empty"),
    ],
)
def test_a_command_that_fails_gives_no_password(command: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        find_password(password_command=command)
    assert "said" not in str(caught.value)
