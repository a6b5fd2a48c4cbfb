"""Rows of the fault catalogue about the storage that no other module tries in full.

Rows 7 and 8 for the objects of running work, labels and what was forgotten; row 12 for a blob that
is in one pack twice; row 20 for answers that are another part of the object; row 29 for clocks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.faults.hostile import raw

from holdfast.backend import MemoryBackend, ObjectInfo
from holdfast.clock import SYSTEM_CLOCK, Clock
from holdfast.engine.repository import Repository
from holdfast.errors import DamagedRepository, HoldfastError, UsageError
from holdfast.overrides import override
from holdfast.primitives.hashing import keyed
from holdfast.primitives.ids import BlobId, SessionId, random_name
from holdfast.store import Store
from holdfast.store.index import encode_index
from holdfast.store.pack import Kind, blob_key, build_pack, object_name
from holdfast.testing.content import noise
from holdfast.testing.repositories import ManualClock, attached, copied, new_store

pytestmark = pytest.mark.usefixtures("cheap_passwords")

YEAR = 365.25 * 24 * 3600.0


@dataclass(frozen=True)
class Case:
    """A repository with work in progress, and what its snapshots hold.

    Attributes:
        held: the snapshot that is protected.
    """

    source: Path
    objects: MemoryBackend
    store: Store
    contents: dict[str, bytes]
    held: str

    def opened(self, objects: MemoryBackend) -> Repository:
        return Repository(attached(self.store, objects), SYSTEM_CLOCK)

    def names(self, kind: str) -> list[str]:
        return [info.name for info in self.objects.list(f"{kind}/")]

    def expect_whole(self, objects: MemoryBackend) -> None:
        """Every snapshot reads back exactly."""
        repository = self.opened(objects)
        assert self.contents.keys() <= {snapshot.id for snapshot in repository.snapshots()}
        for snapshot, content in self.contents.items():
            with repository.open_file(snapshot, self.source / "file") as file:
                assert file.read() == content


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Three snapshots: one forgotten while somebody works, one protected, one with a tag."""
    source = tmp_path_factory.mktemp("source")
    objects = MemoryBackend()
    store = new_store(objects)
    repository = Repository(store, SYSTEM_CLOCK)
    contents: dict[str, bytes] = {}
    for turn in range(3):
        (source / "file").write_bytes(noise(9000, turn))
        made = repository.backup(source).snapshot
        assert made is not None
        contents[made.id] = noise(9000, turn)
    first, second, third = contents
    repository.hold(second, "for the auditors")
    repository.tag(third, add="a tag")
    with store.writer({"kind": "backup"}):
        repository.forget(first)
        assert repository.prune(max_unused="0", force=True).packs_pending > 0
        del contents[first]
        found = Case(source, copied(objects), store, contents, second)
    assert {info.name.partition("/")[0] for info in found.objects.list("")} >= {
        *SMALL,
        "index",
        "snapshots",
    }
    return found


SMALL = ("forgotten", "gc", "labels", "sessions")


def spoilt(data: bytes) -> Iterator[bytes]:
    """Flipped in every byte, cut at many lengths, extended."""
    for place in range(len(data)):
        yield data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :]
    for length in {0, 1, 8, 40, len(data) // 2, len(data) - 1}:
        yield data[:length]
    yield data + b"\0"


@pytest.mark.fault(7, 8)
@pytest.mark.parametrize("kind", SMALL)
def test_what_is_spoilt_of_work_in_progress_is_named_and_hurts_no_snapshot(
    case: Case, kind: str
) -> None:
    """Every byte; what the verbs make of it is asked of each thirtieth."""
    for name in case.names(kind):
        objects = copied(case.objects)
        for number, data in enumerate(spoilt(case.objects.get(name))):
            objects.put(name, data)
            damages = [damage.object for damage in case.opened(objects)._store.scrub_objects()]
            assert damages == [name], number
            if number % 30 == 0:
                case.expect_whole(objects)
                assert_verbs_are_careful(case, copied(objects), name)
        assert number > 80


def assert_verbs_are_careful(case: Case, objects: MemoryBackend, name: str) -> None:
    """Nothing is built upon, deleted or released that the object might have been about."""
    kind = name.partition("/")[0]
    report = case.opened(objects).check(read_data=True)
    assert name in {finding.object for finding in report.findings}
    assert report.valid == (kind == "sessions")  # nobody reads a session's object to work on
    packs = {info.name for info in objects.list("data/")}
    with pytest.raises(UsageError, match="protected"):
        case.opened(objects).forget(case.held)
    if name.startswith("gc/") and not name.endswith(".waits"):
        with pytest.raises(DamagedRepository, match="nobody can know what it condemns"):
            case.opened(objects).backup(case.source)
    else:
        assert case.opened(objects).backup(case.source).snapshot is not None
    with suppress(HoldfastError):
        case.opened(objects).prune(max_unused="0", force=True)
    assert packs <= {info.name for info in objects.list("data/")}
    case.expect_whole(objects)


# A blob that is in one pack twice


@pytest.mark.fault(12)
@pytest.mark.parametrize("bad", [0, 1])
def test_a_blob_that_is_twice_in_one_pack_is_read_from_either_place(
    tmp_path: Path, bad: int
) -> None:
    """And two index objects tell of the pack. What one place lacks, the other gives."""
    objects = MemoryBackend()
    store = new_store(objects)
    data = noise(200, 1)
    blob = BlobId(keyed(blob_key(store.keys, Kind.DATA), data))
    session = SessionId(bytes(16))
    info, pack = build_pack(
        Kind.DATA, [raw(data, [blob])] * 2, store.keys, session, random_name().encode()
    )
    name = object_name(info.name)
    objects.put(name, pack)
    for _ in range(2):
        index = f"index/{random_name()}"
        objects.put(index, encode_index(index, [info], store.keys))
    (tmp_path / "file").write_bytes(data)
    assert Repository(store, SYSTEM_CLOCK).backup(tmp_path).data_added < 2000
    assert [i.name for i in objects.list("data/") if objects.get(i.name)[12] == Kind.DATA] == [name]

    def opened(backend: MemoryBackend) -> Repository:
        return Repository(attached(store, backend), SYSTEM_CLOCK)

    def read(backend: MemoryBackend) -> bytes:
        with opened(backend).open_file("latest", tmp_path / "file") as file:
            return file.read()

    assert opened(objects).check(read_data=True, full=True).valid
    good = copied(objects)
    place = info.segments[bad].offset
    objects.put(name, pack[:place].tobytes() + b"\xff" * 20 + pack[place + 20 :].tobytes())
    assert read(objects) == data
    report = opened(objects).check(read_data=True)
    assert name in {finding.object for finding in report.errors}
    opened(objects).repair_packs(dry_run=False)
    for each in (good, objects):
        opened(each).prune(max_unused="0", force=True)
        assert read(each) == data
        assert opened(each).check(read_data=True, full=True).valid


# Answers that are another part of the object


class Shifted(MemoryBackend):
    """A storage that gives another part of an object than it is asked for, or an older object.

    Attributes:
        wrong: how often it has done so.
    """

    def __init__(self, objects: MemoryBackend, times: int, shift: int) -> None:
        super().__init__()
        self._objects = objects._objects
        self._left: dict[tuple[str, int], int] = {}
        self._times = times
        self._shift = shift
        self.wrong = 0

    @override
    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """See `Backend.get`."""
        left = self._left.setdefault((name, offset), self._times)
        size = self.stat(name)
        wanted = size - offset if length is None else length
        if not left or wanted > size - self._shift:
            return super().get(name, offset, length)
        self._left[name, offset] = left - 1
        self.wrong += 1
        elsewhere = (offset + self._shift) % (size - wanted + 1)
        return super().get(name, elsewhere, wanted)


@pytest.mark.fault(20)
@pytest.mark.parametrize("times", [1, 1000])
@pytest.mark.parametrize("shift", [1, 64])
def test_another_part_of_an_object_is_never_taken_for_the_right_one(
    case: Case, tmp_path: Path, times: int, shift: int
) -> None:
    shifted = Shifted(case.objects, times, shift)
    repository = case.opened(shifted)
    failed = 0
    for snapshot, content in case.contents.items():
        target = tmp_path / snapshot
        try:
            result = repository.restore(snapshot, target)
        except DamagedRepository:
            failed += 1
            continue
        failed += result.errors_total
        file = target / case.source.relative_to("/") / "file"
        assert result.errors_total or file.read_bytes() == content
    assert shifted.wrong
    assert bool(failed) == (times > 1)


# Clocks


class EagerClock(ManualClock):
    """A clock whose owner never waits: the time jumps instead. Other threads wait for ever."""

    def __init__(self, seconds: float = 1_700_000_000.0) -> None:
        super().__init__(seconds)
        self._owner = threading.current_thread()

    @override
    def wait(self, event: threading.Event, seconds: float) -> bool:
        """See `Clock.wait`."""
        if threading.current_thread() is not self._owner:
            return event.wait()
        self.advance(seconds)
        return event.is_set()


class Jumping(EagerClock):
    """A clock that is set ten years back, or forward, each time that somebody looks."""

    def __init__(self) -> None:
        super().__init__()
        self._looks = 0

    @override
    def now_ns(self) -> int:
        """See `Clock.now_ns`."""
        self._looks += 1
        years = 10 * YEAR * (self._looks % 3 - 1)
        return super().now_ns() + int(years * 1e9)


@pytest.mark.fault(29)
def test_clocks_that_are_years_apart_lose_nothing(tmp_path: Path) -> None:
    """Ten years slow, ten years fast, and one that jumps back and forth: all back up and prune."""
    store = new_store()
    objects = store.backend
    clocks: list[Callable[[], Clock]] = [
        lambda: EagerClock(1_700_000_000.0 - 10 * YEAR),
        lambda: EagerClock(1_700_000_000.0 + 10 * YEAR),
        Jumping,
    ]
    contents: dict[str, bytes] = {}
    for turn in range(12):
        clock = clocks[turn % 3]()
        repository = Repository(attached(store, objects, clock=clock), clock)
        (tmp_path / "file").write_bytes(noise(3000, turn) + noise(3000, turn // 2))
        made = repository.backup(tmp_path).snapshot
        assert made is not None
        contents[made.id] = (tmp_path / "file").read_bytes()
        if turn % 3 == 2:
            gone = list(contents)[turn // 3]
            del contents[gone]
            repository.forget(gone, force=True)
        repository.prune(max_unused="0", force=True, wait=True, expire_after=1.0)
        for snapshot, content in contents.items():
            with repository.open_file(snapshot, tmp_path / "file") as file:
                assert file.read() == content
    report = Repository(attached(store, objects), SYSTEM_CLOCK).check(read_data=True)
    assert report.valid, report.findings


@pytest.mark.fault(29)
def test_a_writer_whose_clock_is_years_off_is_not_taken_for_dead(tmp_path: Path) -> None:
    """It goes by how long somebody was silent on one's own clock, not by what theirs says."""
    store = new_store(clock=EagerClock(1_700_000_000.0 - 10 * YEAR))
    (tmp_path / "file").write_bytes(noise(3000, 1))
    with store.writer({"kind": "backup"}) as writer:
        writer.save_data(memoryview(noise(3000, 2)), ("", 0))
        writer.flush()
        clock = EagerClock()
        repository = Repository(attached(store, store.backend, clock=clock), clock)
        repository.backup(tmp_path)
        repository.prune(max_unused="0", force=True)
        assert writer.confirm()
    assert [info for info in store.backend.list("snapshots/") if _is_marker(info)] == []


def _is_marker(info: ObjectInfo) -> bool:
    return info.size < 200
