"""Directories held by handle, not by path, however deep the tree is.

Everything below a directory is opened relative to its descriptor, so no path is ever longer than
one component, and nobody can swap a directory for a symlink between two steps. Only a bounded
number of descriptors stays open: a far ancestor is closed and opened again on the way back.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from typing import Final

from holdfast.closing import Closing
from holdfast.filesystem.events import is_shortage
from holdfast.overrides import override

LIST: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""Open a directory to list it and to reach its entries; a symlink is refused."""

# O_PATH needs no permission to read the directory; where it does not exist there is no equivalent.
PASS: Final = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
"""Open a directory only to reach entries in it; a symlink is followed."""

MAX_OPEN: Final = 64
"""How many descriptors a stack keeps open."""

_CLOSED: Final = -1


@dataclass(slots=True)
class _Level:
    """One directory on the stack: how it was opened, and which directory it was."""

    name: bytes
    flags: int
    device: int
    inode: int
    descriptor: int

    def checked(self, descriptor: int) -> int:
        """The descriptor if it is of the directory that was entered, or else closes it."""
        try:
            found = os.fstat(descriptor)
        except OSError:  # a network file system that forgot it
            return _closed(descriptor)
        same = (found.st_dev, found.st_ino) == (self.device, self.inode)
        return descriptor if same else _closed(descriptor)


class DirectoryStack(Closing):
    """The way from a root directory down to the one being worked on.

    The root's descriptor and those of the deepest levels stay open; the levels between them are
    opened again when the way back reaches them: through ``..`` of the child or, if that has moved
    meanwhile, component by component from the root. Either must find the very directory that was
    entered, by device and inode.

    Args:
        root: descriptor of the root directory. The stack owns it from now on and closes it.
        limit: greatest number of descriptors to keep open, at least 2.

    Raises:
        OSError: the root cannot be examined (it is closed then).
    """

    def __init__(self, root: int, limit: int = MAX_OPEN) -> None:
        self._limit = limit
        self._levels = [_examine(b"", PASS, root)[0]]
        self._lowest = 1  # levels[lowest:] and levels[0] are open; what lies between is closed

    @property
    def fd(self) -> int:
        """Descriptor of the deepest directory; valid until the next `enter` or `leave`.

        Raises:
            OSError: ESTALE, the directory was not opened again when its child was left.
        """
        descriptor = self._levels[-1].descriptor
        if descriptor == _CLOSED:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return descriptor

    @property
    def depth(self) -> int:
        """How many levels below the root the deepest directory is."""
        return len(self._levels) - 1

    def enter(self, name: bytes, flags: int = LIST) -> os.stat_result:
        """Go down into a directory of the deepest one.

        Args:
            name: one path component.
            flags: `LIST`, `PASS`, or other flags of ``os.open``.

        Returns:
            The status of the directory that was opened.

        Raises:
            OSError: it cannot be opened; the stack is as before. ENOTDIR or ELOOP when it is no
                directory (any more).
        """
        descriptor = os.open(name, flags, dir_fd=self.fd)
        level, status = _examine(name, flags, descriptor)
        self._levels.append(level)
        if len(self._levels) - self._lowest >= self._limit:
            self._close_level(self._levels[self._lowest])
            self._lowest += 1
        return status

    def leave(self) -> None:
        """Go back up to the parent.

        Raises:
            OSError: ESTALE, the parent is not to be found any more; or there are no descriptors
                to open it with. The stack is at the parent all the same, without a descriptor, and
                `leave` may be called again.
            ValueError: this is the root.
        """
        if not self.depth:
            raise ValueError("the root of a directory stack cannot be left")
        child = self._levels.pop()
        try:
            if self.depth and self.depth < self._lowest:
                self._lowest = self.depth
                self._reopen(child.descriptor)
        finally:
            self._close_level(child)

    @override
    def close(self) -> None:
        """Close every descriptor. The stack is of no use afterwards."""
        for level in self._levels:
            self._close_level(level)

    def _reopen(self, child: int) -> None:
        """Open the deepest level again."""
        level = self._levels[-1]
        found = self._open_parent(child)
        if found == _CLOSED:
            found = self._open_from_root()
        if found == _CLOSED:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), level.name)
        level.descriptor = found

    def _open_parent(self, child: int) -> int:
        if child == _CLOSED:
            return _CLOSED
        level = self._levels[-1]
        try:
            found = os.open(b"..", level.flags, dir_fd=child)
        except OSError as error:  # not to be had this way; the way from the root decides
            if is_shortage(error):
                raise
            return _CLOSED
        return level.checked(found)

    def _open_from_root(self) -> int:
        found = self._levels[0].descriptor
        for number, level in enumerate(self._levels[1:]):
            try:
                below = os.open(level.name, level.flags, dir_fd=found)
            except OSError as error:  # a component is gone or replaced: stale
                if is_shortage(error):
                    raise
                below = _CLOSED
            finally:
                if number:
                    os.close(found)
            if below == _CLOSED:
                return _CLOSED
            found = below
        return self._levels[-1].checked(found)

    @staticmethod
    def _close_level(level: _Level) -> None:
        if level.descriptor != _CLOSED:
            level.descriptor = _closed(level.descriptor)


def _closed(descriptor: int) -> int:
    os.close(descriptor)
    return _CLOSED


def _examine(name: bytes, flags: int, descriptor: int) -> tuple[_Level, os.stat_result]:
    """What is recorded of a directory just opened; closes the descriptor if that fails."""
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISDIR(status.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), name)
    except OSError:
        os.close(descriptor)
        raise
    return _Level(name, flags, status.st_dev, status.st_ino, descriptor), status
