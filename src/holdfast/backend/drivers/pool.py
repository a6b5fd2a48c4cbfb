"""Connections that are used by one thread at a time, and kept for the next."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Generic, TypeVar

_Connection = TypeVar("_Connection")

_OF_PARENTS: Final[list[object]] = []
"""Connections of the process that this one was forked from. They are kept, as their end, also if
it came of nobody holding them any more, would be told to the other side."""


class Pool(Generic[_Connection]):
    """As many connections as there are threads that need one at once, up to a bound.

    A process that is forked has none at first: those there are stay with its parent.

    Args:
        most: connections at a time; who needs one more waits.
        make: makes one.
        is_alive: whether an idle one is still of use, as far as can be seen without asking.
        end: closes one.
        harmless: exceptions in its use after which a connection is as good as before. After any
            other it is closed, and the idle ones with it: what ended one may have ended all.
    """

    def __init__(
        self,
        most: int,
        make: Callable[[], _Connection],
        is_alive: Callable[[_Connection], bool],
        end: Callable[[_Connection], None],
        harmless: tuple[type[Exception], ...],
    ) -> None:
        self._most = most
        self._make = make
        self._is_alive = is_alive
        self._end = end
        self._harmless = harmless
        self._is_broken_off = False
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(self._most)
        self._idle: list[_Connection] = []
        # By use, as connections cannot tell: those of fsspec are equal to each other.
        self._busy: dict[object, _Connection] = {}
        self._process = os.getpid()

    def _leave_to_parent(self) -> None:
        if self._process != os.getpid():
            _OF_PARENTS.extend(self._idle)
            self._begin()  # locks too: a thread that is not in this process may hold them

    @contextmanager
    def use(self) -> Iterator[_Connection]:
        """A connection for the time of a ``with`` block.

        Raises:
            ConnectionAbortedError: all were broken off.
        """
        self._leave_to_parent()
        with self._places:
            connection = self._take()
            busy, use = self._busy, object()
            busy[use] = connection
            try:
                self._look()  # whether all were broken off while this one was made
                yield connection
            except self._harmless:
                self._give_back(connection)
                raise
            except BaseException:
                self._end(connection)
                self.close()
                raise
            else:
                self._give_back(connection)
            finally:
                del busy[use]

    def break_off(self) -> None:
        """Close all, whatever they are used for: who does, now or later, gets an error."""
        self._leave_to_parent()
        self._is_broken_off = True
        for connection in [*self._busy.values()]:
            self._end(connection)
        self.close()

    def close(self) -> None:
        """Close those that are not in use."""
        self._leave_to_parent()
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            self._end(connection)

    def _look(self) -> None:
        if self._is_broken_off:
            raise ConnectionAbortedError("broken off")

    def _take(self) -> _Connection:
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                return self._make()
            if self._is_alive(connection):
                return connection
            self._end(connection)

    def _give_back(self, connection: _Connection) -> None:
        with self._lock:
            self._idle.append(connection)
