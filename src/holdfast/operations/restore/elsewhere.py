"""An executor's processes that write files for a restore, on this machine or on others.

They reach the target by its path, so it is on a file system that all of them share. Small new files
go to them in tasks, as they go to the helper of this machine, and the bytes of large ones in parts;
directories, metadata and names stay with the restore. What a worker leaves, or does not live to
do, the restore does itself.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from types import TracebackType
from typing import Final, NamedTuple, Self

from holdfast.filesystem import DirectoryStack
from holdfast.filesystem.target import (
    TargetError,
    TemporaryNames,
    create_file,
    discard,
    open_target,
    status_of,
)
from holdfast.model.content import iter_items
from holdfast.model.node import Content
from holdfast.operations.restore.helper import Folder, Task
from holdfast.operations.restore.worker import Worker, enter
from holdfast.operations.spread import await_one, refuse_forks, spread, submit
from holdfast.primitives.ids import BlobId
from holdfast.store import Loader, Plan, PlanReader, StoreAccess

_log = logging.getLogger(__name__)

THREADS: Final = 16
"""Batches that are handed over at the same time."""
PART: Final = 64 << 20
"""Bytes of a large file that one part is about, and how many blobs at most."""
_BLOBS: Final = 4096
_NAMES: Final = 1 << 20
"""Temporary names of one errand."""


@dataclass(frozen=True, slots=True)
class Errand:
    """Small files for one worker.

    Attributes:
        access: to the repository.
        target: path of the target.
        prefix: of temporary names.
        start: number of the first one.
        marker: name of a file in the target, by which a worker knows that it sees the very same.
        task: the files.
    """

    access: StoreAccess
    target: bytes
    prefix: bytes
    start: int
    marker: bytes
    task: Task


def write_files(errand: Errand) -> list[int]:
    """Write small files; returns the numbers of those that are left."""
    names = TemporaryNames(errand.prefix, errand.start)
    with closing(errand.access.open()) as backend:
        reader = PlanReader(backend, errand.access.opened_keys())
        root = open_target(errand.target, create=False)
        if root is None:
            return list(range(len(errand.task.files)))
        with closing(Worker(reader, root, names, None)) as worker:
            # Another machine may have another directory of that path, even with equal inodes.
            if status_of(root, errand.marker) is None:
                return list(range(len(errand.task.files)))
            return worker.do(errand.task)


class Piece(NamedTuple):
    """A blob, the place in the file where it begins, and its length in bytes."""

    blob: BlobId
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a large file, for one worker.

    Attributes:
        access: to the repository.
        target: path of the target.
        folder: the directory that the file is in.
        name: of the file, which is there and not complete yet.
        inode: of the file.
        pieces: what it is to hold.
        plan: where the blobs are.
    """

    access: StoreAccess
    target: bytes
    folder: Folder
    name: bytes
    inode: int
    pieces: list[Piece]
    plan: Plan


def write_part(part: Part) -> int:
    """Write a part of a file; returns the bytes that were written, -1 if any is missing."""
    written = 0
    with closing(part.access.open()) as backend:
        reader = PlanReader(backend, part.access.opened_keys())
        root = open_target(part.target, create=False)
        if root is None:
            return -1
        with closing(DirectoryStack(root)) as stack:
            try:
                file = _open(enter(stack, part.folder), part.name, part.inode)
            except (OSError, TargetError) as error:
                _log.info("a part of a file is left: %s", error)
                return -1
            try:
                blobs = [piece.blob for piece in part.pieces]
                for number, content in reader.read(part.plan, blobs):
                    if content is None or not _write(file, content, part.pieces[number]):
                        return -1
                    written += len(content)
            finally:
                os.close(file)
    return written


def _open(folder: int, name: bytes, inode: int) -> int:
    """Open a file that the restore has created.

    Raises:
        OSError: it cannot be opened; at once, also if it is a fifo now.
        TargetError: it is not that file any more.
    """
    flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    file = os.open(name, flags, dir_fd=folder)
    try:
        found = os.fstat(file).st_ino
    except OSError:
        os.close(file)
        raise
    # Not the device: that of a file may differ from its directory's, as in an overlay.
    if found != inode:
        os.close(file)
        raise TargetError("open", "something else took its place")
    return file


def _write(file: int, content: memoryview, piece: Piece) -> bool:
    """Write a piece; False when that cannot be done, of which the restore will tell why."""
    try:
        return len(content) == piece.length == os.pwrite(file, content, piece.offset)
    except OSError:
        return False


class Elsewhere:
    """The processes of an executor; a context manager that takes a helper's place.

    Args:
        executor: whose processes write.
        loader: knows where blobs are, and what it takes to read them.
        target: path of the target.
        root: descriptor of it, open as long as this is used.

    Attributes:
        temporary: of what prefix files are that are not complete yet.
        has_ended: whether the restore is over, so that nobody is to be waited for.

    Raises:
        UsageError: its processes are forked.
    """

    def __init__(self, executor: Executor, loader: Loader, target: bytes, root: int) -> None:
        refuse_forks(executor)
        self.temporary = TemporaryNames()
        self.has_ended: Callable[[], bool] = lambda: False
        self._root = root
        self._marker = next(TemporaryNames())
        self._executor = executor
        self._loader = loader
        self._access = loader.store_access()
        self._target = target
        self._starts = count(_NAMES, _NAMES)

    def __enter__(self) -> Self:
        os.close(create_file(self._root, self._marker))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Remove the marker; the executor is its owner's to close."""
        discard(self._root, self._marker)

    def offer(self, files: int) -> bool:
        """See `Helper.offer`."""
        return files > 0

    def do(self, task: Task) -> list[int] | None:
        """See `Helper.do`."""
        start = next(self._starts)
        errand = Errand(
            self._access, self._target, self.temporary.prefix, start, self._marker, task
        )
        future = submit(self._executor, write_files, errand)
        await_one([future], self.has_ended)
        try:
            return future.result(0)
        except Exception as error:  # noqa: BLE001 - each kind of executor has its own for a dead worker
            # Also when the storage failed there: if it fails here too, that ends the restore.
            _log.warning("a worker failed, its files are written here: %s", error)
            return None

    def fill(
        self, folder: Folder, file: tuple[bytes, int], content: Content, size: int
    ) -> Iterator[int]:
        """Have the bytes of a large file written; gives how many at a time.

        Args:
            folder: where the file is.
            file: name and inode of the file, which is empty.
            content: what it is to hold.
            size: bytes.

        Raises:
            HoldfastError: the storage failed.
            PartMissing: a part is missing.
        """
        parts = (
            Part(self._access, self._target, folder, *file, pieces, plan)
            for pieces, plan in _parts(content, size, self._loader)
        )
        for _, written in spread(self._executor, write_part, parts, self.has_ended):
            if written < 0:
                raise PartMissing(os.fsdecode(file[0]))
            yield written


class PartMissing(Exception):  # noqa: N818 - never leaves a restore
    """A worker has not written its part: the restore writes the whole file itself."""


def _parts(content: Content, size: int, loader: Loader) -> Iterator[tuple[list[Piece], Plan]]:
    pieces: list[Piece] = []
    held = 0
    for offset, item in iter_items(content, size, loader):
        if isinstance(item, int):
            continue
        pieces.append(Piece(item[0], offset, item[1]))
        held += item[1]
        if held >= PART or len(pieces) >= _BLOBS:
            yield pieces, loader.plan([piece.blob for piece in pieces])
            pieces, held = [], 0
    if pieces:
        yield pieces, loader.plan([piece.blob for piece in pieces])
