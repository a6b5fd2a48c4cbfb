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
from collections.abc import Callable
from typing import Final, TypeAlias

from holdfast.filesystem.metadata import Xattrs, node_type, read_xattrs, xattr_path
from holdfast.filesystem.target import TargetError
from holdfast.model.node import Node, NodeType

OnFailure: TypeAlias = Callable[[TargetError], object]
"""Told of a step that failed; the others are done all the same."""

_HOLD: Final[int] = (
    getattr(os, "O_PATH", os.O_RDONLY | os.O_NONBLOCK) | os.O_NOFOLLOW | os.O_CLOEXEC
)

_NO_ID: Final = (1 << 32) - 1
"""What ``chown`` takes for "leave it as it is"."""

SAFE_TIMES: Final = range(1 << 31)
"""Seconds that every file system can store; for others it is checked what came of them."""

_OURS: Final = (b"user.", b"system.posix_acl_")
"""Attributes that are removed where the snapshot has none; the rest is the system's own."""


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
    """
    if may_change_owners():
        _change_owner(fd, node, tell)
    if node.xattrs or inherits:
        _apply_xattrs(fd, node.xattrs, tell)
    mode = node.mode
    if mode & (stat.S_ISUID | stat.S_ISGID):
        mode = _checked_mode(node, os.fstat(fd), tell)
    _change_mode(fd, mode, tell)
    _change_times(fd, node, tell)


def apply_to_descriptor(fd: int, node: Node, tell: OnFailure) -> None:
    """Finish a file or directory that may have been there before; what is right is left alone.

    Args:
        fd: descriptor of a file with no other name, or of a directory.
        node: what it is to become.
        tell: see `OnFailure`.
    """
    before = os.fstat(fd)
    if may_change_owners() and (before.st_uid, before.st_gid) != (node.uid, node.gid):
        _change_owner(fd, node, tell)
    _apply_xattrs(fd, node.xattrs, tell)
    now = os.fstat(fd)
    mode = _checked_mode(node, now, tell)
    if stat.S_IMODE(now.st_mode) != mode:
        _change_mode(fd, mode, tell)
    if now.st_mtime_ns != node.mtime:
        _change_times(fd, node, tell)


def apply_to_name(fd: int, name: bytes, node: Node, tell: OnFailure) -> None:
    """Finish a link, fifo, socket or device.

    Args:
        fd: descriptor of its directory.
        name: its name there; it is not followed if it is a link.
        node: what it is to become.
        tell: see `OnFailure`.
    """
    if may_change_owners():
        _step(
            "owner",
            tell,
            lambda: os.chown(
                name, *checked_owner(node.uid, node.gid), dir_fd=fd, follow_symlinks=False
            ),
        )
    if node.xattrs:
        _apply_xattrs(xattr_path(fd, name), node.xattrs, tell)
    if node.type != NodeType.SYMLINK:
        _change_special_mode(fd, name, node, tell)
    _change_times((fd, name), node, tell)


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


def _change_owner(fd: int, node: Node, tell: OnFailure) -> None:
    try:
        os.fchown(fd, *checked_owner(node.uid, node.gid))
    except (OSError, OverflowError) as error:
        tell(TargetError("owner", error))


def _change_mode(fd: int, mode: int, tell: OnFailure) -> None:
    try:
        os.fchmod(fd, mode)
    except OSError as error:
        tell(TargetError("mode", error))


def _checked_mode(node: Node, status: os.stat_result, tell: OnFailure) -> int:
    mode = wanted_mode(node, status)
    if mode != node.mode:
        tell(TargetError("mode", "set-id bits left out: the owner could not be restored"))
    return mode


def _change_special_mode(fd: int, name: bytes, node: Node, tell: OnFailure) -> None:
    """Change the mode of what must not be opened: held by a descriptor that opens nothing."""
    try:
        held = os.open(name, _HOLD, dir_fd=fd)
        try:
            status = os.fstat(held)
            if node_type(status) != node.type:
                raise TargetError("mode", "something else took its place")
            mode = _checked_mode(node, status, tell)
            os.chmod(f"/proc/self/fd/{held}", mode)  # noqa: PTH101 - of a descriptor
        finally:
            os.close(held)
    except OSError as error:
        tell(TargetError("mode", error))
    except TargetError as error:
        tell(error)


def _change_times(entry: int | tuple[int, bytes], node: Node, tell: OnFailure) -> None:
    """Set atime and mtime to the node's mtime, or to what comes nearest."""
    try:
        _set_times(entry, node.mtime)
        if node.mtime // 10**9 in SAFE_TIMES:
            return
        status = os.fstat(entry) if isinstance(entry, int) else os.lstat(entry[1], dir_fd=entry[0])
        stored = status.st_mtime_ns
    except OverflowError:
        stored = (1 << 63) - 1 if node.mtime > 0 else -(1 << 63)
        _step("time", tell, lambda: _set_times(entry, stored))
    except OSError as error:
        tell(TargetError("time", error))
        return
    if stored != node.mtime:
        tell(TargetError("time", f"mtime {node.mtime} ns is beyond what the file system stores"))


def _set_times(entry: int | tuple[int, bytes], time: int) -> None:
    if isinstance(entry, int):
        os.utime(entry, ns=(time, time))
    else:
        fd, name = entry
        os.utime(name, ns=(time, time), dir_fd=fd, follow_symlinks=False)


def _apply_xattrs(entry: int | bytes, wanted: Xattrs, tell: OnFailure) -> None:
    """Set the attributes that are wanted, remove others that a user could have set."""
    if not hasattr(os, "setxattr"):
        if wanted:
            tell(TargetError("xattr", "this system has no extended attributes"))
        return
    before = dict(read_xattrs(entry)[0])
    for name, value in wanted:
        if before.pop(name, None) != value:
            _change_xattr(entry, name, value, tell)
    for name in before:
        if name.startswith(_OURS):
            _change_xattr(entry, name, None, tell)


def _change_xattr(entry: int | bytes, name: bytes, value: bytes | None, tell: OnFailure) -> None:
    """Set an attribute, or remove it when there is no value for it."""
    follow = isinstance(entry, int)  # a descriptor cannot be told not to follow
    try:
        if value is None:
            os.removexattr(entry, name, follow_symlinks=follow)
        else:
            os.setxattr(entry, name, value, follow_symlinks=follow)
    except OSError as error:
        problem = os.strerror(error.errno or 0)
        tell(TargetError("xattr", f"{os.fsdecode(name)}: {problem}"))
