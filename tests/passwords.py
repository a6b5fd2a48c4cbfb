"""Passwords that cost nothing, for tests that give very many of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id


def _argon2id(
    *, salt: bytes, length: int, iterations: int, lanes: int, memory_cost: int
) -> Argon2id:
    return Argon2id(
        salt=salt, length=length, iterations=iterations, lanes=lanes, memory_cost=memory_cost >> 7
    )


@pytest.fixture(scope="module")
def cheap_passwords() -> Iterator[None]:
    """Argon2 takes a 128th of the memory, which is less than we allow.

    For modules whose repositories are neither opened nor made by other processes: the same password
    gives those another key.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("holdfast.primitives.kdf.Argon2id", _argon2id)
        yield
