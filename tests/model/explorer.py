"""Explores every interleaving of some actors that share a store, and finds the shortest bad one.

An actor is a state machine: from what is stored and what it remembers, `moves` gives what may
happen next, each time one operation of the store. Any actor may pause at any point for any time.
A crash needs nothing more: it is a pause that never ends, so every state after a crash is among
the states that are looked at, and whoever starts afresh is another actor.

Whether a move is possible, and what it does, depends on the store and on one actor's memory only,
so it is worked out once for each such pair. Stores and memories are numbered, a state is one
integer made of the numbers, and a move is an integer to add. So a million states take seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Generic, Protocol, TypeVar

from holdfast.overrides import override

_BITS = 20
"""Of a memory's number in a state: an actor has at most a million memories."""

S = TypeVar("S", bound=Hashable)
M = TypeVar("M", bound="Stepping")


class Stepping(Protocol):
    """An actor's memory: hashable, and it names the step that comes next."""

    @property
    def step(self) -> str:
        """The next step."""

    @override
    def __hash__(self) -> int: ...


class Actor(Protocol[S, M]):
    """What takes part."""

    @property
    def name(self) -> str:
        """For traces."""

    def start(self) -> M:
        """The memory at the beginning."""

    def moves(self, store: S, memory: M) -> Iterable[tuple[S, M]]:
        """All that it may do next; nothing when it is at its end or has to wait."""


class Broken(Exception):  # noqa: N818 - it is what happened, not an error of the program
    """A move that must never happen did: raised by an actor's `moves`."""


@dataclass(frozen=True, slots=True)
class Result:
    """What an exploration found.

    Attributes:
        states: how many there are, or were seen until a bad one was found.
        steps: the steps that were taken, as "actor.step".
        trace: the shortest way to a bad state, as "actor.step", or None when there is none.
        fault: what is wrong there.
    """

    states: int
    steps: frozenset[str]
    trace: tuple[str, ...] | None = None
    fault: str = ""

    @override
    def __str__(self) -> str:
        if self.trace is None:
            return f"safe, {self.states} states"
        return f"{self.fault}, after: {' '.join(self.trace)}"


@dataclass(slots=True)
class _Numbers(Generic[S]):
    """Gives equal things one number."""

    known: dict[S, int] = field(default_factory=dict)
    things: list[S] = field(default_factory=list)

    def of(self, thing: S) -> int:
        number = self.known.setdefault(thing, len(self.things))
        if number == len(self.things):
            self.things.append(thing)
        return number


@dataclass(slots=True)
class _BadMove(Exception):  # noqa: N818 - ends the search
    step: str
    fault: str


class Explorer(Generic[S, M]):
    """One exploration."""

    def __init__(self, actors: Sequence[Actor[S, M]], fault: Callable[[S], str]) -> None:
        """Prepare.

        Args:
            actors: who takes part, at most once each.
            fault: what is wrong with a store, or an empty string.
        """
        self._actors = actors
        self._fault = fault
        self._stores: _Numbers[S] = _Numbers()
        self._memories: list[_Numbers[M]] = [_Numbers() for _ in actors]
        self._shift = _BITS * len(actors)
        self._masks = [
            ~((1 << self._shift) - 1) | ((1 << _BITS) - 1) << number * _BITS
            for number in range(len(actors))
        ]
        self._known: list[dict[int, tuple[int, ...]]] = [{} for _ in actors]
        self._steps: set[str] = set()

    def explore(self, store: S, limit: int) -> Result:
        """Look at every state that can be reached from this store, nearest first.

        Raises:
            OverflowError: there are more states than the limit.
        """
        state = self._stores.of(store) << self._shift
        for number, actor in enumerate(self._actors):
            self._memories[number].of(actor.start())  # its number is 0
        parents = {state: state}
        queue = [state]
        for state in queue:
            try:
                for following in self._neighbours(state):
                    if following not in parents:
                        parents[following] = state
                        queue.append(following)
            except _BadMove as bad:
                trace = (*self._trace(parents, state), bad.step)
                return Result(len(parents), frozenset(self._steps), trace, bad.fault)
            if len(parents) > limit:
                raise OverflowError(f"more than {limit} states")
        return Result(len(parents), frozenset(self._steps))

    def _neighbours(self, state: int) -> Iterator[int]:
        """The states after one move."""
        for number, mask in enumerate(self._masks):
            part = state & mask
            differences = self._known[number].get(part)
            if differences is None:
                differences = self._known[number][part] = tuple(self._differences(number, part))
            for difference in differences:
                yield state + difference

    def _differences(self, number: int, part: int) -> Iterator[int]:
        """What each move of one actor adds to a state."""
        actor, memories = self._actors[number], self._memories[number]
        at, remembered = part >> self._shift, self._memory(part, number)
        store, memory = self._stores.things[at], memories.things[remembered]
        step = f"{actor.name}.{memory.step}"
        try:
            for new_store, new_memory in actor.moves(store, memory):
                self._steps.add(step)
                fault = self._fault(new_store) if new_store != store else ""
                if fault:
                    raise _BadMove(step, fault)
                to_store, to_memory = self._stores.of(new_store), memories.of(new_memory)
                yield (to_store - at << self._shift) + (to_memory - remembered << number * _BITS)
        except Broken as broken:
            raise _BadMove(step, str(broken)) from None

    def _memory(self, state: int, number: int) -> int:
        return state >> number * _BITS & (1 << _BITS) - 1

    def _trace(self, parents: dict[int, int], state: int) -> Iterator[str]:
        path = [state]
        while parents[path[-1]] != path[-1]:
            path.append(parents[path[-1]])
        path.reverse()
        for before, after in pairwise(path):
            yield self._step_between(before, after)

    def _step_between(self, before: int, after: int) -> str:
        for number, actor in enumerate(self._actors):
            part = before & self._masks[number]
            if after - before in self._known[number].get(part, ()):
                memory = self._memories[number].things[self._memory(before, number)]
                return f"{actor.name}.{memory.step}"
        raise AssertionError("the states are neighbours")
