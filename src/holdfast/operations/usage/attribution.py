"""To which directory each blob belongs: the first that needs it, in the order of the snapshots.

In one snapshot the order is that of a walk, depth first by name, the files of a directory before
its subdirectories. Each directory is read once, however many snapshots have it. Memory: one byte
a blob, and about 300 bytes for each different directory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from holdfast.errors import DamagedRepository
from holdfast.model.content import references
from holdfast.model.descent import MAX_DEPTH
from holdfast.model.node import Node, NodeType
from holdfast.model.path import join_path
from holdfast.model.roles import BlobLoader
from holdfast.model.tree import load_directory
from holdfast.model.walk import directory_tree, file_content
from holdfast.primitives.ids import BlobId
from holdfast.store import Shares


class Extent(NamedTuple):
    """How many files there are, and their bytes."""

    files: int
    size: int

    def plus(self, other: Extent) -> Extent:
        """Both together."""
        return Extent(self.files + other.files, self.size + other.size)


_NOTHING = Extent(0, 0)


@dataclass(slots=True, eq=False)
class Place:
    """A directory that is told of.

    Attributes:
        own: stored bytes attributed to it, and to directories below that are not told of.
        is_present: the newest snapshots have it.
        extent: what they have in it and below.
        below: directories in it that are told of, by name.
    """

    own: int = 0
    is_present: bool = False
    extent: Extent = _NOTHING
    below: dict[bytes, Place] = field(default_factory=dict)

    def at(self, name: bytes) -> Place:
        """A directory in it."""
        return self.below.setdefault(name, Place())

    def walk(self, path: bytes, depth: int = 0) -> Iterator[tuple[bytes, int, Place]]:
        """Itself and all below it, each with its path and depth, before what is in it."""
        pending = [(path, depth, self)]
        while pending:
            path, depth, place = pending.pop()
            yield path, depth, place
            names = sorted(place.below, reverse=True)
            pending += [(join_path(path, each), depth + 1, place.below[each]) for each in names]


@dataclass(slots=True)
class _Frame:
    """A directory whose own entries were looked at, and the ones in it that were not yet."""

    row: int
    place: Place
    level: int
    extent: Extent = _NOTHING
    below: list[tuple[bytes, BlobId]] = field(default_factory=list)


class Attribution:
    """Attributes the blobs of one snapshot after another.

    Args:
        loader: where trees are.
        shares: what each blob takes.
        depth: so many levels of directories are told of.

    Attributes:
        root: what is attributed.
        total: stored bytes that are.
    """

    def __init__(self, loader: BlobLoader, shares: Shares, depth: int) -> None:
        self.root = Place()
        self.total = 0
        self._loader = loader
        self._shares = shares
        self._depth = depth
        self._seen = bytearray(len(shares.stored))
        self._extents: dict[int, Extent] = {}

    def add(self, node: Node) -> Extent:
        """Attribute all that a node needs; returns what it holds.

        Raises:
            DamagedRepository: a tree is missing or damaged.
        """
        if node.type == NodeType.DIRECTORY:
            return self._add_tree(directory_tree(node))
        if node.type == NodeType.FILE:
            self._see_content(node, self.root)
            return Extent(1, node.size)
        return _NOTHING

    def measure(self, node: Node) -> None:
        """Note what a node that was added holds, directory by directory."""
        if node.type != NodeType.DIRECTORY:
            self.root.extent = self.root.extent.plus(self.add(node))
            return
        pending = [(self.root, directory_tree(node), 0)]
        while pending:
            place, tree, level = pending.pop()
            place.is_present = True
            place.extent = place.extent.plus(self._extents[self._row(tree)])
            if level < self._depth:
                pending += [
                    (place.at(each.name), directory_tree(each), level + 1)
                    for each in load_directory(tree, self._loader)
                    if each.type == NodeType.DIRECTORY
                ]

    def is_attributed(self, row: int) -> bool:
        """Whether the blob of a row is."""
        return bool(self._seen[row])

    def _add_tree(self, tree: BlobId) -> Extent:
        """A tree's files are added up once those of all directories in it are."""
        if (known := self._extents.get(self._row(tree))) is not None:
            return known
        frames = [self._begin(tree, self.root, 0)]
        while True:
            frame = frames[-1]
            if not frame.below:
                self._extents[frame.row] = frame.extent
                frames.pop()
                if not frames:
                    return frame.extent
                continue
            name, below = frame.below[-1]
            known = self._extents.get(self._row(below))
            if known is None:
                if len(frames) > MAX_DEPTH:
                    raise DamagedRepository(f"tree {below.hex()}", f"more than {MAX_DEPTH} deep")
                level = frame.level + 1
                place = frame.place.at(name) if level <= self._depth else frame.place
                frames.append(self._begin(below, place, level))
            else:
                frame.extent = frame.extent.plus(known)
                frame.below.pop()

    def _begin(self, tree: BlobId, place: Place, level: int) -> _Frame:
        frame = _Frame(self._row(tree), place, level)
        files = size = 0
        pages: list[BlobId] = []
        for node in load_directory(tree, self._loader, on_page=pages.append):
            if node.type == NodeType.FILE:
                files += 1
                size += node.size
                self._see_content(node, place)
            elif node.type == NodeType.DIRECTORY:
                frame.below.append((node.name, directory_tree(node)))
        for page in pages:
            self._see(page, place)
        frame.below.reverse()  # the next one is taken from the end
        frame.extent = Extent(files, size)
        return frame

    def _see_content(self, node: Node, place: Place) -> None:
        for _, blob in references(file_content(node), self._loader, self):
            self._see(blob, place)

    def __contains__(self, blob: object) -> bool:
        """Whether a blob was seen; a list of blobs then with all that it names."""
        row = self._shares.row(blob) if isinstance(blob, bytes) else -1
        return row >= 0 and bool(self._seen[row])

    def _see(self, blob: bytes, place: Place) -> None:
        row = self._shares.row(blob)
        if row >= 0 and not self._seen[row]:
            self._seen[row] = 1
            stored = self._shares.stored[row]
            place.own += stored
            self.total += stored

    def _row(self, tree: BlobId) -> int:
        row = self._shares.row(tree)
        if row < 0:
            raise DamagedRepository(f"blob {tree.hex()}", "the index does not know it")
        return row
