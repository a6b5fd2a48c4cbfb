"""A decorator that does again what failed because the storage was busy or out of reach.

What is done again is harmless: an object is stored whole under a name that is its own, so storing
it twice is storing it once. Of a `put_if_absent` whose answer was lost the second try finds the
object of the first; who asked compares the two (`holdfast.store.objects.put_new`).
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, TypeVar

from holdfast.backend.base import Backend, Buffer, Capabilities, ObjectInfo, get_into
from holdfast.errors import StorageUnavailable

if TYPE_CHECKING:
    from holdfast.clock import Clock

_log = logging.getLogger(__name__)
_Found = TypeVar("_Found")

DEADLINE: Final = 600.0
"""Seconds for which a request is tried again."""
FIRST_DEADLINE: Final = 20.0
"""The same before any request has worked: then the location may be wrong, and somebody waits."""
_FIRST: Final = 0.5
_LONGEST: Final = 30.0
_LOUD: Final = 2
"""Tries from which on a warning is logged."""


class Retrying:
    """A storage whose requests are tried again for a while; see `Backend`.

    Between tries passes a time that doubles, of which a random half is left out so that many
    clients do not come back at once, or the time that the storage asks for.
    """

    def __init__(self, backend: Backend, clock: Clock) -> None:
        self._backend = backend
        self._clock = clock
        self._has_worked = False

    @property
    def location(self) -> str:
        """See `Backend.location`."""
        return self._backend.location

    def put(self, name: str, data: Buffer) -> None:
        """See `Backend.put`."""
        self._try(lambda: self._backend.put(name, data))

    def put_if_absent(self, name: str, data: Buffer) -> None:
        """See `Backend.put_if_absent`; the object that is there may be this one."""
        self._try(lambda: self._backend.put_if_absent(name, data))

    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """See `Backend.get`."""
        return self._try(lambda: self._backend.get(name, offset, length))

    def get_into(self, name: str, offset: int, out: memoryview) -> None:
        """See `Direct.get_into`."""
        self._try(lambda: get_into(self._backend, name, offset, out))

    def stat(self, name: str) -> int:
        """See `Backend.stat`."""
        return self._try(lambda: self._backend.stat(name))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """See `Backend.list`; a listing that fails half-way is begun anew, so it is held whole."""
        return iter(self._try(lambda: list(self._backend.list(prefix))))

    def delete(self, name: str) -> None:
        """See `Backend.delete`; what is missing then may be what this has deleted."""
        self._try(lambda: self._backend.delete(name))

    def capabilities(self) -> Capabilities:
        """See `Backend.capabilities`."""
        return self._backend.capabilities()

    def close(self) -> None:
        """See `Backend.close`."""
        self._backend.close()

    def _try(self, work: Callable[[], _Found]) -> _Found:
        begun = self._clock.monotonic()
        pause = _FIRST
        tries = 0
        while True:
            try:
                found = work()
            except StorageUnavailable as error:
                tries += 1
                wait = pause / 2 + pause / 2 * secrets.randbelow(1000) / 1000
                wait = max(wait, error.retry_after or 0.0)
                deadline = DEADLINE if self._has_worked else FIRST_DEADLINE
                if self._clock.monotonic() + wait - begun > deadline:
                    raise
                level = logging.WARNING if tries >= _LOUD else logging.INFO
                _log.log(level, "%s; trying again in %.0f s", error, wait)
                self._clock.wait(threading.Event(), wait)
                pause = min(pause * 2, _LONGEST)
            else:
                self._has_worked = True
                return found
