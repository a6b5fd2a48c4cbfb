"""Where a password comes from: given, from a file, or from a command."""

from __future__ import annotations

import logging
import os
import shlex
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from holdfast.errors import UsageError
from holdfast.store import Password

_log = logging.getLogger(__name__)

PasswordCommand: TypeAlias = str | Sequence[str]
"""A program with its arguments; a string is split as a shell would, and no shell runs it."""

COMMAND_TIMEOUT = 120.0
"""Seconds that a password command may take; a person may have to answer it."""


def find_password(
    password: Password | None = None,
    password_file: str | os.PathLike[str] | None = None,
    password_command: PasswordCommand | None = None,
) -> Password:
    """The password, from the one place that is given.

    A file or a command may end it with a line break, which is not part of it.

    Raises:
        UsageError: none or several places are given, the password is empty, or it cannot be had.
    """
    given = [place for place in (password, password_file, password_command) if place is not None]
    if len(given) != 1:
        problem = "several passwords are given" if given else "no password is given"
        raise UsageError(f"{problem}: give one of password, password file and password command")
    if password_file is not None:
        password = _from_file(Path(password_file))
    elif password_command is not None:
        password = _from_command(password_command)
    if not password:
        raise UsageError("the password is empty: an empty password protects nothing")
    return password


def _from_file(path: Path) -> Password:
    try:
        mode = path.stat().st_mode
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"password file {path}: {error.strerror}") from None
    if stat.S_ISREG(mode) and mode & 0o077:
        _log.warning("password file %s can be read by others: chmod 600 %s", path, path)
    return _decoded(content)


def _from_command(command: PasswordCommand) -> Password:
    try:
        argv = shlex.split(command) if isinstance(command, str) else list(command)
    except ValueError as error:  # it is not echoed: a password may be part of it
        raise UsageError(f"the password command cannot be split into words: {error}") from None
    if not argv:
        raise UsageError("the password command is empty")
    try:
        done = subprocess.run(  # noqa: S603 - running what the user names is the point
            argv, stdout=subprocess.PIPE, check=True, timeout=COMMAND_TIMEOUT
        )
    except OSError as error:
        raise UsageError(f"password command {argv[0]}: {error.strerror}") from None
    except subprocess.CalledProcessError as error:
        raise UsageError(
            f"password command {argv[0]} failed with exit status {error.returncode}"
        ) from None
    except subprocess.TimeoutExpired:
        raise UsageError(
            f"password command {argv[0]} gave no answer within {COMMAND_TIMEOUT:.0f} s"
        ) from None
    return _decoded(done.stdout)


def _decoded(content: bytes) -> Password:
    """Text where it is text, so that it is normalised as a typed password is."""
    content = content.removesuffix(b"\n").removesuffix(b"\r")
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content
