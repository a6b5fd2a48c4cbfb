"""A decorator that does again what failed because the storage was busy or out of reach.

What is done again is harmless: an object is stored whole under a name that is its own, so storing
it twice is storing it once. Of a `put_if_absent` whose answer was lost the second try finds the
object of the first; who asked compares the two (`holdfast.store.objects.put_new`).
"""

from __future__ import annotations

import logging
import secrets
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, TypeVar

from holdfast.backend.base import (
    Backend,
    Buffer,
    Capabilities,
    Leftover,
    ObjectInfo,
    get_into,
    leftovers,
    put_probing,
    sweep,
)
from holdfast.errors import StorageUnavailable

if TYPE_CHECKING:
    from holdfast.clock import Clock

_log = logging.getLogger(__name__)
_Found = TypeVar("_Found")

DEADLINE: Final = 600.0
"""Seconds for which a request is tried again."""
FIRST_DEADLINE: Final = 20.0
"""The same before any request has worked: then the location may be wrong, and somebody waits."""
BRIEF: Final = 10.0
"""The same of what is not worth a long wait."""
_FIRST: Final = 0.5
_LONGEST: Final = 30.0
_LOUD: Final = 2
"""Tries from which on a warning is logged."""


class Attempts:
    """Does work again that failed because a storage was busy or out of reach.

    Between tries passes a time that doubles, of which a random half is left out so that many
    clients do not come back at once, or the time that the storage asks for.

    Attributes:
        clock: as given.
        stopped: set it to have nothing tried again any more.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._deadline = DEADLINE
        self._has_worked = False
        self.stopped = threading.Event()

    def like(
        self, stopped: threading.Event | None = None, deadline: float | None = None
    ) -> Attempts:
        """The same, with another event or deadline."""
        found = Attempts(self.clock)
        found._deadline = self._deadline if deadline is None else deadline
        found._has_worked = self._has_worked
        found.stopped = self.stopped if stopped is None else stopped
        return found

    def run(self, work: Callable[[], _Found]) -> _Found:
        """What the work gives, once it does not raise StorageUnavailable; or that, in the end."""
        begun = self.clock.monotonic()
        failed: float | None = None
        pause = _FIRST
        tries = 0
        while True:
            try:
                found = work()
            except StorageUnavailable as error:
                tries += 1
                wait = pause / 2 + pause / 2 * secrets.randbelow(1000) / 1000
                wait = max(wait, error.retry_after or 0.0)
                now = self.clock.monotonic()
                failed = now if failed is None else failed
                # Of what takes long by itself, as a large upload does, only the trying counts.
                since, most = (failed, DEADLINE) if self._has_worked else (begun, FIRST_DEADLINE)
                if now + wait - since > min(most, self._deadline):
                    raise
                level = logging.WARNING if tries >= _LOUD else logging.INFO
                _log.log(level, "%s; trying again in %.0f s", error, wait)
                if self.clock.wait(self.stopped, wait):
                    raise
                pause = min(pause * 2, _LONGEST)
            else:
                self._has_worked = True
                return found


class Retrying:
    """A storage whose requests are tried again for a while; see `Backend`.

    Attributes:
        backend: the storage.
    """

    def __init__(self, backend: Backend, clock: Clock) -> None:
        self.backend = backend
        self._use(Attempts(clock))
        self._lock = threading.Lock()
        self._stoppers: weakref.WeakSet[threading.Event] = weakref.WeakSet()

    def _use(self, attempts: Attempts) -> None:
        self._attempts = attempts
        self._try = attempts.run

    def until(self, stopped: threading.Event, backend: Backend) -> Retrying:
        """The same around another storage; nothing is tried again once an event is set."""
        with self._lock:
            self._stoppers.add(stopped)
        return self._like(backend, self._attempts.like(stopped=stopped))

    def brief(self) -> Retrying:
        """The same, but nothing is tried again for long."""
        return self._like(self.backend, self._attempts.like(deadline=BRIEF))

    def _like(self, backend: Backend, attempts: Attempts) -> Retrying:
        found = Retrying(backend, attempts.clock)
        found._use(attempts)
        return found

    @property
    def location(self) -> str:
        """See `Backend.location`."""
        return self.backend.location

    def put(self, name: str, data: Buffer) -> None:
        """See `Backend.put`."""
        self._try(lambda: self.backend.put(name, data))

    def put_if_absent(self, name: str, data: Buffer) -> None:
        """See `Backend.put_if_absent`; the object that is there may be this one."""
        self._try(lambda: self.backend.put_if_absent(name, data))

    def put_probing(self, name: str, data: Buffer) -> None:
        """See `Probing.put_probing`."""
        self._try(lambda: put_probing(self.backend, name, data))

    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """See `Backend.get`."""
        return self._try(lambda: self.backend.get(name, offset, length))

    def get_into(self, name: str, offset: int, out: memoryview) -> None:
        """See `Direct.get_into`."""
        self._try(lambda: get_into(self.backend, name, offset, out))

    def stat(self, name: str) -> int:
        """See `Backend.stat`."""
        return self._try(lambda: self.backend.stat(name))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """See `Backend.list`; a listing that fails half-way is begun anew, so it is held whole."""
        return iter(self._try(lambda: list(self.backend.list(prefix))))

    def delete(self, name: str) -> None:
        """See `Backend.delete`; what is missing then may be what this has deleted."""
        self._try(lambda: self.backend.delete(name))

    def leftovers(self) -> Iterator[Leftover]:
        """See `Sweepable.leftovers`."""
        return iter(self._try(lambda: list(leftovers(self.backend))))

    def sweep(self, before_ns: int) -> int:
        """See `Sweepable.sweep`."""
        return self._try(lambda: sweep(self.backend, before_ns))

    def capabilities(self) -> Capabilities:
        """See `Backend.capabilities`."""
        return self.backend.capabilities()

    def close(self) -> None:
        """See `Backend.close`; what other threads wait to try again fails at once."""
        with self._lock:
            for stopped in (self._attempts.stopped, *self._stoppers):
                stopped.set()
        self.backend.close()
