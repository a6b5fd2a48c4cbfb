"""What the model asks of a store: to load and save blobs by id, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Protocol, TypeGuard, runtime_checkable

from holdfast.errors import DamagedRepository
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


@runtime_checkable
class ViewLoader(Protocol):
    """What a `BlobLoader` can do beside that if it need not copy blobs to give them."""

    def view(self, blob: BlobId) -> memoryview:
        """As `BlobLoader.load`; the bytes stay as they are as long as the view is held."""

    def views(self, blobs: Sequence[BlobId]) -> Iterator[tuple[int, memoryview | None]]:
        """Begin to read many blobs; the iterator gives them in whatever order is quickest.

        Returns:
            An iterator of (position in `blobs`, view of the blob or None). None is a blob that
            cannot be had so; `view` tries everything, and says what is wrong.
        """


def _gives_views(loader: BlobLoader) -> TypeGuard[ViewLoader]:
    """Whether a loader is a `ViewLoader`."""
    return _can_give_views(type(loader))


@cache
def _can_give_views(kind: type[BlobLoader]) -> bool:
    # Asked once: to find out whether a class has some methods takes longer than to read a blob.
    return issubclass(kind, ViewLoader)


def view_blob(loader: BlobLoader, blob: BlobId) -> memoryview:
    """See `ViewLoader.view`; from any loader."""
    return loader.view(blob) if _gives_views(loader) else memoryview(loader.load(blob))


def view_blobs(
    loader: BlobLoader, blobs: Sequence[BlobId]
) -> Iterator[tuple[int, memoryview | None]]:
    """See `ViewLoader.views`; from any loader."""
    if _gives_views(loader):
        return loader.views(blobs)
    loader.prefetch(blobs)
    return _one_by_one(loader, blobs)


def _one_by_one(
    loader: BlobLoader, blobs: Sequence[BlobId]
) -> Iterator[tuple[int, memoryview | None]]:
    for position, blob in enumerate(blobs):
        try:
            yield position, memoryview(loader.load(blob))
        except DamagedRepository:
            yield position, None


class TreeSaver(Protocol):
    """Stores metadata blobs (directories and lists of blobs)."""

    @property
    def page_key(self) -> bytes:
        """32-byte key of the hash that decides where a large directory is cut into pages."""

    def save_tree(self, data: bytes) -> BlobId:
        """Store a blob of metadata unless it is there already; returns its id."""
