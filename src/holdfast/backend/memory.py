"""Objects in the memory of this process: for tests, and for trying things out."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from holdfast.backend.base import Buffer, Capabilities, ObjectInfo
from holdfast.backend.names import check_name, check_prefix, check_range
from holdfast.errors import ObjectExists, ObjectNotFound

if TYPE_CHECKING:
    from collections.abc import Iterator


class MemoryBackend:
    """A storage that lasts as long as this object. See `Backend` for the verbs."""

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}
        self._lock = threading.Lock()

    @property
    def location(self) -> str:
        """See `Backend.location`."""
        return "memory"

    def put(self, name: str, data: Buffer) -> None:
        """See `Backend.put`."""
        check_name(name)
        stored = bytes(data)
        with self._lock:
            self._objects[name] = stored

    def put_if_absent(self, name: str, data: Buffer) -> None:
        """See `Backend.put_if_absent`."""
        check_name(name)
        stored = bytes(data)
        with self._lock:
            if name in self._objects:
                raise ObjectExists(name, "exists already")
            self._objects[name] = stored

    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """See `Backend.get`."""
        data = self._find(name)
        count = check_range(name, len(data), offset, length)
        return data[offset : offset + count]

    def stat(self, name: str) -> int:
        """See `Backend.stat`."""
        return len(self._find(name))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """See `Backend.list`."""
        check_prefix(prefix)
        with self._lock:
            found = [
                ObjectInfo(name, len(data))
                for name, data in self._objects.items()
                if name.startswith(prefix)
            ]
        return iter(found)

    def delete(self, name: str) -> None:
        """See `Backend.delete`."""
        check_name(name)
        with self._lock:
            if self._objects.pop(name, None) is None:
                raise ObjectNotFound(name, "no such object")

    def capabilities(self) -> Capabilities:
        """See `Backend.capabilities`."""
        return Capabilities(put_if_absent=True, local=True)

    def close(self) -> None:
        """See `Backend.close`; the objects stay."""

    def _find(self, name: str) -> bytes:
        check_name(name)
        data = self._objects.get(name)
        if data is None:
            raise ObjectNotFound(name, "no such object")
        return data
