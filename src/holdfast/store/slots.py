"""Key slots: each opens the repository's keys with one password (docs/format.md, "Keys").

A slot has two sealed parts. The keys are sealed under what Argon2id makes of the password. The
card, which says who made the slot and when, is sealed under the master: so everybody who has the
keys can tell which slots are good, without the other passwords.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from holdfast.errors import DamagedRepository, UnsupportedRepository, UsageError
from holdfast.primitives import codec
from holdfast.primitives.crypto import (
    KEY_SIZE,
    TAG_SIZE,
    Domain,
    Forged,
    Opener,
    Sealer,
    random_bytes,
)
from holdfast.primitives.hashing import digest, keyed
from holdfast.primitives.kdf import KdfParams, stretch
from holdfast.store.envelope import ObjectType, object_epoch, open_object, seal_object
from holdfast.store.keys import EPOCH_LIMIT, Keys, Password, with_checksum, without_checksum

SLOT_LIMIT = 64 << 10
"""Largest slot in bytes that is read."""

LABEL_LIMIT = 1000
"""Most characters of what a person calls a slot."""

_MAGIC = b"HFKEYSLT"
_VERSION = 1
_ARGON2ID = 1
_HEAD = struct.Struct("<8sHBBIII16s32s32sI")


class Maker(NamedTuple):
    """Who made a slot, and what they called it."""

    host: str = ""
    user: str = ""
    label: str = ""


class Card(NamedTuple):
    """What a slot says of itself.

    Attributes:
        created: wall time, nanoseconds since the epoch.
        maker: who made it.
        params: the price of a guess at its password.
    """

    created: int
    maker: Maker
    params: KdfParams


def seal_slot(
    name: str,
    keys: Keys,
    password: Password,
    params: KdfParams,
    created: int,
    maker: Maker = Maker(),  # noqa: B008 - a constant
) -> bytes:
    """A key slot: the repository's keys, sealed under a password.

    Args:
        name: the slot's object name, bound into the seal.
        keys: what the slot opens.
        password: see `holdfast.primitives.kdf.stretch`.
        params: the price of a guess.
        created: wall time, nanoseconds since the epoch.
        maker: who makes it, for everybody who has the keys to see.

    Raises:
        UsageError: the password is no text, or this machine has not the memory for that price.
    """
    secrets = codec.pack(
        {"created": created, "dedup": keys.dedup, "epoch": keys.epoch, "master": keys.master}
    )
    # As in `new_sealer`: equal random bytes alone never make equal keys.
    salt = keyed(random_bytes(32), name.encode() + b"\0" + secrets)
    try:
        stretched = stretch(password, salt, params, 64)
    except ValueError as error:
        raise UsageError(f"key derivation: {error}") from None
    with _halves(stretched) as (key, commitment):
        head = _HEAD.pack(
            _MAGIC,
            _VERSION,
            _ARGON2ID,
            0,
            params.memory,
            params.passes,
            params.lanes,
            keys.repository,
            salt,
            bytes(commitment),
            len(secrets) + TAG_SIZE,
        )
        front = head + Sealer(key).seal(Domain.SLOT, secrets, head + name.encode())
    card = codec.pack({**maker._asdict(), "created": created, "slot": digest(front)})
    return with_checksum(front + seal_object(ObjectType.SLOT, keys, name, card))


@contextmanager
def _halves(stretched: bytearray) -> Iterator[tuple[memoryview, memoryview]]:
    """The key and the commitment that a password was stretched to; overwritten at the end."""
    whole = memoryview(stretched)
    try:
        yield whole[:KEY_SIZE], whole[KEY_SIZE:]
    finally:
        whole[:] = bytes(len(whole))


class _Slot(NamedTuple):
    """The plain fields of a slot, checked."""

    head: bytes
    repository: bytes
    params: KdfParams
    salt: bytes
    commitment: bytes
    sealed: bytes
    card: bytes


def _parse_slot(name: str, data: bytes) -> _Slot:
    body = without_checksum(name, data, SLOT_LIMIT)
    if len(body) < _HEAD.size:
        raise DamagedRepository(name, f"a key slot of only {len(body)} bytes")
    fields = _HEAD.unpack_from(body)
    magic, version, kdf, zero, memory, passes, lanes, owner, salt, commitment, length = fields
    if magic != _MAGIC:
        raise DamagedRepository(name, "not a key slot")
    if (version, kdf, zero) != (_VERSION, _ARGON2ID, 0):
        raise UnsupportedRepository(f"{name}: a key slot of version {version}, derivation {kdf}")
    try:
        params = KdfParams(memory, passes, lanes)
    except ValueError as error:
        raise DamagedRepository(name, str(error)) from None
    head, rest = body[: _HEAD.size], body[_HEAD.size :]
    return _Slot(head, owner, params, salt, commitment, rest[:length], rest[length:])


class ForeignSlot(DamagedRepository):
    """A whole key slot that opens another repository; whoever opens this one passes it over."""


class UselessSlot(DamagedRepository):
    """A whole key slot that opens keys that are not in force, such as those before a rotation.

    Attributes:
        epoch: of the keys that it says it opens.
    """

    def __init__(self, object: str, epoch: int) -> None:  # noqa: A002 - the field's word
        super().__init__(object, f"a key slot of keys of epoch {epoch}, which are not in force")
        self.epoch = epoch


def read_card(name: str, data: bytes, keys: Keys) -> Card:
    """Check all of a slot that needs no password, and give what it says of itself.

    Raises:
        ForeignSlot: the slot is another repository's.
        UselessSlot: it opens other keys than these.
        DamagedRepository: the slot is damaged.
        UnsupportedRepository: the slot is of a newer version.
    """
    slot = _parse_slot(name, data)
    if slot.repository != keys.repository:
        raise ForeignSlot(name, "a key slot of another repository, such as an interrupted init's")
    now = keys.at(keys.epoch)  # a card of older keys is none
    try:
        record = codec.unpack(open_object(ObjectType.SLOT, now, name, slot.card))
    except DamagedRepository:
        raise UselessSlot(name, object_epoch(name, slot.card)) from None
    except ValueError as error:
        raise DamagedRepository(name, str(error)) from None
    match record:
        case {
            "created": int(created),
            "host": str(host),
            "user": str(user),
            "label": str(label),
            "slot": bytes(front),
        } if front == digest(slot.head + slot.sealed):
            return Card(created, Maker(host, user, label), slot.params)
        case _:
            raise DamagedRepository(name, "its card is not that of this key slot")


def open_slot(name: str, data: bytes, repository: bytes, password: Password) -> Keys | None:
    """The keys in a slot, or None when it is another password's or another repository's.

    The commitment is compared before anything is decrypted: AES-GCM alone would let a hostile
    slot try many passwords at once (Len, Grubbs, Ristenpart: Partitioning Oracle Attacks, 2021).

    Raises:
        DamagedRepository: the slot is damaged.
        UnsupportedRepository: the slot is of a newer version, or asks for too much memory.
    """
    slot = _parse_slot(name, data)
    if slot.repository != repository:
        return None
    try:
        stretched = stretch(password, slot.salt, slot.params, 64)
    except ValueError as error:
        raise UnsupportedRepository(f"{name}: {error}") from None
    with _halves(stretched) as (key, commitment):
        if not hmac.compare_digest(commitment, slot.commitment):
            return None
        try:
            context = slot.head + name.encode()
            record = codec.unpack(Opener(key).open(Domain.SLOT, 0, slot.sealed, context))
        except Forged:
            raise DamagedRepository(name, "it does not open although the password fits") from None
        except ValueError as error:
            raise DamagedRepository(name, str(error)) from None
    match record:
        case {"dedup": bytes(dedup), "epoch": int(epoch), "master": bytes(master)} if (
            len(dedup) == len(master) == KEY_SIZE and 0 <= epoch < EPOCH_LIMIT
        ):
            return Keys(repository, epoch, dedup, master)
        case _:
            raise DamagedRepository(name, "the key slot does not hold the keys")
