"""Storages, and the one small interface between them and everything above.

Import from here, not from the modules inside. `open_backend` turns a user's location into a
`Backend`; `ReadOnly` and `Faulty` wrap any other.
"""

from __future__ import annotations

from holdfast.backend.base import (
    Backend,
    Buffer,
    Capabilities,
    Direct,
    Leftover,
    ObjectInfo,
    Sweepable,
    get_into,
)
from holdfast.backend.faulty import (
    Call,
    Condition,
    Damage,
    Fail,
    Faulty,
    NoFault,
    Plan,
    flipped,
    halved,
    nth,
    since,
)
from holdfast.backend.local import LocalBackend
from holdfast.backend.location import open_backend
from holdfast.backend.memory import MemoryBackend
from holdfast.backend.readonly import ReadOnly

__all__ = [
    "Backend",
    "Buffer",
    "Call",
    "Capabilities",
    "Condition",
    "Damage",
    "Direct",
    "Fail",
    "Faulty",
    "Leftover",
    "LocalBackend",
    "MemoryBackend",
    "NoFault",
    "ObjectInfo",
    "Plan",
    "ReadOnly",
    "Sweepable",
    "flipped",
    "get_into",
    "halved",
    "nth",
    "open_backend",
    "since",
]
