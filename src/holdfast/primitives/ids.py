"""Names of things, each with a type of its own, so that one cannot be passed as another."""

from __future__ import annotations

import secrets
from typing import NewType

BlobId = NewType("BlobId", bytes)
"""32 bytes: keyed BLAKE3 of a blob's plaintext."""

SessionId = NewType("SessionId", bytes)
"""16 random bytes: one run of one writer; the snapshot that it makes has the same id."""

SnapshotId = NewType("SnapshotId", str)
"""32 hexadecimal digits: the id of the session that made the snapshot."""

PackName = NewType("PackName", str)
"""64 hexadecimal digits (BLAKE3 of the pack's bytes), ``-``, first 8 digits of its session."""

ID_SIZE = 32
SESSION_SIZE = 16


def new_session_id() -> SessionId:
    """A fresh random id for a writer."""
    return SessionId(secrets.token_bytes(SESSION_SIZE))


def random_name() -> str:
    """A fresh random object name: 32 hexadecimal digits."""
    return secrets.token_hex(16)
