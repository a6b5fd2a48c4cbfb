"""One entry of a directory: what a backup knows about a file, directory or other item.

A `Node` is a tuple in exactly the order of the wire format (docs/format.md, "Trees"), so that
encoding and decoding a directory of thousands of entries costs no Python code per entry.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from functools import partial
from typing import Final, NamedTuple, TypeAlias

from holdfast.primitives.ids import BlobId


class NodeType(IntEnum):
    """What an entry is. Only directories have children; only files have blobs."""

    FILE = 1
    DIRECTORY = 2
    SYMLINK = 3
    FIFO = 4
    SOCKET = 5
    CHARACTER_DEVICE = 6
    BLOCK_DEVICE = 7


Item: TypeAlias = tuple[BlobId, int] | int
"""A piece of a file: a blob and its length in bytes, or the length of a run of zeros."""

Content: TypeAlias = BlobId | tuple[int, tuple[Item, ...]]
"""A file's bytes: one blob, or ``(level, items)``; see `holdfast.model.content`."""

Extra: TypeAlias = dict[str, object]
"""Fields added by later versions, kept when a node is rewritten."""

TAG: Final = "tag"
"""Key in `Extra` of what a store told versions of an object apart by (str)."""

Payload: TypeAlias = Content | bytes | int | None
"""What an entry holds; see `Node`."""

Xattrs: TypeAlias = tuple[tuple[bytes, bytes], ...]
"""Extended attributes as (name, value), sorted by name, POSIX ACLs among them."""

Row: TypeAlias = tuple[
    bytes, int, int, int, int, str | None, str | None, int, int, int, int, Payload, int | None,
    Xattrs, Extra | None,
]  # fmt: skip
"""The fields of a `Node` without their names: what reading thousands of them is quickest with."""

TYPE: Final = 1
CTIME: Final = 8
SIZE: Final = 10
PAYLOAD: Final = 11
FILESYSTEM: Final = 12
"""Where some of the fields of a `Row` are."""


class Node(NamedTuple):
    """An entry of a directory, in the order of the wire format.

    Attributes:
        name: raw bytes of one path component; never empty, ``.``, ``..`` or with ``/`` or NUL.
        type: a `NodeType` value.
        mode: permission bits, ``0`` to ``0o7777``.
        uid, gid: numeric owner and group.
        user, group: their names when the backup was made, or None.
        mtime, ctime: nanoseconds since the Unix epoch, negative before it.
        inode: inode number at the source.
        size: bytes of a file (holes counted), length of a link's target; 0 for all others.
        payload: a file's `Content` (None when empty), a directory's tree id, a link's target
            (bytes), a device's number (int), None for fifos and sockets.
        filesystem: for a file with more than one hard link, the ordinal of its file system
            within the snapshot: (filesystem, inode) tells links of one file; otherwise None.
        xattrs: extended attributes as (name, value) pairs sorted by name, POSIX ACLs among them.
        extra: see `Extra`; None when there is none.
    """

    name: bytes
    type: int
    mode: int
    uid: int
    gid: int
    user: str | None
    group: str | None
    mtime: int
    ctime: int
    inode: int
    size: int
    payload: Payload
    filesystem: int | None
    xattrs: Xattrs
    extra: Extra | None


node_of: Callable[[Row], Node] = partial(tuple.__new__, Node)
"""The node with the fields of a row; what `Node._make` does, without a Python call."""
