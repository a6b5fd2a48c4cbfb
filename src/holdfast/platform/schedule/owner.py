"""Who is alive: files that are locked as long as the process that locked them lives.

The kernel drops a lock (``flock``) when the last process that holds it ends, however it ends, so
that no process number has to be guessed about and nothing is left to be cleared away by hand.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
import threading
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import IO

from holdfast.errors import UsageError

_NOTE_SIZE = 200
_TRIES = 10


class Lock:
    """A locked file that says who locked it.

    Args:
        file: made if it is not there.
        now: said in the file.

    Raises:
        BlockingIOError: somebody else has it locked.
    """

    def __init__(self, file: Path, now: datetime) -> None:
        self.file = file
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._stream: IO[bytes] = file.open("a+b")
        try:
            fcntl.flock(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            note = (
                f"process {os.getpid()} on {socket.gethostname()}, since {now:%Y-%m-%dT%H:%M:%SZ}"
            )
            self._stream.truncate(0)
            self._stream.write(note.encode())
            self._stream.flush()
        except BaseException:
            self._stream.close()
            raise

    def release(self, *, remove: bool = False) -> None:
        """Unlock the file, and remove it if nobody else will ever lock it."""
        if remove:
            self.file.unlink(missing_ok=True)
        self._stream.close()


class Owners:
    """The schedulers that run jobs in a workspace, each with a locked file named by its id.

    Args:
        folder: where the files are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock: Lock | None = None
        self._appearing = threading.Lock()
        self.id = secrets.token_hex(8)

    def appear(self, now: datetime) -> None:
        """Lock the file of this scheduler, if that is not done yet."""
        with self._appearing:
            if self._lock is None:
                self._lock = Lock(self._folder / f"{self.id}.lock", now)

    def disappear(self) -> None:
        """Unlock and remove it."""
        if self._lock is not None:
            self._lock.release(remove=True)
            self._lock = None

    def is_alive(self, owner: str) -> bool:
        """Whether a scheduler is at work; what a dead one left is removed."""
        if owner == self.id:
            return self._lock is not None
        file = self._folder / f"{owner}.lock"
        if is_locked(file):
            return True
        with suppress(FileNotFoundError):
            file.unlink()
        return False


def instance(file: Path, now: datetime) -> Lock:
    """Become the one scheduler of a workspace.

    Raises:
        UsageError: there is one; the message says who.
    """
    for _ in range(_TRIES):
        try:
            return Lock(file, now)
        except BlockingIOError:
            who = holder(file)
        if who is not None:  # not only somebody who looked whether it is locked
            raise UsageError(
                f"a scheduler is at work already: {who}; a workspace has one at a time"
            )
    raise UsageError(f"{file} is locked time and again by others")


def holder(file: Path) -> str | None:
    """Who has a file locked; None when nobody has."""
    if not is_locked(file):
        return None
    return file.read_bytes()[:_NOTE_SIZE].decode(errors="replace")


def is_locked(file: Path) -> bool:
    """Whether somebody has a file locked."""
    try:
        with file.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
