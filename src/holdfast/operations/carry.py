"""Seeing to it that all that a tree needs is stored where a new snapshot may build upon it.

Whatever makes a snapshot of what others stored must not trust that it stays: a reclaim may have
condemned it. So every blob is looked at; one that is only in condemned or absent packs is read,
while it still can be, and stored again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from holdfast.errors import DamagedRepository
from holdfast.model.content import references
from holdfast.model.node import Node, NodeType
from holdfast.model.roles import BlobLoader
from holdfast.model.tree import load_directory
from holdfast.model.walk import directory_tree, file_content
from holdfast.operations.ingest import BlobSaver, owner_group
from holdfast.primitives.ids import BlobId
from holdfast.progress import Progress


class BlobKeeper(BlobSaver, Protocol):
    """Stores blobs, and says which of them are stored where the session may build upon them."""

    def has(self, blobs: Iterable[BlobId]) -> bool:
        """Whether all these blobs are."""


class Seen(Protocol):
    """A set of blobs, such as `holdfast.store.BlobSet`."""

    def add(self, blob: bytes) -> bool:
        """Add a blob; returns whether it was not in the set before."""

    def __contains__(self, blob: object) -> bool:
        """Whether a blob was added."""


def carry(
    tree: BlobId, loader: BlobLoader, keeper: BlobKeeper, seen: Seen, progress: Progress
) -> None:
    """Make a tree and all that it needs part of what a session may build upon.

    Ids stay as they are, so the loader's repository and the keeper's have one dedup secret.

    Args:
        tree: the root.
        loader: where the blobs are.
        keeper: a session's writer.
        seen: blobs that were carried by this session already; added to.
        progress: told of every directory and file.

    Raises:
        DamagedRepository: a blob is lost.
    """
    pending = [tree]
    while pending:
        directory = pending.pop()
        if not seen.add(directory):
            continue

        def keep_page(page: BlobId) -> None:
            _keep_tree(page, loader, keeper)

        for node in load_directory(directory, loader, on_page=keep_page):
            if node.type == NodeType.DIRECTORY:
                pending.append(directory_tree(node))
            elif node.type == NodeType.FILE:
                carry_file(node, loader, keeper, seen)
                progress.advance(1, node.size)


def carry_file(node: Node, loader: BlobLoader, keeper: BlobKeeper, seen: Seen) -> None:
    """The same for what one file needs."""
    group = owner_group(node)
    for level, blob in references(file_content(node), loader, seen):
        if not seen.add(blob) or keeper.has((blob,)):
            continue
        data = loader.load(blob)
        kept = keeper.save_tree(data) if level else keeper.save_data(memoryview(data), group)
        _expect(blob, kept)


def _keep_tree(blob: BlobId, loader: BlobLoader, keeper: BlobKeeper) -> None:
    if not keeper.has((blob,)):
        _expect(blob, keeper.save_tree(loader.load(blob)))


def _expect(blob: BlobId, kept: BlobId) -> None:
    if kept != blob:
        raise DamagedRepository(
            f"blob {blob.hex()}",
            "it has another id where it is to be kept: the two repositories name blobs differently",
            "make the target with `init --like`",
        )
