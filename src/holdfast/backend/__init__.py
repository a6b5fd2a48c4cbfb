"""Storages, and the one small interface between them and everything above.

Import from here, not from the modules inside. `open_backend` turns a user's location into a
`Backend`; `ReadOnly`, `Retrying`, `Throttled` and `Faulty` wrap any other.
"""

from __future__ import annotations

from holdfast.backend.access import Access
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
from holdfast.backend.retry import Retrying
from holdfast.backend.throttle import Limit, Throttled

__all__ = [
    "Access",
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
    "Limit",
    "LocalBackend",
    "MemoryBackend",
    "NoFault",
    "ObjectInfo",
    "Plan",
    "ReadOnly",
    "Retrying",
    "Sweepable",
    "Throttled",
    "flipped",
    "get_into",
    "halved",
    "nth",
    "open_backend",
    "since",
]
