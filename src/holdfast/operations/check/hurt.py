"""Who is hurt by what is lost: which paths of which snapshots, and by which object."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from holdfast.errors import DamagedRepository
from holdfast.model.content import references
from holdfast.model.node import Node, NodeType
from holdfast.model.roles import BlobLoader
from holdfast.model.snapshot import Snapshot
from holdfast.model.tree import load_directory
from holdfast.model.walk import directory_tree, file_content
from holdfast.operations.check.report import Hurt
from holdfast.primitives.ids import BlobId
from holdfast.store import BlobSet

MAX_PATHS = 100
"""Most paths that a finding names for one snapshot; all are counted."""

MAX_DEPTH = 20_000
"""Most levels of directories that are followed, as wherever trees are read."""

_Path: TypeAlias = "tuple[bytes, _Path | None]"
"""A path from a directory downwards: a name and the rest. Levels share it, however deep."""


@dataclass(slots=True)
class _Toll:
    """What one object hurts below a directory: how much, and where, for the first of it."""

    count: int = 0
    paths: list[_Path | None] = field(default_factory=list)

    def add(self, count: int, paths: list[_Path | None]) -> None:
        self.count += count
        self.paths += paths[: MAX_PATHS - len(self.paths)]


_Tolls: TypeAlias = dict[str, _Toll]


@dataclass(slots=True)
class _Frame:
    """A directory that is gone through."""

    name: bytes
    tree: BlobId
    nodes: Iterator[Node]
    tolls: _Tolls = field(default_factory=dict)

    def hurt(self, where: str, count: int, paths: list[_Path | None]) -> None:
        self.tolls.setdefault(where, _Toll()).add(count, paths)

    def pass_up(self, name: bytes, tolls: _Tolls) -> None:
        """Take over what is hurt in a directory of that name."""
        for where, toll in tolls.items():
            self.hurt(where, toll.count, [(name, path) for path in toll.paths])


class Hurts:
    """Finds what lost blobs do to snapshots; looks at every directory once, however often it is."""

    def __init__(self, lost: Mapping[BlobId, str], loader: BlobLoader, clean: BlobSet) -> None:
        """Begin.

        Args:
            lost: the object that each lost blob was in.
            loader: where trees are.
            clean: an empty set, for trees with nothing lost below them.
        """
        self._lost = lost
        self._loader = loader
        self._clean = clean
        self._hurt: dict[BlobId, _Tolls] = {}

    def of(self, snapshot: Snapshot) -> dict[str, Hurt]:
        """For each object that hurts the snapshot, how."""
        tolls = self._below(snapshot.tree)
        return {
            where: Hurt(snapshot.id, tuple(map(_text, toll.paths)), toll.count)
            for where, toll in tolls.items()
        }

    def _below(self, root: BlobId) -> _Tolls:
        """What is hurt in and below a directory."""
        top = self._frame(b"", root)
        frames = [top]
        while frames:
            frame = frames[-1]
            node = next(frame.nodes, None)
            if node is None:
                frames.pop()
                self._leave(frame, frames[-1] if frames else None)
            elif node.type == NodeType.DIRECTORY:
                tree = directory_tree(node)
                if tree in self._hurt:
                    frame.pass_up(node.name, self._hurt[tree])
                elif tree not in self._clean and len(frames) < MAX_DEPTH:
                    frames.append(self._frame(node.name, tree))
            elif node.type == NodeType.FILE and (where := self._lost_in(node)):
                frame.hurt(where, 1, [(node.name, None)])
        return top.tolls

    def _leave(self, frame: _Frame, parent: _Frame | None) -> None:
        if frame.tolls:
            self._hurt[frame.tree] = frame.tolls
        else:
            self._clean.add(frame.tree)
        if parent is not None:
            parent.pass_up(frame.name, frame.tolls)

    def _frame(self, name: bytes, tree: BlobId) -> _Frame:
        frame = _Frame(name, tree, load_directory(tree, self._loader, on_damage=_pass_over))
        if tree in self._lost:
            frame.hurt(self._lost[tree], 1, [None])
        return frame

    def _lost_in(self, node: Node) -> str | None:
        """The object that was to hold a part of this file that is lost."""
        lists: set[BlobId] = set()
        for level, blob in references(file_content(node), self._loader, lists):
            if blob in self._lost:
                return self._lost[blob]
            if level:
                lists.add(blob)
        return None


def _pass_over(_: DamagedRepository) -> None:
    """It was recorded when every tree was looked at."""


def _text(path: _Path | None) -> str:
    names = []
    while path is not None:
        name, path = path
        names.append(name)
    return os.fsdecode(b"/" + b"/".join(names))
