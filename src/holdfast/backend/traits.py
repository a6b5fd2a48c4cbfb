"""What some storages can do beside the verbs, asked of them through whatever wraps them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from holdfast.backend.retry import Retrying
from holdfast.backend.throttle import Throttled

if TYPE_CHECKING:
    from holdfast.backend.base import Backend


@runtime_checkable
class Dated(Protocol):
    """What a storage can do if it notes when objects are stored."""

    def modified_ns(self, name: str) -> int | None:
        """When an object was stored, by the storage's clock: nanoseconds since the epoch.

        Raises:
            ObjectNotFound: no such object.
        """


@runtime_checkable
class Foldered(Protocol):
    """What a storage can do if folders stay behind when the objects in them are gone."""

    def remove_folders(self) -> None:
        """Remove the storage's folder and those below it, as far as nothing is in them."""


def modified_ns(backend: Backend, name: str) -> int | None:
    """See `Dated.modified_ns`; None when the storage does not tell."""
    inner = _innermost(backend)
    return inner.modified_ns(name) if isinstance(inner, Dated) else None


def remove_folders(backend: Backend) -> None:
    """See `Foldered.remove_folders`; nothing in a storage that has no folders."""
    inner = _innermost(backend)
    if isinstance(inner, Foldered):
        inner.remove_folders()


def _innermost(backend: Backend) -> Backend:
    while isinstance(backend, Retrying | Throttled):
        backend = backend.backend
    return backend
