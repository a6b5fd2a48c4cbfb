"""What all forged objects share: keys that are the same in every run, and messages of any kind."""

from __future__ import annotations

from typing import TypeVar

from holdfast.errors import HoldfastError
from holdfast.primitives import codec
from holdfast.primitives.chunker import PROFILES
from holdfast.primitives.ids import PackName, SessionId
from holdfast.primitives.kdf import KdfParams
from holdfast.store import Settings
from holdfast.store.keys import Keys

Refusal = TypeVar("Refusal", bound=HoldfastError)

KEYS = Keys(b"r" * 16, 2, b"d" * 32, b"m" * 32, {0: b"0" * 32, 1: b"1" * 32}, 1, 0)
"""Not random, so that an input that is kept means the same in every run."""

NAME = "0123456789abcdef" * 2
PASSWORD = "a password"
KDF = KdfParams(memory=19 << 10, passes=1, lanes=1)
SESSION = SessionId(b"s" * 16)
SETTINGS = Settings(PROFILES["default"], 16 << 20, 3)
PACK = PackName(f"{'ab' * 32}-{'01' * 4}")
TIME = 1_700_000_000_000_000_000


class NotForged(ValueError):  # noqa: N818 - a refusal of ours
    """The input is not what an object can be forged of."""


def record_of(data: bytes) -> object:
    """The record that an input is (NotForged)."""
    try:
        return codec.unpack(data)
    except ValueError as error:
        raise NotForged from error


def message_of(value: object) -> bytes:
    """A message: bytes as they are, any other value as a record."""
    return value if isinstance(value, bytes) else codec.pack(value)


def checked(error: Refusal) -> Refusal:
    """The error, which any terminal may be told."""
    assert str(error).isprintable(), ascii(str(error))
    return error
