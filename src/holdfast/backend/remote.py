"""Objects in a store that fsspec has a driver for: S3, Azure, Google, SFTP and any other.

What a kind of store does in its own way is its `Driver`'s; what must be true of all is here: names
are checked, lengths of what is read are compared with what was asked for, listings are never those
of a cache, errors are ours and name no secret.

Whether a store can create an object only if its name is free is found out, not believed: stores
that speak S3 have overwritten what was there. The first `put_if_absent` of a backend stores its
object a second time, which must be refused. A reader never creates anything, so it never probes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

from holdfast.backend.base import Buffer, Capabilities, ObjectInfo
from holdfast.backend.drivers import Driver, Options, driver_class
from holdfast.backend.names import check_name, check_prefix
from holdfast.errors import BackendError, ObjectExists, ObjectNotFound, ObjectTruncated

_Found = TypeVar("_Found")


def open_remote(location: str, protocol: str, options: Options) -> RemoteBackend:
    """The backend for a URI.

    Args:
        location: the whole URI.
        protocol: the part of it before ``://``, in lower case.
        options: for the driver.

    Raises:
        UsageError: the protocol is not known, its driver is not installed, or an option means
            nothing to it.
    """
    kind = driver_class(protocol)
    return RemoteBackend(kind.at(location, options))


class RemoteBackend:
    """A folder of a store as storage. See `Backend` for the verbs."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._root = driver.root.rstrip("/") + "/"
        self._lock = threading.Lock()
        self._is_exclusive: bool | None = None if driver.conditional else False

    @property
    def location(self) -> str:
        """See `Backend.location`."""
        return self._driver.location

    def put(self, name: str, data: Buffer) -> None:
        """See `Backend.put`."""
        check_name(name)
        self._do("put", name, lambda: self._driver.put(self._root + name, _copied(data)))

    def put_if_absent(self, name: str, data: Buffer) -> None:
        """See `Backend.put_if_absent`; in a store that cannot do that it is a `put`.

        `capabilities` tells which of both it was.
        """
        check_name(name)
        content = _copied(data)
        if self._is_exclusive is False:
            self.put(name, content)
            return
        try:
            self._create(name, content)
        except ObjectExists:
            self._is_exclusive = True
            raise
        if self._is_exclusive is None:
            self._probe(name, content)

    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """See `Backend.get`."""
        check_name(name)
        if offset < 0 or (length is not None and length < 0):
            raise BackendError(name, f"{length} bytes from {offset} are no range")
        if length is None and offset == 0:
            return self._do("get", name, lambda: self._driver.read(self._root + name, None))
        if length is None or length == 0:
            return self._rest(name, offset, length)
        return self._range(name, offset, length)

    def stat(self, name: str) -> int:
        """See `Backend.stat`."""
        check_name(name)
        size = self._do("stat", name, lambda: self._driver.size(self._root + name))
        if size is None:
            raise ObjectNotFound(name, "no such object")
        return size

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """See `Backend.list`."""
        check_prefix(prefix)
        folder = self._root + prefix
        found = self._do("list", prefix, lambda: list(self._driver.files(folder.rstrip("/"))))
        start = len(self._root)
        return (ObjectInfo(path[start:], size) for path, size in found if path.startswith(folder))

    def delete(self, name: str) -> None:
        """See `Backend.delete`."""
        check_name(name)
        self._do("delete", name, lambda: self._driver.remove(self._root + name))

    def capabilities(self) -> Capabilities:
        """What the store can do, as far as it has shown: `put_if_absent` until it failed."""
        return Capabilities(put_if_absent=self._is_exclusive is not False, local=False)

    def close(self) -> None:
        """See `Backend.close`."""
        self._driver.close()

    def _create(self, name: str, data: bytes) -> None:
        self._do("put", name, lambda: self._driver.create(self._root + name, data))

    def _probe(self, name: str, data: bytes) -> None:
        """Find out if the store would have refused to store an object that is there."""
        with self._lock:
            if self._is_exclusive is not None:
                return
            try:
                self._create(name, data)
            except ObjectExists:
                self._is_exclusive = True
            else:
                self._is_exclusive = False

    def _range(self, name: str, offset: int, length: int) -> bytes:
        end = offset + length
        data = self._do("get", name, lambda: self._driver.read(self._root + name, (offset, end)))
        if len(data) < length:
            size = self.stat(name)
            if size >= end:
                problem = f"gave {len(data)} bytes instead of {length} from byte {offset}"
                raise ObjectTruncated(name, problem)
            raise _out_of_range(name, size, offset, end)
        if len(data) > length:
            raise BackendError(name, f"the store gave {len(data)} bytes instead of {length}")
        return data

    def _rest(self, name: str, offset: int, length: int | None) -> bytes:
        size = self.stat(name)
        end = size if length is None else offset
        if max(offset, end) > size:
            raise _out_of_range(name, size, offset, end)
        return b"" if end == offset else self._range(name, offset, end - offset)

    def _do(self, verb: str, name: str, work: Callable[[], _Found]) -> _Found:
        try:
            return work()
        except Exception as error:
            # Without the cause: its text may hold what a driver was given as a secret.
            problem = self._driver.explain(verb, name, error)
            if problem is None:
                raise
            raise problem from None


def _copied(data: Buffer) -> bytes:
    """Bytes that stay as they are while a driver's thread sends them."""
    return data if isinstance(data, bytes) else bytes(data)


def _out_of_range(name: str, size: int, offset: int, end: int) -> ObjectTruncated:
    return ObjectTruncated(name, f"has {size} bytes, so bytes {offset} to {end} cannot be read")
