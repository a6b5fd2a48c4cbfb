"""Storages, and the one small interface between them and everything above.

Import from here, not from the modules inside. `open_backend` turns a user's location into a
`Backend`; `ReadOnly`, `Retrying`, `Throttled` and `Faulty` wrap any other.
"""

from __future__ import annotations

from holdfast.backend.access import Access, Address
from holdfast.backend.base import (
    Backend,
    Buffer,
    Capabilities,
    Direct,
    Leftover,
    ObjectInfo,
    Probing,
    Sweepable,
    get_into,
    put_probing,
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
from holdfast.backend.foreign import UNSIZED, Changed, Listed, RemoteFailure, RemoteObjects
from holdfast.backend.local import LocalBackend
from holdfast.backend.location import address_of, is_uri, open_backend, open_objects
from holdfast.backend.memory import MemoryBackend
from holdfast.backend.readonly import ReadOnly
from holdfast.backend.retry import Retrying
from holdfast.backend.stopping import brief, until
from holdfast.backend.throttle import Limit, Throttled
from holdfast.backend.traits import Dated, Foldered, modified_ns, remove_folders

__all__ = [
    "UNSIZED",
    "Access",
    "Address",
    "Backend",
    "Buffer",
    "Call",
    "Capabilities",
    "Changed",
    "Condition",
    "Damage",
    "Dated",
    "Direct",
    "Fail",
    "Faulty",
    "Foldered",
    "Leftover",
    "Limit",
    "Listed",
    "LocalBackend",
    "MemoryBackend",
    "NoFault",
    "ObjectInfo",
    "Plan",
    "Probing",
    "ReadOnly",
    "RemoteFailure",
    "RemoteObjects",
    "Retrying",
    "Sweepable",
    "Throttled",
    "address_of",
    "brief",
    "flipped",
    "get_into",
    "halved",
    "is_uri",
    "modified_ns",
    "nth",
    "open_backend",
    "open_objects",
    "put_probing",
    "remove_folders",
    "since",
    "until",
]
