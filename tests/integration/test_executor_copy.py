"""What other processes do for a copy comes to the same as without them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest
from distributed import Client, LocalCluster

import holdfast
from holdfast.backend import LocalBackend
from holdfast.clock import SYSTEM_CLOCK
from holdfast.model.snapshot import encode_snapshot
from holdfast.operations.copy import handover
from holdfast.overrides import override
from holdfast.primitives import codec
from holdfast.primitives.hashing import keyed_stream
from holdfast.primitives.ids import BlobId, PackName
from holdfast.store import Store, Writer
from holdfast.store.envelope import ObjectType, seal_object
from holdfast.store.pack import object_name
from holdfast.testing.repositories import new_store
from holdfast.testing.trees import directory, file, save_tree

PASSWORD = "executor"
MIB = 1 << 20
LARGE = 3
SMALL = 60


def stream(name: str, size: int) -> bytes:
    return keyed_stream(bytes(32), name.encode(), size)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of a snapshot; its files are beside it."""
    top = tmp_path_factory.mktemp("copying")
    files = top / "files"
    for number in range(SMALL):
        folder = files / f"{number % 7}" / f"{number % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"small-{number}").write_bytes(stream(f"{number}", 100 + number * 50))
    for number in range(LARGE):
        (files / f"large-{number}").write_bytes(stream(f"large {number}", 6 * MIB))
    (files / "again").write_bytes((files / "large-0").read_bytes())
    with holdfast.init(top / "repository", password=PASSWORD, pack_size=MIB, cache=False) as repo:
        assert not repo.backup(files).errors
    return top / "repository"


@pytest.fixture
def repo(source: Path) -> Iterator[holdfast.Repository]:
    with holdfast.open(source, password=PASSWORD, cache=False) as repo:
        yield repo


@pytest.fixture(params=["like", "unlike"])
def target(
    request: pytest.FixtureRequest, repo: holdfast.Repository, tmp_path: Path
) -> Iterator[holdfast.Repository]:
    """An empty repository that names blobs alike, or otherwise."""
    like = repo if request.param == "like" else None
    with holdfast.init(
        tmp_path / "target", password=PASSWORD, pack_size=MIB, cache=False, like=like
    ) as target:
        yield target


@pytest.fixture(autouse=True)
def many_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "SHARE", MIB)
    monkeypatch.setattr(handover, "PACKS", 1)


class Recording(Executor):
    """Another executor, whose work is to be looked at afterwards.

    Attributes:
        loads: what it was given.
    """

    def __init__(self, inner: Executor) -> None:
        self._inner = inner
        self.loads: list[handover.Load] = []
        self._done: list[Future[handover.Unloaded]] = []

    @override
    def submit(self, fn: object, /, *args: object, **_: object) -> Future[object]:  # type: ignore[override]
        assert fn is handover.store_blobs
        (load,) = args
        assert isinstance(load, handover.Load)
        future = self._begin(load)
        self.loads.append(load)
        self._done.append(future)
        return future  # type: ignore[return-value]

    def _begin(self, load: handover.Load) -> Future[handover.Unloaded]:
        return self._inner.submit(handover.store_blobs, load)

    def packs(self) -> set[str]:
        """Those that were stored."""
        done = (future.result() for future in self._done)
        return {object_name(info.name) for unloaded in done for info in unloaded.deposit.packs}


def contents(folder: Path) -> dict[str, object]:
    return {
        str(path.relative_to(folder)): path.is_file() and path.read_bytes()
        for path in sorted(folder.rglob("*"))
    }


def packs(target: holdfast.Repository) -> set[str]:
    return {info.name for info in target._store.backend.list("data/")}


def is_right(
    repo: holdfast.Repository,
    target: holdfast.Repository,
    copied: holdfast.Snapshot,
    place: Path,
    *,
    may_be_left: frozenset[str] = frozenset(),
) -> holdfast.Snapshot:
    """All is there, and as it is without an executor; returns what it is without one."""
    findings = target.check(read_data=True).findings
    assert {finding.kind.value for finding in findings} <= may_be_left
    files = Path(copied.paths[0])
    target.restore(f"latest:{files}", place / "restored", verify=True)
    assert contents(place / "restored") == contents(files)
    with holdfast.init(place / "other", password=PASSWORD, cache=False, like=target) as other:
        (alone,) = repo.copy(other, copied.original).copied
    assert alone.snapshot
    assert alone.snapshot.tree == copied.tree
    return alone.snapshot


def copied_by(
    repo: holdfast.Repository, target: holdfast.Repository, executor: Executor
) -> holdfast.Snapshot:
    (copied,) = repo.copy(target, executor=executor).copied
    assert copied.snapshot
    return copied.snapshot


def all_by(
    repo: holdfast.Repository, target: holdfast.Repository, executor: Executor, place: Path
) -> None:
    """The blobs of files are all stored by an executor, and the copy is right."""
    recording = Recording(executor)
    copied = copied_by(repo, target, recording)
    assert len(recording.loads) > LARGE
    (own,) = packs(target) - recording.packs()
    assert own.endswith(copied.id[:8])
    alone = is_right(repo, target, copied, place)
    assert alone.summary.data_added == copied.summary.data_added


def test_threads(repo: holdfast.Repository, target: holdfast.Repository, tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as executor:
        all_by(repo, target, executor, tmp_path)


def test_processes(repo: holdfast.Repository, target: holdfast.Repository, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        all_by(repo, target, executor, tmp_path)


def test_processes_that_have_died(
    repo: holdfast.Repository, target: holdfast.Repository, tmp_path: Path
) -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        executor.submit(os.kill, executor.submit(os.getpid).result(), signal.SIGKILL).exception()
        is_right(repo, target, copied_by(repo, target, executor), tmp_path)


def test_processes_that_fork_are_refused(
    repo: holdfast.Repository, target: holdfast.Repository
) -> None:
    context = multiprocessing.get_context("fork")
    with (
        ProcessPoolExecutor(1, mp_context=context) as executor,
        pytest.raises(holdfast.UsageError, match="spawn"),
    ):
        repo.copy(target, executor=executor)
    assert not packs(target)


def test_a_target_that_processes_cannot_open_is_refused_before_anything_is_done(
    repo: holdfast.Repository, target: holdfast.Repository
) -> None:
    in_memory = holdfast.Repository(new_store(), SYSTEM_CLOCK)
    with (
        ThreadPoolExecutor(1) as executor,
        pytest.raises(holdfast.UsageError, match="cannot open this storage"),
    ):
        repo.copy([target, in_memory], executor=executor)
    assert not packs(target)
    assert not target.snapshots()


class Liar:
    """Writes trees whose files say that each blob is a byte shorter than it is."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.page_key = writer.page_key

    def save_tree(self, data: bytes) -> BlobId:
        return self.writer.save_tree(data)

    def add(self, data: bytes) -> BlobId:
        return self.writer.save_data(memoryview(data + b"x"), ("small", 0))


def test_a_blob_of_another_length_than_its_entry_says(tmp_path: Path) -> None:
    """As without an executor: no snapshot is made of it."""
    store = new_store(LocalBackend(tmp_path / "source"))
    with store.writer({}) as writer:
        root = save_tree(directory({b"a": file(b"abc")}), Liar(writer))
        snapshot = holdfast.Snapshot(
            id=writer.id, tree=root, time_ns=1, end_ns=2, host="h", paths=("/",)
        )
        writer.flush()
        assert writer.confirm()
        writer.commit(encode_snapshot(snapshot))
    repo = holdfast.Repository(store, SYSTEM_CLOCK)
    target = holdfast.Repository(new_store(LocalBackend(tmp_path / "target")), SYSTEM_CLOCK)
    with (
        ThreadPoolExecutor(1) as executor,
        pytest.raises(holdfast.CopyIncomplete, match="4 bytes instead of 3"),
    ):
        repo.copy(target, executor=executor)
    assert not target.snapshots()


class Twice(Recording):
    """Does tasks twice: the first time by a worker that dies before it answers."""

    @override
    def _begin(self, load: handover.Load) -> Future[handover.Unloaded]:
        super()._begin(load).result()
        return super()._begin(load)


def test_tasks_that_are_done_twice(
    repo: holdfast.Repository, target: holdfast.Repository, tmp_path: Path
) -> None:
    """What nobody heard of is left for a prune."""
    with ThreadPoolExecutor(2) as executor:
        recording = Twice(executor)
        copied = copied_by(repo, target, recording)
    orphans = packs(target) - recording.packs()
    findings = target.check(read_data=True).findings
    assert {finding.kind.value for finding in findings} == {"unindexed pack"}
    assert target.prune().packs_deleted == len(findings) == len(orphans) - 1  # one is of trees
    is_right(repo, target, copied, tmp_path)


def test_only_what_is_missing_is_handed_over(
    target: holdfast.Repository, tmp_path: Path, source: Path
) -> None:
    """Where blobs have other names too, of which an earlier copy tells."""
    files = tmp_path / "files"
    files.mkdir()
    (files / "first").write_bytes(stream("first", 3 * MIB))
    place = tmp_path / "repository"
    with (
        holdfast.open(source, password=PASSWORD, cache=False) as like,
        holdfast.init(place, password=PASSWORD, pack_size=MIB, cache=False, like=like) as repo,
        ThreadPoolExecutor(2) as executor,
    ):
        repo.backup(files)
        copied_by(repo, target, first := Recording(executor))
        (files / "second").write_bytes(stream("second", 2 * MIB))
        repo.backup(files)
        copied = copied_by(repo, target, second := Recording(executor))
        lengths = [
            sum(blob.length for load in recording.loads for blob in load.blobs)
            for recording in (first, second)
        ]
        assert lengths == [3 * MIB, 2 * MIB]
        is_right(repo, target, copied, tmp_path)


class Condemning(Recording):
    """Has somebody condemn the first pack that is stored, before the copy hears of it."""

    def __init__(self, inner: Executor, target: Store) -> None:
        super().__init__(inner)
        self._target = target
        self.condemned: PackName | None = None

    @override
    def _begin(self, load: handover.Load) -> Future[handover.Unloaded]:
        future = super()._begin(load)
        if self.condemned is None:
            self.condemned = future.result().deposit.packs[0].name
            record = codec.pack({"packs": [self.condemned]})
            name = "gc/" + "0" * 32
            sealed = seal_object(ObjectType.CONDEMNED, self._target.keys, name, record)
            self._target.backend.put(name, sealed)
        return future


def test_a_pack_that_is_condemned_meanwhile_is_stored_anew(
    repo: holdfast.Repository, target: holdfast.Repository, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(2) as executor:
        recording = Condemning(executor, target._store)
        copied = copied_by(repo, target, recording)
    assert recording.condemned
    condemned = {recording.condemned}
    assert object_name(recording.condemned) in packs(target)
    again = [load for load in recording.loads if condemned <= load.order.avoid]
    assert 0 < len(again) < len(recording.loads) / 2  # only what was lost is handed over again
    assert target.prune().packs_deleted == 1
    is_right(repo, target, copied, tmp_path)


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
    repo: holdfast.Repository, target: holdfast.Repository, cluster: Client, tmp_path: Path
) -> None:
    executor = cluster.get_executor()  # type: ignore[no-untyped-call]
    all_by(repo, target, executor, tmp_path)


def test_a_cluster_whose_worker_is_killed(
    repo: holdfast.Repository, target: holdfast.Repository, cluster: Client, tmp_path: Path
) -> None:
    """Whichever load it has at that moment."""
    victims = list(cluster.run(os.getpid).values())
    begun = threading.Event()

    def kill() -> None:
        begun.wait()
        os.kill(victims[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    executor = cluster.get_executor()  # type: ignore[no-untyped-call]
    (copied,) = repo.copy(target, executor=executor, progress=lambda _: begun.set()).copied
    begun.set()
    killer.join()
    target.prune()  # of packs whose worker did not live to tell of them
    assert copied.snapshot
    # What a process that is killed was writing stays, under a name of its own, until it is swept.
    is_right(repo, target, copied.snapshot, tmp_path, may_be_left=frozenset({"stray object"}))
