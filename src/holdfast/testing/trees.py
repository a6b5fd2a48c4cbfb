"""Trees written down in a few lines, stored as blobs, and compared with what is on disk."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeAlias

from holdfast.model.content import ContentBuilder
from holdfast.model.node import Content, Node, NodeType
from holdfast.model.roles import TreeSaver
from holdfast.model.tree import save_directory
from holdfast.primitives.ids import BlobId

TIME = 1_234_567_890_123_456_789
"""The mtime of entries for which no other is given."""

BLOB = 1024
"""Bytes of the blobs into which a file's data is cut."""


class DataSaver(TreeSaver, Protocol):
    """A `TreeSaver` that takes blobs of data, too; `MemoryBlobs` is one."""

    def add(self, data: bytes) -> BlobId:
        """Store a blob of data; returns its id."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Something to store in a tree; `file`, `directory` and so on make one.

    Attributes:
        type: what it is.
        mode: permission bits.
        mtime: nanoseconds.
        pieces: a file's content: bytes, or lengths of runs of zeros.
        target: of a symbolic link.
        entries: of a directory.
        tree: of a directory that is stored already, instead of entries.
        device: number of a device.
        group: of a file with hard links, the number that its names share.
        owner: uid and gid.
        xattrs: extended attributes, sorted.
    """

    type: NodeType
    mode: int
    mtime: int = TIME
    pieces: Sequence[bytes | int] = ()
    target: bytes = b""
    entries: Mapping[bytes, Entry] = field(default_factory=dict)
    tree: BlobId | None = None
    device: int = 0
    group: int | None = None
    owner: tuple[int, int] | None = None
    xattrs: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def data(self) -> bytes:
        """A file's content."""
        return b"".join(p if isinstance(p, bytes) else bytes(p) for p in self.pieces)

    def but(self, **changes: object) -> Entry:
        """The same with some attributes changed."""
        return replace(self, **changes)  # type: ignore[arg-type]  # dataclass checks the names


def file(*pieces: bytes | int, mode: int = 0o644, mtime: int = TIME) -> Entry:
    """A regular file."""
    return Entry(NodeType.FILE, mode, mtime, pieces=pieces)


def directory(
    entries: Mapping[bytes, Entry] | None = None, *, mode: int = 0o755, mtime: int = TIME
) -> Entry:
    """A directory."""
    return Entry(NodeType.DIRECTORY, mode, mtime, entries=entries or {})


def symlink(target: bytes, *, mtime: int = TIME) -> Entry:
    """A symbolic link."""
    return Entry(NodeType.SYMLINK, 0o777, mtime, target=target)


def fifo(*, mode: int = 0o640) -> Entry:
    """A named pipe."""
    return Entry(NodeType.FIFO, mode)


def node_of(name: bytes, entry: Entry, saver: DataSaver) -> Node:
    """Store what an entry consists of; returns its node."""
    size, payload = _store(entry, saver)
    uid, gid = entry.owner or (os.geteuid(), os.getegid())
    return Node(
        name=name,
        type=entry.type,
        mode=entry.mode,
        uid=uid,
        gid=gid,
        user=None,
        group=None,
        mtime=entry.mtime,
        ctime=entry.mtime,
        inode=entry.group or 0,
        size=size,
        payload=payload,
        filesystem=None if entry.group is None else 0,
        xattrs=entry.xattrs,
        extra=None,
    )


def save_tree(root: Entry, saver: DataSaver) -> BlobId:
    """Store a directory with all that is in it; returns the tree's id."""
    return save_directory(
        [node_of(name, entry, saver) for name, entry in root.entries.items()], saver
    )


def _store(entry: Entry, saver: DataSaver) -> tuple[int, Content | bytes | int | None]:
    if entry.type is NodeType.DIRECTORY:
        return 0, entry.tree or save_tree(entry, saver)
    if entry.type is NodeType.SYMLINK:
        return len(entry.target), entry.target
    if entry.type in (NodeType.CHARACTER_DEVICE, NodeType.BLOCK_DEVICE):
        return 0, entry.device
    if entry.type is not NodeType.FILE:
        return 0, None
    builder = ContentBuilder(saver)
    for piece in entry.pieces:
        if isinstance(piece, int):
            builder.add_zeros(piece)
            continue
        for start in range(0, len(piece), BLOB):
            blob = piece[start : start + BLOB]
            builder.add_blob(saver.add(blob), len(blob))
    return builder.finish()


Seen: TypeAlias = tuple[str, int, int, bytes]
"""What tells entries apart: type, mode (0 of a link), mtime, content or target."""


def expected(root: Entry) -> dict[bytes, Seen]:
    """What `observed` finds where a tree was restored whole: by path, the root left out."""
    found: dict[bytes, Seen] = {}
    pending = [(b"", root)]
    while pending:
        path, here = pending.pop()
        for name, entry in here.entries.items():
            below = path + b"/" + name if path else name
            mode = 0 if entry.type is NodeType.SYMLINK else entry.mode
            content = entry.target if entry.type is NodeType.SYMLINK else entry.data
            found[below] = (entry.type.name, mode, entry.mtime, content)
            pending.append((below, entry))
    return found


def observed(root: str | bytes | os.PathLike[str]) -> dict[bytes, Seen]:
    """What is below a directory, by path."""
    found: dict[bytes, Seen] = {}
    base = os.fsencode(root)
    pending = [b""]
    while pending:
        path = pending.pop()
        for name in os.listdir(os.path.join(base, path)):  # noqa: PTH118, PTH208 - bytes
            below = path + b"/" + name if path else name
            found[below] = _observe(os.path.join(base, below))  # noqa: PTH118 - bytes
            if found[below][0] == NodeType.DIRECTORY.name:
                pending.append(below)
    return found


def _observe(path: bytes) -> Seen:
    status = os.lstat(path)
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISLNK(status.st_mode):
        return NodeType.SYMLINK.name, 0, status.st_mtime_ns, os.readlink(path)  # noqa: PTH115 - bytes
    if stat.S_ISREG(status.st_mode):
        with open(path, "rb") as opened:  # noqa: PTH123 - bytes
            return NodeType.FILE.name, mode, status.st_mtime_ns, opened.read()
    kinds = {
        stat.S_IFDIR: NodeType.DIRECTORY,
        stat.S_IFIFO: NodeType.FIFO,
        stat.S_IFSOCK: NodeType.SOCKET,
        stat.S_IFCHR: NodeType.CHARACTER_DEVICE,
        stat.S_IFBLK: NodeType.BLOCK_DEVICE,
    }
    return kinds[stat.S_IFMT(status.st_mode)].name, mode, status.st_mtime_ns, b""
