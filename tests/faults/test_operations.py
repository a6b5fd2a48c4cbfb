"""Storages that fail, lie or refuse while something is read or backed up.

Rows 6, 16, 18, 20 and 22 to 24 of the fault catalogue: for every n the n-th operation of a
restore and of a check fails, once and for ever, before and after it is done; listings leave
things out or tell of what is not there; nothing may be written, or nothing deleted.
"""

from __future__ import annotations

import random
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from holdfast.backend import (
    Backend,
    Call,
    Condition,
    Fail,
    Faulty,
    MemoryBackend,
    NoFault,
    ObjectInfo,
    ReadOnly,
    nth,
    since,
)
from holdfast.clock import SYSTEM_CLOCK
from holdfast.engine.repository import Repository
from holdfast.errors import (
    AccessDenied,
    BackendError,
    DamagedRepository,
    HoldfastError,
    RepositoryExists,
    StorageFull,
)
from holdfast.overrides import override
from holdfast.store import Store
from holdfast.testing.repositories import attached, copied, new_store

Contents = dict[str, bytes]

pytestmark = pytest.mark.usefixtures("index_at_the_end")


@dataclass(frozen=True)
class Case:
    """A repository with two snapshots, and its source as it is now."""

    source: Path
    backend: MemoryBackend
    store: Store
    snapshots: dict[str, Contents]

    def opened(self, backend: Backend) -> Repository:
        """The repository at a backend, with the keys that are known already."""
        return Repository(attached(self.store, backend), SYSTEM_CLOCK)


def files(root: Path) -> Contents:
    return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    source = tmp_path_factory.mktemp("source") / "data"
    numbers = random.Random(1)  # noqa: S311 - the same in every run
    (source / "deep/er").mkdir(parents=True)
    backend = MemoryBackend()
    store = new_store(backend)
    repository = Repository(store, SYSTEM_CLOCK)
    snapshots: dict[str, Contents] = {}
    for turn in range(2):
        (source / f"deep/er/{turn}").write_bytes(numbers.randbytes(9000))
        (source / "changing").write_bytes(b"turn %d" % turn)
        result = repository.backup(source)
        assert result.snapshot is not None
        snapshots[result.snapshot.id] = files(source)
    return Case(source, backend, store, snapshots)


def assert_intact(case: Case, backend: Backend) -> None:
    """Every earlier snapshot is there and right, byte for byte."""
    repository = case.opened(backend)
    assert set(case.snapshots) <= {snapshot.id for snapshot in repository.snapshots()}
    for snapshot, contents in case.snapshots.items():
        for path, content in contents.items():
            with repository.open_file(snapshot, path) as stream:
                assert stream.read() == content


def assert_works(case: Case, backend: Backend) -> None:
    """Earlier snapshots are intact, the next backup works, and nothing is damaged."""
    assert_intact(case, backend)
    repository = case.opened(backend)
    result = repository.backup(case.source)
    assert result.snapshot is not None
    for path, content in files(case.source).items():
        with repository.open_file(result.snapshot.id, path) as stream:
            assert stream.read() == content
    report = repository.check(read_data=True)
    assert report.valid, report.findings


ERRORS = (BackendError, StorageFull)
WHEN: dict[str, Callable[[int], Condition]] = {"once": nth, "for ever": since}
each_time = pytest.mark.parametrize("when", WHEN)
each_way = pytest.mark.parametrize("done", [False, True], ids=["before", "after"])


def calls(case: Case, work: Callable[[Repository], object]) -> int:
    counted = Faulty(copied(case.backend), NoFault())
    work(case.opened(counted))
    return len(counted.calls)


# Restore and check


@pytest.mark.fault(18, 19)
@each_time
@each_way
def test_a_restore_is_right_or_says_so_whatever_operation_fails(
    case: Case, tmp_path: Path, when: str, *, done: bool
) -> None:
    snapshot, contents = list(case.snapshots.items())[-1]
    target = tmp_path / "target"
    total = calls(case, lambda repository: repository.restore(snapshot, target))
    assert total >= 4
    for number in range(1, total + 1):
        shutil.rmtree(target, ignore_errors=True)
        plan = Fail(WHEN[when](number), ERRORS[number % 2], done=done)
        before = set(threading.enumerate())
        try:
            result = case.opened(Faulty(case.backend, plan)).restore(snapshot, target)
        except HoldfastError as error:
            failed = {str(error)}
        else:
            failed = {problem.path for problem in result.errors}
        assert set(threading.enumerate()) <= before
        found = files(target) if target.exists() else {}
        for path, content in contents.items():
            restored = found.pop(str(target) + path, None)
            assert restored == content or failed, (number, path)
        assert not {path for path in found if not Path(path).name.startswith(".")}
        case.opened(case.backend).restore(snapshot, target)
        assert files(target) == {str(target) + path: data for path, data in contents.items()}


@pytest.mark.fault(18)
@each_time
@each_way
def test_a_check_tells_the_truth_or_fails_whatever_operation_fails(
    case: Case, when: str, *, done: bool
) -> None:
    def work(repository: Repository) -> bool:
        return repository.check(read_data=True, full=True).valid

    total = calls(case, work)
    failed = 0
    for number in range(1, total + 1):
        before = set(threading.enumerate())
        plan = Fail(WHEN[when](number), ERRORS[number % 2], done=done)
        try:
            assert work(case.opened(Faulty(case.backend, plan)))  # what was only read ahead
        except BackendError:
            failed += 1
        assert set(threading.enumerate()) <= before
    assert failed > total // 2 > 5


def test_an_object_that_may_not_be_read_is_named_by_a_check(case: Case) -> None:
    """Objects of another owner: what is wrong with one does not hide the others."""
    for info in list(case.backend.list("")):
        if info.name.startswith(("keys/", "config/")):
            continue

        def is_it(call: Call, name: str = info.name) -> bool:
            return (call.verb, call.name) == ("get", name)

        denied = Faulty(case.backend, Fail(is_it, AccessDenied))
        report = case.opened(denied).check(read_data=True)
        assert info.name in {finding.object for finding in report.errors}


def test_what_is_read_is_right_or_an_error_whatever_operation_fails(case: Case) -> None:
    def work(repository: Repository) -> None:
        for snapshot, contents in case.snapshots.items():
            assert repository.listdir(snapshot, case.source)
            for path, content in contents.items():
                with repository.open_file(snapshot, path) as stream:
                    assert stream.read() == content
        first, second = case.snapshots
        assert {change.path for change in repository.diff(first, second)}
        assert list(repository.find("changing"))
        assert repository.stats().snapshots == 2

    for number in range(1, calls(case, work) + 1):
        with pytest.raises(BackendError, match="planned"):
            work(case.opened(Faulty(case.backend, Fail(nth(number)))))


@pytest.mark.fault(6)
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_interrupt_anywhere_ends_a_backup_cleanly(
    case: Case, error: type[BaseException]
) -> None:
    """Row 6: no snapshot, no thread that goes on, no session."""

    def work(repository: Repository) -> None:
        (case.source / "changing").write_bytes(b"for this test only")
        try:
            repository.backup(case.source)
        finally:
            (case.source / "changing").write_bytes(b"turn 1")

    backend = copied(case.backend)
    for number in range(1, calls(case, work) + 1):
        backend = copied(case.backend)
        before = set(threading.enumerate())
        broken = Faulty(backend, Fail(nth(number), error))
        with pytest.raises(error):
            work(case.opened(broken))
        assert set(threading.enumerate()) <= before
        call = broken.calls[number - 1]
        left = {info.name for info in backend.list("sessions/")}
        assert left == set()  # where its deletion is interrupted, it is deleted again
        snapshots = {info.name.rpartition("/")[2] for info in backend.list("snapshots/")}
        assert snapshots == set(case.snapshots) or call.verb == "delete"
    assert_works(case, backend)


@pytest.mark.fault(16)
def test_a_disk_that_is_full_and_has_room_again(case: Case) -> None:
    """Row 16: the error is the repository's, never a source file's, and what there is stays."""
    for number in range(1, 12):
        backend = copied(case.backend)
        puts: list[int] = []

        def is_full(call: Call, puts: list[int] = puts, number: int = number) -> bool:
            if call.verb.startswith("put"):
                puts.append(call.number)
                return len(puts) >= number
            return False

        repository = case.opened(Faulty(backend, Fail(is_full, StorageFull)))
        try:
            result = repository.backup(case.source, force=True)
        except StorageFull:
            assert {info.name.rpartition("/")[2] for info in backend.list("snapshots/")} == set(
                case.snapshots
            )
        else:
            assert result.errors == ()
            break
        assert_works(case, backend)
    assert number > 2


# Listings that lie (row 22)


class Listing(MemoryBackend):
    """A storage whose listings of one folder are changed, from the n-th on or just once."""

    def __init__(
        self,
        original: MemoryBackend,
        folder: str,
        change: Callable[[list[ObjectInfo]], list[ObjectInfo]],
        number: int,
        *,
        ever: bool,
    ) -> None:
        super().__init__()
        self._objects = dict(original._objects)
        self._folder = folder
        self._change = change
        self._number = number
        self._ever = ever
        self.seen = 0

    @override
    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        found = list(super().list(prefix))
        if prefix == self._folder:
            self.seen += 1
            if self.seen == self._number or (self._ever and self.seen > self._number):
                found = self._change(found)
        return iter(found)

    def honest(self) -> MemoryBackend:
        """The same objects, listed as they are."""
        backend = MemoryBackend()
        backend._objects = self._objects
        return backend


GHOST = "e" * 32
LIES: dict[str, Callable[[list[ObjectInfo]], list[ObjectInfo]]] = {
    "empty": lambda _: [],
    "first page": lambda found: found[:1],
    "twice": lambda found: found * 2,
    "vanished": lambda found: [
        *found,
        ObjectInfo(f"index/{GHOST}", 100),
        ObjectInfo(f"snapshots/{GHOST}", 100),
        ObjectInfo(f"gc/{GHOST}", 100),
        ObjectInfo(f"data/ee/{'e' * 64}-eeeeeeee", 1000),
    ],
    "foreign": lambda found: [
        *found,
        ObjectInfo("index/.nfs0001", 1),
        ObjectInfo("data/lost+found", 1),
        ObjectInfo("snapshots/a copy of it", 1),
        ObjectInfo("gc/x\ny", 1),
        ObjectInfo("config/", 0),
        ObjectInfo("keys/\u00e9", 1),
    ],
}


@pytest.mark.fault(22)
@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("folder", ["index/", "data/", "snapshots/", "gc/", "config/"])
@pytest.mark.parametrize("ever", [False, True], ids=["once", "for ever"])
def test_a_backup_beside_a_listing_that_lies_is_whole_or_fails(
    case: Case, folder: str, lie: str, *, ever: bool
) -> None:
    for number in range(1, 5):
        backend = Listing(case.backend, folder, LIES[lie], number, ever=ever)
        try:
            result = case.opened(backend).backup(case.source, force=True)
        except HoldfastError:
            assert {info.name for info in backend.honest().list("snapshots/")} == {
                f"snapshots/{snapshot}" for snapshot in case.snapshots
            }
        else:
            assert result.snapshot is not None
            repository = case.opened(backend.honest())
            for path, content in files(case.source).items():
                with repository.open_file(result.snapshot.id, path) as stream:
                    assert stream.read() == content
        assert_works(case, backend.honest())
        if backend.seen < number:
            break


@pytest.mark.parametrize("lie", ["twice", "vanished", "foreign"])
@pytest.mark.parametrize("folder", ["index/", "data/", "snapshots/", "gc/", "config/"])
def test_reading_beside_a_listing_that_tells_too_much_is_right(
    case: Case, folder: str, lie: str
) -> None:
    backend = Listing(case.backend, folder, LIES[lie], 1, ever=True)
    assert_intact(case, backend)
    report = case.opened(backend).check(read_data=True)
    assert report.valid, report.findings


@pytest.mark.fault(22)
@pytest.mark.parametrize("lie", ["empty", "first page"])
@pytest.mark.parametrize("folder", ["index/", "data/"])
def test_reading_beside_a_listing_that_tells_too_little_is_right_or_fails(
    case: Case, folder: str, lie: str
) -> None:
    repository = case.opened(Listing(case.backend, folder, LIES[lie], 1, ever=True))
    for snapshot, contents in case.snapshots.items():
        for path, content in contents.items():
            try:
                with repository.open_file(snapshot, path) as stream:
                    assert stream.read() == content
            except DamagedRepository:
                assert folder == "index/"  # data is read by its name, whatever a listing says
    assert not repository.check().valid


def test_a_config_that_is_not_listed_is_never_written_over(case: Case) -> None:
    backend = Listing(case.backend, "config/", LIES["empty"], 1, ever=True)
    with pytest.raises((RepositoryExists, DamagedRepository)):
        new_store(backend)
    honest = backend.honest()
    assert honest.get("config/0") == case.backend.get("config/0")
    assert_works(case, honest)


# What may not be done (rows 23, 24)


@pytest.mark.fault(23)
def test_a_read_only_storage_is_read_and_never_written(case: Case, tmp_path: Path) -> None:
    before = dict(case.backend._objects)
    backend = ReadOnly(case.backend)
    assert_intact(case, backend)
    repository = case.opened(backend)
    assert repository.check(read_data=True, full=True).valid
    repository.restore("latest", tmp_path / "target")
    assert repository.backup(case.source, dry_run=True).snapshot is None
    with pytest.raises(AccessDenied):
        repository.backup(case.source)
    assert case.backend._objects == before


@pytest.mark.fault(24)
def test_a_client_that_may_only_add_backs_up(case: Case) -> None:
    backend = copied(case.backend)
    append_only = Faulty(backend, Fail(lambda call: call.verb == "delete", AccessDenied))
    result = case.opened(append_only).backup(case.source)
    assert result.snapshot is not None
    (session,) = backend.list("sessions/")
    assert session.name == f"sessions/{result.snapshot.id}"
    assert_works(case, backend)
    report = case.opened(backend).check()
    assert report.valid
