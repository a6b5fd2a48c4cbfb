"""The writing pipeline: verified before it is stored, bounded, and loud when it fails."""

from __future__ import annotations

import ctypes
import os
import random
import threading
import time
from collections.abc import Callable

import pytest

from holdfast.backend import Buffer, Fail, Faulty, MemoryBackend
from holdfast.errors import BackendError, DamagedRepository, StorageFull
from holdfast.overrides import override
from holdfast.primitives.compression import Compressor
from holdfast.primitives.hashing import keyed
from holdfast.primitives.ids import BlobId, SessionId
from holdfast.store.keys import Keys
from holdfast.store.pack import Kind, PackInfo, Payload, blob_key, build_pack, object_name
from holdfast.store.packer import (
    IN_FLIGHT,
    PACK_ROWS,
    SEGMENT_SIZE,
    WORKERS,
    Packer,
)
from holdfast.store.unpack import read_pack
from holdfast.store.verifier import verify_pack

KEYS = Keys(bytes(range(16)), 0, b"d" * 32, b"m" * 32)
SESSION = SessionId(bytes(16))
ID_KEY = blob_key(KEYS, Kind.DATA)
MIB = 1 << 20


def address_of(buffer: memoryview) -> int:
    """Where a buffer is in memory."""
    return ctypes.addressof(ctypes.c_ubyte.from_buffer(buffer))


class Run:
    """A packer, what it stored, and segments for it."""

    def __init__(
        self,
        backend: MemoryBackend | Faulty | None = None,
        *,
        compressor: Compressor | None = None,
        pack_size: int = MIB,
    ) -> None:
        self.backend = backend or MemoryBackend()
        self.stored: list[PackInfo] = []
        self._lock = threading.Lock()
        self.packer = Packer(
            self.backend, KEYS, SESSION, compressor or Compressor(3), pack_size, self._on_stored
        )

    def _on_stored(self, info: PackInfo, pack: memoryview) -> None:
        assert len(pack) == info.size
        with self._lock:
            self.stored.append(info)

    def submit(self, *blobs: bytes, kind: Kind = Kind.DATA) -> None:
        key = blob_key(KEYS, kind)
        whole = b"".join(blobs)
        buffer = self.packer.buffer(max(len(whole), SEGMENT_SIZE))
        buffer[: len(whole)] = whole
        ids = [BlobId(keyed(key, blob)) for blob in blobs]
        self.packer.submit(kind, buffer, len(whole), ids, [len(blob) for blob in blobs])

    def contents(self) -> list[bytes]:
        found = []
        for info in self.stored:
            data = self.backend.get(object_name(info.name))
            found += [bytes(content) for _, content in read_pack(info.name, data, KEYS)]
        return sorted(found)


def content(number: int, size: int) -> bytes:
    return random.Random(number).randbytes(size)  # noqa: S311 - the same in every run


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.001)


def test_what_is_submitted_is_stored() -> None:
    run = Run()
    blobs = [content(number, 100 + 5000 * number) for number in range(60)]
    for at in range(0, 60, 3):
        run.submit(*blobs[at : at + 3])
    run.submit(b"a tree", kind=Kind.TREE)
    run.packer.flush()
    run.packer.close()
    assert run.contents() == sorted([*blobs, b"a tree"])
    assert {info.kind for info in run.stored} == {Kind.DATA, Kind.TREE}
    assert len(run.stored) > 3


def test_nothing_gives_nothing() -> None:
    run = Run()
    run.packer.flush()
    run.packer.close()
    assert run.stored == []
    assert list(run.backend.list("")) == []


def test_a_pack_is_announced_only_when_it_is_durable() -> None:
    backend = MemoryBackend()
    run = Run(backend)
    seen = []

    def on_stored(info: PackInfo, pack: memoryview) -> None:
        assert bytes(pack) == backend.get(object_name(info.name))
        seen.append(backend.stat(object_name(info.name)) == info.size)

    run.packer._on_stored = on_stored
    for number in range(20):
        run.submit(content(number, 300_000))
    run.packer.flush()
    run.packer.close()
    assert seen
    assert all(seen)


def test_packs_are_closed_at_their_size() -> None:
    run = Run(pack_size=2 * MIB)
    for number in range(24):
        run.submit(content(number, MIB // 2))
    run.packer.flush()
    run.packer.close()
    sizes = sorted(info.size for info in run.stored)
    assert all(2 * MIB <= size < 3.3 * MIB for size in sizes[1:])


def test_a_pack_of_tiny_blobs_is_closed_before_its_trailer_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert 64 * MIB > 44 * (PACK_ROWS + SEGMENT_SIZE // 3)  # bytes that fit, few enough, differ
    monkeypatch.setattr("holdfast.store.packer.PACK_ROWS", 4400)
    run = Run(pack_size=96 * MIB)
    each = 1000
    for number in range(6):
        run.submit(*(b"%d-%d" % (number, at) for at in range(each)))
    run.packer.flush()
    run.packer.close()
    assert sorted(len(info.blobs) for info in run.stored) == [1000, 5000]
    assert len(run.contents()) == 6 * each


def test_trailers_count_towards_the_size_of_a_pack() -> None:
    run = Run(pack_size=MIB)
    for number in range(4):
        run.submit(*(b"%d-%d" % (number, at) for at in range(12_000)))
    run.packer.flush()
    run.packer.close()
    assert len(run.stored) == 2
    assert all(info.size < 1.6 * MIB for info in run.stored)


# Verification


class Spoiling(Compressor):
    """A compressor whose output is wrong, as a bug in a library or bad memory makes it."""

    def __init__(self, spoil: Callable[[bytes], bytes]) -> None:
        super().__init__(3)
        self._spoil = spoil

    @override
    def compress(self, data: Buffer) -> bytes | None:
        frame = super().compress(data)
        return None if frame is None else self._spoil(frame)


TEXT = b"to be or not to be " * 1000


@pytest.mark.parametrize(
    "spoil",
    [
        lambda frame: frame[:-1],
        lambda frame: frame + b"x",
        lambda frame: frame[:20] + bytes([frame[20] ^ 1]) + frame[21:],
        lambda _: Compressor(3).compress(TEXT[::-1]) or b"",
        lambda _: Compressor(3).compress(TEXT + b"x") or b"",
        lambda _: b"",
    ],
    ids=range(6),
)
def test_what_a_bad_compressor_makes_is_never_stored(spoil: Callable[[bytes], bytes]) -> None:
    run = Run(compressor=Spoiling(spoil))
    run.submit(TEXT)
    with pytest.raises(DamagedRepository, match="before it was stored") as caught:
        run.packer.flush()
    run.packer.close()
    assert "memory or a library" in str(caught.value)
    assert list(run.backend.list("")) == []
    assert run.stored == []


def test_a_wrong_id_is_never_stored() -> None:
    run = Run()
    run.packer.submit(Kind.DATA, memoryview(b"blob"), 4, [BlobId(bytes(32))], [4])
    with pytest.raises(DamagedRepository, match="before it was stored"):
        run.packer.flush()
    run.packer.close()
    assert list(run.backend.list("")) == []


def test_a_buffer_that_is_changed_meanwhile_is_noticed() -> None:
    """A bug of ours, or bad memory: the id was made of other bytes than are stored."""
    run = Run()
    run.packer.submit(Kind.DATA, memoryview(b"blob"), 4, [BlobId(keyed(ID_KEY, b"glob"))], [4])
    with pytest.raises(DamagedRepository):
        run.packer.flush()
    run.packer.close()


def test_every_bit_of_a_pack_is_verified() -> None:
    payload = Payload(b"blob", 0, 4, [BlobId(keyed(ID_KEY, b"blob"))], [4])  # type: ignore[arg-type]
    info, pack = build_pack(Kind.DATA, [payload], KEYS, SESSION, bytes(32))
    verify_pack(info, pack, KEYS)
    size = pack[:]
    filler = range(info.segments[0].offset + info.segments[0].stored, len(pack))
    for place in range(len(pack)):
        if place in filler and pack[place] == size[place] and place < len(pack) - 200:
            continue
        pack[place] ^= 1
        try:
            verify_pack(info, pack, KEYS)
        except DamagedRepository:
            continue
        finally:
            pack[place] ^= 1
        assert place in filler, place


def test_short_raw_segments_hold_no_whole_buffers() -> None:
    """As files of many owners make them, or of those that do not shrink."""
    run = Run(compressor=Compressor(0), pack_size=16 * MIB)
    taken: set[int] = set()
    for number in range(200):
        buffer = run.packer.buffer()
        taken.add(address_of(buffer))
        data = b"%d" % number
        buffer[: len(data)] = data
        ids = [BlobId(keyed(ID_KEY, data))]
        run.packer.submit(Kind.DATA, buffer, len(data), ids, [len(data)])
    run.packer.flush()
    # One is being filled, and a worker may hold on to what it is just done with.
    assert len(taken) <= IN_FLIGHT + 1 + WORKERS
    assert sorted(run.contents()) == sorted(b"%d" % number for number in range(200))
    run.packer.close()


def test_packs_that_are_not_full_are_stored_when_asked_and_once() -> None:
    run = Run()
    run.submit(b"blob")
    run.submit(b"tree", kind=Kind.TREE)
    while run.packer._in_flight:
        run.packer._wait()
    assert run.stored == []
    run.packer.store_open()
    assert run.contents() == [b"blob", b"tree"]
    run.packer.flush()
    run.packer.close()
    assert len(run.stored) == 2


def test_nothing_is_begun_after_the_end() -> None:
    run = Run()
    run.submit(b"blob")
    while run.packer._in_flight:
        run.packer._wait()
    run.packer.close()
    run.packer.store_open()
    assert run.stored == []


# Failures


def failing(*, after: int, error: type[BackendError] = StorageFull) -> Faulty:
    return Faulty(MemoryBackend(), Fail(lambda call: call.number > after, error))


def test_what_a_worker_runs_into_is_raised_and_raised_again() -> None:
    run = Run(failing(after=1))
    with pytest.raises(StorageFull, match="planned"):  # noqa: PT012 - one of many submits raises
        for number in range(1000):
            run.submit(content(number, MIB - 1))
    for _ in range(3):
        with pytest.raises(StorageFull, match="planned"):
            run.packer.flush()
    run.packer.close()
    assert len(run.stored) == 1


def test_a_failure_in_what_is_told_of_packs_is_raised_too() -> None:
    run = Run()

    def on_stored(*_: object) -> None:
        raise BackendError("index/x", "no index")

    run.packer._on_stored = on_stored
    run.submit(b"blob")
    with pytest.raises(BackendError, match="no index"):
        run.packer.flush()
    run.packer.close()


def test_other_errors_of_a_worker_are_not_lost() -> None:
    class Exhausted(Compressor):
        @override
        def compress(self, data: Buffer) -> bytes | None:
            raise MemoryError(len(data))

    run = Run(compressor=Exhausted(3))
    run.submit(b"blob")
    with pytest.raises(MemoryError):
        run.packer.flush()
    run.packer.close()


def test_closing_ends_the_workers_and_drops_what_waits() -> None:
    before = set(threading.enumerate())
    run = Run()
    for number in range(5):
        run.submit(content(number, 1000))
    run.packer.close()
    run.packer.close()
    assert set(threading.enumerate()) <= before  # those of earlier tests may end meanwhile
    assert run.stored == []


# Bounds


class Blocked(MemoryBackend):
    """A storage whose puts wait until it is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = threading.Event()
        self.waiting = 0

    @override
    def put(self, name: str, data: Buffer) -> None:
        self.waiting += 1
        assert self.opened.wait(20)
        super().put(name, data)


def test_a_storage_that_does_not_keep_up_stops_the_reader() -> None:
    backend = Blocked()
    run = Run(backend)
    submitted = 0

    def submit() -> None:
        nonlocal submitted
        for number in range(40):
            run.submit(content(number, MIB - 1))
            submitted += 1

    thread = threading.Thread(target=submit)
    thread.start()
    until(lambda: backend.waiting == WORKERS and submitted >= IN_FLIGHT)
    time.sleep(0.2)  # would be time enough for many more
    assert submitted <= IN_FLIGHT + 2 * WORKERS
    backend.opened.set()
    thread.join()
    run.packer.flush()
    run.packer.close()
    assert len(run.contents()) == 40


def test_buffers_are_used_again_and_never_heaped_up() -> None:
    run = Run(pack_size=4 * SEGMENT_SIZE)
    addresses: set[int] = set()
    for _ in range(100):
        buffer = run.packer.buffer()
        addresses.add(address_of(buffer))
        buffer[:] = data = os.urandom(SEGMENT_SIZE)
        run.packer.submit(
            Kind.DATA, buffer, SEGMENT_SIZE, [BlobId(keyed(ID_KEY, data))], [SEGMENT_SIZE]
        )
    run.packer.flush()
    # Those in flight, in packs that are filled or stored, and those that packs are verified with.
    assert len(addresses) <= IN_FLIGHT + 3 * 4 + 2 * 2
    run.packer.close()
