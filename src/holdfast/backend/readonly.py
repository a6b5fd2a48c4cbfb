"""A decorator that lets nothing be written."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from holdfast.backend.base import get_into
from holdfast.errors import AccessDenied

if TYPE_CHECKING:
    from collections.abc import Iterator

    from holdfast.backend.base import Backend, Buffer, Capabilities, ObjectInfo


class ReadOnly:
    """A storage of which only the reading verbs work; the others raise `AccessDenied`."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @property
    def location(self) -> str:
        """See `Backend.location`."""
        return self._backend.location

    def put(self, name: str, data: Buffer) -> None:  # noqa: ARG002 - the protocol's signature
        """Refused."""
        _refuse(name)

    def put_if_absent(self, name: str, data: Buffer) -> None:  # noqa: ARG002 - as above
        """Refused."""
        _refuse(name)

    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """See `Backend.get`."""
        return self._backend.get(name, offset, length)

    def get_into(self, name: str, offset: int, out: memoryview) -> None:
        """See `Direct.get_into`."""
        get_into(self._backend, name, offset, out)

    def stat(self, name: str) -> int:
        """See `Backend.stat`."""
        return self._backend.stat(name)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """See `Backend.list`."""
        return self._backend.list(prefix)

    def delete(self, name: str) -> None:
        """Refused."""
        _refuse(name)

    def capabilities(self) -> Capabilities:
        """What can be done with the storage itself, less `put_if_absent`."""
        return self._backend.capabilities()._replace(put_if_absent=False)

    def close(self) -> None:
        """See `Backend.close`."""
        self._backend.close()


def _refuse(name: str) -> NoReturn:
    raise AccessDenied(name, "opened for reading only; open it for writing to change it")
