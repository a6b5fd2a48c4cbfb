"""Forgotten snapshots: kept until their data is reclaimed (docs/format.md, F51)."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from holdfast.backend import Backend
from holdfast.errors import DamagedRepository, ObjectExists
from holdfast.primitives import codec
from holdfast.primitives.ids import SnapshotId
from holdfast.store.envelope import ObjectType, open_object, seal_object
from holdfast.store.keys import Keys
from holdfast.store.objects import is_exclusive, read_object

FOLDER = "forgotten/"


class Forgotten(NamedTuple):
    """A snapshot that was forgotten.

    Attributes:
        record: the snapshot's, as it was stored.
        time_ns: when it was forgotten, in nanoseconds since the Unix epoch.
    """

    record: bytes
    time_ns: int


def read_forgotten(backend: Backend, keys: Keys, id_: SnapshotId) -> Forgotten:
    """A forgotten snapshot.

    Raises:
        ObjectNotFound: it was not forgotten, or is reclaimed.
        DamagedRepository: damaged or forged.
    """
    return read_object(backend, FOLDER + id_, partial(decode_forgotten, keys))


def decode_forgotten(keys: Keys, name: str, data: bytes) -> Forgotten:
    """What an object of that name holds.

    Raises:
        DamagedRepository: damaged, forged, or it holds no snapshot.
    """
    message = open_object(ObjectType.FORGOTTEN, keys, name, data)
    try:
        record = codec.unpack(message)
    except ValueError as error:
        raise DamagedRepository(name, str(error)) from None
    match record:
        case {"snapshot": bytes(snapshot), "forgotten": int(time)} if type(time) is int:
            return Forgotten(snapshot, time)
        case _:
            raise DamagedRepository(name, "it does not hold a snapshot")


def put_forgotten(
    backend: Backend, keys: Keys, id_: SnapshotId, snapshot: Forgotten, *, replace: bool
) -> None:
    """Store a forgotten snapshot, unless somebody else has just done so.

    Args:
        backend: where the repository is.
        keys: of the repository.
        id_: its id.
        snapshot: what to store.
        replace: what is there is damaged. It is replaced, never deleted: another client may have
            replaced it already, and have removed the snapshot.
    """
    name = FOLDER + id_
    message = codec.pack({"snapshot": snapshot.record, "forgotten": snapshot.time_ns})
    data = seal_object(ObjectType.FORGOTTEN, keys, name, message)
    if replace or not is_exclusive(backend):
        backend.put(name, data)
        return
    try:
        backend.put_if_absent(name, data)
    except ObjectExists:
        read_forgotten(backend, keys, id_)
