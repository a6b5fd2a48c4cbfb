"""Writers: what is stored is not stored again, and nothing is built upon what may go."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from holdfast.backend import (
    Backend,
    Buffer,
    Call,
    Fail,
    Faulty,
    Limit,
    MemoryBackend,
    NoFault,
    ObjectInfo,
    Throttled,
)
from holdfast.clock import SYSTEM_CLOCK, Clock
from holdfast.errors import (
    AccessDenied,
    BackendError,
    DamagedRepository,
    HoldfastError,
    SessionLost,
    StorageFull,
    UnsupportedRepository,
    UsageError,
)
from holdfast.overrides import override
from holdfast.primitives import codec
from holdfast.primitives.ids import BlobId
from holdfast.store import Kind, Rehearsal, Store, Writer
from holdfast.store.config import encode_config
from holdfast.store.envelope import ObjectType, seal_object
from holdfast.store.filler import OPEN_GROUPS
from holdfast.store.packer import SEGMENT_SIZE
from holdfast.store.writer import INDEX_INTERVAL
from holdfast.testing.repositories import SETTINGS, ManualClock, copied, new_store, reopened

pytestmark = pytest.mark.usefixtures("cheap_passwords")

SMALL = ("small", 0)


def content(number: int, size: int = 1000) -> bytes:
    return random.Random(number).randbytes(size)  # noqa: S311 - the same in every run


def save(writer: Writer, *blobs: bytes) -> list[BlobId]:
    return [writer.save_data(memoryview(blob), SMALL) for blob in blobs]


def backed_up(store: Store, *blobs: bytes) -> list[BlobId]:
    """A whole session with a commit."""
    with store.writer({}) as writer:
        found = save(writer, *blobs)
        writer.flush()
        assert writer.confirm()
        writer.commit(b"a snapshot")
    return found


def names(backend: Backend, folder: str) -> list[str]:
    return sorted(info.name for info in backend.list(folder))


def load_all(backend: Backend, blobs: list[BlobId]) -> list[bytes]:
    with reopened(backend).loader() as loader:
        return [loader.load(blob) for blob in blobs]


@pytest.fixture
def backend() -> MemoryBackend:
    backend = MemoryBackend()
    new_store(backend)
    return backend


# What is stored


def test_what_is_saved_can_be_loaded(backend: MemoryBackend) -> None:
    contents = [content(number, 10 + number * 3000) for number in range(30)]
    blobs = backed_up(reopened(backend), *contents)
    assert load_all(backend, blobs) == contents
    assert len(names(backend, "snapshots/")) == 1
    assert names(backend, "sessions/") == []


def test_what_is_stored_is_not_stored_again(backend: MemoryBackend) -> None:
    contents = [content(number) for number in range(20)]
    blobs = backed_up(reopened(backend), *contents)
    packs = names(backend, "data/")
    with reopened(backend).writer({}) as writer:
        assert save(writer, *contents, *contents) == blobs * 2
        writer.flush()
        assert (writer.added, writer.blobs, writer.stored) == (0, 0, 0)
        assert writer.has(blobs)
    assert names(backend, "data/") == packs


def test_what_is_moved_is_stored_anew_and_once(backend: MemoryBackend) -> None:
    small, large = content(1), content(2, SEGMENT_SIZE + 1)
    blobs = backed_up(reopened(backend), small, large)
    before = names(backend, "data/")
    with reopened(backend).writer({}) as writer:
        for _ in range(2):
            for blob, data in zip(blobs, (small, large), strict=True):
                writer.move(Kind.DATA, blob, memoryview(data), SMALL)
            writer.flush()
        assert (writer.blobs, writer.added) == (2, len(small) + len(large))
    for name in before:
        backend.delete(name)
    assert load_all(backend, blobs) == [small, large]


def test_what_is_moved_under_another_id_is_not_stored(backend: MemoryBackend) -> None:
    """The pack is verified before it is stored, whatever the writer was told."""
    with reopened(backend).writer({}) as writer:
        writer.move(Kind.DATA, BlobId(b"x" * 32), memoryview(b"data"), SMALL)
        with pytest.raises(DamagedRepository, match="before it was stored"):
            writer.flush()
    assert names(backend, "data/") == []


def test_what_is_saved_twice_in_one_session_is_stored_once(backend: MemoryBackend) -> None:
    contents = [content(number) for number in range(20)]
    with reopened(backend).writer({}) as writer:
        blobs = save(writer, *contents)
        assert save(writer, *contents) == blobs
        assert writer.has(blobs)
        writer.flush()
        assert save(writer, *contents) == blobs
        assert writer.has(blobs)
        writer.flush()
        assert writer.blobs == 20
        assert writer.added == 20 * 1000
        assert writer.stored == sum(
            info.size for folder in ("data/", "index/") for info in backend.list(folder)
        )
    assert len(names(backend, "data/")) == 1
    assert len(names(backend, "index/")) == 1


def test_the_same_bytes_as_data_and_as_tree_are_two_blobs(backend: MemoryBackend) -> None:
    with reopened(backend).writer({}) as writer:
        (data,) = save(writer, b"same")
        tree = writer.save_tree(b"same")
        assert data != tree
        writer.flush()
    assert len(names(backend, "data/")) == 2
    assert load_all(backend, [data, tree]) == [b"same", b"same"]


def test_a_writer_does_not_keep_the_buffer_it_is_given(backend: MemoryBackend) -> None:
    buffer = bytearray(5_000_000)
    expected, blobs = [], []
    with reopened(backend).writer({}) as writer:
        for number, size in enumerate([10, SEGMENT_SIZE - 1, SEGMENT_SIZE, 3_000_000, 17]):
            data = content(number, size)
            buffer[:size] = data
            blobs.append(writer.save_data(memoryview(buffer)[:size], SMALL))
            expected.append(data)
        buffer[:] = bytes(len(buffer))
        writer.flush()
    assert load_all(backend, blobs) == expected


def test_groups_do_not_share_segments(backend: MemoryBackend) -> None:
    """What one user stores must not show in the size of another's secrets."""
    groups = [("small", uid) for uid in range(3)] + [("large", 0)]
    owner: dict[bytes, tuple[str, int]] = {}
    with reopened(backend).writer({}) as writer:
        for turn in range(5):
            for group in groups:
                blob = writer.save_data(memoryview(b"%d %s %d" % (turn, *_bytes(group))), group)
                owner[blob] = group
        owner[writer.save_tree(b"a tree")] = ("tree", 0)
        writer.flush()
    segments: dict[tuple[int, int], set[tuple[str, int]]] = {}
    for blob, at in reopened(backend).catalog.load().rows():
        segments.setdefault((at.pack, at.ordinal), set()).add(owner[blob])
    assert len(segments) == len(groups) + 1
    assert all(len(owners) == 1 for owners in segments.values())


def _bytes(group: tuple[str, int]) -> tuple[bytes, int]:
    return group[0].encode(), group[1]


def test_many_groups_are_filled_in_bounded_memory(backend: MemoryBackend) -> None:
    blobs, contents = [], []
    with reopened(backend).writer({}) as writer:
        for turn in range(2):
            for uid in range(5 * OPEN_GROUPS):
                contents.append(b"%d %d" % (turn, uid))
                blobs.append(writer.save_data(memoryview(contents[-1]), ("small", uid)))
                assert len(writer._filler._open) <= OPEN_GROUPS
        writer.flush()
    assert load_all(backend, blobs) == contents


def test_leaving_without_a_commit_leaves_no_snapshot_and_no_session(
    backend: MemoryBackend,
) -> None:
    with reopened(backend).writer({}) as writer:
        save(writer, b"blob")
    assert names(backend, "snapshots/") == names(backend, "sessions/") == []


def test_what_an_interrupted_session_stored_is_used_by_the_next(backend: MemoryBackend) -> None:
    contents = [content(number, 200_000) for number in range(40)]
    with pytest.raises(KeyboardInterrupt), reopened(backend).writer({}) as writer:  # noqa: PT012 - a session
        save(writer, *contents)
        until(lambda: len(names(backend, "data/")) == 3)
        raise KeyboardInterrupt
    assert names(backend, "sessions/") == []
    with reopened(backend).writer({}) as writer:
        blobs = save(writer, *contents)
        assert writer.blobs == 40 - 30
        writer.flush()
        assert writer.confirm()
    assert load_all(backend, blobs) == contents


# The index


def index_of(backend: Backend) -> dict[str, int]:
    return {info.name: info.size for info in backend.list("index/")}


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.001)


def slow_writer(backend: Backend, clock: Clock) -> Writer:
    return reopened(backend, clock=clock).writer({})


def has_pack_to_tell(writer: Writer) -> bool:
    """Whether it knows that a pack is stored of which the index does not know."""
    with writer._lock:  # when it knows, it has asked what time it is
        return bool(writer._unindexed)


def ticks_until(clock: ManualClock, condition: Callable[[], bool]) -> None:
    """Let time pass, again if the session had not begun to wait for it."""

    def turned() -> bool:
        clock.advance(INDEX_INTERVAL)
        return condition()

    until(turned)


def test_nothing_of_a_session_comes_after_its_end(backend: MemoryBackend) -> None:
    """As from its thread, if that is late: who rotates keys relies on it."""
    broken = Faulty(backend, Fail(lambda call: (call.verb, call.name[:6]) == ("put", "index/")))
    clock = ManualClock()
    with (  # noqa: PT012 - a session
        pytest.raises(KeyboardInterrupt),
        reopened(broken, clock=clock).writer({}) as writer,
    ):
        save(writer, content(1))
        writer._filler.flush()
        writer._packer.flush()
        raise KeyboardInterrupt
    asked = len(broken.calls)
    clock.advance(INDEX_INTERVAL)
    writer._on_tick()
    assert len(broken.calls) == asked


def test_who_interrupts_does_not_wait_for_what_a_limit_holds_back() -> None:
    """Neither for packs that no thread has begun to send, nor for those that wait for their turn.

    What was sent is not lost: the next writer finds it.
    """
    backend = MemoryBackend()
    new_store(backend)
    throttled = Throttled(backend, Limit.parse(8), None, SYSTEM_CLOCK)  # two minutes for each
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt), reopened(throttled).writer({}) as writer:  # noqa: PT012 - a session
        save(writer, *(content(number, 1 << 20) for number in range(4)))
        while not writer.packed:
            time.sleep(0.001)
        raise KeyboardInterrupt
    assert time.monotonic() - start < 60
    assert names(backend, "sessions/") == []
    stored = names(backend, "data/")
    assert 0 < len(stored) < 4
    assert len(reopened(backend).catalog.refresh().packs) == len(stored)


def test_the_index_is_written_while_the_backup_goes_on(backend: MemoryBackend) -> None:
    """Even when no further pack becomes full: a tick of the session sees to it."""
    clock = ManualClock()
    with slow_writer(backend, clock) as writer:
        save(writer, *(content(number, 300_000) for number in range(8)))
        until(lambda: has_pack_to_tell(writer))
        ticks_until(clock, lambda: len(index_of(backend)) == 1)
        assert len(names(backend, "data/")) == 1


def test_an_index_that_could_not_be_written_is_written_later(
    backend: MemoryBackend, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock()
    failed: list[Call] = []

    def once(call: Call) -> bool:
        if call.verb == "put" and call.name.startswith("index/") and not failed:
            failed.append(call)
            return True
        return False

    with slow_writer(Faulty(backend, Fail(once)), clock) as writer:
        blobs = save(writer, *(content(number, 300_000) for number in range(8)))
        until(lambda: has_pack_to_tell(writer))
        ticks_until(clock, lambda: bool(failed))
        writer.flush()
        assert writer.confirm()
    assert "could not be written" in caplog.text
    assert load_all(backend, blobs) == [content(number, 300_000) for number in range(8)]


class SlowIndex(MemoryBackend):
    """A put of an index object takes until it is allowed, and may fail then."""

    def __init__(self, original: MemoryBackend) -> None:
        super().__init__()
        self._objects = dict(original._objects)
        self.allowed = threading.Event()
        self.waiting = threading.Event()
        self.entered = 0
        self.failures = 0

    @override
    def put(self, name: str, data: Buffer) -> None:
        if name.startswith("index/"):
            self.entered += 1
            self.waiting.set()
            assert self.allowed.wait(20)
            if self.failures:
                self.failures -= 1
                raise StorageFull(name, "no room")
        super().put(name, data)


def test_flush_waits_for_an_index_object_that_a_tick_is_writing(backend: MemoryBackend) -> None:
    """A snapshot must never be there before the index that it needs."""
    slow, clock = SlowIndex(backend), ManualClock()
    with slow_writer(slow, clock) as writer:
        save(writer, *(content(number, 300_000) for number in range(8)))
        until(lambda: has_pack_to_tell(writer))
        ticks_until(clock, slow.waiting.is_set)
        done = threading.Event()

        def flush() -> None:
            writer.flush()
            done.set()

        flusher = threading.Thread(target=flush)
        flusher.start()
        assert not done.wait(0.3)
        assert slow.entered == 1  # two at a time would take packs off the list that none told of
        slow.allowed.set()
        flusher.join()
        assert len(index_of(slow)) >= 1
        assert len(reopened(slow).catalog.load()) == writer.blobs == 8


def test_flush_fails_when_the_index_cannot_be_written(backend: MemoryBackend) -> None:
    slow, clock = SlowIndex(backend), ManualClock()
    slow.failures = 1000
    with pytest.raises(StorageFull), slow_writer(slow, clock) as writer:  # noqa: PT012 - in order
        save(writer, *(content(number, 300_000) for number in range(8)))
        until(lambda: has_pack_to_tell(writer))
        ticks_until(clock, slow.waiting.is_set)
        slow.allowed.set()
        writer.flush()
    assert index_of(slow) == {}


def test_an_index_object_holds_at_most_so_many_rows(
    backend: MemoryBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.store.writer.OBJECT_ROWS", 10)
    monkeypatch.setattr("holdfast.store.writer._FIRST_INDEX", 1000.0)
    contents = [content(number, 400_000) for number in range(24)]
    with reopened(backend, clock=ManualClock()).writer({}) as writer:
        blobs = save(writer, *contents)
        writer.flush()
    assert len(index_of(backend)) >= 3
    assert load_all(backend, blobs) == contents


# What may not be built upon


def test_a_pack_that_is_missing_at_the_start_is_not_built_upon(backend: MemoryBackend) -> None:
    contents = [content(number) for number in range(10)]
    blobs = backed_up(reopened(backend), *contents)
    (pack,) = names(backend, "data/")
    backend.delete(pack)
    with reopened(backend).writer({}) as writer:
        assert not writer.has(blobs)
        save(writer, *contents)
        assert writer.blobs == 10
        writer.flush()
        assert writer.confirm()
    assert load_all(backend, blobs) == contents


@pytest.mark.parametrize("data", [b"", b"x", bytes(100_000)])
def test_a_pack_of_a_wrong_size_is_not_built_upon(backend: MemoryBackend, data: bytes) -> None:
    contents = [content(number) for number in range(10)]
    blobs = backed_up(reopened(backend), *contents)
    (pack,) = names(backend, "data/")
    backend.put(pack, data)
    with reopened(backend).writer({}) as writer:
        assert not writer.has(blobs)
        save(writer, *contents)
        writer.flush()
        assert writer.confirm()
    assert load_all(backend, blobs) == contents


@pytest.mark.fault(9, 26)
def test_a_pack_that_goes_meanwhile_is_stored_anew(backend: MemoryBackend) -> None:
    contents = [content(number) for number in range(10)]
    blobs = backed_up(reopened(backend), *contents)
    (pack,) = names(backend, "data/")
    with reopened(backend).writer({}) as writer:
        save(writer, *contents)
        assert writer.blobs == 0
        backend.delete(pack)
        writer.flush()
        assert not writer.confirm()
        assert not writer.has(blobs)
        save(writer, *contents)
        writer.flush()
        assert writer.confirm()
        writer.commit(b"a snapshot")
    assert load_all(backend, blobs) == contents


def test_a_pack_that_goes_and_was_not_built_upon_is_no_matter(backend: MemoryBackend) -> None:
    backed_up(reopened(backend), b"one")
    (pack,) = names(backend, "data/")
    with reopened(backend).writer({}) as writer:
        save(writer, b"another")
        backend.delete(pack)
        writer.flush()
        assert writer.confirm()


def condemn(backend: MemoryBackend, store: Store, *packs: str) -> str:
    name = "gc/" + "0" * 32
    record = codec.pack({"packs": [pack.rpartition("/")[2] for pack in packs]})
    backend.put(name, seal_object(ObjectType.CONDEMNED, store.keys, name, record))
    return name


def test_a_condemned_pack_is_never_built_upon(backend: MemoryBackend) -> None:
    contents = [content(number) for number in range(10)]
    blobs = backed_up(store := reopened(backend), *contents)
    (pack,) = names(backend, "data/")
    condemn(backend, store, pack)
    with reopened(backend).writer({}) as writer:
        assert not writer.has(blobs)
        save(writer, *contents)
        assert writer.blobs == 10
        writer.flush()
        assert writer.confirm()
        writer.commit(b"a snapshot")
    backend.delete(pack)
    assert load_all(backend, blobs) == contents


def test_a_pack_that_is_condemned_meanwhile_is_stored_anew(backend: MemoryBackend) -> None:
    contents = [content(number) for number in range(10)]
    blobs = backed_up(store := reopened(backend), *contents)
    (pack,) = names(backend, "data/")
    with reopened(backend).writer({}) as writer:
        assert writer.has(blobs)
        save(writer, *contents)
        condemn(backend, store, pack)
        writer.flush()
        assert not writer.confirm()
        save(writer, *contents)
        writer.flush()
        assert writer.confirm()
        writer.commit(b"a snapshot")
    backend.delete(pack)
    assert load_all(backend, blobs) == contents


def test_of_two_copies_the_one_that_is_not_condemned_is_built_upon() -> None:
    backend = MemoryBackend()
    new_store(backend)
    first, second = reopened(backend), reopened(backend)
    with first.writer({}) as one, second.writer({}) as other:
        blobs = save(one, b"blob")
        save(other, b"blob")
        one.flush()
        other.flush()
    for pack in names(backend, "data/"):
        trial = copied(backend)
        condemn(trial, first, pack)
        with reopened(trial).writer({}) as writer:
            assert writer.has(blobs)
            save(writer, b"blob")
            assert writer.blobs == 0
            trial.delete(pack)
            writer.flush()
            assert writer.confirm()


def test_what_is_condemned_is_read_before_the_index(backend: MemoryBackend) -> None:
    """The order that the model of reclaim relies on: session, announcements, index."""
    backed_up(store := reopened(backend), b"blob")
    condemn(backend, store)
    counted = Faulty(backend, NoFault())
    opened = reopened(counted)
    counted.calls.clear()
    with opened.writer({}) as writer:
        folders = [call.name.partition("/")[0] for call in counted.calls]
        assert folders[0] == "sessions"
        assert folders.index("gc") < folders.index("index") < folders.index("data")
        counted.calls.clear()
        save(writer, b"new")
        writer.flush()
        flushed = [call.name.partition("/")[0] for call in counted.calls]
        assert flushed == ["data", "config", "index"]
        counted.calls.clear()
        assert writer.confirm()
        confirmed = [call.name.partition("/")[0] for call in counted.calls]
        assert set(confirmed) == {"sessions", "gc", "config", "data"}
        counted.calls.clear()
        writer.commit(b"a snapshot")
        assert [call.verb for call in counted.calls] == ["put_if_absent"]


@pytest.mark.fault(7)
@pytest.mark.parametrize("damage", [b"", b"x" * 200])
def test_an_announcement_that_cannot_be_read_stops_every_writer(
    backend: MemoryBackend, damage: bytes
) -> None:
    backed_up(reopened(backend), b"blob")
    name = "gc/" + "0" * 32
    backend.put(name, damage)
    with pytest.raises(DamagedRepository) as caught:
        reopened(backend).writer({})
    assert caught.value.object == name
    assert names(backend, "sessions/") == []


def test_an_announcement_that_cannot_be_read_stops_the_commit(backend: MemoryBackend) -> None:
    backed_up(reopened(backend), b"blob")
    before = names(backend, "snapshots/")
    with pytest.raises(DamagedRepository), reopened(backend).writer({}) as writer:  # noqa: PT012 - a session
        save(writer, b"blob")
        backend.put("gc/" + "0" * 32, b"x" * 200)
        writer.flush()
        writer.confirm()
    assert names(backend, "snapshots/") == before


# The commit


def test_a_session_that_was_cleared_away_does_not_commit(backend: MemoryBackend) -> None:
    with pytest.raises(SessionLost), reopened(backend).writer({}) as writer:  # noqa: PT012 - a session
        save(writer, b"blob")
        writer.flush()
        backend.delete(f"sessions/{writer.id}")
        writer.confirm()
    assert names(backend, "snapshots/") == []


@pytest.mark.fault(27)
def test_a_session_that_was_declared_dead_does_not_commit(backend: MemoryBackend) -> None:
    store = reopened(backend)
    with pytest.raises(SessionLost), store.writer({}) as writer:  # noqa: PT012 - a session
        save(writer, b"blob")
        writer.flush()
        assert writer.confirm()
        name = f"snapshots/{writer.id}"
        backend.put(name, seal_object(ObjectType.ABORTED, store.keys, name, codec.pack({})))
        writer.commit(b"a snapshot")
    assert store.snapshot(writer.id) is None


def test_an_own_pack_that_vanished_is_damage(backend: MemoryBackend) -> None:
    with pytest.raises(DamagedRepository, match="vanished") as caught:  # noqa: PT012, SIM117 - a session
        with reopened(backend).writer({}) as writer:
            save(writer, b"blob")
            writer.flush()
            (pack,) = names(backend, "data/")
            backend.delete(pack)
            writer.confirm()
    assert caught.value.object == pack
    assert names(backend, "snapshots/") == []


def test_an_own_pack_that_is_too_short_is_damage(backend: MemoryBackend) -> None:
    with pytest.raises(DamagedRepository, match="vanished"):  # noqa: PT012, SIM117 - a session
        with reopened(backend).writer({}) as writer:
            save(writer, b"blob")
            writer.flush()
            (pack,) = names(backend, "data/")
            backend.put(pack, backend.get(pack)[:-1])
            writer.confirm()


def test_settings_that_were_changed_meanwhile_stop_the_commit(backend: MemoryBackend) -> None:
    store = reopened(backend)
    with pytest.raises(UnsupportedRepository, match="settings"), store.writer({}) as writer:  # noqa: PT012 - a session
        save(writer, b"blob")
        writer.flush()
        backend.put("config/1", encode_config(1, store.keys, SETTINGS, 1, None))
        writer.confirm()


def test_the_index_is_not_told_with_keys_that_may_be_over(backend: MemoryBackend) -> None:
    store = reopened(backend)
    with pytest.raises(UnsupportedRepository, match="settings"), store.writer({}) as writer:  # noqa: PT012 - a session
        save(writer, b"blob")
        backend.put("config/1", encode_config(1, store.keys, SETTINGS, 1, None))
        writer.flush()
    assert names(backend, "data/")
    assert names(backend, "index/") == []


@pytest.mark.fault(22)
def test_a_listing_of_only_the_first_page_stops_the_commit(backend: MemoryBackend) -> None:
    class FirstPage(MemoryBackend):
        @override
        def list(self, prefix: str) -> Iterator[ObjectInfo]:
            return iter(list(super().list(prefix))[: 1 if prefix == "data/" else None])

    short = FirstPage()
    short._objects = dict(backend._objects)
    with pytest.raises(DamagedRepository, match="vanished"), reopened(short).writer({}) as writer:  # noqa: PT012 - a session
        save(writer, *(content(number, 400_000) for number in range(10)))
        writer.flush()
        writer.confirm()


@pytest.mark.fault(22)
def test_a_listing_that_fails_is_not_an_empty_one(backend: MemoryBackend) -> None:
    backed_up(reopened(backend), b"blob")
    for folder in ("gc/", "index/", "data/"):
        broken = Faulty(
            backend,
            Fail(lambda call, folder=folder: (call.verb, call.name) == ("list", folder)),  # type: ignore[misc]
        )
        with pytest.raises(BackendError, match="planned"):
            reopened(broken).writer({})
        assert names(backend, "sessions/") == []


def test_a_read_only_storage_is_said_at_once(backend: MemoryBackend) -> None:
    denied = Faulty(backend, Fail(lambda call: call.verb.startswith("put"), AccessDenied))
    with pytest.raises(AccessDenied):
        reopened(denied).writer({})
    assert names(backend, "sessions/") == []


@pytest.mark.fault(6, 16)
def test_a_full_disk_ends_the_session_and_its_threads(backend: MemoryBackend) -> None:
    before = set(threading.enumerate())
    full = Faulty(backend, Fail(lambda call: call.name.startswith("data/"), StorageFull))
    with pytest.raises(StorageFull), reopened(full).writer({}) as writer:  # noqa: PT012 - a loop
        for number in range(100):
            save(writer, content(number, 500_000))
        writer.flush()
    assert set(threading.enumerate()) <= before  # those of earlier tests may end meanwhile
    assert names(backend, "sessions/") == names(backend, "index/") == []


@pytest.mark.fault(50)
def test_a_writer_after_a_fork_is_refused(backend: MemoryBackend) -> None:
    store = reopened(backend)
    store._pid += 1
    for use in (lambda: store.writer({}), store.loader, store.rehearsal, store.snapshot_ids):
        with pytest.raises(UsageError, match="forked"):
            use()


# Rehearsals


def test_a_rehearsal_counts_what_a_writer_would_store_and_stores_nothing(
    backend: MemoryBackend,
) -> None:
    stored = [content(number) for number in range(5)]
    blobs = backed_up(reopened(backend), *stored)
    before = dict(backend._objects)
    new = [content(number) for number in range(100, 110)]
    with reopened(backend).rehearsal() as rehearsal:
        assert isinstance(rehearsal, Rehearsal)
        again = [rehearsal.save_data(memoryview(blob), SMALL) for blob in stored]
        assert again == blobs
        assert rehearsal.added == 0
        ids = [rehearsal.save_data(memoryview(blob), SMALL) for blob in [*new, *new]]
        tree = rehearsal.save_tree(b"a tree")
        assert rehearsal.added == 10 * 1000 + 6
        assert rehearsal.has([*blobs, *ids, tree])
        assert not rehearsal.has([BlobId(bytes(32))])
        rehearsal.flush()
        assert rehearsal.confirm()
        assert len(rehearsal.commit(b"a snapshot")) == 32
        page_key = rehearsal.page_key
    assert backend._objects == before
    with reopened(backend).writer({}) as writer:
        assert [*save(writer, *new)] == ids[:10]
        assert writer.save_tree(b"a tree") == tree
        assert writer.page_key == page_key


def test_errors_of_writers_are_typed() -> None:
    assert issubclass(SessionLost, HoldfastError)
