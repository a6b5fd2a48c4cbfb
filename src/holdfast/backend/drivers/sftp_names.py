"""How a file that is written on an SSH server gets its name.

By a rename that replaces, or by a hard link that fails if the name is taken.
"""

from __future__ import annotations

import posixpath
from contextlib import suppress
from typing import Final

from holdfast.backend.drivers.sftp_packets import (
    BAD_MESSAGE,
    FAILURE,
    FILE_EXISTS,
    FSYNC,
    HARDLINK,
    PERMISSION_DENIED,
    POSIX_RENAME,
    UNSUPPORTED,
    Refused,
    is_file,
)
from holdfast.backend.drivers.sftp_session import Session

_COMPARED: Final = 4 << 20
"""Bytes of two files that are compared at a time."""


class Unlinkable(Refused):
    """The server, or its file system, has no hard links."""

    def __init__(self) -> None:
        super().__init__(UNSUPPORTED, "no hard links")


def publish(session: Session, temporary: str, path: str) -> None:
    """Give a file its name, over whatever file has that, for good."""
    if POSIX_RENAME in session.extensions:
        session.replace(temporary, path)
    else:
        _rename(session, temporary, path)
    sync_folder(session, posixpath.dirname(path))


def _rename(session: Session, temporary: str, path: str) -> None:
    try:
        session.rename(temporary, path)
    except Refused as error:
        if session.stat(path) is None:
            raise
        if _is_same(session, temporary, path):
            # A request that was made before has stored it, but its answer was lost.
            with suppress(Refused):  # it is in nobody's way, and is swept one day
                session.remove(temporary)
            return
        problem = f"it cannot replace a file in one step, it lacks {POSIX_RENAME}"
        raise Refused(UNSUPPORTED, problem) from error


def _is_same(session: Session, one: str, other: str) -> bool:
    found, size = (_file_size(session, path) for path in (one, other))
    if size is None or found != size:
        return False
    with session.reading(one) as first, session.reading(other) as second:
        for start in range(0, size, _COMPARED):
            end = min(start + _COMPARED, size)
            if session.read(first, start, end) != session.read(second, start, end):
                return False
    return True


def _file_size(session: Session, path: str) -> int | None:
    found = session.stat(path)
    return None if found is None or not is_file(found) else found.size


def claim(session: Session, temporary: str, path: str) -> None:
    """Give a file its name unless that is taken, for good."""
    if HARDLINK not in session.extensions:
        raise Unlinkable
    try:
        _link(session, temporary, path)
    except Refused as error:
        # What many file systems without links say may also have a reason that is gone soon.
        if error.status not in {FAILURE, PERMISSION_DENIED}:
            raise
        try:
            _link(session, temporary, path)
        except Refused as again:
            raise (Unlinkable() if again.status == error.status else again) from again
    try:
        sync_folder(session, posixpath.dirname(path))
    except Refused:
        # Whoever asks whether it was stored after all must not find it.
        with suppress(Refused):
            session.remove(path)
        raise
    with suppress(Refused):  # it is in nobody's way, and is swept one day
        session.remove(temporary)


def _link(session: Session, temporary: str, path: str) -> None:
    try:
        session.link(temporary, path)
    except Refused as error:
        if session.stat(path) is not None:
            # By a request that was made before, maybe, which did not come to that.
            sync_folder(session, posixpath.dirname(path))
            raise Refused(FILE_EXISTS, "") from error
        if error.status == UNSUPPORTED:
            raise Unlinkable from error
        raise


def sync_folder(session: Session, folder: str) -> None:
    """Make the names in a folder durable, where the server opens folders as OpenSSH's does."""
    if FSYNC not in session.extensions:
        return
    try:
        with session.reading(folder) as handle:
            session.sync(handle)
    except Refused as error:
        # What was refused for what it is; a disk that fails is a `FAILURE`.
        if error.status not in {BAD_MESSAGE, PERMISSION_DENIED, UNSUPPORTED}:
            raise
