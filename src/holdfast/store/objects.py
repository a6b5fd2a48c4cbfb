"""Objects in the storage: their names, and reading those that are no packs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TypeVar

from holdfast.backend import Backend, ObjectInfo
from holdfast.errors import AccessDenied, DamagedRepository, ObjectTruncated, ObjectUnreadable

OBJECT_LIMIT = 64 << 20
"""Largest object in bytes that is read, packs excepted."""

_PACK = r"[0-9a-f]{64}-[0-9a-f]{8}"
_PACK_NAME = re.compile(_PACK)
_NAMES = re.compile(
    r"config/(0|[1-9][0-9]{0,8})"
    r"|(keys|index|snapshots|forgotten)/[0-9a-f]{32}"
    r"|labels/[0-9a-f]{32}/[0-9a-f]{32}"
    r"|sessions/[0-9a-f]{32}(\.[1-9][0-9]*)?"
    r"|gc/[0-9a-f]{32}(\.waits)?"
    r"|epochs/(0|[1-9][0-9]{0,8})-[0-9a-f]{16}"
    rf"|data/(?P<folder>[0-9a-f]{{2}})/(?=(?P=folder)){_PACK}"
)

_T = TypeVar("_T")


def is_object(name: str) -> bool:
    """Whether an object of that name is part of a repository; any other is left alone."""
    return _NAMES.fullmatch(name) is not None


def is_pack(name: str) -> bool:
    """Whether that is a pack's name, without its folder."""
    return _PACK_NAME.fullmatch(name) is not None


def objects(backend: Backend, folder: str) -> Iterator[ObjectInfo]:
    """The repository's objects in a folder, without what others left there."""
    return (info for info in backend.list(folder) if is_object(info.name))


def read_object(
    backend: Backend,
    name: str,
    decode: Callable[[str, bytes], _T],
    *,
    size: int | None = None,
    limit: int = OBJECT_LIMIT,
) -> _T:
    """Read and decode an object, a second time if it is damaged the first time.

    A cache or a wire may have spoilt it once; the second time shows what is stored.

    Args:
        backend: where it is.
        name: its name.
        decode: makes something of its name and bytes.
        size: of the object in bytes, if a listing told it.
        limit: most bytes that are read.

    Raises:
        ObjectNotFound: there is no such object.
        DamagedRepository: it is too large, the storage cannot read just this one, or `decode`
            says so.
    """
    size = backend.stat(name) if size is None else size
    if size > limit:
        raise DamagedRepository(name, f"an object of {size} bytes, more than {limit}")
    try:
        return decode(name, get_object(backend, name))
    except DamagedRepository:
        return decode(name, get_object(backend, name))


def get_object(backend: Backend, name: str, offset: int = 0, length: int | None = None) -> bytes:
    """Read an object or a part of it; see `Backend.get`.

    Raises:
        ObjectNotFound: there is no such object.
        DamagedRepository: just this one is too short or cannot be read: the others may be whole.
    """
    try:
        return backend.get(name, offset, length)
    except (AccessDenied, ObjectTruncated, ObjectUnreadable) as error:
        raise DamagedRepository(name, error.problem) from None
