"""Labels: objects that tell what a snapshot was given after it was made (docs/format.md, F52)."""

from __future__ import annotations

from functools import partial

from holdfast.backend import Backend
from holdfast.primitives.ids import SnapshotId, random_name
from holdfast.store.envelope import ObjectType, open_object, seal_object
from holdfast.store.keys import Keys
from holdfast.store.metadata import MetadataCache
from holdfast.store.objects import objects, put_current

FOLDER = "labels/"


def list_labels(backend: Backend, snapshot: SnapshotId | None) -> dict[SnapshotId, dict[str, int]]:
    """The labels of a snapshot, or of all that have any, by a single listing.

    Returns:
        For each snapshot the names of its labels, in order, with the sizes of the objects in bytes.
    """
    folder = FOLDER if snapshot is None else f"{FOLDER}{snapshot}/"
    found: dict[SnapshotId, dict[str, int]] = {}
    for info in sorted(objects(backend, folder)):
        _, id_, name = info.name.split("/")
        found.setdefault(SnapshotId(id_), {})[name] = info.size
    return found


def label_object(snapshot: SnapshotId, name: str) -> str:
    """The name of the object that is that label."""
    return f"{FOLDER}{snapshot}/{name}"


def read_label(
    backend: Backend, keys: Keys, where: str, size: int | None, metadata: MetadataCache
) -> bytes:
    """A label's record.

    Args:
        backend: where the repository is.
        keys: of the repository.
        where: name of the object.
        size: in bytes, if a listing has just told it.
        metadata: copies of labels.

    Raises:
        ObjectNotFound: it is gone.
        DamagedRepository: damaged or forged.
    """
    size = backend.stat(where) if size is None else size
    return metadata.read_object(backend, where, partial(open_object, ObjectType.LABEL, keys), size)


def put_label(backend: Backend, keys: Keys, snapshot: SnapshotId, record: bytes) -> str:
    """Store a label of a snapshot, which may be one that is still to come; returns its name.

    Raises:
        KeysRotated: the settings or keys were changed meanwhile.
    """
    name = random_name()
    where = label_object(snapshot, name)
    put_current(backend, where, seal_object(ObjectType.LABEL, keys, where, record), keys.config)
    return name
