from __future__ import annotations

import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.engine.snapshotfs.reading import AHEAD, STREAK, Blobs, FileReader
from holdfast.errors import (
    BackendError,
    DamagedRepository,
    HoldfastError,
    ObjectUnreadable,
    SnapshotNotFound,
    StorageUnavailable,
    UsageError,
)
from holdfast.model.content import ContentBuilder
from holdfast.model.node import Node, NodeType
from holdfast.overrides import override
from holdfast.primitives.ids import BlobId
from holdfast.testing.blobs import MemoryBlobs
from holdfast.testing.layouts import directory_node, node


class Kept(MemoryBlobs):
    """Blobs in memory of which some are announced, and called off."""

    def __init__(self) -> None:
        super().__init__()
        self.left: list[BlobId] = []

    def leave_out(self, blobs: Iterable[BlobId]) -> None:
        self.left.extend(blobs)


def stored(blobs: Kept, pieces: list[bytes | int]) -> tuple[Node, bytes]:
    """A file of these blobs and runs of zeros, and its bytes."""
    builder = ContentBuilder(blobs)
    for piece in pieces:
        if isinstance(piece, int):
            builder.add_zeros(piece)
        else:
            builder.add_blob(blobs.add(piece), len(piece))
    size, content = builder.finish()
    whole = b"".join(bytes(piece) if isinstance(piece, int) else piece for piece in pieces)
    return node(b"file", NodeType.FILE, content, size), whole


def opened(blobs: Kept, pieces: list[bytes | int]) -> tuple[FileReader, bytes]:
    entry, whole = stored(blobs, pieces)
    return FileReader(entry, Blobs(blobs)), whole


def many(count: int, size: int = 7) -> list[bytes | int]:
    """So many blobs, with a run of zeros here and there."""
    pieces: list[bytes | int] = []
    for number in range(count):
        pieces.append(b"%0*d" % (size, number))
        pieces += [3] if number % 50 == 49 else []
    return pieces


PIECES = st.lists(st.one_of(st.binary(min_size=1, max_size=20), st.integers(1, 30)), max_size=20)
RANGES = st.lists(st.tuples(st.integers(0, 400), st.integers(-1, 400)), max_size=30)


@given(PIECES, RANGES)
def test_any_range_is_that_of_the_bytes(
    pieces: list[bytes | int], ranges: list[tuple[int, int]]
) -> None:
    reader, whole = opened(Kept(), pieces)
    assert reader.size == len(whole)
    for offset, length in ranges:
        assert reader.read_at(offset, length) == whole[offset : offset + max(length, 0)]
        buffer = bytearray(b"?" * max(length, 0))
        count = reader.read_into(offset, memoryview(buffer))
        assert buffer[:count] == whole[offset : offset + max(length, 0)]
        assert set(buffer[count:]) <= {ord("?")}


def test_a_file_of_many_lists_read_by_many_threads() -> None:
    reader, whole = opened(Kept(), many(6_000))
    begins = [(number * 7919) % len(whole) for number in range(300)] + list(range(0, 40_000, 300))

    def read(offset: int) -> bool:
        return reader.read_at(offset, 300) == whole[offset : offset + 300]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, begins))


def test_reading_all_at_once_is_read_ahead_piece_by_piece() -> None:
    blobs = Kept()
    reader, whole = opened(blobs, many(3000))
    blobs.loaded.clear()
    assert reader.read_at(0, len(whole)) == whole
    assert set(blobs.hinted) <= set(blobs.loaded)
    assert len(blobs.hinted) > 2900


def test_what_is_read_ahead_can_be_called_off() -> None:
    blobs = Kept()
    reader, whole = opened(blobs, [bytes([number]) * 1000 for number in range(200)])
    for at in range(0, 20_000, 2000):
        reader.read_at(at, 2000)
    reader.leave()
    assert set(blobs.left) == set(blobs.hinted) - set(blobs.loaded) != set()
    assert reader.read_at(20_000, 2000) == whole[20_000:22_000]


def test_only_a_reader_that_goes_on_is_read_ahead() -> None:
    blobs = Kept()
    reader, whole = opened(blobs, [bytes([number]) * 1000 for number in range(200)])
    for offset in (50_000, 20_000, 20_100, 90_000, 90_010):
        reader.read_at(offset, 10)
    assert not blobs.hinted
    for offset in range(90_020, 90_020 + 10 * STREAK, 10):
        reader.read_at(offset, 10)
    assert blobs.hinted == []  # it has read less than a blob
    at = 91_000
    while at < 120_000:
        assert reader.read_at(at, 500) == whole[at : at + 500]
        at += 500
    assert blobs.hinted
    assert len(set(blobs.hinted)) == len(blobs.hinted)


def test_what_was_announced_and_is_not_read_is_called_off() -> None:
    blobs = Kept()
    entry, _ = stored(blobs, [bytes([number]) * 20_000 for number in range(200)])
    shared = Blobs(blobs)
    reader = FileReader(entry, shared)
    for offset in range(0, 200_000, 20_000):
        reader.read_at(offset, 20_000)
    waiting = set(blobs.hinted) - set(blobs.loaded)
    assert waiting
    reader.read_at(3_000_000, 10)
    assert set(blobs.left) == waiting
    reader.announce(3_600_000, 40_000)
    blobs.left.clear()
    reader.close()
    FileReader(entry, shared).read_at(2_000_000, 10)
    assert len(blobs.left) == 2


def test_reading_ahead_is_bounded() -> None:
    blobs = Kept()
    reader, _ = opened(blobs, [number.to_bytes(2, "big") * (1 << 19) for number in range(60)])
    for offset in range(0, 8 << 20, 1 << 20):
        reader.read_at(offset, 1 << 20)
    assert len(set(blobs.hinted) - set(blobs.loaded)) <= AHEAD >> 20


def test_a_blob_that_is_read_in_parts_is_loaded_once() -> None:
    blobs = Kept()
    reader, whole = opened(blobs, [b"a" * 1000, b"b" * 1000])
    for offset in range(0, 2000, 10):
        assert reader.read_at(offset, 10) == whole[offset : offset + 10]
    assert len(blobs.loaded) == 2


def test_a_huge_hole_costs_nothing_but_what_is_read() -> None:
    blobs = Kept()
    builder = ContentBuilder(blobs)
    builder.add_zeros(1 << 45)
    builder.add_blob(blobs.add(b"end"), 3)
    size, content = builder.finish()
    reader = FileReader(node(b"sparse", NodeType.FILE, content, size), Blobs(blobs))
    assert reader.read_at((1 << 45) - 2, 100) == b"\0\0end"
    assert reader.read_at(1 << 40, 200_000) == bytes(200_000)


# Damage


def damaged() -> tuple[Kept, Node, bytes]:
    blobs = Kept()
    entry, whole = stored(blobs, [b"hello", 4, b"lost!", b"world"])
    del blobs.blobs[blobs.add(b"lost!")]
    return blobs, entry, whole


def test_damage_is_an_error_that_names_the_blob_each_time() -> None:
    blobs, entry, whole = damaged()
    reader = FileReader(entry, Blobs(blobs))
    lost = Kept().add(b"lost!").hex()
    for _ in range(3):
        with pytest.raises(DamagedRepository, match=lost) as told:
            reader.read_at(0, 100)
        assert told.value.object == f"blob {lost}"
    assert reader.read_at(0, 9) == whole[:9]
    assert reader.read_at(14, 9) == whole[14:]
    assert reader.skipped == []


def test_damage_that_is_skipped_reads_as_zeros_and_is_told() -> None:
    blobs, entry, _ = damaged()
    reader = FileReader(entry, Blobs(blobs), "skip")
    assert reader.read_at(0, 9) == b"hello\0\0\0\0"
    assert reader.skipped == []
    assert reader.read_at(10, 100) == b"\0\0\0\0world"
    assert reader.read_at(0, 100) == b"hello" + bytes(9) + b"world"
    assert reader.skipped == [(9, 5)]


def test_a_lost_list_of_blobs_is_a_gap_of_all_that_it_tells_of() -> None:
    blobs = Kept()
    entry, whole = stored(blobs, many(6_000))
    assert isinstance(entry.payload, tuple)
    level, items = entry.payload
    assert level == 1
    lists = [item for item in items if isinstance(item, tuple)]
    del blobs.blobs[lists[1][0]]
    begin, length = lists[0][1], lists[1][1]
    with pytest.raises(DamagedRepository, match=lists[1][0].hex()):
        FileReader(entry, Blobs(blobs)).read_at(begin + 10, 1)
    reader = FileReader(entry, Blobs(blobs), "skip")
    expected = whole[:begin] + bytes(length) + whole[begin + length :]
    assert reader.read_at(0, len(whole)) == expected
    assert reader.skipped == [(begin, length)]


class Bad(Kept):
    """Blobs of which the storage cannot read one, or does not answer for it."""

    error: BackendError
    bad: BlobId | None = None

    @override
    def load(self, blob: BlobId) -> bytes:
        if blob == self.bad:
            raise self.error
        return super().load(blob)


@pytest.mark.parametrize("is_list", [False, True])
def test_what_cannot_be_read_is_damage_and_no_answer_is_not(is_list: bool) -> None:
    blobs = Bad()
    entry, whole = stored(blobs, many(6_000))
    assert isinstance(entry.payload, tuple)
    item = entry.payload[1][1]
    assert isinstance(item, tuple)
    blobs.bad = item[0] if is_list else blobs.add(b"%07d" % 5_000)
    blobs.error = ObjectUnreadable("data/x", "a bad disk")
    with pytest.raises(ObjectUnreadable):
        FileReader(entry, Blobs(blobs)).read_at(0, len(whole))
    reader = FileReader(entry, Blobs(blobs), "skip")
    found = reader.read_at(0, len(whole))
    [(begin, length)] = reader.skipped
    assert found == whole[:begin] + bytes(length) + whole[begin + length :]
    blobs.error = StorageUnavailable("data/x", "no answer")
    again = FileReader(entry, Blobs(blobs), "skip")
    with pytest.raises(StorageUnavailable):
        again.read_at(0, len(whole))
    assert again.skipped == []


def test_what_is_ahead_and_fails_is_told_when_it_is_read() -> None:
    blobs = Bad()
    entry, whole = stored(blobs, many(6_000))
    assert isinstance(entry.payload, tuple)
    first, second = entry.payload[1][:2]
    assert isinstance(first, tuple)
    assert isinstance(second, tuple)
    blobs.bad, blobs.error = second[0], StorageUnavailable("data/x", "no answer")
    reader = FileReader(entry, Blobs(blobs))
    offset = 0
    while offset + 500 < first[1]:
        assert reader.read_at(offset, 500) == whole[offset : offset + 500]
        offset += 500
    with pytest.raises(StorageUnavailable):
        reader.read_at(offset, 1000)


def test_a_file_that_is_collected_as_garbage_waits_for_no_lock() -> None:
    class Locked(Kept):
        lock = threading.Lock()

        @override
        def leave_out(self, blobs: Iterable[BlobId]) -> None:
            assert self.lock.acquire(blocking=False), "who holds the lock would wait for itself"
            super().leave_out(blobs)
            self.lock.release()

    blobs = Locked()
    shared = Blobs(blobs)
    entry, whole = stored(blobs, [bytes([number]) * 20_000 for number in range(200)])
    reader = FileReader(entry, shared)
    for offset in range(0, 200_000, 20_000):
        reader.read_at(offset, 20_000)
    waiting = set(blobs.hinted) - set(blobs.loaded)
    assert waiting
    with blobs.lock:
        reader.close()  # as a collection does at any moment
    other = FileReader(entry, shared)
    assert other.read_at(0, 10) == whole[:10]  # kept
    other.read_at(3_000_000, 10)
    assert set(blobs.left) == waiting


def test_a_blob_of_another_length_is_damage() -> None:
    blobs = Kept()
    entry, _ = stored(blobs, [b"hello", b"world"])
    blobs.blobs[blobs.add(b"hello")] = b"hell"
    with pytest.raises(DamagedRepository, match="4 bytes where 5"):
        FileReader(entry, Blobs(blobs)).read_at(0, 1)


def test_what_explains_damage_decides_which_error_it_is() -> None:
    blobs, entry, _ = damaged()

    def explain(error: HoldfastError) -> HoldfastError:
        return SnapshotNotFound(f"it is gone: {error}")

    for errors in ("raise", "skip"):
        reader = FileReader(entry, Blobs(blobs), errors, explain=explain)
        with pytest.raises(SnapshotNotFound, match="it is gone: blob") as told:
            reader.read_at(0, 100)
        assert isinstance(told.value.__cause__, DamagedRepository)


# Use


def test_only_files_are_read_and_only_two_ways() -> None:
    with pytest.raises(UsageError, match="not a regular file"):
        FileReader(directory_node(b"d", BlobId(bytes(32))), Blobs(Kept()))
    entry, _ = stored(Kept(), [b"x"])
    with pytest.raises(UsageError, match="errors='ignore'"):
        FileReader(entry, Blobs(Kept()), "ignore")  # type: ignore[arg-type]


def test_a_closed_reader_and_a_negative_place_are_refused() -> None:
    reader, _ = opened(Kept(), [b"hello"])
    with pytest.raises(ValueError, match="negative"):
        reader.read_at(-1, 2)
    reader.close()
    with pytest.raises(ValueError, match="closed"):
        reader.read_at(0, 1)


def test_each_read_asks_whether_it_may() -> None:
    entry, _ = stored(blobs := Kept(), [b"hello"])
    allowed = threading.Event()

    def check() -> None:
        if not allowed.is_set():
            raise UsageError("not now")

    reader = FileReader(entry, Blobs(blobs), check=check)
    with pytest.raises(UsageError, match="not now"):
        reader.read_at(0, 1)
    allowed.set()
    assert reader.read_at(0, 9) == b"hello"
