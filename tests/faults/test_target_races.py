"""A target in which somebody swaps things between any two system calls of a restore.

The restore is stopped before each of its calls in turn; at that moment an entry of the target
becomes a way out of it, for good or for a few calls. Nothing outside may ever be created, changed
or removed, and a restore that is left in peace afterwards makes the target whole.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from tests.faults.moments import Moments
from tests.unit.platform.managers.scene import Scene as Managers
from typing_extensions import override

from holdfast.operations.restore import Overwrite, RestoreOptions, restore
from holdfast.operations.restore.pool import Batch, Pool
from holdfast.testing.blobs import MemoryBlobs
from holdfast.testing.trees import (
    Entry,
    directory,
    expected,
    fifo,
    file,
    observed,
    save_tree,
    symlink,
)

if TYPE_CHECKING:
    from tests.length import Stride

pytestmark = pytest.mark.fault(34)

NOBODY = 65534
CALLS = 100
"""So many at least has every restore here."""

PRECIOUS = b"precious"


def tree() -> Entry:
    """Something of each kind, at two depths, with what only its owner may give a file."""
    mine = (os.geteuid(), os.getegid()) if os.geteuid() else (1234, 5678)
    inner = directory(
        {
            b"f": file(b"evil", mode=0o4777).but(owner=mine),
            b"g": file(b"shared").but(group=1, owner=mine),
            b"p": fifo(mode=0o666).but(owner=mine),
        },
        mode=0o777,
    )
    return directory(
        {
            b"a": directory(
                {
                    b"b": inner,
                    b"f": file(b"evil", 4096, b"more", mode=0o777).but(owner=mine),
                    b"l": symlink(b"../f").but(owner=mine),
                    b"x": file(b"x", mode=0o666).but(xattrs=((b"user.evil", b"1"),), owner=mine),
                },
                mode=0o2777,
            ).but(owner=mine),
            b"f": file(b"evil" * 600, mode=0o4777).but(owner=mine),
            b"g": file(b"shared").but(group=1, owner=mine),
            b"z": file(b"last", mode=0o640),
        }
    )


class InOrder(Pool):
    """Restores entries as soon as they are handed over: the same calls in every run."""

    @override
    def submit(self, batch: Batch) -> None:
        try:
            batch.run()
        finally:
            batch.close()


@pytest.fixture(autouse=True)
def in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries are handed over in twos, so that directories are left and entered between them."""
    package = "holdfast.operations.restore"
    monkeypatch.setattr(import_module(f"{package}.restore"), "Pool", InOrder)
    for name in ("batch", "directories"):
        monkeypatch.setattr(import_module(f"{package}.{name}"), "MAX_ENTRIES", 2)


def wipe(path: Path) -> None:
    """Remove a directory if there is one, whatever the modes of those in it are."""
    for root, folders, _ in os.walk(path):
        for name in folders:
            if not Path(root, name).is_symlink():
                Path(root, name).chmod(0o700)
    if path.exists():
        shutil.rmtree(path)


Everything = list[tuple[object, ...]]


@dataclass
class Scene:
    """A target, and a folder beside it with the same names in it, and more.

    Attributes:
        folder: for both.
        is_old: the target holds other files of the same names already, and some more.
    """

    folder: Path
    is_old: bool

    def __post_init__(self) -> None:
        self.target = self.folder / "target"
        self.outside = self.folder / "outside"
        self.aside = self.folder / "aside"
        self.blobs = MemoryBlobs()
        self.root = tree()
        self.tree = save_tree(self.root, self.blobs)
        (self.outside / "a/b").mkdir(parents=True)
        for name in ("f", "g", "x", "p", "extra", "a/f", "a/extra", "a/b/f", "a/b/p", "a/b/extra"):
            (self.outside / name).write_bytes(PRECIOUS)
            (self.outside / name).chmod(0o600)

    def build(self) -> None:
        """Make the target anew."""
        for path in (self.target, self.aside):
            wipe(path)
            path.mkdir()
        if not self.is_old:
            return
        (self.target / "a/b/extra directory/inner").mkdir(parents=True)
        names = ("f", "z", "extra", "a/f", "a/x", "a/extra", "a/b/f", "a/b/extra directory/inner/f")
        for name in names:
            (self.target / name).write_bytes(b"old")
        (self.target / "a/b/g").mkdir()
        (self.target / "a/b").chmod(0o500)
        (self.target / "g").symlink_to("f")

    def everything_outside(self, *, with_links: bool) -> Everything:
        """All that a restore could change outside; not what a new name of a file changes itself."""
        found: Everything = []
        for root, folders, names in os.walk(self.outside):
            for name in (".", *folders, *names):
                path = Path(root, name)
                status = path.lstat()
                about = (status.st_mode, status.st_uid, status.st_gid, status.st_size)
                content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
                times = (status.st_mtime_ns, status.st_ino)
                links = (status.st_ctime_ns, status.st_nlink) if with_links else ()
                found.append((str(path), *about, *times, *links, content, *os.listxattr(path)))
        return sorted(found, key=lambda each: str(each[0]))


# What somebody puts in the place of an entry

Trick = Callable[[Scene, Path], None]


def link_to_its_like(scene: Scene, path: Path) -> None:
    """A link to what has the same path outside."""
    path.symlink_to(scene.outside / path.relative_to(scene.target))


def link_to_directory(scene: Scene, path: Path) -> None:
    path.symlink_to(scene.outside / "a")


def link_to_file(scene: Scene, path: Path) -> None:
    path.symlink_to(scene.outside / "f")


def other_name(scene: Scene, path: Path) -> None:
    """A hard link of a file outside."""
    path.hardlink_to(scene.outside / "f")


def pipe(_: Scene, path: Path) -> None:
    os.mkfifo(path)


def folder(_: Scene, path: Path) -> None:
    (path / "full").mkdir(parents=True)


def plain_file(_: Scene, path: Path) -> None:
    path.write_bytes(b"planted")


def nothing(_: Scene, __: Path) -> None:
    """It is gone."""


TRICKS = (
    link_to_its_like, link_to_directory, link_to_file, other_name, pipe, folder, plain_file,
    nothing,
)  # fmt: skip
TEMPORARY = ".holdfast-*"
PATHS = ("a", "a/b", "f", "a/f", "a/x", "a/l", "a/b/f", "a/b/g", "a/b/p", "g", TEMPORARY)


class Case(NamedTuple):
    """What is put in which place; for how many calls, 0 for ever."""

    path: str
    trick: Trick
    lasting: int = 0

    @override
    def __str__(self) -> str:
        ending = f" for {self.lasting}" if self.lasting else ""
        return f"{self.path} {self.trick.__name__}{ending}"


CASES = [Case(path, trick, lasting) for path in PATHS for trick in TRICKS for lasting in (0, 1, 3)]
"""A path with a `*` stands for all that has such a name."""


class Attack:
    """A case that happens before the `at`th call of a restore."""

    def __init__(self, scene: Scene, case: Case, at: int) -> None:
        self._scene = scene
        self._case = case
        self._at = at
        self._taken: list[Path] = []

    def during(self, deed: Callable[[], object]) -> int:
        """Do something while it happens; returns the number of calls that it had."""
        scene = self._scene
        # A new name changes the file itself: its number of names, and when that was.
        with_links = self._case.trick is not other_name
        before = scene.everything_outside(with_links=with_links)
        with Moments(self._act) as moments:
            deed()
        assert scene.everything_outside(with_links=with_links) == before
        return moments.count

    def _act(self, number: int) -> None:
        if number == self._at:
            for path in self._places():
                with suppress(PermissionError):  # of a directory that is closed just now
                    self._take(path)
        elif self._case.lasting and number == self._at + self._case.lasting:
            while self._taken:
                self._give_back(self._taken.pop())

    def _places(self) -> list[Path]:
        target, path = self._scene.target, self._case.path
        return list(target.rglob(path)) if "*" in path else [target / path]

    def _take(self, path: Path) -> None:
        with suppress(FileNotFoundError):
            path.rename(self._kept(path))
            self._taken.append(path)
        with suppress(FileNotFoundError):  # not even its directory is there
            self._case.trick(self._scene, path)

    def _give_back(self, path: Path) -> None:
        with suppress(OSError):  # the restore has removed it, or what it was in
            path.rename(self._scene.aside / "planted")
        with suppress(OSError):
            self._kept(path).rename(path)

    def _kept(self, path: Path) -> Path:
        return self._scene.aside / str(path.relative_to(self._scene.target)).replace("/", "+")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may use."""
    place = Path(tempfile.mkdtemp())
    place.chmod(0o777)
    yield place
    wipe(place)


@contextmanager
def as_user(number: int) -> Iterator[None]:
    """Be this user for a while."""
    if os.geteuid() == number:
        yield
        return
    os.setegid(number)
    os.seteuid(number)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


USERS = (0, NOBODY) if os.geteuid() == 0 else (os.geteuid(),)
WAYS = (
    RestoreOptions(),
    RestoreOptions(delete=True, verify=True),
    RestoreOptions(overwrite=Overwrite.IF_CHANGED, delete=True, sparse=True),
)


class Scenes:
    """A scene for each user, of an empty target and of an old one.

    Args:
        folder: for all of them.
    """

    def __init__(self, folder: Path) -> None:
        self._scenes: dict[tuple[int, bool], Scene] = {}
        for user in USERS:
            for is_old in (False, True):
                place = folder / f"{user}-{is_old}"
                with as_user(user):
                    place.mkdir()
                    self._scenes[user, is_old] = Scene(place, is_old)

    def calls_about(self, name: bytes, *, turn: int) -> list[int]:
        """The calls of an undisturbed restore to an old target that are about that name."""
        user = USERS[turn % len(USERS)]
        scene = self._scenes[user, True]
        with as_user(user):
            scene.build()
            with Moments(lambda _: None) as moments:
                restore(scene.tree, b"/", scene.target, scene.blobs, WAYS[turn // len(USERS)])
        return moments.about[name]

    def tried(self, case: Case, at: int, *, turn: int, is_old: bool) -> bool:
        """Try a case at one moment; False when the restore has fewer calls.

        Args:
            case: what happens.
            at: before which call.
            turn: says who restores, and in which way.
            is_old: the target is not empty.
        """
        user = USERS[turn % len(USERS)]
        options = WAYS[turn // len(USERS) % len(WAYS)]
        scene = self._scenes[user, is_old]
        with as_user(user):
            scene.build()
            calls = Attack(scene, case, at).during(
                lambda: restore(scene.tree, b"/", scene.target, scene.blobs, options)
            )
            again = restore(
                scene.tree, b"/", scene.target, scene.blobs, RestoreOptions(delete=True)
            )
            assert again.errors == ()
            assert observed(scene.target) == expected(scene.root)
        return at <= calls


@pytest.fixture
def scenes(open_folder: Path) -> Scenes:
    return Scenes(open_folder)


def test_something_is_swapped_at_some_moment(scenes: Scenes) -> None:
    for number, case in enumerate(case for case in CASES if not case.lasting):
        at = 1 + number * 53 % CALLS
        assert scenes.tried(case, at, turn=number, is_old=bool(number // 2 % 2)), f"{case} at {at}"


@pytest.mark.parametrize(
    ("path", "trick"),
    [("a", link_to_its_like), ("a/b", link_to_its_like), ("f", other_name), ("a/f", link_to_file)],
    ids=lambda each: getattr(each, "__name__", each),
)
def test_something_is_swapped_right_before_it_is_used(
    scenes: Scenes, path: str, trick: Trick
) -> None:
    name = os.fsencode(Path(path).name)
    for turn in range(2):
        moments = scenes.calls_about(name, turn=turn)
        assert moments
        for at in moments:
            scenes.tried(Case(path, trick), at, turn=turn, is_old=True)


@pytest.mark.soak
@pytest.mark.parametrize("is_old", [False, True], ids=["empty", "old"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_something_is_swapped_at_any_moment(scenes: Scenes, case: Case, *, is_old: bool) -> None:
    moments = 0
    passed = 0
    while passed < len(USERS) * len(WAYS):  # each of them has calls of its own
        moments += 1
        is_within = scenes.tried(case, moments, turn=moments, is_old=is_old)
        passed = 0 if is_within else passed + 1
    assert moments > CALLS


@pytest.mark.parametrize(
    ("place", "trick"),
    [("sub", link_to_directory), ("a.txt", other_name), ("sub/c.csv", link_to_file)],
    ids=lambda each: getattr(each, "__name__", each),
)
def test_something_is_swapped_while_a_restore_is_undone(
    tmp_path: Path, stride: Stride, place: str, trick: Trick
) -> None:
    managers = Managers(tmp_path)
    managers.tree()
    snapshot = managers.snapshot()
    scene = Scene(tmp_path, is_old=False)
    for name in ("a.txt", "c.csv", "a/c.csv"):
        (scene.outside / name).write_bytes(PRECIOUS)

    def undone(at: int) -> int:
        scene.build()
        (scene.target / "sub").mkdir()
        (scene.target / "sub/mine").write_bytes(b"of before")
        (scene.target / "a.txt").write_bytes(b"of before")
        managers.recovery.restore_snapshot(snapshot, scene.target, undoable=True, delete=True)
        return Attack(scene, Case(place, trick), at).during(managers.recovery.undo)

    calls = undone(0)
    assert (scene.target / "sub/mine").read_bytes() == b"of before"
    moments = range(1, calls, max(calls // 101, 1))
    for at in stride(moments, 41, first=20):
        undone(at)
    managers.close()


SWAPPER = """
import os, sys
target, outside = sys.argv[1:]
print("begun", flush=True)
while True:
    for name in ("a", "a/b", "f", "a/f", "a/x"):
        path = f"{target}/{name}"
        try:
            os.rename(path, f"{target}/../aside/taken")
            os.symlink(f"{outside}/{name}", path)
            os.unlink(path)
            os.rename(f"{target}/../aside/taken", path)
        except OSError:
            pass
"""


@pytest.mark.soak
@pytest.mark.parametrize("way", WAYS, ids=["plain", "delete", "if changed"])
def test_another_process_swaps_as_fast_as_it_can(
    tmp_path: Path, way: RestoreOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # with the threads that restore elsewhere
    scene = Scene(tmp_path, is_old=True)
    before = scene.everything_outside(with_links=True)
    scene.build()
    with subprocess.Popen(
        [sys.executable, "-c", SWAPPER, scene.target, scene.outside], stdout=subprocess.PIPE
    ) as swapper:
        assert swapper.stdout is not None
        swapper.stdout.readline()
        for _ in range(500):
            restore(scene.tree, b"/", scene.target, scene.blobs, way)
        assert swapper.poll() is None
        swapper.kill()
    assert scene.everything_outside(with_links=True) == before
    again = restore(scene.tree, b"/", scene.target, scene.blobs, RestoreOptions(delete=True))
    assert again.errors == ()
    assert observed(scene.target) == expected(scene.root)
