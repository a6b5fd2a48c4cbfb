"""Copying a tree into a repository that names blobs differently.

There every blob has another id, and so every list and every directory another content: trees
are made anew from the leaves up. Files stay cut as they are. What an earlier snapshot that was
copied has in the same place, and what is known of other blobs, is not read again.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from holdfast.errors import DamagedRepository
from holdfast.model.content import ContentBuilder, iter_items, references
from holdfast.model.node import Content, Node, NodeType
from holdfast.model.path import ROOT
from holdfast.model.roles import BlobLoader
from holdfast.model.tree import load_directory, save_directory
from holdfast.model.walk import directory_tree, file_content
from holdfast.operations.carry import BlobKeeper, Seen
from holdfast.operations.copy.handover import Missing
from holdfast.operations.copy.known import KnownIds
from holdfast.operations.ingest import Group, owner_group
from holdfast.operations.rebuild import Directory, rebuild
from holdfast.primitives.ids import BlobId
from holdfast.progress import Progress

_log = logging.getLogger(__name__)

Pair: TypeAlias = tuple[BlobId, BlobId]
"""A directory of the source, and what it became in the target when it was copied."""

_Nodes: TypeAlias = tuple[Node, Node]
"""The entries of one name of such a pair."""


@dataclass(frozen=True, slots=True)
class _Before:
    """What an earlier copy has at the place of a directory.

    Attributes:
        pair: the directory itself; None when there was none.
        below: the directories in it, by name.
    """

    pair: Pair | None
    below: dict[bytes, Pair]


class Transplant:
    """Copies one tree, within one attempt of one session.

    Args:
        source: where the tree is.
        target: reads what the target has.
        keeper: the session's writer.
        known: new ids of blobs; used and added to.
        new_seen: makes an empty set of the target's blobs.
        progress: told of every file.
    """

    def __init__(
        self,
        source: BlobLoader,
        target: BlobLoader,
        keeper: BlobKeeper,
        known: KnownIds,
        new_seen: Callable[[], Seen],
        progress: Progress,
    ) -> None:
        self._source = source
        self._target = target
        self._keeper = keeper
        self._known = known
        self._new_seen = new_seen
        self._progress = progress
        self._whole = new_seen()

    def run(self, tree: BlobId, before: Pair | None) -> BlobId:
        """Copy a tree.

        Args:
            tree: its root directory.
            before: that of an earlier snapshot, and what it became.

        Returns:
            The root directory's id in the target.

        Raises:
            DamagedRepository: the source is damaged.
        """
        taken = self._take_over(tree, before)
        if taken is not None:
            return taken
        root = self._directory(tree, ROOT, before)
        return rebuild(root, self._source, self._enter, self._leave)

    def missing(self, tree: BlobId, before: Pair | None, seen: Seen) -> Iterator[Missing]:
        """Give the blobs of files that `run` would read, as far as is known without reading any.

        Args:
            tree: as for `run`, and so is `before`.
            before: that of an earlier snapshot, and what it became.
            seen: blobs of the source that were given or are not missing; added to.

        Raises:
            DamagedRepository: the source is damaged.
        """
        pending = [(tree, before)]
        while pending:
            tree, before = pending.pop()
            if not seen.add(tree) or self._take_over(tree, before) is not None:
                continue
            below = self._below(before)
            finder = _Finder(self._pairs(before))
            for node in load_directory(tree, self._source):
                if node.type == NodeType.DIRECTORY:
                    pending.append((directory_tree(node), below.get(node.name)))
                elif node.type == NodeType.FILE:
                    yield from self._missing(node, finder.find(node.name), seen)

    # Directories

    def _enter(
        self, parent: Directory[_Before], path: bytes, node: Node
    ) -> Directory[_Before] | BlobId:
        tree = directory_tree(node)
        before = parent.note.below.get(node.name)
        taken = self._take_over(tree, before)
        return self._directory(tree, path, before) if taken is None else taken

    def _directory(self, tree: BlobId, path: bytes, before: Pair | None) -> Directory[_Before]:
        return Directory(tree, path, _Before(before, self._below(before)))

    def _below(self, before: Pair | None) -> dict[bytes, Pair]:
        """The directories in one that was copied, by name."""
        return {
            old.name: (directory_tree(old), directory_tree(new))
            for old, new in self._pairs(before)
            if old.type == NodeType.DIRECTORY
        }

    def _leave(self, directory: Directory[_Before]) -> BlobId:
        tree = save_directory(self._moved(directory), self._keeper)
        self._whole.add(tree)
        self._known.put(directory.tree, tree)
        return tree

    def _moved(self, directory: Directory[_Before]) -> Iterator[Node]:
        """A directory's entries as the target is to have them."""
        here = os.fsdecode(directory.path)
        before = _Finder(self._pairs(directory.note.pair))
        for node in load_directory(directory.tree, self._source):
            if node.type == NodeType.DIRECTORY:
                yield node._replace(payload=directory.below[node.name])
            elif node.type == NodeType.FILE:
                yield node._replace(payload=self._content(node, before.find(node.name)))
                self._progress.advance(1, node.size, here)
            else:
                yield node

    def _pairs(self, before: Pair | None) -> Iterator[_Nodes]:
        """The entries of a directory that was copied, side by side."""
        if before is None:
            return
        old_nodes = load_directory(before[0], self._source)
        new_nodes = load_directory(before[1], self._target)
        try:
            for old, new in zip(old_nodes, new_nodes, strict=False):
                if (old.name, old.type) != (new.name, new.type):
                    return
                yield old, new
        except DamagedRepository as error:
            _log.info("an earlier copy is of no use: %s", error)

    # What the target has already

    def _take_over(self, tree: BlobId, before: Pair | None) -> BlobId | None:
        """The directory's id in the target if it is there already, and all that it needs."""
        there = before[1] if before and before[0] == tree else self._known.get(tree)
        if there is None or not self._is_whole(lambda: self._has_tree(there)):
            return None
        self._known.put(tree, there)
        return there

    def _is_whole(self, has_all: Callable[[], bool]) -> bool:
        """Whether all is where this session may build upon it."""
        try:
            if has_all():
                return True
        except DamagedRepository as error:
            _log.info("not taken over from an earlier copy: %s", error)
        # What was met on the way was not looked at to its end.
        self._whole = self._new_seen()
        return False

    def _has_tree(self, tree: BlobId) -> bool:
        pending = [tree]
        while pending:
            directory = pending.pop()
            if not self._whole.add(directory):
                continue
            pages: list[BlobId] = []
            for node in load_directory(directory, self._target, on_page=pages.append):
                if node.type == NodeType.DIRECTORY:
                    pending.append(directory_tree(node))
                elif node.type == NodeType.FILE:
                    if not self._has_content(node):
                        return False
                    self._progress.advance(1, node.size)
            if not self._keeper.has(pages):
                return False
        return True

    def _has_content(self, node: Node) -> bool:
        for _, blob in references(file_content(node), self._target, self._whole):
            if not self._keeper.has((blob,)):
                return False
            self._whole.add(blob)
        return True

    # Files

    def _content(self, node: Node, before: _Nodes | None) -> Content | None:
        if before is not None and self._is_as_before(node, *before):
            return file_content(before[1])
        builder = ContentBuilder(self._keeper)
        group = owner_group(node)
        for _, item in iter_items(file_content(node), node.size, self._source):
            if isinstance(item, int):
                builder.add_zeros(item)
            else:
                builder.add_blob(self._blob(*item, group), item[1])
        return builder.finish()[1]

    def _missing(self, node: Node, before: _Nodes | None, seen: Seen) -> Iterator[Missing]:
        if before is not None and self._is_as_before(node, *before):
            return
        group = owner_group(node)
        for _, item in iter_items(file_content(node), node.size, self._source):
            if isinstance(item, tuple) and seen.add(item[0]) and self._there(item[0]) is None:
                yield Missing(*item, group)

    def _is_as_before(self, node: Node, old: Node, new: Node) -> bool:
        """Whether a file is what was copied before, and all of that is still to be built upon."""
        if old.type != NodeType.FILE:
            return False
        if old.payload == file_content(node) and self._is_whole(lambda: self._has_content(new)):
            return True
        self._learn(old, new)
        return False

    def _learn(self, old: Node, new: Node) -> None:
        """Remember what the blobs of a file are called in the target."""
        old_items = iter_items(file_content(old), old.size, self._source)
        new_items = iter_items(file_content(new), new.size, self._target)
        try:
            for (start, item), (other_start, other) in zip(old_items, new_items, strict=False):
                if isinstance(item, tuple) and isinstance(other, tuple):
                    if (start, item[1]) != (other_start, other[1]):
                        return
                    self._known.put(item[0], other[0])
        except DamagedRepository as error:
            _log.info("an earlier copy is of no use: %s", error)

    def _blob(self, blob: BlobId, length: int, group: Group) -> BlobId:
        """The id of a blob of a file in the target, stored there unless it is."""
        there = self._there(blob)
        if there is not None:
            return there
        data = self._source.load(blob)
        if len(data) != length:
            raise DamagedRepository(f"blob {blob.hex()}", f"{len(data)} bytes instead of {length}")
        there = self._keeper.save_data(memoryview(data), group)
        self._known.put(blob, there)
        return there

    def _there(self, blob: BlobId) -> BlobId | None:
        """The id of a blob in the target, if it is known and the blob is to be built upon."""
        there = self._known.get(blob)
        return there if there is not None and self._keeper.has((there,)) else None


class _Finder:
    """Finds entries by names that are asked for in ascending order."""

    def __init__(self, pairs: Iterator[_Nodes]) -> None:
        self._pairs = pairs
        self._next = next(pairs, None)

    def find(self, name: bytes) -> _Nodes | None:
        """The entries of that name, if there are any."""
        while self._next is not None and self._next[0].name < name:
            self._next = next(self._pairs, None)
        return self._next if self._next is not None and self._next[0].name == name else None
