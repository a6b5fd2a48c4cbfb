"""The engine in thousands of interleavings: see `tests.simulation.scheduler`.

``python -m tests.simulation --seed N`` shows the schedule of a seed that failed: with the same code
it is the same to the last step. Any change of what the engine does makes it another schedule, so
what a seed has found gets a test of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from threading import Event
from unittest.mock import patch

import pytest
from tests.simulation.__main__ import main
from tests.simulation.ledger import Violation
from tests.simulation.schedule import Failed, Schedule, past, play
from tests.simulation.scheduler import Actor, Outcome, Scheduler, Step
from tests.simulation.turns import taking_turns
from tests.simulation.verbs import VERBS, Task, Verb, backup
from tests.simulation.world import World, repeatable

from holdfast.backend import MemoryBackend
from holdfast.errors import ObjectExists

SEEDS = 400
SOAK_SEEDS = 10_000
SHARE = 200

REGRESSIONS = (
    15,  # a prune took packs that another deleted while it looked for damage
    199,  # a prune that declared all silent sessions dead took its own for one
)
"""Seeds that failed once. They stand for other schedules now, and are kept for what they found."""

REPLAYED = range(175, 195)
"""Seeds of schedules that are run again: of all verbs, and of half of the pasts."""


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


# The same again


@pytest.fixture(scope="module")
def shown() -> str:
    """The schedules of `REPLAYED`, as they are in this process."""
    past.cache_clear()
    return show(REPLAYED)


def show(seeds: Sequence[int]) -> str:
    with patch("sys.argv", ["", "--seed", *map(str, seeds)]), redirect_stdout(StringIO()) as out:
        assert main() == 0
    return out.getvalue()


def test_what_is_run_again_is_of_all_kinds(shown: str) -> None:
    for verb in VERBS:
        assert f"'{verb.__name__}': " in shown
    for outcome in Outcome:
        assert outcome is Outcome.DONE or f"<- {outcome.value}\n" in shown
    assert len(shown.splitlines()) > 100 * len(REPLAYED)


def test_a_seed_gives_the_same_schedule_again(shown: str) -> None:
    past.cache_clear()
    again = [show([seed]) for seed in reversed(REPLAYED)]  # whatever was run before it
    assert "".join(reversed(again)) == shown


def test_a_seed_gives_the_same_schedule_in_another_process(shown: str, tmp_path: Path) -> None:
    hashes = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    other = {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "PYTHONHASHSEED": hashes,
        "TMPDIR": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation", "--seed", *map(str, REPLAYED)],
        env={**os.environ, **other},
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert done.stdout == shown


def test_a_seed_that_fails_fails_again() -> None:
    stories = []
    with patch("tests.simulation.schedule._cast", lambda _: [[backup, lose_a_pack], [backup]]):
        for _ in range(2):
            with pytest.raises(Failed, match=r"(?s)delete .*seed 3: Violation: .* lacks") as failed:
                Schedule(3).run()
            stories.append(str(failed.value))
    assert stories[0] == stories[1]


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
    with repeatable(0):
        world = World()
        scheduler = Scheduler(0, world.objects)
        with pytest.raises((Violation, AssertionError), match=message):
            play(world, scheduler, [[backup, verb], [backup]], Counter())


def test_what_is_left_is_found() -> None:
    with repeatable(0):
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
    with taking_turns(0):
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

    actors = [Actor("sleeper", scheduler, sleep), Actor("other", scheduler, stay)]
    with taking_turns(0):
        scheduler.run(actors, steps.append)
    assert times["sleeper"] == pytest.approx(1e6, rel=0.2)
    assert times["other"] < 1e6
