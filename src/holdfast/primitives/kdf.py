"""The only door to Argon2id (RFC 9106): from a password to key material, expensively."""

from __future__ import annotations

import threading
import unicodedata
from dataclasses import dataclass

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from holdfast.errors import UsageError

SALT_SIZE = 32

MIN_MEMORY, MAX_MEMORY = 19 << 10, 4 << 20
MAX_PASSES = 32
MAX_LANES = 16


@dataclass(frozen=True, slots=True)
class KdfParams:
    """The price of one guess at a password.

    Attributes:
        memory: KiB.
        passes: passes over the memory.
        lanes: degree of parallelism.
    """

    memory: int
    passes: int
    lanes: int

    def __post_init__(self) -> None:
        """Refuse prices that protect nothing, and those that would stop us (ValueError)."""
        if not (
            MIN_MEMORY <= self.memory <= MAX_MEMORY
            and 1 <= self.passes <= MAX_PASSES
            and 1 <= self.lanes <= MAX_LANES
        ):
            raise ValueError(
                f"Argon2id parameters out of bounds: {self.memory} KiB, {self.passes} passes, "
                f"{self.lanes} lanes"
            )


KDF_PROFILES = {
    "default": KdfParams(memory=64 << 10, passes=3, lanes=4),
    "strong": KdfParams(memory=256 << 10, passes=3, lanes=4),
}
"""`default` is RFC 9106's second recommended option."""

_ONE_AT_A_TIME = threading.Lock()
"""Two derivations at once may wait for ever: each holds some of OpenSSL's threads, of which there
are as many as processors, until it gets as many as it has lanes."""


def stretch(password: str | bytes, salt: bytes, params: KdfParams, length: int) -> bytearray:
    """Argon2id of a password; to be overwritten by whoever has used it.

    A `str` is normalised to NFC and encoded as UTF-8, so that one password typed on two systems
    is the same; `bytes` are taken as they are.

    Raises:
        UsageError: the password is no text, and not what the system gives for odd bytes either.
        ValueError: this machine has not the memory that it takes.
    """
    data = _encoded(password) if isinstance(password, str) else password
    if data is None:  # told here, as the error of the codec has the password
        raise UsageError("the password has characters that are no text")
    kdf = Argon2id(
        salt=salt,
        length=length,
        iterations=params.passes,
        lanes=params.lanes,
        memory_cost=params.memory,
    )
    stretched = bytearray(length)
    try:
        with _ONE_AT_A_TIME:
            kdf.derive_into(data, stretched)
    except MemoryError:
        raise ValueError(
            f"it takes {params.memory >> 10} MiB of memory, and this machine has not as much free"
        ) from None
    return stretched


def _encoded(password: str) -> bytes | None:
    try:
        return unicodedata.normalize("NFC", password).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return None
