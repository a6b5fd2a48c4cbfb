"""What other processes do for a check or a restore comes to the same as without them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from distributed import Client, LocalCluster

import holdfast
from holdfast.operations.check import packs
from holdfast.operations.restore import elsewhere
from holdfast.overrides import override
from holdfast.primitives.hashing import keyed_stream

PASSWORD = "executor"
MIB = 1 << 20


@pytest.fixture(scope="module")
def location(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of some packs."""
    top = tmp_path_factory.mktemp("executor")
    source = top / "source"
    source.mkdir()
    for number in range(8):
        content = keyed_stream(bytes(32), number.to_bytes(4, "little"), MIB)
        (source / str(number)).write_bytes(content)
    place = top / "repository"
    with holdfast.init(place, password=PASSWORD, pack_size=MIB, cache=False) as repo:
        assert not repo.backup(source).errors
    return place


@pytest.fixture(params=["whole", "damaged"])
def repo(request: pytest.FixtureRequest, location: Path) -> Iterator[holdfast.Repository]:
    victim = sorted(path for path in (location / "data").rglob("*") if path.is_file())[3]
    content = victim.read_bytes()
    if request.param == "damaged":
        half = len(content) // 2
        victim.write_bytes(content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :])
    with holdfast.open(location, password=PASSWORD, cache=False) as repo:
        yield repo
    victim.write_bytes(content)


@pytest.fixture(autouse=True)
def many_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """One for each pack, as there would be in a large repository."""
    monkeypatch.setattr(packs, "SHARE", 1)


def same_by(repo: holdfast.Repository, executor: Executor) -> None:
    expected = repo.check(read_data=True)
    assert expected.packs_read > 5
    assert repo.check(read_data=True, executor=executor) == expected


# Restoring


def tree(folder: Path) -> dict[str, tuple[object, ...]]:
    """All of it, without what every copy changes."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() else None
        name = str(path.relative_to(folder))
        found[name] = (status.st_mode, status.st_mtime_ns, status.st_nlink, content)
    return found


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A tree of small and large files, and its repository."""
    top = tmp_path_factory.mktemp("restoring")
    source = top / "source"
    for number in range(60):
        folder = source / f"{number % 7}" / f"{number % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"small-{number}").write_bytes(bytes([number]) * number * 300)
    (source / "0/link").symlink_to("0")
    os.link(source / "0/0/small-0", source / "other-name")
    for number in range(2):
        content = keyed_stream(bytes(32), f"large {number}".encode(), 10 * MIB + number)
        (source / f"large-{number}").write_bytes(content)
    with (source / "sparse").open("wb") as file:
        file.write(b"x")
        file.seek(9 * MIB)
        file.write(b"y")
        file.truncate(20 * MIB)
    with holdfast.init(top / "repository", password=PASSWORD, cache=False) as repo:
        assert not repo.backup(source).errors
    return source, top / "repository"


@pytest.fixture
def many_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elsewhere, "PART", MIB)


def restored_by(files: tuple[Path, Path], executor: Executor, target: Path) -> None:
    source, location = files
    with holdfast.open(location, password=PASSWORD, cache=False) as repo:
        result = repo.restore(f"latest:{source}", target, executor=executor, verify=True)
        assert not result.errors
    assert tree(target) == tree(source)
    assert not [path for path in target.rglob("*") if "holdfast" in path.name]


@pytest.mark.usefixtures("many_parts")
def test_restoring_by_threads(files: tuple[Path, Path], tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as executor:
        restored_by(files, executor, tmp_path / "target")


@pytest.mark.usefixtures("many_parts")
def test_restoring_by_processes(files: tuple[Path, Path], tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        restored_by(files, executor, tmp_path / "target")


@pytest.mark.usefixtures("many_parts")
def test_restoring_by_processes_that_have_died(files: tuple[Path, Path], tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        executor.submit(os.kill, executor.submit(os.getpid).result(), signal.SIGKILL).exception()
        restored_by(files, executor, tmp_path / "target")


class Killing(ThreadPoolExecutor):
    """Does tasks twice: the first time by a worker that dies before it answers."""

    @override
    def submit(self, fn: object, /, *args: object, **named: object) -> Future[object]:  # type: ignore[override]
        assert callable(fn)
        first = super().submit(fn, *args, **named)
        first.result()
        return super().submit(fn, *args, **named)


@pytest.mark.usefixtures("many_parts")
def test_tasks_that_are_done_twice(files: tuple[Path, Path], tmp_path: Path) -> None:
    with Killing(2) as executor:
        restored_by(files, executor, tmp_path / "target")


def test_a_target_that_the_processes_do_not_see(files: tuple[Path, Path], tmp_path: Path) -> None:
    """All is left to the restore itself, which has it."""

    class Blind(ThreadPoolExecutor):
        @override
        def submit(self, fn: object, /, *args: object, **named: object) -> Future[object]:  # type: ignore[override]
            assert callable(fn)
            (task,) = args
            assert isinstance(task, elsewhere.Errand | elsewhere.Part)
            return super().submit(fn, replace(task, target=b"/nowhere"), **named)

    with Blind(2) as executor:
        restored_by(files, executor, tmp_path / "target")


def test_another_machine_with_a_directory_of_that_path(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    """Even if it has the same names and inodes, nothing is written there."""
    elsewhere_there = tmp_path / "there"
    source, _ = files
    for folder in [source, *(path for path in source.rglob("*") if path.is_dir())]:
        (elsewhere_there / folder.relative_to(source)).mkdir(parents=True)

    class Abroad(ThreadPoolExecutor):
        @override
        def submit(self, fn: object, /, *args: object, **named: object) -> Future[object]:  # type: ignore[override]
            assert callable(fn)
            (task,) = args
            if not isinstance(task, elsewhere.Errand):
                return super().submit(fn, *args, **named)
            folders = [
                (names, 0, elsewhere_there.joinpath(*map(os.fsdecode, names)).stat().st_ino)
                for names, _, _ in task.task.folders
            ]
            there = replace(
                task,
                target=os.fsencode(elsewhere_there),
                task=task.task._replace(folders=folders),
            )
            return super().submit(fn, there, **named)

    with Abroad(2) as executor:
        restored_by(files, executor, tmp_path / "target")
    assert not [path for path in elsewhere_there.rglob("*") if path.is_file()]


@pytest.mark.usefixtures("many_parts")
def test_parts_that_come_too_late_change_nothing(files: tuple[Path, Path], tmp_path: Path) -> None:
    """The first part of each file cannot be written; the others are when it is long complete."""
    late = threading.Event()
    begun: set[bytes] = set()
    slow: list[Future[object]] = []

    def slowly(part: object) -> object:
        late.wait()
        return elsewhere.write_part(part)  # type: ignore[arg-type]

    class Slow(ThreadPoolExecutor):
        @override
        def submit(self, fn: object, /, *args: object, **named: object) -> Future[object]:  # type: ignore[override]
            if fn is not elsewhere.write_part:
                return super().submit(fn, *args, **named)  # type: ignore[arg-type]
            (part,) = args
            assert isinstance(part, elsewhere.Part)
            if part.name in begun:
                slow.append(super().submit(slowly, part))
                return slow[-1]
            begun.add(part.name)
            missing: Future[object] = Future()
            missing.set_result(-1)
            return missing

    with Slow(40) as executor:
        try:
            restored_by(files, executor, tmp_path / "target")
            assert tree(tmp_path / "target") == tree(files[0])
        finally:
            late.set()
        assert len(begun) > 1
        assert slow
    assert tree(tmp_path / "target") == tree(files[0])


@pytest.mark.fault(34)
@pytest.mark.usefixtures("many_parts")
@pytest.mark.parametrize("plant", [Path.symlink_to, Path.hardlink_to, lambda at, _: os.mkfifo(at)])
def test_a_file_swapped_before_its_parts_are_written(
    files: tuple[Path, Path], tmp_path: Path, plant: Callable[[Path, Path], None]
) -> None:
    source, location = files
    outside, target = tmp_path / "outside", tmp_path / "target"
    outside.write_bytes(b"precious")

    class Hostile(ThreadPoolExecutor):
        @override
        def submit(self, fn: object, /, *args: object, **named: object) -> Future[object]:  # type: ignore[override]
            if isinstance(part := args[0], elsewhere.Part):
                place = target / os.fsdecode(part.name)
                with suppress(FileExistsError):
                    place.rename(place.with_name(f"{place.name} aside"))
                    plant(place, outside)
            return super().submit(fn, *args, **named)  # type: ignore[arg-type]

    with (
        Hostile(2) as executor,
        holdfast.open(location, password=PASSWORD, cache=False) as repo,
    ):
        assert not repo.restore(f"latest:{source}", target, executor=executor, verify=True).errors
    assert outside.read_bytes() == b"precious"


def test_a_cluster_without_workers_can_be_interrupted(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    class Never(ThreadPoolExecutor):
        @override
        def submit(self, fn: object, /, *args: object, **named: object) -> Future[object]:  # type: ignore[override]
            del fn, args, named
            signal.raise_signal(signal.SIGINT)
            return Future()

    source, location = files
    before = set(threading.enumerate())  # some of which may be ending, of tests before this one
    with (
        Never(1) as executor,
        holdfast.open(location, password=PASSWORD, cache=False) as repo,
        pytest.raises(KeyboardInterrupt),
    ):
        repo.restore(f"latest:{source}", tmp_path / "target", executor=executor)
    begun = set(threading.enumerate()) - before
    assert not [each for each in begun if "holdfast-restore" in each.name]


# Checking


def test_threads(repo: holdfast.Repository) -> None:
    with ThreadPoolExecutor(2) as executor:
        same_by(repo, executor)


def test_processes(repo: holdfast.Repository) -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        same_by(repo, executor)


def test_processes_that_have_died(repo: holdfast.Repository) -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        dead = executor.submit(os.kill, executor.submit(os.getpid).result(), signal.SIGKILL)
        dead.exception()
        same_by(repo, executor)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Client]:
    """Four worker processes of Dask on this machine."""
    with (
        LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=4, threads_per_worker=1, dashboard_address=None, processes=True
        ) as nodes,
        Client(nodes) as client,  # type: ignore[no-untyped-call]
    ):
        yield client


def test_a_cluster(repo: holdfast.Repository, cluster: Client) -> None:
    same_by(repo, cluster.get_executor())  # type: ignore[no-untyped-call]


def test_a_cluster_whose_worker_is_killed(repo: holdfast.Repository, cluster: Client) -> None:
    """Whichever task it has at that moment."""
    victims = list(cluster.run(os.getpid).values())
    begun = threading.Event()

    def kill() -> None:
        begun.wait()
        os.kill(victims[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    expected = repo.check(read_data=True)
    executor = cluster.get_executor()  # type: ignore[no-untyped-call]
    report = repo.check(read_data=True, executor=executor, progress=lambda _: begun.set())
    begun.set()
    killer.join()
    assert report == expected


@pytest.mark.usefixtures("many_parts")
def test_restoring_by_a_cluster(files: tuple[Path, Path], cluster: Client, tmp_path: Path) -> None:
    executor = cluster.get_executor()  # type: ignore[no-untyped-call]
    restored_by(files, executor, tmp_path / "target")
