"""The one door to time: everything that asks the time or waits takes a `Clock`."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Wall time, elapsed time and waiting; tests pass one that they turn by hand."""

    def now_ns(self) -> int:
        """Wall time in nanoseconds since the Unix epoch."""

    def utc_offset(self) -> int:
        """The local zone's offset from UTC now, in seconds."""

    def monotonic(self) -> float:
        """Seconds that only ever grow; meaningful as differences."""

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until the event is set or the time is over; returns whether it is set."""


class SystemClock:
    """The machine's clock."""

    def now_ns(self) -> int:
        """See `Clock.now_ns`."""
        return time.time_ns()

    def utc_offset(self) -> int:
        """See `Clock.utc_offset`."""
        offset = datetime.now(UTC).astimezone().utcoffset() or timedelta()
        return int(offset.total_seconds())

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return time.monotonic()

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """See `Clock.wait`."""
        return event.wait(seconds)


SYSTEM_CLOCK: Clock = SystemClock()
