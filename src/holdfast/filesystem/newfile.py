"""Small new files, each with as few system calls as it takes: what most of a restore is made of.

Everything out of the ordinary (attributes, set-id bits, holes, several blobs, odd times, whatever
fails) is left to the long way: `holdfast.filesystem.contents` and `apply`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from operator import itemgetter
from typing import Final, TypeAlias

from holdfast.filesystem.apply import SAFE_TIMES, checked_owner, may_change_owners
from holdfast.filesystem.target import NEW_FILE, TemporaryNames, discard
from holdfast.model.node import Node, NodeType

PlainFile: TypeAlias = tuple[bytes, int, int, int, int, int]
"""Name, mode, uid, gid, mtime and size of a file."""

_FIELDS: Final = tuple(map(Node._fields.index, ("name", "mode", "uid", "gid", "mtime", "size")))
plain_file: Final[Callable[[Node], PlainFile]] = itemgetter(*_FIELDS)
"""Makes a `PlainFile` of a node."""

_SAFE_NS: Final = SAFE_TIMES.stop * 10**9


def is_plain(node: Node, limit: int) -> bool:
    """Whether an entry is a file that `NewFiles` can write.

    Args:
        node: the entry.
        limit: bytes that it must not have.
    """
    _, kind, mode, _, _, _, _, mtime, _, _, size, payload, filesystem, xattrs, _ = node
    return (
        kind == NodeType.FILE
        and size < limit
        and (payload is None or isinstance(payload, bytes))
        and filesystem is None
        and not xattrs
        and not mode & (stat.S_ISUID | stat.S_ISGID)
        and 0 <= mtime < _SAFE_NS
    )


class NewFiles:
    """Creates files in one directory, in which nobody else does.

    Args:
        fd: descriptor of a directory that hands no attributes on to what is created in it.
        temporary: names for files that are not complete yet.
    """

    def __init__(self, fd: int, temporary: TemporaryNames) -> None:
        self._fd = fd
        self._temporary = temporary
        self._changes_owners = may_change_owners()
        self._owner: tuple[int, int] | None = None  # of new files, when one was seen

    def write(self, file: PlainFile, content: memoryview | bytes) -> bool:
        """Create a file with owner, mode and times, complete before it has its name.

        Args:
            file: what it is to become, from a node that `is_plain`.
            content: its bytes.

        Returns:
            Whether it was done. If not, nothing is left of it.
        """
        name, mode, uid, gid, mtime, size = file
        if len(content) != size:
            return False
        temporary = next(self._temporary)
        try:
            fd = os.open(temporary, NEW_FILE, 0o600, dir_fd=self._fd)
        except OSError:  # the long way will tell
            return False
        try:
            try:
                if size and os.pwrite(fd, content, 0) != size:
                    return self._undone(temporary)
                if self._changes_owners and (uid, gid) != self._owner:
                    self._give(fd, uid, gid)
                os.fchmod(fd, mode)
                os.utime(fd, ns=(mtime, mtime))
            finally:
                os.close(fd)
            os.rename(temporary, name, src_dir_fd=self._fd, dst_dir_fd=self._fd)
        except (OSError, OverflowError):  # the same
            return self._undone(temporary)
        except BaseException:
            discard(self._fd, temporary)
            raise
        return True

    def _undone(self, temporary: bytes) -> bool:
        discard(self._fd, temporary)
        return False

    def _give(self, fd: int, uid: int, gid: int) -> None:
        """Give a file that was just created to its owner, unless it has that owner already."""
        if self._owner is None:
            status = os.fstat(fd)
            self._owner = status.st_uid, status.st_gid
        owner = checked_owner(uid, gid)
        if owner != self._owner:
            os.fchown(fd, *owner)
