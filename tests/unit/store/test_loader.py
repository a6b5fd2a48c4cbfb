"""The reading pipeline: right bytes, from whichever copy is good, or an error that names one."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from holdfast.backend import (
    Backend,
    Call,
    Damage,
    Fail,
    Faulty,
    MemoryBackend,
    NoFault,
    ObjectInfo,
    flipped,
    halved,
)
from holdfast.errors import BackendError, DamagedRepository, ObjectNotFound, ObjectTruncated
from holdfast.overrides import override
from holdfast.primitives.ids import BlobId
from holdfast.store import Loader, Store
from holdfast.store.index import encode_index
from holdfast.store.segments import AHEAD
from holdfast.testing.repositories import new_store, reopened

pytestmark = pytest.mark.usefixtures("cheap_passwords")

GROUP = ("small", 0)


def saved(store: Store, *blobs: bytes) -> list[BlobId]:
    with store.writer({}) as writer:
        found = [writer.save_data(memoryview(blob), GROUP) for blob in blobs]
        writer.flush()
    return found


def packs(backend: Backend) -> list[str]:
    return sorted(info.name for info in backend.list("data/"))


BLOBS = [b"blob %d" % number for number in range(20)]


@pytest.fixture
def backend() -> MemoryBackend:
    return MemoryBackend()


@pytest.fixture
def blobs(backend: MemoryBackend) -> list[BlobId]:
    return saved(new_store(backend), *BLOBS)


def reader(backend: Backend) -> Loader:
    return reopened(backend).loader()


def is_data(call: Call) -> bool:
    return call.verb == "get" and call.name.startswith("data/")


def data_gets(backend: Faulty) -> int:
    return sum(map(is_data, backend.calls))


def nth_data(number: int) -> Callable[[Call], bool]:
    """The n-th read of a pack."""
    seen: list[Call] = []

    def condition(call: Call) -> bool:
        if is_data(call) and (not seen or seen[-1].number != call.number):
            seen.append(call)
        return is_data(call) and len(seen) == number

    return condition


def test_blobs_come_back_from_one_read(backend: MemoryBackend, blobs: list[BlobId]) -> None:
    counted = Faulty(backend, NoFault())
    with reader(counted) as loader:
        assert [loader.load(blob) for blob in blobs] == BLOBS
        assert data_gets(counted) == 1


def test_an_unknown_blob_is_named(backend: MemoryBackend, blobs: list[BlobId]) -> None:
    assert blobs
    with reader(backend) as loader, pytest.raises(DamagedRepository) as caught:
        loader.load(BlobId(bytes(32)))
    assert caught.value.object == "blob " + "00" * 32


@pytest.mark.parametrize("how", [flipped, halved, lambda _: b"", lambda data: data + b"x"])
def test_what_was_spoilt_once_is_fetched_again(
    backend: MemoryBackend, blobs: list[BlobId], how: Callable[[bytes], bytes]
) -> None:
    once = Faulty(backend, Damage(nth_data(1), how))
    with reader(once) as loader:
        assert loader.load(blobs[0]) == BLOBS[0]
    assert data_gets(once) == 2


@pytest.mark.fault(20)
def test_a_short_answer_is_fetched_again(backend: MemoryBackend, blobs: list[BlobId]) -> None:
    once = Faulty(backend, Fail(nth_data(1), ObjectTruncated))
    with reader(once) as loader:
        assert loader.load(blobs[0]) == BLOBS[0]


@pytest.mark.fault(20)
@pytest.mark.parametrize("how", [flipped, halved, lambda _: b""])
def test_what_is_always_spoilt_is_damage(
    backend: MemoryBackend, blobs: list[BlobId], how: Callable[[bytes], bytes]
) -> None:
    always = Faulty(backend, Damage(is_data, how))
    with reader(always) as loader:
        for blob in blobs:
            with pytest.raises(DamagedRepository) as caught:
                loader.load(blob)
            assert caught.value.object == packs(backend)[0]
            assert blob.hex() in str(caught.value)
    assert data_gets(always) == 2  # once and again, not for every blob


def test_what_is_bad_holds_no_memory() -> None:
    """Not even by the errors of a repository of which much is damaged."""
    backend = MemoryBackend()
    many = saved(new_store(backend), *(os.urandom(2 << 20) for _ in range(12)))
    free: list[int] = []
    with reader(Faulty(backend, Damage(is_data, flipped))) as loader:
        for blob in many:
            with pytest.raises(DamagedRepository):
                loader.load(blob)
            free.append(len(loader._buffers._free))
    assert free[-1] == free[1]


@pytest.mark.parametrize("size", [0, 1, 100, 130, -1])
def test_a_truncated_pack_is_damage(backend: MemoryBackend, blobs: list[BlobId], size: int) -> None:
    (name,) = packs(backend)
    backend.put(name, backend.get(name)[: 120 if size == -1 else size])
    with reader(backend) as loader, pytest.raises(DamagedRepository) as caught:
        loader.load(blobs[0])
    assert caught.value.object == name


def test_a_missing_pack_is_damage_and_costs_one_more_list(
    backend: MemoryBackend, blobs: list[BlobId]
) -> None:
    (name,) = packs(backend)
    backend.delete(name)
    counted = Faulty(backend, NoFault())
    with reader(counted) as loader:
        lists = []
        for blob in blobs:
            with pytest.raises(DamagedRepository, match="missing") as caught:
                loader.load(blob)
            assert caught.value.object == name
            lists.append(sum(call.name == "index/" for call in counted.calls))
    assert lists[0] == lists[-1]
    assert data_gets(counted) == 1


def twice(backend: MemoryBackend) -> tuple[list[BlobId], list[str]]:
    """A repository that has every blob in two packs; two hosts backed up at the same time."""
    new_store(backend)
    first, second = reopened(backend), reopened(backend)
    with first.writer({}) as one, second.writer({}) as other:
        blobs = [one.save_data(memoryview(blob), GROUP) for blob in BLOBS]
        assert [other.save_data(memoryview(blob), GROUP) for blob in BLOBS] == blobs
        one.flush()
        other.flush()
    assert len(packs(backend)) == 2
    return blobs, packs(backend)


@pytest.mark.fault(12)
@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda backend, name: backend.delete(name),
        lambda backend, name: backend.put(name, b""),
        lambda backend, name: backend.put(name, backend.get(name)[:150]),
        lambda backend, name: backend.put(name, bytes(backend.stat(name))),
    ],
    ids=["missing", "empty", "cut", "zeros"],
)
def test_the_other_copy_serves(which: int, spoil: Callable[[MemoryBackend, str], None]) -> None:
    backend = MemoryBackend()
    blobs, names = twice(backend)
    spoil(backend, names[which])
    with reader(backend) as loader:
        assert [loader.load(blob) for blob in blobs] == BLOBS


@pytest.mark.parametrize("which", [0, 1])
def test_the_other_copy_serves_when_the_storage_fails_for_one(which: int) -> None:
    backend = MemoryBackend()
    blobs, names = twice(backend)
    broken = Faulty(backend, Fail(lambda call: call.name == names[which]))
    with reader(broken) as loader:
        assert [loader.load(blob) for blob in blobs] == BLOBS


def test_a_storage_that_fails_is_no_damage(backend: MemoryBackend, blobs: list[BlobId]) -> None:
    """What it would give another time is not lost."""
    broken = Faulty(backend, Fail(nth_data(1)))
    with reader(broken) as loader:
        with pytest.raises(BackendError, match="planned"):
            loader.load(blobs[0])
        assert loader.load(blobs[0]) == BLOBS[0]


@pytest.mark.fault(26)
def test_what_a_reclaim_moved_is_found_in_the_new_index() -> None:
    """Between two reads a pack goes, and its blobs are in another that a new index tells of."""
    backend = MemoryBackend()
    new_store(backend)
    source, moved = MemoryBackend(), MemoryBackend()
    for each in (source, moved):
        for info in backend.list(""):
            each.put(info.name, backend.get(info.name))
    blobs = saved(reopened(source), *BLOBS)
    assert saved(reopened(moved), *BLOBS) == blobs
    with reader(source) as loader:
        assert loader.load(blobs[0]) == BLOBS[0]
        loader._segments.clear()
        for info in list(source.list("data/")) + list(source.list("index/")):
            source.delete(info.name)
        for info in list(moved.list("data/")) + list(moved.list("index/")):
            source.put(info.name, moved.get(info.name))
        assert [loader.load(blob) for blob in blobs] == BLOBS


def test_an_index_that_comes_later_is_read_when_a_blob_is_unknown(
    backend: MemoryBackend, blobs: list[BlobId]
) -> None:
    with reader(backend) as loader:
        assert loader.load(blobs[0]) == BLOBS[0]
        (later,) = saved(reopened(backend), b"a later blob")
        assert loader.load(later) == b"a later blob"


def test_an_index_that_points_elsewhere_never_gives_other_bytes(
    backend: MemoryBackend, blobs: list[BlobId]
) -> None:
    """Every segment opens, but what is at the place is another blob, or a part of one."""
    store = reopened(backend)
    (name,) = (info.name for info in backend.list("index/"))
    (pack,) = store.list_packs().packs.items()
    info = store.read_trailer(*pack)
    for change in (1, -1, len(BLOBS[0])):
        moved = [
            blob._replace(offset=(blob.offset + change) % info.segments[0].raw)
            for blob in info.blobs
        ]
        backend.put(name, encode_index(name, [replace(info, blobs=moved)], store.keys))
        with reader(backend) as loader:
            for blob in blobs:
                with pytest.raises(DamagedRepository, match="does not match its id"):
                    loader.load(blob)


# Several threads


class Slow(MemoryBackend):
    """Reads of packs wait until they are allowed."""

    def __init__(self, original: MemoryBackend) -> None:
        super().__init__()
        self._objects = dict(original._objects)
        self.allowed = threading.Event()
        self.reads = 0
        self.fail: BackendError | None = None

    @override
    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        if name.startswith("data/"):
            self.reads += 1
            assert self.allowed.wait(20)
            if self.fail is not None:
                error, self.fail = self.fail, None
                raise error
        return super().get(name, offset, length)


def test_one_segment_is_read_once_for_all_who_want_it(
    backend: MemoryBackend, blobs: list[BlobId]
) -> None:
    slow = Slow(backend)
    with reader(slow) as loader, ThreadPoolExecutor(8) as pool:
        wanted = [pool.submit(loader.load, blob) for blob in blobs[:8]]
        threading.Timer(0.1, slow.allowed.set).start()
        assert [future.result() for future in wanted] == BLOBS[:8]
    assert slow.reads == 1


def test_who_waited_for_a_read_that_failed_reads_again(
    backend: MemoryBackend, blobs: list[BlobId]
) -> None:
    slow = Slow(backend)
    slow.fail = BackendError("x", "the connection broke off")
    with reader(slow) as loader, ThreadPoolExecutor(4) as pool:
        wanted = [pool.submit(loader.load, blob) for blob in blobs[:4]]
        threading.Timer(0.1, slow.allowed.set).start()
        errors = [future.exception() for future in wanted]
    assert sum(error is not None for error in errors) <= 1


def test_many_threads_read_many_blobs() -> None:
    backend = MemoryBackend()
    store = new_store(backend)
    contents = [b"%d " % number * 3000 for number in range(300)]
    blobs = saved(store, *contents)
    with reader(backend) as loader, ThreadPoolExecutor(4) as pool:
        order = [(number * 77) % 300 for number in range(300)]
        loader.prefetch(blobs)
        assert list(pool.map(lambda at: loader.load(blobs[at]), order)) == [
            contents[at] for at in order
        ]


# Reading ahead


def test_what_was_read_ahead_is_not_read_again(backend: MemoryBackend, blobs: list[BlobId]) -> None:
    counted = Faulty(backend, NoFault())
    with reader(counted) as loader:
        loader.prefetch(blobs)
        loader.prefetch(blobs)
        assert [loader.load(blob) for blob in blobs] == BLOBS
    assert data_gets(counted) == 1


def test_reading_ahead_of_nonsense_is_harmless(backend: MemoryBackend, blobs: list[BlobId]) -> None:
    with reader(backend) as loader:
        loader.prefetch([BlobId(bytes(32)), blobs[0]])
        loader.prefetch([])
        assert loader.load(blobs[0]) == BLOBS[0]


@pytest.mark.parametrize("error", [BackendError, ObjectNotFound, ObjectTruncated])
def test_a_read_ahead_that_fails_is_harmless(
    backend: MemoryBackend, blobs: list[BlobId], error: type[BackendError]
) -> None:
    slow = Slow(backend)
    slow.fail = error("data/x", "the connection broke off")
    with reader(slow) as loader:
        loader.prefetch(blobs)
        threading.Timer(0.1, slow.allowed.set).start()
        assert loader.load(blobs[0]) == BLOBS[0]


def test_reading_ahead_of_what_is_damaged_leaves_it_to_the_read(
    backend: MemoryBackend, blobs: list[BlobId]
) -> None:
    (name,) = packs(backend)
    backend.put(name, bytes(backend.stat(name)))
    with reader(backend) as loader:
        loader.prefetch(blobs)
        with pytest.raises(DamagedRepository) as caught:
            loader.load(blobs[0])
    assert caught.value.object == name


def test_closing_with_reads_under_way_ends_them(
    backend: MemoryBackend, blobs: list[BlobId]
) -> None:
    slow = Slow(backend)
    before = set(threading.enumerate())
    loader = reader(slow)
    loader.prefetch(blobs)
    slow.allowed.set()
    loader.close()
    loader.close()
    assert set(threading.enumerate()) <= before  # those of earlier tests may end meanwhile


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = MemoryBackend()
    store = new_store(backend)
    contents = [bytes([number]) * 900_000 for number in range(40)]
    blobs = saved(store, *contents)
    monkeypatch.setattr("holdfast.store.segments.CACHE_BYTES", 5 << 20)
    monkeypatch.setattr("holdfast.store.segments._OPENERS", 2)
    with reader(backend) as loader:
        for blob, content in zip(blobs, contents, strict=True):
            assert loader.load(blob) == content
            assert sum(map(len, loader._segments.values())) <= 5 << 20
            assert loader._held == sum(map(len, loader._segments.values()))
            assert len(loader._openers) <= 2


# The index


class Stray(MemoryBackend):
    """A listing with names that no object can have, and one that vanishes at once."""

    @override
    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        yield from super().list(prefix)
        yield ObjectInfo(f"{prefix}.DS_Store", 5)
        yield ObjectInfo(f"{prefix}a copy", 5)
        yield ObjectInfo(f"{prefix}" + "e" * 32, 5)


def test_stray_names_and_vanished_objects_are_passed_over(
    backend: MemoryBackend, blobs: list[BlobId]
) -> None:
    stray = Stray()
    stray._objects = dict(backend._objects)
    store = reopened(stray)
    with store.loader() as loader:
        assert [loader.load(blob) for blob in blobs] == BLOBS
    assert store.snapshot_ids() == ["e" * 32]
    assert store.snapshot(store.snapshot_ids()[0]) is None


def test_an_index_object_that_was_spoilt_once_is_read_again(
    backend: MemoryBackend, blobs: list[BlobId]
) -> None:
    seen: list[int] = []

    def first(call: Call) -> bool:
        if call.verb == "get" and call.name.startswith("index/"):
            seen.append(call.number)
            return len(seen) == 1
        return False

    store = reopened(Faulty(backend, Damage(first, flipped)))
    with store.loader() as loader:
        assert loader.load(blobs[0]) == BLOBS[0]
    assert store.catalog.problems == {}


def test_a_damaged_index_object_hides_only_what_it_tells_of(
    backend: MemoryBackend, blobs: list[BlobId]
) -> None:
    damaged = next(backend.list("index/")).name
    (later,) = saved(reopened(backend), b"a later blob")
    backend.put(damaged, b"x" * 200)
    store = reopened(backend)
    with store.loader() as loader:
        assert loader.load(later) == b"a later blob"
        with pytest.raises(DamagedRepository, match="index does not know"):
            loader.load(blobs[0])
    assert list(store.catalog.problems) == [damaged]


def test_a_huge_index_object_is_not_read(backend: MemoryBackend, blobs: list[BlobId]) -> None:
    name = "index/" + "0" * 32

    class Huge(MemoryBackend):
        @override
        def list(self, prefix: str) -> Iterator[ObjectInfo]:
            yield from super().list(prefix)
            if prefix == "index/":
                yield ObjectInfo(name, 1 << 40)

        @override
        def get(self, name_: str, offset: int = 0, length: int | None = None) -> bytes:
            assert name_ != name
            return super().get(name_, offset, length)

    huge = Huge()
    huge._objects = dict(backend._objects)
    store = reopened(huge)
    with store.loader() as loader:
        assert loader.load(blobs[0]) == BLOBS[0]
    assert list(store.catalog.problems) == [name]


def test_a_list_that_fails_half_way_leaves_no_half_index(
    backend: MemoryBackend, blobs: list[BlobId]
) -> None:
    saved(reopened(backend), b"a later blob")
    reads: list[int] = []

    def second(call: Call) -> bool:
        if call.verb == "get" and call.name.startswith("index/"):
            reads.append(call.number)
            return len(reads) == 2
        return False

    store = reopened(Faulty(backend, Fail(second)))
    with pytest.raises(BackendError, match="planned"):
        store.catalog.load()
    with store.loader() as loader:
        assert [loader.load(blob) for blob in blobs] == BLOBS
    assert len(store.catalog.load()) == len(BLOBS) + 1


def test_a_repository_is_read_without_writing(backend: MemoryBackend, blobs: list[BlobId]) -> None:
    before = dict(backend._objects)
    with reader(backend) as loader:
        loader.load(blobs[0])
    assert backend._objects == before


# Many at once


def contents_of(loader: Loader, blobs: list[BlobId]) -> dict[int, bytes | None]:
    found: dict[int, bytes | None] = {}
    for position, view in loader.views(blobs):
        assert position not in found
        found[position] = None if view is None else bytes(view)
    return found


def test_many_blobs_are_given_segment_by_segment(backend: MemoryBackend) -> None:
    contents = [b"%d " % number * 3000 for number in range(700)]
    blobs = saved(new_store(backend), *contents)
    mixed = [blobs[(number * 77) % 700] for number in range(700)] + blobs[:3]
    counted = Faulty(backend, NoFault())
    with reader(counted) as loader:
        order = [position for position, _ in loader.views(mixed)]
        assert order != sorted(order)
        assert contents_of(loader, mixed) == {
            position: contents[blobs.index(blob)] for position, blob in enumerate(mixed)
        }
    table = reopened(backend).catalog.load()
    assert data_gets(counted) == len({table.locate(blob)[0][:2] for blob in blobs}) > 1


def test_of_many_blobs_those_that_are_not_to_be_had_are_none(
    backend: MemoryBackend, blobs: list[BlobId]
) -> None:
    unknown = BlobId(bytes(32))
    with reader(backend) as loader:
        assert contents_of(loader, [blobs[3], unknown]) == {0: BLOBS[3], 1: None}
    (name,) = packs(backend)
    backend.put(name, bytes(backend.stat(name)))
    with reader(backend) as loader:
        assert contents_of(loader, blobs) == dict.fromkeys(range(len(blobs)))
    backend.delete(name)
    with reader(backend) as loader:
        assert contents_of(loader, blobs) == dict.fromkeys(range(len(blobs)))


def test_many_blobs_are_verified(backend: MemoryBackend, blobs: list[BlobId]) -> None:
    with reader(backend) as loader:
        plan = loader.plan(blobs)
        swapped = [blobs[1], blobs[0], *blobs[2:]]
        found = dict(loader.read(plan, swapped))
    assert found == dict(enumerate([None, None, *BLOBS[2:]]))


def test_reading_ahead_keeps_its_distance() -> None:
    backend = MemoryBackend()
    contents = [bytes([number]) * 2_000_000 for number in range(40)]
    blobs = saved(new_store(backend), *contents)
    with reader(backend) as loader:
        loader.prefetch(blobs)
        for number, (blob, content) in enumerate(zip(blobs, contents, strict=True)):
            assert loader.view(blob) == content
            with loader._lock:
                assert len(loader._ahead) == min(AHEAD, len(blobs) - number - 1)
                assert len(loader._later) == max(0, len(blobs) - number - 1 - AHEAD)


def test_what_is_left_out_makes_room() -> None:
    backend = MemoryBackend()
    blobs = saved(new_store(backend), *(bytes([number]) * 2_000_000 for number in range(40)))
    with reader(backend) as loader:
        loader.prefetch(blobs)
        for count in (AHEAD, 2 * AHEAD):
            loader.leave_out(blobs[:count])
            with loader._lock:
                assert len(loader._ahead) == AHEAD
                assert len(loader._later) == len(blobs) - count - AHEAD


def test_a_view_outlives_what_is_read_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = MemoryBackend()
    contents = [bytes([number]) * 900_000 for number in range(40)]
    blobs = saved(new_store(backend), *contents)
    monkeypatch.setattr("holdfast.store.segments.CACHE_BYTES", 2 << 20)
    with reader(backend) as loader:
        views = [loader.view(blob) for blob in blobs]
        assert [bytes(view) for view in views] == contents
    assert [bytes(view) for view in views] == contents
