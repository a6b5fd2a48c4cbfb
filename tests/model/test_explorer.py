"""The explorer itself: it visits every interleaving, and its traces are the shortest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import pytest
from tests.model.explorer import Broken, Explorer


class Place(NamedTuple):
    step: str
    seen: int = 0


class Counter:
    """Reads a number and writes the next: two of them at once lose an update."""

    def __init__(self, name: str, *, limit: int = 99) -> None:
        self.name = name
        self._limit = limit

    def start(self) -> Place:
        return Place("read")

    def moves(self, store: int, memory: Place) -> Iterable[tuple[int, Place]]:
        if memory.step == "read":
            yield store, Place("write", store)
        elif memory.step == "write":
            if memory.seen >= self._limit:
                raise Broken("too far")
            yield memory.seen + 1, Place("done")


def test_all_interleavings_are_visited() -> None:
    # By hand: reads and writes of two counters, from 0, with both orders and the lost updates.
    explorer = Explorer([Counter("A"), Counter("B")], lambda _: "")
    result = explorer.explore(0, 1000)
    assert result.trace is None
    assert result.states == 12
    assert result.steps == {"A.read", "A.write", "B.read", "B.write"}
    assert str(result) == "safe, 12 states"


def test_the_shortest_way_to_a_fault_is_told() -> None:
    explorer = Explorer([Counter("A"), Counter("B")], lambda store: "two" if store == 2 else "")
    result = explorer.explore(0, 1000)
    assert result.trace is not None
    assert sorted(result.trace) == ["A.read", "A.write", "B.read", "B.write"]
    assert result.trace[0][0] == result.trace[1][0]  # one after the other, not a lost update
    assert str(result).startswith("two, after: ")


def test_a_move_may_be_the_fault() -> None:
    result = Explorer([Counter("A", limit=0)], lambda _: "").explore(0, 10)
    assert (result.trace, result.fault) == (("A.read", "A.write"), "too far")


def test_too_many_states_are_not_taken_for_safety() -> None:
    with pytest.raises(OverflowError, match="more than 5 states"):
        Explorer([Counter("A"), Counter("B")], lambda _: "").explore(0, 5)
