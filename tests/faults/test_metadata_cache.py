"""Row 31 of the fault catalogue: a cache that is stale, damaged, poisoned, shared or taken away.

Whatever is done to what this machine keeps of a far repository, the results are those that there
are without it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import holdfast
from holdfast.backend import Buffer, Call, Condition, Damage, MemoryBackend, NoFault, flipped
from holdfast.clock import SYSTEM_CLOCK
from holdfast.engine.repository import Repository
from holdfast.overrides import override
from holdfast.store import CacheFolder, create_store, open_store
from holdfast.testing.far import Far
from holdfast.testing.repositories import PASSWORD, QUICK_KDF, SETTINGS

KIB = 1 << 10

SHARING = """
import pathlib, sys
from holdfast.backend import LocalBackend
from holdfast.clock import SYSTEM_CLOCK
from holdfast.engine.repository import Repository
from holdfast.store import CacheFolder, open_store
from holdfast.testing.far import Far
from holdfast.testing.repositories import PASSWORD

place, source, target = map(pathlib.Path, sys.argv[1:])
sys.stdin.readline()
for number in range(4):
    backend = Far(LocalBackend(place / "repo"))
    cache = CacheFolder(place / "cache", 256 << 10)
    with Repository(open_store(backend, PASSWORD, SYSTEM_CLOCK, cache), SYSTEM_CLOCK) as repo:
        assert not repo.backup(source, parent="latest").errors
        repo.restore(f"latest:{source}", target / str(number))
        assert len(list(repo.walk("latest", source))) == 330
        assert not repo.check().errors
"""


class Place:
    """A far repository with two snapshots, and a cache that has all of its metadata."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.objects = MemoryBackend()
        self.cache = folder / "cache"
        self.source = folder / "source"
        for number in range(300):
            path = self.source / f"{number % 30}" / f"{number}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"%d" % number * 50)
        create_store(self.objects, PASSWORD, SETTINGS, QUICK_KDF, SYSTEM_CLOCK, None).close()
        with self.open() as repo:
            oldest = repo.backup(self.source, tags="one").snapshot
            (self.source / "1" / "new").write_bytes(b"new")
            newest = repo.backup(self.source).snapshot
            assert oldest is not None
            assert newest is not None
            self.oldest, self.newest = oldest.id, newest.id
            repo.hold("latest~1")
            self.results(repo)

    def open(self, far: Far | None = None, password: str = PASSWORD) -> Repository:
        backend = far or Far(self.objects)
        store = open_store(backend, password, SYSTEM_CLOCK, CacheFolder(self.cache))
        return Repository(store, SYSTEM_CLOCK)

    def results(self, repo: Repository) -> object:
        """What can be told of the repository, with all that a cache might have a part in."""
        target = self.folder / "target"
        repo.restore(f"latest:{self.source}", target, delete=True)
        restored = {str(path.relative_to(target)): path.stat().st_size for path in tree(target)}
        walked = [(each.path, each.dict()) for each in repo.walk("latest")]
        rehearsed = repo.backup(self.source, dry_run=True)
        return (
            [(each.id, each.tags, each.holds) for each in repo.snapshots()],
            walked,
            restored,
            (rehearsed.files_unmodified, rehearsed.files_new, rehearsed.files_changed),
            sorted(each.path for each in repo.diff("latest~1", "latest")),
            repo.check().errors,
        )

    def without_cache(self) -> object:
        store = open_store(self.objects, PASSWORD, SYSTEM_CLOCK, None)
        return self.results(Repository(store, SYSTEM_CLOCK))

    def files(self) -> list[Path]:
        """The copies."""
        return sorted(path for path in self.cache.rglob("metadata/*") if path.is_file())


def tree(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def every(change: Callable[[bytes], bytes]) -> Callable[[Place], None]:
    def act(place: Place) -> None:
        for path in place.files():
            path.write_bytes(change(path.read_bytes()))

    return act


def exchange(place: Place) -> None:
    """Each copy under the name of another, at the length that is asked for."""
    files = place.files()
    contents = [path.read_bytes() for path in files]
    for path, content in zip(files, contents[1:] + contents[:1], strict=True):
        path.write_bytes((content * 100)[: path.stat().st_size])


def take_from_another(place: Place) -> None:
    """The folder of another repository."""
    other = place.folder / "other"
    other.mkdir()
    another = Place(other)
    (mine,), (others,) = place.cache.iterdir(), another.cache.iterdir()
    shutil.rmtree(mine)
    others.rename(mine)
    for path, of_mine in zip(another.files(), place.files(), strict=False):
        path.rename(of_mine)


def make_folders(place: Place) -> None:
    for path in place.files():
        path.unlink()
        path.mkdir()


def lose_index(place: Place) -> None:
    for path in place.cache.glob("*/index"):
        path.unlink()


HARM: dict[str, Callable[[Place], None]] = {
    "nothing": lambda _: None,
    "a bit flipped": every(flipped),
    "zeros": every(lambda data: bytes(len(data))),
    "cut": every(lambda data: data[:-1]),
    "empty": every(lambda _: b""),
    "longer": every(lambda data: data + b"x"),
    "exchanged": exchange,
    "of another repository": take_from_another,
    "folders": make_folders,
    "no index": lose_index,
    "gone": lambda place: shutil.rmtree(place.cache),
}


@pytest.mark.fault(31)
@pytest.mark.parametrize("harm", HARM)
def test_a_harmed_cache_changes_no_result(place: Place, harm: str) -> None:
    assert len(place.files()) >= 4
    expected = place.without_cache()
    HARM[harm](place)
    with place.open() as repo:
        assert place.results(repo) == expected
    if harm == "folders":
        return
    far = Far(place.objects)  # all is as it was before
    with place.open(far) as repo:
        repo.snapshots()
        list(repo.walk("latest"))
    assert [name for name in far.asked("get") if name not in {"get config", "get keys"}] == []


class Vandal(NoFault):
    """Does something before the call of a number, and again before every third one after it."""

    def __init__(self, number: int, work: Callable[[], object]) -> None:
        self._number = number
        self._work = work

    @override
    def before(self, call: Call, data: Buffer) -> Buffer:
        if call.number >= self._number and (call.number - self._number) % 3 == 0:
            self._work()
        return data


@pytest.mark.fault(31)
@pytest.mark.parametrize("number", range(1, 30, 4))
def test_a_cache_may_be_deleted_in_the_middle_of_a_run(place: Place, number: int) -> None:
    expected = place.without_cache()
    far = Far(place.objects, Vandal(number, lambda: shutil.rmtree(place.cache, ignore_errors=True)))
    with place.open(far) as repo:
        assert place.results(repo) == expected


def test_a_wire_that_spoils_things_spoils_no_copies(place: Place) -> None:
    """Each object arrives damaged the first time that it is fetched."""
    expected = place.without_cache()
    shutil.rmtree(place.cache)
    seen: set[str] = set()

    def is_first(call: Call) -> bool:
        is_new = call.name not in seen and call.name.startswith(("data/", "snapshots/", "index/"))
        seen.add(call.name)
        return is_new

    first: Condition = is_first
    with place.open(Far(place.objects, Damage(first, flipped))) as repo:
        assert place.results(repo) == expected
    with place.open() as repo:
        assert place.results(repo) == expected


@pytest.mark.fault(31)
def test_processes_share_a_cache(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for number in range(300):
        path = source / f"{number % 30}" / f"{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d" % number)
    with holdfast.init(
        tmp_path / "repo", password=PASSWORD, pack_size=1 << 20, cache=False
    ) as repo:
        repo.backup(source)
    command = [sys.executable, "-c", SHARING, str(tmp_path), str(source)]
    workers = [
        subprocess.Popen(
            [*command, str(tmp_path / f"target{number}")],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for number in range(2)
    ]
    told = [worker.communicate(b"\n") for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], told
    assert [error for _, error in told] == [b"", b""], "nor is anything warned of"
    expected = {str(path.relative_to(source)): path.read_bytes() for path in tree(source)}
    for number in range(2):
        for run in range(4):
            target = tmp_path / f"target{number}" / str(run)
            found = {str(path.relative_to(target)): path.read_bytes() for path in tree(target)}
            assert found == expected


def test_a_check_looks_at_the_storage(place: Place) -> None:
    """Copies that are good are no reason to call a repository whole."""
    trees = f"snapshots/{place.newest}"
    names = [info.name for info in place.objects.list("data/")] + [trees]
    for name in names:
        place.objects.put(name, flipped(place.objects.get(name)))
    with place.open() as repo:
        kept = repo.check(read_data=True)
        named = repo.check([place.oldest], read_data=True)
    fresh = Repository(open_store(place.objects, PASSWORD, SYSTEM_CLOCK, None), SYSTEM_CLOCK)
    assert set(names) <= {finding.object for finding in kept.errors}
    assert kept.errors == fresh.check(read_data=True).errors
    assert named.errors == fresh.check([place.oldest], read_data=True).errors != ()


@pytest.mark.fault(31)
def test_a_forgotten_snapshot_does_not_come_back(place: Place) -> None:
    elsewhere = Repository(open_store(place.objects, PASSWORD, SYSTEM_CLOCK, None), SYSTEM_CLOCK)
    elsewhere.forget(place.newest)
    with place.open() as repo:
        assert [each.id for each in repo.snapshots()] != []
        assert place.newest not in {each.id for each in repo.snapshots()}
        with pytest.raises(holdfast.SnapshotNotFound):
            repo.snapshot(place.newest)


def test_a_password_that_was_removed_opens_nothing(place: Place) -> None:
    elsewhere = Repository(open_store(place.objects, PASSWORD, SYSTEM_CLOCK, None), SYSTEM_CLOCK)
    elsewhere.change_password("new")
    with pytest.raises(holdfast.WrongPassword):
        place.open()
    with place.open(password="new") as repo:
        assert len(repo.snapshots()) == 2


def test_after_a_rotation_of_the_keys_old_copies_are_read_anew(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    expected = place.without_cache()
    elsewhere = Repository(open_store(place.objects, PASSWORD, SYSTEM_CLOCK, None), SYSTEM_CLOCK)
    elsewhere.rotate_keys("new")
    with place.open(password="new") as repo:
        assert place.results(repo) == expected
    far = Far(place.objects)
    with place.open(far, password="new") as repo:
        repo.snapshots()
    assert "get snapshots" not in far.asked()
    assert "metadata" not in caplog.text, "no reason to worry anybody"


@pytest.mark.fault(17)
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system")
def test_a_full_disk_costs_only_speed(
    place: Place, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected = place.without_cache()
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "holdfast-test", str(small)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        place.cache = small / "cache"
        with place.open() as repo:
            assert place.results(repo) == expected
        assert caplog.text.count("the metadata cache") == 1
        assert all(path.stat().st_size for path in place.files()), "no half file"
        sizes = {info.size for info in place.objects.list("")}
        assert all(path.stat().st_size in sizes for path in place.files() if path.name[33:] == "0")
    finally:
        subprocess.run(["umount", "-l", small], check=True)
