"""Archives and compressed files: read through to their end, with their checksums."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol, cast

from holdfast.platform.formats.verdict import Broken, Limits, Unread

_CHUNK: Final = 1 << 20
_BAD: Final = (EOFError, OSError, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile, zlib.error)


class _Stream(Protocol):
    """What can be read."""

    def read(self, size: int = -1, /) -> bytes:
        """At most so many bytes; empty at the end."""

    def close(self) -> None:
        """Let go of it."""


class _HasMembers(Protocol):
    """What `tarfile.TarFile` has besides what is known of it."""

    members: list[tarfile.TarInfo]


class _Bounded:
    """A stream that is read forward only, and not without end.

    Attributes:
        last: what was read last.
    """

    def __init__(self, stream: _Stream, limit: int) -> None:
        self._stream = stream
        self._left = limit
        self._position = 0
        self.last = b""

    def read(self, size: int = _CHUNK) -> bytes:
        data = self._stream.read(size)
        self._position += len(data)
        self._left -= len(data)
        if self._left < 0:
            raise Unread("it expands to more than is read")
        self.last = data
        return data

    def seek(self, position: int) -> int:
        while self._position < position and self.read(min(_CHUNK, position - self._position)):
            pass
        return self._position

    def tell(self) -> int:
        return self._position


_OPENERS: Final[dict[str, Callable[[Path], _Stream]]] = {
    "": lambda path: path.open("rb"),
    "gz": gzip.GzipFile,
    "bz2": bz2.BZ2File,
    "xz": lzma.LZMAFile,
}


def read_compressed(path: Path, limits: Limits, kind: str) -> None:
    """Read a compressed file; kind is ``gz``, ``bz2`` or ``xz``."""
    stream = _OPENERS[kind](path)
    try:
        _read_to_the_end(_Bounded(stream, limits.expanded))
    except _BAD as error:
        raise Broken(str(error) or type(error).__name__) from error
    finally:
        stream.close()


def read_tar(path: Path, limits: Limits, kind: str = "") -> None:
    """Read a tar archive, compressed if kind says so."""
    stream = _OPENERS[kind](path)
    bounded = _Bounded(stream, limits.expanded)
    try:
        _walk_tar(bounded)
        _read_to_the_end(bounded)
    except _BAD as error:
        raise Broken(str(error) or type(error).__name__) from error
    finally:
        stream.close()


def _walk_tar(stream: _Bounded) -> None:
    with tarfile.open(fileobj=cast("tarfile._Fileobj", stream), mode="r:") as archive:  # noqa: SLF001 - the name of its type
        while archive.next() is not None:
            cast("_HasMembers", archive).members.clear()  # or all of a long archive would be kept
    if not stream.last or any(stream.last):  # tarfile takes a bad header for the end
        raise Broken("it ends without an end mark, or a header in it is damaged")


def read_zip(path: Path, limits: Limits) -> None:
    """Read a zip archive."""
    left = limits.expanded
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if member.flag_bits & 1:
                    raise Unread("it is encrypted")
                with archive.open(member) as stream:
                    left -= _read_to_the_end(_Bounded(stream, left))
    except _BAD as error:
        raise Broken(str(error) or type(error).__name__) from error
    except NotImplementedError as error:
        raise Unread(str(error)) from error


def _read_to_the_end(stream: _Bounded) -> int:
    start = stream.tell()
    while stream.read():
        pass
    return stream.tell() - start
