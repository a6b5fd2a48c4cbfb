"""One small object under the newest keys, with the same record and name (F49)."""

from __future__ import annotations

import contextlib
from collections.abc import Collection

from holdfast.errors import DamagedRepository
from holdfast.store.envelope import (
    ObjectType,
    object_epoch,
    object_type,
    open_object,
    seal_object,
)
from holdfast.store.index import IndexObject, decode_index, encode_object
from holdfast.store.keys import Keys


def sealed_anew(
    name: str, data: bytes, types: Collection[ObjectType], keys: Keys, newest: Keys
) -> bytes | None:
    """The same record sealed with the newest keys; None when it is.

    Args:
        name: of the object.
        data: the object.
        types: what it may be.
        keys: that open it, older ones among them.
        newest: the same without older ones.

    Raises:
        DamagedRepository: it opens neither with the newest nor with older keys still in force.
    """
    found = object_type(name, data)
    if found not in types:
        raise DamagedRepository(name, "not an object of a type that belongs there")
    type_ = ObjectType(found)
    record = _open(type_, keys, name, data)
    if object_epoch(name, data) == keys.epoch:
        return None
    new = (
        seal_object(type_, keys, name, record)
        if isinstance(record, bytes)
        else encode_object(name, record, keys)
    )
    if _open(type_, newest, name, new) != record:
        raise DamagedRepository(name, "it cannot be sealed anew: this machine is faulty")
    return new


def is_same(name: str, new: bytes, found: bytes, newest: Keys) -> bool:
    """Whether what was found is the object, or the same that another client sealed anew."""
    if found == new:
        return True
    type_ = ObjectType(object_type(name, new))
    with contextlib.suppress(DamagedRepository):
        return _open(type_, newest, name, found) == _open(type_, newest, name, new)
    return False


def _open(type_: ObjectType, keys: Keys, name: str, data: bytes) -> bytes | IndexObject:
    if type_ is ObjectType.INDEX:
        return decode_index(name, data, keys)
    return open_object(type_, keys, name, data)
