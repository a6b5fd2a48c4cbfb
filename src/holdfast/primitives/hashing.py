"""The only door to BLAKE3: digests, keyed hashes and key derivation (BLAKE3 paper, 2020)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from blake3 import blake3

Buffer: TypeAlias = bytes | bytearray | memoryview

KEY_SIZE = 32
DIGEST_SIZE = 32


def digest(data: Buffer) -> bytes:
    """BLAKE3 of data, 32 bytes."""
    return blake3(data).digest()


def digest_of(parts: Iterable[Buffer]) -> bytes:
    """BLAKE3 of the parts one after another, 32 bytes."""
    hasher = blake3()
    for each in parts:
        hasher.update(each)
    return hasher.digest()


def keyed(key: bytes, data: Buffer) -> bytes:
    """Keyed BLAKE3 of data, 32 bytes; `key` is 32 bytes."""
    return blake3(data, key=key).digest()


def keyed_stream(key: bytes, data: Buffer, length: int) -> bytes:
    """The first `length` bytes of keyed BLAKE3's extendable output."""
    return blake3(data, key=key).digest(length)


def derive_key(context: str, material: bytes) -> bytes:
    """A 32-byte key from key material, by BLAKE3's derive-key mode under a context string."""
    return blake3(material, derive_key_context=context).digest()
