"""Actors that run the real code, of which one moves at a time, one storage operation a step.

An actor is a thread (with whatever threads the engine starts for it) that works on a repository
through a `Stepped` backend and a `SteppedClock`. Each of its operations waits until the scheduler
grants it. The scheduler waits until every actor that has not ended waits for a grant, chooses one
of them by the seed, carries out its operation, and lets it run to its next one. So between two
steps nothing moves, and the same seed gives the same schedule.

An operation may also be refused, or its answer be lost, and an actor may be killed: from then on
nothing that it asks for is done, as if its process had ended there.
"""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import TypeVar

from holdfast.backend import Backend, Buffer, Capabilities, ObjectInfo
from holdfast.errors import BackendError, HoldfastError, StorageUnavailable
from holdfast.overrides import override

_T = TypeVar("_T")

STUCK = 120.0
"""Seconds without any movement after which a schedule is given up."""

_GRACE = 0.1
"""Seconds that a thread which woke up may take to its next operation; it may wait for a lock."""

_SLICE = 0.005
"""Seconds between two looks of a thread at whether its clock was turned."""

_TICKS = 0.01
_LEAPS = (20.0, 400.0, 100_000.0)
"""How often a clock is turned, and by how much: to a tick, a heartbeat, or days as by a suspend."""

_CRUCIAL = ("gc/", "sessions/", "snapshots/")
"""Where actors meet: they are preempted before they turn there more often than elsewhere."""

_START = 1_700_000_000.0


class Killed(BaseException):
    """The process of the actor is gone: no handler may do anything about it."""


class Stuck(Exception):  # noqa: N818 - a failure of the test, not an error
    """Nothing moves any more; the message has the stacks of all threads."""


class Outcome(Enum):
    """What becomes of an operation."""

    DONE = "done"
    REFUSED = "fails"
    UNANSWERED = "fails, though done"
    KILLED_BEFORE = "killed before"
    KILLED_AFTER = "killed after"

    @property
    def is_kill(self) -> bool:
        return self in {Outcome.KILLED_BEFORE, Outcome.KILLED_AFTER}

    @property
    def is_carried_out(self) -> bool:
        return self not in {Outcome.REFUSED, Outcome.KILLED_BEFORE}


@dataclass(frozen=True, slots=True)
class Step:
    """One operation that was granted."""

    actor: str
    verb: str
    name: str
    outcome: Outcome

    @override
    def __str__(self) -> str:
        suffix = "" if self.outcome is Outcome.DONE else f"  <- {self.outcome.value}"
        return f"{self.actor:14} {self.verb:13} {self.name}{suffix}"


@dataclass(eq=False, slots=True)
class _Request:
    verb: str
    name: str
    work: Callable[[], None]
    thread: int
    go: threading.Lock = field(default_factory=threading.Lock)
    error: BaseException | None = None


def _weight(request: _Request) -> float:
    """How likely an actor is preempted before an operation."""
    if request.verb == "put_if_absent":
        return 0.3
    return 0.1 if request.name.startswith(_CRUCIAL) else 0.01


class Actor:
    """Somebody who does something with a repository, as a process of its own would.

    Attributes:
        name: for people.
        backend: what it sees of the storage.
        clock: its clock.
        was_killed: whether it was killed.
        was_hurt: whether an operation of it failed on purpose.
        error: what ended its work, if it was one of holdfast's errors.
        bug: what ended its work, if it was anything else.
    """

    def __init__(self, name: str, scheduler: Scheduler, work: Callable[[Actor], None]) -> None:
        self.name = name
        self.backend = Stepped(scheduler, self)
        self.clock = SteppedClock(scheduler, self)
        self.was_killed = self.was_hurt = self.has_ended = False
        self.error: HoldfastError | None = None
        self.bug: BaseException | None = None
        self.pending: list[_Request] = []
        self.awake: set[int] = set()
        self.thread = threading.Thread(target=self._run, name=f"actor {name}", daemon=True)
        self._scheduler = scheduler
        self._work = work

    def _run(self) -> None:
        try:
            self._work(self)
        except Killed:
            pass
        except HoldfastError as error:
            self.error = error
        except BaseException as error:  # noqa: BLE001 - reported with the schedule
            self.bug = error
        self._scheduler.ended(self)


class Scheduler:
    """Grants one operation at a time.

    Attributes:
        random: decides everything.
        trace: the steps so far.
        pages: whether listings come in two pages.
        is_local: what the storage says that it is.
    """

    def __init__(self, seed: int | str, objects: Backend, faults: float = 0.0) -> None:
        """Plan a schedule.

        Args:
            seed: the same seed, the same schedule.
            objects: the storage itself.
            faults: how many operations of a schedule go wrong, on average.
        """
        self.random = Random(f"schedule {seed}")
        self.objects = objects
        self.trace: list[Step] = []
        self.pages = self.random.random() < 0.5
        self.is_local = self.random.random() < 0.5
        self._faults = faults / 150  # a schedule has about so many steps
        self._changed = threading.Condition()
        self._actors: list[Actor] = []
        self._is_over = False
        self._choose = self.random.choice((self._anyone, self._same, self._by_rank, self._by_rank))
        self._stickiness = self.random.choice((0.5, 0.8, 0.95))
        self._is_patient = self.random.random() < 0.5  # else sessions are expired while they work
        self._ranks: dict[Actor, float] = {}
        self._last: Actor | None = None

    def run(self, actors: Sequence[Actor], after: Callable[[Step], None]) -> None:
        """Let actors work until all have ended.

        Args:
            actors: who works.
            after: called after every step, while nothing moves.

        Raises:
            Stuck: an actor neither ends nor asks for anything.
        """
        hook, threading.excepthook = threading.excepthook, _quiet
        try:
            self._ranks = {actor: self.random.random() for actor in actors}
            for actor in actors:
                self._actors.append(actor)
                actor.thread.start()
                self._settle()
            while ready := [actor for actor in actors if actor.pending]:
                if self.random.random() < _TICKS:
                    self.random.choice(ready).clock.turn(self.random.choice(_LEAPS))
                    self._settle()
                after(self._step(self._choose(ready)))
                self._settle()
        finally:
            self._end()
            threading.excepthook = hook

    # Who is next

    def _anyone(self, ready: Sequence[Actor]) -> Actor:
        return self.random.choice(ready)

    def _same(self, ready: Sequence[Actor]) -> Actor:
        """Mostly the one that moved last, so that much happens between two steps of another."""
        last = self._last
        if last is None or last not in ready or self.random.random() > self._stickiness:
            last = self._last = self.random.choice(ready)
        return last

    def _by_rank(self, ready: Sequence[Actor]) -> Actor:
        """The first by rank, which is dropped to the last place now and then.

        So few preemptions, at places that are likely to matter, find bugs that need few of them
        (Burckhardt et al.: A Randomized Scheduler with Probabilistic Guarantees, 2010).
        """
        first = max(ready, key=lambda actor: self._ranks[actor])
        if self.random.random() < max(map(_weight, first.pending)):
            self._drop(first)
            first = max(ready, key=lambda actor: self._ranks[actor])
        return first

    def _drop(self, actor: Actor) -> None:
        self._ranks[actor] = min(self._ranks.values()) - 1

    # One step

    def _step(self, actor: Actor) -> Step:
        # Not by when they came: two threads of an actor may race for that.
        pending = sorted(actor.pending, key=lambda each: each.thread != actor.thread.ident)
        request = self.random.choice(pending)
        outcome = self._outcome(request)
        step = Step(actor.name, request.verb, request.name, outcome)
        self.trace.append(step)
        if outcome.is_carried_out:
            try:
                request.work()
            except BackendError as error:
                request.error = error
        if outcome.is_kill:
            self._kill(actor)
            return step
        if outcome is not Outcome.DONE:
            actor.was_hurt = True
            failed = StorageUnavailable if outcome is Outcome.UNANSWERED else BackendError
            request.error = failed(request.name, f"planned: {outcome.value}")
        if request.verb == "wait" and self._is_patient:
            self._drop(actor)
        self._release(actor, request)
        return step

    def _outcome(self, request: _Request) -> Outcome:
        if request.verb == "wait" or self.random.random() >= self._faults:
            return Outcome.DONE
        return self.random.choice([each for each in Outcome if each is not Outcome.DONE])

    def _release(self, actor: Actor, request: _Request) -> None:
        with self._changed:
            actor.pending.remove(request)
            if request.thread in actor.clock.tickers:
                actor.awake.add(request.thread)
            request.go.release()

    def _kill(self, actor: Actor) -> None:
        with self._changed:
            actor.was_killed = True
            for request in actor.pending:
                request.error = Killed()
                request.go.release()
            actor.pending.clear()

    def _settle(self) -> None:
        """Wait until nothing moves."""
        waited = 0.0
        with self._changed:
            while not self._changed.wait_for(self._is_quiet, _GRACE):
                waited += _GRACE
                for actor in self._actors:
                    if actor.pending:  # what woke up waits for a lock of one that waits for us
                        actor.awake.clear()
                if waited > STUCK:
                    raise Stuck(_stacks())

    def _is_quiet(self) -> bool:
        return all(actor.has_ended or (actor.pending and not actor.awake) for actor in self._actors)

    def _end(self) -> None:
        """See to it that all threads end, whatever has happened."""
        self._is_over = True
        for actor in self._actors:
            if not actor.has_ended:
                self._kill(actor)
        for actor in self._actors:
            actor.thread.join(STUCK)

    # What actors call

    def ask(self, actor: Actor, verb: str, name: str, work: Callable[[], _T]) -> _T:
        """Wait until an operation is granted and done; returns what it gives."""
        results: list[_T] = []
        request = _Request(verb, name, lambda: results.append(work()), threading.get_ident())
        request.go.acquire()
        with self._changed:
            if actor.was_killed or self._is_over:
                raise Killed
            actor.awake.discard(request.thread)
            actor.pending.append(request)
            self._changed.notify()
        request.go.acquire()
        if request.error is not None:
            raise request.error
        return results[0]

    def ended(self, actor: Actor) -> None:
        """An actor's work is over."""
        with self._changed:
            actor.has_ended = True
            self._changed.notify()

    def woke(self, actor: Actor, thread: int, *, is_awake: bool) -> None:
        """A thread of an actor that waits for its clock moves, or waits again."""
        with self._changed:
            (actor.awake.add if is_awake else actor.awake.discard)(thread)
            self._changed.notify()


class SteppedClock:
    """An actor's clock: it stands still unless the actor waits or the scheduler turns it.

    Attributes:
        tickers: threads beside the actor's own that wait for the clock.
    """

    def __init__(self, scheduler: Scheduler, actor: Actor) -> None:
        self.tickers: dict[int, float] = {}
        self._scheduler = scheduler
        self._actor = actor
        self._seconds = _START

    def turn(self, seconds: float) -> None:
        """Turn it forward, and remember whom this wakes."""
        now = self._seconds + seconds
        waiting = list(self.tickers.items())
        self._actor.awake.update(thread for thread, until in waiting if until <= now)
        self._seconds = now

    def now_ns(self) -> int:
        """See `Clock.now_ns`."""
        return int(self._seconds * 1_000_000_000)

    def utc_offset(self) -> int:
        """See `Clock.utc_offset`: always UTC."""
        return 0

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self._seconds

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """See `Clock.wait`: a step, in which the time passes, when the actor itself waits."""
        actor = self._actor
        if threading.current_thread() is actor.thread:
            if event.is_set():
                return True
            self._scheduler.ask(actor, "wait", f"{seconds:g} s", lambda: self.turn(seconds))
            return event.is_set()
        me = threading.get_ident()
        self.tickers[me] = until = self._seconds + seconds
        self._scheduler.woke(actor, me, is_awake=self._seconds >= until)
        while not event.wait(_SLICE):
            if self._seconds >= until:
                self.tickers[me] = float("inf")
                return False
        del self.tickers[me]
        self._scheduler.woke(actor, me, is_awake=False)
        return True


class Stepped:
    """A storage as one actor sees it. See `Backend` for the verbs."""

    def __init__(self, scheduler: Scheduler, actor: Actor) -> None:
        self._scheduler = scheduler
        self._actor = actor
        self._objects = scheduler.objects

    @property
    def location(self) -> str:
        """See `Backend.location`."""
        return self._objects.location

    def put(self, name: str, data: Buffer) -> None:
        """See `Backend.put`."""
        self._ask("put", name, lambda: self._objects.put(name, data))

    def put_if_absent(self, name: str, data: Buffer) -> None:
        """See `Backend.put_if_absent`."""
        self._ask("put_if_absent", name, lambda: self._objects.put_if_absent(name, data))

    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """See `Backend.get`."""
        return self._ask("get", name, lambda: self._objects.get(name, offset, length))

    def stat(self, name: str) -> int:
        """See `Backend.stat`."""
        return self._ask("stat", name, lambda: self._objects.stat(name))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """See `Backend.list`; the second half of the names may be listed at a later step."""
        found = self._ask("list", prefix, lambda: sorted(self._objects.list(prefix)))
        if not self._scheduler.pages or len(found) < 2:
            yield from found
            return
        pivot = found[len(found) // 2]
        yield from found[: len(found) // 2]
        rest = self._ask("list more", prefix, lambda: sorted(self._objects.list(prefix)))
        yield from (info for info in rest if info.name >= pivot.name)

    def delete(self, name: str) -> None:
        """See `Backend.delete`."""
        self._ask("delete", name, lambda: self._objects.delete(name))

    def capabilities(self) -> Capabilities:
        """See `Backend.capabilities`."""
        return Capabilities(put_if_absent=True, local=self._scheduler.is_local)

    def close(self) -> None:
        """See `Backend.close`; the objects stay."""

    def _ask(self, verb: str, name: str, work: Callable[[], _T]) -> _T:
        return self._scheduler.ask(self._actor, verb, name, work)


def _quiet(args: threading.ExceptHookArgs) -> None:
    """Killed threads say nothing."""
    if not isinstance(args.exc_value, Killed):
        threading.__excepthook__(args)


def _stacks() -> str:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return "\n".join(
        f"{names.get(thread)}:\n" + "".join(traceback.format_stack(frame))
        for thread, frame in sys._current_frames().items()
    )
