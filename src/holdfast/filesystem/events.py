"""What a walk over a source tells of: directories, the end of them, and problems."""

from __future__ import annotations

import errno
import os
from typing import Final, NamedTuple, TypeAlias

from holdfast.errors import OutOfResources

FIND: Final = "find"
"""The operation of a problem with a root, or with the way to it."""

ENTER: Final = "enter"
"""The operation of a problem with a directory on the walk."""

_SHORTAGES: Final = {
    errno.EMFILE: "let this process open more files (`ulimit -n`), then run this again",
    errno.ENFILE: "let the system open more files (`sysctl fs.file-max`), then run this again",
    errno.ENOMEM: "free some memory, then run this again",
}
"""What this process or this machine is short of, whichever file it was needed for."""


class Problem(NamedTuple):
    """Something of the source that could not be read.

    Attributes:
        path: absolute path of the entry.
        operation: what was tried: ``find``, ``open``, ``list``, ``stat``, ``read`` and so on.
        errno: the system's number for it.
        message: the system's words for it.
    """

    path: bytes
    operation: str
    errno: int
    message: str

    @property
    def vanished(self) -> bool:
        """Whether a file was only removed while the backup ran, which is no failure.

        A directory may have been moved to where the walk has been, with all that is in it.
        """
        return self.errno == errno.ENOENT and self.operation not in (FIND, ENTER)

    @classmethod
    def of(cls, path: bytes, operation: str, error: OSError) -> Problem:
        """The problem that an exception of the system tells of.

        Raises:
            OutOfResources: it tells of no problem of the source.
        """
        refuse_shortage(error, path)
        return cls(path, operation, error.errno or 0, error.strerror or str(error))


class Directory(NamedTuple):
    """A directory is entered; it is open until the next event.

    Attributes:
        path: absolute path.
        name: its last component; empty for ``/``.
        status: from the opened directory itself.
        files: name and status of every entry that is no directory, sorted by name.
        subdirectories: names of the directories that are walked next, sorted. One that cannot be
            opened any more becomes a problem instead of an event.
        complete: False when it could not be listed to its end.
    """

    path: bytes
    name: bytes
    status: os.stat_result
    files: list[tuple[bytes, os.stat_result]]
    subdirectories: list[bytes]
    complete: bool


class Leave(NamedTuple):
    """All below the directory that was entered last, and not left yet, has been walked."""

    name: bytes


WalkEvent: TypeAlias = Directory | Leave | Problem


def is_shortage(error: OSError) -> bool:
    """Whether this process or this machine is short of something, whatever the file."""
    return error.errno in _SHORTAGES


def refuse_shortage(error: OSError, path: bytes) -> None:
    """Go on after an error of the source only.

    Args:
        error: of the system.
        path: what it was about.

    Raises:
        OutOfResources: this process or this machine is short of something.
    """
    if error.errno in _SHORTAGES:
        message = f"{os.fsdecode(path)!r}: {error.strerror}: {_SHORTAGES[error.errno]}"
        raise OutOfResources(message) from error
