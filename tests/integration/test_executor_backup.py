"""What other processes do for the backup of a store comes to the same as without them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from distributed import Client, LocalCluster

import holdfast
from holdfast.backend import Access, open_backend, open_objects
from holdfast.operations.backup import elsewhere
from holdfast.overrides import override
from holdfast.primitives import codec
from holdfast.primitives.hashing import keyed_stream
from holdfast.primitives.ids import PackName
from holdfast.store.envelope import ObjectType, seal_object
from holdfast.store.pack import object_name

if TYPE_CHECKING:
    from tests.servers.base import Place
    from tests.servers.fixtures import Servers

PASSWORD = "executor"
MIB = 1 << 20
SMALL = 60


def stream(name: str, size: int) -> bytes:
    return keyed_stream(bytes(32), name.encode(), size)


def write(place: Place, name: str, data: bytes) -> None:
    def pieces(size: int) -> Iterator[bytes]:
        for start in range(0, len(data), size):
            yield data[start : start + size]

    folder = open_objects(place.location, Access(place.options))
    try:
        folder.write(folder.path(name), len(data), pieces)
    finally:
        folder.close()


def delete(place: Place, path: str) -> None:
    backend = open_backend(place.location, Access(place.options))
    try:
        backend.delete("/".join(path.rsplit("/", 2)[1:]))
    finally:
        backend.close()


@dataclass
class Bucket:
    """A folder of a store, and what is in it."""

    place: Place
    objects: dict[str, bytes]

    def write(self, name: str, data: bytes) -> None:
        write(self.place, name, data)
        self.objects[name] = data


@pytest.fixture(scope="module")
def full(servers: Servers) -> Bucket:
    """A server that other processes reach too, and what all tests read there."""
    bucket = Bucket(servers.get("versity").place(), {})
    for number in range(SMALL):
        bucket.write(f"{number % 7}/{number % 3}/{number}", stream(f"{number}", 100 + number * 50))
    for number in range(2):
        bucket.write(f"large-{number}", stream(f"large {number}", 9 * MIB))
    bucket.write("again", bucket.objects["large-0"])
    bucket.write("empty", b"")
    return bucket


@pytest.fixture
def bucket(servers: Servers) -> Bucket:
    """One to be changed."""
    bucket = Bucket(servers.get("versity").place(), {})
    for number in range(10):
        bucket.write(f"{number % 3}/{number}", stream(f"{number}", 100_000))
    return bucket


@pytest.fixture
def repo(tmp_path: Path) -> Iterator[holdfast.Repository]:
    place = tmp_path / "repository"
    with holdfast.init(place, password=PASSWORD, pack_size=MIB, cache=False) as repo:
        yield repo


@pytest.fixture(autouse=True)
def many_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elsewhere, "SHARE", MIB)
    monkeypatch.setattr(elsewhere, "MOST_OBJECTS", 7)


class Recording(Executor):
    """Another executor, whose work is to be looked at afterwards.

    Attributes:
        hauls: what it was given.
    """

    def __init__(self, inner: Executor) -> None:
        self._inner = inner
        self.hauls: list[elsewhere.Haul] = []
        self._done: list[Future[elsewhere.Hauled]] = []

    @override
    def submit(self, fn: object, /, *args: object, **_: object) -> Future[object]:  # type: ignore[override]
        assert fn is elsewhere.store_objects
        (haul,) = args
        assert isinstance(haul, elsewhere.Haul)
        future = self._begin(haul)
        self.hauls.append(haul)
        self._done.append(future)
        return future  # type: ignore[return-value]

    def _begin(self, haul: elsewhere.Haul) -> Future[elsewhere.Hauled]:
        return self._inner.submit(elsewhere.store_objects, haul)

    def packs(self) -> set[str]:
        """Those that were stored."""
        done = (future.result() for future in self._done)
        return {object_name(info.name) for hauled in done for info in hauled.deposit.packs}


def packs(repo: holdfast.Repository) -> set[str]:
    return {info.name for info in repo._store.backend.list("data/")}


def backed_up(
    repo: holdfast.Repository, bucket: Bucket, executor: Executor | None = None
) -> holdfast.BackupResult:
    result = repo.backup(
        bucket.place.location, source_options=bucket.place.options, executor=executor
    )
    assert not result.errors
    assert result.snapshot
    return result


def comes_back(
    repo: holdfast.Repository, result: holdfast.BackupResult, bucket: Bucket, target: Path
) -> None:
    assert result.snapshot
    folder = "/" + bucket.place.location.partition("://")[2]
    repo.restore(f"{result.snapshot.id}:{folder}", target, verify=True)
    files = [path for path in target.rglob("*") if path.is_file()]
    assert {str(path.relative_to(target)): path.read_bytes() for path in files} == bucket.objects


def is_right(
    repo: holdfast.Repository,
    result: holdfast.BackupResult,
    bucket: Bucket,
    place: Path,
    *,
    may_be_left: frozenset[str] = frozenset(),
) -> holdfast.BackupResult:
    """All is there, and as it is without an executor; returns what it is without one."""
    findings = repo.check(read_data=True).findings
    assert {finding.kind.value for finding in findings} <= may_be_left
    comes_back(repo, result, bucket, place / "restored")
    assert result.snapshot
    with holdfast.init(place / "other", password=PASSWORD, cache=False, like=repo) as other:
        alone = backed_up(other, bucket)
    assert alone.snapshot
    assert alone.snapshot.tree == result.snapshot.tree
    return alone


def all_by(repo: holdfast.Repository, bucket: Bucket, executor: Executor, place: Path) -> None:
    """All objects are read by an executor, and the backup is right."""
    recording = Recording(executor)
    result = backed_up(repo, bucket, recording)
    assert sum(len(haul.objects) for haul in recording.hauls) == len(bucket.objects)
    assert len(recording.hauls) > 5
    (own,) = packs(repo) - recording.packs()
    assert result.snapshot
    assert own.endswith(result.snapshot.id[:8])
    alone = is_right(repo, result, bucket, place)
    assert (alone.files_new, alone.data_added) == (result.files_new, result.data_added)


def test_threads(repo: holdfast.Repository, full: Bucket, tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as executor:
        all_by(repo, full, executor, tmp_path)


def test_processes(repo: holdfast.Repository, full: Bucket, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        all_by(repo, full, executor, tmp_path)


def test_processes_that_have_died(repo: holdfast.Repository, full: Bucket, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        executor.submit(os.kill, executor.submit(os.getpid).result(), signal.SIGKILL).exception()
        is_right(repo, backed_up(repo, full, executor), full, tmp_path)


def test_processes_that_fork_are_refused(repo: holdfast.Repository, full: Bucket) -> None:
    context = multiprocessing.get_context("fork")
    with (
        ProcessPoolExecutor(1, mp_context=context) as executor,
        pytest.raises(holdfast.UsageError, match="spawn"),
    ):
        backed_up(repo, full, executor)
    assert not packs(repo)


def test_local_paths_are_refused(repo: holdfast.Repository, tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as executor, pytest.raises(holdfast.UsageError, match="local"):
        repo.backup(tmp_path, executor=executor)


def test_a_dry_run_needs_no_executor(repo: holdfast.Repository, bucket: Bucket) -> None:
    place = bucket.place
    with ThreadPoolExecutor(1) as executor:
        recording = Recording(executor)
        result = repo.backup(
            place.location, source_options=place.options, executor=recording, dry_run=True
        )
    assert result.files_new == len(bucket.objects)
    assert not recording.hauls


def test_only_what_has_changed_is_handed_over(
    repo: holdfast.Repository, bucket: Bucket, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(2) as executor:
        backed_up(repo, bucket, executor)
        bucket.write("1/1", b"changed")
        bucket.write("new/copy", bucket.objects["2/2"])
        second = Recording(executor)
        result = backed_up(repo, bucket, second)
    given = [listed.path.rpartition("/")[2] for haul in second.hauls for listed in haul.objects]
    assert sorted(given) == ["1", "copy"]
    assert (result.files_changed, result.files_new, result.files_unmodified) == (1, 1, 9)
    assert result.data_added < 50_000  # what one repository has is not stored again
    is_right(repo, result, bucket, tmp_path)


class Twice(Recording):
    """Does tasks twice: the first time by a worker that dies before it answers."""

    @override
    def _begin(self, haul: elsewhere.Haul) -> Future[elsewhere.Hauled]:
        super()._begin(haul).result()
        return super()._begin(haul)


def test_tasks_that_are_done_twice(
    repo: holdfast.Repository, bucket: Bucket, tmp_path: Path
) -> None:
    """What nobody heard of is left for a prune."""
    with ThreadPoolExecutor(2) as executor:
        result = backed_up(repo, bucket, Twice(executor))
    findings = repo.check(read_data=True).findings
    assert {finding.kind.value for finding in findings} == {"unindexed pack"}
    assert repo.prune().packs_deleted == len(findings)
    is_right(repo, result, bucket, tmp_path)


class Blind(Recording):
    """Processes that do not find some of the objects."""

    @override
    def _begin(self, haul: elsewhere.Haul) -> Future[elsewhere.Hauled]:
        objects = list(haul.objects)
        objects[::2] = [each._replace(path=f"{each.path}-") for each in objects[::2]]
        return super()._begin(replace(haul, objects=tuple(objects)))


def test_objects_that_the_processes_do_not_see(
    repo: holdfast.Repository, bucket: Bucket, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(2) as executor:
        result = backed_up(repo, bucket, Blind(executor))
    is_right(repo, result, bucket, tmp_path)


def test_objects_that_vanish_are_left_out(repo: holdfast.Repository, bucket: Bucket) -> None:

    class Late(Recording):
        @override
        def _begin(self, haul: elsewhere.Haul) -> Future[elsewhere.Hauled]:
            if not self.hauls:
                delete(bucket.place, haul.objects[0].path)
            return super()._begin(haul)

    with ThreadPoolExecutor(2) as executor:
        result = backed_up(repo, bucket, Late(executor))
    assert result.files_new == len(bucket.objects) - 1


class Condemning(Recording):
    """Has somebody condemn the first pack that is stored, before the backup hears of it."""

    def __init__(self, inner: Executor, repo: holdfast.Repository) -> None:
        super().__init__(inner)
        self._store = repo._store
        self.condemned: PackName | None = None

    @override
    def _begin(self, haul: elsewhere.Haul) -> Future[elsewhere.Hauled]:
        future = super()._begin(haul)
        if self.condemned is None:
            self.condemned = future.result().deposit.packs[0].name
            record = codec.pack({"packs": [self.condemned]})
            name = "gc/" + "0" * 32
            sealed = seal_object(ObjectType.CONDEMNED, self._store.keys, name, record)
            self._store.backend.put(name, sealed)
        return future


def test_a_pack_that_is_condemned_meanwhile_is_stored_anew(
    repo: holdfast.Repository, bucket: Bucket, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(2) as executor:
        recording = Condemning(executor, repo)
        result = backed_up(repo, bucket, recording)
    assert recording.condemned
    avoiding = [recording.condemned in haul.order.avoid for haul in recording.hauls]
    assert avoiding == sorted(avoiding)  # in the second pass, and not in the first one
    assert set(avoiding) == {False, True}
    assert repo.prune().packs_deleted == 1
    is_right(repo, result, bucket, tmp_path)


class Careless(Condemning):
    """Its processes build upon what was condemned, as if their order were made before."""

    @override
    def _begin(self, haul: elsewhere.Haul) -> Future[elsewhere.Hauled]:
        return super()._begin(replace(haul, order=replace(haul.order, avoid=frozenset())))


def test_what_rests_on_a_condemned_pack_is_read_again(
    repo: holdfast.Repository, bucket: Bucket, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(2) as executor:
        recording = Careless(executor, repo)
        result = backed_up(repo, bucket, recording)
    assert recording.condemned
    repo._store.backend.delete(object_name(recording.condemned))
    comes_back(repo, result, bucket, tmp_path / "restored")


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


def test_a_cluster(
    repo: holdfast.Repository, full: Bucket, cluster: Client, tmp_path: Path
) -> None:
    all_by(repo, full, cluster.get_executor(), tmp_path)  # type: ignore[no-untyped-call]


def test_a_cluster_whose_worker_is_killed(
    repo: holdfast.Repository, full: Bucket, cluster: Client, tmp_path: Path
) -> None:
    """Whichever task it has at that moment."""
    victims = list(cluster.run(os.getpid).values())
    begun = threading.Event()

    class Announcing(Recording):
        @override
        def _begin(self, haul: elsewhere.Haul) -> Future[elsewhere.Hauled]:
            future = super()._begin(haul)
            future.add_done_callback(lambda _: begun.set())
            return future

    def kill() -> None:
        begun.wait()
        os.kill(victims[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    executor = cluster.get_executor()  # type: ignore[no-untyped-call]
    result = backed_up(repo, full, Announcing(executor))
    begun.set()
    killer.join()
    repo.prune()  # of packs whose worker did not live to tell of them
    # What a process that is killed was writing stays, under a name of its own, until it is swept.
    is_right(repo, result, full, tmp_path, may_be_left=frozenset({"stray object"}))
