"""Laws of `anomalies` on random histories: on what a finding may depend, and on what not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import accumulate
from random import Random
from typing import TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.length import examples

from holdfast.model.snapshot import Snapshot, Summary
from holdfast.operations.anomalies import Anomaly, AnomalyOptions, anomalies
from holdfast.primitives.ids import SnapshotId
from holdfast.testing.blobs import MemoryBlobs
from holdfast.testing.layouts import save_layout, snapshot_of

Tree: TypeAlias = dict[bytes, bytes]
Day: TypeAlias = Callable[[Tree, Random], Tree]
History: TypeAlias = tuple[list[Day], list[Day], int]

FILES = 40
TEXT = b"it was the best of times, it was the worst of times. " * 12


def nothing(tree: Tree, _: Random) -> Tree:
    return tree


def edited(tree: Tree, random: Random) -> Tree:
    chosen = random.sample(sorted(tree), min(3, len(tree)))
    return {**tree, **{name: TEXT + random.randbytes(4) for name in chosen}}


def grown(tree: Tree, random: Random) -> Tree:
    return {**tree, random.randbytes(4).hex().encode() + b".txt": TEXT + random.randbytes(4)}


def encrypted(tree: Tree, random: Random) -> Tree:
    return {name: random.randbytes(700) if random.random() < 0.7 else tree[name] for name in tree}


def locked(tree: Tree, random: Random) -> Tree:
    return {name + b".locked": random.randbytes(700) for name in tree}


def halved(tree: Tree, random: Random) -> Tree:
    return {name: tree[name] for name in random.sample(sorted(tree), len(tree) // 2)}


def emptied(tree: Tree, _: Random) -> Tree:
    return dict.fromkeys(tree, b"")


def renamed(tree: Tree, random: Random) -> Tree:
    return {random.randbytes(4).hex().encode(): data for data in tree.values()}


def lost(_: Tree, __: Random) -> Tree:
    return {}


EVENTS: dict[str, Day] = {
    each.__name__: each
    for each in (
        nothing, edited, grown, encrypted, locked, halved, emptied, renamed, lost
    )
}  # fmt: skip
EVERYDAY = [EVENTS[name] for name in ("nothing", "edited", "grown")]

histories = st.tuples(
    st.lists(st.sampled_from(EVERYDAY), min_size=3, max_size=6),
    st.lists(st.sampled_from(list(EVENTS.values())), max_size=6),
    st.integers(0, 1 << 16),
)


class World:
    """Snapshots of some hosts in one repository."""

    def __init__(self) -> None:
        self.blobs = MemoryBlobs()
        self.snapshots: list[Snapshot] = []

    def live(self, history: History, host: str = "host") -> None:
        """Add the snapshots of one host."""
        first, then, seed = history
        random = Random(seed)  # noqa: S311 - for tests
        tree = {b"f%d.txt" % number: TEXT + b"%d" % number for number in range(FILES)}
        for state in accumulate([*first, *then], lambda tree, day: day(tree, random), initial=tree):
            self.add(state, host)

    def add(self, tree: Tree, host: str) -> None:
        made = snapshot_of(save_layout(self.blobs, {b"top": tree}), len(self.snapshots) + 1, host)
        size = sum(map(len, tree.values()))
        summary = Summary(files_new=len(tree), bytes_processed=size)
        self.snapshots.append(replace(made, summary=summary))

    def found(
        self, snapshots: list[Snapshot] | None = None, wanted: list[SnapshotId] | None = None
    ) -> list[Anomaly]:
        """The findings about some snapshots, or all."""
        known = self.snapshots if snapshots is None else snapshots
        ids = [each.id for each in known] if wanted is None else wanted
        return anomalies(known, ids, self.blobs, self.blobs, AnomalyOptions())


@settings(max_examples=examples(60))
@given(histories, histories, st.randoms(use_true_random=False))
def test_the_order_of_snapshots_and_other_hosts_do_not_matter(
    one: History,
    two: History,
    random: Random,
) -> None:
    world = World()
    world.live(one, "one")
    world.live(two, "two")
    everything = world.found()
    shuffled = list(world.snapshots)
    random.shuffle(shuffled)
    assert world.found(shuffled) == everything
    apart = [
        anomaly
        for host in ("one", "two")
        for anomaly in world.found([each for each in world.snapshots if each.host == host])
    ]
    assert sorted(map(repr, apart)) == sorted(map(repr, everything))


@settings(max_examples=examples(60))
@given(histories, st.data())
def test_a_finding_follows_from_earlier_snapshots_only(
    history: History, data: st.DataObject
) -> None:
    world = World()
    world.live(history)
    everything = world.found()
    end = data.draw(st.integers(1, len(world.snapshots)))
    earlier = world.snapshots[:end]
    known = set(earlier)
    assert world.found(earlier) == [each for each in everything if each.snapshot in known]
    last = earlier[-1]
    assert world.found(wanted=[last.id]) == [e for e in everything if e.snapshot == last]


@settings(max_examples=examples(40))
@given(st.lists(st.sampled_from(EVERYDAY), max_size=12), st.integers(0, 1 << 16), st.integers(1, 3))
def test_an_ordinary_history_gives_nothing_however_long(
    days: list[Day], seed: int, times: int
) -> None:
    world = World()
    world.live((days * times, [], seed))
    assert world.found() == []


@settings(max_examples=examples(30))
@given(histories, st.integers(1, 6))
def test_what_does_not_change_any_more_gives_nothing_more(history: History, more: int) -> None:
    world = World()
    world.live(history)
    before = world.found()
    first, then, seed = history
    longer = World()
    longer.live((first, [*then, *[nothing] * more], seed))
    assert [each.dict() for each in longer.found()] == [each.dict() for each in before]


@settings(max_examples=examples(60))
@given(histories)
def test_every_finding_is_well_formed(history: History) -> None:
    world = World()
    world.live(history)
    found = world.found()
    assert [each.severity for each in found] == sorted((e.severity for e in found), reverse=True)
    for each in found:
        assert 0 < each.severity <= 1
        assert each.evidence
        low, high = each.expected
        assert not low <= each.value < high
        if each.clean is not None:
            assert each.clean.time_ns < each.snapshot.time_ns
            assert not any(e.is_alarm for e in found if e.snapshot == each.clean)
