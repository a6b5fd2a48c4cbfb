"""Files and names that survive a power cut, as far as fsync promises.

Entries are named within a folder that the caller holds open, so all of them are in that folder
even if something else is mounted or renamed to its path meanwhile.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from holdfast.backend.exclusive import rename_if_absent

if TYPE_CHECKING:
    from pathlib import Path

    from holdfast.backend.base import Buffer

FOLDER = os.O_RDONLY | os.O_DIRECTORY
"""Flags to open a folder with."""

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
_NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}


def make_directory(path: Path) -> list[Path]:
    """Make a directory and those above it that are missing, each durably; returns these."""
    missing = []
    while not path.exists():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        with suppress(FileExistsError):
            folder.mkdir(0o700)
        sync_folder_at(folder.parent)
    return missing


def write_file(name: str, data: Buffer, folder: int) -> None:
    """Make a file of a fresh name in a folder; when this returns, its bytes are durable."""
    file = os.open(name, _CREATE, 0o600, dir_fd=folder)
    try:
        with memoryview(data) as view, view.cast("B") as rest:
            done = 0
            while done < len(rest):
                done += os.write(file, rest[done:])
        os.fsync(file)
    finally:
        os.close(file)


def replace(source: str, target: str, folder: int) -> None:
    """Rename within a folder, over whatever file has that name."""
    os.replace(source, target, src_dir_fd=folder, dst_dir_fd=folder)


def claim(source: str, target: str, folder: int) -> None:
    """Rename within a folder unless the name is taken.

    Raises:
        FileExistsError: it is taken.
        NotImplementedError: this file system can neither link nor rename in this way.
    """
    try:
        os.link(source, target, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        rename_if_absent(source, target, folder)
    else:
        os.unlink(source, dir_fd=folder)


def sync_folder(folder: int) -> None:
    """Make the names in a folder durable."""
    try:
        os.fsync(folder)
    except OSError as error:
        # Some network file systems have no such call: their server keeps names durable itself.
        if error.errno not in _NO_FOLDER_SYNC:
            raise


def sync_folder_at(path: str | Path, root: int | None = None) -> None:
    """Make the names in a folder durable, given its path below `root`, or its absolute path."""
    folder = os.open(path, FOLDER, dir_fd=root)
    try:
        sync_folder(folder)
    finally:
        os.close(folder)
