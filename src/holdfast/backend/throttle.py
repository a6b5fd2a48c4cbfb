"""Limits of how fast data may be sent and fetched, also by the time of day."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from holdfast.backend.base import Backend, Buffer, Capabilities, ObjectInfo, get_into
from holdfast.errors import UsageError

if TYPE_CHECKING:
    from holdfast.clock import Clock

_DAY: Final = 24 * 60
_PART = re.compile(r"(?:(\d\d):(\d\d)-(\d\d):(\d\d)=)?(\d{1,9})")
_FORM: Final = "KiB a second, such as 1024, or by the time of day: 08:00-18:00=512,4096"
_KIB: Final = 1024
_BURST: Final = 1.0
"""Seconds' worth of bytes that may go at once."""


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
    """Lets bytes pass at the rate of a limit, whichever threads ask."""

    def __init__(self, limit: Limit | None, clock: Clock) -> None:
        self._limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        self._free_at = clock.monotonic()

    def take(self, size: int) -> None:
        """Wait until so many bytes may pass."""
        rate = self._rate()
        if not rate or not size:
            return
        with self._lock:
            now = self._clock.monotonic()
            start = max(self._free_at, now - _BURST)
            self._free_at = start + size / rate
            wait = start - now
        if wait > 0:
            self._clock.wait(threading.Event(), wait)

    def _rate(self) -> int:
        if self._limit is None:
            return 0
        seconds = self._clock.now_ns() // 10**9 + self._clock.utc_offset()
        return self._limit.rate(seconds // 60 % _DAY)


class Throttled:
    """A storage that is used no faster than it may be; see `Backend`."""

    def __init__(
        self, backend: Backend, upload: Limit | None, download: Limit | None, clock: Clock
    ) -> None:
        self._backend = backend
        self._up = _Meter(upload, clock)
        self._down = _Meter(download, clock)

    @property
    def location(self) -> str:
        """See `Backend.location`."""
        return self._backend.location

    def put(self, name: str, data: Buffer) -> None:
        """See `Backend.put`."""
        self._up.take(len(data))
        self._backend.put(name, data)

    def put_if_absent(self, name: str, data: Buffer) -> None:
        """See `Backend.put_if_absent`."""
        self._up.take(len(data))
        self._backend.put_if_absent(name, data)

    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """See `Backend.get`."""
        data = self._backend.get(name, offset, length)
        self._down.take(len(data))
        return data

    def get_into(self, name: str, offset: int, out: memoryview) -> None:
        """See `Direct.get_into`."""
        get_into(self._backend, name, offset, out)
        self._down.take(len(out))

    def stat(self, name: str) -> int:
        """See `Backend.stat`."""
        return self._backend.stat(name)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """See `Backend.list`."""
        return self._backend.list(prefix)

    def delete(self, name: str) -> None:
        """See `Backend.delete`."""
        self._backend.delete(name)

    def capabilities(self) -> Capabilities:
        """See `Backend.capabilities`."""
        return self._backend.capabilities()

    def close(self) -> None:
        """See `Backend.close`."""
        self._backend.close()
