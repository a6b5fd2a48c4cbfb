"""Paths below the target of a restore, and how a pattern names one."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

_ODD = re.compile(r"[^A-Za-z0-9/._-]")
_NONE_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""How a directory is opened, and nothing else."""


def relative(path: str, base: str) -> bytes:
    """Where something of a snapshot is restored to, below the target.

    Args:
        path: absolute path in the snapshot.
        base: what of the snapshot is restored: a directory, or something else, which keeps its
            name.
    """
    if path == base:
        return os.fsencode(path.rpartition("/")[2])
    return os.fsencode(path[len(base.rstrip("/")) + 1 :])


def pattern(path: bytes) -> str:
    """The pattern that matches just that absolute path."""
    return _ODD.sub(lambda odd: "\\" + odd[0], os.fsdecode(path))


def with_parents(paths: Iterable[bytes]) -> set[bytes]:
    """Those relative paths, and those of all directories above them."""
    found: set[bytes] = set()
    for path in paths:
        here = path
        while here and here not in found:
            found.add(here)
            here = here.rpartition(b"/")[0]
    return found


def by_directory(paths: Iterable[bytes]) -> dict[bytes, list[bytes]]:
    """The names in each directory, the deepest directories first."""
    found: dict[bytes, list[bytes]] = {}
    for path in sorted(paths, reverse=True):
        directory, _, name = path.rpartition(b"/")
        found.setdefault(directory, []).append(name)
    return dict(sorted(found.items(), key=lambda item: -_depth(item[0])))


@contextmanager
def opened(root: bytes, path: bytes) -> Iterator[int | None]:
    """A directory below a root, reached through no symbolic link; None if there is none.

    Args:
        root: absolute path of a directory.
        path: below it, "" for itself.

    Raises:
        OSError: it cannot be entered.
    """
    descriptor = _open(root, path)
    try:
        yield descriptor
    finally:
        if descriptor is not None:
            os.close(descriptor)


def status_at(descriptor: int, name: bytes) -> os.stat_result | None:
    """What has that name in a directory, no symbolic link being followed; None for nothing.

    Raises:
        OSError: it cannot be found out.
    """
    try:
        return os.stat(name, dir_fd=descriptor, follow_symlinks=False)
    except FileNotFoundError:
        return None


def is_directory(status: os.stat_result) -> bool:
    """Whether it is a directory."""
    return stat.S_ISDIR(status.st_mode)


def _open(root: bytes, path: bytes) -> int | None:
    try:
        descriptor = os.open(root, DIRECTORY)
        for name in filter(None, path.split(b"/")):
            above = descriptor
            try:
                descriptor = os.open(name, DIRECTORY, dir_fd=above)
            finally:
                os.close(above)
    except OSError as error:
        if error.errno in _NONE_THERE:
            return None
        raise
    return descriptor


def _depth(path: bytes) -> int:
    return path.count(b"/") + bool(path)
