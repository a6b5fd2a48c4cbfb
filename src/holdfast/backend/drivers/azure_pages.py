"""Listings of Azure's library, of which it believes anything that was answered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TypeVar

from holdfast.errors import StorageUnavailable

_Item = TypeVar("_Item")


async def following(listing: AsyncIterator[_Item], location: str) -> _Item | None:
    """The next page or blob of a listing; None after the last.

    Raises:
        StorageUnavailable: the answer is none. What something between here and the store has said
            must not pass for the listing of an empty folder.
    """
    from azure.core.exceptions import (  # noqa: PLC0415 - an optional library
        DecodeError,
        DeserializationError,
    )

    try:
        return await anext(listing, None)
    except (AttributeError, DecodeError, DeserializationError):
        raise StorageUnavailable("", f"{location}: an answer is no listing") from None
