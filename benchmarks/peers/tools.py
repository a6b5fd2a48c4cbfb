"""The tools that are compared: what each is called with to do the same work.

Each works as a user finds it. Compression is zstd at each tool's own level, which borg and kopia
have to be told.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import ClassVar

from benchmarks.peers.measure import Command
from holdfast import environment
from holdfast.overrides import override

PASSWORD = "correct horse battery staple"


class Verb(StrEnum):
    """What a tool is asked to do."""

    BACKUP = "backup"
    RESTORE = "restore"
    CHECK = "check"
    LIST = "list"
    PRUNE = "prune"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tool works.

    Attributes:
        source: the directory or file that is backed up.
        folder: of the tool's own, for its repository and as its home; caches are there too.
        target: where it restores to.
    """

    source: Path
    folder: Path
    target: Path

    @property
    def repository(self) -> Path:
        """The repository."""
        return self.folder / "repository"


class Tool(ABC):
    """A backup tool at work in one place.

    Attributes:
        name: what it is called.
        tells_version: the argument for that.
        is_optional: a run goes on without it when it does not work on this machine.
        program: how it is started.
        place: where it works.
    """

    name: ClassVar[str]
    tells_version: ClassVar[str] = "--version"
    is_optional: ClassVar[bool] = False

    def __init__(self, program: list[str], place: Place) -> None:
        self.program = program
        self.place = place

    def environment(self) -> dict[str, str]:
        """Only what is needed, so that no setting of this machine matters."""
        kept = {"PATH": environment.variable("PATH") or "", "LC_ALL": "C.UTF-8"}
        return kept | {"HOME": str(self.place.folder)} | dict(self.settings())

    def commands(self, verb: Verb, keep: int = 1) -> list[Command]:
        """What is run for a verb; of a prune, how many snapshots are kept."""
        match verb:
            case Verb.BACKUP:
                return [self.command(*self.backup())]
            case Verb.RESTORE:
                return [self.restore()]
            case Verb.CHECK:
                return [self.command(*self.check())]
            case Verb.LIST:
                return [self.command(*self.listing())]
            case Verb.PRUNE:
                return [self.command(*part) for part in self.prune(keep)]

    def command(self, *arguments: str) -> Command:
        """A call of the tool."""
        return Command((*self.program, *arguments), self.place.folder)

    def restored(self) -> Path:
        """Where the source is after a restore."""
        return self.place.target / self.place.source.relative_to("/")

    @abstractmethod
    def settings(self) -> Mapping[str, str]:
        """Environment variables of its own."""

    @abstractmethod
    def init(self) -> list[Command]:
        """Make the repository."""

    @abstractmethod
    def backup(self) -> tuple[str, ...]:
        """Make a snapshot of the source."""

    @abstractmethod
    def restore(self) -> Command:
        """Restore the newest snapshot into the target, which is empty."""

    @abstractmethod
    def check(self) -> tuple[str, ...]:
        """Check the repository, reading all data."""

    @abstractmethod
    def listing(self) -> tuple[str, ...]:
        """List the snapshots."""

    @abstractmethod
    def prune(self, keep: int) -> list[tuple[str, ...]]:
        """Forget all but the newest snapshots, and give back the space of the others."""


class Holdfast(Tool):
    """This project."""

    name = "holdfast"

    @override
    def settings(self) -> Mapping[str, str]:
        # The one that is at work here, in whatever directory it is started.
        return {
            "HOLDFAST_REPOSITORY": str(self.place.repository),
            "HOLDFAST_PASSWORD": PASSWORD,
            "PYTHONPATH": str(Path(environment.__file__).parents[1]),
        }

    @override
    def init(self) -> list[Command]:
        return [self.command("init")]

    @override
    def backup(self) -> tuple[str, ...]:
        return ("create", str(self.place.source))

    @override
    def restore(self) -> Command:
        return self.command("restore", "--target", str(self.place.target))

    @override
    def check(self) -> tuple[str, ...]:
        return ("validate", "--read-data")

    @override
    def listing(self) -> tuple[str, ...]:
        return ("list",)

    @override
    def prune(self, keep: int) -> list[tuple[str, ...]]:
        return [("prune", "--retention-policy", f"keep-last:{keep}")]


class Restic(Tool):
    """The peer that the targets are set against."""

    name = "restic"
    tells_version = "version"

    @override
    def settings(self) -> Mapping[str, str]:
        return {"RESTIC_REPOSITORY": str(self.place.repository), "RESTIC_PASSWORD": PASSWORD}

    @override
    def init(self) -> list[Command]:
        return [self.command("init")]

    @override
    def backup(self) -> tuple[str, ...]:
        return ("backup", str(self.place.source))

    @override
    def restore(self) -> Command:
        return self.command("restore", "latest", "--target", str(self.place.target))

    @override
    def check(self) -> tuple[str, ...]:
        return ("check", "--read-data")

    @override
    def listing(self) -> tuple[str, ...]:
        return ("snapshots",)

    @override
    def prune(self, keep: int) -> list[tuple[str, ...]]:
        return [("forget", "--keep-last", str(keep), "--prune")]


class Rustic(Restic):
    """Another program for restic's format."""

    name = "rustic"
    tells_version = "--version"
    is_optional = True

    @override
    def settings(self) -> Mapping[str, str]:
        return {"RUSTIC_REPOSITORY": str(self.place.repository), "RUSTIC_PASSWORD": PASSWORD}

    @override
    def restore(self) -> Command:
        return self.command("restore", "latest", str(self.place.target))

    @override
    def prune(self, keep: int) -> list[tuple[str, ...]]:
        # It would leave the packs that are not needed for the next prune.
        forget = ("forget", "--keep-last", str(keep))
        return [forget, ("prune", "--instant-delete", "--keep-delete", "0s")]


class Borg(Tool):
    """The classic in Python and C."""

    name = "borg"

    def __init__(self, program: list[str], place: Place) -> None:
        super().__init__(program, place)
        self._archives = 0

    @override
    def settings(self) -> Mapping[str, str]:
        return {"BORG_REPO": str(self.place.repository), "BORG_PASSPHRASE": PASSWORD}

    @override
    def init(self) -> list[Command]:
        return [self.command("init", "--encryption", "repokey-blake2")]

    @override
    def backup(self) -> tuple[str, ...]:
        self._archives += 1
        return ("create", "--compression", "zstd", f"::{self._archives}", str(self.place.source))

    @override
    def restore(self) -> Command:
        # It restores into the directory that it is in.
        return Command((*self.program, "extract", f"::{self._archives}"), self.place.target)

    @override
    def check(self) -> tuple[str, ...]:
        return ("check", "--verify-data")

    @override
    def listing(self) -> tuple[str, ...]:
        return ("list",)

    @override
    def prune(self, keep: int) -> list[tuple[str, ...]]:
        return [("prune", "--keep-last", str(keep)), ("compact",)]


class Kopia(Tool):
    """A peer in Go, with its own format."""

    name = "kopia"
    is_optional = True

    @override
    def settings(self) -> Mapping[str, str]:
        return {"KOPIA_PASSWORD": PASSWORD, "KOPIA_CHECK_FOR_UPDATES": "false"}

    @override
    def init(self) -> list[Command]:
        create = ("repository", "create", "filesystem", "--path", str(self.place.repository))
        return [
            self.command(*create),
            self.command("policy", "set", "--global", "--compression", "zstd"),
        ]

    @override
    def backup(self) -> tuple[str, ...]:
        return ("snapshot", "create", str(self.place.source))

    @override
    def restore(self) -> Command:
        return self.command("snapshot", "restore", str(self.place.source), str(self.place.target))

    @override
    def restored(self) -> Path:
        return self.place.target

    @override
    def check(self) -> tuple[str, ...]:
        return ("snapshot", "verify", "--verify-files-percent", "100")

    @override
    def listing(self) -> tuple[str, ...]:
        return ("snapshot", "list")

    @override
    def prune(self, keep: int) -> list[tuple[str, ...]]:
        # Of the safety that it has for other clients at work, the others need none either.
        kept = ("--keep-latest", str(keep))
        rest = ("--keep-hourly", "--keep-daily", "--keep-weekly", "--keep-monthly", "--keep-annual")
        none = tuple(part for flag in rest for part in (flag, "0"))
        return [
            ("policy", "set", "--global", *kept, *none),
            ("snapshot", "expire", "--all", "--delete"),
            ("maintenance", "run", "--full", "--safety", "none"),
        ]


PEERS: tuple[type[Tool], ...] = (Restic, Borg, Rustic, Kopia)
NAMES = (Holdfast.name, *(peer.name for peer in PEERS))


@dataclass(frozen=True, slots=True)
class Installed:
    """A tool that is on this machine.

    Attributes:
        kind: which.
        program: how it is started.
        version: what it says of itself.
    """

    kind: type[Tool]
    program: list[str]
    version: str

    @property
    def name(self) -> str:
        """What it is called."""
        return self.kind.name

    def at(self, place: Place) -> Tool:
        """The tool at work in a place."""
        return self.kind(self.program, place)


def find_tools(folder: Path | None, wanted: frozenset[str]) -> list[Installed]:
    """The tools of these names that are there: in a folder, or else where programs are."""
    programs: dict[type[Tool], list[str]] = {Holdfast: [sys.executable, "-m", "holdfast"]}
    for peer in PEERS:
        own = shutil.which(peer.name, path=folder.resolve()) if folder else None
        if program := own or shutil.which(peer.name):
            programs[peer] = [program]
    return [
        Installed(kind, program, _version([*program, kind.tells_version]))
        for kind, program in programs.items()
        if kind.name in wanted
    ]


def _version(command: list[str]) -> str:
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return told.splitlines()[0]
