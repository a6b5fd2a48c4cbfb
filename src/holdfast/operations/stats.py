"""How much snapshots hold, and how little of it had to be stored."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, TypeAlias

from holdfast.errors import DamagedRepository
from holdfast.model.content import data_size
from holdfast.model.descent import MAX_DEPTH
from holdfast.model.node import Node, NodeType
from holdfast.model.roles import BlobLoader
from holdfast.model.snapshot import Snapshot
from holdfast.model.tree import load_directory
from holdfast.model.walk import directory_tree, file_content
from holdfast.overrides import override
from holdfast.present import Column, Kind, Row, columns
from holdfast.primitives.ids import BlobId

Record: TypeAlias = dict[str, object]


class BlobSizes(Protocol):
    """Knows how large blobs are."""

    def sizes(self, blob: BlobId) -> tuple[int, int] | None:
        """(bytes as they were, bytes that they take in the repository); None when it is missing."""


@dataclass(frozen=True, slots=True)
class Stats(Row):
    """What snapshots hold and what it takes to store it.

    Attributes:
        snapshots: how many were counted.
        files, directories, others: entries of all of them together.
        restore_size: bytes that restoring all of them would give; holes and every name of a file
            with hard links count.
        referenced_size: bytes of data blobs, each as often as a file names it.
        blobs: different blobs, of data and of trees.
        raw_size: bytes of the different data blobs, as they were.
        tree_size: bytes of the different tree blobs, as they were.
        stored_size: bytes that all those take in the repository.
        missing: blobs that are named but are not in the repository.
    """

    snapshots: int
    files: int
    directories: int
    others: int
    restore_size: int
    referenced_size: int
    blobs: int
    raw_size: int
    tree_size: int
    stored_size: int
    missing: int

    _COLUMNS: ClassVar[tuple[Column, ...]] = columns(
        snapshots=Kind.COUNT,
        files=Kind.COUNT,
        directories=Kind.COUNT,
        others=Kind.COUNT,
        restore_size=Kind.BYTES,
        referenced_size=Kind.BYTES,
        blobs=Kind.COUNT,
        raw_size=Kind.BYTES,
        tree_size=Kind.BYTES,
        stored_size=Kind.BYTES,
        missing=Kind.COUNT,
        dedup_ratio=Kind.RATIO,
        compression_ratio=Kind.RATIO,
        efficiency=Kind.RATIO,
    )

    @property
    def dedup_ratio(self) -> float:
        """Bytes that files name for every byte of different data; 1.0 when there is none."""
        return self.referenced_size / self.raw_size if self.raw_size else 1.0

    @property
    def compression_ratio(self) -> float:
        """Bytes of different blobs for every byte stored; 1.0 when there is none."""
        raw = self.raw_size + self.tree_size
        return raw / self.stored_size if self.stored_size else 1.0

    @property
    def efficiency(self) -> float:
        """Both ratios together."""
        return self.dedup_ratio * self.compression_ratio

    def dict(self) -> Record:
        """All of it by name, ready for JSON."""
        numbers: Record = {name: getattr(self, name) for name in self.__slots__}
        return numbers | {
            "dedup_ratio": self.dedup_ratio,
            "compression_ratio": self.compression_ratio,
            "efficiency": self.efficiency,
        }

    @override
    def _caption(self) -> str:
        return "What the snapshots hold"


def stats(snapshots: Iterable[Snapshot], loader: BlobLoader, sizes: BlobSizes) -> Stats:
    """Count what snapshots hold; a directory that several have is read once.

    Memory: about 200 bytes for each different blob and directory.

    Raises:
        DamagedRepository: a tree is missing or damaged.
    """
    counter = _Counter(loader, sizes)
    total = _Totals()
    count = 0
    for snapshot in snapshots:
        total.add(counter.tree(snapshot.tree))
        count += 1
    return Stats(
        snapshots=count,
        files=total.files,
        directories=total.directories,
        others=total.others,
        restore_size=total.size,
        referenced_size=total.referenced,
        blobs=len(counter.seen),
        raw_size=counter.raw,
        tree_size=counter.tree_raw,
        stored_size=counter.stored,
        missing=counter.missing,
    )


@dataclass(slots=True)
class _Totals:
    """What a directory holds, all below it counted."""

    files: int = 0
    directories: int = 0
    others: int = 0
    size: int = 0
    referenced: int = 0

    def add(self, other: _Totals) -> None:
        self.files += other.files
        self.directories += other.directories
        self.others += other.others
        self.size += other.size
        self.referenced += other.referenced


@dataclass(slots=True)
class _Frame:
    """A directory whose own entries are counted, and the directories in it that are not yet."""

    tree: BlobId
    totals: _Totals = field(default_factory=_Totals)
    below: list[BlobId] = field(default_factory=list)


class _Counter:
    def __init__(self, loader: BlobLoader, sizes: BlobSizes) -> None:
        self.seen: dict[BlobId, int] = {}
        self.raw = self.tree_raw = self.stored = self.missing = 0
        self._loader = loader
        self._sizes = sizes
        self._totals: dict[BlobId, _Totals] = {}
        self._lists: dict[BlobId, int] = {}

    def tree(self, tree: BlobId) -> _Totals:
        """What a tree holds: each directory is added up once those in it are known."""
        frames: list[_Frame] = []
        open_trees: set[BlobId] = set()
        self._begin(tree, frames, open_trees)
        while frames:
            frame = frames[-1]
            if not frame.below:
                self._totals[frame.tree] = frame.totals
                open_trees.discard(frames.pop().tree)
            elif (known := self._totals.get(frame.below[-1])) is not None:
                frame.totals.add(known)
                frame.below.pop()
            else:
                self._begin(frame.below[-1], frames, open_trees)
        return self._totals[tree]

    def _begin(self, tree: BlobId, frames: list[_Frame], open_trees: set[BlobId]) -> None:
        if tree in self._totals:
            return
        if tree in open_trees or len(frames) > MAX_DEPTH:
            raise DamagedRepository(
                f"tree {tree.hex()}", f"a directory in itself, or more than {MAX_DEPTH} deep"
            )
        frame = _Frame(tree)
        for node in load_directory(tree, self._loader, on_page=self._see_tree):
            self._count(node, frame)
        frames.append(frame)
        open_trees.add(tree)

    def _count(self, node: Node, frame: _Frame) -> None:
        totals = frame.totals
        if node.type == NodeType.FILE:
            totals.files += 1
            totals.size += node.size
            totals.referenced += self._see_content(node)
        elif node.type == NodeType.DIRECTORY:
            totals.directories += 1
            frame.below.append(directory_tree(node))
        else:
            totals.others += 1

    def _see_content(self, node: Node) -> int:
        """Count the blobs of a file; returns the bytes of its data blobs."""
        return data_size(
            file_content(node), node.size, self._loader, self._lists, self._see_reference
        )

    def _see_reference(self, level: int, blob: BlobId) -> None:
        if level:
            self._see_tree(blob)
        elif blob not in self.seen:
            self.raw += self._see(blob)

    def _see_tree(self, blob: BlobId) -> None:
        if blob not in self.seen:
            self.tree_raw += self._see(blob)

    def _see(self, blob: BlobId) -> int:
        """Count a blob for the first time; returns its bytes."""
        raw, stored = self._sizes.sizes(blob) or (0, 0)
        self.missing += not raw
        self.seen[blob] = raw
        self.stored += stored
        return raw
