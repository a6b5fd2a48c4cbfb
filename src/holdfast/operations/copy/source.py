"""The repository that is copied from: which of what goes wrong is its fault, and where."""

from __future__ import annotations

from collections.abc import Iterable

from holdfast.errors import BackendError, DamagedRepository, HoldfastError
from holdfast.model.content import references
from holdfast.model.node import NodeType
from holdfast.model.path import printable
from holdfast.model.roles import BlobLoader
from holdfast.model.snapshot import Snapshot
from holdfast.model.walk import file_content, walk
from holdfast.primitives.ids import BlobId


class SourceFailed(Exception):  # noqa: N818 - never leaves a copy: it becomes a failure in the result
    """The snapshot that is copied cannot be read; others may be, and the target is not to blame."""

    def __init__(self, error: HoldfastError) -> None:
        super().__init__(str(error))
        self.error = error


class Source:
    """A `BlobLoader` that remembers what failed last."""

    def __init__(self, loader: BlobLoader) -> None:
        self._loader = loader
        self._failed: tuple[BlobId, HoldfastError] | None = None

    def load(self, blob: BlobId) -> bytes:
        """See `BlobLoader.load`."""
        try:
            return self._loader.load(blob)
        except (DamagedRepository, BackendError) as error:
            self._failed = blob, error
            raise

    def prefetch(self, blobs: Iterable[BlobId]) -> None:
        """See `BlobLoader.prefetch`."""
        self._loader.prefetch(blobs)

    def is_to_blame(self, error: HoldfastError) -> bool:
        """Whether an error comes from here. Damage that a copy meets is always the source's."""
        return isinstance(error, DamagedRepository) or (
            self._failed is not None and self._failed[1] is error
        )

    def explained(self, error: HoldfastError, snapshot: Snapshot) -> HoldfastError:
        """Damage, with the snapshot and the first path that it hurts."""
        if not isinstance(error, DamagedRepository):
            return error
        blob = self._failed[0] if self._failed and self._failed[1] is error else None
        path = self._first_path(snapshot.tree, blob)
        where = f"{printable(path)} of " if path else ""
        told = DamagedRepository(
            error.object, f"{error.problem} (needed by {where}snapshot {snapshot.short_id})"
        )
        told.__cause__ = error
        return told

    def _first_path(self, tree: BlobId, blob: BlobId | None) -> bytes:
        """The first path below a tree that a blob hurts, or anything else that is damaged."""
        damaged: list[bytes] = []
        found = walk(tree, self._loader, on_damage=lambda path, _: damaged.append(path))
        for path, node in found:
            if damaged:
                break
            try:
                if node.type == NodeType.FILE and blob in {
                    each for _, each in references(file_content(node), self._loader)
                }:
                    return path
            except DamagedRepository:
                return path
        return damaged[0] if damaged else b""
