"""How a storage is to be used: what its driver is told, and how fast it may be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from holdfast.backend.throttle import Limit


@dataclass(frozen=True, slots=True)
class Access:
    """What opens a storage, besides its location.

    Attributes:
        options: for its driver; may hold secrets, so they are never shown.
        upload: how fast data may be sent; None for no limit.
        download: how fast data may be fetched.
    """

    options: Mapping[str, object] = field(default_factory=dict, repr=False)
    upload: Limit | None = None
    download: Limit | None = None


class Address(NamedTuple):
    """What another process needs to use the same storage; it can be pickled.

    Attributes:
        location: where it is.
        access: how it is used; may hold secrets.
    """

    location: str
    access: Access
