"""The engine in thousands of interleavings: see `tests.simulation.scheduler`.

``python -m tests.simulation --seed N`` shows the schedule of a seed that failed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from threading import Event

import pytest
from tests.simulation.ledger import Violation
from tests.simulation.schedule import Schedule, past, play
from tests.simulation.scheduler import Actor, Outcome, Scheduler, Step
from tests.simulation.verbs import VERBS, Task, Verb, backup
from tests.simulation.world import World

from holdfast.backend import MemoryBackend
from holdfast.errors import ObjectExists

SEEDS = 400
SOAK_SEEDS = 10_000
SHARE = 200

REGRESSIONS = (
    15,  # a prune took packs that another deleted while it looked for damage
    199,  # a prune that declared all silent sessions dead took its own for one
)
"""Seeds that failed once, as the schedules were then."""


def shares(seeds: range) -> list[int]:
    """Their first ones."""
    return list(seeds[::SHARE])


@pytest.mark.fault(2, 3, 25, 26, 28)
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "first",
    [
        *shares(range(SEEDS)),
        *(pytest.param(f, marks=pytest.mark.soak) for f in shares(range(SEEDS, SOAK_SEEDS))),
    ],
)
def test_whatever_the_order_nothing_is_lost_and_nothing_is_left(first: int) -> None:
    counts: Counter[str] = Counter()
    for seed in range(first, first + SHARE):
        counts += Schedule(seed).run()
    # What the schedules are for must happen in them, and mostly work.
    for verb in VERBS:
        name = verb.__name__
        failed = sum(n for what, n in counts.items() if what.startswith(f"{name} failed"))
        assert counts[name] > failed, (name, counts)
    for what in ("deleted packs", "declared dead", *(each.value for each in Outcome)):
        assert counts[what] or what == Outcome.DONE.value, (what, counts)


@pytest.mark.parametrize("seed", REGRESSIONS)
def test_seeds_that_failed_once(seed: int) -> None:
    Schedule(seed).run()


def test_the_same_seed_gives_the_same_schedule() -> None:
    for seed in (1, 2, 3):
        traces = []
        for _ in range(2):
            schedule = Schedule(seed)
            schedule.run()
            assert len(schedule.trace) > 20
            # Two threads of an actor may draw their random names in another order.
            traces.append([replace(s, name=s.name.partition("/")[0]) for s in schedule.trace])
        assert traces[0] == traces[1]


# The schedules find what they are there to find


def lose_a_pack(task: Task) -> object:
    """Delete a pack that a snapshot needs."""
    backend = task.repo._store.backend
    unneeded = task.world.ledger.unneeded()
    for info in list(backend.list("data/")):
        if info.name.split("/")[2] not in unneeded:
            backend.delete(info.name)
            return info
    return None


def lose_a_snapshot(task: Task) -> object:
    """Delete a snapshot that somebody was told of."""
    (name, *_) = [info.name for info in task.repo._store.backend.list("snapshots/")]
    task.repo._store.backend.delete(name)
    return name


def fail(_: Task) -> object:
    """Fail in a way that nothing excuses."""
    raise AssertionError("this verb is wrong")


@pytest.mark.parametrize(
    ("verb", "message"),
    [(lose_a_pack, "lacks"), (lose_a_snapshot, "nobody forgot"), (fail, "this verb is wrong")],
)
def test_a_wrong_verb_is_found(verb: Verb, message: str) -> None:
    world = World()
    with pytest.raises((Violation, AssertionError), match=message):
        play(world, Scheduler(0, world.objects), [[backup, verb], [backup]], Counter())


def test_what_is_left_is_found() -> None:
    world = World(past(0))
    play(world, Scheduler(0, world.objects), [[backup]], Counter())
    assert not world.ledger.unneeded().issuperset(names(world.objects, "data/"))
    before = world.ledger.unneeded()
    pack = f"{'0' * 64}-00000000"
    world.objects.put(f"data/00/{pack}", b"nobody knows it")
    assert world.ledger.unneeded() - before == {pack}


def names(objects: MemoryBackend, folder: str) -> set[str]:
    return {info.name.rpartition("/")[2] for info in objects.list(folder)}


# The scheduler itself


def put_all(scheduler: Scheduler, *works: Sequence[str]) -> tuple[list[Actor], list[Step]]:
    """Let each actor create some objects, one after another."""

    def writing(objects: Sequence[str]) -> Callable[[Actor], None]:
        def work(actor: Actor) -> None:
            for name in objects:
                actor.backend.put_if_absent(name, b"")

        return work

    actors = [
        Actor(f"{number}", scheduler, writing(objects)) for number, objects in enumerate(works)
    ]
    steps: list[Step] = []
    scheduler.run(actors, steps.append)
    return actors, steps


def test_every_order_happens() -> None:
    orders = set()
    for seed in range(200):
        _, steps = put_all(Scheduler(seed, MemoryBackend()), ["a", "b"], ["c", "d"])
        orders.add("".join(step.name for step in steps))
    assert orders == {"abcd", "acbd", "acdb", "cabd", "cadb", "cdab"}


def test_of_several_creators_one_succeeds() -> None:
    winners = set()
    for seed in range(50):
        actors, _ = put_all(Scheduler(seed, MemoryBackend()), ["a"], ["a"])
        (winner,) = [actor.name for actor in actors if actor.error is None]
        assert [type(actor.error) for actor in actors if actor.error] == [ObjectExists]
        winners.add(winner)
    assert winners == {"0", "1"}


def test_what_is_refused_or_killed_does_no_more() -> None:
    met = set()
    for seed in range(200):
        objects = MemoryBackend()
        actors, steps = put_all(Scheduler(seed, objects, 40.0), ["a", "b", "c"], ["d", "e", "f"])
        assert names(objects, "") == {step.name for step in steps if step.outcome.is_carried_out}
        for actor in actors:
            (*others, last) = [step.outcome for step in steps if step.actor == actor.name]
            assert set(others) <= {Outcome.DONE}
            assert actor.was_killed == last.is_kill
            assert (actor.error is None) == (last is Outcome.DONE or last.is_kill)
            met.add(last)
    assert met == set(Outcome)


def test_waiting_takes_no_time_and_turns_only_ones_own_clock() -> None:
    scheduler = Scheduler(0, MemoryBackend())
    times: dict[str, float] = {}
    steps: list[Step] = []

    def sleep(actor: Actor) -> None:
        begin = actor.clock.monotonic()
        assert not actor.clock.wait(Event(), 1e6)
        times[actor.name] = actor.clock.monotonic() - begin

    def stay(actor: Actor) -> None:
        begin = actor.clock.monotonic()
        actor.backend.put("a", b"")
        times[actor.name] = actor.clock.monotonic() - begin

    scheduler.run(
        [Actor("sleeper", scheduler, sleep), Actor("other", scheduler, stay)], steps.append
    )
    assert times["sleeper"] == pytest.approx(1e6, rel=0.2)
    assert times["other"] < 1e6
