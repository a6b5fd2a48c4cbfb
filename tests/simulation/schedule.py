"""One schedule: a repository with a past, some actors, their interleaving, and the reckoning."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from tests.simulation.ledger import Violation
from tests.simulation.scheduler import Actor, Outcome, Scheduler, Step
from tests.simulation.verbs import MAY_FAIL, VERBS, Task, Verb, backup, forget, prune
from tests.simulation.world import EagerClock, World, repeatable

from holdfast.errors import HoldfastError
from holdfast.store.session import is_aborted_marker

PASTS = 32
"""Repositories that schedules begin with."""

LAST_PRUNES = 3
"""Prunes after which nothing is left: one sees the dead, one buries them, one takes their packs."""

_FACTS = ("data/", "index/", "snapshots/")


class Failed(Exception):  # noqa: N818 - the failure of a test
    """A schedule in which something was not as it must be; the message tells all of it."""


class Schedule:
    """What a seed stands for.

    Attributes:
        counts: what happened how often.
    """

    def __init__(self, seed: int) -> None:
        """Plan it."""
        self.counts: Counter[str] = Counter()
        self._seed = seed
        random = Random(f"cast {seed}")
        before = past(random.randrange(PASTS))
        with repeatable(seed):
            self._world = World(before)
        self._cast = _cast(random)
        faults = random.choice((0.0, 0.0, 0.5, 1.0, 3.0))
        self._scheduler = Scheduler(seed, self._world.objects, faults)

    @property
    def trace(self) -> list[Step]:
        """Its steps so far."""
        return self._scheduler.trace

    def run(self) -> Counter[str]:
        """Run it; returns what happened how often.

        Raises:
            Failed: something was not as it must always be.
        """
        with repeatable(self._seed):
            try:
                play(self._world, self._scheduler, self._cast, self.counts)
                self._reckon()
            except Exception as error:
                raise Failed(self._story(error)) from error
        return self.counts

    def _reckon(self) -> None:
        """Look at everything, clear up, and look at everything again.

        Raises:
            Violation: something is lost, or something that nobody needs is left.
        """
        objects, ledger = self._world.objects, self._world.ledger
        for info in objects.list("snapshots/"):
            self.counts["declared dead"] += is_aborted_marker(info.name, objects.get(info.name))
        if self._scheduler.random.random() < 0.2:
            self._look_at_all("before the last prune")
        clock = EagerClock()
        left = [""]
        with TemporaryDirectory() as cache:
            for _ in range(LAST_PRUNES):
                repo = self._world.open(objects, clock, Path(cache))
                repo.prune(max_unused="0", wait=True, expire_after=1.0, force=True)
                self.counts["last prunes"] += 1
                ledger.look()
                left = self._left()
                if not left:
                    break
                clock.advance(60.0)
        if left:
            raise Violation(f"nobody needs these: {sorted(left)}")
        self._look_at_all("after the last prune")

    def _left(self) -> list[str]:
        """What somebody left behind, and nobody needs."""
        objects = self._world.objects
        # A session that was killed after its commit stays: it might be told once more to commit.
        committed = {f"sessions/{id_}" for id_ in self._world.ledger.snapshots}
        names = [
            info.name
            for folder in ("sessions/", "gc/")
            for info in objects.list(folder)
            if info.name not in committed
        ]
        return [*names, *self._world.ledger.unneeded()]

    def _look_at_all(self, when: str) -> None:
        self._world.expect_told()
        repo = self._world.open(self._world.objects, EagerClock())
        report = repo.check(read_data=True)
        if not report.valid:
            raise Violation(f"{when}, check finds {report.findings}")
        fresh = self._world.store(self._world.objects, EagerClock())
        for id_ in self._world.ledger.snapshots:
            self._world.ledger.read(fresh, id_)

    def _story(self, error: Exception) -> str:
        steps = "\n".join(f"{number:4} {step}" for number, step in enumerate(self.trace, 1))
        return f"{steps}\nseed {self._seed}: {type(error).__name__}: {error}"


def _cast(random: Random) -> list[list[Verb]]:
    """Who takes part: in half of all schedules just one backup, one prune and somebody else."""
    if random.random() < 0.5:
        return [[backup], [prune], *([script(random)] if random.random() < 0.5 else [])]
    cast = [script(random) for _ in range(random.choice((2, 3, 3, 4)))]
    cast[0][-1] = prune
    return cast


def script(random: Random) -> list[Verb]:
    """What an actor does, one verb after another."""
    verbs, weights = list(VERBS), list(VERBS.values())
    return random.choices(verbs, weights, k=random.choice((1, 1, 2, 3)))


@cache
def past(number: int) -> World:
    """A repository with some snapshots, and what crashed actors left in it."""
    random = Random(f"past {number}")
    counts: Counter[str] = Counter()
    with repeatable(f"past {number}"):
        world = World()
    with repeatable(f"past {number}"):
        for verbs in ([backup] * random.randint(2, 4), [forget] * random.randint(1, 2)):
            play(world, Scheduler(f"past {number}", world.objects), [verbs], counts)
        backups: list[Verb] = [backup]
        crashes = [backups, script(random)][: random.randint(0, 2)]
        play(world, Scheduler(f"crash {number}", world.objects, 4.0), crashes, counts)
    return world


def play(
    world: World, scheduler: Scheduler, cast: Sequence[Sequence[Verb]], counts: Counter[str]
) -> None:
    """Let actors do what their scripts say, all at once.

    Args:
        world: what they work on.
        scheduler: says who is next.
        cast: their scripts.
        counts: what happens is added to.

    Raises:
        Violation: at some step something was not as it must always be.
        Exception: a verb failed, and nothing excuses it.
    """

    def after(step: Step) -> None:
        if step.verb in _WRITES and step.name.startswith(_FACTS) and step.outcome.is_carried_out:
            world.ledger.look()
        if step.outcome is not Outcome.DONE:
            counts[step.outcome.value] += 1
        elif step.verb == "delete" and step.name.startswith("data/"):
            counts["deleted packs"] += 1

    world.ledger.look()
    actors = [_actor(world, scheduler, f"{n}", verbs, counts) for n, verbs in enumerate(cast)]
    scheduler.run(actors, after)
    for actor in actors:
        if (error := actor.error or actor.bug) is not None:
            raise error
    world.ledger.look()
    world.expect_told()


_WRITES = {"put", "put_if_absent", "delete"}


def _actor(
    world: World, scheduler: Scheduler, name: str, verbs: Sequence[Verb], counts: Counter[str]
) -> Actor:
    random = Random(scheduler.random.random())
    is_one_process = random.random() < 0.5

    def work(actor: Actor) -> None:
        repo = world.open(actor.backend, actor.clock)
        for verb in verbs:
            if not is_one_process:
                repo = world.open(actor.backend, actor.clock)
            done = _do(actor, verb, Task(world, repo, random))
            counts[f"{verb.__name__}{done}"] += 1

    return Actor(f"{name} {'+'.join(verb.__name__ for verb in verbs)}", scheduler, work)


def _do(actor: Actor, verb: Verb, task: Task) -> str:
    """Do it; returns how it went, in a word or two."""
    try:
        return "" if verb(task) is not None else " idle"
    except HoldfastError as error:
        if not actor.was_hurt and not isinstance(error, MAY_FAIL):
            raise
        return f" failed: {type(error).__name__}"
