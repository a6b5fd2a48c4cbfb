"""From the bytes of one file to blobs: read, cut, save.

Memory is one buffer that is filled over and over; what a chunk keeps is copied by the store.
"""

from __future__ import annotations

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
        small: a file of at most so many bytes is never cut.
    """

    def __init__(self, saver: BlobSaver, params: ChunkerParams, seed: bytes) -> None:
        self._saver = saver
        self._chunker: Chunker = open_chunker(params, seed)
        self.small = params.min_size
        self._buffer = memoryview(bytearray(max(BUFFER_SIZE, 4 * params.max_size)))

    def file(
        self, descriptor: int, status: os.stat_result, tell: Tell | None = None
    ) -> tuple[int, Content | None]:
        """Store a regular file; returns the bytes that were read, holes counted, and its content.

        Never more than its status says is read: whoever calls looks whether the file has changed.

        Args:
            descriptor: open for reading.
            status: its status, from just before.
            tell: told, every few MiB, of the bytes of a large file that were read.

        Raises:
            Unreadable: the file fails.
        """
        size = status.st_size
        owner = status.st_uid
        if size <= self.small:
            try:
                data = os.pread(descriptor, size, 0)
            except OSError as error:
                raise Unreadable(error) from error
            return len(data), self.small_file(data, status)
        builder = ContentBuilder(self._saver)
        group = ("large" if size >= LARGE else "small", owner)
        for offset, length, is_hole in _extents(descriptor, status):
            if is_hole:
                builder.add_zeros(length)
            elif self.stream(_filling(descriptor, offset, length, tell), group, builder) < length:
                break  # the file has become shorter
        return builder.finish()

    def small_file(self, data: bytes, status: os.stat_result) -> BlobId | None:
        """Store a small file of that status, all of which was read; returns its content."""
        if not data:
            return None
        return self._saver.save_data(memoryview(data), ("small", status.st_uid))

    def stream(self, fill: Fill, group: Group, builder: ContentBuilder) -> int:
        """Cut and store a stream to its end; returns its length in bytes."""
        held = total = 0
        ended = False
        buffer = self._buffer
        while not ended:
            while held < len(buffer):
                count = fill(buffer[held:], total)
                if count == 0:
                    ended = True
                    break
                held += count
                total += count
            start = 0
            for length in self._chunker.cut(buffer[:held], last=ended) if held else ():
                chunk = buffer[start : start + length]
                builder.add_blob(self._saver.save_data(chunk, group), length)
                start += length
            buffer[: held - start] = buffer[start:held]
            held -= start
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
