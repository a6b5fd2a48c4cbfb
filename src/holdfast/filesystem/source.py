"""What a backup reads: several local roots, walked as one tree from ``/`` down.

One directory at a time is listed at once, what is excluded is dropped by name before anything is
asked about it, and one event carries all of the rest, so that an entry costs a few microseconds.
Everything is reached through open directories (`DirectoryStack`): depth and length of paths have
no limit, and below the roots no symlink is ever followed.

What is named as a root is taken: patterns, sizes and mount points decide only on what is found
below roots. The way to a root is part of the tree: its directories are entries with their own
metadata and nothing in them but the way on. A symlink to a directory on that way, the root
itself included, is followed and becomes a directory, also where the way leads through another
root.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterable
from typing import TypeAlias

from holdfast.errors import UsageError
from holdfast.filesystem.events import FIND, Directory, Problem
from holdfast.filesystem.exclude import ExcludeRules, Exclusion
from holdfast.filesystem.walk import Walk

RootPath: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]
"""A path as callers give it."""


class LocalSource:
    """Files and directories of this machine that are to be backed up.

    Args:
        roots: paths to back up. They are made absolute and normal (symlinks in them are not
            resolved); one below another, or named twice, is walked once.
        rules: what to leave out.

    Attributes:
        roots: the roots that exist, as absolute paths, sorted, each once.
        rules: what is left out.
        problems: one for each root that does not exist or cannot be reached.

    Raises:
        UsageError: no root was given, one is not a path, or `rules` make no sense.
    """

    def __init__(self, roots: Iterable[RootPath], rules: ExcludeRules) -> None:
        wanted = sorted({_absolute(root) for root in roots})
        if not wanted:
            raise UsageError("nothing was named to back up")
        self.rules = rules
        self._exclusion = Exclusion(rules)
        self.problems: list[Problem] = []
        self.roots: list[bytes] = []
        for root in wanted:
            problem = _missing(root)
            if problem:
                self.problems.append(problem)
            else:
                self.roots.append(root)

    def walk(self) -> Walk:
        """Begin a walk over the roots that exist; several may run at once, one in a thread.

        Raises:
            OSError: ``/`` cannot be opened.
        """
        return Walk(self.roots, self._exclusion)

    def scan_totals(self, stop: threading.Event) -> tuple[int, int]:
        """Count what a walk will find, for the sake of progress only.

        Args:
            stop: ends the count early when it is set.

        Returns:
            How many entries are no directories, and the bytes of the files among them.

        Raises:
            OSError: ``/`` cannot be opened.
        """
        files = size = 0
        with self.walk() as walk:
            for event in walk:
                if stop.is_set():
                    break
                if isinstance(event, Directory):
                    files += len(event.files)
                    statuses = (status for _, status in event.files)
                    size += sum(s.st_size for s in statuses if stat.S_ISREG(s.st_mode))
        return files, size


def _absolute(root: RootPath) -> bytes:
    path = os.fsencode(root)
    if not path or b"\0" in path:
        raise UsageError(f"{path!r} is not a path")
    try:
        absolute = os.path.abspath(path)  # noqa: PTH100 - symlinks are not to be resolved
    except OSError as error:  # the current directory was removed
        raise UsageError(f"{path!r}: there is no current directory: {error.strerror}") from error
    return b"/" + absolute.lstrip(b"/")  # POSIX keeps two leading slashes


def _missing(root: bytes) -> Problem | None:
    try:
        os.lstat(root)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:  # the walk can reach it all the same
            return Problem.of(root, FIND, error)
    return None
