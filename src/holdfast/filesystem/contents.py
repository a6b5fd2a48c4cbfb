"""A file's bytes in the target: writing them, changing only what differs, comparing them.

All three take the pieces of a file in order, each an offset with either its bytes or the length
of a run of zeros. A piece comes from a repository, whose errors pass through; what the target
refuses becomes a `TargetError`. One piece is in memory at a time.
"""

from __future__ import annotations

import errno
import os
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final, NamedTuple, TypeAlias

from holdfast.errors import DamagedRepository
from holdfast.filesystem.target import TargetError, status_at
from holdfast.model.content import iter_items
from holdfast.model.node import Content, Item
from holdfast.model.roles import BlobLoader, view_blob

AHEAD: Final = 32
"""Pieces of one file that are asked for ahead of their use."""

_BLOCK: Final = 1 << 20

Piece: TypeAlias = tuple[int, bytes | memoryview | int]

Identify: TypeAlias = Callable[[bytes], bytes]
"""Gives the id that a blob with these bytes has."""


class Written(NamedTuple):
    """What became of a file's bytes.

    Attributes:
        size: bytes written; holes and parts that were right already are not counted.
        changed: the file is not what it was.
    """

    size: int
    changed: bool


def read_pieces(content: Content | None, size: int, loader: BlobLoader) -> Iterator[Piece]:
    """The pieces of a file of the repository.

    Raises:
        DamagedRepository: a blob is missing or damaged, or has not the length it should.
    """
    if isinstance(content, bytes):
        yield 0, _load((content, size), loader)
        return
    items = iter_items(content, size, loader)
    window = _ask(items, loader)
    while window:
        following = _ask(items, loader)
        for offset, item in window:
            yield offset, _load(item, loader)
        window = following


def _ask(items: Iterator[tuple[int, Item]], loader: BlobLoader) -> list[tuple[int, Item]]:
    window = list(islice(items, AHEAD))
    loader.prefetch([item[0] for _, item in window if not isinstance(item, int)])
    return window


def _load(item: Item, loader: BlobLoader) -> memoryview | int:
    if isinstance(item, int):
        return item
    blob, length = item
    data = view_blob(loader, blob)
    if len(data) != length:
        raise DamagedRepository(f"blob {blob.hex()}", f"{len(data)} bytes instead of {length}")
    return data


def write_pieces(fd: int, pieces: Iterable[Piece], size: int, *, sparse: bool) -> Written:
    """Fill an empty file; runs of zeros become holes.

    Args:
        fd: descriptor of the file, open for writing.
        pieces: all of them.
        size: bytes of the file, holes counted.
        sparse: leave holes for pieces that are all zero, too.

    Raises:
        TargetError: the target refuses, such as when it is full.
        DamagedRepository: a piece cannot be read.
    """
    written = end = 0
    for offset, data in pieces:
        if isinstance(data, int) or (sparse and _is_zero(bytes(data))):
            continue
        _write(fd, data, offset)
        written += len(data)
        end = offset + len(data)
    if end < size:
        _set_size(fd, size)
    return Written(written, changed=True)


def update_pieces(fd: int, pieces: Iterable[Piece], size: int, *, sparse: bool) -> Written:
    """Make an existing file equal to the pieces, writing only those that differ.

    The first byte written gives the file a new mtime; its final one is set last, so a file that a
    crash leaves half changed never has the mtime of the snapshot.

    Args:
        fd: descriptor of the file, open for reading and writing.
        pieces: all of them.
        size: bytes the file is to have.
        sparse: do not write zeros behind its end.

    Raises:
        TargetError: the target refuses.
        DamagedRepository: a piece cannot be read; the file is changed up to there.
    """
    before = _size_of(fd)
    written = 0
    for offset, data in pieces:
        if isinstance(data, int):
            for start, length in _dirt(fd, offset, min(offset + data, before)):
                _write(fd, bytes(length), start)
                written += length
        elif not _holds(fd, bytes(data), offset, zeros_implied=sparse):
            _write(fd, data, offset)
            written += len(data)
    if _size_of(fd) != size:
        _set_size(fd, size)
    return Written(written, changed=written > 0 or before != size)


def first_difference(fd: int, pieces: Iterable[Piece]) -> int | None:
    """Where a file first differs from the pieces: the offset of that piece; None when nowhere.

    The size is the caller's to compare.

    Raises:
        TargetError: the file cannot be read.
        DamagedRepository: a piece cannot be read.
    """
    for offset, data in pieces:
        if isinstance(data, int):
            if next(_dirt(fd, offset, offset + data), None) is not None:
                return offset
        elif not _holds(fd, bytes(data), offset, zeros_implied=False):
            return offset
    return None


def is_as_named(fd: int, offset: int, item: Item, identify: Identify) -> bool:
    """Whether a file has a piece of a snapshot there, by its id alone: no repository is read.

    Args:
        fd: descriptor of the file.
        offset: where the piece begins.
        item: the piece.
        identify: gives the id of a blob with these bytes.

    Raises:
        TargetError: the file cannot be read.
    """
    if isinstance(item, int):
        return next(_dirt(fd, offset, offset + item), None) is None
    blob, length = item
    data = _read(fd, offset, length)
    return len(data) == length and identify(data) == blob


def first_wrong_byte(fd: int, offset: int, item: Item, loader: BlobLoader) -> int:
    """Where in a file the first byte is that differs from a piece which differs.

    Raises:
        TargetError: the file cannot be read.
        DamagedRepository: the blob of the piece cannot be read.
    """
    if isinstance(item, int):
        start, length = next(_dirt(fd, offset, offset + item), (offset, 0))
        return start + length - len(_read(fd, start, length).lstrip(b"\0"))
    expected = bytes(_load(item, loader))
    found = _read(fd, offset, len(expected))
    same = range(len(expected))
    return offset + bisect_left(same, True, key=lambda at: found[: at + 1] != expected[: at + 1])


def _is_zero(data: bytes) -> bool:
    return data.count(0) == len(data)


def _holds(fd: int, data: bytes, offset: int, *, zeros_implied: bool) -> bool:
    """Whether a file has these bytes there; its end may stand for zeros."""
    found = _read(fd, offset, len(data))
    if found == data:
        return True
    return zeros_implied and len(found) < len(data) and _is_zero(found) and _is_zero(data)


def _read(fd: int, offset: int, length: int) -> bytes:
    """So many bytes of a file, fewer only at its end."""
    try:
        found = os.pread(fd, length, offset)
        while found and len(found) < length:  # a signal, or a network file system
            more = os.pread(fd, length - len(found), offset + len(found))
            if not more:
                break
            found += more
    except OSError as error:
        raise TargetError("read", error) from error
    return found


def _write(fd: int, data: bytes | memoryview, offset: int) -> None:
    try:
        done = os.pwrite(fd, data, offset)
        while done < len(data):
            done += os.pwrite(fd, memoryview(data)[done:], offset + done)
    except (OSError, OverflowError) as error:
        raise TargetError("write", error) from error


def _set_size(fd: int, size: int) -> None:
    try:
        os.ftruncate(fd, size)
    except (OSError, OverflowError) as error:
        raise TargetError("write", error) from error


def _size_of(fd: int) -> int:
    return status_at(fd).st_size


def _dirt(fd: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The blocks (offset, length) between two offsets that are not all zero; holes are passed."""
    try:
        while start < end:
            found = _next_data(fd, start)
            if found is None or found >= end:
                return
            data = os.pread(fd, min(_BLOCK, end - found), found)
            if not data:
                return
            if not _is_zero(data):
                yield found, len(data)
            start = found + len(data)
    except OSError as error:
        raise TargetError("read", error) from error


def _next_data(fd: int, offset: int) -> int | None:
    """Where the next data is, at or after an offset; None when only a hole follows."""
    try:
        return os.lseek(fd, offset, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return None
        if error.errno == errno.EINVAL:  # a file system that does not know holes
            return offset
        raise
