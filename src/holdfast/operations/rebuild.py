"""Making a tree anew from its leaves up: without recursion, however deep it is.

A directory is read twice: for the directories in it, and, when each of these is done, for the
rest. So no more is held in memory than one directory and the ids of those on the way to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from holdfast.errors import DamagedRepository
from holdfast.model.descent import Descent
from holdfast.model.node import Node, NodeType
from holdfast.model.path import join_path
from holdfast.model.roles import BlobLoader
from holdfast.model.tree import OnDamage, load_directory
from holdfast.primitives.ids import BlobId

Note = TypeVar("Note")
"""What a verb has to know of a directory."""


@dataclass(slots=True)
class Directory(Generic[Note]):
    """A directory that is made anew.

    Attributes:
        tree: its id before.
        path: where it is.
        note: what the verb keeps with it.
        below: the new ids of the directories in it, by name; one that is left out has none.
    """

    tree: BlobId
    path: bytes
    note: Note
    below: dict[bytes, BlobId] = field(default_factory=dict)


def rebuild(
    root: Directory[Note],
    loader: BlobLoader,
    enter: Callable[[Directory[Note], bytes, Node], Directory[Note] | BlobId | None],
    leave: Callable[[Directory[Note]], BlobId],
    on_damage: OnDamage | None = None,
) -> BlobId:
    """Make a tree anew; returns its new id.

    Args:
        root: the directory at its top.
        loader: where the tree is.
        enter: called with a directory, and path and node of one that is in it; gives the latter
            as it is to be gone into, or the tree to take in its place, or None to leave it out.
        leave: called with a directory when all below it is done; gives its new id.
        on_damage: called with the error of a page that cannot be read; what it names is left out.

    Raises:
        DamagedRepository: a tree is missing or damaged, or is too deep.
    """

    def read(tree: BlobId, _: bytes, after: bytes) -> Iterator[Node]:
        return load_directory(tree, loader, after=after, on_damage=on_damage)

    descent = Descent(root.tree, root.path, read)
    way = [root]
    while (node := descent.next()) is not None:
        _leave_down_to(descent.depth, way, leave)
        if node.type != NodeType.DIRECTORY:
            continue
        path = join_path(descent.path, node.name)
        found = enter(way[-1], path, node)
        if isinstance(found, Directory):
            if problem := descent.enter(found.tree, path):
                raise DamagedRepository(f"tree {found.tree.hex()}", problem)
            way.append(found)
        elif found is not None:
            way[-1].below[node.name] = found
    _leave_down_to(1, way, leave)
    return leave(root)


def _leave_down_to(
    depth: int, way: list[Directory[Note]], leave: Callable[[Directory[Note]], BlobId]
) -> None:
    """End the directories that are done, the deepest first; so many stay open."""
    while len(way) > depth:
        done = way.pop()
        way[-1].below[done.path.rpartition(b"/")[2]] = leave(done)
