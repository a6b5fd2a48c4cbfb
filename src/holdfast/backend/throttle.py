"""Limits of how fast data may be sent and fetched, also by the time of day."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

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
from holdfast.errors import StorageUnavailable, UsageError

if TYPE_CHECKING:
    from holdfast.clock import Clock

_DAY: Final = 24 * 60
_PART = re.compile(r"(?:(\d\d):(\d\d)-(\d\d):(\d\d)=)?(\d{1,9})")
_FORM: Final = "KiB a second, such as 1024, or by the time of day: 08:00-18:00=512,4096"
_KIB: Final = 1024
_BURST: Final = 1.0
"""Seconds' worth of bytes that may go at once."""
_SMALL: Final = 64 << 10
"""Bytes up to which an object does not wait for larger ones: signs of life must get through."""
_SLICE: Final = 5.0
"""Longest wait in seconds before the rate is looked at again."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit, by the local time of day.

    Attributes:
        parts: minutes of the day from and until when, and KiB a second; the first that fits
            counts. 0 is no limit.
    """

    parts: tuple[tuple[int, int, int], ...]

    @classmethod
    def parse(cls, text: str | int) -> Limit:
        """A limit from its text.

        Raises:
            UsageError: it is none.
        """
        return cls(tuple(_parsed(part.strip(), str(text)) for part in str(text).split(",")))

    def rate(self, minute: int) -> int:
        """Bytes a second in a minute of the day; 0 for no limit."""
        for start, end, rate in self.parts:
            is_in = start <= minute < end if start < end else not end <= minute < start
            if is_in:
                return rate * _KIB
        return 0


def _parsed(part: str, text: str) -> tuple[int, int, int]:
    found = _PART.fullmatch(part)
    if found is None:
        raise UsageError(f"{text!r} is no limit: give {_FORM}")
    if found[1] is None:
        return 0, _DAY, int(found[5])
    start, end = int(found[1]) * 60 + int(found[2]), int(found[3]) * 60 + int(found[4])
    if max(start, end) > _DAY or start == end or max(int(found[2]), int(found[4])) >= 60:  # noqa: PLR2004 - minutes of an hour
        raise UsageError(f"{text!r}: {part!r} is no part of a day: give {_FORM}")
    return start, end, int(found[5])


class _Meter:
    """Lets bytes pass at the rate of a limit, whichever threads ask.

    Small objects wait for small ones only, large ones for all. So in any time that lies in one part
    of the day and ends when a large one passes, or in which all are small, pass at most the bytes
    that its rate gives for it and for `_BURST` seconds more, and those of one object, as an object
    goes all at once. Small ones that come after may pass that once more; large ones wait for it.
    """

    def __init__(self, limit: Limit | None, clock: Clock) -> None:
        self._limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        self._free_at = self._free_for_small_at = clock.monotonic()

    def take(self, size: int, stopped: threading.Event) -> None:
        """Wait until so many bytes may pass.

        Raises:
            StorageUnavailable: they may not, and the event is set.
        """
        limit = self._limit
        if limit is None or not size:
            return
        while (wait := self._pass(limit, size)) > 0:
            if self._clock.wait(stopped, min(wait, _SLICE)):
                raise StorageUnavailable("", "given up while it waited for the limit of speed")

    def _pass(self, limit: Limit, size: int) -> float:
        """Let so many bytes pass; or, if they may not yet, say in how many seconds."""
        with self._lock:
            rate = self._rate(limit)
            if not rate:
                return 0.0
            now = self._clock.monotonic()
            is_small = size <= _SMALL
            wait = (self._free_for_small_at if is_small else self._free_at) - now
            if wait > 0:
                return wait
            self._free_at = max(self._free_at, now - _BURST) + size / rate
            if is_small:
                self._free_for_small_at = max(self._free_for_small_at, now - _BURST) + size / rate
            return 0.0

    def _rate(self, limit: Limit) -> int:
        seconds = self._clock.now_ns() // 10**9 + self._clock.utc_offset()
        return limit.rate(seconds // 60 % _DAY)


class Throttled:
    """A storage that is used no faster than it may be; see `Backend`.

    Attributes:
        backend: the storage.
        upload: how fast data may be sent; None for no limit.
        download: how fast data may be fetched.
    """

    def __init__(
        self, backend: Backend, upload: Limit | None, download: Limit | None, clock: Clock
    ) -> None:
        self.backend = backend
        self.upload = upload
        self.download = download
        self._up = _Meter(upload, clock)
        self._down = _Meter(download, clock)
        self._stopped = threading.Event()

    def until(self, stopped: threading.Event, backend: Backend) -> Throttled:
        """The same around another storage, by the same limits; nothing waits once an event is set.

        What would have to then fails with `StorageUnavailable`.
        """
        found: Throttled = copy(self)
        found.backend = backend
        found._stopped = stopped
        return found

    @property
    def location(self) -> str:
        """See `Backend.location`."""
        return self.backend.location

    def put(self, name: str, data: Buffer) -> None:
        """See `Backend.put`."""
        self._up.take(len(data), self._stopped)
        self.backend.put(name, data)

    def put_if_absent(self, name: str, data: Buffer) -> None:
        """See `Backend.put_if_absent`."""
        self._up.take(len(data), self._stopped)
        self.backend.put_if_absent(name, data)

    def put_probing(self, name: str, data: Buffer) -> None:
        """See `Probing.put_probing`."""
        self._up.take(len(data), self._stopped)
        put_probing(self.backend, name, data)

    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """See `Backend.get`."""
        data = self.backend.get(name, offset, length)
        self._down.take(len(data), self._stopped)
        return data

    def get_into(self, name: str, offset: int, out: memoryview) -> None:
        """See `Direct.get_into`."""
        get_into(self.backend, name, offset, out)
        self._down.take(len(out), self._stopped)

    def stat(self, name: str) -> int:
        """See `Backend.stat`."""
        return self.backend.stat(name)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """See `Backend.list`."""
        return self.backend.list(prefix)

    def delete(self, name: str) -> None:
        """See `Backend.delete`."""
        self.backend.delete(name)

    def leftovers(self) -> Iterator[Leftover]:
        """See `Sweepable.leftovers`."""
        return leftovers(self.backend)

    def sweep(self, before_ns: int) -> int:
        """See `Sweepable.sweep`."""
        return sweep(self.backend, before_ns)

    def capabilities(self) -> Capabilities:
        """See `Backend.capabilities`."""
        return self.backend.capabilities()

    def close(self) -> None:
        """See `Backend.close`."""
        self.backend.close()
