"""What is different between two trees; what they share is never loaded.

Two directories of one id are equal, whatever is in them, so the work follows the changes and not
the size of the trees.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from operator import attrgetter
from typing import NamedTuple, TypeAlias

from holdfast.errors import DamagedRepository
from holdfast.model.descent import Descent
from holdfast.model.node import Node, NodeType
from holdfast.model.path import ROOT, join_path
from holdfast.model.roles import BlobLoader
from holdfast.model.tree import load_directory
from holdfast.model.walk import directory_tree
from holdfast.primitives.ids import BlobId


class ChangeKind(StrEnum):
    """In what way a path differs between two trees."""

    ADDED = "added"
    REMOVED = "removed"
    MODIFIED = "modified"
    METADATA = "metadata"
    TYPE = "type"


class Change(NamedTuple):
    """A path that differs.

    Attributes:
        path: raw bytes from the root.
        kind: added, removed, of another type, modified (a file's content, a link's target, a
            device's number) or metadata (nothing but owner, mode, mtime, extended attributes).
        before: the node in the first tree; None when it was added.
        after: the node in the second tree; None when it was removed.
    """

    path: bytes
    kind: ChangeKind
    before: Node | None
    after: Node | None


class _Pair(NamedTuple):
    """The entries of one name in two directories; at least one is there."""

    name: bytes
    before: Node | None
    after: Node | None


_Trees: TypeAlias = tuple[BlobId | None, BlobId | None]

_metadata = attrgetter("mode", "uid", "gid", "user", "group", "mtime", "xattrs", "extra")
_content = attrgetter("size", "payload")


def compare(
    before: BlobId | None, after: BlobId | None, loader: BlobLoader, path: bytes = ROOT
) -> Iterator[Change]:
    """Give every change from one tree to another, depth first by name; None is an empty tree.

    All that is in a directory that was added or removed is given too. What a copy of the same
    files would have otherwise is no change: ctime, inode, and which file system it was on.
    Memory is bounded, whatever the trees' size and depth.

    Args:
        before: the first tree.
        after: the second tree.
        loader: where trees are.
        path: the path of both, with which all given paths begin.

    Raises:
        DamagedRepository: a tree is missing or damaged, is too deep, or contains itself.
    """
    if before == after:
        return

    def read(trees: _Trees, _path: bytes, position: bytes) -> Iterator[_Pair]:
        first, second = (
            iter(()) if tree is None else load_directory(tree, loader, after=position)
            for tree in trees
        )
        return _merge(first, second)

    descent = Descent((before, after), path, read)
    while (pair := descent.next()) is not None:
        here = join_path(descent.path, pair.name)
        if (kind := change_kind(pair.before, pair.after)) is not None:
            yield Change(here, kind, pair.before, pair.after)
        trees = (_tree(pair.before), _tree(pair.after))
        if trees[0] != trees[1] and (problem := descent.enter(trees, here)):
            damaged = trees[0] or trees[1] or b""
            raise DamagedRepository(f"tree {damaged.hex()}", problem)


def _merge(first: Iterator[Node], second: Iterator[Node]) -> Iterator[_Pair]:
    """Pair the entries of two directories by name."""
    before, after = next(first, None), next(second, None)
    while before is not None and after is not None:
        if before.name < after.name:
            yield _Pair(before.name, before, None)
            before = next(first, None)
        elif after.name < before.name:
            yield _Pair(after.name, None, after)
            after = next(second, None)
        else:
            yield _Pair(before.name, before, after)
            before, after = next(first, None), next(second, None)
    while before is not None:
        yield _Pair(before.name, before, None)
        before = next(first, None)
    while after is not None:
        yield _Pair(after.name, None, after)
        after = next(second, None)


def change_kind(before: Node | None, after: Node | None) -> ChangeKind | None:
    """In what way two nodes differ, their subtrees aside; None when they do not."""
    if before is None:
        return ChangeKind.ADDED
    if after is None:
        return ChangeKind.REMOVED
    if before.type != after.type:
        return ChangeKind.TYPE
    if before.type != NodeType.DIRECTORY and _content(before) != _content(after):
        return ChangeKind.MODIFIED
    if _metadata(before) != _metadata(after):
        return ChangeKind.METADATA
    return None


def _tree(node: Node | None) -> BlobId | None:
    return directory_tree(node) if node is not None and node.type == NodeType.DIRECTORY else None
