"""Stored trees for tests: nodes with sensible fields, and whole trees from nested dictionaries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from holdfast.model.node import Content, Node, NodeType
from holdfast.model.snapshot import Snapshot
from holdfast.model.tree import save_directory
from holdfast.primitives.ids import BlobId, SnapshotId
from holdfast.testing.blobs import MemoryBlobs

Layout: TypeAlias = Mapping[bytes, "bytes | Node | Layout"]
"""What is in a directory: a file's bytes, any node, or a directory."""


def node(name: bytes, kind: NodeType, payload: Content | bytes | int | None, size: int = 0) -> Node:
    """A node with a mode, owner and times that any test may replace."""
    return Node(
        name=name,
        type=kind,
        mode=0o755 if kind == NodeType.DIRECTORY else 0o644,
        uid=1000,
        gid=100,
        user="anna",
        group="users",
        mtime=1_700_000_000_123_456_789,
        ctime=1_700_000_000_987_654_321,
        inode=42,
        size=size,
        payload=payload,
        filesystem=None,
        xattrs=(),
        extra=None,
    )


def file_node(blobs: MemoryBlobs, name: bytes, data: bytes) -> Node:
    """A file of one blob, or an empty one."""
    return node(name, NodeType.FILE, blobs.add(data) if data else None, len(data))


def link_node(name: bytes, target: bytes) -> Node:
    """A symbolic link."""
    return node(name, NodeType.SYMLINK, target, len(target))


def directory_node(name: bytes, tree: BlobId) -> Node:
    """A directory."""
    return node(name, NodeType.DIRECTORY, tree)


def save_layout(blobs: MemoryBlobs, layout: Layout) -> BlobId:
    """Store a tree of a few levels; returns its id."""
    nodes: list[Node] = []
    for name, what in layout.items():
        if isinstance(what, bytes):
            nodes.append(file_node(blobs, name, what))
        elif isinstance(what, Node):
            nodes.append(what)
        else:
            nodes.append(directory_node(name, save_layout(blobs, what)))
    return save_directory(nodes, blobs)


def snapshot_of(tree: BlobId, number: int = 1, host: str = "host") -> Snapshot:
    """A snapshot of a tree; a larger number is a later one, an hour each."""
    begin = 1_700_000_000_000_000_000 + number * 3_600_000_000_000
    return Snapshot(
        id=SnapshotId(f"{number:032x}"),
        tree=tree,
        time_ns=begin,
        end_ns=begin + 60_000_000_000,
        host=host,
        user="anna",
        os="Linux",
        paths=("/data",),
    )
