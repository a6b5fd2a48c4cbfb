"""Whether a live file still has the bytes that a snapshot has of it."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable
from typing import NamedTuple

from holdfast.errors import DamagedRepository
from holdfast.filesystem.contents import Identify, first_wrong_byte, is_as_named
from holdfast.filesystem.target import TargetError
from holdfast.model.content import iter_items
from holdfast.model.node import Item, Node
from holdfast.model.roles import BlobLoader
from holdfast.model.walk import file_content

_log = logging.getLogger(__name__)


class FileVerdict(NamedTuple):
    """What was found in a file.

    Attributes:
        status: its status after it was read.
        is_stable: it did not change meanwhile.
        chunks: how many of its chunks differ from the snapshot's.
        chunks_total: how many it has, runs of zeros among them.
        size: bytes of the chunks that differ.
        offset: where the first byte is that differs; None when none does.
    """

    status: os.stat_result
    is_stable: bool
    chunks: int
    chunks_total: int
    size: int
    offset: int | None


def judge_content(
    fd: int, node: Node, loader: BlobLoader, identify: Identify, on_read: Callable[[int], object]
) -> FileVerdict:
    """Read an open file, one chunk at a time, and compare it with a node of the same size.

    Args:
        fd: descriptor of the file.
        node: what the snapshot has.
        loader: where lists of chunks are, and a chunk that differs.
        identify: gives the id of a blob with these bytes.
        on_read: told of the bytes of each chunk.

    Raises:
        TargetError: the file cannot be read.
        DamagedRepository: the list of its chunks is missing or damaged.
    """
    before = os.fstat(fd)
    first: tuple[int, Item] | None = None
    chunks = total = size = 0
    for offset, item in iter_items(file_content(node), node.size, loader):
        length = item if isinstance(item, int) else item[1]
        total += 1
        if not is_as_named(fd, offset, item, identify):
            first = first or (offset, item)
            chunks += 1
            size += length
        on_read(length)
    place = None if first is None else _first_byte(fd, first, loader)
    after = os.fstat(fd)
    return FileVerdict(after, _marks(before) == _marks(after), chunks, total, size, place)


def _first_byte(fd: int, piece: tuple[int, Item], loader: BlobLoader) -> int:
    offset, item = piece
    try:
        return first_wrong_byte(fd, offset, item, loader)
    except DamagedRepository as error:  # that it differs is known all the same, by its id
        _log.warning("%s", error)
        return offset


def _marks(status: os.stat_result) -> tuple[int, ...]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def open_regular(open_file: Callable[[bytes], int], name: bytes, size: int) -> int | None:
    """Open a file that was listed; None when it is no regular file of that size any more.

    Raises:
        TargetError: it cannot be opened.
    """
    try:
        fd = open_file(name)
    except OSError as error:
        raise TargetError("open", error) from error
    status = os.fstat(fd)
    if stat.S_ISREG(status.st_mode) and status.st_size == size:
        return fd
    os.close(fd)
    return None
