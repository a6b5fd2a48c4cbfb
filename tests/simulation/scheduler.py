"""Actors that run the real code, of which one moves at a time, one storage operation a step.

An actor is a thread (with whatever threads the engine starts for it) that works on a repository
through a `Stepped` backend and a `SteppedClock`. Each of its operations waits until the scheduler
grants it. The scheduler waits until every actor that has not ended waits for a grant, chooses one
of them by the seed, carries out its operation, and lets it run to its next one. So between two
steps nothing moves. Threads take turns (`tests.simulation.turns`), so that the same seed gives the
same schedule, whatever the threads of an actor do beside each other.

An operation may also be refused, or its answer be lost, and an actor may be killed: from then on
nothing that it asks for is done, as if its process had ended there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import TypeVar

from tests.simulation.turns import Killed, Stuck, now, stacks

from holdfast.backend import Backend, Buffer, Capabilities, ObjectInfo
from holdfast.errors import BackendError, HoldfastError, StorageUnavailable
from holdfast.overrides import override

_T = TypeVar("_T")

_TICKS = 0.01
_LEAPS = (20.0, 400.0, 100_000.0)
"""How often a clock is turned, and by how much: to a tick, a heartbeat, or days as by a suspend."""

_CRUCIAL = ("gc/", "sessions/", "snapshots/")
"""Where actors meet: they are preempted before they turn there more often than elsewhere."""

_START = 1_700_000_000.0


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
    is_over: bool = False
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
        self.has_ended = True


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
        self._actors: list[Actor] = []
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
                self._step(self._choose(ready), after)
                self._settle()
        finally:
            self._end()

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

    def _step(self, actor: Actor, after: Callable[[Step], None]) -> None:
        request = self.random.choice(actor.pending)
        outcome = self._outcome(request)
        step = Step(actor.name, request.verb, request.name, outcome)
        self.trace.append(step)
        if outcome.is_carried_out:
            try:
                request.work()
            except BackendError as error:
                request.error = error
        after(step)
        if outcome.is_kill:
            self._kill(actor)
            return
        if outcome is not Outcome.DONE:
            actor.was_hurt = True
            failed = StorageUnavailable if outcome is Outcome.UNANSWERED else BackendError
            request.error = failed(request.name, f"planned: {outcome.value}")
        if request.verb == "wait" and self._is_patient:
            self._drop(actor)
        actor.pending.remove(request)
        request.is_over = True

    def _outcome(self, request: _Request) -> Outcome:
        if request.verb == "wait" or self.random.random() >= self._faults:
            return Outcome.DONE
        return self.random.choice([each for each in Outcome if each is not Outcome.DONE])

    def _kill(self, actor: Actor) -> None:
        actor.was_killed = True
        for request in actor.pending:
            request.error = Killed()
            request.is_over = True
        actor.pending.clear()

    def _settle(self) -> None:
        """Wait until nothing moves."""
        now().settle()
        if not all(actor.has_ended or actor.pending for actor in self._actors):
            raise Stuck(stacks())

    def _end(self) -> None:
        """See to it that all threads end, whatever has happened."""
        for actor in self._actors:
            if not actor.has_ended:
                self._kill(actor)
        for actor in self._actors:
            actor.thread.join()

    # What actors call

    def ask(self, actor: Actor, verb: str, name: str, work: Callable[[], _T]) -> _T:
        """Wait until an operation is granted and done; returns what it gives."""
        if actor.was_killed:
            raise Killed
        results: list[_T] = []
        request = _Request(verb, name, lambda: results.append(work()))
        actor.pending.append(request)
        now().until(lambda: request.is_over)
        if request.error is not None:
            raise request.error
        return results[0]


class SteppedClock:
    """An actor's clock: it stands still unless the actor waits or the scheduler turns it."""

    def __init__(self, scheduler: Scheduler, actor: Actor) -> None:
        self._scheduler = scheduler
        self._actor = actor
        self._seconds = _START

    def turn(self, seconds: float) -> None:
        """Turn it forward."""
        self._seconds += seconds

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
        end = self._seconds + seconds
        now().until(lambda: event.is_set() or self._seconds >= end)
        return event.is_set()


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
