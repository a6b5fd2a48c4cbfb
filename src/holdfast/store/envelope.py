"""Small objects: one envelope, one key and one sealed message each (docs/format.md, "Objects").

A key comes from the type's key and the object's own salt; the message is bound to the header,
the object's name and the repository. So no object can be passed off as another.
"""

from __future__ import annotations

import struct
from enum import IntEnum

from holdfast.errors import DamagedRepository
from holdfast.primitives.crypto import TAG_SIZE, Domain, Forged, Opener, Sealer, random_bytes
from holdfast.primitives.hashing import keyed
from holdfast.store.keys import Keys, NoMaster
from holdfast.store.objects import OBJECT_LIMIT, NewerKeys

_MAGIC = b"HFOBJECT"
_SYMMETRIC = 0
_HEADER = struct.Struct("<8sBBHI32s")
HEADER_SIZE = _HEADER.size


class ObjectType(IntEnum):
    """What a small object is; part of its key."""

    INDEX = 1
    SNAPSHOT = 2
    SESSION = 3
    CONDEMNED = 4
    ABORTED = 5
    CONFIG = 6
    FORGOTTEN = 7
    LABEL = 8
    EPOCH = 9
    SLOT = 10
    ANCHOR = 11


def _key(keys: Keys, type_: ObjectType, salt: bytes, epoch: int) -> bytes:
    return keyed(keys.from_master(f"object {type_.name.lower()}", epoch), salt)


def bound_to(name: str, keys: Keys) -> bytes:
    """The bytes that bind a message to an object's name and to the repository."""
    return name.encode() + b"\0" + keys.repository


def new_sealer(type_: ObjectType, keys: Keys, content: bytes) -> tuple[bytes, Sealer]:
    """A header with a fresh salt, and the sealer for the object that begins with it.

    The salt also takes in the content: two copies of one virtual machine that draw the same
    random bytes still never seal two different messages under one key. The content is all that
    tells two objects apart, so it begins with what `bound_to` says.
    """
    salt = keyed(random_bytes(32), content)
    header = _HEADER.pack(_MAGIC, type_, _SYMMETRIC, HEADER_SIZE, keys.epoch, salt)
    return header, Sealer(_key(keys, type_, salt, keys.epoch))


def opener(type_: ObjectType, keys: Keys, name: str, data: bytes) -> tuple[bytes, Opener]:
    """The header of an object, checked, and the opener for its messages.

    A mode that is not ours is damage too: the config would have told of it.

    Raises:
        DamagedRepository: not an object of this type, its header is damaged, or it is sealed with
            keys that are no longer accepted or are not known.
        NewerKeys: it is sealed with the keys of an epoch after ours.
    """
    if len(data) < HEADER_SIZE + TAG_SIZE:
        raise DamagedRepository(name, f"an object of only {len(data)} bytes")
    if len(data) > OBJECT_LIMIT:
        raise DamagedRepository(name, f"an object of {len(data)} bytes, more than {OBJECT_LIMIT}")
    magic, found, mode, size, epoch, salt = _HEADER.unpack_from(data)
    if magic != _MAGIC or found != type_:
        raise DamagedRepository(name, f"not an object of type {type_.name.lower()}")
    if (mode, size) != (_SYMMETRIC, HEADER_SIZE):
        raise DamagedRepository(name, "its header is damaged")
    if epoch > keys.epoch:
        raise NewerKeys(name, epoch, keys.config)
    if epoch < keys.oldest:
        raise DamagedRepository(
            name, f"it is sealed with the keys of epoch {epoch}, which a rotation put out of force"
        )
    try:
        return data[:HEADER_SIZE], Opener(_key(keys, type_, salt, epoch))
    except NoMaster as error:
        raise DamagedRepository(name, str(error)) from None


def object_type(name: str, data: bytes) -> int:
    """The type that an object's header states, before anything is verified."""
    return int(_unverified(name, data)[1])


def object_epoch(name: str, data: bytes) -> int:
    """The epoch that an object's header states, before anything is verified."""
    return int(_unverified(name, data)[4])


def _unverified(name: str, data: bytes) -> tuple[bytes, int, int, int, int, bytes]:
    if len(data) < HEADER_SIZE:
        raise DamagedRepository(name, f"an object of only {len(data)} bytes")
    magic, type_, mode, size, epoch, salt = _HEADER.unpack_from(data)
    return magic, type_, mode, size, epoch, salt


def seal_object(type_: ObjectType, keys: Keys, name: str, message: bytes) -> bytes:
    """A whole small object that holds one message under one name."""
    bound = bound_to(name, keys)
    header, sealer = new_sealer(type_, keys, bound + message)
    return header + sealer.seal(Domain.OBJECT, message, header + bound)


def open_object(type_: ObjectType, keys: Keys, name: str, data: bytes) -> bytes:
    """The message of a small object.

    Raises:
        DamagedRepository: damaged, forged, of another type, name or repository.
    """
    header, open_with = opener(type_, keys, name, data)
    try:
        return open_with.open(
            Domain.OBJECT, 0, memoryview(data)[HEADER_SIZE:], header + bound_to(name, keys)
        )
    except Forged:
        raise DamagedRepository(name, "damaged, or not the object of that name") from None
