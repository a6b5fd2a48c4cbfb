"""A copy or a rewrite in which any operation fails, or is the last one: no half snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from typing_extensions import override

import holdfast
from holdfast.backend import Backend, Call, Fail, Faulty, MemoryBackend, NoFault, nth, since
from holdfast.clock import SYSTEM_CLOCK
from holdfast.engine.repository import Repository
from holdfast.primitives.ids import PackName
from holdfast.store import Store, create_store
from holdfast.testing.content import noise
from holdfast.testing.power import PowerCut
from holdfast.testing.repositories import (
    PASSWORD,
    QUICK_KDF,
    SETTINGS,
    attached,
    copied,
    new_store,
    reopened,
)

pytestmark = pytest.mark.usefixtures("cheap_passwords", "index_at_the_end")

CALLS_LIMIT = 200


FAILURES: dict[str, Callable[[int], Fail]] = {
    "fails": lambda n: Fail(nth(n), holdfast.BackendError),
    "fails though done": lambda n: Fail(nth(n), holdfast.BackendError, done=True),
    "is full": lambda n: Fail(since(n), holdfast.StorageFull),
    "crashes before": lambda n: Fail(since(n), lambda *_: PowerCut()),
    "crashes after": lambda n: Fail(since(n), lambda *_: PowerCut(), done=True),
}
failures = pytest.mark.parametrize("plan", FAILURES.values(), ids=FAILURES.keys())
alike = pytest.mark.parametrize("is_alike", [True, False], ids=["equal ids", "other ids"])


def objects_of(backend: Backend) -> dict[str, bytes]:
    return {info.name: backend.get(info.name) for info in backend.list("")}


class Pair:
    """A repository with two snapshots, of which another one has the first."""

    def __init__(self, place: Path, *, is_alike: bool) -> None:
        self.data = place / "data"
        (self.data / "sub").mkdir(parents=True)
        for number in range(8):
            (self.data / f"sub/{number}").write_bytes(noise(number * 3000, number))
        (self.data / "same").mkdir()
        (self.data / "same/file").write_bytes(noise(5000, 50))
        self.source = MemoryBackend()
        self.target = MemoryBackend()
        self._source_store = store = new_store(self.source)
        other = store if is_alike else None
        self._target_store = create_store(
            self.target, PASSWORD, SETTINGS, QUICK_KDF, SYSTEM_CLOCK, None, other
        )
        repo = self.at_source()
        repo.backup(self.data)
        repo.copy(self.at_target())
        for number in range(3):
            (self.data / f"sub/{number}").write_bytes(noise(20_000, 100 + number))
        (self.data / "new").write_bytes(noise(10_000, 9))
        repo.backup(self.data)
        self.contents = {
            each.id: self._contents(repo, each) for each in self.at_source().snapshots()
        }

    def at_source(self, backend: Backend | None = None) -> Repository:
        """The source, or what is at another backend."""
        store = attached(self._source_store, backend or self.source)
        return Repository(store, SYSTEM_CLOCK)

    def at_target(self, backend: Backend | None = None) -> Repository:
        """The target, or what is at another backend."""
        store = attached(self._target_store, backend or self.target)
        return Repository(store, SYSTEM_CLOCK)

    def _contents(self, repo: Repository, snapshot: holdfast.Snapshot) -> dict[str, bytes]:
        found = {}
        for entry in repo.walk(snapshot.id):
            if entry.type == "file":
                with repo.open_file(snapshot.id, entry.path) as file:
                    found[entry.path] = file.read()
        return found

    def check(self, repo: Repository) -> list[holdfast.Snapshot]:
        """Every snapshot that is there is whole; gives them."""
        snapshots = repo.snapshots()
        for snapshot in snapshots:
            assert snapshot.original is not None
            assert self._contents(repo, snapshot) == self.contents[snapshot.original]
        report = repo.check(read_data=True)
        assert report.valid, report.findings
        return snapshots


def attempts(
    work: Callable[[Faulty], object], plan: Callable[[int], Fail], objects: MemoryBackend
) -> Iterator[tuple[int, MemoryBackend, bool]]:
    """Do some work on copies of a storage, failing every operation in turn.

    Yields:
        The operation's number, the storage afterwards, and whether the work claims to be done.
    """
    counted = Faulty(copied(objects), NoFault())
    work(counted)
    assert 5 < len(counted.calls) < CALLS_LIMIT
    for number in range(1, len(counted.calls) + 1):
        after = copied(objects)
        is_done = False
        with suppress(holdfast.HoldfastError, PowerCut):
            work(Faulty(after, plan(number)))
            is_done = True
        yield number, after, is_done


@pytest.mark.fault(3)
@alike
@failures
def test_a_target_that_fails_gets_a_whole_copy_or_none(
    plan: Callable[[int], Fail], is_alike: bool, tmp_path: Path
) -> None:
    pair = Pair(tmp_path, is_alike=is_alike)
    before = objects_of(pair.source)
    source = pair.at_source()
    made = failed = 0
    for number, after, is_done in attempts(
        lambda backend: source.copy(pair.at_target(backend)), plan, pair.target
    ):
        repo = pair.at_target(after)
        snapshots = pair.check(repo)
        assert 1 <= len(snapshots) <= 2
        assert len(snapshots) == 2 or not is_done, number
        made += len(snapshots) == 2
        failed += len(snapshots) == 1
        again = source.copy(repo)
        assert len(again.copied) == 2 - len(snapshots)
        assert len(pair.check(repo)) == 2
    assert made
    assert failed
    assert objects_of(pair.source) == before


@alike
@pytest.mark.parametrize("name", ["fails", "crashes before"])
def test_a_source_that_fails_leaves_the_target_whole(
    name: str, is_alike: bool, tmp_path: Path
) -> None:
    pair = Pair(tmp_path, is_alike=is_alike)
    before = objects_of(pair.source)
    counted = Faulty(pair.source, NoFault())
    pair.at_source(counted).copy(pair.at_target(copied(pair.target)))
    source = pair.at_source()
    for number in range(1, len(counted.calls) + 1):
        target = pair.at_target(copied(pair.target))
        is_done = False
        with suppress(holdfast.HoldfastError, PowerCut):
            pair.at_source(Faulty(pair.source, FAILURES[name](number))).copy(target)
            is_done = True
        snapshots = pair.check(target)
        assert len(snapshots) == 2 or not is_done, number
        source.copy(target)
        assert len(pair.check(target)) == 2
    assert objects_of(pair.source) == before


def test_a_target_that_fails_keeps_no_other_from_its_copy(tmp_path: Path) -> None:
    pair = Pair(tmp_path, is_alike=False)
    full = Faulty(copied(pair.target), Fail(lambda call: call.name.startswith("data/"), full_error))
    gone = Faulty(copied(pair.target), NoFault())
    broken = Repository(reopened(gone), SYSTEM_CLOCK)
    gone._plan = Fail(lambda _: True)
    fine = copied(pair.target)
    targets = [pair.at_target(full), pair.at_target(fine)]
    # Repositories that are copies of one another bear one id, so a third one is made.
    other = new_store()
    with pytest.raises(holdfast.UsageError):
        pair.at_source().copy([*targets, broken])
    with pytest.raises(holdfast.CopyIncomplete) as failure:
        pair.at_source().copy([broken, Repository(other, SYSTEM_CLOCK)])
    result = failure.value.result
    assert [(each.snapshot, type(each.error)) for each in result.failures] == [
        ("", holdfast.BackendError)
    ]
    assert len(result.copied) == 2
    assert len(pair.check(Repository(other, SYSTEM_CLOCK))) == 2
    with pytest.raises(holdfast.CopyIncomplete) as failure:
        pair.at_source().copy([pair.at_target(full), Repository(new_store(), SYSTEM_CLOCK)])
    result = failure.value.result
    assert isinstance(result.failures[0].error, holdfast.StorageFull)
    assert isinstance(failure.value.__cause__, holdfast.StorageFull)
    assert len(result.copied) == 2


def full_error(name: str, problem: str) -> holdfast.StorageFull:
    return holdfast.StorageFull(name, problem)


class Between(NoFault):
    """Somebody else does something right after a call."""

    def __init__(self, number: int, act: Callable[[], object]) -> None:
        self._number = number
        self._act = act

    @override
    def after(self, call: Call, data: bytes) -> bytes:
        if call.number == self._number:
            self._act()
        return data


@pytest.mark.parametrize("kinds", [{1, 2}, {2}], ids=["all", "trees"])
@alike
def test_packs_that_are_condemned_during_a_copy_are_not_built_upon(
    is_alike: bool, kinds: set[int], tmp_path: Path
) -> None:
    """What was there is condemned at some operation, and gone when the copy is done."""
    pair = Pair(tmp_path, is_alike=is_alike)
    counted = Faulty(copied(pair.target), NoFault())
    source = pair.at_source()
    source.copy(pair.at_target(counted))
    other = reopened(pair.target)
    rows = other.catalog.refresh().pack_rows()
    packs = [Store.pack_object(row.name) for row in rows if row.header[12] in kinds]
    names = [PackName(name.rpartition("/")[2]) for name in packs]
    last_look = max(call.number for call in counted.calls if call.name == "gc/")
    assert packs
    assert last_look > 10
    for number in range(1, last_look):
        target = copied(pair.target)
        reclaim = attached(other, target).reclaim({"kind": "prune"}, 1800.0)
        repo = pair.at_target(Faulty(target, Between(number, partial(reclaim.condemn, names))))
        (made,) = source.copy(repo).copied
        assert made.snapshot is not None
        for name in packs:
            target.delete(name)
        report = pair.at_target(target).check([made.snapshot.id], read_data=True)
        assert report.valid, (number, report.findings)


@pytest.mark.fault(3)
@failures
def test_a_rewrite_that_fails_leaves_the_old_snapshot_or_both(
    plan: Callable[[int], Fail], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for number in range(5):
        (data / f"{number}").write_bytes(noise(2000, number))
    (data / "secret").write_text("secret")
    objects = MemoryBackend()
    store = new_store(objects)
    repo = Repository(store, SYSTEM_CLOCK)
    first = repo.backup(data).snapshot
    assert first is not None

    def work(backend: Faulty) -> None:
        Repository(attached(store, backend), SYSTEM_CLOCK).rewrite(
            first.id, exclude="secret", forget=True
        )

    for number, after, is_done in attempts(work, plan, objects):
        repo = Repository(attached(store, after), SYSTEM_CLOCK)
        names = {
            each.id: {entry.name for entry in repo.listdir(each.id, data)}
            for each in repo.snapshots()
        }
        olds = [found for id_, found in names.items() if id_ == first.id]
        news = [found for id_, found in names.items() if id_ != first.id]
        assert len(news) <= 1
        assert olds or news, number
        assert all(found == {"0", "1", "2", "3", "4"} for found in news)
        assert all("secret" in found for found in olds)
        assert not is_done or (news and not olds), number
        assert repo.check(read_data=True).valid
        if olds:
            repo.rewrite(first.id, exclude="secret", forget=True)
            assert len(repo.snapshots()) == 1
            assert repo.snapshots()[0].id in names or not news
