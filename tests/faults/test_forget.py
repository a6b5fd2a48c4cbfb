"""Whatever fails while snapshots are forgotten or brought back, none is lost.

At every moment each is a snapshot, or is among the forgotten and can be brought back; and to run
the same again comes to the same end. Rows 22 to 24, 29 and 30 of the fault catalogue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.faults.test_every_operation import attempts, copied, failures

import holdfast
from holdfast.backend import (
    Backend,
    Buffer,
    Call,
    Fail,
    Faulty,
    MemoryBackend,
    NoFault,
    ObjectInfo,
)
from holdfast.clock import SYSTEM_CLOCK
from holdfast.engine.repository import Repository
from holdfast.overrides import override
from holdfast.store import Store
from holdfast.testing.content import noise
from holdfast.testing.repositories import attached, new_store

KEEP_TWO = "keep-last:2"


@dataclass(frozen=True)
class Case:
    """Four snapshots with a file each."""

    file: Path
    objects: MemoryBackend
    store: Store
    contents: dict[str, bytes]

    def connect(self, backend: Backend) -> Repository:
        """The repository at a backend, with the keys that are known already."""
        return Repository(attached(self.store, backend), SYSTEM_CLOCK)

    @property
    def ids(self) -> list[str]:
        return list(self.contents)

    def assert_holds(self, backend: Backend, snapshot: holdfast.Snapshot) -> None:
        """It has what it had when it was made, under its own id or that of what it is made of."""
        content = self.contents.get(snapshot.id) or self.contents[str(snapshot.original)]
        with self.connect(backend).open_file(snapshot.id, self.file) as stream:
            assert stream.read() == content

    def assert_none_is_lost(self, after: MemoryBackend, number: int) -> None:
        """Every one of the four is there or comes back; nothing is damaged."""
        backend = copied(after)
        repo = self.connect(backend)
        there = repo.snapshots()
        ids = {str(each.original or each.id) for each in there}
        for kept in repo.forgotten():
            made = repo.undelete(kept.snapshot.id)
            assert made.tags == kept.snapshot.tags == (f"t{self.ids.index(kept.snapshot.id)}",)
            ids.add(kept.snapshot.id)
        assert ids == set(self.ids), number
        for snapshot in repo.snapshots():
            self.assert_holds(backend, snapshot)
        report = self.connect(backend).check(read_data=True)
        assert report.valid, (number, report.findings)


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    file = tmp_path_factory.mktemp("data") / "file"
    objects = MemoryBackend()
    store = new_store(objects)
    repo = Repository(store, SYSTEM_CLOCK)
    contents: dict[str, bytes] = {}
    for number in range(4):
        content = noise(3000, number)
        file.write_bytes(content)
        made = repo.backup(file).snapshot
        assert made is not None
        repo.tag(made.id, add=f"t{number}")
        contents[made.id] = content
    return Case(file, objects, store, contents)


@pytest.mark.fault(3)
@failures
def test_no_snapshot_is_lost_while_some_are_forgotten(
    case: Case, plan: Callable[[int], Fail]
) -> None:
    done = 0
    for number, after, is_done in attempts(
        lambda backend: case.connect(backend).forget(policy=KEEP_TWO), plan, case.objects
    ):
        repo = case.connect(after)
        ids = [each.id for each in repo.snapshots()]
        assert set(case.ids[2:]) <= set(ids), number
        assert len(ids) == 2 or not is_done
        case.assert_none_is_lost(after, number)
        repo.forget(policy=KEEP_TWO)
        assert [each.id for each in repo.snapshots()] == case.ids[2:]
        assert [each.snapshot.id for each in repo.forgotten()] == case.ids[:2]
        case.assert_none_is_lost(after, number)
        done += is_done
    assert done < number


@pytest.mark.fault(3)
@failures
def test_no_snapshot_is_lost_while_one_is_brought_back(
    case: Case, plan: Callable[[int], Fail]
) -> None:
    objects = copied(case.objects)
    case.connect(objects).hold(case.ids[0], "for a while")
    hold = [info.name for info in objects.list(f"labels/{case.ids[0]}/")]
    case.connect(objects).release(case.ids[0])
    case.connect(objects).forget(policy=KEEP_TWO)
    # Its release is lost, so that it comes back held.
    for info in list(objects.list(f"labels/{case.ids[0]}/")):
        if info.name not in hold:
            objects.delete(info.name)
    back = 0
    for number, after, is_done in attempts(
        lambda backend: case.connect(backend).undelete(case.ids[0]), plan, objects
    ):
        repo = case.connect(after)
        made = [each for each in repo.snapshots() if each.original == case.ids[0]]
        assert len(made) == 1 or not is_done, number
        for each in made:
            assert each.protection == "protected: for a while"
            case.assert_holds(after, each)
        if not made:
            assert case.ids[0] in {each.snapshot.id for each in repo.forgotten()}
        case.assert_none_is_lost(after, number)
        back += len(made)
    assert back


@pytest.mark.fault(3)
@failures
def test_a_tag_is_given_or_not(case: Case, plan: Callable[[int], Fail]) -> None:
    def work(backend: Faulty) -> None:
        case.connect(backend).tag(case.ids[:2], add="x", remove="t0")

    for number, after, is_done in attempts(work, plan, case.objects):
        tags = [each.tags for each in case.connect(after).snapshots()[:2]]
        assert tags[0] in {("t0",), ("x",)}, number
        assert tags[1] in {("t1",), ("t1", "x")}, number
        assert not is_done or tags == [("x",), ("t1", "x")]
        work(Faulty(after, NoFault()))
        assert [each.tags for each in case.connect(after).snapshots()[:2]] == [("x",), ("t1", "x")]


@failures
def test_what_is_made_protected_never_is_there_unprotected(
    case: Case, plan: Callable[[int], Fail]
) -> None:
    made = 0
    for number, after, _ in attempts(
        lambda backend: case.connect(backend).backup(case.file, protect=True), plan, case.objects
    ):
        for each in case.connect(after).snapshots()[4:]:
            made += 1
            assert each.protection == "protected", number
    assert made


@pytest.mark.fault(24)
def test_a_client_that_may_not_delete_forgets_nothing(case: Case) -> None:
    objects = copied(case.objects)
    plan = Fail(lambda call: call.verb == "delete", holdfast.AccessDenied)
    with pytest.raises(holdfast.AccessDenied):
        case.connect(Faulty(objects, plan)).forget(policy=KEEP_TWO)
    assert [each.id for each in case.connect(objects).snapshots()] == case.ids
    case.assert_none_is_lost(objects, 0)


class Listing(MemoryBackend):
    """A storage whose listings of one folder leave out what is in it, from the n-th on."""

    def __init__(self, original: MemoryBackend, folder: str, number: int) -> None:
        super().__init__()
        self._objects = original._objects
        self._folder = folder
        self._left = number

    @override
    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        if not prefix.startswith(self._folder):
            return super().list(prefix)
        self._left -= 1
        return super().list(prefix) if self._left > 0 else iter(())


@pytest.mark.fault(22)
def test_a_listing_that_leaves_out_what_was_just_stored_is_not_trusted(case: Case) -> None:
    objects = copied(case.objects)
    for name in ("forgotten/", ""):
        with pytest.raises(holdfast.HoldfastError, match=r"not listed|were changed"):
            case.connect(Listing(objects, name, 1)).forget(policy=KEEP_TWO)
        assert [each.id for each in case.connect(objects).snapshots()] == case.ids


@pytest.mark.fault(22)
def test_snapshots_that_a_listing_leaves_out_make_a_policy_keep_more(case: Case) -> None:
    for number in range(1, 4):
        objects = copied(case.objects)
        hidden = f"snapshots/{case.ids[number]}"

        class Partial(MemoryBackend):
            @override
            def list(self, prefix: str, hidden: str = hidden) -> Iterator[ObjectInfo]:
                return (info for info in super().list(prefix) if info.name != hidden)

        partial = Partial()
        partial._objects = objects._objects
        removed = case.connect(partial).forget(policy=KEEP_TWO).removed
        assert set(removed) <= set(case.ids[:2])


class Meanwhile(NoFault):
    """Something else happens right before the n-th operation."""

    def __init__(self, number: int, work: Callable[[], object]) -> None:
        self._number = number
        self._work = work

    @override
    def before(self, call: Call, data: Buffer) -> Buffer:
        if call.number == self._number:
            self._work()
        return data


def interleaved(
    case: Case, work: Callable[[Backend], object], other: Callable[[Backend], object]
) -> Iterator[tuple[int, MemoryBackend, bool]]:
    """Do some work, and all of another before its n-th operation, for every n."""
    counted = Faulty(copied(case.objects), NoFault())
    work(counted)
    for number in range(1, len(counted.calls) + 1):
        after = copied(case.objects)

        def meanwhile(after: MemoryBackend = after) -> None:
            other(after)

        try:
            work(Faulty(after, Meanwhile(number, meanwhile)))
        except holdfast.HoldfastError:
            yield number, after, False
        else:
            yield number, after, True


@pytest.mark.fault(26)
def test_two_clients_forget_the_same(case: Case) -> None:
    def work(backend: Backend) -> None:
        case.connect(backend).forget(policy=KEEP_TWO)

    for number, after, is_done in interleaved(case, work, work):
        assert is_done, number
        assert [each.id for each in case.connect(after).snapshots()] == case.ids[2:]
        assert [each.snapshot.id for each in case.connect(after).forgotten()] == case.ids[:2]
        case.assert_none_is_lost(after, number)


@pytest.mark.fault(3)
@pytest.mark.parametrize("is_damaged", [False, True], ids=["", "beside damage"])
def test_a_client_that_was_overtaken_crashes(case: Case, *, is_damaged: bool) -> None:
    """It looks, another client does it all, it goes on for a while and is gone."""
    objects = copied(case.objects)
    if is_damaged:
        objects.put(f"forgotten/{case.ids[0]}", b"damaged")
    counted = Faulty(copied(objects), NoFault())
    case.connect(counted).forget(policy=KEEP_TWO)
    total = len(counted.calls)
    for overtaken in range(1, total + 1):
        for crash in range(overtaken, min(overtaken + 4, total) + 1):
            after = copied(objects)

            def overtake(after: MemoryBackend = after) -> None:
                case.connect(after).forget(policy=KEEP_TWO)

            gone = Faulty(after, Fail(lambda call, crash=crash: call.number >= crash))  # type: ignore[misc]  # the number of this turn
            with suppress(holdfast.HoldfastError):
                case.connect(Faulty(gone, Meanwhile(overtaken, overtake))).forget(policy=KEEP_TWO)
            repo = case.connect(after)
            there = {each.id for each in repo.snapshots()}
            there |= {each.snapshot.id for each in repo.forgotten()}
            assert there == set(case.ids), (overtaken, crash)


def test_a_snapshot_is_brought_back_while_others_are_forgotten(case: Case) -> None:
    def forget(backend: Backend) -> None:
        case.connect(backend).forget(policy=KEEP_TWO)

    def undelete(backend: Backend) -> None:
        for kept in case.connect(backend).forgotten():
            case.connect(backend).undelete(kept.snapshot.id)

    for number, after, is_done in interleaved(case, forget, undelete):
        assert is_done, number
        case.assert_none_is_lost(after, number)


def test_a_hold_and_a_policy_meet(case: Case) -> None:
    """A hold that is there before a snapshot is looked at for the last time keeps it."""
    held_late = 0

    def forget(backend: Backend) -> None:
        case.connect(backend).forget(policy=KEEP_TWO)

    def hold(backend: Backend) -> None:
        repo = case.connect(backend)
        if case.ids[0] in {each.id for each in repo.snapshots()}:
            repo.hold(case.ids[0], "meanwhile")

    for number, after, _ in interleaved(case, forget, hold):
        ids = [each.id for each in case.connect(after).snapshots()]
        held_late += case.ids[0] not in ids
        case.assert_none_is_lost(after, number)
    assert held_late < number
