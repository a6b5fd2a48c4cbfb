"""Who is hurt by what is lost: which paths of which snapshots, and by which object."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar, TypeAlias

from holdfast.errors import DamagedRepository
from holdfast.model.content import references
from holdfast.model.descent import Descent
from holdfast.model.node import Node, NodeType
from holdfast.model.path import ROOT, join_path
from holdfast.model.roles import BlobLoader
from holdfast.model.snapshot import Snapshot
from holdfast.model.tree import load_directory
from holdfast.model.walk import directory_tree, file_content
from holdfast.overrides import override
from holdfast.present import Cell, Column, Kind, Row, columns
from holdfast.primitives.ids import BlobId
from holdfast.store import BlobSet

MAX_PATHS = 100
"""Most paths that a finding names for one snapshot; all are counted."""

_Path: TypeAlias = "tuple[bytes, _Path | None]"
"""A path from a directory downwards: a name and the rest. Levels share it, however deep."""

IsWrong: TypeAlias = Callable[[Node], bool]
"""Says of a file's entry whether it is not what its blobs are."""


@dataclass(frozen=True, slots=True)
class Hurt(Row):
    """What a finding does to one snapshot.

    Attributes:
        snapshot: its id.
        paths: what cannot be restored whole, at most `MAX_PATHS`.
        count: how many paths there are.
    """

    snapshot: str
    paths: tuple[str, ...]
    count: int

    _COLUMNS: ClassVar[tuple[Column, ...]] = columns(
        snapshot=Kind.ID, count=Kind.COUNT, paths=Kind.PATH
    )

    def dict(self) -> dict[str, object]:
        """Ready for JSON."""
        return {"snapshot": self.snapshot, "paths": list(self.paths), "count": self.count}

    @override
    def _row(self) -> tuple[Cell, ...]:
        return self.snapshot, self.count, ", ".join(self.paths)


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
    tolls: _Tolls = field(default_factory=dict)
    lost_pages: set[BlobId] = field(default_factory=set)

    def hurt(self, where: str, count: int, paths: list[_Path | None]) -> None:
        self.tolls.setdefault(where, _Toll()).add(count, paths)

    def pass_up(self, name: bytes, tolls: _Tolls) -> None:
        """Take over what is hurt in a directory of that name."""
        for where, toll in tolls.items():
            self.hurt(where, toll.count, [(name, path) for path in toll.paths])


class Hurts:
    """Finds what lost blobs do to snapshots; looks at every directory once, however often it is."""

    def __init__(
        self,
        lost: Mapping[BlobId, str],
        loader: BlobLoader,
        clean: BlobSet,
        is_wrong: IsWrong = lambda _: False,
    ) -> None:
        """Begin.

        Args:
            lost: the object that each lost blob was in; of directories it names the pages.
            loader: where trees are.
            clean: an empty set, for trees with nothing lost below them.
            is_wrong: files that it names are hurt by the directory that they are in.
        """
        self._lost = lost
        self._loader = loader
        self._clean = clean
        self._is_wrong = is_wrong
        self._hurt: dict[BlobId, _Tolls] = {}

    def of(self, snapshot: Snapshot) -> dict[str, Hurt]:
        """For each object that hurts the snapshot, how."""
        tolls = self._below(snapshot.tree)
        return {
            where: Hurt(snapshot.id, tuple(map(_text, toll.paths)), toll.count)
            for where, toll in tolls.items()
        }

    def is_hurt(self, tree: BlobId) -> bool:
        """Whether something is lost in or below a directory of a snapshot that was looked at."""
        return tree in self._hurt

    def _below(self, root: BlobId) -> _Tolls:
        """What is hurt in and below a directory."""
        top = _Frame(b"", root)
        way = [top]
        frames = {root: top}

        def read(tree: BlobId, _: bytes, after: bytes) -> Iterator[Node]:
            on_page = partial(self._on_page, frames[tree])
            return load_directory(
                tree, self._loader, after=after, on_damage=_pass_over, on_page=on_page
            )

        descent = Descent(root, ROOT, read)
        while way:
            node = descent.next()
            while len(way) > descent.depth:
                done = way.pop()
                del frames[done.tree]
                self._leave(done, way[-1] if way else None)
            if node is None:
                continue
            if node.type != NodeType.DIRECTORY:
                self._look_at(node, way[-1])
            elif not self._is_known(node, way[-1]):
                tree = directory_tree(node)
                if descent.enter(tree, join_path(descent.path, node.name)):
                    way[-1].hurt(tree_name(tree), 1, [(node.name, None)])
                else:
                    frames[tree] = _Frame(node.name, tree)
                    way.append(frames[tree])
        return top.tolls

    def _is_known(self, node: Node, parent: _Frame) -> bool:
        """Whether a directory was gone through before; what is hurt there is the parent's too."""
        tree = directory_tree(node)
        if tree in self._hurt:
            parent.pass_up(node.name, self._hurt[tree])
            return True
        return tree in self._clean

    def _leave(self, frame: _Frame, parent: _Frame | None) -> None:
        if frame.tolls:
            self._hurt[frame.tree] = frame.tolls
        else:
            self._clean.add(frame.tree)
        if parent is not None:
            parent.pass_up(frame.name, frame.tolls)

    def _on_page(self, frame: _Frame, page: BlobId) -> None:
        where = self._lost.get(page)
        if where is not None and page not in frame.lost_pages:  # one may be read several times
            frame.lost_pages.add(page)
            frame.hurt(where, 1, [None])

    def _look_at(self, node: Node, frame: _Frame) -> None:
        if node.type != NodeType.FILE:
            return
        lost = lost_blob(node, self._lost, self._loader)
        if lost is not None:
            frame.hurt(self._lost[lost], 1, [(node.name, None)])
        elif self._is_wrong(node):
            frame.hurt(tree_name(frame.tree), 1, [(node.name, None)])


def lost_blob(node: Node, lost: Container[BlobId], loader: BlobLoader) -> BlobId | None:
    """The first blob that a file needs and that is lost; None when it can be restored."""
    lists: set[BlobId] = set()
    for level, blob in references(file_content(node), loader, lists):
        if blob in lost:
            return blob
        if level:
            lists.add(blob)
    return None


def tree_name(tree: BlobId) -> str:
    """What a directory is called where objects are named."""
    return f"tree {tree.hex()}"


def _pass_over(_: DamagedRepository) -> None:
    """It was recorded when every tree was looked at."""


def _text(path: _Path | None) -> str:
    names = []
    while path is not None:
        name, path = path
        names.append(name)
    return os.fsdecode(b"/" + b"/".join(names))
