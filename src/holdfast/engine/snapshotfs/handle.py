"""A file of a snapshot as a stream."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from threading import get_ident
from typing import TYPE_CHECKING

from holdfast.engine.snapshotfs.reading import FileReader
from holdfast.overrides import override

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class _Raw(io.RawIOBase):
    """A reader with a position."""

    mode = "rb"

    def __init__(self, reader: FileReader) -> None:
        super().__init__()
        self.reader = reader
        self._position = 0

    @override
    def readable(self) -> bool:
        return True

    @override
    def seekable(self) -> bool:
        return True

    @override
    def tell(self) -> int:
        return self._position

    @override
    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.reader.size}
        if whence not in base or base[whence] + offset < 0:
            raise ValueError("no such position")
        self._position = base[whence] + offset
        return self._position

    @override
    def readinto(self, buffer: WriteableBuffer) -> int:
        count = self.reader.read_into(self._position, memoryview(buffer).cast("B"))
        self._position += count
        return count

    @override
    def readall(self) -> bytes:
        data = self.reader.read_at(self._position, self.reader.size)
        self._position += len(data)
        return data

    @override
    def close(self) -> None:
        if not self.closed:
            self.reader.close()
        super().close()


class SnapshotStream(io.BufferedReader):
    """A file of a snapshot: seekable, binary, to be closed after use.

    What is read in order is read ahead. A read that comes right after a `seek` touches only what
    was asked for.

    Several threads share the position. But a thread that seeks and then reads gets what it sought,
    whatever others have done in between: DuckDB reads one file so by many threads.

    Attributes:
        path: of the file, as it was opened.
        size: in bytes.
    """

    def __init__(self, reader: FileReader, path: str) -> None:
        """Begin at the start of a file that is open."""
        super().__init__(_Raw(reader))
        self._reader = reader
        self._sought: dict[int, int] = {}  # by thread, what it has not read yet
        self.path = path
        self.size = reader.size

    @property
    def skipped(self) -> Sequence[tuple[int, int]]:
        """Offset and length of what was damaged and was read as zeros, with ``errors="skip"``."""
        return self._reader.skipped

    @override
    def __repr__(self) -> str:
        return f"<holdfast file {self.path!r}>"

    @override
    def tell(self) -> int:
        """The position in bytes."""
        sought = self._sought.get(get_ident())
        return super().tell() if sought is None else sought

    @override
    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position, which may be behind the end; returns it."""
        if whence == os.SEEK_CUR:
            offset, whence = self.tell() + offset, os.SEEK_SET
        self._sought[get_ident()] = position = super().seek(offset, whence)
        return position

    @override
    def read(self, size: int | None = -1) -> bytes:
        """So many bytes, all there are when negative or None; fewer only at the end."""
        sought = self._next()
        if sought is None:
            return super().read(size)
        length = self.size if size is None or size < 0 else size
        data = self._reader.read_at(sought, length)
        super().seek(sought + len(data))
        return data

    @override
    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill a buffer, except at the end of the file; returns the number of bytes."""
        sought = self._next()
        if sought is None:
            return super().readinto(buffer)
        count = self._reader.read_into(sought, memoryview(buffer).cast("B"))
        super().seek(sought + count)
        return count

    @override
    def readline(self, size: int | None = -1) -> bytes:
        """A line, with its end."""
        self._place()
        return io.BufferedReader.readline(self, -1 if size is None else size)

    @override
    def read1(self, size: int = -1) -> bytes:
        """Some bytes, for which the repository is asked once at most."""
        self._place()
        return super().read1(size)

    @override
    def readinto1(self, buffer: WriteableBuffer) -> int:
        """As `read1`, into a buffer."""
        self._place()
        return super().readinto1(buffer)

    @override
    def peek(self, size: int = 0) -> bytes:
        """Some of the bytes that come next."""
        self._place()
        return super().peek(size)

    def _place(self) -> None:
        """Make the position of all that which this thread sought."""
        if self._sought and (sought := self._next()) is not None:
            super().seek(sought)

    def _next(self) -> int | None:
        """Where this thread sought to; None to go on at the position of all."""
        sought = self._sought.pop(get_ident(), None)
        if sought is None:
            self._sought.clear()
        return sought
