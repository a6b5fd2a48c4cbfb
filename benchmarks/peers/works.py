"""What is done with each set of data, in what order, and the run itself.

In every repetition each tool has a new repository. A work is done by all tools, one after the
other, before the next work is, and another tool begins each time: what else goes on in the machine
hits all of them.
"""

from __future__ import annotations

import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random  # noqa: TID251 - seeded, to be the same each time
from tempfile import TemporaryDirectory

from benchmarks.peers import datasets, machine
from benchmarks.peers.datasets import Change, Make, Sizes
from benchmarks.peers.measure import NOTHING, Cost, cost_of
from benchmarks.peers.tools import Installed, Place, Tool, Verb
from holdfast.clock import SYSTEM_CLOCK

BACKUP = "backup"
AGAIN = "backup again, unchanged"
CHANGED = "backup, 5 % changed"
CLUSTERED = "backup, 1 % of pages changed, in clusters"
SCATTERED = "backup, 1 % of pages changed, scattered"
TEN = "ten backups"
RESTORE = "restore"
CHECK = "check, reading all data"
LIST = "list"
PRUNE = "forget half, prune"

MEMORY = Path("/dev/shm")  # noqa: S108 - a file system in memory, where Linux has it
FEW = 100
SETTLE = 2.5
"""Seconds between a change and the next work: tools distrust times that are younger than 2 s."""


PREFIX = "holdfast-bench-"
"""How the names of folders begin that a run makes, and removes."""


class NoRoom(Exception):  # noqa: N818 - named for what is wrong
    """A set of data and what is made of it would not fit."""


class Different(Exception):  # noqa: N818 - named for what is wrong
    """What a tool restored is not what it had backed up."""


@dataclass(frozen=True, slots=True)
class Step:
    """One work on a set of data; those of one name count together.

    Attributes:
        work: what the report calls it.
        verb: what the tools are asked for.
        change: is made to the data before.
        keep: how many snapshots a prune leaves.
    """

    work: str
    verb: Verb
    change: Change | None = None
    keep: int = 1


@dataclass(frozen=True, slots=True)
class DataSet:
    """Data to back up, and what is done with it.

    Attributes:
        key: the letter by which it is known.
        title: what it is.
        make: makes it, a file or a directory, at the path it is given.
        room: bytes that it takes at most, about.
        steps: what is done, in this order.
    """

    key: str
    title: str
    make: Make
    room: int
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """What one tool took for one work in one repetition.

    Attributes:
        data: key of the set.
        on: what the repository and the restored files were on.
        tool: name of the tool.
        work: name of the work.
        cost: of all steps of that name.
        stored: bytes of the repository afterwards.
        added: bytes by which it grew.
    """

    data: str
    on: str
    tool: str
    work: str
    cost: Cost
    stored: int
    added: int


def data_sets(sizes: Sizes) -> list[DataSet]:
    """All sets, in the order in which they are used."""
    first = (Step(BACKUP, Verb.BACKUP), Step(AGAIN, Verb.BACKUP))
    last = (
        Step(LIST, Verb.LIST),
        Step(RESTORE, Verb.RESTORE),
        Step(CHECK, Verb.CHECK),
    )
    change = partial(datasets.change_files, share=0.05)
    clustered, scattered = (
        partial(datasets.change_pages, clustered=clustered) for clustered in (True, False)
    )
    slowly = (Step(TEN, Verb.BACKUP, datasets.change_slowly),) * 9
    file, tiny = 30_000, 6_000

    def of(make: Callable[[Path, int], None], size: int) -> Make:
        return lambda target: make(target, size)

    def few(key: str, title: str, count: int) -> DataSet:
        room = count * tiny
        return DataSet(key, title, of(datasets.make_tiny, count), room, (*first, *last))

    return [
        DataSet(
            "a",
            "small files of this machine",
            of(datasets.copy_files, sizes.small_files),
            sizes.small_files * file,
            (*first, *last),
        ),
        DataSet(
            "b", "a tar of system files", of(datasets.make_tar, sizes.tar), sizes.tar,
            (*first, *last),
        ),
        DataSet(
            "c", "random bytes", of(datasets.make_random, sizes.random), sizes.random,
            (*first, *last),
        ),
        DataSet(
            "d",
            "small files, of which 5 % change",
            of(datasets.copy_files, sizes.changing_files),
            sizes.changing_files * file,
            (first[0], Step(CHANGED, Verb.BACKUP, change), *last),
        ),
        DataSet(
            "e",
            "ten snapshots of small files, of which 3 % change each time",
            of(datasets.copy_files, sizes.slow_files),
            sizes.slow_files * file,
            (Step(TEN, Verb.BACKUP), *slowly, Step(PRUNE, Verb.PRUNE, keep=5), *last),
        ),
        DataSet(
            "f",
            "a database, of which 1 % of the pages change",
            of(datasets.make_database, sizes.database),
            sizes.database,
            (
                first[0],
                Step(CLUSTERED, Verb.BACKUP, clustered),
                Step(SCATTERED, Verb.BACKUP, scattered),
                *last,
            ),
        ),
        few("g10", "a tenth of the files of (g)", sizes.tiny_files // 10),
        few("g", "files of 1 KiB", sizes.tiny_files),
    ]  # fmt: skip


@contextmanager
def made(data: DataSet, work: Path) -> Iterator[Path]:
    """Make a set of data; it is gone afterwards.

    Raises:
        NoRoom: there is not enough space.
    """
    _expect_room(work, data.room)
    with TemporaryDirectory(prefix=PREFIX, dir=work) as folder:
        source = Path(folder).resolve() / "source"
        data.make(source)
        _settle()
        yield source


@dataclass(frozen=True, slots=True)
class Medium:
    """What repositories are made on, and files restored to.

    Attributes:
        name: ``memory`` or ``disk``.
        folder: on it.
    """

    name: str
    folder: Path


def run(
    data: DataSet, source: Path, rounds: Sequence[Sequence[Installed]], medium: Medium
) -> Iterator[list[Sample]]:
    """Do all work on a set of data.

    Args:
        data: the set.
        source: where it is.
        rounds: the tools that take turns in each repetition; in the first one all of them.
        medium: what they work on.

    Yields:
        What one repetition took.

    Raises:
        NoRoom: there is not enough space.
        CommandError: a tool failed.
        Different: a tool did not restore what it had backed up.
    """
    _, size = datasets.size_of(source)
    _expect_room(medium.folder, size * (max(map(len, rounds), default=0) + 1))
    for repetition, tools in enumerate(rounds):
        with TemporaryDirectory(prefix=PREFIX, dir=medium.folder) as name:
            turn = _Turn(source, Path(name).resolve(), tools, repetition)
            for number, step in enumerate(data.steps):
                turn.step(step, number)
            yield [
                Sample(data.key, medium.name, tool, work, *found)
                for (tool, work), found in turn.found.items()
            ]


class _Turn:
    """One repetition."""

    def __init__(self, source: Path, folder: Path, tools: Sequence[Installed], number: int) -> None:
        self._source = source
        self._number = number
        self._random = Random(number)  # noqa: S311 - to be the same each time
        self.found: dict[tuple[str, str], tuple[Cost, int, int]] = {}
        self._tools = [tool.at(_place(source, folder / tool.name)) for tool in tools]
        for tool in self._tools:
            for command in tool.init():
                cost_of(command, tool.environment())

    def step(self, step: Step, number: int) -> None:
        """Let all tools do a work, each of them first in its turn."""
        if step.change is not None:
            step.change(self._source, self._random)
            _settle()
        first = (self._number + number) % len(self._tools)
        for tool in self._tools[first:] + self._tools[:first]:
            key = tool.name, step.work
            _, before = datasets.size_of(tool.place.repository)
            cost = self._cost(tool, step)
            _, after = datasets.size_of(tool.place.repository)
            earlier, _, added = self.found.get(key, (NOTHING, 0, 0))
            self.found[key] = earlier + cost, after, added + after - before

    def _cost(self, tool: Tool, step: Step) -> Cost:
        if step.verb is Verb.RESTORE:
            tool.place.target.mkdir()
        os.sync()  # nobody pays for what another left to be written
        costs = [
            cost_of(command, tool.environment()) for command in tool.commands(step.verb, step.keep)
        ]
        if step.verb is Verb.RESTORE:
            if self._number == 0:
                expect_equal(self._source, tool.restored(), tool.name)
            shutil.rmtree(tool.place.target)
        return sum(costs, NOTHING)


def try_out(tool: Installed, work: Path) -> None:
    """Let a tool do everything once with a few files.

    Raises:
        CommandError: it failed.
        Different: it did not restore what it had backed up.
    """
    verbs = (Verb.BACKUP, Verb.BACKUP, Verb.LIST, Verb.RESTORE, Verb.CHECK, Verb.PRUNE)
    steps = tuple(Step(verb, verb) for verb in verbs)
    data = DataSet("", "a few files", partial(datasets.copy_files, count=FEW), 0, steps)
    with made(data, work) as source:
        for _ in run(data, source, [[tool]], Medium("disk", work)):
            pass


def _place(source: Path, folder: Path) -> Place:
    folder.mkdir()
    return Place(source, folder, folder / "restored")


def _settle() -> None:
    os.sync()
    SYSTEM_CLOCK.wait(threading.Event(), SETTLE)


def _expect_room(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if folder.is_relative_to(MEMORY):
        free = min(free, machine.available_memory())
    if size > free:
        raise NoRoom(f"{size / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free")


def expect_equal(source: Path, restored: Path, tool: str) -> None:
    """Compare names, types, modes, times and contents.

    Raises:
        Different: they are not equal.
    """
    for parent, folders, names in os.walk(source):
        here = Path(parent)
        copy = restored / here.relative_to(source)
        if sorted(path.name for path in copy.iterdir()) != sorted(folders + names):
            raise Different(f"{tool} restored other names in {copy}")
        for name in folders + names:
            _expect_same(here / name, copy / name, tool)
    _expect_same(source, restored, tool)


def _expect_same(source: Path, restored: Path, tool: str) -> None:
    before, after = source.lstat(), restored.lstat()
    if (before.st_mode, before.st_mtime_ns) != (after.st_mode, after.st_mtime_ns):
        raise Different(f"{tool} restored other metadata of {restored}")
    match stat.S_IFMT(before.st_mode):
        case stat.S_IFLNK:
            is_same = source.readlink() == restored.readlink()
        case stat.S_IFREG:
            is_same = _is_same_content(source, restored)
        case _:
            is_same = True
    if not is_same:
        raise Different(f"{tool} restored other content of {restored}")


def _is_same_content(source: Path, restored: Path) -> bool:
    if source.stat().st_size != restored.stat().st_size:
        return False
    with source.open("rb") as one, restored.open("rb") as other:
        while block := one.read(datasets.MIB):
            if block != other.read(datasets.MIB):
                return False
    return True
