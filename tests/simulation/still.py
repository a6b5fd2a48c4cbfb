"""Sources that are the same wherever and whenever they are read.

A backup records where a file is, its times, inode, owner and attributes. All of that ends up in
packs, whose names are hashes of what they hold.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

_READERS = (
    "holdfast.filesystem.metadata.os",
    "holdfast.filesystem.source.os",
    "holdfast.filesystem.walk.os",
    "holdfast.filesystem.handles.os",
    "holdfast.operations.backup.files.os",
)
_TIME = 1_600_000_000
"""Of every file, in seconds since the epoch: before any clock of the simulation begins."""


def _still(status: os.stat_result) -> os.stat_result:
    mode, _, _, links, _, _, size, *_ = status
    mode = stat.S_IFMT(mode) | 0o755
    times = dict.fromkeys(("st_atime_ns", "st_mtime_ns", "st_ctime_ns"), _TIME * 10**9)
    return os.stat_result((mode, 1, 1, links, 0, 0, size, _TIME, _TIME, _TIME), times)


class _Entry:
    """See `os.DirEntry`."""

    def __init__(self, entry: os.DirEntry[str]) -> None:
        self.name = entry.name
        self.is_dir = entry.is_dir
        self.is_file = entry.is_file
        self._entry = entry

    def stat(self, *, follow_symlinks: bool) -> os.stat_result:
        return _still(self._entry.stat(follow_symlinks=follow_symlinks))


@contextmanager
def _scandir(descriptor: int) -> Iterator[Iterator[_Entry]]:
    with os.scandir(descriptor) as entries:
        yield map(_Entry, entries)


@contextmanager
def standing_still(top: Path) -> Iterator[None]:
    """Let backups find a directory's content at ``/``, and nothing else."""

    def placed(path: bytes) -> bytes:
        return os.fsencode(top) + path if path.startswith(b"/") else path

    def lstat(path: bytes) -> os.stat_result:
        return _still(os.lstat(placed(path)))

    def open_(path: bytes, flags: int, *, dir_fd: int | None = None) -> int:
        return os.open(placed(path), flags, dir_fd=dir_fd)

    def status(
        path: bytes, *, dir_fd: int | None = None, follow_symlinks: bool = True
    ) -> os.stat_result:
        return _still(os.stat(placed(path), dir_fd=dir_fd, follow_symlinks=follow_symlinks))

    def fstat(descriptor: int) -> os.stat_result:
        return _still(os.fstat(descriptor))

    changed = {
        "fstat": fstat,
        "listxattr": lambda *_, **__: [],
        "lstat": lstat,
        "open": open_,
        "scandir": _scandir,
        "stat": status,
    }
    still = SimpleNamespace(**{**vars(os), **changed})
    with ExitStack() as stack:
        for reader in _READERS:
            stack.enter_context(patch(reader, still))
        yield
