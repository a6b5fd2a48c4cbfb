"""What is known of an item, as fsspec's users expect it."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from holdfast.engine.snapshotfs.view import Item
from holdfast.model.node import Node, NodeType
from holdfast.model.snapshot import Snapshot
from holdfast.primitives.ids import SnapshotId

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
    return _info(name, item.node, None if item.snapshot is None else item.snapshot.id)


def infos_of(folder: str, nodes: Iterable[Node], snapshot: Snapshot) -> list[Info]:
    """The same of the entries of a directory, whose names follow `folder`.

    It makes no `Item` for each: people wait for the listing of a large directory.
    """
    id_ = snapshot.id
    encoding, errors = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()
    return [_info(folder + node.name.decode(encoding, errors), node, id_) for node in nodes]


def _info(name: str, node: Node, snapshot_id: SnapshotId | None) -> Info:
    _, type_, mode, uid, gid, user, group, mtime_ns, ctime_ns, inode, size, payload, _, _, _ = node
    mtime = time_of(mtime_ns)
    kind, bits = _TYPES[type_]
    found: Info = {
        "name": name,
        "size": size,
        "type": kind,
        "mode": bits | mode,
        "uid": uid,
        "gid": gid,
        "user": user,
        "group": group,
        "mtime": mtime,
        "created": mtime if ctime_ns == mtime_ns else time_of(ctime_ns),
        "mtime_ns": mtime_ns,
        "ctime_ns": ctime_ns,
        "ino": inode,
        "islink": kind == "link",
        "snapshot": snapshot_id,
    }
    if kind == "link" and isinstance(payload, bytes):
        found["destination"] = os.fsdecode(payload)
    return found


def time_of(time_ns: int) -> datetime | None:
    """A time in UTC; None for a year before 1 or after 9999."""
    try:
        return _EPOCH + timedelta(microseconds=time_ns // 1000)
    except OverflowError:
        return None
