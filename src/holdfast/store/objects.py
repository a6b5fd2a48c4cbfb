"""Objects in the storage: their names, and reading those that are no packs."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

from holdfast.backend import Backend, ObjectInfo, get_into, put_probing
from holdfast.errors import (
    AccessDenied,
    BackendError,
    DamagedRepository,
    ObjectExists,
    ObjectNotFound,
    ObjectTruncated,
    ObjectUnreadable,
    StorageUnavailable,
    UnsupportedRepository,
)
from holdfast.primitives.buffers import BufferPool
from holdfast.primitives.ids import random_name

_log = logging.getLogger(__name__)

OBJECT_LIMIT = 64 << 20
"""Largest object in bytes that is read, packs excepted."""

_PACK = r"[0-9a-f]{64}-[0-9a-f]{8}"
_PACK_NAME = re.compile(_PACK)
_CONFIG_NAME = re.compile(r"config/(0|[1-9][0-9]{0,8})")
_NAMES = re.compile(
    r"config/(0|[1-9][0-9]{0,8})"
    r"|(keys|index|snapshots|forgotten)/[0-9a-f]{32}"
    r"|labels/[0-9a-f]{32}/[0-9a-f]{32}"
    r"|audit/[0-9a-f]{32}/(0|[1-9][0-9]{0,14})-[0-9a-f]{16}"
    r"|sessions/[0-9a-f]{32}(\.[1-9][0-9]*)?"
    r"|gc/[0-9a-f]{32}(\.waits)?"
    r"|epochs/(0|[1-9][0-9]{0,8})-[0-9a-f]{16}"
    rf"|data/(?P<folder>[0-9a-f]{{2}})/(?=(?P=folder)){_PACK}"
)

_T = TypeVar("_T")
_Read = TypeVar("_Read", bytes, memoryview)


class NewerKeys(DamagedRepository):
    """Something is sealed with keys of a later epoch: it is damaged, or the keys were rotated.

    Attributes:
        config: number of the config that the keys that we have are from.
    """

    def __init__(self, object: str, epoch: int, config: int) -> None:  # noqa: A002 - the field's word
        super().__init__(object, f"it is sealed with keys of epoch {epoch}, which there is not")
        self.config = config


class KeysRotated(UnsupportedRepository):
    """The keys were rotated after this process had opened the repository."""


def config_number(name: str) -> int | None:
    """The number of a config object's name; None when it is not one."""
    match = _CONFIG_NAME.fullmatch(name)
    return int(match[1]) if match else None


def newest_config(backend: Backend) -> int | None:
    """The number of the config that is in force; None when there is none."""
    info = newest_config_object(backend)
    return None if info is None else config_number(info.name)


def newest_config_object(backend: Backend) -> ObjectInfo | None:
    """The config that is in force; None when there is none."""
    numbers = ((config_number(info.name), info) for info in backend.list("config/"))
    found = [(number, info) for number, info in numbers if number is not None]
    return max(found)[1] if found else None


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
        KeysRotated: the keys that it takes came after the repository was opened.
    """
    size = backend.stat(name) if size is None else size
    _check_size(name, size, limit)
    return _decoded(backend, name, partial(get_object, backend, name), decode)


def read_object_into(
    backend: Backend,
    name: str,
    decode: Callable[[str, memoryview], _T],
    buffers: BufferPool,
    *,
    limit: int = OBJECT_LIMIT,
) -> _T:
    """As `read_object`, but into a buffer of the pool."""
    size = backend.stat(name)
    _check_size(name, size, limit)

    def read() -> memoryview:
        data = buffers.take(size)
        get_object_into(backend, name, 0, data)
        return data

    return _decoded(backend, name, read, decode)


def _check_size(name: str, size: int, limit: int) -> None:
    if size > limit:
        raise DamagedRepository(name, f"an object of {size} bytes, more than {limit}")


def _decoded(
    backend: Backend, name: str, read: Callable[[], _Read], decode: Callable[[str, _Read], _T]
) -> _T:
    """What `decode` makes of what was read, the second time if the first time it is damaged."""
    with contextlib.suppress(DamagedRepository):  # here its traceback would hold what was read
        return decode(name, read())
    try:
        return decode(name, read())
    except NewerKeys as error:
        if (newest_config(backend) or 0) > error.config:
            raise KeysRotated(
                f"the keys of {backend.location} were rotated since it was opened: open it again"
            ) from None
        raise


def is_exclusive(backend: Backend) -> bool:
    """Whether the storage can create an object only if it is absent; for writers only.

    A storage that has not shown it yet is tried with an object that is gone afterwards.
    """
    if backend.capabilities().put_if_absent is None:
        name = f"probe/{random_name()}"
        put_probing(backend, name, name.encode())
        with contextlib.suppress(ObjectNotFound, AccessDenied):  # who may only add leaves it
            backend.delete(name)
    return bool(backend.capabilities().put_if_absent)


def put_new(backend: Backend, name: str, data: bytes) -> bool:
    """Store an object unless the name is taken; returns whether it is there now.

    A repeated request finds the object of the first one, which got through, and of a request
    whose answer was lost the object is looked for.
    """
    try:
        if is_exclusive(backend):
            backend.put_if_absent(name, data)
        else:
            backend.put(name, data)
    except ObjectExists:
        return get_object(backend, name) == data
    except StorageUnavailable:
        # Only the answer may be lost. A local disk loses none: there it is not durable.
        if backend.capabilities().local or not holds(backend, name, data):
            raise
    return True


def put_current(backend: Backend, name: str, data: bytes, config: int) -> None:
    """Store an object without a session, and take it back if the keys were rotated meanwhile.

    A rotation waits for sessions only; this object might come after it has sealed all anew.

    Args:
        backend: where it goes.
        name: its name, which nothing has.
        data: the object.
        config: number of the config that its keys are from.

    Raises:
        KeysRotated: there is another config now; the object is gone again.
    """
    backend.put(name, data)
    if (newest_config(backend) or 0) > config:
        with contextlib.suppress(ObjectNotFound):
            backend.delete(name)
        raise KeysRotated(
            f"the settings or keys of {backend.location} were changed since it was opened: "
            "open it again"
        )


def holds(backend: Backend, name: str, data: bytes) -> bool:
    """Whether an object is there and is this; not if it cannot be read."""
    try:
        return backend.get(name) == data
    except BackendError as error:
        _log.debug("%s cannot be read back: %s", name, error)
        return False


def get_object_into(backend: Backend, name: str, offset: int, out: memoryview) -> None:
    """Read a part of an object into `out`; errors as of `get_object`."""
    try:
        get_into(backend, name, offset, out)
    except (AccessDenied, ObjectTruncated, ObjectUnreadable) as error:
        raise _of_one(backend, name, error) from None


def get_object(backend: Backend, name: str, offset: int = 0, length: int | None = None) -> bytes:
    """Read an object or a part of it; see `Backend.get`.

    Raises:
        ObjectNotFound: there is no such object.
        DamagedRepository: just this one is too short or cannot be read: the others may be whole.
    """
    try:
        return backend.get(name, offset, length)
    except (AccessDenied, ObjectTruncated, ObjectUnreadable) as error:
        raise _of_one(backend, name, error) from None


def _of_one(backend: Backend, name: str, error: BackendError) -> BackendError | DamagedRepository:
    """What it means that just one object cannot be read.

    A file may be somebody else's. A store that refuses an object refuses all: its credentials are
    wrong or have expired, and nothing is damaged.
    """
    if isinstance(error, AccessDenied) and not backend.capabilities().local:
        return error
    return DamagedRepository(name, error.problem)
