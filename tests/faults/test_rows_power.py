"""Row 5 of the fault catalogue: the power is cut, and what was not synced is lost or mixed up.

What the local storage asks of the system is recorded: files made, written, named, removed and
synced, folders made and synced. At any moment the power may be cut. What was synced by then is on
the disk; of the rest, whatever suits the disk: a name may be there or not, each by itself and in
no order, and the bytes of a file may be there, missing, cut short or zeros. The method is that of
SQLite's crash tests (https://sqlite.org/testing.html, section 3.3).
"""

from __future__ import annotations

import os
import random
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest

from holdfast.backend import LocalBackend, MemoryBackend
from holdfast.clock import SYSTEM_CLOCK
from holdfast.engine.repository import Repository
from holdfast.errors import RepositoryNotFound
from holdfast.overrides import override
from holdfast.store import Store
from holdfast.testing.repositories import attached, new_store, reopened

if TYPE_CHECKING:
    from tests.length import Stride

    from holdfast.backend import Buffer

pytestmark = [
    pytest.mark.usefixtures("cheap_passwords"),
    pytest.mark.skipif(
        not Path("/proc/self/fd").exists(), reason="takes /proc to name descriptors"
    ),
]

Entries: TypeAlias = dict[str, "File | Folder"]
Change: TypeAlias = Callable[[Entries], None]


@dataclass(eq=False)
class File:
    """A file, by whatever names: what was written into it, and whether that was synced."""

    data: bytes = b""
    is_synced: bool = False


@dataclass(eq=False)
class Folder:
    """A folder: the names on the disk, and what has changed since it was synced."""

    durable: Entries = field(default_factory=dict)
    pending: list[Change] = field(default_factory=list)
    now: Entries = field(default_factory=dict)

    def change(self, change: Change) -> None:
        change(self.now)
        self.pending.append(change)


Step: TypeAlias = Callable[["Disk"], None]


class Disk:
    """The folders below a path as they are on the disk, and as programs see them."""

    def __init__(self) -> None:
        self.root = Folder()

    def folder(self, path: str) -> Folder:
        found = self.root
        for part in path.split("/") if path else ():
            below = found.now[part]
            assert isinstance(below, Folder)
            found = below
        return found

    def file(self, path: str) -> File:
        above, _, name = path.rpartition("/")
        found = self.folder(above).now[name]
        assert isinstance(found, File)
        return found

    def after_a_cut(self, cut: Cut) -> MemoryBackend:
        """The objects that are found when the power is back."""
        objects = MemoryBackend()
        self._collect(self.root, "", cut, objects)
        return objects

    def _collect(self, folder: Folder, prefix: str, cut: Cut, objects: MemoryBackend) -> None:
        entries = dict(folder.durable)
        for change in folder.pending:
            if cut.is_there():
                change(entries)
        for name, entry in entries.items():
            if isinstance(entry, Folder):
                self._collect(entry, f"{prefix}{name}/", cut, objects)
            elif not name.startswith(".tmp-"):
                objects.put(prefix + name, entry.data if entry.is_synced else cut.spoil(entry.data))


class Cut:
    """What a disk makes of that which was not synced."""

    def is_there(self) -> bool:
        """Whether a change of names was done nevertheless."""
        return False

    def spoil(self, data: bytes) -> bytes:
        """What is in a file that was not synced."""
        return data[:0]


class Zeroing(Cut):
    """All names are there, and nothing behind them, as on a file system that delays blocks."""

    @override
    def is_there(self) -> bool:
        return True

    @override
    def spoil(self, data: bytes) -> bytes:
        return bytes(len(data))


class Mixing(Cut):
    """Any of it, in no order."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - the same in every run

    @override
    def is_there(self) -> bool:
        return self._random.random() < 0.5

    @override
    def spoil(self, data: bytes) -> bytes:
        whole = self._random.randrange(len(data) + 1)
        return self._random.choice([data, data[:whole], data[:whole] + bytes(len(data) - whole)])


CUTS: dict[str, Callable[[int], Cut]] = {
    "lost": lambda _: Cut(),
    "zeroed": lambda _: Zeroing(),
    "mixed up": Mixing,
}
cuts = pytest.mark.parametrize("cut", CUTS)


class Recorder:
    """Does what the system is asked for below a path, and keeps it as steps."""

    def __init__(self, root: Path) -> None:
        self.steps: list[Step] = []
        self._root = str(root)
        self._lock = threading.Lock()
        self._real = {
            name: getattr(os, name)
            for name in ("open", "write", "fsync", "mkdir", "replace", "link", "unlink")
        }

    def install(self, patch: pytest.MonkeyPatch) -> None:
        for name in self._real:
            patch.setattr(os, name, getattr(self, f"_{name}"))

    def _path(self, name: str | os.PathLike[str], folder: int | None) -> str | None:
        """Where an entry is below the root; None if it is elsewhere."""
        above = "" if folder is None else self._target(folder) + "/"
        return self._below(os.path.normpath(above + os.fspath(name)))

    def _below(self, path: str) -> str | None:
        return path[len(self._root) + 1 :] if path.startswith(self._root + "/") else None

    @staticmethod
    def _target(descriptor: int) -> str:
        return str(Path(f"/proc/self/fd/{descriptor}").readlink())

    def _opened(self, descriptor: int) -> str | None:
        return self._below(self._target(descriptor))

    def _open(
        self,
        path: str | os.PathLike[str],
        flags: int,
        mode: int = 0o777,
        *,
        dir_fd: int | None = None,
    ) -> int:
        with self._lock:
            descriptor: int = self._real["open"](path, flags, mode, dir_fd=dir_fd)
            if flags & os.O_CREAT and (where := self._path(path, dir_fd)):
                self._name(where, lambda _: File())
            return descriptor

    def _write(self, descriptor: int, data: Buffer) -> int:
        with self._lock:
            done: int = self._real["write"](descriptor, data)
            if where := self._opened(descriptor):
                piece = bytes(memoryview(data)[:done])

                def write(disk: Disk) -> None:
                    file = disk.file(where)
                    file.data += piece
                    file.is_synced = False

                self.steps.append(write)
            return done

    def _fsync(self, descriptor: int) -> None:
        with self._lock:
            self._real["fsync"](descriptor)
            where = self._opened(descriptor)
            if where is None and self._target(descriptor) != self._root:
                return
            is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)

            def sync(disk: Disk) -> None:
                if is_folder:
                    folder = disk.folder(where or "")
                    folder.durable = dict(folder.now)
                    folder.pending = []
                else:
                    disk.file(where or "").is_synced = True

            self.steps.append(sync)

    def _mkdir(
        self, path: str | os.PathLike[str], mode: int = 0o777, *, dir_fd: int | None = None
    ) -> None:
        with self._lock:
            self._real["mkdir"](path, mode, dir_fd=dir_fd)
            if where := self._path(path, dir_fd):
                self._name(where, lambda _: Folder())

    def _replace(self, source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        with self._lock:
            self._real["replace"](source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
            assert src_dir_fd == dst_dir_fd
            old = self._path(source, src_dir_fd)
            if old and (new := self._path(target, dst_dir_fd)):
                self._name(new, lambda disk: disk.file(old), without=source)

    def _link(
        self, source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int, follow_symlinks: bool
    ) -> None:
        with self._lock:
            self._real["link"](
                source,
                target,
                src_dir_fd=src_dir_fd,
                dst_dir_fd=dst_dir_fd,
                follow_symlinks=follow_symlinks,
            )
            old = self._path(source, src_dir_fd)
            if old and (new := self._path(target, dst_dir_fd)):
                self._name(new, lambda disk: disk.file(old))

    def _unlink(self, path: str | os.PathLike[str], *, dir_fd: int | None = None) -> None:
        with self._lock:
            self._real["unlink"](path, dir_fd=dir_fd)
            if where := self._path(path, dir_fd):
                above, _, leaf = where.rpartition("/")
                self.steps.append(
                    lambda disk: disk.folder(above).change(lambda names: _drop(names, leaf))
                )

    def _name(
        self, where: str, entry: Callable[[Disk], File | Folder], without: str | None = None
    ) -> None:
        """One change of a folder: a name comes, and with a rename another goes."""
        above, _, leaf = where.rpartition("/")

        def name(disk: Disk) -> None:
            named = entry(disk)

            def change(names: Entries) -> None:
                names[leaf] = named
                if without is not None:
                    _drop(names, without)

            disk.folder(above).change(change)

        self.steps.append(name)


def _drop(names: Entries, leaf: str) -> None:
    names.pop(leaf, None)


@dataclass
class History:
    """What was done to a repository, step by step.

    Attributes:
        store: the repository, for its keys.
        steps: what the system was asked for.
        done: the step at which a verb had returned, and what is promised since then.
    """

    store: Store
    steps: list[Step]
    done: list[tuple[int, dict[str, bytes]]]

    def promised(self, number: int) -> dict[str, bytes]:
        """What each snapshot must hold when the power is cut before that step."""
        return [kept for step, kept in self.done if step <= number][-1]

    def cuts(self, cut: str, chosen: range) -> Iterator[tuple[int, MemoryBackend]]:
        disk = Disk()
        for number, step in enumerate(self.steps):
            if number in chosen:
                yield number, disk.after_a_cut(CUTS[cut](number))
            step(disk)
        yield len(self.steps), disk.after_a_cut(CUTS[cut](0))

    def opened(self, backend: MemoryBackend) -> Repository:
        return Repository(attached(self.store, backend), SYSTEM_CLOCK)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("power")


@pytest.fixture(scope="module")
def history(place: Path) -> History:
    """Three backups, the first forgotten and pruned away, and one more."""
    root = place / "disk"
    root.mkdir()
    source = place / "source"
    recorder = Recorder(root)
    done: list[tuple[int, dict[str, bytes]]] = [(-1, {})]
    with pytest.MonkeyPatch.context() as patch:
        recorder.install(patch)
        store = new_store(LocalBackend(root))
        repository = Repository(store, SYSTEM_CLOCK)
        kept: dict[str, bytes] = {}

        def returned() -> None:
            done.append((len(recorder.steps), dict(kept)))

        returned()
        for turn in range(3):
            back_up(repository, source, turn, kept)
            returned()
        first = next(iter(kept))
        del kept[first]
        done[-1] = (done[-1][0], dict(kept))  # it may be gone from here on
        repository.forget(first)
        repository.prune(max_unused="0", force=True)
        returned()
        back_up(repository, source, 3, kept)
        returned()
    shutil.rmtree(root)
    return History(store, recorder.steps, done)


def content(turn: int) -> bytes:
    return random.Random(turn).randbytes(20_000)  # noqa: S311 - the same in every run


def back_up(repository: Repository, source: Path, turn: int, kept: dict[str, bytes]) -> None:
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir()
    (source / "file").write_bytes(content(turn))
    snapshot = repository.backup(source).snapshot
    assert snapshot is not None
    kept[snapshot.id] = content(turn)


@pytest.mark.fault(5)
@cuts
def test_what_was_promised_outlives_a_power_cut(
    history: History, place: Path, cut: str, stride: Stride
) -> None:
    """Sampled, every fifth moment, others for each kind of cut."""
    moments = stride(range(len(history.steps)), 5, list(CUTS).index(cut))
    for number, objects in history.cuts(cut, moments):
        promised = history.promised(number)
        repository = history.opened(objects)
        found = {snapshot.id for snapshot in repository.snapshots()}
        assert promised.keys() <= found, number
        for snapshot, expected in promised.items():
            with repository.open_file(snapshot, place / "source/file") as file:
                assert file.read() == expected, number
        report = repository.check(read_data=True)
        assert report.valid, (number, report.findings)


@pytest.mark.fault(1, 5)
@cuts
def test_a_repository_that_was_made_opens_after_a_power_cut(history: History, cut: str) -> None:
    made = history.done[1][0]
    for number, objects in history.cuts(cut, range(made + 1)):
        try:
            reopened(objects)
        except RepositoryNotFound:
            assert number < made
        if number == made:
            break


def test_the_recording_is_what_happened(history: History) -> None:
    """The model of a disk on which all was synced is the folder that there was."""
    disk = Disk()
    for step in history.steps:
        step(disk)
    objects = disk.after_a_cut(Zeroing())
    report = history.opened(objects).check(read_data=True, full=True)
    assert report.valid
    assert len(history.steps) > 100
    kinds = {info.name.partition("/")[0] for info in objects.list("")}
    assert {"config", "data", "index", "keys", "snapshots"} <= kinds
