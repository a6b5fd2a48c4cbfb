"""What is known of an item, as fsspec's users expect it."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from holdfast.engine.snapshotfs.view import Item
from holdfast.model.node import NodeType

Info: TypeAlias = dict[str, object]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TYPES: Mapping[int, tuple[str, int]] = {
    NodeType.FILE: ("file", stat.S_IFREG),
    NodeType.DIRECTORY: ("directory", stat.S_IFDIR),
    NodeType.SYMLINK: ("link", stat.S_IFLNK),
    NodeType.FIFO: ("other", stat.S_IFIFO),
    NodeType.SOCKET: ("other", stat.S_IFSOCK),
    NodeType.CHARACTER_DEVICE: ("other", stat.S_IFCHR),
    NodeType.BLOCK_DEVICE: ("other", stat.S_IFBLK),
}


def info_of(name: str, item: Item) -> Info:
    """All that is known of an item; see `SnapshotFileSystem.info`."""
    node = item.node
    mtime = time_of(node.mtime)
    kind, bits = _TYPES[node.type]
    found: Info = {
        "name": name,
        "size": node.size,
        "type": kind,
        "mode": bits | node.mode,
        "uid": node.uid,
        "gid": node.gid,
        "user": node.user,
        "group": node.group,
        "mtime": mtime,
        "created": mtime if node.ctime == node.mtime else time_of(node.ctime),
        "mtime_ns": node.mtime,
        "ctime_ns": node.ctime,
        "ino": node.inode,
        "islink": node.type == NodeType.SYMLINK,
        "snapshot": None if item.snapshot is None else item.snapshot.id,
    }
    if node.type == NodeType.SYMLINK and isinstance(node.payload, bytes):
        found["destination"] = os.fsdecode(node.payload)
    return found


def time_of(time_ns: int) -> datetime | None:
    """A time in UTC; None for a year before 1 or after 9999."""
    try:
        return _EPOCH + timedelta(microseconds=time_ns // 1000)
    except OverflowError:
        return None
