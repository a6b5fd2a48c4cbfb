"""A writer that stores nothing: what a backup would add, without a session and without a trace."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Self

from holdfast.backend import Backend
from holdfast.primitives.hashing import keyed
from holdfast.primitives.ids import BlobId, PackName, SnapshotId, new_session_id, random_name
from holdfast.store.catalog import Catalog
from holdfast.store.filler import Group
from holdfast.store.keys import Keys
from holdfast.store.pack import Kind, blob_key, object_name
from holdfast.store.session import condemned_packs


class Rehearsal:
    """Counts what a `Writer` would store; the same calls with the same answers.

    Attributes:
        compression: zstd level.
        added: bytes of blobs that are not stored.
        stored: 0; how much they would take is only known by doing it.
    """

    def __init__(self, backend: Backend, keys: Keys, catalog: Catalog, compression: int) -> None:
        """Learn what is stored and may be built upon, as a `Writer` does."""
        self.compression = compression
        condemned = condemned_packs(backend, keys)
        self._table = catalog.refresh()
        sizes = {info.name: info.size for info in backend.list("data/")}
        self._excluded = {
            number
            for number, row in enumerate(self._table.pack_rows())
            if row.name in condemned or sizes.get(object_name(row.name)) != row.size
        }
        self._id_keys = {kind: blob_key(keys, kind) for kind in Kind}
        self._seen: set[bytes] = set()
        self.page_key = keys.from_dedup("tree pages")
        self.id = SnapshotId(new_session_id().hex())
        self.added = self.stored = 0

    def avoid(self, packs: Collection[PackName]) -> None:
        """See `Writer.avoid`."""
        numbers = (self._table.pack_number(name) for name in packs)
        self._excluded |= {number for number in numbers if number is not None}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """There is nothing to end."""

    def save_data(self, content: memoryview, group: Group) -> BlobId:  # noqa: ARG002 - the writer's
        """See `Writer.save_data`."""
        return self._save(Kind.DATA, content)

    def save_known(self, blob: BlobId, content: memoryview, group: Group) -> None:  # noqa: ARG002 - the writer's
        """See `Writer.save_known`."""
        self._note(blob, len(content))

    def save_tree(self, data: bytes) -> BlobId:
        """See `Writer.save_tree`."""
        return self._save(Kind.TREE, memoryview(data))

    def _save(self, kind: Kind, content: memoryview) -> BlobId:
        blob = BlobId(keyed(self._id_keys[kind], content))
        self._note(blob, len(content))
        return blob

    def _note(self, blob: BlobId, length: int) -> None:
        if not self.has((blob,)):
            self._seen.add(blob)
            self.added += length

    def has(self, blobs: Iterable[BlobId]) -> bool:
        """See `Writer.has`."""
        return all(
            blob in self._seen or self._table.known(blob, self._excluded) >= 0 for blob in blobs
        )

    def flush(self) -> None:
        """Nothing is waiting."""

    def confirm(self) -> bool:
        """Nothing is built upon."""
        return True

    def put_label(self, record: bytes) -> str:  # noqa: ARG002 - the writer's
        """Store no label; returns a name that it does not have."""
        return random_name()

    def commit(self, snapshot: bytes) -> SnapshotId:  # noqa: ARG002 - the writer's
        """Make no snapshot; returns the id that it would not have."""
        return self.id
