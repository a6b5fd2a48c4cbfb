"""Blobs in memory: a loader and saver for tests of whatever works on trees."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from holdfast.errors import DamagedRepository
from holdfast.primitives import hashing
from holdfast.primitives.ids import BlobId

PAGE_KEY = bytes(range(32))
"""The key that decides where `MemoryBlobs` cuts directories."""


class MemoryBlobs:
    """Both a `BlobLoader` and a `TreeSaver`.

    Attributes:
        blobs: what is stored; a test may damage it.
        loaded: ids in the order in which they were loaded.
        hinted: ids in the order in which they were announced by `prefetch`.
    """

    def __init__(self) -> None:
        self.blobs: dict[BlobId, bytes] = {}
        self.loaded: list[BlobId] = []
        self.hinted: list[BlobId] = []

    @property
    def page_key(self) -> bytes:
        """See `TreeSaver.page_key`."""
        return PAGE_KEY

    def save_tree(self, data: bytes) -> BlobId:
        """See `TreeSaver.save_tree`."""
        return self.add(data)

    def add(self, data: bytes) -> BlobId:
        """Store a blob of data; returns its id."""
        blob = BlobId(hashing.digest(data))
        self.blobs[blob] = data
        return blob

    def load(self, blob: BlobId) -> bytes:
        """See `BlobLoader.load`."""
        self.loaded.append(blob)
        if blob not in self.blobs:
            raise DamagedRepository(f"blob {blob.hex()}", "missing")
        return self.blobs[blob]

    def prefetch(self, blobs: Iterable[BlobId]) -> None:
        """See `BlobLoader.prefetch`."""
        self.hinted.extend(blobs)

    def sizes(self, blob: BlobId) -> tuple[int, int] | None:
        """See `BlobSizes.sizes`: here a blob is stored in as many bytes as it has."""
        data = self.blobs.get(blob)
        return None if data is None else (len(data), len(data))


class ForgedBlobs:
    """A `BlobLoader` of what could never be stored: it makes up each blob from its id.

    Attributes:
        loaded: ids in the order in which they were loaded.
    """

    def __init__(self, forge: Callable[[BlobId], bytes]) -> None:
        self._forge = forge
        self.loaded: list[BlobId] = []

    def load(self, blob: BlobId) -> bytes:
        """See `BlobLoader.load`."""
        self.loaded.append(blob)
        return self._forge(blob)

    def prefetch(self, blobs: Iterable[BlobId]) -> None:
        """See `BlobLoader.prefetch`."""
