"""Commands on a storage that fails when it is told to, and what each of them is to have done.

`test_every_command` has the list of them. A command runs in this process, on copies of repositories
in memory and in a working directory of its own, so that each run finds the same.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import holdfast
from holdfast.backend import Backend, Capabilities, Faulty, MemoryBackend, NoFault, flipped
from holdfast.backend.faulty import Plan
from holdfast.clock import SYSTEM_CLOCK
from holdfast.engine.repository import Repository
from holdfast.overrides import override
from holdfast.store import create_store, decode_recovery, open_recovered, open_store
from holdfast.testing.content import noise
from holdfast.testing.repositories import PASSWORD, QUICK_KDF, SETTINGS

if TYPE_CHECKING:
    from tests.integration.cli_runner import Cli, Ended

NEW = "another password"
SECOND = "the password of a second key"
WORDS = b"the first line\nsomething to be found\nthe last line, of snapshot %d\n"

TIMES = re.compile(r"time|seconds|duration|elapsed|speed|_at$|minutes|hours")
"""Names in documents of what is not the same in any two runs."""

TOOK = re.compile(r"\d[\d,.]* (s|ms|min|h)\b")
"""In a text, how long something took."""

CLOSED = (holdfast.WrongPassword, holdfast.RepositoryNotFound, holdfast.DamagedRepository)

Contents: TypeAlias = dict[str, bytes]


class Place(MemoryBackend):
    """A storage in memory that passes for one on another machine, so that caches are used."""

    def __init__(self, location: str, objects: dict[str, bytes]) -> None:
        super().__init__()
        self._objects = dict(objects)
        self._location = location

    @property
    @override
    def location(self) -> str:
        """See `Backend.location`."""
        return self._location

    @override
    def capabilities(self) -> Capabilities:
        """See `Backend.capabilities`."""
        return Capabilities(put_if_absent=True, local=False)

    def everything(self) -> Contents:
        """All objects."""
        return dict(self._objects)

    def copy(self) -> Place:
        """The same objects once more."""
        return Place(self._location, self._objects)

    def names(self, prefix: str = "") -> set[str]:
        """The objects that there are."""
        return {name for name in self._objects if name.startswith(prefix)}

    def spoil(self, name: str) -> None:
        """Turn over a bit in the middle of an object."""
        self._objects[name] = flipped(self._objects[name])

    def remove(self, prefix: str) -> None:
        """Lose objects."""
        for name in self.names(prefix):
            del self._objects[name]


def files(root: Path) -> Contents:
    """The files below a directory, by path in it."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def opened(place: Backend, recovery: str = "") -> Repository:
    """The repository there, under whichever password opens it, else by the recovery key."""
    for password in (PASSWORD, NEW):
        with suppress(*CLOSED):
            return Repository(open_store(place, password, SYSTEM_CLOCK, None), SYSTEM_CLOCK)
    store = open_recovered(place, decode_recovery(recovery), SYSTEM_CLOCK, None)
    return Repository(store, SYSTEM_CLOCK)


def opens(place: Backend, password: str) -> bool:
    """Whether a password opens the repository there."""
    try:
        open_store(place, password, SYSTEM_CLOCK, None)
    except CLOSED:
        return False
    return True


def contents(repo: Repository, snapshot: str) -> Contents:
    """The files of a snapshot, by their whole paths."""
    output = io.BytesIO()
    repo.dump(snapshot, "/", output)
    output.seek(0)
    with tarfile.open(fileobj=output) as archive:
        found = {f"/{each.name}": archive.extractfile(each) for each in archive if each.isreg()}
        return {path: file.read() for path, file in found.items() if file is not None}


def made(repo: Repository, path: Path) -> str:
    """A backup; the id of the snapshot."""
    result = repo.backup(path)
    assert result.snapshot is not None
    return result.snapshot.id


@dataclass
class World:
    """A repository with a history, another one to copy to, and local files.

    Attributes:
        top: a folder; ``data`` in it has changed since it was backed up last, ``still`` has not.
        repo: the storage of the repository.
        other: that of the other one, which has some of the snapshots.
        ids: of the snapshots, oldest first; the first one is forgotten.
        held: what each of them holds.
        last_packs: what only the last one needs.
        second_key: id of a key slot.
        told: what commands say when nothing fails, as far as it was looked at.
    """

    top: Path
    repo: Place
    other: Place
    ids: list[str] = field(default_factory=list)
    held: dict[str, Contents] = field(default_factory=dict)
    last_packs: set[str] = field(default_factory=set)
    second_key: str = ""
    told: dict[Command, Told] = field(default_factory=dict)

    @classmethod
    def at(cls, top: Path) -> World:
        """Make all of it in an empty folder."""
        world = cls(top, Place(str(top / "repo"), {}), Place(str(top / "other"), {}))
        world._write_sources()
        store = create_store(world.repo, PASSWORD, SETTINGS, QUICK_KDF, SYSTEM_CLOCK, None)
        repo = Repository(store, SYSTEM_CLOCK)
        like = create_store(world.other, PASSWORD, SETTINGS, QUICK_KDF, SYSTEM_CLOCK, None, store)
        for number in range(4):
            world._change(number)
            world.ids.append(made(repo, world.data))
            if number == 1:
                repo.copy(Repository(like, SYSTEM_CLOCK))
        before = world.repo.names("data/")
        world.ids.append(made(repo, world.still))
        world.last_packs = world.repo.names("data/") - before
        repo.tag(world.ids[1], add="old")
        world.held = {id_: contents(repo, id_) for id_ in world.ids}
        repo.forget([world.ids[0]])
        world.second_key = repo.add_key(SECOND).id
        repo.anchor_audit("a" * 32, 1, "b" * 64)
        world._write("recovery", repo.recovery_key())
        world._change(4)
        return world

    def _write_sources(self) -> None:
        (self.data / "sub").mkdir(parents=True)
        self.still.mkdir()
        (self.still / "numbers.json").write_text(str([*range(2000)]))
        (self.still / "table.csv").write_text("name,number\nAda,1\n")
        for number in range(4):
            (self.data / f"sub/{number}").write_bytes(noise(3000 * number, number))
        self._write("password", PASSWORD)
        self._write("new", NEW)

    def _write(self, name: str, secret: str) -> None:
        (self.top / name).write_text(secret)
        (self.top / name).chmod(0o600)

    def _change(self, number: int) -> None:
        (self.data / "words").write_bytes(WORDS % number)
        (self.data / f"sub/of {number}").write_bytes(noise(9000, 20 + number))
        (self.data / f"sub/of {number - 1}").unlink(missing_ok=True)

    @property
    def data(self) -> Path:
        """A tree that has changed."""
        return self.top / "data"

    @property
    def still(self) -> Path:
        """A tree that has not."""
        return self.top / "still"

    @property
    def run(self) -> Path:
        """The working directory of commands, emptied before each."""
        return self.top / "run"

    @property
    def live(self) -> Contents:
        """What a backup of the changed tree is to hold."""
        return {str(self.data / name): data for name, data in files(self.data).items()}


@dataclass(frozen=True)
class Told:
    """What a command says when nothing fails.

    Attributes:
        leaves: what it prints, as far as two runs print the same.
        calls: how many operations it asks of the storage.
    """

    leaves: frozenset[tuple[str, str]]
    calls: int


@dataclass
class After:
    """What a command left.

    Attributes:
        world: it was run in.
        repo: the storage of the repository now.
        other: that of the other one.
    """

    world: World
    repo: Place
    other: Place

    def open(self) -> Repository:
        """The repository, by whatever opens it."""
        return opened(self.repo, (self.world.top / "recovery").read_text())

    @property
    def there(self) -> dict[str, holdfast.Snapshot]:
        """The snapshots, by id."""
        return {each.id: each for each in self.open().snapshots()}

    def new(self) -> Iterator[Contents]:
        """What the snapshots hold that were not there before."""
        repo = self.open()
        for id_ in self.there:
            if id_ not in self.world.held:
                yield contents(repo, id_)

    def has_backup(self) -> bool:
        """Whether the changed tree is backed up as it is now."""
        return any(found == self.world.live for found in self.new())

    def restored(self, snapshot: int, name: str = "target") -> bool:
        """Whether a folder of the working directory has all of a snapshot, and nothing else."""
        held = self.world.held[self.world.ids[snapshot]]
        target = self.world.run / name
        root = f"{self.world.data}/"
        wanted = {path.removeprefix(root): data for path, data in held.items()}
        return target.exists() and files(target) == wanted

    def words(self, typed: str) -> list[str]:
        """A command line in words: ``{1}`` is the id of a snapshot, ``{top}`` the folder."""
        session = max(self.repo.names("sessions/"), default="").rpartition("/")[2]
        report = max(self.world.run.glob("reports/*.md"), default="")
        named = {
            "top": self.world.top,
            "key": self.world.second_key,
            "session": session,
            "report": report,
        }
        return [word.format(*self.world.ids, **named) for word in typed.split(" ")]


Effect: TypeAlias = Callable[[After], bool]


def _nothing_to_do(*_: object) -> None:
    """The working directory is empty and the repository as it is."""


@dataclass(frozen=True)
class Command:
    """A command, and what it is to have done when it says that it is done.

    Attributes:
        name: of the command, without options.
        options: what is typed behind it; words are separated by one space each.
        effect: whether it was done; None for a command that only tells what there is.
        before: what is made of the storages and the working directory beforehand.
        code: with what it ends if nothing fails.
        again: with what it may end besides if it is run although it was done.
        gone: the snapshots, by number, that need not be there any more.
        hurt: the snapshots that are damaged before it is run.
        fails_at_other: whether it is the other repository of which the operations fail.
    """

    name: str
    options: str = ""
    effect: Effect | None = None
    before: Callable[[After, Cli], object] = _nothing_to_do
    code: int = 0
    again: frozenset[int] = frozenset()
    gone: frozenset[int] = frozenset()
    hurt: frozenset[int] = frozenset()
    fails_at_other: bool = False

    @override
    def __str__(self) -> str:
        return f"{self.name} {self.options}".strip() + " (the other)" * self.fails_at_other


class Machine:
    """Runs commands on storages that fail as a plan says.

    Attributes:
        cli: the command line.
        faulty: the storage with the plan, as the last command used it.
    """

    def __init__(self, world: World, cli: Cli) -> None:
        self.cli = cli
        self.faulty = Faulty(MemoryBackend(), NoFault())
        self._world = world
        self._places: dict[str, Backend] = {}
        for module in ("engine.connect", "platform.managers.adapters"):
            cli.patch.setattr(f"holdfast.{module}.open_backend", self._open)
        cli.environment(
            HOLDFAST_REPOSITORY=str(world.top / "repo"),
            HOLDFAST_NEW_PASSWORD_FILE=str(world.top / "new"),
            HOLDFAST_STATE_DIR=str(world.run / ".state"),
            XDG_CACHE_HOME=str(world.run / ".cache"),
            TMPDIR=str(world.run),
            TZ="UTC",
        )
        cli.patch.setattr("tempfile.tempdir", None)

    def _open(self, location: str | os.PathLike[str], *_: object) -> Backend:
        return self._places[os.fspath(location)]

    def prepare(self, command: Command) -> After:
        """What a command finds: fresh copies of all storages, and an empty working directory."""
        os.chdir(self._world.top)
        shutil.rmtree(self._world.run, ignore_errors=True)
        self._world.run.mkdir()
        os.chdir(self._world.run)
        self.cli.environment(HOLDFAST_PASSWORD_FILE=str(self._world.top / "password"))
        self.cli.patch.delenv("HOLDFAST_CONFIG", raising=False)
        after = After(self._world, self._world.repo.copy(), self._world.other.copy())
        self._use(after, NoFault())
        command.before(after, self.cli)
        return after

    def run(self, command: Command, after: After, plan: Plan | None = None) -> Ended:
        """Run it, with a plan for the storage that it is about, or none."""
        self._use(after, plan or NoFault(), at_other=command.fails_at_other)
        return self.cli.json(*after.words(f"{command.name} {command.options}".strip()))

    def _use(self, after: After, plan: Plan, *, at_other: bool = False) -> None:
        failing = after.other if at_other else after.repo
        self.faulty = Faulty(failing, plan)
        self._places = {each.location: each for each in (after.repo, after.other)}
        self._places[failing.location] = self.faulty

    def told(self, command: Command) -> Told:
        """What a command says and does when nothing fails: what two runs have in common."""
        known = self._world.told.get(command)
        if known is None:
            said = self._undisturbed(command)
            if command.effect is None:
                said &= self._undisturbed(command)
            known = Told(frozenset(said), len(self.faulty.calls))
            self._world.told[command] = known
        return known

    def _undisturbed(self, command: Command) -> set[tuple[str, str]]:
        after = self.prepare(command)
        ended = self.run(command, after)
        assert ended.code == command.code, ended
        assert command.effect is None or command.effect(after)
        return set(leaves(ended).items())


def leaves(ended: Ended) -> dict[str, str]:
    """What a command printed, in parts; how long something took is none of them."""
    return {
        way: TOOK.sub("a while", leaf)
        for way, leaf in _flat(ended.document)
        if not TIMES.search(way)
    }


def _flat(value: object, way: str = "") -> Iterator[tuple[str, str]]:
    """The leaves of a document, each with the way to it."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _flat(each, f"{way}.{key}")
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _flat(each, f"{way}[{number}]")
    else:
        yield way, repr(value)
