"""What one object of the storage says, ready for JSON and without secrets: for looking into it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from holdfast.backend import Backend, ObjectInfo
from holdfast.errors import DamagedRepository
from holdfast.primitives import codec
from holdfast.primitives.ids import PackName
from holdfast.store.config import CONFIG_LIMIT, decode_plain
from holdfast.store.envelope import ObjectType, object_epoch, open_object
from holdfast.store.index import decode_index
from holdfast.store.keys import Keys
from holdfast.store.objects import OBJECT_LIMIT, objects, read_object
from holdfast.store.pack import parse_header
from holdfast.store.scrub import read_trailer
from holdfast.store.session import is_aborted_marker
from holdfast.store.slots import SLOT_LIMIT, read_card

_SECRETS = frozenset({"dedup", "master"})
_MASKED = "(secret)"

_PATHS = frozenset({"paths", "problems"})
"""Fields of records whose bytes are paths and no ids."""

_OF_ANY_EPOCH = frozenset({"config", "epochs"})
"""What is never sealed anew; old ones are looked at, and not gone by."""

_Record = dict[str, object]


def find_objects(backend: Backend, folder: str, beginning: str) -> list[ObjectInfo]:
    """The objects in a folder of which the name's last part begins so, by name."""
    return sorted(
        info
        for info in objects(backend, folder)
        if info.name.rpartition("/")[2].startswith(beginning)
    )


def describe(backend: Backend, keys: Keys, name: str) -> _Record:
    """What an object says; the fields are those of docs/format.md.

    Args:
        backend: where it is.
        keys: of the repository.
        name: of an object that is no pack.

    Raises:
        ObjectNotFound: there is no such object.
        DamagedRepository: it is damaged.
    """
    folder = name.partition("/")[0]
    if folder in _OF_ANY_EPOCH:
        keys = replace(keys, oldest=0)
    readers: dict[str, Callable[[str, bytes], _Record]] = {
        "config": partial(_config, keys),
        "index": partial(_index, keys),
        "keys": partial(_slot, keys),
        "snapshots": partial(_snapshot, keys),
    }
    read = readers.get(folder) or partial(_small, keys, _TYPES[folder])
    limit = {"config": CONFIG_LIMIT, "keys": SLOT_LIMIT}.get(folder, OBJECT_LIMIT)
    return read_object(backend, name, read, limit=limit)


_TYPES = {
    "audit": ObjectType.ANCHOR,
    "epochs": ObjectType.EPOCH,
    "forgotten": ObjectType.FORGOTTEN,
    "gc": ObjectType.CONDEMNED,
    "labels": ObjectType.LABEL,
    "sessions": ObjectType.SESSION,
}


def describe_pack(backend: Backend, keys: Keys, pack: PackName, size: int) -> _Record:
    """What the trailer of a pack of so many bytes says is in it.

    Raises:
        DamagedRepository: it is damaged.
    """
    info = read_trailer(backend, keys, pack, size)
    header = parse_header(info.header, info.name)
    return {
        "name": info.name,
        "size": info.size,
        "kind": header.kind.name.lower(),
        "session": header.session.hex(),
        "epoch": header.epoch,
        "level": info.level,
        "segments": [segment._asdict() for segment in info.segments],
        "blobs": [{**blob._asdict(), "id": blob.id.hex()} for blob in info.blobs],
    }


def _config(keys: Keys, name: str, data: bytes) -> _Record:
    plain = decode_plain(name, data)
    sealed = _small(keys, ObjectType.CONFIG, name, plain.sealed)
    del sealed["plain"]  # the same as what is before it
    return {**_record(name, plain.raw), **sealed}


def _index(keys: Keys, name: str, data: bytes) -> _Record:
    index = decode_index(name, data, keys)
    return {
        "epoch": object_epoch(name, data),
        "packs": [{"name": row.name, "size": row.size} for row in index.packs],
        "blobs": index.rows,
        "removed": sorted(index.removed),
    }


def _slot(keys: Keys, name: str, data: bytes) -> _Record:
    card = read_card(name, data, keys)
    return {
        "created": card.created,
        **card.maker._asdict(),
        "memory": card.params.memory,
        "passes": card.params.passes,
        "lanes": card.params.lanes,
        **dict.fromkeys(sorted(_SECRETS), _MASKED),
    }


def _snapshot(keys: Keys, name: str, data: bytes) -> _Record:
    is_aborted = is_aborted_marker(name, data)
    type_ = ObjectType.ABORTED if is_aborted else ObjectType.SNAPSHOT
    return {"aborted": is_aborted, **_small(keys, type_, name, data)}


def _small(keys: Keys, type_: ObjectType, name: str, data: bytes) -> _Record:
    found = _record(name, open_object(type_, keys, name, data))
    return {"sealed_in_epoch": object_epoch(name, data), **found}


def _record(name: str, data: bytes) -> _Record:
    try:
        record = codec.unpack(data)
    except ValueError as error:
        raise DamagedRepository(name, str(error)) from None
    if not isinstance(record, dict):
        raise DamagedRepository(name, "its record is no map")
    if isinstance(record.get("snapshot"), bytes):  # of a forgotten one, a record in the record
        record["snapshot"] = _record(name, record["snapshot"])
    return {
        key: _MASKED if key in _SECRETS else _plain(value, is_path=key in _PATHS)
        for key, value in record.items()
    }


def _plain(value: object, *, is_path: bool) -> object:
    """A value as JSON has it: bytes are hexadecimal digits, or text if they are a path."""
    match value:
        case bytes():
            return os.fsdecode(value) if is_path else value.hex()
        case tuple():
            return [_plain(each, is_path=is_path) for each in value]
        case dict():
            return {str(key): _plain(each, is_path=is_path) for key, each in value.items()}
        case _:
            return value
