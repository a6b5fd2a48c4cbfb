"""What the system says of an entry, as a node: status, names of owners, extended attributes."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from collections.abc import Callable
from typing import Final

from holdfast.filesystem.events import refuse_shortage
from holdfast.filesystem.handles import PASS
from holdfast.model.node import Content, Node, NodeType
from holdfast.model.node import Xattrs as Xattrs  # noqa: PLC0414 - others import it from here

_TYPES: Final = {
    stat.S_IFREG: NodeType.FILE,
    stat.S_IFDIR: NodeType.DIRECTORY,
    stat.S_IFLNK: NodeType.SYMLINK,
    stat.S_IFIFO: NodeType.FIFO,
    stat.S_IFSOCK: NodeType.SOCKET,
    stat.S_IFCHR: NodeType.CHARACTER_DEVICE,
    stat.S_IFBLK: NodeType.BLOCK_DEVICE,
}
_DEVICES: Final = (NodeType.CHARACTER_DEVICE, NodeType.BLOCK_DEVICE)

MAX_XATTRS: Final = 3 << 20
"""Most bytes of extended attributes of one entry, which must fit into a page of its directory."""

_XATTR_OVERHEAD: Final = 16
_HAS_XATTRS: Final = hasattr(os, "listxattr")  # Linux only
_NO_XATTRS: Final = frozenset({errno.ENOTSUP, errno.ENODATA})
"""The file system has none, or the attribute was removed between listing and reading."""


class Owners:
    """Names of users and groups; each number is looked up once.

    Raises:
        OutOfResources: of every method: names cannot be looked up, as no file can be opened.
    """

    def __init__(self) -> None:
        self._users: dict[int, str | None] = {}
        self._groups: dict[int, str | None] = {}
        self._names: dict[tuple[int, int], tuple[str | None, str | None]] = {}

    def names(self, uid: int, gid: int) -> tuple[str | None, str | None]:
        """The names of a user and a group, as from `user` and `group`."""
        found = self._names.get((uid, gid))
        if found is None:
            found = self._names[uid, gid] = (self.user(uid), self.group(gid))
        return found

    def user(self, uid: int) -> str | None:
        """The user's name; None when there is none, or it is not text."""
        if uid not in self._users:
            self._users[uid] = _name(lambda: pwd.getpwuid(uid).pw_name)
        return self._users[uid]

    def group(self, gid: int) -> str | None:
        """The group's name; None when there is none, or it is not text."""
        if gid not in self._groups:
            self._groups[gid] = _name(lambda: grp.getgrgid(gid).gr_name)
        return self._groups[gid]


def node_type(status: os.stat_result) -> NodeType:
    """What an entry is.

    Raises:
        KeyError: nothing that POSIX knows.
    """
    return _TYPES[stat.S_IFMT(status.st_mode)]


def node_from_stat(
    name: bytes,
    status: os.stat_result,
    owners: Owners,
    payload: Content | bytes | None = None,
    xattrs: Xattrs = (),
    filesystem: int | None = None,
) -> Node:
    """Make the node of an entry.

    Args:
        name: its path component.
        status: from ``lstat`` or ``fstat``.
        owners: looks up the names of user and group.
        payload: a file's content, a directory's tree id or a link's target; a device's number
            is taken from the status.
        xattrs: as from `read_xattrs`.
        filesystem: see `Node`.

    Returns:
        The node. A file's size is the one in the status: replace it when another number of bytes
        was read.
    """
    type_ = _TYPES[stat.S_IFMT(status.st_mode)]
    size = 0
    device: int | None = None
    if type_ is NodeType.FILE:
        size = status.st_size
    elif isinstance(payload, bytes) and type_ is NodeType.SYMLINK:
        size = len(payload)
    elif type_ in _DEVICES:
        device = status.st_rdev
    return Node(
        name,
        type_,
        stat.S_IMODE(status.st_mode),
        status.st_uid,
        status.st_gid,
        *owners.names(status.st_uid, status.st_gid),
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_ino,
        size,
        payload if device is None else device,
        filesystem,
        xattrs,
        None,
    )


def read_xattrs(entry: int | bytes, *, follow: bool = False) -> tuple[Xattrs, list[OSError]]:
    """Read the extended attributes of an entry: one system call when it has none.

    Args:
        entry: a descriptor opened for reading, or a path (see `xattr_path`).
        follow: follow a symlink at the end of a path.

    Returns:
        The attributes that could be read, `MAX_XATTRS` bytes at most, and an error for each that
        could not, or for the list of all of them.
    """
    if not _HAS_XATTRS:
        return (), []
    follow = follow or isinstance(entry, int)  # a descriptor cannot be told not to follow
    try:
        names = os.listxattr(entry, follow_symlinks=follow)
    except OSError as error:
        return (), [] if error.errno in _NO_XATTRS else [error]
    if not names:
        return (), []
    pairs: list[tuple[bytes, bytes]] = []
    problems: list[OSError] = []
    size = 0
    for name in names:
        try:
            value = os.getxattr(entry, name, follow_symlinks=follow)
        except OSError as error:
            if error.errno not in _NO_XATTRS:
                problems.append(OSError(error.errno, f"{name}: {error.strerror}"))
            continue
        size += len(name) + len(value) + _XATTR_OVERHEAD
        if size > MAX_XATTRS:
            problems.append(OSError(errno.E2BIG, f"{name}: more attributes than can be kept"))
        else:
            pairs.append((os.fsencode(name), value))
    return tuple(sorted(pairs)), problems


def xattr_path(directory: int, name: bytes) -> bytes:
    """A path for `read_xattrs` to an entry of an open directory, however deep that is.

    Links and special files cannot be opened, and no system call takes a directory's descriptor
    and a name for this, so the way leads through /proc.

    Args:
        directory: an open descriptor.
        name: of the entry; ``b"."`` for the directory itself.
    """
    return b"/proc/self/fd/%d/%s" % (directory, name)


def _name(look_up: Callable[[], str]) -> str | None:
    try:
        name = look_up()
        name.encode()
    except KeyError:
        _look_for_descriptors()
        return None
    except UnicodeEncodeError:
        return None
    return name


def _look_for_descriptors() -> None:
    """Tell a number that nobody has from names that could not be looked up.

    The C library says the same of both.

    Raises:
        OutOfResources: no file can be opened, so neither can the one with the names.
    """
    try:
        os.close(os.open(b"/", PASS))
    except OSError as error:
        refuse_shortage(error, b"/")
