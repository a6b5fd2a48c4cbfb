"""Labels: objects that tell what a snapshot was given after it was made (docs/format.md, F52)."""

from __future__ import annotations

from functools import partial

from holdfast.backend import Backend
from holdfast.primitives.ids import SnapshotId, random_name
from holdfast.store.envelope import ObjectType, open_object, seal_object
from holdfast.store.keys import Keys
from holdfast.store.objects import objects, put_current, read_object

FOLDER = "labels/"


def list_labels(backend: Backend, snapshot: SnapshotId | None) -> dict[SnapshotId, list[str]]:
    """The names of the labels of a snapshot, or of all that have any, by a single listing."""
    folder = FOLDER if snapshot is None else f"{FOLDER}{snapshot}/"
    found: dict[SnapshotId, set[str]] = {}
    for info in objects(backend, folder):
        _, id_, name = info.name.split("/")
        found.setdefault(SnapshotId(id_), set()).add(name)
    return {id_: sorted(names) for id_, names in found.items()}


def label_object(snapshot: SnapshotId, name: str) -> str:
    """The name of the object that is that label."""
    return f"{FOLDER}{snapshot}/{name}"


def read_label(backend: Backend, keys: Keys, where: str) -> bytes:
    """A label's record.

    Raises:
        ObjectNotFound: it is gone.
        DamagedRepository: damaged or forged.
    """
    return read_object(backend, where, partial(open_object, ObjectType.LABEL, keys))


def put_label(backend: Backend, keys: Keys, snapshot: SnapshotId, record: bytes) -> str:
    """Store a label of a snapshot, which may be one that is still to come; returns its name.

    Raises:
        KeysRotated: the settings or keys were changed meanwhile.
    """
    name = random_name()
    where = label_object(snapshot, name)
    put_current(backend, where, seal_object(ObjectType.LABEL, keys, where, record), keys.config)
    return name
