"""For every n: what holds when the n-th operation on the storage fails, or is the last one.

The method is SQLite's (https://sqlite.org/testing.html). An operation fails before or after it
has done its work; and a crash is an operation after which nothing works any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import holdfast
from holdfast.backend import Backend, Fail, Faulty, MemoryBackend, nth, since
from holdfast.clock import SYSTEM_CLOCK
from holdfast.engine.repository import Repository
from holdfast.primitives.chunker import ChunkerParams
from holdfast.primitives.kdf import KdfParams
from holdfast.store import Settings, create_store, open_store
from holdfast.testing.content import noise
from holdfast.testing.power import PowerCut

if TYPE_CHECKING:
    from tests.length import Stride

pytestmark = pytest.mark.usefixtures("cheap_passwords")

SETTINGS = Settings(ChunkerParams("pyfastcdc", 1 << 10, 4 << 10, 16 << 10), 1 << 20, 3)
CHEAP = KdfParams(memory=19 << 10, passes=1, lanes=1)
NUMBERS = range(1, 200)
"""Of operations; nothing here needs as many."""


FAILURES = {
    "fails": lambda n: Fail(nth(n), holdfast.BackendError),
    "fails though done": lambda n: Fail(nth(n), holdfast.BackendError, done=True),
    "is full": lambda n: Fail(since(n), holdfast.StorageFull),
    "crashes before": lambda n: Fail(since(n), lambda *_: PowerCut()),
    "crashes after": lambda n: Fail(since(n), lambda *_: PowerCut(), done=True),
}
failures = pytest.mark.parametrize("plan", FAILURES.values(), ids=FAILURES.keys())


def copied(objects: MemoryBackend) -> MemoryBackend:
    copy = MemoryBackend()
    for info in objects.list(""):
        copy.put(info.name, objects.get(info.name))
    return copy


def connect(backend: Backend) -> Repository:
    return Repository(open_store(backend, "password", SYSTEM_CLOCK, None), SYSTEM_CLOCK)


def create(backend: Backend) -> Repository:
    store = create_store(backend, "password", SETTINGS, CHEAP, SYSTEM_CLOCK, None)
    return Repository(store, SYSTEM_CLOCK)


def attempts(
    work: Callable[[Faulty], object],
    plan: Callable[[int], Fail],
    objects: MemoryBackend,
    numbers: range = NUMBERS,
) -> Iterator[tuple[int, MemoryBackend, bool]]:
    """Do some work on copies of a storage, failing every operation of these numbers in turn.

    How many there are may differ from time to time, as an index object more or less is written.

    Yields:
        The operation's number, the storage afterwards, and whether the work claims to be done.
    """
    for number in numbers:
        after = copied(objects)
        failing = Faulty(after, plan(number))
        is_done = False
        with suppress(holdfast.HoldfastError, PowerCut):
            work(failing)
            is_done = True
        yield number, after, is_done
        if len(failing.calls) < number:
            assert number > 5
            return
    raise AssertionError("the work never ends")


@pytest.mark.fault(1)
@failures
def test_init_leaves_a_repository_or_none(plan: Callable[[int], Fail], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")

    def work(backend: Faulty) -> None:
        store = create_store(backend, "password", SETTINGS, CHEAP, SYSTEM_CLOCK, None)
        Repository(store, SYSTEM_CLOCK).snapshots()
        backend.stat("config/0")

    made = 0
    for number, after, is_done in attempts(work, plan, MemoryBackend()):
        try:
            repo = connect(after)
        except holdfast.RepositoryNotFound:
            assert not is_done, number
            repo = create(after)
        else:
            made += 1
        repo.backup(tmp_path)
        report = repo.check(read_data=True)
        assert report.valid, (number, report.findings)
    assert made


@pytest.fixture
def data(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    (data / "sub").mkdir(parents=True)
    for number in range(12):
        (data / f"sub/{number}").write_bytes(noise(number * 3000, number))
    return data


@pytest.mark.fault(2, 16)
@pytest.mark.parametrize("failure", FAILURES)
def test_backup_harms_nothing_and_is_all_or_nothing(
    failure: str, data: Path, stride: Stride
) -> None:
    """Sampled, every third operation, another third for each failure."""
    numbers = stride(NUMBERS, 3, list(FAILURES).index(failure) % 3)
    objects = MemoryBackend()
    first = create(objects).backup(data).snapshot
    assert first is not None
    before = {f"sub/{n}": (data / f"sub/{n}").read_bytes() for n in range(12)}
    for number in range(6):
        (data / f"sub/{number}").write_bytes(noise(300_000, 100 + number))
    now = {f"sub/{n}": (data / f"sub/{n}").read_bytes() for n in range(12)}
    committed = failed = 0
    for number, after, is_done in attempts(
        lambda backend: connect(backend).backup(data), FAILURES[failure], objects, numbers
    ):
        repo = connect(after)
        snapshots = repo.snapshots()
        assert snapshots[0] == first
        assert len(snapshots) == 2 or not is_done
        assert_holds(repo, first.id, data, before)
        for snapshot in snapshots[1:]:
            committed += 1
            assert_holds(repo, snapshot.id, data, now)
        failed += len(snapshots) == 1
        report = repo.check(read_data=True)
        assert report.valid, (number, report.findings)
        result = repo.backup(data)
        assert result.snapshot is not None
        assert_holds(repo, result.snapshot.id, data, now)
        assert repo.check(read_data=True).valid
        if len(snapshots) == 2:
            assert result.data_added < 10_000
    assert committed
    assert failed


def assert_holds(repo: Repository, snapshot: str, data: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        with repo.open_file(snapshot, data / name) as file:
            assert file.read() == content


@pytest.mark.fault(2)
def test_what_an_interrupted_backup_stored_is_used_by_the_next(data: Path) -> None:
    objects = MemoryBackend()
    create(objects)
    for number in range(12):
        (data / f"sub/{number}").write_bytes(noise(600_000, number))
    plan = Fail(lambda call: call.verb == "put_if_absent", holdfast.BackendError)
    with pytest.raises(holdfast.BackendError):
        connect(Faulty(objects, plan)).backup(data)
    assert connect(objects).snapshots() == []
    result = connect(objects).backup(data)
    assert result.bytes_processed == 12 * 600_000
    assert result.data_added < 10_000


@pytest.mark.fault(18)
@pytest.mark.parametrize("verb", ["get", "list", "stat"])
def test_a_storage_that_cannot_be_read_ends_a_backup_before_anything_is_built_upon_it(
    data: Path, verb: str
) -> None:
    objects = MemoryBackend()
    create(objects).backup(data)
    repo = connect(objects)
    plan = Fail(lambda call: call.verb == verb, holdfast.BackendError)
    repo._store.backend = Faulty(objects, plan)
    with pytest.raises(holdfast.BackendError):
        repo.backup(data)
    assert len(connect(objects).snapshots()) == 1
