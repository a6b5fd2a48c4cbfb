"""Threads that take turns: one of them runs at a time, and the seed says which is next.

A thread runs until it waits for something: for a lock that another one has, for a thread to end,
or for whatever it says (`Turns.until`). Then one of those goes on that have no more to wait for;
now and then that happens before it takes a lock, too. As nothing else decides what threads do
beside each other, the same seed lets them do the same again.

All that Python has for threads to wait for each other (conditions, events, queues, futures, pools)
is made of locks, so it is enough to replace these and what starts and joins threads. Time stands
still: what is to be waited for at most so long is waited for.
"""

from __future__ import annotations

import gc
import queue
import sys
import threading
import traceback
from _thread import allocate_lock
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from random import Random
from threading import Thread, get_ident
from unittest.mock import patch

STUCK = 120.0
"""Seconds after which a turn is given up that does not end."""

_PAUSES = 0.05
"""How often others may go on before a thread takes a lock."""


class Killed(BaseException):
    """The process of a thread is gone: no handler may do anything about it."""


class Stuck(Exception):  # noqa: N818 - a failure of the test, not an error
    """Nothing moves any more; the message has the stacks of all threads."""


def _locked() -> threading.Lock:
    lock = allocate_lock()
    lock.acquire()
    return lock


@dataclass(eq=False, slots=True)
class _Place:
    """Where a thread waits for its next turn.

    Attributes:
        ready: tells whether it has no more to wait for.
        go: released when its turn begins.
    """

    ready: Callable[[], bool]
    go: threading.Lock = field(default_factory=_locked)


class Turns:
    """Threads that take turns: the one that makes this, and all that they start.

    Attributes:
        alive: those that were started and have not ended, and where they wait for their first turn.
    """

    def __init__(self, seed: int | str) -> None:
        """Begin with the turn of this thread, the main one."""
        self._random = Random(f"turns {seed}")
        self._main = get_ident()
        self._members = {self._main}
        self.alive: dict[Thread, _Place] = {}
        self._waiting: list[_Place] = []
        self._rest: _Place | None = None

    def until(self, ready: Callable[[], bool]) -> None:
        """Let others go on until something is true.

        Raises:
            Stuck: in the main thread, nobody can go on.
        """
        if ready():
            return
        self._wait(ready)
        if not ready():
            raise Stuck(stacks())

    def settle(self) -> None:
        """Let all others go on until none of them can; only for the main thread."""
        self._wait(lambda: False)

    def pause(self) -> None:
        """Let others go on first, now and then."""
        if get_ident() in self._members and self._random.random() < _PAUSES:
            self._wait(lambda: True)

    def is_taken(self) -> bool:
        """Whether this thread takes turns."""
        return get_ident() in self._members

    def _wait(self, ready: Callable[[], bool]) -> None:
        place = _Place(ready)
        is_main = get_ident() == self._main
        if is_main:
            self._rest = place
        self._waiting.append(place)
        self._pass_on()
        if not place.go.acquire(timeout=STUCK if is_main else -1):
            raise Stuck(stacks())

    def _pass_on(self) -> None:
        """End the turn of this thread."""
        able = [place for place in self._waiting if place.ready()]
        place = self._random.choice(able) if able else self._rest
        assert place is not None
        self._waiting.remove(place)
        place.go.release()

    # What threads call instead of the methods of `Thread`

    def start(self, thread: Thread, really: Callable[[], None]) -> None:
        """Start a thread, which waits for its first turn."""
        me = get_ident()
        if me not in self._members:
            really()
            return
        self.alive[thread] = place = _Place(lambda: True)
        self._waiting.append(place)
        self._members.discard(me)  # it waits for the thread to be there, which takes no turn yet
        really()
        self._members.add(me)

    def run(self, thread: Thread, really: Callable[[], None]) -> None:
        """Do the work of a thread."""
        place = self.alive.get(thread)
        if place is None:
            really()
            return
        place.go.acquire()
        self._members.add(get_ident())
        try:
            really()
        except Killed:
            pass
        finally:
            self._members.discard(get_ident())
            del self.alive[thread]
            self._pass_on()

    def join(self, thread: Thread) -> None:
        """Wait until a thread has done its work."""
        if self.is_taken():
            self.until(lambda: thread not in self.alive)


class _Lock:
    """See `threading.Lock`."""

    def __init__(self, *, pauses: bool = False) -> None:
        self._lock = allocate_lock()
        self._pauses = pauses
        self.locked = self._lock.locked
        self.release = self._lock.release

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:  # noqa: FBT002 - a lock's
        """Get it, when it is free."""
        turns = _turns[-1] if _turns and blocking else None
        if turns is None or not turns.is_taken():
            return self._lock.acquire(blocking, timeout)
        if self._pauses:
            turns.pause()
        if not self._lock.acquire(blocking=False):
            turns.until(lambda: not self._lock.locked())
            self._lock.acquire()
        return True

    __enter__ = acquire

    def __exit__(self, *_: object) -> None:
        self._lock.release()


_turns: list[Turns] = []
_start, _run, _join = Thread.start, Thread.run, Thread.join


def now() -> Turns:
    """Those that are taken now."""
    return _turns[-1]


@contextmanager
def taking_turns(seed: int | str) -> Iterator[None]:
    """Let this thread and all that are started take turns; they must have ended at the end.

    What is collected as garbage, and when, is not for the seed to say: nothing is meanwhile.
    """
    turns = Turns(seed)

    def join(thread: Thread, timeout: float | None = None) -> None:
        turns.join(thread)
        _join(thread, timeout)

    replaced: dict[str, object] = {
        "threading.Lock": partial(_Lock, pauses=True),
        "threading._allocate_lock": _Lock,  # of conditions, and of what `RLock` is in Python
        "threading._CRLock": None,
        "queue.SimpleQueue": queue._PySimpleQueue,  # type: ignore[attr-defined]
        "concurrent.futures.thread._global_shutdown_lock": _Lock(),
        "threading.Thread.start": lambda thread: turns.start(thread, partial(_start, thread)),
        "threading.Thread.run": lambda thread: turns.run(thread, partial(_run, thread)),
        "threading.Thread.join": join,
    }
    with ExitStack() as stack:
        for name, value in replaced.items():
            stack.enter_context(patch(name, value))
        if gc.isenabled():
            gc.disable()
            stack.callback(gc.enable)
        _turns.append(turns)
        stack.callback(_turns.pop)
        yield
        turns.settle()
        if turns.alive:
            raise Stuck(stacks())


def stacks() -> str:
    """Where all threads are."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return "\n".join(
        f"{names.get(thread)}:\n" + "".join(traceback.format_stack(frame))
        for thread, frame in sys._current_frames().items()
    )
