"""A tree that changes between any two system calls of its backup.

The backup is stopped before each of its calls in turn, and at that moment one thing in the tree
becomes another; in some cases it is back as it was a few calls later. What must hold afterwards is
told by the states that the tree was in: see `Race.judge`.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from tests.faults.moments import Moments
from typing_extensions import override

from holdfast.clock import SystemClock
from holdfast.engine.repository import Repository
from holdfast.filesystem import ExcludeRules, LocalSource, read_xattrs
from holdfast.model.file import SnapshotFile
from holdfast.model.node import Content, Node, NodeType
from holdfast.model.roles import BlobLoader
from holdfast.model.snapshot import Snapshot
from holdfast.model.tree import load_directory
from holdfast.model.walk import lookup
from holdfast.operations.backup import BackupOptions, BackupOutcome, backup_tree
from holdfast.operations.ingest import Ingest
from holdfast.primitives.ids import BlobId
from holdfast.progress import Progress
from holdfast.store import Store
from holdfast.testing.content import noise
from holdfast.testing.repositories import SMALL_CHUNKS, new_store

if TYPE_CHECKING:
    from tests.length import Stride

pytestmark = pytest.mark.fault(37)

TYPES = {
    stat.S_IFREG: NodeType.FILE,
    stat.S_IFDIR: NodeType.DIRECTORY,
    stat.S_IFLNK: NodeType.SYMLINK,
    stat.S_IFIFO: NodeType.FIFO,
    stat.S_IFSOCK: NodeType.SOCKET,
}
CACHE = b"Signature: 8a477f597d28d172789f06886806bc55"
SECRET = b"nobody asked for this to be backed up"


class Ahead(SystemClock):
    """An hour ahead: every file is old, so only what is known of it tells whether it changed."""

    @override
    def now_ns(self) -> int:
        return super().now_ns() + 3600 * 10**9


class Seen(NamedTuple):
    """What there is to know of an entry; `content` is a link's target, too."""

    kind: NodeType
    mode: int
    owner: tuple[int, int]
    mtime: int
    content: bytes
    xattrs: tuple[tuple[bytes, bytes], ...]


State = dict[bytes, Seen]
"""A tree at one moment, by path below its root."""


@dataclass
class Scene:
    """A small tree, and beside it what no backup of it may read.

    Attributes:
        folder: for all of it.
        rules: what the backups leave out.
    """

    folder: Path
    rules: ExcludeRules = field(default_factory=ExcludeRules)
    clock: SystemClock = field(default_factory=Ahead)

    def __post_init__(self) -> None:
        self.tree = self.folder / "tree"
        self.outside = self.folder / "outside"
        self.aside = self.folder / "aside"
        self.store: Store = new_store(clock=self.clock)
        (self.outside / "sub").mkdir(parents=True)
        for name in ("a.txt", "one", "sub/two", "secret"):
            (self.outside / name).write_bytes(SECRET)

    def build(self) -> None:
        """Make the tree anew, and let the file system's clock go on."""
        for path in (self.tree, self.aside):
            shutil.rmtree(path, ignore_errors=True)
        (self.tree / "dir/sub").mkdir(parents=True)
        (self.tree / "dir2").mkdir()
        self.aside.mkdir()
        files = {"a.txt": 40, "big": 9000, "dir/one": 50, "dir/sub/two": 60, "dir2/three": 30}
        for number, (name, size) in enumerate(files.items()):
            (self.tree / name).write_bytes(noise(size, number))
        (self.tree / "empty").touch()
        (self.tree / "first").write_bytes(b"several names")
        (self.tree / "second").hardlink_to(self.tree / "first")
        (self.tree / "dir/third").hardlink_to(self.tree / "first")
        (self.tree / "link").symlink_to("a.txt")
        os.mkfifo(self.tree / "pipe")
        with (self.tree / "sparse").open("wb") as file:
            file.write(noise(5000, 7))
            file.truncate(200_000)
        (self.tree / "z").write_bytes(b"the last one")
        self._tick()

    def _tick(self) -> None:
        """Wait until what is changed from now on has other times."""
        probe = self.folder / "probe"
        probe.touch()
        first = probe.stat().st_ctime_ns
        while probe.stat().st_ctime_ns < first + 5_000_000:
            probe.touch()

    def backup(self, parent: Snapshot | None = None) -> BackupOutcome:
        source = LocalSource([self.tree], self.rules)
        options = BackupOptions(host="host", user="user", os="os", program="test", parent=parent)
        with self.store.writer({}) as writer, self.store.loader() as loader:
            ingest = Ingest(writer, SMALL_CHUNKS, self.store.chunker_seed())
            return backup_tree(source, writer, ingest, loader, options, self.clock, Progress(None))

    def stored(self, outcome: BackupOutcome) -> dict[bytes, tuple[Node, Seen]]:
        """What a snapshot has of the tree."""
        with self.store.loader() as loader:
            root = lookup(outcome.snapshot.tree, os.fsencode(self.tree), loader)
            return dict(_stored(root, b"", loader))

    def check(self) -> None:
        """Nothing is wrong with what all of these backups have stored."""
        report = Repository(self.store, self.clock).check(read_data=True)
        assert report.valid, report


def _stored(
    directory: Node, path: bytes, loader: BlobLoader
) -> Iterator[tuple[bytes, tuple[Node, Seen]]]:
    assert isinstance(directory.payload, bytes)
    for node in load_directory(BlobId(directory.payload), loader):
        below = path + b"/" + node.name if path else node.name
        content = b""
        if node.type == NodeType.FILE:
            content = SnapshotFile(node, loader).read() or b""
        elif node.type == NodeType.SYMLINK:
            assert isinstance(node.payload, bytes)
            content = node.payload
        kind = NodeType(node.type)
        seen = Seen(kind, node.mode, (node.uid, node.gid), node.mtime, content, node.xattrs)
        yield below, (node, seen)
        if node.type == NodeType.DIRECTORY:
            yield from _stored(node, below, loader)


def observed(tree: Path) -> State:
    """What is there now."""
    return dict(_observed(tree, b""))


def _observed(directory: Path, path: bytes) -> Iterator[tuple[bytes, Seen]]:
    for entry in sorted(directory.iterdir()):
        status = entry.lstat()
        kind = TYPES[stat.S_IFMT(status.st_mode)]
        content = b""
        if kind is NodeType.FILE:
            content = entry.read_bytes()
        elif kind is NodeType.SYMLINK:
            content = os.fsencode(entry.readlink())
        xattrs, _ = read_xattrs(os.fsencode(entry)) if kind in _WITH_XATTRS else ((), [])
        below = path + b"/" + os.fsencode(entry.name) if path else os.fsencode(entry.name)
        mode, owner = stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid)
        yield below, Seen(kind, mode, owner, status.st_mtime_ns, content, xattrs)
        if kind is NodeType.DIRECTORY:
            yield from _observed(entry, below)


_WITH_XATTRS = (NodeType.FILE, NodeType.DIRECTORY)

# What can happen to one entry

Step = Callable[[Scene, Path], None]


def grow(_: Scene, path: Path) -> None:
    with path.open("ab") as file:
        file.write(noise(3000, 99))


def shrink(_: Scene, path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(_: Scene, path: Path) -> None:
    os.truncate(path, 0)


def rewrite(_: Scene, path: Path) -> None:
    """Other bytes, and as many; the mtime is put back."""
    status = path.stat()
    with path.open("r+b") as file:
        file.write(bytes(byte ^ 255 for byte in path.read_bytes()))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def replace(scene: Scene, path: Path) -> None:
    new = scene.aside / "new"
    new.write_bytes(noise(path.stat().st_size, 98))
    new.replace(path)


def remove(_: Scene, path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def rename_back(_: Scene, path: Path) -> None:
    """To a name that the backup has passed already, if it is at this directory."""
    path.rename(path.with_name("!" + path.name))


def rename_ahead(_: Scene, path: Path) -> None:
    path.rename(path.with_name("zz" + path.name))


def move_up(scene: Scene, path: Path) -> None:
    path.rename(scene.tree / ("up" + path.name))


def move_down(scene: Scene, path: Path) -> None:
    path.rename(scene.tree / "dir2" / path.name)


def change_mode(_: Scene, path: Path) -> None:
    path.chmod(0o700)


def add_name(_: Scene, path: Path) -> None:
    path.with_name("another name").hardlink_to(path)


def add_attribute(_: Scene, path: Path) -> None:
    with suppress(OSError):  # not every file system has any
        os.setxattr(path, "user.race", b"added")


def put_aside(scene: Scene, path: Path) -> None:
    path.rename(scene.aside / path.name)


def bring_back(scene: Scene, path: Path) -> None:
    with suppress(FileNotFoundError):
        path.rename(scene.aside / "gone")
    (scene.aside / path.name).rename(path)


def to_link(scene: Scene, path: Path) -> None:
    """A link to what must not be read: in the place of a directory to one with its names."""
    is_directory = path.is_dir()
    put_aside(scene, path)
    path.symlink_to(scene.outside if is_directory else scene.outside / "secret")


def to_fifo(scene: Scene, path: Path) -> None:
    put_aside(scene, path)
    os.mkfifo(path)


def to_socket(scene: Scene, path: Path) -> None:
    put_aside(scene, path)
    place = scene.folder / "s"
    with socket.socket(socket.AF_UNIX) as unix:
        here = os.open(".", os.O_RDONLY)
        os.chdir(scene.folder)  # the path of a socket is short
        unix.bind(place.name)
        os.fchdir(here)
        os.close(here)
    place.rename(path)


def to_directory(scene: Scene, path: Path) -> None:
    put_aside(scene, path)
    (path / "inner").mkdir(parents=True)
    (path / "inner/file").write_bytes(b"in what was none")


def to_file(scene: Scene, path: Path) -> None:
    put_aside(scene, path)
    path.write_bytes(b"a file now")


def to_other_directory(scene: Scene, path: Path) -> None:
    new = scene.aside / "new"
    shutil.copytree(scene.outside / "sub", new)
    (new / "two").write_bytes(b"of another directory")
    put_aside(scene, path)
    new.rename(path)


def swap(scene: Scene, path: Path) -> None:
    """Two directories change their names."""
    put_aside(scene, path)
    (scene.tree / "dir2").rename(path)
    (scene.aside / path.name).rename(scene.tree / "dir2")


def fill(_: Scene, path: Path) -> None:
    (path / "!new").write_bytes(b"new")
    (path / "zz/new").mkdir(parents=True)
    (path / "zz/new/file").write_bytes(b"new")


def clear(_: Scene, path: Path) -> None:
    for below in path.iterdir():
        remove(_, below)


def close_up(_: Scene, path: Path) -> None:
    path.chmod(0)


FILES = (
    grow, shrink, empty, rewrite, replace, remove, rename_back, rename_ahead, move_up, move_down,
    change_mode, add_name, add_attribute, to_link, to_fifo, to_socket, to_directory,
)  # fmt: skip
DIRECTORIES = (
    remove, rename_back, rename_ahead, move_up, move_down, to_link, to_fifo, to_file,
    to_other_directory, swap, fill, clear, add_attribute,
    *([close_up] if os.geteuid() == 0 else []),  # nobody else could look at what is in it
)  # fmt: skip
OTHERS = (remove, rename_back, move_down, to_file, to_link, to_fifo, to_directory)
FOR_A_WHILE = (put_aside, to_link, to_fifo, to_file, to_directory)


class Case(NamedTuple):
    """What happens to which entry; `lasting` is for how many calls, 0 for ever."""

    path: str
    step: Step
    lasting: int = 0

    @override
    def __str__(self) -> str:
        ending = f" for {self.lasting}" if self.lasting else ""
        return f"{self.path} {self.step.__name__}{ending}"


CASES = [
    *(Case(path, step) for path in ("a.txt", "big", "dir/one", "first") for step in FILES),
    *(Case(path, step) for path in ("dir", "dir/sub") for step in DIRECTORIES),
    *(Case(path, step) for path in ("link", "pipe", "empty") for step in OTHERS),
    *(
        Case(path, step, lasting)
        for path in ("a.txt", "big", "dir", "dir/sub", "link")
        for step in FOR_A_WHILE
        for lasting in (1, 3)
    ),
]


class Race:
    """A backup during which a case happens, from its `at`th call on.

    Attributes:
        states: of the tree: before, and after each step.
        calls: of the backup.
    """

    def __init__(self, scene: Scene, case: Case, at: int) -> None:
        self._scene = scene
        self._case = case
        self._at = at
        self.states: list[State] = []
        self.calls = 0

    def backup(self, parent: Snapshot | None) -> BackupOutcome:
        self.states.append(observed(self._scene.tree))
        with Moments(self._act, self._look) as moments:
            outcome = self._scene.backup(parent)
        self.calls = moments.count
        return outcome

    def _act(self, number: int) -> None:
        path = self._scene.tree / self._case.path
        if number == self._at:
            self._case.step(self._scene, path)
        elif self._case.lasting and number == self._at + self._case.lasting:
            bring_back(self._scene, path)
        else:
            return
        self.states.append(observed(self._scene.tree))

    def _look(self, path: bytes) -> None:
        outside = os.fsencode(self._scene.outside)
        assert not path.startswith(outside), f"{path!r} was opened"

    def judge(self, outcome: BackupOutcome) -> None:
        """What is stored was so at some moment, and what is not is told of, or was not there."""
        stored = self._scene.stored(outcome)
        base = os.fsencode(self._scene.tree) + b"/"
        told = {problem.path.removeprefix(base) for problem in outcome.problems}
        assert outcome.problem_count == len(outcome.problems)
        for path, (node, seen) in stored.items():
            _was_so(path, node, seen, [state.get(path) for state in self.states])
        always = set.intersection(*map(set, self.states))
        for path in always - stored.keys():
            assert _is_told(path, told), f"{path!r} is missing, and nobody is told"
        for path in told:
            assert self._is_concerned(path), f"{path!r} was reported, and nothing happened to it"
        groups: dict[tuple[int, int], Content | bytes | int | None] = {}
        for node, _ in stored.values():
            if node.filesystem is not None:
                payload = groups.setdefault((node.filesystem, node.inode), node.payload)
                assert payload == node.payload, "names of one file that differ"

    def _is_concerned(self, path: bytes) -> bool:
        touched = os.fsencode(self._case.path)
        if path == touched or path.startswith(touched + b"/") or touched.startswith(path + b"/"):
            return True
        return any(state.get(path) != self.states[0].get(path) for state in self.states)


def _is_told(path: bytes, told: Iterable[bytes]) -> bool:
    return any(path == each or path.startswith(each + b"/") for each in told)


def _was_so(path: bytes, node: Node, seen: Seen, states: Sequence[Seen | None]) -> None:
    there = [state for state in states if state is not None]
    assert there, f"{path!r} never was"
    assert seen.kind in {state.kind for state in there}, path
    if seen.kind == NodeType.FILE:
        if node.extra is None:
            assert seen[:5] in {state[:5] for state in there}, path
        else:
            assert node.extra == {"changed": True}
        assert len(seen.content) == node.size
    else:
        assert seen.content in {state.content for state in there}, path
        assert seen.mode in {state.mode for state in there}, path
        is_removed = None in states  # which changes the times of a directory as it is emptied
        assert is_removed or seen.mtime in {state.mtime for state in there}, path
    assert seen.xattrs in {state.xattrs for state in there}, path


def tried(scene: Scene, case: Case, at: int, *, is_second: bool) -> bool:
    """Try a case at one moment; False when the backup has fewer calls."""
    scene.build()
    parent = scene.backup().snapshot if is_second else None
    race = Race(scene, case, at)
    outcome = race.backup(parent)
    if at > race.calls:
        return False
    race.judge(outcome)
    following = scene.backup(outcome.snapshot)
    assert following.problems == ()
    found = scene.stored(following)
    assert {path: seen for path, (_, seen) in found.items()} == observed(scene.tree)
    assert all(node.extra is None for node, _ in found.values())
    return True


def test_a_file_that_changes_at_every_moment(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    for name in ("big", "a.txt", "dir/one", "first"):
        scene.build()
        path = scene.tree / name
        contents = [path.read_bytes()]

        def change(_: int, path: Path = path, contents: list[bytes] = contents) -> None:
            with path.open("ab") as file:
                file.write(b"!")
            contents.append(path.read_bytes())

        with Moments(change):
            outcome = scene.backup()
        assert outcome.problems == ()
        node, seen = scene.stored(outcome)[os.fsencode(name)]
        assert node.extra == {"changed": True}
        assert seen.content in contents  # it only grew
        following = scene.stored(scene.backup(outcome.snapshot))
        assert {path: seen for path, (_, seen) in following.items()} == observed(scene.tree)
    scene.check()


def test_the_marker_of_a_cache_changes_at_any_moment(tmp_path: Path, stride: Stride) -> None:
    """A directory is left out or not, whatever the marker becomes; it is read only as a file."""
    scene = Scene(tmp_path, ExcludeRules(caches=True))
    with Moments(lambda _: None) as moments:
        scene.build()
        scene.backup()
    for number, step in enumerate((to_fifo, to_link, to_directory, remove, empty)):
        for at in stride(range(1, moments.count), 31, first=6 * number):
            scene.build()
            marker = scene.tree / "dir/sub/CACHEDIR.TAG"
            marker.write_bytes(CACHE)
            race = Race(scene, Case("dir/sub/CACHEDIR.TAG", step), at)
            outcome = race.backup(None)
            stored = scene.stored(outcome)
            told = {problem.path for problem in outcome.problems}
            assert told <= {os.fsencode(marker)}
            kept = {path for path in stored if path.startswith(b"dir/sub/")}
            others = set(race.states[0]) - {b"dir/sub/two", b"dir/sub/CACHEDIR.TAG"}
            assert stored.keys() - kept == others
            assert SECRET not in {seen.content for _, seen in stored.values()}
    scene.check()


def test_one_thing_changes_at_some_moment(tmp_path: Path) -> None:
    """The one right before it is read, or in an unchanged tree any."""
    scene = Scene(tmp_path)
    scene.build()
    with Moments(lambda _: None) as first:
        parent = scene.backup().snapshot
    with Moments(lambda _: None) as second:
        scene.backup(parent)
    for number, case in enumerate(case for case in CASES if not case.lasting):
        is_second = bool(number % 2)
        at = 1 + number * 31 % (second.count - 5)  # a change may save a few calls
        if not is_second:
            at = first.about[os.fsencode(Path(case.path).name)][-1]
        assert tried(scene, case, at, is_second=is_second), f"{case} at {at}"
    scene.check()


@pytest.mark.soak
@pytest.mark.parametrize("is_second", [False, True], ids=["first", "second"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_one_thing_changes_at_any_moment(tmp_path: Path, case: Case, *, is_second: bool) -> None:
    scene = Scene(tmp_path)
    moments = 0
    while tried(scene, case, moments + 1, is_second=is_second):
        moments += 1
    assert moments > 70
    scene.check()
