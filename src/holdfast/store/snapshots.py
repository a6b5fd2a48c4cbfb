"""Snapshots as objects, and the markers of dead sessions that may stand in their place."""

from __future__ import annotations

import contextlib
from functools import partial

from holdfast.backend import Backend
from holdfast.errors import DamagedRepository, ObjectNotFound, ObjectTruncated, ObjectUnreadable
from holdfast.primitives import codec
from holdfast.primitives.ids import SnapshotId
from holdfast.store.envelope import HEADER_SIZE, ObjectType, open_object, seal_object
from holdfast.store.keys import Keys
from holdfast.store.metadata import MetadataCache
from holdfast.store.objects import objects, read_object
from holdfast.store.session import is_aborted_marker

FOLDER = "snapshots/"


def list_snapshots(backend: Backend) -> dict[SnapshotId, int]:
    """The ids at which there is a snapshot or a marker, in order, and the bytes that it has."""
    found = {info.name: info.size for info in objects(backend, FOLDER)}
    return {SnapshotId(name.removeprefix(FOLDER)): found[name] for name in sorted(found)}


def read_snapshot(
    backend: Backend, keys: Keys, id_: SnapshotId, size: int | None, metadata: MetadataCache
) -> bytes | None:
    """An encoded snapshot; None when it only marks a dead session.

    Args:
        backend: where the repository is.
        keys: of the repository.
        id_: its id.
        size: of the object in bytes, if a listing has just told it. It also tells a marker from a
            snapshot that was there before, of which a copy may be left on this machine.
        metadata: copies of snapshots.

    Raises:
        ObjectNotFound: it is gone.
        DamagedRepository: damaged or forged.
    """
    name = FOLDER + id_
    size = backend.stat(name) if size is None else size
    return metadata.read_object(backend, name, partial(_open_snapshot, keys), size)


def delete_snapshot(backend: Backend, keys: Keys, id_: SnapshotId) -> None:
    """Remove a snapshot; see `Store.delete_snapshot`."""
    name = FOLDER + id_
    with contextlib.suppress(ObjectNotFound):
        with contextlib.suppress(ObjectTruncated, ObjectUnreadable):
            header = backend.get(name, 0, HEADER_SIZE)
            if is_aborted_marker(name, header):
                _renew_marker(backend, keys, name)
                return
        backend.delete(name)


def _renew_marker(backend: Backend, keys: Keys, name: str) -> None:
    try:
        read_object(backend, name, partial(_open_snapshot, keys))
    except DamagedRepository:
        marker = seal_object(ObjectType.ABORTED, keys, name, codec.pack({}))
        backend.put(name, marker)
    else:
        raise DamagedRepository(name, "it marks a dead session and has to stay")


def _open_snapshot(keys: Keys, name: str, data: bytes) -> bytes | None:
    if is_aborted_marker(name, data):
        open_object(ObjectType.ABORTED, keys, name, data)
        return None
    return open_object(ObjectType.SNAPSHOT, keys, name, data)
