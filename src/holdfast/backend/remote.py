"""Objects in a store that fsspec has a driver for: S3, Azure, Google, SFTP and any other.

What a kind of store does in its own way is its `Driver`'s; what must be true of all is here: names
are checked, lengths of what is read are compared with what was asked for, listings are never those
of a cache, errors are ours and name no secret.

Whether a store can create an object only if its name is free is found out, not believed: stores
that speak S3 have overwritten what was there. A writer's first object is created twice, and the
second time must be refused; before a store is said not to do that, it is tried once more. A reader
never creates anything, so it never finds out.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import TypeVar

from holdfast.backend.access import Access, Address
from holdfast.backend.base import Buffer, Capabilities, Leftover, ObjectInfo
from holdfast.backend.drivers import Driver, Options, UnconditionalError, driver_class
from holdfast.backend.names import check_name, check_prefix
from holdfast.errors import (
    BackendError,
    ObjectExists,
    ObjectNotFound,
    ObjectTruncated,
)

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
    return RemoteBackend(kind.at(location, options), Address(location, Access(options)))


class RemoteBackend:
    """A folder of a store as storage. See `Backend` for the verbs.

    Attributes:
        address: what another process needs to use the same folder.
    """

    def __init__(self, driver: Driver, address: Address) -> None:
        self._driver = driver
        self.address = address
        self._root = driver.root.rstrip("/") + "/"
        self._is_exclusive: bool | None = None if driver.conditional else False
        self._was_there = False

    @property
    def location(self) -> str:
        """See `Backend.location`."""
        return self._driver.location

    def put(self, name: str, data: Buffer) -> None:
        """See `Backend.put`."""
        check_name(name)
        self._do("put", name, lambda: self._driver.put(self._root + name, _copied(data)))

    def put_if_absent(self, name: str, data: Buffer) -> None:
        """See `Backend.put_if_absent`; refused as long as the store has not shown that it can."""
        check_name(name)
        if not self._is_exclusive:
            raise BackendError(name, f"{self.location} cannot create objects only if absent")
        content = _copied(data)
        self._create(name, content)

    def put_probing(self, name: str, data: Buffer) -> None:
        """See `Probing.put_probing`."""
        check_name(name)
        if self._is_exclusive is not None:
            self.put(name, data)
            return
        content = _copied(data)
        if self._refuses_second(name, content):
            self._is_exclusive = True
            return
        # One wrong answer must not make a store one that nobody relies on.
        probe = f"probe/{secrets.token_hex(16)}"
        is_exclusive = self._refuses_second(probe, probe.encode())
        with suppress(BackendError):  # who may only add leaves it, and it is in nobody's way
            self.delete(probe)
        self.put(name, content)
        self._is_exclusive = is_exclusive

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
            self._confirm_absence()
            raise ObjectNotFound(name, "no such object")
        return size

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """See `Backend.list`."""
        check_prefix(prefix)
        folder = self._root + prefix
        found = self._do("list", prefix, lambda: list(self._driver.files(folder.rstrip("/"))))
        if not found:
            self._confirm_absence()
        start = len(self._root)
        return (ObjectInfo(path[start:], size) for path, size in found if path.startswith(folder))

    def delete(self, name: str) -> None:
        """See `Backend.delete`."""
        check_name(name)
        self._do("delete", name, lambda: self._driver.remove(self._root + name))
        self._was_there = False  # where there are no folders it may have been the last object

    def modified_ns(self, name: str) -> int | None:
        """See `Dated.modified_ns`."""
        check_name(name)
        found = self._do("stat", name, lambda: self._driver.modified(self._root + name))
        return None if found is None else int(found.timestamp()) * 10**9

    def remove_folders(self) -> None:
        """See `Foldered.remove_folders`."""
        self._do("delete", "", self._driver.remove_folders)
        self._was_there = False

    def leftovers(self) -> Iterator[Leftover]:
        """See `Sweepable.leftovers`; none where writers cannot leave anything."""
        start = len(self._root)
        for path, size, modified in self._do("list", "", lambda: list(self._driver.leftovers())):
            yield Leftover(path[start:], size, modified)

    def sweep(self, before_ns: int) -> int:
        """See `Sweepable.sweep`."""
        swept = 0
        for name, _, modified_ns in self.leftovers():
            if modified_ns < before_ns:
                with suppress(ObjectNotFound):
                    self._do("delete", name, partial(self._driver.remove, self._root + name))
                    swept += 1
        return swept

    def capabilities(self) -> Capabilities:
        """What the store can do, as far as it has shown."""
        return Capabilities(put_if_absent=self._is_exclusive, local=False)

    def close(self) -> None:
        """See `Backend.close`."""
        self._driver.close()

    def _refuses_second(self, name: str, data: bytes) -> bool:
        """Create an object twice: whether the store refuses to the second time."""
        try:
            with suppress(ObjectExists):  # it came of a request whose answer was lost
                self._create(name, data)
            self._create(name, data)
        except ObjectExists:
            return True
        except UnconditionalError:
            return False
        return False

    def _create(self, name: str, data: bytes) -> None:
        self._do("put", name, lambda: self._driver.create(self._root + name, data))

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

    def _confirm_absence(self) -> None:
        """Believe that something is missing only if the folder of all is there, or never was.

        A disk that a server has lost for a moment must not look like a repository without
        snapshots.
        """
        if self._was_there and not self._try("stat", "", self._driver.has_root):
            problem = "is not there any more; see if its storage is still mounted"
            raise BackendError("", f"{self.location} {problem}")

    def _do(self, verb: str, name: str, work: Callable[[], _Found]) -> _Found:
        try:
            found = self._try(verb, name, work)
        except ObjectNotFound:
            self._confirm_absence()
            raise
        if found:  # neither an empty listing nor the size of nothing
            self._was_there = True
        return found

    def _try(self, verb: str, name: str, work: Callable[[], _Found]) -> _Found:
        try:
            return work()
        except Exception as error:
            problem = self._driver.explain(verb, name, error)
            if problem is None:
                raise
        # Neither as cause nor as context: its text may hold what a driver was given as a secret.
        problem.__cause__ = problem.__context__ = None
        raise problem


def _copied(data: Buffer) -> bytes:
    """Bytes that stay as they are while a driver's thread sends them."""
    return data if isinstance(data, bytes) else bytes(data)


def _out_of_range(name: str, size: int, offset: int, end: int) -> ObjectTruncated:
    return ObjectTruncated(name, f"has {size} bytes, so bytes {offset} to {end} cannot be read")
