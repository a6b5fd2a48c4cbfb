"""The key hierarchy (docs/format.md, "Keys" and "Epochs").

Two secrets rule a repository. The *dedup secret* names blobs and seeds the chunker; it never
changes. The *master* of the current epoch encrypts; everything that is sealed takes a key derived
from it. Masters of older epochs only open what was sealed with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from holdfast.errors import DamagedRepository
from holdfast.primitives.crypto import random_bytes
from holdfast.primitives.hashing import derive_key, digest

Password: TypeAlias = str | bytes

REPOSITORY_ID_SIZE = 16
EPOCH_LIMIT = 1 << 32
"""Epochs have a number below this."""

_CONTEXT = "holdfast 2026 v1 "
CHECKSUM_SIZE = 32


KeysRow: TypeAlias = tuple[bytes, int, bytes, bytes, tuple[tuple[int, bytes], ...], int, int]
"""All keys, for a process that works for this one."""


class NoMaster(LookupError):  # noqa: N818 - never leaves the store: it becomes DamagedRepository
    """The master of an older epoch is not known; the text names the object that should hold it."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Every key of an opened repository; its repr shows none of them.

    Attributes:
        repository: the repository's id, 16 bytes.
        epoch: number of the master that seals what is written now.
        dedup: the dedup secret.
        master: the master of that epoch.
        older: masters of older epochs by number, as far as they are known.
        oldest: the oldest epoch of which small objects are accepted; packs are of any epoch.
        config: number of the config that says so, -1 when there is none.
    """

    repository: bytes
    epoch: int
    dedup: bytes = field(repr=False)
    master: bytes = field(repr=False)
    older: Mapping[int, bytes] = field(default_factory=dict, repr=False)
    oldest: int = 0
    config: int = 0

    @classmethod
    def generate(cls, dedup: bytes | None = None) -> Keys:
        """Fresh secrets for a new repository, or with the dedup secret of another."""
        return cls(
            random_bytes(REPOSITORY_ID_SIZE),
            0,
            random_bytes(32) if dedup is None else dedup,
            random_bytes(32),
        )

    @classmethod
    def of_row(cls, row: KeysRow) -> Keys:
        """The keys that `row` gave."""
        repository, epoch, dedup, master, older, oldest, config = row
        return cls(repository, epoch, dedup, master, dict(older), oldest, config)

    def row(self) -> KeysRow:
        """All of it in plain values. It is a secret."""
        older = tuple(self.older.items())
        return self.repository, self.epoch, self.dedup, self.master, older, self.oldest, self.config

    def from_dedup(self, purpose: str) -> bytes:
        """The key for a purpose that must outlive every rotation: ids, cut points, pages."""
        return derive_key(_CONTEXT + purpose, self.dedup)

    def from_master(self, purpose: str, epoch: int | None = None) -> bytes:
        """The key for a purpose, from the master of an epoch, the current one unless it is given.

        Raises:
            NoMaster: that master is not known.
        """
        if epoch is None or epoch == self.epoch:
            return derive_key(_CONTEXT + purpose, self.master)
        master = self.older.get(epoch)
        if master is None:
            holder = epoch_object(self.known_down_to())
            raise NoMaster(
                f"it is sealed with the keys of epoch {epoch}, for which it takes {holder}, "
                "and that is missing or damaged"
            )
        return derive_key(_CONTEXT + purpose, master)

    def known_down_to(self) -> Keys:
        """The keys as they were at the oldest epoch from which on every master is known."""
        epoch = self.epoch
        while epoch - 1 in self.older:
            epoch -= 1
        return self.at(epoch)

    def at(self, epoch: int) -> Keys:
        """The keys as they were at an epoch whose master is known."""
        master = self.master if epoch == self.epoch else self.older[epoch]
        older = {number: each for number, each in self.older.items() if number < epoch}
        return Keys(self.repository, epoch, self.dedup, master, older, epoch, self.config)


def epoch_object(keys: Keys) -> str:
    """The name of the object that holds the master of the epoch before that of these keys."""
    return f"epochs/{keys.epoch - 1}-{keys.from_master('epoch name')[:8].hex()}"


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
