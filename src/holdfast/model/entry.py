"""An entry of a snapshot as an application sees it: text, times and names instead of raw bytes."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar, TypeAlias

from holdfast.errors import UsageError
from holdfast.model.node import Node, NodeType
from holdfast.overrides import override
from holdfast.present import Cell, Column, Kind, Row, columns

Record: TypeAlias = dict[str, object]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KINDS = {
    NodeType.FILE: ("file", stat.S_IFREG),
    NodeType.DIRECTORY: ("dir", stat.S_IFDIR),
    NodeType.SYMLINK: ("symlink", stat.S_IFLNK),
    NodeType.FIFO: ("fifo", stat.S_IFIFO),
    NodeType.SOCKET: ("socket", stat.S_IFSOCK),
    NodeType.CHARACTER_DEVICE: ("chardev", stat.S_IFCHR),
    NodeType.BLOCK_DEVICE: ("blockdev", stat.S_IFBLK),
}


@dataclass(frozen=True, slots=True)
class Entry(Row):
    """A file, directory or other item of a snapshot.

    Names, paths and targets that are not UTF-8 are as `os.fsdecode` has them, so that
    `os.fsencode` gives the bytes back.

    Attributes:
        path: from the snapshot's root.
        name: the last component of the path; "" for the root.
        type: ``file``, ``dir``, ``symlink``, ``fifo``, ``socket``, ``chardev`` or ``blockdev``.
        size: bytes of a file, holes counted; length of a link's target; else 0.
        mode: permission bits, 0 to 0o7777.
        uid, gid: numeric owner and group.
        user, group: their names when the backup was made, or None.
        mtime_ns, ctime_ns: nanoseconds since the Unix epoch.
        inode: inode number at the source.
        target: where a symbolic link points, else None.
        device: (major, minor) of a device, else None.
        links: equal for the hard links of one file within a snapshot; None for a file that has
            only one.
        xattrs: names of the extended attributes.
    """

    path: str
    name: str
    type: str
    size: int
    mode: int
    uid: int
    gid: int
    user: str | None
    group: str | None
    mtime_ns: int
    ctime_ns: int
    inode: int
    target: str | None
    device: tuple[int, int] | None
    links: tuple[int, int] | None
    xattrs: tuple[str, ...]

    _COLUMNS: ClassVar[tuple[Column, ...]] = columns(
        path=Kind.PATH,
        type=Kind.TEXT,
        size=Kind.BYTES,
        mtime=Kind.TIME,
        mode_text=Kind.TEXT,
        user=Kind.TEXT,
        group=Kind.TEXT,
        target=Kind.PATH,
    )

    @classmethod
    def of(cls, path: bytes, node: Node) -> Entry:
        """The entry for a node at a path."""
        is_link = node.type == NodeType.SYMLINK
        return cls(
            path=os.fsdecode(path),
            name=os.fsdecode(node.name),
            type=_KINDS[NodeType(node.type)][0],
            size=node.size,
            mode=node.mode,
            uid=node.uid,
            gid=node.gid,
            user=node.user,
            group=node.group,
            mtime_ns=node.mtime,
            ctime_ns=node.ctime,
            inode=node.inode,
            target=os.fsdecode(node.payload)
            if is_link and isinstance(node.payload, bytes)
            else None,
            device=_device(node),
            links=None if node.filesystem is None else (node.filesystem, node.inode),
            xattrs=tuple(os.fsdecode(name) for name, _ in node.xattrs),
        )

    @property
    def is_dir(self) -> bool:
        """Whether it is a directory."""
        return self.type == "dir"

    @property
    def mtime(self) -> datetime | None:
        """When it was last modified, in UTC; None for a year before 1 or after 9999."""
        try:
            return _EPOCH + timedelta(microseconds=self.mtime_ns // 1000)
        except OverflowError:
            return None

    @property
    def mode_text(self) -> str:
        """Type and permissions as ``ls -l`` shows them, such as ``-rw-r--r--``."""
        kind = next(bits for name, bits in _KINDS.values() if name == self.type)
        return stat.filemode(kind | self.mode)

    def dict(self) -> Record:
        """All of it by name, ready for JSON."""
        mtime = self.mtime
        return {
            "path": self.path,
            "name": self.name,
            "type": self.type,
            "size": self.size,
            "mode": self.mode,
            "mode_text": self.mode_text,
            "uid": self.uid,
            "gid": self.gid,
            "user": self.user,
            "group": self.group,
            "mtime": None if mtime is None else mtime.isoformat(),
            "mtime_ns": self.mtime_ns,
            "ctime_ns": self.ctime_ns,
            "inode": self.inode,
            "target": self.target,
            "device": None if self.device is None else list(self.device),
            "links": None if self.links is None else list(self.links),
            "xattrs": list(self.xattrs),
        }

    @override
    def _row(self) -> tuple[Cell, ...]:
        return (
            self.path,
            self.type,
            None if self.is_dir else self.size,
            self.mtime,
            self.mode_text,
            self.user,
            self.group,
            self.target,
        )


def node_type(name: str) -> NodeType:
    """The type that `Entry.type` calls so.

    Raises:
        UsageError: there is none of that name.
    """
    for kind, (known, _) in _KINDS.items():
        if known == name:
            return kind
    names = ", ".join(known for known, _ in _KINDS.values())
    raise UsageError(f"unknown type {name!r}: choose one of {names}")


def nanoseconds(moment: datetime) -> int:
    """A moment as `Entry.mtime_ns` has it; in the local zone unless it is aware."""
    return (moment.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1) * 1000


def _device(node: Node) -> tuple[int, int] | None:
    if not isinstance(node.payload, int):
        return None
    return os.major(node.payload), os.minor(node.payload)
