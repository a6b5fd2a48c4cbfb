"""What the model asks of a store: to load and save blobs by id, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from holdfast.primitives.ids import BlobId


class BlobLoader(Protocol):
    """Gives the bytes of a blob; safe to use from several threads."""

    def load(self, blob: BlobId) -> bytes:
        """The plaintext of a blob, verified against its id.

        Raises:
            DamagedRepository: no good copy can be read; `.object` names the blob or its pack.
        """

    def prefetch(self, blobs: Iterable[BlobId]) -> None:
        """A hint that these blobs are wanted soon and in this order; returns at once.

        A blob that is missing or damaged is not an error here: `load` will say so.
        """


class TreeSaver(Protocol):
    """Stores metadata blobs (directories and lists of blobs)."""

    @property
    def page_key(self) -> bytes:
        """32-byte key of the hash that decides where a large directory is cut into pages."""

    def save_tree(self, data: bytes) -> BlobId:
        """Store a blob of metadata unless it is there already; returns its id."""
