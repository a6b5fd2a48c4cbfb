"""Where a sparse file has data: its holes are neither read nor stored."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from typing import Final, NamedTuple

_BLOCK: Final = 512  # the unit of st_blocks, whatever the file system's own
_HAS_EXTENTS: Final = hasattr(os, "SEEK_DATA") and hasattr(os, "SEEK_HOLE")


class Extent(NamedTuple):
    """A piece of a file.

    Attributes:
        offset: where it begins, in bytes.
        length: in bytes, never 0.
        is_hole: it reads as zeros and takes no room.
    """

    offset: int
    length: int
    is_hole: bool


def data_extents(descriptor: int, status: os.stat_result) -> Iterator[Extent]:
    """Tell data from holes, from the beginning of a file to the size in its status.

    The extents follow each other without gaps. A file that takes all the room its size needs, and
    one on a file system that cannot tell, is one extent of data. Where the file shrinks meanwhile,
    what is missing shows as a hole or as data that cannot be read.

    Args:
        descriptor: of a regular file. Its position is moved: read with ``pread``.
        status: from ``fstat`` of the descriptor.

    Raises:
        OSError: the file cannot be examined.
    """
    size = status.st_size
    if not _HAS_EXTENTS or status.st_blocks * _BLOCK >= size:
        if size:
            yield Extent(0, size, is_hole=False)
        return
    offset = 0
    while offset < size:
        data = min(_seek(descriptor, offset, os.SEEK_DATA, none=size), size)
        if data > offset:
            yield Extent(offset, data - offset, is_hole=True)
        if data >= size:
            return
        hole = min(_seek(descriptor, data, os.SEEK_HOLE, none=size), size)
        if hole <= data:  # it changed between the two questions
            hole = size
        yield Extent(data, hole - data, is_hole=False)
        offset = hole


def _seek(descriptor: int, offset: int, whence: int, none: int) -> int:
    """The next place of that kind at or after an offset; `none` when there is no more."""
    try:
        return os.lseek(descriptor, offset, whence)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return none
        if error.errno == errno.EINVAL:  # not supported: data from here to the end
            return offset if whence == os.SEEK_DATA else none
        raise
