"""Going through a tree, depth first, however deep it is and whatever a forger made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeAlias, cast

from holdfast.errors import DamagedRepository, PathNotFound
from holdfast.model.descent import Descent
from holdfast.model.node import Content, Node, NodeType
from holdfast.model.path import ROOT, join_path, printable, split_path
from holdfast.model.roles import BlobLoader
from holdfast.model.tree import find_entry, load_directory
from holdfast.primitives.ids import BlobId

OnDamagedPath: TypeAlias = Callable[[bytes, DamagedRepository], object]
"""Told of a directory, by its path, of which not all can be read."""

Descend: TypeAlias = Callable[[bytes, Node], bool]
"""Asked of a directory whether to go into it."""


def walk(
    tree: BlobId,
    loader: BlobLoader,
    path: bytes = ROOT,
    *,
    descend: Descend | None = None,
    on_damage: OnDamagedPath | None = None,
) -> Iterator[tuple[bytes, Node]]:
    """Give (path, node) of all that is below a directory, each before what is in it, by name.

    Memory is bounded, whatever the tree's size and depth.

    Args:
        tree: the directory.
        loader: where trees are.
        path: the directory's own path, with which all given paths begin.
        descend: asked of each directory after it was given; without it all are entered.
        on_damage: called for a directory of which a page cannot be read, once for each page; the
            walk goes on with all that can be read. Without it the error is raised.

    Raises:
        DamagedRepository: a tree is missing or damaged, is too deep, or contains itself.
    """

    def read(tree: BlobId, path: bytes, after: bytes) -> Iterator[Node]:
        told = partial(on_damage, path) if on_damage else None
        return load_directory(tree, loader, after=after, on_damage=told)

    descent = Descent(tree, path, read)
    while (node := descent.next()) is not None:
        here = join_path(descent.path, node.name)
        yield here, node
        if node.type != NodeType.DIRECTORY or (descend is not None and not descend(here, node)):
            continue
        below = directory_tree(node)
        if problem := descent.enter(below, here):
            tell_damage(here, DamagedRepository(f"tree {below.hex()}", problem), on_damage)


def tell_damage(path: bytes, error: DamagedRepository, on_damage: OnDamagedPath | None) -> None:
    """Hand an error over to whoever wants to go on without what it names, or raise it."""
    if on_damage is None:
        raise error
    on_damage(path, error)


def lookup(tree: BlobId, path: bytes, loader: BlobLoader) -> Node:
    """The node at a path below a root directory.

    The root itself has no entry anywhere, so what is given for it is made up: see `root_node`.

    Raises:
        PathNotFound: there is no such path.
        DamagedRepository: a tree on the way is missing or damaged.
    """
    node = root_node(tree)
    for name in split_path(path):
        if node.type != NodeType.DIRECTORY:
            raise PathNotFound(f"{printable(path)}: {printable(node.name)} is not a directory")
        found = find_entry(directory_tree(node), name, loader)
        if found is None:
            raise PathNotFound(f"{printable(path)}: the snapshot has no such path")
        node = found
    return node


def root_node(tree: BlobId) -> Node:
    """A node for the directory that no entry describes: no name, mode 755, owned by root."""
    return Node(
        name=b"",
        type=NodeType.DIRECTORY,
        mode=0o755,
        uid=0,
        gid=0,
        user=None,
        group=None,
        mtime=0,
        ctime=0,
        inode=0,
        size=0,
        payload=tree,
        filesystem=None,
        xattrs=(),
        extra=None,
    )


def directory_tree(node: Node) -> BlobId:
    """The tree id of a node that is a directory."""
    return cast("BlobId", node.payload)


def file_content(node: Node) -> Content | None:
    """The content of a node that is a file; None when it is empty."""
    return cast("Content | None", node.payload)
