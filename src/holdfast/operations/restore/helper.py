"""A process that writes small files for the one that restores, so that both cores are used.

Threads cannot do that: a small file is a handful of short system calls, after each of which they
wait for one another's interpreter lock. The helper gets tasks through a pipe, each with the places
of the blobs, so that it needs no index; directories it enters by their names from the target's
descriptor, never following a link, and finds to be the very ones that the restore created. What it
cannot do it leaves, and when it dies all of its task is left: the restore then goes its own way.

"""

from __future__ import annotations

import os
from typing import Final, NamedTuple, Protocol, TypeAlias, cast

from holdfast.closing import Closing
from holdfast.filesystem.newfile import PlainFile
from holdfast.filesystem.target import TemporaryNames
from holdfast.overrides import override
from holdfast.primitives.child import Child, can_start
from holdfast.primitives.ids import BlobId
from holdfast.store import Plan

START_AFTER = 1000
"""Small files that are written before it is worth starting a process."""

READY_WAIT = 0.0
"""Seconds to wait for a helper that was started: none, there is work meanwhile."""

_MODULE: Final = "holdfast.operations.restore.worker"

Folder: TypeAlias = tuple[list[bytes], int, int]
"""The names on the way from the target to a directory, its device and inode."""


class Task(NamedTuple):
    """Small files of directories that the restore has created.

    Attributes:
        folders: the directories.
        files: of each file the number of its directory, and what it is to become.
        blobs: the contents of the files, in their order; those behind are empty.
        plan: where the blobs are; as a wire has it when it comes from one.
    """

    folders: list[Folder]
    files: list[tuple[int, PlainFile]]
    blobs: list[BlobId]
    plan: Plan


class Hands(Protocol):
    """Who writes small files for a restore.

    Attributes:
        temporary: of what prefix files are that are not complete yet.
    """

    temporary: TemporaryNames

    def offer(self, files: int) -> bool:
        """Say that so many files are to be written; whether they can be taken."""

    def do(self, task: Task) -> list[int] | None:
        """Have a task done; see `Helper.do`."""


class Helper(Closing):
    """The helper, started when there is enough to do; a context manager.

    Args:
        access: what it takes to read packs, from `Loader.access`; None for no helper.
        root: descriptor of the target.
    """

    def __init__(self, access: bytes | None, root: int) -> None:
        self.temporary = TemporaryNames()
        self._access = access if can_start() else None
        self._root = root
        self._files = 0
        self._child: Child | None = None

    @override
    def close(self) -> None:
        """End the process, when no thread uses it any more."""
        self._access = None
        if self._child is not None:
            self._child.close()

    def offer(self, files: int) -> bool:
        """Say that so many files are to be written; whether the helper can take them.

        To be called from one thread only.
        """
        self._files += files
        if self._access is None or self._files < START_AFTER:
            return False
        if self._child is None:
            first = (self._access, self.temporary.prefix, os.getpid())
            self._child = Child(_MODULE, first, (self._root,))
        return self._child.is_ready(READY_WAIT)

    def do(self, task: Task) -> list[int] | None:
        """Have a task done.

        Returns:
            Numbers of the files that are left; None: any of them may be left, and temporary files
            of the name that `temporary` gives.
        """
        answer = None if self._child is None else self._child.ask(task)
        return None if answer is None else list(cast("tuple[int, ...]", answer))
