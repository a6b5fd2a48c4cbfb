"""From the bytes of one file to blobs: read, cut, save.

Memory is one buffer that is filled over and over; what a chunk keeps is copied by the store.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from typing import Protocol, TypeAlias

from holdfast.filesystem import Extent, data_extents
from holdfast.model.content import ContentBuilder
from holdfast.model.node import Content, Node
from holdfast.model.roles import TreeSaver
from holdfast.primitives.chunker import Chunker, ChunkerParams, open_chunker
from holdfast.primitives.ids import BlobId

BUFFER_SIZE = 8 << 20
"""Bytes that are read at a time, at least four times the longest chunk."""

LARGE = 512 << 10
"""Files of so many bytes and more do not share segments with smaller ones."""

Group: TypeAlias = tuple[str, int]
Fill: TypeAlias = Callable[[memoryview, int], int]
"""Reads into a buffer from an offset in the stream; returns the number of bytes, 0 at the end."""
Tell: TypeAlias = Callable[[int], None]


def owner_group(node: Node) -> Group:
    """What a file's blobs share segments with: those of its owner's files, large or small."""
    return ("large" if node.size >= LARGE else "small", node.uid)


class BlobSaver(TreeSaver, Protocol):
    """Stores the blobs of files too."""

    def save_data(self, content: memoryview, group: Group) -> BlobId:
        """Store a blob unless it is stored already; returns its id."""


class Unreadable(Exception):  # noqa: N818 - never leaves backup: it becomes a problem in the result
    """A source file failed while it was read; the cause is the `OSError`."""

    def __init__(self, error: OSError, operation: str = "read") -> None:
        super().__init__(str(error))
        self.error = error
        self.operation = operation


class Ingest:
    """Stores the bytes of files through one buffer and one chunker. Used by one thread.

    Attributes:
        params: how files are cut, as given.
        seed: the secret that moves the cuts, as given.
        small: a file of at most so many bytes is never cut.
    """

    def __init__(self, saver: BlobSaver, params: ChunkerParams, seed: bytes) -> None:
        self._saver = saver
        self._chunker: Chunker = open_chunker(params, seed)
        self.params = params
        self.seed = seed
        self.small = params.min_size
        self._buffer = memoryview(bytearray(max(BUFFER_SIZE, 4 * params.max_size)))

    def file(
        self, descriptor: int, status: os.stat_result, tell: Tell | None = None
    ) -> tuple[int, Content | None]:
        """Store a regular file; returns the bytes that were read, holes counted, and its content.

        Never more than its status says is read, unless it says that there is nothing (see
        `pour_file`): whoever calls looks whether the file has changed.

        Args:
            descriptor: open for reading.
            status: its status, from just before.
            tell: told, every few MiB, of the bytes of a large file that were read.

        Raises:
            Unreadable: the file fails.
        """
        size = status.st_size
        owner = status.st_uid
        if 0 < size <= self.small:
            try:
                data = os.pread(descriptor, size, 0)
            except OSError as error:
                raise Unreadable(error) from error
            return len(data), self.small_file(data, status)
        builder = ContentBuilder(self._saver)
        group = ("large" if size >= LARGE else "small", owner)
        pour_file(descriptor, status, tell, self._buffer, self._cutting(group, builder))
        return builder.finish()

    def small_file(self, data: bytes, status: os.stat_result) -> BlobId | None:
        """Store a small file of that status, all of which was read; returns its content."""
        if not data:
            return None
        return self._saver.save_data(memoryview(data), ("small", status.st_uid))

    def stream(self, fill: Fill, group: Group, builder: ContentBuilder) -> int:
        """Cut and store a stream to its end; returns its length in bytes."""
        return pour(fill, self._buffer, self._cutting(group, builder))

    def _cutting(self, group: Group, builder: ContentBuilder) -> _Cutting:
        return _Cutting(self._saver, self._chunker, group, builder)


MOST_UNSIZED = 16 << 20
"""Most bytes of a file that says that it is empty; one with more is a problem of the source."""

_PAGES = 1 << 16
"""Most bytes that are asked for at once of a file of ``/proc``, some of which allocate as much."""


class Sink(Protocol):
    """Takes the bytes of a file, in order."""

    def add_zeros(self, count: int) -> None:
        """Take a hole."""

    def take(self, window: memoryview, *, last: bool) -> int:
        """Take bytes from the beginning of a window; returns how many, all of them when `last`.

        The others come again, with what follows them.
        """


class _Cutting:
    """Cuts what it takes, and stores the chunks."""

    def __init__(
        self, saver: BlobSaver, chunker: Chunker, group: Group, builder: ContentBuilder
    ) -> None:
        self._saver = saver
        self._chunker = chunker
        self._group = group
        self._builder = builder

    def add_zeros(self, count: int) -> None:
        """See `Sink`."""
        self._builder.add_zeros(count)

    def take(self, window: memoryview, *, last: bool) -> int:
        """See `Sink`."""
        start = 0
        for length in self._chunker.cut(window, last=last):
            chunk = window[start : start + length]
            self._builder.add_blob(self._saver.save_data(chunk, self._group), length)
            start += length
        return start


def pour_file(
    descriptor: int, status: os.stat_result, tell: Tell | None, buffer: memoryview, sink: Sink
) -> int:
    """Read a file into a sink, holes as such; returns the bytes that were read, holes counted.

    A file that is empty by its status is read to its end all the same: those of ``/proc``, and of
    FUSE file systems that do not know the size before they are asked for the content, say so. But
    some of ``/proc`` have no end to speak of, so there is a limit (`MOST_UNSIZED`).

    Args:
        descriptor: open for reading.
        status: its status, from just before; never more than it says is read, unless that is 0.
        tell: told, every few MiB, of the bytes that were read.
        buffer: for `pour`.
        sink: takes them.

    Raises:
        Unreadable: the file fails.
    """
    if not status.st_size:
        return pour(_filling_unsized(descriptor, tell), buffer, sink)
    total = 0
    for offset, length, is_hole in _extents(descriptor, status):
        count = length
        if is_hole:
            sink.add_zeros(length)
        else:
            count = pour(_filling(descriptor, offset, length, tell), buffer, sink)
        total += count
        if count < length:
            break  # the file has become shorter
    return total


def pour(fill: Fill, buffer: memoryview, sink: Sink) -> int:
    """Read a stream to its end into a sink; returns its length in bytes.

    Args:
        fill: reads it.
        buffer: longer than what the sink may leave of a window.
        sink: takes it.
    """
    held = total = 0
    ended = False
    while not ended:
        while held < len(buffer):
            count = fill(buffer[held:], total)
            if count == 0:
                ended = True
                break
            held += count
            total += count
        done = sink.take(buffer[:held], last=ended) if held else 0
        buffer[: held - done] = buffer[done:held]
        held -= done
    return total


def _filling(descriptor: int, offset: int, length: int, tell: Tell | None) -> Fill:
    """A function that fills buffers from a part of a file."""

    def fill(buffer: memoryview, done: int) -> int:
        room = min(len(buffer), length - done)
        if not room:
            return 0
        try:
            count = os.preadv(descriptor, [buffer[:room]], offset + done)
        except OSError as error:
            raise Unreadable(error) from error
        if tell is not None:
            tell(count)
        return count

    return fill


def _filling_unsized(descriptor: int, tell: Tell | None) -> Fill:
    """A function that fills buffers from a file that says that it is empty, up to the limit."""
    fill = _filling(descriptor, 0, MOST_UNSIZED + 1, tell)

    def checked(buffer: memoryview, done: int) -> int:
        if done > MOST_UNSIZED:
            what = f"it says that it is empty, and has more than {MOST_UNSIZED >> 20} MiB"
            raise Unreadable(OSError(errno.EFBIG, what))
        return fill(buffer[:_PAGES], done)

    return checked


def _extents(descriptor: int, status: os.stat_result) -> Iterator[Extent]:
    extents = data_extents(descriptor, status)
    while True:
        try:
            extent = next(extents, None)
        except OSError as error:
            raise Unreadable(error) from error
        if extent is None:
            return
        yield extent
