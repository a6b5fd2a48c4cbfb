"""Giving an entry of the target the owner, attributes, mode and times of a node.

The order is fixed by what the system does behind one's back: a change of owner clears the
set-id bits and capabilities, an access control list changes the group's bits, and everything
else changes the mtime. So: owner, extended attributes, mode, times.

Each step that fails is told and the next is tried. Only root changes owners. Without that, a
file's set-user-id bit would lend the rights of whoever restores it, so it is left out then.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from holdfast.filesystem.metadata import Xattrs, node_type, read_xattrs
from holdfast.filesystem.target import TargetError, status_at
from holdfast.model.node import Node, NodeType

OnFailure: TypeAlias = Callable[[TargetError], object]
"""Told of a step that failed; the others are done all the same."""

_O_PATH: Final[int] = getattr(os, "O_PATH", 0)  # Linux only

_HAS_PROC: Final = Path("/proc/self/fd").is_dir()
"""Descriptors have paths; in a bare ``chroot`` of a rescue system they have none."""

_NO_ID: Final = (1 << 32) - 1
"""What ``chown`` takes for "leave it as it is"."""

SAFE_TIMES: Final = range(1 << 31)
"""Seconds that every file system can store; for others it is checked what came of them."""

_OURS: Final = (b"user.", b"system.posix_acl_")
"""Attributes that are removed where the snapshot has none; the rest is the system's own."""


class _Entry(NamedTuple):
    """What is changed: a descriptor, or a path.

    Attributes:
        path: of the entry.
        directory: descriptor of the directory that a path begins at.
        follow: the path leads to the entry through a link, as one in ``/proc`` does.
    """

    path: int | bytes
    directory: int | None = None
    follow: bool = True


def may_change_owners() -> bool:
    """Whether this process restores owners: it is root's."""
    return os.geteuid() == 0


def wanted_mode(node: Node, status: os.stat_result) -> int:
    """The permission bits that an entry with this status gets: set-id bits need their owner."""
    mode = node.mode & 0o7777
    if node.uid != status.st_uid:
        mode &= ~stat.S_ISUID
    if node.gid != status.st_gid and node.type != NodeType.DIRECTORY:
        mode &= ~stat.S_ISGID
    return mode


def apply_to_new(fd: int, node: Node, tell: OnFailure, *, inherits: bool) -> None:
    """Finish a file or directory that was just created.

    Args:
        fd: its descriptor.
        node: what it is to become.
        tell: see `OnFailure`.
        inherits: its directory may have given it attributes that the snapshot does not know.

    Raises:
        TargetError: it cannot be examined.
    """
    entry = _Entry(fd)
    if may_change_owners():
        _change_owner(entry, node, tell)
    if node.xattrs or inherits:
        _apply_xattrs(entry, node.xattrs, tell)
    mode = node.mode
    if mode & (stat.S_ISUID | stat.S_ISGID):
        mode = _checked_mode(node, status_at(fd), tell)
    _change_mode(entry, mode, tell)
    _change_times(entry, node, tell)


def apply_to_descriptor(fd: int, node: Node, tell: OnFailure) -> None:
    """Finish a file or directory that may have been there before; what is right is left alone.

    Args:
        fd: descriptor of a file with no other name, or of a directory.
        node: what it is to become.
        tell: see `OnFailure`.

    Raises:
        TargetError: it cannot be examined.
    """
    entry = _Entry(fd)
    before = status_at(fd)
    if may_change_owners() and (before.st_uid, before.st_gid) != (node.uid, node.gid):
        _change_owner(entry, node, tell)
    _apply_xattrs(entry, node.xattrs, tell)
    now = status_at(fd)
    mode = _checked_mode(node, now, tell)
    if stat.S_IMODE(now.st_mode) != mode:
        _change_mode(entry, mode, tell)
    if now.st_mtime_ns != node.mtime:
        _change_times(entry, node, tell)


def apply_to_name(fd: int, name: bytes, node: Node, tell: OnFailure) -> None:
    """Finish a link, fifo, socket or device that was just created.

    Args:
        fd: descriptor of its directory.
        name: its name there; it is not followed if it is a link.
        node: what it is to become.
        tell: see `OnFailure`.

    Raises:
        TargetError: it is not there any more. What took its place is left as it is.
    """
    with _held(fd, name, node) as entry:
        if may_change_owners():
            _change_owner(entry, node, tell)
        if node.xattrs:
            _apply_xattrs(entry, node.xattrs, tell)
        if node.type != NodeType.SYMLINK:
            mode = _checked_mode(node, _status(entry), tell)
            _change_mode(entry, mode, tell)
        _change_times(entry, node, tell)


@contextmanager
def _held(fd: int, name: bytes, node: Node) -> Iterator[_Entry]:
    """Hold what must not be opened, by a descriptor that opens nothing.

    Were each step to go by the name, it would change a file outside the target if somebody put
    another name of that there between two of them. What was just created has one name.
    """
    try:
        held = os.open(name, _O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd) if _O_PATH else None
    except OSError as error:
        raise TargetError("examine", error) from error
    entry = _Entry(name, fd, follow=False)  # all that there is elsewhere than on Linux
    try:
        status = _status(entry) if held is None else os.fstat(held)
        if node_type(status) != node.type or status.st_nlink > 1:  # some say 0 of all files
            raise TargetError("examine", "something else took its place")
        yield _Entry(b"/proc/self/fd/%d" % held) if held is not None and _HAS_PROC else entry
    except OSError as error:
        raise TargetError("examine", error) from error
    finally:
        if held is not None:
            os.close(held)


def _status(entry: _Entry) -> os.stat_result:
    path, directory, follow = entry
    return os.stat(path, dir_fd=directory, follow_symlinks=follow)


def _step(operation: str, tell: OnFailure, action: Callable[[], object]) -> None:
    try:
        action()
    except (OSError, OverflowError) as error:
        tell(TargetError(operation, error))


def checked_owner(uid: int, gid: int) -> tuple[int, int]:
    """An owner; OverflowError if no file can have it."""
    if _NO_ID in (uid, gid):
        raise OverflowError(f"owner {_NO_ID} cannot be given to a file")
    return uid, gid


def _change_owner(entry: _Entry, node: Node, tell: OnFailure) -> None:
    path, directory, follow = entry
    _step(
        "owner",
        tell,
        lambda: os.chown(
            path, *checked_owner(node.uid, node.gid), dir_fd=directory, follow_symlinks=follow
        ),
    )


def _change_mode(entry: _Entry, mode: int, tell: OnFailure) -> None:
    path, directory, follow = entry
    try:
        os.chmod(path, mode, dir_fd=directory, follow_symlinks=follow)
    except OSError as error:
        tell(TargetError("mode", error))
    except (ValueError, NotImplementedError):  # Python's, where the system cannot but follow links
        tell(TargetError("mode", "this system does not change it by a name"))


def _checked_mode(node: Node, status: os.stat_result, tell: OnFailure) -> int:
    mode = wanted_mode(node, status)
    if mode != node.mode:
        tell(TargetError("mode", "set-id bits left out: the owner could not be restored"))
    return mode


def _change_times(entry: _Entry, node: Node, tell: OnFailure) -> None:
    """Set atime and mtime to the node's mtime, or to what comes nearest."""
    try:
        _set_times(entry, node.mtime)
        if node.mtime // 10**9 in SAFE_TIMES:
            return
        stored = _status(entry).st_mtime_ns
    except OverflowError:
        stored = (1 << 63) - 1 if node.mtime > 0 else -(1 << 63)
        _step("time", tell, lambda: _set_times(entry, stored))
    except OSError as error:
        tell(TargetError("time", error))
        return
    if stored != node.mtime:
        tell(TargetError("time", f"mtime {node.mtime} ns is beyond what the file system stores"))


def _set_times(entry: _Entry, time: int) -> None:
    path, directory, follow = entry
    os.utime(path, ns=(time, time), dir_fd=directory, follow_symlinks=follow)


def _apply_xattrs(entry: _Entry, wanted: Xattrs, tell: OnFailure) -> None:
    """Set the attributes that are wanted, remove others that a user could have set."""
    if not hasattr(os, "setxattr") or entry.directory is not None:  # it takes no such name
        if wanted:
            tell(TargetError("xattr", "this system does not let them be set"))
        return
    before = dict(read_xattrs(entry.path, follow=entry.follow)[0])
    for name, value in wanted:
        if before.pop(name, None) != value:
            _change_xattr(entry.path, name, value, tell)
    for name in before:
        if name.startswith(_OURS):
            _change_xattr(entry.path, name, None, tell)


def _change_xattr(path: int | bytes, name: bytes, value: bytes | None, tell: OnFailure) -> None:
    """Set an attribute, or remove it when there is no value for it."""
    try:
        if value is None:
            os.removexattr(path, name)
        else:
            os.setxattr(path, name, value)
    except OSError as error:
        problem = os.strerror(error.errno or 0)
        tell(TargetError("xattr", f"{os.fsdecode(name)}: {problem}"))
