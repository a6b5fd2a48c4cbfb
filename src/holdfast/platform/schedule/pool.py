"""Runs jobs in threads, no more of them at once than is allowed, and ends them when told to."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue

from holdfast.clock import Clock

_log = logging.getLogger(__name__)


class Pool:
    """Threads that each do one piece of work.

    Args:
        most: how many may work at once.
        clock: measures how long they are waited for.
        done: called when one is done, and is to take no time.
    """

    def __init__(self, most: int, clock: Clock, done: Callable[[], object]) -> None:
        self._most = most
        self._clock = clock
        self._done = done
        self._lock = threading.Lock()
        self._working = 0
        # The same threads all the time: each has a connection to the database.
        self._threads: list[threading.Thread] = []
        self._queue: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._idle = threading.Event()
        self._idle.set()

    @property
    def working(self) -> int:
        """How many work now."""
        with self._lock:
            return self._working

    @property
    def has_room(self) -> bool:
        """Whether one more may work."""
        return self.working < self._most

    def start(self, work: Callable[[], object]) -> None:
        """Have something done beside; there is to be room."""
        with self._lock:
            self._working += 1
            self._idle.clear()
            if self._working > len(self._threads):
                # A daemon: work that does not end when told to keeps no process from ending.
                name = f"holdfast-job-{len(self._threads) + 1}"
                thread = threading.Thread(target=self._serve, name=name, daemon=True)
                self._threads.append(thread)
                thread.start()
        self._queue.put(work)

    def close(self) -> None:
        """Let the threads end that have nothing to do."""
        with self._lock:
            for _ in self._threads:
                self._queue.put(None)
            self._threads.clear()

    def wait(self, seconds: float) -> bool:
        """Wait until nobody works, or the time is over; returns whether nobody does."""
        return self._clock.wait(self._idle, seconds)

    def _serve(self) -> None:
        while (work := self._queue.get()) is not None:
            try:
                work()
            except Exception:  # noqa: BLE001 - the thread is needed for what comes next
                _log.exception("work ended unexpectedly")
            finally:
                self._ended()

    def _ended(self) -> None:
        with self._lock:
            self._working -= 1
            if not self._working:
                self._idle.set()
            self._done()
