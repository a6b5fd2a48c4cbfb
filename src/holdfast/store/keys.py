"""The key hierarchy, and the slots that open it with a password (docs/format.md, "Keys").

Two secrets rule a repository. The *dedup secret* names blobs and seeds the chunker; it never
changes. The *epoch master* encrypts; everything that is sealed takes a key derived from it. A
slot seals both under a key that Argon2id makes of a password.
"""

from __future__ import annotations

import hmac
import struct
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from holdfast.errors import DamagedRepository, UnsupportedRepository, UsageError
from holdfast.primitives import codec
from holdfast.primitives.crypto import KEY_SIZE, Domain, Forged, Opener, Sealer, random_bytes
from holdfast.primitives.hashing import derive_key, digest
from holdfast.primitives.kdf import SALT_SIZE, KdfParams, stretch

Password: TypeAlias = str | bytes

REPOSITORY_ID_SIZE = 16
EPOCH = 0
"""The only epoch that this version knows."""

SLOT_LIMIT = 64 << 10
"""Largest slot in bytes that is read."""

_SLOT_MAGIC = b"HFKEYSLT"
_SLOT_VERSION = 1
_ARGON2ID = 1
_SLOT = struct.Struct("<8sHBBIII16s32s32s")
_CONTEXT = "holdfast 2026 v1 "
CHECKSUM_SIZE = 32


@dataclass(frozen=True, slots=True)
class Keys:
    """Every key of an opened repository; its repr shows none of them.

    Attributes:
        repository: the repository's id, 16 bytes.
        epoch: number of the master that seals what is written now.
        dedup: the dedup secret.
        master: the master of that epoch.
    """

    repository: bytes
    epoch: int
    dedup: bytes = field(repr=False)
    master: bytes = field(repr=False)

    @classmethod
    def generate(cls) -> Keys:
        """Fresh secrets for a new repository."""
        return cls(random_bytes(REPOSITORY_ID_SIZE), EPOCH, random_bytes(32), random_bytes(32))

    def from_dedup(self, purpose: str) -> bytes:
        """The key for a purpose that must outlive every rotation: ids, cut points, pages."""
        return derive_key(_CONTEXT + purpose, self.dedup)

    def from_master(self, purpose: str) -> bytes:
        """The key for a purpose, from the master of the epoch."""
        return derive_key(_CONTEXT + purpose, self.master)


def seal_slot(name: str, keys: Keys, password: Password, params: KdfParams, created: int) -> bytes:
    """A key slot: the repository's keys, sealed under a password.

    Args:
        name: the slot's object name, bound into the seal.
        keys: what the slot opens.
        password: see `holdfast.primitives.kdf.stretch`.
        params: the price of a guess.
        created: wall time, nanoseconds since the epoch.

    Raises:
        UsageError: the password is no text, or this machine has not the memory for that price.
    """
    salt = random_bytes(SALT_SIZE)
    try:
        stretched = stretch(password, salt, params, 64)
    except ValueError as error:
        raise UsageError(f"key derivation: {error}") from None
    head = _SLOT.pack(
        _SLOT_MAGIC,
        _SLOT_VERSION,
        _ARGON2ID,
        0,
        params.memory,
        params.passes,
        params.lanes,
        keys.repository,
        salt,
        stretched[32:],
    )
    secrets = {
        "created": created,
        "dedup": keys.dedup,
        "epoch": keys.epoch,
        "master": keys.master,
    }
    body = Sealer(stretched[:32]).seal(Domain.SLOT, codec.pack(secrets), head + name.encode())
    return with_checksum(head + body)


class _Slot(NamedTuple):
    """The plain fields of a slot, checked."""

    head: bytes
    repository: bytes
    params: KdfParams
    salt: bytes
    commitment: bytes
    sealed: bytes


def _parse_slot(name: str, data: bytes) -> _Slot:
    body = without_checksum(name, data, SLOT_LIMIT)
    if len(body) < _SLOT.size:
        raise DamagedRepository(name, f"a key slot of only {len(body)} bytes")
    fields = _SLOT.unpack_from(body)
    magic, version, kdf, zero, memory, passes, lanes, owner, salt, commitment = fields
    if magic != _SLOT_MAGIC:
        raise DamagedRepository(name, "not a key slot")
    if (version, kdf, zero) != (_SLOT_VERSION, _ARGON2ID, 0):
        raise UnsupportedRepository(f"{name}: a key slot of version {version}, derivation {kdf}")
    try:
        params = KdfParams(memory, passes, lanes)
    except ValueError as error:
        raise DamagedRepository(name, str(error)) from None
    head, sealed = body[: _SLOT.size], body[_SLOT.size :]
    return _Slot(head, owner, params, salt, commitment, sealed)


class ForeignSlot(DamagedRepository):
    """A whole key slot that opens another repository; whoever opens this one passes it over."""


def check_slot(name: str, data: bytes, repository: bytes) -> None:
    """Check all of a slot that needs no password.

    Raises:
        ForeignSlot: the slot is another repository's.
        DamagedRepository: the slot is damaged.
        UnsupportedRepository: the slot is of a newer version.
    """
    if _parse_slot(name, data).repository != repository:
        raise ForeignSlot(name, "a key slot of another repository, such as an interrupted init's")


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
    if not hmac.compare_digest(stretched[32:], slot.commitment):
        return None
    try:
        opener = Opener(stretched[:32])
        record = codec.unpack(opener.open(Domain.SLOT, 0, slot.sealed, slot.head + name.encode()))
    except Forged:
        raise DamagedRepository(name, "it does not open although the password fits") from None
    except ValueError as error:
        raise DamagedRepository(name, str(error)) from None
    match record:
        case {"dedup": bytes(dedup), "epoch": int(epoch), "master": bytes(master)} if (
            len(dedup) == len(master) == KEY_SIZE
        ):
            if epoch != EPOCH:
                raise UnsupportedRepository(f"{name}: keys of epoch {epoch}, of a newer version")
            return Keys(repository, epoch, dedup, master)
        case _:
            raise DamagedRepository(name, "the key slot does not hold the keys")


def with_checksum(data: bytes) -> bytes:
    """Data followed by its BLAKE3, so that damage is not mistaken for a wrong password."""
    return data + digest(data)


def without_checksum(name: str, data: bytes, limit: int) -> bytes:
    """Data without its checksum.

    Raises:
        DamagedRepository: it does not match, or there is too little or too much.
    """
    if not CHECKSUM_SIZE < len(data) <= limit:
        raise DamagedRepository(name, f"an impossible size of {len(data)} bytes")
    body = data[:-CHECKSUM_SIZE]
    if digest(body) != data[-CHECKSUM_SIZE:]:
        raise DamagedRepository(name, "its checksum does not match")
    return body
