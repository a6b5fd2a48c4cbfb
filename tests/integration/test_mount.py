"""What is mounted is what would be restored, by real mounts of other processes.

They take FUSE: where the machine has none, these tests are skipped, or fail if
HOLDFAST_TEST_SERVERS is ``required``.
"""

from __future__ import annotations

import errno
import mmap
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from tests.integration.test_hostile_tree import (
    COMPARE,
    IS_ROOT,
    MAKERS,
    ROOT_MAKERS,
    make_source,
    remove,
)
from tests.servers.base import NotInstalledError, give_up

import holdfast
from holdfast.backend import open_backend
from holdfast.clock import SYSTEM_CLOCK
from holdfast.primitives.chunker import PROFILES
from holdfast.store import Settings, create_store
from holdfast.testing.content import noise
from holdfast.testing.repositories import PASSWORD, QUICK_KDF

PATIENCE = 200
READERS = 8
LARGE = 12 << 20
NO_DEVICE = """
from pathlib import Path
from holdfast.engine.snapshotfs import mount
mount.DEVICE = Path("/dev/no-fuse")
"""


def require_fuse() -> None:
    """Skip or fail where nothing can be mounted."""
    lacking = [
        name
        for name, is_there in (
            ("fuse3", shutil.which("fusermount3")),
            ("/dev/fuse", os.access("/dev/fuse", os.R_OK | os.W_OK)),
        )
        if not is_there
    ]
    if lacking:
        give_up(NotInstalledError(" and ".join(lacking)))


@dataclass
class Place:
    """A folder with the tree ``source``, its backup, and what was restored of it.

    Attributes:
        folder: the folder.
        inner: path of the tree within the snapshot.
    """

    folder: Path
    inner: str

    @property
    def source(self) -> Path:
        return self.folder / "source"

    @property
    def copy(self) -> Path:
        return self.folder / "copy/source"

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": str(Path(holdfast.__file__).parents[1]),
            "HOLDFAST_REPOSITORY": str(self.folder / "repo"),
            "HOLDFAST_PASSWORD": PASSWORD,
        }

    def open(self) -> holdfast.Repository:
        return holdfast.open(self.folder / "repo", password=PASSWORD, cache=False)


def new_repository(folder: Path) -> None:
    settings = Settings(PROFILES["default"], 4 << 20, 3)
    backend = open_backend(folder / "repo")
    create_store(backend, PASSWORD, settings, QUICK_KDF, SYSTEM_CLOCK, None).close()


def make_sparse(root: Path) -> None:
    with (root / "sparse").open("wb") as file:
        file.write(b"begin")
        file.seek(1 << 38)
        file.write(noise(300_000))
        file.truncate(1 << 40)
    (root / "large").write_bytes(noise(LARGE, 7))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    require_fuse()
    folder = tmp_path_factory.mktemp("mount")
    makers = MAKERS | {"sparse": make_sparse} | (ROOT_MAKERS if IS_ROOT else {})
    make_source(folder, makers)
    new_repository(folder)
    place = Place(folder, str(folder))
    with place.open() as repo:
        repo.backup(place.source)
        restored = repo.restore(f"latest:{folder}", folder / "copy", devices=IS_ROOT)
        assert restored.errors == ()
    yield place
    remove(folder)


@pytest.fixture
def mount_point(tmp_path: Path) -> Iterator[Path]:
    """An empty directory; what a failed test leaves mounted there is taken down."""
    where = tmp_path / "mnt"
    where.mkdir()
    yield where
    Mount.end_all(where)
    if is_mounted(where):
        subprocess.run(["fusermount3", "-uz", where], check=True)


@pytest.fixture(scope="module")
def tree(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A mount of the folder with the tree, for tests that only look."""
    with Mount(place, tmp_path_factory.mktemp("tree"), "-s", f"latest:{place.inner}") as mounted:
        yield mounted


def names(where: Path) -> list[str]:
    return sorted(each.name for each in where.iterdir())


def is_mounted(where: Path) -> bool:
    try:
        return where.is_mount()
    except OSError as error:
        return error.errno == errno.ENOTCONN


class Mount:
    """``holdfast mount`` in another process; a context manager that ends it."""

    _running: ClassVar[list[Mount]] = []

    def __init__(self, place: Place, where: Path, *arguments: str) -> None:
        self.where = where
        command = [sys.executable, "-m", "holdfast", "mount", str(where), *arguments]
        self.process = subprocess.Popen(
            command,
            env=place.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._running.append(self)
        assert self.process.stdout is not None
        assert self.process.stdout.readline().startswith(b"mounted at"), self.ended()

    def __enter__(self) -> Path:
        return self.where

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            assert self.ended()[0] == 0

    def ended(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=PATIENCE)
        self._running.remove(self)
        return self.process.returncode, out.decode(), err.decode()

    @classmethod
    def end_all(cls, where: Path) -> None:
        """End those that a failed test has left there."""
        for each in [mount for mount in cls._running if mount.where == where]:
            each.process.kill()
            each.ended()


def compared(first: Path, second: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, COMPARE, first, second],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )


def assert_same(*comparisons: subprocess.Popen[str]) -> None:
    for each in comparisons:
        out, err = each.communicate(timeout=PATIENCE)
        assert (each.returncode, err) == (0, ""), out
        assert int(out.split()[-4]) > 100, "entries were compared"


def answers(where: Path) -> bool:
    """Whether somebody answers for a mount."""
    try:
        return bool(names(where))
    except OSError:
        return False


def wait_until(happened: Callable[[], object]) -> None:
    deadline = time.perf_counter() + PATIENCE
    while not happened():
        assert time.perf_counter() < deadline, "it never happened"
        select.select([], [], [], 0.01)


# What is mounted


def test_a_mount_is_the_same_as_what_is_restored(place: Place, tree: Path) -> None:
    assert_same(compared(place.copy, tree / "source"))


def test_it_is_so_under_eight_parallel_readers(place: Place, mount_point: Path) -> None:
    expected = (place.source / "sparse/large").read_bytes()

    def read(seed: int) -> int:
        choose = random.Random(seed)  # noqa: S311 - the same in every run
        wrong = 0
        descriptor = os.open(large, os.O_RDONLY)
        for _ in range(40):
            offset, size = choose.randrange(LARGE), choose.choice((1, 4096, 70_000, 1 << 20))
            if seed % 2:  # past what the kernel keeps
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            wrong += os.pread(descriptor, size, offset) != expected[offset : offset + size]
        os.close(descriptor)
        return wrong

    with Mount(place, mount_point, "-s", f"latest:{place.inner}") as mounted:
        large = mounted / "source/sparse/large"
        running = [compared(place.copy, mounted / "source") for _ in range(READERS)]
        with ThreadPoolExecutor(READERS) as pool:
            assert list(pool.map(read, range(READERS))) == [0] * READERS
        assert_same(*running)


def test_grep_finds_the_same(place: Place, tree: Path) -> None:
    def found(root: Path) -> set[bytes]:
        done = subprocess.run(
            ["grep", "-rlZ", "--devices=skip", "ab", "."],
            cwd=root / "source",
            capture_output=True,
            check=True,
        )
        return set(done.stdout.split(b"\0"))

    names = found(tree)
    assert names == found(place.folder)
    assert len(names) > 5


def test_the_whole_repository_has_each_snapshot_once(place: Place, mount_point: Path) -> None:
    with place.open() as repo:
        snapshot = repo.snapshot("latest")
    with Mount(place, mount_point) as mounted:
        assert names(mounted) == ["hosts", "ids", "latest", "tags", "times"]
        root = mounted / "ids" / snapshot.id[:8]
        assert (mounted / "ids").stat().st_mode == 0o40555
        links = [
            mounted / "latest",
            mounted / f"times/{snapshot.time:%Y-%m-%dT%H-%M-%SZ}",
            mounted / f"hosts/{snapshot.host}/{snapshot.time:%Y-%m-%dT%H-%M-%SZ}",
            mounted / snapshot.id[:6],  # any name of a snapshot is found
        ]
        assert [each.is_symlink() for each in links] == [True] * 4
        assert {each.resolve() for each in links} == {root}
        assert (root / place.inner.lstrip("/") / "source").is_dir()
        with pytest.raises(FileNotFoundError):
            (mounted / "no-snapshot").stat()
        numbers = [each.stat(follow_symlinks=False).st_ino for each in (*links, root, mounted)]
        assert len(set(numbers)) == len(numbers)
    with Mount(place, mount_point) as mounted:
        assert [each.stat(follow_symlinks=False).st_ino for each in (*links, root)] == numbers[:-1]


def test_nothing_can_be_changed(tree: Path) -> None:
    file = tree / "source/contents/empty"
    for change in (
        (tree / "new").touch,
        lambda: file.write_bytes(b"x"),
        file.unlink,
        lambda: file.chmod(0o600),
        lambda: os.utime(file),
        lambda: os.setxattr(file, "user.x", b"1"),
        lambda: file.rename(tree / "other"),
        (tree / "folder").mkdir,
        lambda: os.link(file, tree / "link"),
    ):
        with pytest.raises(OSError, match="Read-only file system"):
            change()


def test_holes_are_found_without_reading_them(tree: Path) -> None:
    sparse = tree / "source/sparse/sparse"
    status = sparse.stat()
    assert (status.st_size, status.st_blocks * 512 < 4 << 20) == (1 << 40, True)
    descriptor = os.open(sparse, os.O_RDONLY)
    hole = os.lseek(descriptor, 0, os.SEEK_HOLE)
    data = os.lseek(descriptor, hole, os.SEEK_DATA)
    assert 5 <= hole < data <= 1 << 38
    assert os.pread(descriptor, 100, 1 << 38) == noise(300_000)[:100]
    for offset in ((1 << 38) + (4 << 20), 1 << 40, -1):
        with pytest.raises(OSError, match="No such device or address"):
            os.lseek(descriptor, offset, os.SEEK_DATA)
    os.close(descriptor)


def test_a_program_may_look_into_what_it_has_mounted(place: Place, mount_point: Path) -> None:
    expected = (place.source / "sparse/large").read_bytes()
    with place.open() as repo:
        with repo.mounted(mount_point, f"latest:{place.inner}/source/sparse") as mounted:
            assert mounted == mount_point
            with (
                (mounted / "large").open("rb") as file,
                mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as memory,
            ):
                assert memory[:] == expected  # each page fault holds this interpreter's lock
        assert not is_mounted(mount_point)
        with (
            pytest.raises(holdfast.SnapshotNotFound),
            repo.mounted(mount_point, "none of these"),
        ):
            pytest.fail("it was mounted")
        with (
            pytest.raises(holdfast.PathNotFound),
            repo.mounted(mount_point, "latest:/nowhere"),
        ):
            pytest.fail("it was mounted")
    with closing(holdfast.open(place.folder / "repo", password=PASSWORD, cache=False)) as repo:
        mounting = repo.mounted(mount_point)
        mounting.__enter__()
        subprocess.run(["fusermount3", "-u", mount_point], check=True)
        mounting.__exit__(None, None, None)


# How it ends


def signalled(number: signal.Signals) -> Callable[[Mount], object]:
    return lambda mount: mount.process.send_signal(number)


WAYS: dict[str, Callable[[Mount], object]] = {
    "SIGINT": signalled(signal.SIGINT),
    "SIGTERM": signalled(signal.SIGTERM),
    "SIGHUP": signalled(signal.SIGHUP),
    "fusermount3": lambda mount: subprocess.run(["fusermount3", "-u", mount.where], check=True),
    "umount": lambda mount: subprocess.run(["umount", mount.where], check=True),
}


@pytest.mark.parametrize("way", WAYS)
def test_it_is_unmounted_in_any_way(place: Place, mount_point: Path, way: str) -> None:
    if way == "umount" and not IS_ROOT:
        pytest.skip("only root may use umount")
    mount = Mount(place, mount_point)
    WAYS[way](mount)
    assert mount.ended() == (0, "unmounted\n", "")
    assert not is_mounted(mount_point)
    assert names(mount_point) == []


def test_a_signal_unmounts_what_is_in_use(place: Place, mount_point: Path) -> None:
    mount = Mount(place, mount_point, "-s", f"latest:{place.inner}")
    descriptor = os.open(mount_point / "source", os.O_RDONLY)
    mount.process.terminate()
    assert mount.ended()[0] == 0
    assert not is_mounted(mount_point)
    os.close(descriptor)


def test_after_a_crash_the_next_mount_says_what_to_do(place: Place, mount_point: Path) -> None:
    mount = Mount(place, mount_point)
    mount.process.kill()
    mount.ended()
    with pytest.raises(OSError, match="Transport endpoint is not connected"):
        names(mount_point)
    with (
        place.open() as repo,
        pytest.raises(holdfast.UsageError, match=f"fusermount3 -u {mount_point}"),
    ):
        repo.mount(mount_point)
    subprocess.run(["fusermount3", "-u", mount_point], check=True)
    with Mount(place, mount_point) as mounted:
        assert (mounted / "latest").is_dir()


# Bad input


def test_directories_that_nothing_can_be_mounted_onto(place: Place, tmp_path: Path) -> None:
    inside = place.folder / "repo/inside"
    inside.mkdir()
    (tmp_path / "file").touch()
    with place.open() as repo:
        for where, message in (
            (tmp_path, "not empty"),
            (tmp_path / "missing", "No such file"),
            (tmp_path / "file", "Not a directory"),
            (inside, "inside the repository"),
        ):
            with pytest.raises(holdfast.UsageError, match=message):
                repo.mount(where)
            with pytest.raises(holdfast.UsageError, match=message), repo.mounted(where):
                pytest.fail("it was mounted")
    inside.rmdir()


def test_a_file_or_nothing_cannot_be_mounted(place: Place, mount_point: Path) -> None:
    with place.open() as repo:
        with pytest.raises(holdfast.UsageError, match="not a directory"):
            repo.mount(mount_point, f"latest:{place.inner}/source/contents/empty")
        with pytest.raises(holdfast.PathNotFound):
            repo.mount(mount_point, "latest:/nowhere")
    assert not is_mounted(mount_point)


@pytest.mark.parametrize(
    ("code", "variables", "message"),
    [
        ("", {"FUSE_LIBRARY_NAME": "fuse-that-is-not"}, "install fuse3"),
        ("sys.modules['mfusepy'] = None", {}, r"pip install 'holdfast\[mount\]'"),
        (
            NO_DEVICE,
            {},
            "modprobe fuse",
        ),
    ],
)
def test_a_machine_without_fuse_is_told_what_to_do(
    place: Place, mount_point: Path, code: str, variables: dict[str, str], message: str
) -> None:
    program = f"import sys; {code}\nfrom holdfast.cli.main import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", program, "mount", mount_point],
        env=place.environment | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert message.replace("\\", "") in done.stderr
    assert "`holdfast serve`" in done.stderr


# What happens to the repository meanwhile


@pytest.fixture
def small(tmp_path: Path) -> Place:
    require_fuse()
    folder = tmp_path / "small"
    source = folder / "source"
    source.mkdir(parents=True)
    for number in range(8):
        (source / f"file{number}").write_bytes(noise(3 << 20, number))
    new_repository(folder)
    place = Place(folder, str(folder))
    with place.open() as repo:
        repo.backup(source)
    return place


def read_or_code(path: Path) -> tuple[int, bytes]:
    try:
        return 0, path.read_bytes()
    except OSError as error:
        return error.errno or -1, b""


def test_a_damaged_pack_is_named_and_the_rest_can_be_read(small: Place, mount_point: Path) -> None:
    packs = sorted(
        (each for each in (small.folder / "repo/data").rglob("*") if each.is_file()),
        key=lambda each: each.stat().st_size,
    )
    damaged = packs[-1]
    size = damaged.stat().st_size
    damaged.chmod(0o600)
    with damaged.open("r+b") as file:
        file.seek(size // 8)
        file.write(bytes(size // 8))
    mount = Mount(small, mount_point, "-s", f"latest:{small.inner}/source")
    failed = []
    for number in range(8):
        code, data = read_or_code(mount_point / f"file{number}")
        if code:
            assert code == errno.EIO
            failed.append(f"/file{number}")
        else:
            assert data == noise(3 << 20, number)
    assert 0 < len(failed) < 8
    mount.process.terminate()
    code, _, err = mount.ended()
    assert code == 0
    assert damaged.name in err
    for name in failed:
        assert f"{name}: data/" in err
    assert len(err.splitlines()) < 40, "not a line for each read"


def test_what_is_forgotten_meanwhile_is_told(small: Place, mount_point: Path) -> None:
    mount = Mount(small, mount_point, "-s", "latest")
    inner = mount_point / small.inner.lstrip("/") / "source"
    assert (inner / "file0").read_bytes() == noise(3 << 20, 0)
    with small.open() as repo:
        repo.forget([repo.snapshot("latest").id], force=True)
        repo.prune(no_other_writers=True, max_unused=0, force=True)
    codes = {read_or_code(inner / f"file{number}")[0] for number in range(1, 8)}
    assert codes <= {0, errno.ESTALE}
    assert errno.ESTALE in codes
    mount.process.terminate()
    code, _, err = mount.ended()
    assert code == 0
    assert "was forgotten, and its data has been removed" in err


def test_a_large_directory_is_listed_by_several_at_once(small: Place, mount_point: Path) -> None:
    expected = {f"{number} {'n' * 200}" for number in range(2000)}
    (small.source / "many").mkdir()
    for name in expected:
        (small.source / "many" / name).touch()
    with small.open() as repo:
        repo.backup(small.source)

    def listed(directory: Path) -> list[str]:
        return [each.name for each in directory.iterdir()]

    with Mount(small, mount_point, "-s", f"latest:{small.inner}/source") as mounted:
        with os.scandir(mounted / "many") as begun:
            found = [next(begun).name]  # it stays open while others list
            with ThreadPoolExecutor(READERS) as pool:
                others = list(pool.map(listed, [mounted / "many"] * READERS))
            found += [each.name for each in begun]
        for each in (found, *others):
            assert sorted(each) == sorted(expected)


def test_what_was_killed_is_taken_down_by_who_has_mounted_it(
    small: Place, mount_point: Path
) -> None:
    link = mount_point.with_name("link")
    link.symlink_to(mount_point)
    with small.open() as repo, repo.mounted(link, "latest") as mounted:
        assert names(mounted)
        child = Path(f"/proc/self/task/{os.getpid()}/children").read_text("ascii").split()
        for pid in map(int, child):
            if "mounter" in Path(f"/proc/{pid}/cmdline").read_text("utf-8"):
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not answers(mounted))
    assert names(mount_point) == []


def test_a_new_snapshot_can_be_entered_at_once(small: Place, mount_point: Path) -> None:
    with Mount(small, mount_point) as mounted:
        assert len(names(mounted / "ids")) == 1
        with small.open() as repo:
            made = repo.backup(small.source).snapshot
        assert made is not None
        wait_until((mounted / "ids" / made.id[:8]).exists)
        wait_until(lambda: len(names(mounted / "ids")) == 2)
        assert str((mounted / "latest").readlink()) == f"ids/{made.id[:8]}"
