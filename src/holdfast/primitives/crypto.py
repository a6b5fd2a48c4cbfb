"""The only door to AES-256-GCM (NIST SP 800-38D).

No function takes a nonce. A `Sealer` counts its messages itself, under a key that is used for
one pack or one object only, and refuses to go on in a forked child, where the same counter
would run twice.
"""

from __future__ import annotations

import os
import secrets
from enum import Enum
from typing import TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

Buffer: TypeAlias = bytes | bytearray | memoryview

KEY_SIZE = 32
TAG_SIZE = 16
COUNTER_LIMIT = 1 << 32
"""Messages under one key and domain; far above what a pack or an object can hold."""


class Domain(Enum):
    """What a message is; its four bytes begin the nonce, a little-endian counter follows."""

    OBJECT = b"obj\0"
    PAGE = b"page"
    SEGMENT = b"segm"
    TRAILER = b"trlr"
    FOOTER = b"foot"
    SLOT = b"slot"


class Forged(Exception):  # noqa: N818 - never leaves the store: it becomes DamagedRepository
    """A message does not open: damaged, forged, moved, or sealed under another key."""


def random_bytes(size: int) -> bytes:
    """Fresh bytes from the operating system's generator."""
    return secrets.token_bytes(size)


def _nonce(domain: Domain, counter: int) -> bytes:
    return domain.value + counter.to_bytes(8, "little")


class Sealer:
    """Encrypts the messages of one pack or object, each under its own nonce."""

    def __init__(self, key: Buffer) -> None:
        self._aead = AESGCM(key)
        self._counters = dict.fromkeys(Domain, 0)
        self._pid = os.getpid()

    def next_ordinal(self, domain: Domain) -> int:
        """The ordinal that the domain's next message will have, from 0; opening takes the same."""
        return self._counters[domain]

    def seal_into(self, out: memoryview, domain: Domain, data: Buffer, context: bytes) -> None:
        """Encrypt and authenticate the domain's next message.

        Args:
            out: exactly ``len(data) + TAG_SIZE`` bytes that receive ciphertext and tag.
            domain: what the message is.
            data: the message.
            context: bytes that are authenticated with it.
        """
        if os.getpid() != self._pid:
            raise RuntimeError("a repository opened before fork cannot be written by the child")
        ordinal = self._counters[domain]
        if ordinal >= COUNTER_LIMIT:
            raise RuntimeError("too many messages under one key")
        self._counters[domain] = ordinal + 1
        self._aead.encrypt_into(_nonce(domain, ordinal), data, context, out)

    def seal(self, domain: Domain, data: Buffer, context: bytes) -> bytes:
        """As `seal_into`, into fresh bytes: ciphertext and tag."""
        out = bytearray(len(data) + TAG_SIZE)
        self.seal_into(memoryview(out), domain, data, context)
        return bytes(out)


class Opener:
    """Decrypts the messages of one pack or object. Safe to use from several threads."""

    def __init__(self, key: Buffer) -> None:
        self._aead = AESGCM(key)

    def open(self, domain: Domain, ordinal: int, sealed: Buffer, context: bytes) -> bytes:
        """The message, exactly as it was sealed.

        Raises:
            Forged: it does not open.
        """
        try:
            return self._aead.decrypt(_nonce(domain, ordinal), sealed, context)
        except InvalidTag:
            raise Forged from None

    def open_into(
        self, out: memoryview, domain: Domain, ordinal: int, sealed: Buffer, context: bytes
    ) -> None:
        """As `open`, into exactly ``len(sealed) - TAG_SIZE`` bytes; they are zeros if it fails."""
        try:
            self._aead.decrypt_into(_nonce(domain, ordinal), sealed, context, out)
        except InvalidTag:
            out[:] = bytes(len(out))
            raise Forged from None
