"""The system calls that holdfast makes of files: counted, and stopped at.

Every function of `os` that reaches a file is replaced for a while. Before each call something may
be done to the files, and after it an opened descriptor be looked at. `test_moments.py` sees to it
that the layers that work on other people's files use no function that is not in `CALLS`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final, Protocol, Self, cast

CALLS: Final = frozenset(
    {
        "chmod", "chown", "close", "dup", "fchmod", "fchown", "fstat", "ftruncate", "getxattr",
        "link", "listdir", "listxattr", "lseek", "lstat", "mkdir", "mkfifo", "mknod", "open",
        "pread", "preadv", "pwrite", "read", "readlink", "readv", "removexattr", "rename", "rmdir",
        "scandir", "setxattr", "stat", "symlink", "unlink", "utime",
    }
)  # fmt: skip
"""The functions of `os` that reach files, as far as those layers use any."""

PURE: Final = frozenset(
    {
        "_exit", "fsdecode", "fsencode", "getegid", "geteuid", "getgid", "getpid",
        "getppid", "getuid", "path", "path.abspath", "strerror",
        "DirEntry", "PathLike", "stat_result",
    }
)  # fmt: skip
"""What there is of `os` beside constants that reaches no file.

``abspath`` asks for the current directory only.
"""

_O_PATH: Final[int] = getattr(os, "O_PATH", 0)


class _Call(Protocol):
    def __call__(self, *args: object, **named: object) -> object: ...


class Moments:
    """The calls that are made while it is entered, in this and all other threads.

    Args:
        act: called before each, with its number from 1 on. What it does is not counted; what it
            raises is what the call raises, which is then not made.
        look: called with the path of each file or directory that was opened to be read or written.
        but: the calls that are let alone.

    Attributes:
        count: calls until now.
        about: the numbers of the calls that were about an entry, by its name.
    """

    def __init__(
        self,
        act: Callable[[int], None],
        look: Callable[[bytes], None] = lambda _: None,
        *,
        but: frozenset[str] = frozenset(),
    ) -> None:
        self._calls = CALLS - but
        self._act = act
        self._look = look
        self._lock = threading.Lock()
        self._own = threading.local()
        self._originals: dict[str, _Call] = {}
        self.count = 0
        self.about: dict[bytes, list[int]] = {}

    def __enter__(self) -> Self:
        for name in self._calls:
            self._originals[name] = cast("_Call", getattr(os, name))
        for name, original in self._originals.items():
            setattr(os, name, self._stopped(name, original))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for name, original in self._originals.items():
            setattr(os, name, original)

    def stop(self, entry: object = None) -> None:
        """A call is about to be made.

        Args:
            entry: what it is about: a path, or anything else.
        """
        if self._is_own:
            return
        with self._lock, self._apart():
            self.count += 1
            if isinstance(entry, bytes | str):
                name = os.fsencode(entry).rpartition(b"/")[2]
                self.about.setdefault(name, []).append(self.count)
            self._act(self.count)

    @property
    def _is_own(self) -> bool:
        return getattr(self._own, "inside", False)

    @contextmanager
    def _apart(self) -> Iterator[None]:
        """What is called in here is not holdfast's."""
        self._own.inside = True
        try:
            yield
        finally:
            self._own.inside = False

    def _stopped(self, name: str, original: _Call) -> _Call:
        def call(*args: object, **named: object) -> object:
            self.stop(args[0] if args else None)
            result = original(*args, **named)
            if self._is_own:
                return result
            if name == "open":
                self._opened(cast("int", result), cast("int", args[1]))
            return _Listing(cast("Entries", result), self) if name == "scandir" else result

        return call

    def _opened(self, descriptor: int, flags: int) -> None:
        if flags & _O_PATH:
            return
        with self._apart():
            self._look(os.readlink(b"/proc/self/fd/%d" % descriptor))  # noqa: PTH115 - bytes


class Entries(Protocol):
    """What `os.scandir` gives."""

    def __iter__(self) -> Iterator[os.DirEntry[str]]: ...

    def close(self) -> None:
        """End the listing."""


class _Listing:
    """A directory's entries, with a moment before each and before each question about one."""

    def __init__(self, entries: Entries, moments: Moments) -> None:
        self._entries = entries
        self._moments = moments

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._moments.stop()
        finally:
            self._entries.close()

    def __iter__(self) -> Iterator[_Entry]:
        entries = iter(self._entries)
        while True:
            self._moments.stop()
            entry = next(entries, None)
            if entry is None:
                return
            yield _Entry(entry, self._moments)


class _Entry:
    """An entry of a directory, as `os.DirEntry` is one."""

    def __init__(self, entry: os.DirEntry[str], moments: Moments) -> None:
        self._entry = entry
        self._moments = moments
        self.name = entry.name

    def is_dir(self, *, follow_symlinks: bool) -> bool:
        """As that of `os.DirEntry`, which nearly always knows it from the listing."""
        return self._entry.is_dir(follow_symlinks=follow_symlinks)

    def is_file(self, *, follow_symlinks: bool) -> bool:
        """The same."""
        return self._entry.is_file(follow_symlinks=follow_symlinks)

    def stat(self, *, follow_symlinks: bool) -> os.stat_result:
        """As that of `os.DirEntry`."""
        self._moments.stop(self.name)
        return self._entry.stat(follow_symlinks=follow_symlinks)
