"""A file of a snapshot as a stream that can be read and sought, without restoring it."""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from holdfast.errors import DamagedRepository, UsageError
from holdfast.model.content import iter_items
from holdfast.model.node import Item, Node, NodeType
from holdfast.model.path import printable
from holdfast.model.roles import BlobLoader
from holdfast.model.walk import file_content
from holdfast.primitives.ids import BlobId

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from typing_extensions import override
else:

    def override(method: object) -> object:
        """What `typing.override` of Python 3.12 is."""
        return method


AHEAD = 16
"""Pieces that are asked for ahead of their use, once a file is read in order."""


class SnapshotFile(io.RawIOBase):
    """The content of one file; wrap it in `io.BufferedReader` for small reads.

    Holds one blob at a time, whatever the file's size. Not for use by several threads at once.

    Raises:
        UsageError: the node is no regular file.
        DamagedRepository: on reading, when a blob is missing or damaged.
    """

    def __init__(self, node: Node, loader: BlobLoader) -> None:
        super().__init__()
        if node.type != NodeType.FILE:
            raise UsageError(f"{printable(node.name)}: not a regular file")
        self.size = node.size
        self._content = file_content(node)
        self._loader = loader
        self._position = 0
        self._items: Iterator[tuple[int, Item]] = iter(())
        self._ahead: deque[tuple[int, Item]] = deque()
        self._begin = self._end = 0
        self._data: bytes | None = None
        self._in_order = False

    @override
    def readable(self) -> bool:
        """Always true."""
        return True

    @override
    def seekable(self) -> bool:
        """Always true."""
        return True

    @override
    def tell(self) -> int:
        """The position in bytes."""
        self._check_open()
        return self._position

    @override
    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position, which may be behind the end; returns it."""
        self._check_open()
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}.get(whence)
        if base is None or base + offset < 0:
            raise ValueError("no such position")
        self._position = base + offset
        return self._position

    @override
    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill the buffer, except at the end of the file; returns the number of bytes."""
        self._check_open()
        view = memoryview(buffer).cast("B")
        done = 0
        while done < len(view) and self._position < self.size:
            self._move()
            count = min(len(view) - done, self._end - self._position)
            start = self._position - self._begin
            if self._data is None:
                view[done : done + count] = bytes(count)
            else:
                view[done : done + count] = memoryview(self._data)[start : start + count]
            done += count
            self._position += count
        return done

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")

    def _move(self) -> None:
        """Make the piece that holds the position the current one."""
        if self._begin <= self._position < self._end:
            return
        self._in_order = self._position == self._end and self._position > 0
        if not self._in_order:
            self._ahead.clear()
            self._items = iter_items(self._content, self.size, self._loader, self._position)
        self._fill()
        begin, item = self._ahead[0]
        if isinstance(item, int):
            self._data, length = None, item
        else:
            self._data, length = self._load(*item), item[1]
        self._begin, self._end = begin, begin + length
        self._ahead.popleft()

    def _fill(self) -> None:
        """Take the next piece, and announce those behind it when the file is read in order."""
        news: list[BlobId] = []
        while len(self._ahead) < (AHEAD if self._in_order else 1):
            piece = next(self._items, None)
            if piece is None:
                break
            self._ahead.append(piece)
            if not isinstance(piece[1], int):
                news.append(piece[1][0])
        if self._in_order and news:
            self._loader.prefetch(news)

    def _load(self, blob: BlobId, length: int) -> bytes:
        data = self._loader.load(blob)
        if len(data) != length:
            raise DamagedRepository(
                f"blob {blob.hex()}", f"{len(data)} bytes where {length} belong"
            )
        return data
