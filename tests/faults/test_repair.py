"""Repair: for each kind of damage, what check says, what prune does, what is mended or lost.

Rows 3, 7 to 14 and 16 of the fault catalogue, for repairs. And for every n: the n-th operation of
a repair fails, or is the last one; then it is run again, and all is as if nothing had happened.
(Every run tries some n of each way to fail, other ones for each; `make soak` tries every n.)
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from holdfast.backend import (
    Backend,
    Fail,
    Faulty,
    MemoryBackend,
    NoFault,
    ObjectInfo,
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
    StorageFull,
    UsageError,
)
from holdfast.model.entry import Entry
from holdfast.operations.check import CheckReport, FindingKind
from holdfast.overrides import override
from holdfast.primitives.ids import PackName, SnapshotId
from holdfast.store import Kind, Store
from holdfast.store.pack import HEADER_SIZE, parse_header
from holdfast.testing.power import PowerCut
from holdfast.testing.repositories import attached, copied, new_store

if TYPE_CHECKING:
    from tests.length import Stride

Contents = dict[str, bytes]
Objects = dict[str, bytes]

pytestmark = pytest.mark.usefixtures("index_at_the_end")


@dataclass(frozen=True)
class Case:
    """A repository, and what its snapshots hold."""

    backend: MemoryBackend
    store: Store
    snapshots: dict[SnapshotId, Contents]
    source: Path

    def opened(self, backend: Backend) -> Repository:
        """The repository at a backend, without paying for the password."""
        return Repository(attached(self.store, backend), SYSTEM_CLOCK)

    def names(self, folder: str) -> list[str]:
        """The objects in a folder."""
        return sorted(info.name for info in self.backend.list(folder))

    def packs(self, kind: Kind, session: int) -> list[str]:
        """The packs of a kind that a backup has written, the first being 0."""
        digits = list(self.snapshots)[session][:8]
        return [
            name
            for name in self.names("data/")
            if name.endswith(digits) and self.kind(name) is kind
        ]

    def kind(self, name: str) -> Kind:
        """What is in a pack."""
        header = self.backend.get(name, 0, HEADER_SIZE)
        return parse_header(header, PackName(name.rpartition("/")[2])).kind


def read_all(repository: Repository, snapshot: str) -> Contents:
    """The content of every file of a snapshot that can be read."""
    found: Contents = {}
    entries: list[Entry] = []
    with suppress(DamagedRepository):
        entries.extend(repository.walk(snapshot))
    for entry in entries:
        if entry.type == "file":
            with suppress(DamagedRepository), repository.open_file(snapshot, entry.path) as stream:
                found[entry.path] = stream.read()
    return found


def objects(backend: Backend) -> Objects:
    return {info.name: backend.get(info.name) for info in backend.list("")}


def make(folder: Path, store: Store, backend: MemoryBackend, seed: int = 1) -> Case:
    numbers = random.Random(seed)  # noqa: S311 - the same in every run
    repository = Repository(store, SYSTEM_CLOCK)
    source = folder / "data"
    (source / "kept/deep").mkdir(parents=True)
    for number in range(8):
        (source / f"kept/deep/{number}").write_bytes(numbers.randbytes(3000))
    snapshots: dict[SnapshotId, Contents] = {}
    for turn in range(3):
        (source / f"kept/file{turn}").write_bytes(numbers.randbytes(20_000))
        result = repository.backup(source)
        assert result.snapshot is not None
        snapshots[result.snapshot.id] = read_all(repository, result.snapshot.id)
    assert repository.check(read_data=True, full=True).findings == ()
    assert [len(contents) for contents in snapshots.values()] == [9, 10, 11]
    return Case(backend, store, snapshots, source)


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    backend = MemoryBackend()
    return make(tmp_path_factory.mktemp("source"), new_store(backend), backend)


# Kinds of damage. Each returns the objects that a check has to name, and no others.

UNKNOWN = "index/"
"""What a check names when no index object knows a blob."""


def lose_data_pack(case: Case, backend: MemoryBackend) -> set[str]:
    (name,) = case.packs(Kind.DATA, 1)
    backend.delete(name)
    return {name}


def lose_tree_pack(case: Case, backend: MemoryBackend) -> set[str]:
    (name,) = case.packs(Kind.TREE, 1)
    backend.delete(name)
    return {name}


def lose_index(case: Case, backend: MemoryBackend) -> set[str]:
    for name in case.names("index/"):
        backend.delete(name)
    return {UNKNOWN}


def damage_index(case: Case, backend: MemoryBackend) -> set[str]:
    name = case.names("index/")[0]
    backend.put(name, backend.get(name)[:-1])
    return {name, UNKNOWN}


def damage_tree(case: Case, backend: MemoryBackend) -> set[str]:
    (name,) = case.packs(Kind.TREE, 1)
    flip_byte(backend, name, HEADER_SIZE + 1)
    return {name}


def damage_data(case: Case, backend: MemoryBackend) -> set[str]:
    (name,) = case.packs(Kind.DATA, 0)
    flip_byte(backend, name, HEADER_SIZE + 1)
    return {name}


def damage_trailer(case: Case, backend: MemoryBackend) -> set[str]:
    (name,) = case.packs(Kind.DATA, 0)
    flip_byte(backend, name, len(backend.get(name)) - 50)
    return {name}


def damage_header(case: Case, backend: MemoryBackend) -> set[str]:
    (name,) = case.packs(Kind.DATA, 0)
    flip_byte(backend, name, 70)
    return {name}


def truncate_pack(case: Case, backend: MemoryBackend) -> set[str]:
    (name,) = case.packs(Kind.DATA, 0)
    backend.put(name, backend.get(name)[:-300])
    return {name}


def empty_pack(case: Case, backend: MemoryBackend) -> set[str]:
    (name,) = case.packs(Kind.DATA, 1)
    backend.put(name, b"")
    return {name}


def flip_byte(backend: MemoryBackend, name: str, place: int) -> None:
    data = bytearray(backend.get(name))
    data[place] ^= 1
    backend.put(name, bytes(data))


def swap(backend: MemoryBackend, first: str, second: str) -> set[str]:
    one, two = backend.get(first), backend.get(second)
    backend.put(first, two)
    backend.put(second, one)
    return {first, second}


def swap_packs(case: Case, backend: MemoryBackend) -> set[str]:
    return swap(backend, *case.packs(Kind.DATA, 0), *case.packs(Kind.DATA, 1))


def swap_packs_of_a_session(case: Case, backend: MemoryBackend) -> set[str]:
    return swap(backend, *case.packs(Kind.DATA, 0), *case.packs(Kind.TREE, 0))


def swap_indexes(case: Case, backend: MemoryBackend) -> set[str]:
    return swap(backend, *case.names("index/")[:2]) | {UNKNOWN}


@dataclass(frozen=True)
class Expected:
    """What becomes of a kind of damage.

    Attributes:
        damage: does it.
        mended: whether everything can be had again.
        refuses: whether a prune can see it without reading all data.
    """

    damage: Callable[[Case, MemoryBackend], set[str]]
    mended: bool
    refuses: bool = True


CASES = {
    "missing data pack": Expected(lose_data_pack, mended=False),
    "missing tree pack": Expected(lose_tree_pack, mended=False),
    "missing index": Expected(lose_index, mended=True),
    "damaged index": Expected(damage_index, mended=True),
    "damaged tree": Expected(damage_tree, mended=False),
    "damaged data": Expected(damage_data, mended=False, refuses=False),
    "damaged trailer": Expected(damage_trailer, mended=True, refuses=False),
    "damaged header": Expected(damage_header, mended=True, refuses=False),
    "truncated pack": Expected(truncate_pack, mended=True),
    "empty pack": Expected(empty_pack, mended=False),
    "swapped packs": Expected(swap_packs, mended=True),
    "swapped packs of one session": Expected(swap_packs_of_a_session, mended=True),
    "swapped indexes": Expected(swap_indexes, mended=True),
}
each_case = pytest.mark.parametrize("expected", CASES.values(), ids=CASES.keys())


def error_objects(report: CheckReport) -> set[str]:
    return {finding.object for finding in report.errors}


def repair_all(repository: Repository, *, dry_run: bool = False) -> None:
    repository.repair_index(dry_run=dry_run)
    repository.repair_packs(dry_run=dry_run)
    repository.repair_snapshots(dry_run=dry_run)


def readable(case: Case, backend: Backend) -> dict[SnapshotId, Contents]:
    """What can be read of each snapshot; it is always right."""
    repository = case.opened(backend)
    found = {snapshot: read_all(repository, snapshot) for snapshot in case.snapshots}
    for snapshot, contents in found.items():
        assert contents.items() <= case.snapshots[snapshot].items()
    return found


@pytest.mark.fault(7, 8, 9, 10, 11)
@each_case
def test_check_says_exactly_what_is_hurt(case: Case, expected: Expected) -> None:
    backend = copied(case.backend)
    named = expected.damage(case, backend)
    report = case.opened(backend).check(read_data=True, full=True)
    assert error_objects(report) == named
    before = readable(case, backend)
    lost = {id_: case.snapshots[id_].keys() - found.keys() for id_, found in before.items()}
    hurts = [each for finding in report.errors for each in finding.hurts]
    assert {each.snapshot for each in hurts} == {id_ for id_, paths in lost.items() if paths}
    for each in hurts:
        for path in each.paths:
            below = path.rstrip("/") + "/"
            assert any(f"{name}/".startswith(below) for name in lost[SnapshotId(each.snapshot)])


@pytest.mark.fault(7, 9)
@pytest.mark.parametrize(
    "expected",
    [
        pytest.param(expected, id=name)
        for name, expected in CASES.items()
        if expected.refuses  # a prune does not read the data of packs that it leaves alone
    ],
)
def test_prune_refuses_and_deletes_nothing(case: Case, expected: Expected) -> None:
    backend = copied(case.backend)
    expected.damage(case, backend)
    before = objects(backend)
    with pytest.raises(DamagedRepository):
        case.opened(backend).prune()
    after = objects(backend)
    assert before.items() <= after.items()


@each_case
def test_a_dry_run_changes_nothing(case: Case, expected: Expected) -> None:
    backend = copied(case.backend)
    expected.damage(case, backend)
    before = objects(backend)
    repair_all(case.opened(backend), dry_run=True)
    assert objects(backend) == before


def assert_repaired(case: Case, backend: MemoryBackend, expected: Expected) -> None:
    """All that could be mended is, and the rest can be told apart and cleared away."""
    repository = case.opened(backend)
    report = repository.check(read_data=True, full=True)
    assert report.valid == expected.mended, report.findings
    new = [each for each in repository.snapshots() if each.id not in case.snapshots]
    assert len({each.replaces for each in new}) == len(new)
    hurt = {each.snapshot for finding in report.errors for each in finding.hurts}
    if expected.mended:
        assert new == []
        assert readable(case, backend) == case.snapshots
    for snapshot in new:
        assert snapshot.replaces == snapshot.original
        assert snapshot.replaces in hurt
        assert snapshot.problem_count > 0
        found = read_all(repository, snapshot.id)
        assert found == read_all(repository, snapshot.replaces)
        assert found.keys() < case.snapshots[snapshot.replaces].keys()
    if hurt:
        repository.forget(sorted(hurt), force=True)
    kept = {snapshot.id: read_all(repository, snapshot.id) for snapshot in new}
    assert case.opened(backend).check(read_data=True, full=True).valid
    pruned = case.opened(backend)
    pruned.prune(force=True)
    repository = case.opened(backend)
    findings = repository.check(read_data=True, full=True).findings
    assert {each.kind for each in findings} <= {FindingKind.STALE}
    assert {snapshot: read_all(repository, snapshot) for snapshot in kept} == kept


@pytest.mark.fault(9, 10)
@each_case
def test_repair_mends_what_can_be_mended(case: Case, expected: Expected) -> None:
    backend = copied(case.backend)
    expected.damage(case, backend)
    before = objects(backend)
    good = readable(case, backend)
    repair_all(case.opened(backend))
    after = objects(backend)
    kept = {name: data for name, data in before.items() if not name.startswith("index/")}
    assert kept.items() <= after.items()
    assert all(good[id_].items() <= found.items() for id_, found in readable(case, backend).items())
    assert_repaired(case, backend, expected)


@each_case
def test_repairing_again_does_nothing_more(case: Case, expected: Expected) -> None:
    backend = copied(case.backend)
    expected.damage(case, backend)
    repair_all(case.opened(backend))
    before = objects(backend)
    repair_all(case.opened(backend))
    assert objects(backend) == before


# Every operation fails, or is the last one


FAILURES: dict[str, Callable[[int], Fail]] = {
    "fails": lambda n: Fail(nth(n), BackendError),
    "fails though done": lambda n: Fail(nth(n), BackendError, done=True),
    "is full": lambda n: Fail(since(n), StorageFull),
    "crashes before": lambda n: Fail(since(n), lambda *_: PowerCut()),
    "crashes after": lambda n: Fail(since(n), lambda *_: PowerCut(), done=True),
}

REPAIRS: dict[str, tuple[str, Callable[[Repository], object]]] = {
    "index": ("missing index", lambda repo: repo.repair_index(dry_run=False)),
    "bad index": ("damaged index", lambda repo: repo.repair_index(dry_run=False)),
    "stale index": ("missing data pack", lambda repo: repo.repair_index(dry_run=False)),
    "packs": ("truncated pack", lambda repo: repo.repair_packs(dry_run=False)),
    "lost packs": ("damaged data", lambda repo: repo.repair_packs(dry_run=False)),
    "snapshots": ("missing data pack", lambda repo: repo.repair_snapshots(dry_run=False)),
}


@pytest.mark.fault(3)
@pytest.mark.parametrize("repair", REPAIRS.values(), ids=REPAIRS.keys())
@pytest.mark.parametrize("failure", FAILURES)
def test_a_repair_may_end_anywhere_and_is_run_again(
    case: Case,
    repair: tuple[str, Callable[[Repository], object]],
    failure: str,
    stride: Stride,
) -> None:
    name, work = repair
    plan, place = FAILURES[failure], list(FAILURES).index(failure)
    damaged = copied(case.backend)
    CASES[name].damage(case, damaged)
    good = readable(case, damaged)
    counted = Faulty(copied(damaged), NoFault())
    work(case.opened(counted))
    assert 5 < len(counted.calls) < 300
    changing = [call for call in counted.calls if call.verb not in {"get", "list", "stat"}]
    reading = [call for call in counted.calls if call not in changing]
    calls = [*changing, *reading[:: 1 if stride.is_one else max(len(reading) // 4, 1)]]
    for number in stride(range(len(calls)), 3, place % 3):
        call = calls[number]
        backend = copied(damaged)
        with suppress(HoldfastError, PowerCut):
            work(case.opened(Faulty(backend, plan(call.number))))
        assert readable_at_least(case, backend, good), call
        repair_all(case.opened(backend))
        clear_dead_sessions(case, backend)
        assert_repaired(case, backend, CASES[name])


def readable_at_least(case: Case, backend: Backend, good: dict[SnapshotId, Contents]) -> bool:
    return all(good[id_].items() <= found.items() for id_, found in readable(case, backend).items())


def clear_dead_sessions(case: Case, backend: Backend) -> None:
    """What a prune would do half an hour later."""
    repository = case.opened(backend)
    for session in repository.sessions().sessions:
        repository.expire_session(session.id)


# Healing


@pytest.mark.fault(9)
@pytest.mark.parametrize("name", ["missing data pack", "missing tree pack", "empty pack"])
def test_a_backup_of_the_same_data_heals(case: Case, name: str) -> None:
    backend = copied(case.backend)
    CASES[name].damage(case, backend)
    repository = case.opened(backend)
    result = repository.backup(case.source, force=True)
    assert result.errors == ()
    assert result.snapshot is not None
    newest = list(case.snapshots.values())[-1]
    assert read_all(case.opened(backend), result.snapshot.id) == newest
    if name != "missing tree pack":  # directories above the source may have other times now
        assert readable(case, backend) == case.snapshots
        report = case.opened(backend).check(read_data=True, full=True)
        assert report.valid == (name == "missing data pack"), "it is there, and damaged"
        case.opened(backend).repair_packs(dry_run=False)
        assert case.opened(backend).check(read_data=True, full=True).valid


def test_a_backup_heals_what_a_repair_has_condemned(case: Case) -> None:
    backend = copied(case.backend)
    damage_data(case, backend)
    case.opened(backend).backup(case.source, force=True)
    assert readable(case, backend) != case.snapshots  # the pack has its full length
    repaired = case.opened(backend).repair_packs(dry_run=False)
    assert repaired.lost > 0
    case.opened(backend).backup(case.source, force=True)
    assert readable(case, backend) == case.snapshots
    assert case.opened(backend).check(read_data=True, full=True).valid
    case.opened(backend).prune()
    assert readable(case, backend) == case.snapshots
    assert case.opened(backend).check(read_data=True, full=True).findings == ()


@pytest.mark.fault(12)
def test_duplicates_are_used_and_a_bad_one_is_condemned(case: Case) -> None:
    """Two packs hold the same blobs: of one of them each copy is bad."""
    backend = copied(case.backend)
    (name,) = case.packs(Kind.DATA, 0)
    data = backend.get(name)
    backend.delete(name)
    case.opened(backend).backup(case.source, force=True)  # stores them again
    backend.put(name, data)
    assert case.opened(backend).check(read_data=True, full=True).valid
    flip_byte(backend, name, HEADER_SIZE + 1)
    report = case.opened(backend).check(read_data=True, full=True)
    assert error_objects(report) == {name}
    assert [finding.hurts for finding in report.errors] == [()]
    assert readable(case, backend) == case.snapshots
    repaired = case.opened(backend).repair_packs(dry_run=False)
    (pack,) = repaired.packs
    assert (pack.lost, pack.salvaged) == (0, 0)
    assert pack.elsewhere == pack.blobs > 0
    assert repaired.stored == 0
    case.opened(backend).prune()
    assert readable(case, backend) == case.snapshots
    assert case.opened(backend).check(read_data=True, full=True).findings == ()


def test_a_copy_that_is_relied_upon_is_read_first(case: Case) -> None:
    """Both copies are damaged, in different places, and only one pack is named."""
    backend = copied(case.backend)
    (name,) = case.packs(Kind.DATA, 0)
    data = backend.get(name)
    backend.delete(name)
    before = {info.name for info in backend.list("data/")}
    case.opened(backend).backup(case.source, force=True)
    backend.put(name, data)
    (second,) = [
        info.name
        for info in backend.list("data/")
        if info.name not in before | {name} and info.size > 20_000
    ]
    flip_byte(backend, second, HEADER_SIZE + 1)
    backend.put(name, data[:-20])  # all that it holds can still be read
    pack = name.rpartition("/")[2]
    repaired = case.opened(backend).repair_packs([pack], dry_run=False)
    assert {each.pack for each in repaired.packs} == {name, second}
    assert repaired.lost == 0
    assert repaired.stored > 20_000
    case.opened(backend).prune()
    assert readable(case, backend) == case.snapshots
    assert case.opened(backend).check(read_data=True, full=True).findings == ()


# Another repository


def test_what_is_lost_comes_from_another_repository(case: Case) -> None:
    backend = copied(case.backend)
    named = lose_data_pack(case, backend) | damage_tree(case, backend)
    other = case.opened(case.backend)  # a copy of it, as good as one made with `init --like`
    rehearsed = case.opened(backend).repair_packs(source=other)
    repaired = case.opened(backend).repair_packs(source=other, dry_run=False)
    assert {pack.pack for pack in repaired.packs} == named
    assert all(pack.supplied == pack.blobs > 0 for pack in repaired.packs)
    assert rehearsed.packs == repaired.packs
    assert (repaired.lost, repaired.hurts) == (0, ())
    assert readable(case, backend) == case.snapshots
    assert case.opened(backend).check(read_data=True, full=True).valid


def test_a_repository_that_names_blobs_differently_is_refused(case: Case) -> None:
    other = Repository(new_store(), SYSTEM_CLOCK)
    with pytest.raises(UsageError, match="init --like"):
        case.opened(case.backend).repair_packs(source=other)


@pytest.mark.fault(16, 24)
def test_a_refusing_storage_loses_nothing(case: Case) -> None:
    """What may not be read is not lost, so nothing is condemned for it."""
    backend = copied(case.backend)
    (name,) = case.packs(Kind.DATA, 0)
    refusing = Faulty(
        backend, Fail(lambda call: call.verb == "get" and call.name == name, AccessDenied)
    )
    with pytest.raises(AccessDenied):
        case.opened(refusing).repair_packs(dry_run=False)
    assert list(backend.list("gc/")) == []


class Forgetful(MemoryBackend):
    """A storage that does not list all that it holds."""

    def __init__(self, objects: Objects, hidden: set[str]) -> None:
        super().__init__()
        for name, data in objects.items():
            self.put(name, data)
        self._hidden = hidden

    @override
    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        return (info for info in super().list(prefix) if info.name not in self._hidden)


def test_a_listing_that_lacks_what_is_there_is_not_believed(case: Case) -> None:
    backend = Forgetful(objects(case.backend), set(case.packs(Kind.DATA, 0)))
    before = objects(backend)
    with pytest.raises(DamagedRepository, match="listings cannot be relied upon"):
        case.opened(backend).repair_index(dry_run=False)
    assert objects(backend) == before


# What the index repair leaves alone


def test_packs_of_sessions_at_work_are_left_alone(case: Case) -> None:
    backend = copied(case.backend)
    repository = case.opened(backend)
    lose_index(case, backend)
    with repository._store.writer({"kind": "backup"}) as writer:
        writer.save_data(memoryview(b"new"), ("small", 0))
        writer.flush()
        (name,) = [info.name for info in backend.list("data/") if info.name.endswith(writer.id[:8])]
        for info in list(backend.list("index/")):
            backend.delete(info.name)
        result = case.opened(backend).repair_index(dry_run=False)
        assert result.at_work == (name,)
        assert set(result.indexed) == set(case.names("data/"))
    result = case.opened(backend).repair_index(dry_run=False)
    assert result.indexed == (name,)


def test_a_pack_that_is_put_back_is_indexed_again(case: Case) -> None:
    backend = copied(case.backend)
    (name,) = lose_data_pack(case, backend)
    result = case.opened(backend).repair_index(dry_run=False)
    assert result.missing == (name,)
    assert [lost.pack for lost in result.lost] == [name]
    assert error_objects(case.opened(backend).check()) == {UNKNOWN}
    backend.put(name, case.backend.get(name))
    result = case.opened(backend).repair_index(dry_run=False)
    assert result.indexed == (name,)
    assert readable(case, backend) == case.snapshots
    assert case.opened(backend).check(read_data=True, full=True).findings == ()


def test_an_unreadable_index_object_stays_while_a_pack_is_not_told_of(case: Case) -> None:
    backend = copied(case.backend)
    for name in case.names("index/"):
        backend.put(name, b"damaged")
    (pack,) = case.packs(Kind.DATA, 0)
    flip_byte(backend, pack, backend.stat(pack) - 50)
    result = case.opened(backend).repair_index(dry_run=False)
    assert [damage.object for damage in result.unreadable] == [pack]
    assert (result.deleted, result.kept) == ((), tuple(case.names("index/")))
    assert set(case.names("index/")) < {info.name for info in backend.list("index/")}
