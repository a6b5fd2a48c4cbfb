"""What a helper process does; see `holdfast.operations.restore.helper` for its parent's side."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import cast

from holdfast.filesystem import DirectoryStack
from holdfast.filesystem.newfile import NewFiles
from holdfast.filesystem.target import (
    TargetError,
    TemporaryNames,
    another,
    descriptor_of,
    enter_directory,
    leave_directory,
)
from holdfast.operations.restore.helper import Folder, Task
from holdfast.primitives.child import connected, receive, send
from holdfast.store import PlanReader


class Worker:
    """Does tasks, one at a time.

    Args:
        reader: reads packs.
        root: descriptor of the target. It is the worker's from now on.
        temporary: names for files that are not complete yet.
        parent: number of the process for which it works; None when it works for another machine.
    """

    def __init__(
        self, reader: PlanReader, root: int, temporary: TemporaryNames, parent: int | None
    ) -> None:
        self._reader = reader
        self._stack = DirectoryStack(root)
        self._names: list[bytes] = []
        self._temporary = temporary
        self._parent = parent

    def do(self, task: Task) -> list[int]:
        """Write the files of a task; returns the numbers of those that are left."""
        left: list[int] = []
        with ExitStack() as stack:
            folders = [self._open(folder, stack) for folder in task.folders]
            for number, content in self._contents(task):
                if self._parent is not None and os.getppid() != self._parent:
                    raise SystemExit
                at, file = task.files[number]
                folder = folders[at]
                if content is None or folder is None or not folder.write(file, content):
                    left.append(number)
        return left

    def _contents(self, task: Task) -> Iterator[tuple[int, memoryview | bytes | None]]:
        yield from self._reader.read(task.plan, task.blobs)
        for number in range(len(task.blobs), len(task.files)):
            yield number, b""

    def _open(self, folder: Folder, stack: ExitStack) -> NewFiles | None:
        """Open a directory; None when it is not the one that is meant."""
        names, device, inode = folder
        try:
            self._go(list(names))
            fd = another(descriptor_of(self._stack))
        except (OSError, TargetError):  # the parent holds it open, and will tell
            return None
        stack.callback(os.close, fd)
        status = os.fstat(fd)
        # Other machines have other numbers for one and the same file system.
        is_same = status.st_ino == inode and (self._parent is None or status.st_dev == device)
        return NewFiles(fd, self._temporary) if is_same else None

    def close(self) -> None:
        """Let go of the target."""
        self._stack.close()

    def _go(self, names: list[bytes]) -> None:
        """Enter a directory, from the one where the worker is."""
        while self._names != names[: len(self._names)]:
            self._names.pop()
            leave_directory(self._stack)
        for name in names[len(self._names) :]:
            if enter_directory(self._stack, name, unlock=False) is None:
                raise TargetError("enter", "it is gone")
            self._names.append(name)


def enter(stack: DirectoryStack, folder: Folder) -> int:
    """Go from the target to a directory, for another machine; returns its descriptor.

    Raises:
        TargetError: it is not the one that is meant.
    """
    names, _, inode = folder
    for name in names:
        if enter_directory(stack, name, unlock=False) is None:
            raise TargetError("enter", "it is gone")
    found = descriptor_of(stack)
    if os.fstat(found).st_ino != inode:
        raise TargetError("enter", "it is another directory")
    return found


def main() -> None:
    """Do tasks until the pipe ends."""
    gc.disable()  # a task leaves no cycles behind
    questions, answers = connected()
    access, prefix, parent = cast("tuple[bytes, bytes, int]", receive(questions))
    reader = PlanReader.of_access(access)
    worker = Worker(reader, int(sys.argv[1]), TemporaryNames(prefix), parent)
    while (task := receive(questions)) is not None:
        send(answers, worker.do(Task._make(cast("Task", task))))
