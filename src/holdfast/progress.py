"""How long work tells how far it is: events at a bounded rate, from one thread at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from holdfast.clock import SYSTEM_CLOCK, Clock
from holdfast.overrides import override
from holdfast.present import Column, Kind, Row, bar, columns, count, duration, escaped, size

INTERVAL = 0.1
"""Least number of seconds between two events, the last one excepted."""

COUNT_AFTER = 1.0
"""Seconds that work goes on before it is counted what there is to do: that is not for free, and
for what is done by then nobody needs it."""


@dataclass(frozen=True, slots=True)
class ProgressEvent(Row):
    """How far some work is.

    Attributes:
        percent: 0 to 100, never less than in the event before; 100 exactly once, at the end.
        files: files finished.
        files_total: files in all, as far as known yet; of a backup that has a parent, as many as
            that had, until there are more. Without one it is counted, when the work has gone on
            for a second; until then `percent` is 0.
        bytes: bytes processed.
        bytes_total: bytes in all, likewise.
        path: what is being worked on ("" when it has no path).
        elapsed: seconds since the start.
        rate: bytes per second since the start.
        seconds_left: estimate, 0 at the end, None while there is nothing to base one on.
    """

    percent: float
    files: int
    files_total: int
    bytes: int
    bytes_total: int
    path: str
    elapsed: float
    rate: float
    seconds_left: float | None

    @override
    def _repr_html_(self) -> str:
        """A bar."""
        return bar(self.percent or None, "", self.told)

    @property
    def told(self) -> str:
        """Files, bytes, rate, time left and where the work is, in words."""
        left = "" if self.seconds_left is None else f", {duration(self.seconds_left)} left"
        total = f" of {size(self.bytes_total)}" if self.percent else ""  # else not known yet
        numbers = (
            f"{count(self.files, 'file')}, {size(self.bytes)}{total}, "
            f"{size(round(self.rate))}/s{left}"
        )
        return f"{numbers}  {escaped(self.path)}" if self.path else numbers

    _COLUMNS: ClassVar[tuple[Column, ...]] = columns(
        percent=Kind.RATIO,
        files=Kind.COUNT,
        files_total=Kind.COUNT,
        bytes=Kind.BYTES,
        bytes_total=Kind.BYTES,
        path=Kind.PATH,
        elapsed=Kind.SECONDS,
        rate=Kind.RATE,
        seconds_left=Kind.SECONDS,
    )


ProgressCallback: TypeAlias = Callable[[ProgressEvent], object]

Count: TypeAlias = Callable[[threading.Event], tuple[int, int] | None]
"""Finds out how many files and bytes there are to do; None when it cannot, or was told to stop."""


class Progress:
    """Counts work and reports it; any thread may count, events never overlap.

    An exception raised by the callback reaches the thread that counted, and so ends the work
    as any other failure does.
    """

    def __init__(self, callback: ProgressCallback | None, clock: Clock = SYSTEM_CLOCK) -> None:
        self._callback = callback
        self._clock = clock
        self._lock = threading.Lock()
        self._start = clock.monotonic()
        self._next = self._start
        self._percent = 0.0
        self._files = self._files_total = self._bytes = self._bytes_total = 0
        self._path = ""

    def expect(self, files: int, size: int) -> None:
        """Add to the totals: so many files and bytes are still to come."""
        with self._lock:
            self._files_total += files
            self._bytes_total += size

    @contextmanager
    def counting(self, count: Count) -> Iterator[None]:
        """Have it counted beside the work what there is to do, if the work takes its time.

        Until that is known, events tell what was done, and 0 percent.

        Args:
            count: called in a thread of its own, after `COUNT_AFTER` seconds if the work goes on
                and is watched; it must end soon when the event is set.
        """
        if self._callback is None:
            yield
            return
        stop = threading.Event()

        def later() -> None:
            if self._clock.wait(stop, COUNT_AFTER):
                return
            found = count(stop)
            if found is not None and not stop.is_set():
                self.expect(*found)

        thread = threading.Thread(target=later, name="holdfast-count", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def advance(self, files: int, size: int, path: str = "") -> None:
        """Count finished files and processed bytes, and report if it is time."""
        if self._callback is None:
            return
        with self._lock:
            self._files += files
            self._bytes += size
            self._path = path or self._path
            now = self._clock.monotonic()
            if now < self._next:
                return
            self._next = now + INTERVAL
            self._emit(now, min(self._ratio() * 100.0, 99.9))

    def finish(self) -> None:
        """Report that all is done."""
        with self._lock:
            self._emit(self._clock.monotonic(), 100.0)

    def _ratio(self) -> float:
        if self._bytes_total:
            return self._bytes / self._bytes_total
        return self._files / self._files_total if self._files_total else 0.0

    def _emit(self, now: float, percent: float) -> None:
        if self._callback is None:
            return
        self._percent = max(self._percent, percent)
        elapsed = now - self._start
        ratio = 1.0 if percent == 100.0 else self._ratio()  # noqa: PLR2004 - percent
        self._callback(
            ProgressEvent(
                percent=self._percent,
                files=self._files,
                files_total=max(self._files_total, self._files),
                bytes=self._bytes,
                bytes_total=max(self._bytes_total, self._bytes),
                path=self._path,
                elapsed=elapsed,
                rate=self._bytes / elapsed if elapsed > 0 else 0.0,
                seconds_left=elapsed * (1 - ratio) / ratio if 0 < ratio <= 1 else None,
            )
        )
