"""Compares two directory trees, by means that share no code with holdfast.

    python compare.py SOURCE COPY

prints every difference in content and metadata, one a line, and exits with 1 if there is one.
Compared are names, types, modes, owners, mtimes in nanoseconds, extended attributes (POSIX ACLs
among them), contents, targets of links, numbers of devices, which names are hard links to one
file, and roughly the room that sparse files take. It needs no recursion and no long paths: one
directory of each tree is open at a time, entered by its name and left by ``..``.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import sys
from collections.abc import Iterator
from typing import NamedTuple

BLOCK = 1 << 20
SLACK = 4 << 20
"""Bytes that a copy of a sparse file may take more, for blocks that were data but all zero."""


class Pair(NamedTuple):
    """The same of the source and of the copy."""

    source: int
    copy: int


class Comparison:
    """One comparison of two trees."""

    def __init__(self, source: bytes, copy: bytes) -> None:
        self._roots = (source, copy)
        self._path: list[bytes] = []
        self._copies: dict[tuple[int, int], tuple[int, int]] = {}
        self._sources: dict[tuple[int, int], tuple[int, int]] = {}
        self.entries = 0

    def differences(self) -> Iterator[str]:
        """Everything that differs."""
        here = Pair(*(os.open(root, os.O_RDONLY | os.O_DIRECTORY) for root in self._roots))
        pending: list[list[bytes]] = []
        try:
            yield from self._status(os.fstat(here.source), os.fstat(here.copy))
            yield from self._xattrs(*here)
            yield from self._list(here, pending)
            while pending:
                if not pending[-1]:
                    pending.pop()
                    if self._path:
                        self._path.pop()
                        here = _instead(here, _open(here, b".."))
                    continue
                name = pending[-1].pop()
                below = _open(here, name)
                self._path.append(name)
                yield from self._xattrs(*below)
                yield from self._list(below, pending)
                if pending[-1]:
                    here = _instead(here, below)
                    continue
                pending.pop()  # nothing to go into, and perhaps no permission to come back
                self._path.pop()
                _close(below)
        finally:
            _close(here)

    def _list(self, here: Pair, pending: list[list[bytes]]) -> Iterator[str]:
        names = [_names(each) for each in here]
        for name in sorted(names[0] - names[1]):
            yield self._say(name, "is missing in the copy")
        for name in sorted(names[1] - names[0]):
            yield self._say(name, "is in the copy only")
        directories = []
        for name in sorted(names[0] & names[1]):
            self.entries += 1
            first, second = (os.stat(name, dir_fd=each, follow_symlinks=False) for each in here)
            found = list(self._status(first, second, name))
            yield from found
            if stat.S_IFMT(first.st_mode) != stat.S_IFMT(second.st_mode):
                continue
            if stat.S_ISDIR(first.st_mode):
                directories.append(name)
                continue
            yield from self._links(name, first, second)
            yield from self._entry(here, name, first)
        pending.append(directories)

    def _entry(self, here: Pair, name: bytes, status: os.stat_result) -> Iterator[str]:
        source, copy = (b"/proc/self/fd/%d/%s" % (each, name) for each in here)
        yield from self._xattrs(source, copy, name)
        if stat.S_ISLNK(status.st_mode):
            targets = [os.readlink(name, dir_fd=each) for each in here]
            if targets[0] != targets[1]:
                yield self._say(name, f"leads to {targets[1]!r} instead of {targets[0]!r}")
        elif stat.S_ISREG(status.st_mode):
            flags = os.O_RDONLY | os.O_NOFOLLOW
            files = Pair(*(os.open(name, flags, dir_fd=each) for each in here))
            if _digest(files.source) != _digest(files.copy):
                yield self._say(name, "has another content")
            _close(files)

    def _status(
        self, first: os.stat_result, second: os.stat_result, name: bytes | None = None
    ) -> Iterator[str]:
        fields = ["st_mode", "st_uid", "st_gid", "st_mtime_ns", "st_rdev"]
        if not stat.S_ISDIR(first.st_mode):
            fields.append("st_size")
        for field in fields:
            values = getattr(first, field), getattr(second, field)
            if values[0] != values[1]:
                yield self._say(name, f"has {field} {values[1]!r} instead of {values[0]!r}")
        if not stat.S_ISREG(first.st_mode):
            return
        room = first.st_blocks * 512, second.st_blocks * 512
        if room[0] < first.st_size and room[1] > room[0] + SLACK:
            yield self._say(name, f"takes {room[1]} bytes instead of {room[0]}")

    def _links(self, name: bytes, first: os.stat_result, second: os.stat_result) -> Iterator[str]:
        source, copy = ((each.st_dev, each.st_ino) for each in (first, second))
        if self._copies.setdefault(source, copy) != copy:
            yield self._say(name, "is no hard link to what it should be")
        if self._sources.setdefault(copy, source) != source:
            yield self._say(name, "is a hard link to what it should not be")

    def _xattrs(
        self, first: int | bytes, second: int | bytes, name: bytes | None = None
    ) -> Iterator[str]:
        found = [_xattrs(each) for each in (first, second)]
        if found[0] != found[1]:
            yield self._say(name, f"has attributes {found[1]!r:.200} instead of {found[0]!r:.200}")

    def _say(self, name: bytes | None, what: str) -> str:
        path = b"/".join([*self._path, *([] if name is None else [name])])
        shown = path if len(path) < 300 else path[:100] + b"..." + path[-100:]
        return f"{shown!r} {what}"


def _names(directory: int) -> set[bytes]:
    with os.scandir(directory) as entries:
        return {os.fsencode(entry.name) for entry in entries}


def _open(here: Pair, name: bytes) -> Pair:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    return Pair(*(os.open(name, flags, dir_fd=each) for each in here))


def _instead(old: Pair, new: Pair) -> Pair:
    _close(old)
    return new


def _close(pair: Pair) -> None:
    for descriptor in pair:
        os.close(descriptor)


def _xattrs(entry: int | bytes) -> dict[str, bytes]:
    follow = isinstance(entry, int)
    try:
        names = os.listxattr(entry, follow_symlinks=follow)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return {}
        raise
    return {name: os.getxattr(entry, name, follow_symlinks=follow) for name in names}


def _digest(file: int) -> bytes:
    """A hash of where a file is not zero, and of what is there; its holes are not read."""
    total = hashlib.sha256()
    size = os.fstat(file).st_size
    offset = 0
    while offset < size:
        try:
            offset = os.lseek(file, offset, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                break
            raise
        start = offset - offset % BLOCK
        data = os.pread(file, BLOCK, start)
        if data.count(0) < len(data):
            total.update(b"%d:" % start + data.rstrip(b"\0"))
        offset = start + BLOCK
    return total.digest()


def main(source: str, copy: str) -> int:
    """Compare two trees; returns the program's exit status."""
    comparison = Comparison(os.fsencode(source), os.fsencode(copy))
    count = 0
    for difference in comparison.differences():
        count += 1
        print(difference)  # noqa: T201 - a program
    print(f"{comparison.entries} entries, {count} differences")  # noqa: T201 - a program
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
