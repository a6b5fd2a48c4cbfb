"""What snapshots need: every tree, list and data blob, each looked at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from holdfast.errors import DamagedRepository
from holdfast.model.content import references
from holdfast.model.node import Node, NodeType
from holdfast.model.roles import BlobLoader
from holdfast.model.snapshot import Snapshot
from holdfast.model.tree import load_directory
from holdfast.model.walk import directory_tree, file_content
from holdfast.operations.ingest import owner_group
from holdfast.primitives.ids import BlobId
from holdfast.progress import Progress
from holdfast.store import Group

_FILE, _DIRECTORY = int(NodeType.FILE), int(NodeType.DIRECTORY)


class Marking(Protocol):
    """Where blobs are marked, such as `holdfast.store.Marks`."""

    def add(self, blob: bytes, group: Group = ...) -> bool:
        """Mark a blob; returns whether it was not marked before."""

    def __contains__(self, blob: object) -> bool:
        """Whether a blob is marked."""


def mark(
    snapshots: Iterable[Snapshot], loader: BlobLoader, marks: Marking, progress: Progress
) -> None:
    """Mark all that these snapshots need.

    Args:
        snapshots: which.
        loader: where trees are.
        marks: added to; what is marked already is taken as done. Of no use after an error.
        progress: told of every directory entry.

    Raises:
        DamagedRepository: not all that they need can be found out.
    """
    for snapshot in snapshots:
        try:
            _mark_tree(snapshot.tree, loader, marks, progress)
        except DamagedRepository as error:
            raise DamagedRepository(
                error.object, f"{error.problem} (in snapshot {snapshot.short_id})"
            ) from error


def _mark_tree(tree: BlobId, loader: BlobLoader, marks: Marking, progress: Progress) -> None:
    pending = [tree]
    while pending:
        directory = pending.pop()
        if not marks.add(directory):
            continue
        files = 0
        for node in load_directory(directory, loader, on_page=marks.add):
            kind = node.type
            if kind == _FILE:
                _mark_file(node, loader, marks)
                files += 1
            elif kind == _DIRECTORY:
                pending.append(directory_tree(node))
        progress.advance(files, 0)


def _mark_file(node: Node, loader: BlobLoader, marks: Marking) -> None:
    content = file_content(node)
    if content is None:
        return
    group = owner_group(node)
    if isinstance(content, bytes):  # as of nearly every file
        marks.add(content, group)
        return
    for level, blob in references(content, loader, marks):
        if level:
            marks.add(blob)
        else:
            marks.add(blob, group)
