"""Histories of backups with known answers: what an office does, what goes wrong, what attacks do.

Each case is a tree of some hundred files that is backed up for real, day after day: first ten
steady days, which all cases of a seed share, then days on which something happens. A case is
harmless, or it says from which day on an alarm is due.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple, TypeAlias

from holdfast.backend import MemoryBackend
from holdfast.engine.repository import Repository
from holdfast.operations.anomalies import Anomaly
from holdfast.primitives.chunker import PROFILES
from holdfast.store import Settings, Store
from holdfast.testing.repositories import ManualClock, attached, copied, new_store

SETTINGS = Settings(PROFILES["default"], 4 << 20, 3)
STEADY_DAYS = 10
DAY = timedelta(days=1).total_seconds()
WORDS = (
    b"the of and to in is you that it he was for on are as with his they at be this have from or "
    b"one had by word but not what all were we when your can said there use an each which she do "
    b"how their if will up other about out many then them these so some her would make like him"
).split()
JPEG, ZIP, ZLIB = b"\xff\xd8\xff\xe0", b"PK\x03\x04", b"\x78\x01"
NOBODY = 65534


class Office(NamedTuple):
    """How large an office is, and how hard it is hit; the two sets of cases differ in it.

    Attributes:
        folders, files: folders, and documents in each.
        photos: in each folder of photos.
        edits: documents that are edited on a day.
        hit: share of the files that an attack touches, where it does not touch all.
        ending: what attackers append.
    """

    folders: int
    files: int
    photos: int
    edits: int
    hit: float
    ending: str


def office(random_: random.Random, *, held_out: bool) -> Office:
    """A random office. Those that are held out have other sizes than the ones to learn from."""
    if held_out:
        return Office(
            folders=random_.choice([3, 7]),
            files=random_.choice([12, 16, 26]),
            photos=random_.choice([9, 35]),
            edits=random_.choice([2, 9]),
            hit=random_.uniform(0.25, 0.9),
            ending=random_.choice([".crypt", ".WNCRY", ".id-7F3A.[mail]", ".zzz"]),
        )
    return Office(
        folders=random_.choice([4, 5]),
        files=random_.choice([14, 18]),
        photos=random_.choice([15, 25]),
        edits=random_.choice([3, 6]),
        hit=random_.uniform(0.3, 0.8),
        ending=random_.choice([".locked", ".enc"]),
    )


@dataclass
class World:
    """A tree that things happen to."""

    top: Path
    random: random.Random
    office: Office
    day: int = 0
    unreadable: list[Path] = field(default_factory=list)

    def text(self, size: int) -> bytes:
        """Prose of about that many bytes."""
        return b" ".join(self.random.choices(WORDS, k=max(1, size // 4)))

    def noise(self, size: int) -> bytes:
        """Bytes that cannot be told from random ones."""
        return self.random.randbytes(size)

    def size(self) -> int:
        """Of a document, in bytes."""
        return self.random.randrange(700, 9000)

    def write(self, path: Path, data: bytes) -> None:
        """Write a file, its folders too."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        when = 1_700_000_000 + self.day * DAY + self.random.randrange(80_000)
        os.utime(path, (when, when))

    def files(self, below: str = "", *endings: str) -> list[Path]:
        """Files with content, in order of their names."""
        found = sorted(p for p in (self.top / below).rglob("*") if p.is_file() and p.stat().st_size)
        return [path for path in found if not endings or path.suffix in endings]

    def some(self, paths: list[Path], share: float) -> list[Path]:
        """A random part."""
        return self.random.sample(paths, round(len(paths) * share))

    def build(self) -> None:
        """Make the office."""
        here = self.office
        for folder in range(here.folders):
            for number in range(here.files):
                name = self.top / f"docs/folder{folder}/report{number}"
                ending = self.random.choice([".txt", ".csv", ".md", ".docx", ".html"])
                self.document(name.with_suffix(ending))
        for number in range(here.photos):
            self.write(self.top / f"photos/2025/IMG_{number:04}.jpg", self.photo())
        for number in range(here.files * 2):
            self.write(self.top / f"app/lib/part{number % 5}/m{number}.py", self.text(self.size()))
        for log in ("app", "web", "mail"):
            self.write(self.top / f"logs/{log}.log", self.text(6000))
        self.write(self.top / "data/main.db", self.text(300_000))

    def document(self, path: Path) -> None:
        """Write a document of the kind that its ending tells."""
        size = self.size()
        self.write(path, ZIP + self.noise(size) if path.suffix == ".docx" else self.text(size))

    def photo(self) -> bytes:
        """A photo, a small one."""
        return JPEG + self.noise(self.random.randrange(9_000, 30_000))

    def work(self) -> None:
        """What happens on every day."""
        for path in self.random.sample(self.files("docs"), self.office.edits):
            if path.suffix in {".docx", ".jpg"}:
                self.document(path)
            else:
                self.write(path, path.read_bytes() + b"\n" + self.text(300))
        for log in self.files("logs", ".log"):
            self.write(log, log.read_bytes() + self.text(500))
        if self.random.random() < 0.6:
            new = self.top / f"docs/folder0/new{self.day}.txt"
            self.write(new, self.text(self.size()))
        if self.random.random() < 0.3:
            self.random.choice(self.files("docs")).unlink()

    def encrypt(self, path: Path, ending: str = "", *, skip: int = 0) -> None:
        """What ransomware does to a file; skip: bytes at the beginning that it leaves alone."""
        data = path.read_bytes()
        self.write(path, data[:skip] + self.noise(max(64, len(data) - skip)))
        if ending:
            path.rename(path.with_name(path.name + ending))


Day: TypeAlias = Callable[[World], None]
"""What happens on one day, beside the work of every day."""


def nothing(_: World) -> None:
    """An ordinary day."""


# ---------------------------------------------------------------- harmless


def big_import(world: World) -> None:
    for number in range(len(world.files()) // 3):
        world.write(world.top / f"import/{world.day}/f{number}.csv", world.text(world.size()))


def photo_import(world: World) -> None:
    for number in range(2 * world.office.photos + 20):
        world.write(world.top / f"photos/trip{world.day}/IMG_{number:04}.jpg", world.photo())


def rotation(world: World) -> None:
    for log in world.files("logs", ".log"):
        for number in range(5, 0, -1):
            old = log.with_suffix(f".log.{number}.gz")
            if old.exists():
                old.rename(log.with_suffix(f".log.{number + 1}.gz"))
        world.write(log.with_suffix(".log.1.gz"), b"\x1f\x8b\x08" + world.noise(2000))
        world.write(log, world.text(300))


def archived_logs(world: World) -> None:
    """Many old logs at once become .gz, a new ending."""
    for path in world.files("docs", ".csv"):
        world.write(path.with_name(path.name + ".gz"), b"\x1f\x8b\x08" + world.noise(1500))
        path.unlink()


def churn(world: World) -> None:
    """Another branch is checked out, and many objects of git are new: compressed, without head."""
    for path in world.some(world.files("app", ".py"), 0.5):
        world.write(path, world.text(world.size()))
    for _ in range(40):
        name = (
            f"app/.git/objects/{world.random.randrange(256):02x}/{world.random.randbytes(19).hex()}"
        )
        world.write(world.top / name, ZLIB + world.noise(900))


def upgrade(world: World) -> None:
    """A new version of all of a program, some of it under other names."""
    for number, path in enumerate(world.files("app", ".py")):
        world.write(path, world.text(world.size()))
        if number % 10 == 0:
            path.rename(path.with_name(f"renamed_{path.name}"))
    for path in world.some(world.files("app", ".py"), 0.1):
        path.unlink()


def directory_renamed(world: World) -> None:
    (world.top / "docs/folder1").rename(world.top / "docs/archive-of-1")
    (world.top / "photos/2025").rename(world.top / "photos/year-2025")


def endings_renamed(world: World) -> None:
    for path in world.files("docs", ".txt"):
        path.rename(path.with_suffix(".text"))


def database_growth(world: World) -> None:
    path = world.top / "data/main.db"
    world.write(path, path.read_bytes() + world.text(400_000))


def database_shrinks(world: World) -> None:
    path = world.top / "data/main.db"
    world.write(path, path.read_bytes()[:60_000])


def new_project(world: World) -> None:
    """Packages with a licence each."""
    licence = world.text(1000)
    for package in range(25):
        home = world.top / f"projects/p{world.day}/modules/m{package}"
        world.write(home / "LICENSE", licence)
        for number in range(4):
            world.write(home / f"src/x{number}.js", world.text(world.size()))


def cleaning(world: World) -> None:
    for path in world.some(world.files(), 0.12):
        path.unlink()


def line_ends(world: World) -> None:
    """A program changes every text."""
    for path in world.files("docs", ".txt", ".md", ".csv", ".html"):
        world.write(path, path.read_bytes().replace(b" the ", b" the\r\n"))


def two_secrets(world: World) -> None:
    for path in world.random.sample(world.files("docs", ".txt", ".csv"), 2):
        world.encrypt(path, ".gpg")


def re_compressed(world: World) -> None:
    """All photos are made smaller."""
    for path in world.files("photos"):
        world.write(path, JPEG + world.noise(path.stat().st_size // 2))


def photos_and_line_ends(world: World) -> None:
    photo_import(world)
    line_ends(world)


def owner_changed(world: World) -> None:
    for path in world.files():
        path.chmod(0o640)


# ---------------------------------------------------------------- attacks and broken jobs


def encrypt_all(world: World) -> None:
    for path in world.files():
        world.encrypt(path)


def encrypt_part(world: World) -> None:
    for path in world.some(world.files(), world.office.hit):
        world.encrypt(path)


def encrypt_documents(world: World) -> None:
    for path in world.files("docs"):
        world.encrypt(path)


def encrypt_folder(world: World) -> None:
    for path in world.files("docs/folder2"):
        world.encrypt(path)


def encrypt_photos(world: World) -> None:
    for path in world.files("photos"):
        world.encrypt(path)


def encrypt_some_a_day(world: World) -> None:
    """A twelfth each day."""
    for path in world.some(world.files("docs", ".txt", ".csv", ".md", ".html"), 1 / 12):
        world.encrypt(path)


def encrypt_behind_head(world: World) -> None:
    for path in world.files("docs"):
        world.encrypt(path, skip=64)


def encrypt_while_importing(world: World) -> None:
    encrypt_folder(world)
    photo_import(world)


def encrypt_renaming(world: World) -> None:
    for path in world.some(world.files(), world.office.hit):
        world.encrypt(path, world.office.ending)


def encrypt_with_notes(world: World) -> None:
    encrypt_renaming(world)
    note = b"ALL YOUR FILES ARE ENCRYPTED. " + world.text(700)
    for folder in sorted(p for p in world.top.rglob("*") if p.is_dir()):
        world.write(folder / "HOW_TO_DECRYPT.txt", note)


def delete_and_replace(world: World) -> None:
    """Each file is replaced by one with a random name, whose ending is always the same."""
    for path in world.some(world.files(), world.office.hit):
        secret = world.noise(path.stat().st_size)
        path.unlink()
        name = world.random.randbytes(8).hex() + world.office.ending
        world.write(path.with_name(name), secret)


def mass_deletion(world: World) -> None:
    for path in world.some(world.files(), max(0.4, world.office.hit)):
        path.unlink()


def folder_deletion(world: World) -> None:
    shutil.rmtree(world.top / "docs")


def empty_source(world: World) -> None:
    for path in sorted(world.top.iterdir()):
        shutil.rmtree(path)


def permission_failure(world: World) -> None:
    for folder in sorted((world.top / "docs").iterdir()):
        for path in world.some(world.files(str(folder.relative_to(world.top))), 0.6):
            path.chmod(0)
            world.unreadable.append(path)


def truncation(world: World) -> None:
    for path in world.some(world.files(), world.office.hit):
        world.write(path, b"")


# ---------------------------------------------------------------- beyond it: harmless


def clearing_out(world: World) -> None:
    for path in world.some(world.files(), 0.4):
        path.unlink()


def locked_by_owner(world: World) -> None:
    for path in world.files("docs/folder1"):
        world.encrypt(path, ".gpg")


def downloads(world: World) -> None:
    """Files have their size at once, and are filled later."""
    for number in range(14):
        path = world.top / f"downloads/part{number}.bin"
        world.write(path, world.noise(6000) if path.exists() else bytes(6000))


# ---------------------------------------------------------------- beyond it: attacks, unseen


def encrypt_one_a_day(world: World) -> None:
    world.encrypt(world.random.choice(world.files("docs", ".txt", ".csv", ".md")))


def encrypt_as_text(world: World) -> None:
    """The result is base64: it looks like text, and compresses."""
    for path in world.files("docs"):
        secret = world.noise(path.stat().st_size * 3 // 4).hex().encode()
        world.write(path, secret)


def encrypt_with_false_heads(world: World) -> None:
    for path in world.files("docs"):
        world.write(path, JPEG + world.noise(path.stat().st_size))


def encrypt_database(world: World) -> None:
    world.encrypt(world.top / "data/main.db")


class Case(NamedTuple):
    """What happens after the steady days.

    Attributes:
        days: one after another.
        due: on which of them the first alarm is due, from 0; None when nothing is wrong.
    """

    name: str
    days: tuple[Day, ...]
    due: int | None = None


def harmless(name: str, *days: Day) -> Case:
    return Case(name, (*days, nothing, nothing))


def wrong(name: str, *days: Day) -> Case:
    return Case(name, (nothing, *days), 1)


HARMLESS = [
    harmless("steady edits", *[nothing] * 4),
    harmless("weekly import", big_import, *[nothing] * 6, big_import, nothing),
    harmless("log rotation", rotation, rotation, rotation, rotation),
    harmless("old files gzipped", archived_logs),
    harmless("branches and objects of git", churn, nothing, churn),
    harmless("software upgrade", upgrade),
    harmless("photo import", photo_import),
    harmless("photo import beside edits of all texts", photos_and_line_ends),
    harmless("photos made smaller", re_compressed),
    harmless("directories renamed", directory_renamed),
    harmless("endings renamed", endings_renamed),
    harmless("database growth", database_growth, database_growth),
    harmless("database shrinks", database_shrinks),
    harmless("new project", new_project),
    harmless("cleaning up", cleaning),
    harmless("every text changed by a program", line_ends),
    harmless("two files encrypted by their owner", two_secrets),
    harmless("modes changed", owner_changed),
]
WRONG = [
    wrong("all files encrypted", encrypt_all),
    wrong("a part of all files encrypted", encrypt_part),
    wrong("documents encrypted", encrypt_documents),
    wrong("one folder encrypted", encrypt_folder),
    wrong("photos encrypted", encrypt_photos),
    wrong("encrypted over six days", *[encrypt_some_a_day] * 6),
    wrong("encrypted behind the first 64 bytes", encrypt_behind_head),
    wrong("one folder encrypted on the day of an import", encrypt_while_importing),
    wrong("encrypted and renamed", encrypt_renaming),
    wrong("encrypted and renamed, with notes", encrypt_with_notes),
    wrong("deleted, with encrypted ones in their place", delete_and_replace),
    wrong("mass deletion", mass_deletion),
    wrong("all documents deleted", folder_deletion),
    wrong("empty source", empty_source),
    wrong("no permission to read", permission_failure),
    wrong("files emptied", truncation),
]
BEYOND = [
    harmless("40 % cleared out", clearing_out),
    harmless("a folder encrypted by its owner", locked_by_owner),
    harmless("reserved space is filled", downloads, downloads),
    wrong("one file encrypted a day", *[encrypt_one_a_day] * 5),
    wrong("encrypted as text", encrypt_as_text),
    wrong("encrypted with false heads", encrypt_with_false_heads),
    wrong("one database encrypted", encrypt_database),
]
"""Cases for which no answer is known that is right and does not spoil others."""


class Outcome(NamedTuple):
    """What came of a case.

    Attributes:
        alarms: days from the first steady one on, as the due one is counted, with alarms.
        due: the first day of what is wrong.
        found: all findings.
    """

    case: Case
    alarms: list[int]
    due: int | None
    found: list[Anomaly]

    @property
    def is_seen(self) -> bool:
        """Whether there was an alarm when one was due."""
        return self.due is not None and any(day >= self.due for day in self.alarms)

    @property
    def is_false(self) -> bool:
        """Whether there was an alarm when none was due."""
        return any(self.due is None or day < self.due for day in self.alarms)


class Histories:
    """The cases of one seed: the steady days are backed up once."""

    def __init__(self, seed: int, *, held_out: bool, folder: Path) -> None:
        random_ = random.Random(f"{held_out} {seed}")  # noqa: S311 - not a secret
        self._folder = folder
        self._seed = seed
        self._clock = ManualClock()
        self._backend = MemoryBackend()
        self._store = new_store(self._backend, settings=SETTINGS, clock=self._clock)
        self._world = World(folder / "top", random_, office(random_, held_out=held_out))
        self._world.build()
        for _ in range(STEADY_DAYS):
            self._world.work()
            self._back_up(self._world, self._store)
        shutil.copytree(self._world.top, folder / "kept")

    def _back_up(self, world: World, store: Store) -> None:
        repo = Repository(store, self._clock)
        with _without_privileges(world):
            repo.backup(world.top, host="office")
        self._clock.advance(DAY)
        world.day += 1

    @contextmanager
    def lived(self, case: Case) -> Iterator[Repository]:
        """The repository after the steady days and those of a case."""
        shutil.rmtree(self._world.top)
        shutil.copytree(self._folder / "kept", self._world.top)
        random_ = random.Random(f"{case.name} {self._seed}")  # noqa: S311 - not a secret
        world = World(self._world.top, random_, self._world.office, STEADY_DAYS)
        store = attached(self._store, copied(self._backend), clock=self._clock)
        for day in case.days:
            world.work() if world.files("docs") else None
            day(world)
            self._back_up(world, store)
        with Repository(store, self._clock) as repo:
            yield repo

    def outcomes(self, case: Case) -> tuple[Outcome, Outcome]:
        """Live through a case, and judge all of it: with reading data, and without."""
        with self.lived(case) as repo:
            return _outcome(case, repo, read_data=True), _outcome(case, repo, read_data=False)


def _outcome(case: Case, repo: Repository, *, read_data: bool) -> Outcome:
    numbers = {each.id: number for number, each in enumerate(repo.snapshots())}
    found = repo.anomalies(read_data=read_data)
    alarms = sorted({numbers[each.snapshot.id] for each in found if each.is_alarm})
    due = None if case.due is None else STEADY_DAYS + case.due
    return Outcome(case, alarms, due, found)


@contextmanager
def histories(seed: int, *, held_out: bool) -> Iterator[Histories]:
    """The cases of one seed, in a temporary folder that everybody may read."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield Histories(seed, held_out=held_out, folder=folder)


@contextmanager
def _without_privileges(world: World) -> Iterator[None]:
    """Root may read everything, so let somebody else do it while something must not be read."""
    if not world.unreadable or os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
