"""Merging index objects: whatever happens meanwhile, every row stays readable."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable
from queue import Queue

import pytest
from tests.unit.store.index_objects import (
    KEYS,
    indexes,
    many,
    name_of,
    names,
    pack,
    put,
    rows_of,
    told,
    told_by,
)

from holdfast.backend import (
    Backend,
    Buffer,
    Call,
    Damage,
    Fail,
    Faulty,
    MemoryBackend,
    NoFault,
    flipped,
    nth,
    since,
)
from holdfast.errors import (
    BackendError,
    DamagedRepository,
    ObjectNotFound,
    UnsupportedRepository,
)
from holdfast.overrides import override
from holdfast.primitives.ids import BlobId
from holdfast.store import consolidate as module
from holdfast.store.catalog import Catalog
from holdfast.store.consolidate import consolidate, read_heads
from holdfast.store.index import encode_index
from holdfast.store.pack import PackInfo, Placed, object_name

# What is merged


def test_many_small_objects_become_one() -> None:
    backend = many()
    before = told(backend)
    result = consolidate(backend, KEYS)
    assert (result.objects_before, result.objects_after) == (12, 1)
    assert len(names(backend)) == 1
    assert told(backend) == before == rows_of(*(pack(at) for at in range(12)))


@pytest.mark.parametrize("count", [0, 1, module.SMALL_KEPT])
def test_a_few_small_objects_are_left_alone(count: int) -> None:
    backend = Faulty(many(count), NoFault())
    result = consolidate(backend, KEYS)
    assert (result.objects_before, result.objects_after) == (count, count)
    assert {call.verb for call in backend.calls} <= {"list", "get"}


def test_what_was_consolidated_is_left_alone() -> None:
    backend = many(40)
    put(backend, 100, [], [name_of(3), name_of(50)])
    put(backend, 101, [pack(7), pack(8)])
    consolidate(backend, KEYS, gone=[name_of(9)])
    before = names(backend)
    consolidate(backend, KEYS, gone=[name_of(9)])
    assert names(backend) == before


def test_merged_objects_have_a_bounded_number_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OBJECT_ROWS", 50)
    backend = many(100)
    put(backend, 200, [pack(200, 80)])
    put(backend, 201, [pack(201, 30)])
    before = told(backend)
    result = consolidate(backend, KEYS)
    rows = sorted(index.rows for index in indexes(backend))
    assert rows[-1] == 80
    assert rows[-2] <= 50
    assert sum(each < 25 for each in rows) <= 1
    assert result.objects_after == len(rows) == 12
    assert told(backend) == before


@pytest.mark.fault(12)
def test_a_pack_that_is_told_of_twice_is_told_of_once() -> None:
    """As a merge leaves it behind that was interrupted, or two at once."""
    backend = MemoryBackend()
    put(backend, 0, [pack(0), pack(1)])
    put(backend, 1, [pack(1), pack(2)])
    put(backend, 2, [pack(3)])
    before = told(backend)
    assert consolidate(backend, KEYS).objects_after == 2
    assert sorted(len(index.packs) for index in indexes(backend)) == [1, 3]
    assert sum(index.rows for index in indexes(backend)) == 20
    assert told(backend) == before


def test_objects_that_differ_about_a_pack_are_merged_without_loss() -> None:
    whole = pack(0)
    part = PackInfo(whole.name, whole.header, whole.size, whole.segments[1:], [])
    part = PackInfo(
        part.name, part.header, part.size, part.segments, [Placed(BlobId(b"x" * 32), 0, 0, 10)]
    )
    backend = MemoryBackend()
    put(backend, 0, [part])
    put(backend, 1, [whole])
    before = told(backend)
    assert len(before) == 6
    assert consolidate(backend, KEYS).objects_after == 1
    assert told(backend) == before


# What is left out


def test_rows_of_removed_packs_are_left_out_and_their_names_kept() -> None:
    backend = MemoryBackend()
    put(backend, 0, [pack(0), pack(1)])
    put(backend, 1, [pack(2)])
    put(backend, 2, [], [name_of(1), name_of(2), name_of(9)])
    result = consolidate(backend, KEYS)
    assert result.packs_dropped == 2
    assert result.records_dropped == 0
    assert told(backend) == rows_of(pack(0))
    assert {row.name for index in indexes(backend) for row in index.packs} == {name_of(0)}
    assert read_heads(backend, KEYS).removed() == {name_of(1), name_of(2), name_of(9)}


def test_rows_of_packs_that_are_gone_are_left_out() -> None:
    backend = MemoryBackend()
    put(backend, 0, [pack(0), pack(1)])
    put(backend, 1, [pack(2)])
    result = consolidate(backend, KEYS, gone={name_of(1), name_of(2), name_of(9)})
    assert (result.objects_before, result.objects_after, result.packs_dropped) == (2, 1, 2)
    assert told(backend) == rows_of(pack(0))
    assert read_heads(backend, KEYS).removed() == set()


def test_an_object_of_which_nothing_is_left_goes() -> None:
    backend = MemoryBackend()
    put(backend, 0, [pack(0)])
    assert consolidate(backend, KEYS, gone={name_of(0)}).objects_after == 0
    assert names(backend) == []


def test_removed_packs_are_forgotten_only_when_there_are_many_and_none_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backend = MemoryBackend()
    put(backend, 0, [pack(0), pack(1)])
    put(backend, 1, [], [name_of(number) for number in range(1, 6)])
    backend.put(object_name(name_of(2)), b"not deleted yet")
    assert consolidate(backend, KEYS).records_dropped == 0
    monkeypatch.setattr(module, "RECORDS_KEPT", 4)
    assert consolidate(backend, KEYS).records_dropped == 4
    assert read_heads(backend, KEYS).removed() == {name_of(2)}
    assert told(backend) == rows_of(pack(0))


def test_removed_packs_that_are_told_of_are_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their rows go first; another client may still have them."""
    monkeypatch.setattr(module, "RECORDS_KEPT", 0)
    backend = MemoryBackend()
    put(backend, 0, [pack(0), pack(1)], [name_of(1)])
    assert consolidate(backend, KEYS).records_dropped == 0
    assert consolidate(backend, KEYS).records_dropped == 1
    assert read_heads(backend, KEYS).removed() == set()


def test_nothing_is_forgotten_while_an_object_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "RECORDS_KEPT", 0)
    backend = MemoryBackend()
    put(backend, 0, [], [name_of(0)])
    damaged = put(backend, 1, [pack(0)])
    backend.put(damaged, flipped(backend.get(damaged)))
    assert consolidate(backend, KEYS).records_dropped == 0


# Damage


@pytest.mark.parametrize("place", [0, 20, 60, -1])
def test_a_damaged_object_is_never_deleted(place: int) -> None:
    backend = many()
    before = told(backend) - rows_of(pack(5))
    damaged = names(backend)[5]
    data = bytearray(backend.get(damaged))
    data[place] ^= 1
    backend.put(damaged, bytes(data))
    result = consolidate(backend, KEYS)
    assert backend.get(damaged) == data
    assert len(names(backend)) == 2
    assert result.objects_after == 2
    assert result.damaged.keys() == ({damaged} if place >= 0 else set())
    assert told(backend) == before


def test_nothing_is_deleted_when_the_new_object_was_not_stored_well() -> None:
    backend = many()
    before = names(backend)
    faulty = Faulty(backend, Damage(lambda call: call.verb == "put", flipped))
    with pytest.raises(DamagedRepository):
        consolidate(faulty, KEYS)
    assert names(backend) == before


def test_nothing_is_deleted_when_the_new_object_is_not_what_was_stored() -> None:
    backend = many()
    before = names(backend)

    class Forging(NoFault):
        @override
        def before(self, call: Call, data: Buffer) -> Buffer:
            return encode_index(call.name, [pack(1)], KEYS) if call.verb == "put" else data

    with pytest.raises(DamagedRepository, match="just stored"):
        consolidate(Faulty(backend, Forging()), KEYS)
    assert names(backend) == before


def test_nothing_is_deleted_once_the_keys_were_rotated() -> None:
    """What is sealed with the old keys may soon not be accepted any more."""
    backend = many()
    before = names(backend)

    class Rotating(NoFault):
        @override
        def before(self, call: Call, data: Buffer) -> Buffer:
            if call.verb == "put":
                backend.put("config/1", b"newer")
            return data

    with pytest.raises(UnsupportedRepository):
        consolidate(Faulty(backend, Rotating()), KEYS)
    assert names(backend) == before


# Crashes


def busy() -> MemoryBackend:
    """A repository with something of everything to do, in three groups."""
    backend = many(10)
    put(backend, 10, [pack(3), pack(4)])
    put(backend, 11, [pack(20, 20)], [name_of(30)])
    put(backend, 12, [pack(21, 20), pack(22)])
    put(backend, 13, [], [name_of(22), name_of(0)])
    return backend


GONE = {name_of(1)}
KEPT = rows_of(*(pack(at) for at in range(2, 10)), pack(20, 20), pack(21, 20))
REMOVED = {name_of(number) for number in (0, 22, 30)}


@pytest.mark.fault(3)
@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("when", [nth, since])
def test_a_failure_at_any_operation_loses_nothing(
    when: Callable[[int], Callable[[Call], bool]], monkeypatch: pytest.MonkeyPatch, *, done: bool
) -> None:
    monkeypatch.setattr(module, "OBJECT_ROWS", 30)
    counted = Faulty(busy(), NoFault())
    consolidate(counted, KEYS, gone=GONE)
    assert len(counted.calls) > 60
    for number in range(1, len(counted.calls) + 1):
        backend = busy()
        faulty = Faulty(backend, Fail(when(number), BackendError, done=done))
        with pytest.raises(BackendError):
            consolidate(faulty, KEYS, gone=GONE)
        assert KEPT <= told(backend) <= KEPT | rows_of(pack(1))
        assert read_heads(backend, KEYS).removed() == REMOVED
        results = [consolidate(backend, KEYS, gone=GONE) for _ in range(4)]
        assert told(backend) == KEPT
        assert read_heads(backend, KEYS).removed() == REMOVED
        assert results[-1].objects_before == results[-1].objects_after <= 10


# Several at once


class During(NoFault):
    """Something else happens just before an operation."""

    def __init__(self, number: int, what: Callable[[], object]) -> None:
        self._number, self._what = number, what

    @override
    def before(self, call: Call, data: Buffer) -> Buffer:
        if call.number == self._number:
            self._what()
        return data


@pytest.mark.fault(26)
def test_another_consolidation_at_any_operation_loses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "OBJECT_ROWS", 30)
    number = 0
    while True:
        number += 1
        backend = busy()
        reader = Catalog(backend, KEYS, None)
        reader.load()
        during = During(number, lambda: consolidate(backend, KEYS, gone=GONE))  # noqa: B023 - it is called in this turn
        faulty = Faulty(backend, during)
        consolidate(faulty, KEYS, gone=GONE)
        assert told(backend) == KEPT
        assert told_by(reader.refresh()) >= KEPT
        assert read_heads(backend, KEYS).removed() == REMOVED
        if len(faulty.calls) < number:
            break
    assert number > 60


def test_a_pack_removed_at_any_operation_is_never_told_of_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A client sleeps while others remove a pack, clear it away and even forget its name."""
    monkeypatch.setattr(module, "RECORDS_KEPT", 0)
    number = 0
    while True:
        number += 1
        backend = many()

        def remove() -> None:
            put(backend, 100, [], [name_of(5)])  # noqa: B023 - it is called in this turn
            for _ in range(3):
                consolidate(backend, KEYS)  # noqa: B023 - it is called in this turn

        faulty = Faulty(backend, During(number, remove))
        consolidate(faulty, KEYS)
        if len(faulty.calls) < number:
            break
        assert told(backend) == rows_of(*(pack(at) for at in range(12) if at != 5))
    assert number > 40


class KilledError(BackendError):
    """Ends an actor."""


class Turns(NoFault):
    """Makes the actor of one thread wait for its turn before every operation."""

    def __init__(self) -> None:
        self.verb = ""
        self.waiting: Queue[bool] = Queue()
        self.go: Queue[bool] = Queue()

    @override
    def before(self, call: Call, data: Buffer) -> Buffer:
        self.verb = call.verb
        self.waiting.put(True)
        if not self.go.get(timeout=60):
            raise KilledError(call.name, "killed")
        return data


class Actor:
    """One client in a thread of its own, moved by one operation at a time."""

    def __init__(self, backend: Backend, work: Callable[[Backend], object]) -> None:
        self._turns = Turns()
        faulty = Faulty(backend, self._turns)

        def run() -> None:
            with contextlib.suppress(KilledError):
                work(faulty)
            self._turns.waiting.put(False)

        self._thread = threading.Thread(target=run)
        self._thread.start()
        self.is_alive = self._turns.waiting.get(timeout=60)

    def step(self, *, kill: bool = False) -> str:
        """Let it do one operation; returns which."""
        verb = self._turns.verb
        self._turns.go.put(not kill)
        self.is_alive = self._turns.waiting.get(timeout=60)
        if not self.is_alive:
            self._thread.join()
        return verb


def test_clients_at_once_lose_nothing_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three that consolidate, one that removes a pack, one that adds packs; some are killed."""
    monkeypatch.setattr(module, "OBJECT_ROWS", 30)

    def add(backend: Backend) -> None:
        put(backend, 1000, [pack(40)])
        put(backend, 1001, [pack(41)])

    def remove(backend: Backend) -> None:
        put(backend, 1002, [], [name_of(4)])

    for seed in range(10):
        numbers = random.Random(seed)  # noqa: S311 - the same in every run
        backend = busy()
        actors = [
            Actor(backend, lambda faulty: consolidate(faulty, KEYS, gone=GONE)) for _ in range(3)
        ]
        actors += [Actor(backend, add), Actor(backend, remove)]
        while any(actor.is_alive for actor in actors):
            actor = numbers.choice([actor for actor in actors if actor.is_alive])
            actor.step(kill=numbers.random() < 0.01)
            now = told(backend)
            assert now >= KEPT - rows_of(pack(4))
            assert not rows_of(*map(pack, (0, 22))) & now
        after = told(backend)
        consolidate(backend, KEYS, gone=GONE)
        assert told(backend) == after - rows_of(pack(1))
        assert read_heads(backend, KEYS).removed() >= REMOVED


def test_an_object_that_goes_before_it_is_read_is_not_missed() -> None:
    backend = many()

    class Vanishing(NoFault):
        @override
        def before(self, call: Call, data: Buffer) -> Buffer:
            if call.verb == "get" and call.name == "index/" + "3".zfill(32):
                raise ObjectNotFound(call.name, "no such object")
            return data

    consolidate(Faulty(backend, Vanishing()), KEYS)
    assert told(backend) == rows_of(*(pack(at) for at in range(12)))
    assert len(names(backend)) == 2
