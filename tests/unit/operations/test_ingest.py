"""From the bytes of a file to blobs: what is read, where it is cut, and with whom it may lie."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from holdfast.model.content import ContentBuilder, iter_items
from holdfast.model.node import Content
from holdfast.operations.ingest import (
    BUFFER_SIZE,
    LARGE,
    MOST_UNSIZED,
    Group,
    Ingest,
    Unreadable,
)
from holdfast.primitives.chunker import PROFILES, ChunkerParams
from holdfast.primitives.ids import BlobId
from holdfast.testing.blobs import MemoryBlobs
from holdfast.testing.content import noise

SMALL_CHUNKS = ChunkerParams("pyfastcdc", 64, 256, 1024)
DEFAULT = PROFILES["default"]
SEED = bytes(range(32))
TERABYTE = 1 << 40


class Saver(MemoryBlobs):
    """Blobs in memory that remember whom they belong to, and how they came."""

    def __init__(self) -> None:
        super().__init__()
        self.saved: list[tuple[int, Group]] = []

    def save_data(self, content: memoryview, group: Group) -> BlobId:
        self.saved.append((len(content), group))
        return self.add(bytes(content))

    @property
    def lengths(self) -> list[int]:
        return [length for length, _ in self.saved]


def ingest(path: Path, saver: Saver, params: ChunkerParams = DEFAULT) -> tuple[int, Content | None]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return Ingest(saver, params, SEED).file(descriptor, os.fstat(descriptor))
    finally:
        os.close(descriptor)


def content_of(found: tuple[int, Content | None], saver: Saver) -> bytes:
    size, content = found
    if isinstance(content, bytes):
        return saver.load(BlobId(content))
    return b"".join(
        bytes(item) if isinstance(item, int) else saver.load(item[0])
        for _, item in iter_items(content, size, saver)
    )


@pytest.mark.fault(42)
@pytest.mark.parametrize(
    "size",
    [
        0,
        1,
        *(limit + step for limit in (DEFAULT.min_size, DEFAULT.max_size) for step in (-1, 0, 1)),
        *(LARGE + step for step in (-1, 0, 1)),
        *(BUFFER_SIZE + step for step in (-1, 0, 1)),
        2 * BUFFER_SIZE + 12345,
    ],
)
def test_a_file_of_any_size_comes_back(tmp_path: Path, size: int) -> None:
    data = noise(size)
    (tmp_path / "file").write_bytes(data)
    saver = Saver()
    found = ingest(tmp_path / "file", saver)
    assert found[0] == size
    assert content_of(found, saver) == data
    assert sum(saver.lengths) == size


@pytest.mark.fault(42)
@pytest.mark.parametrize("data", [b"\0" * 3_000_000, b"a" * 3_000_000], ids=["zeros", "letters"])
def test_data_without_any_variety_is_cut_at_the_longest(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "file").write_bytes(data)
    saver = Saver()
    assert content_of(ingest(tmp_path / "file", saver), saver) == data
    assert max(saver.lengths) == DEFAULT.max_size


def test_cuts_do_not_depend_on_how_the_stream_is_read() -> None:
    data = noise(3 * BUFFER_SIZE // 2)

    def cuts(most: int) -> list[int]:
        def fill(buffer: memoryview, done: int) -> int:
            piece = data[done : done + min(most, len(buffer))]
            buffer[: len(piece)] = piece
            return len(piece)

        saver = Saver()
        builder = ContentBuilder(saver)
        assert Ingest(saver, DEFAULT, SEED).stream(fill, ("large", 0), builder) == len(data)
        return saver.lengths

    whole = cuts(len(data))
    assert cuts(77_777) == whole
    assert cuts(BUFFER_SIZE - 1) == whole


def test_an_insertion_moves_only_the_cuts_around_it(tmp_path: Path) -> None:
    before = noise(8_000_000)
    saver = Saver()
    (tmp_path / "file").write_bytes(before)
    ingest(tmp_path / "file", saver)
    known = set(saver.blobs)
    (tmp_path / "file").write_bytes(before[:4_000_000] + b"something new" + before[4_000_000:])
    ingest(tmp_path / "file", saver)
    assert 1 <= len(saver.blobs.keys() - known) <= 3


def test_holes_are_neither_read_nor_stored(tmp_path: Path) -> None:
    middle, last = noise(300_000, 2), noise(1000, 3)
    with (tmp_path / "file").open("wb") as file:
        file.seek(TERABYTE // 2)
        file.write(middle)
        file.seek(3 * TERABYTE // 4)
        file.write(last)
        file.truncate(TERABYTE)
    if (tmp_path / "file").stat().st_blocks > TERABYTE // 512 // 2:
        pytest.skip("this file system has no holes")
    saver = Saver()
    size, content = ingest(tmp_path / "file", saver)
    assert size == TERABYTE
    assert sum(saver.lengths) < 1 << 20
    assert content is not None
    assert not isinstance(content, bytes)
    items = list(iter_items(content, size, saver))
    assert isinstance(items[0][1], int)
    assert isinstance(items[-1][1], int)
    with (tmp_path / "file").open("rb") as file:
        for offset, item in items:
            if not isinstance(item, int):
                assert saver.load(item[0]) == os.pread(file.fileno(), item[1], offset)
    stored = b"".join(saver.load(item[0]) for _, item in items if not isinstance(item, int))
    assert middle in stored
    assert last in stored


@pytest.mark.fault(41)
def test_a_file_that_is_all_hole_has_no_blob(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.truncate(TERABYTE)
    if (tmp_path / "file").stat().st_blocks:
        pytest.skip("this file system has no holes")
    saver = Saver()
    assert ingest(tmp_path / "file", saver) == (TERABYTE, (0, (TERABYTE,)))
    assert saver.saved == []


@pytest.mark.parametrize("hole_first", [True, False])
def test_data_and_holes_in_turn_come_back(tmp_path: Path, *, hole_first: bool) -> None:
    step = 1 << 16  # a multiple of every usual block size
    expected = bytearray(40 * step)
    with (tmp_path / "file").open("wb") as file:
        for number in range(0 if not hole_first else 1, 40, 2):
            piece = noise(step, number)
            expected[number * step : (number + 1) * step] = piece
            file.seek(number * step)
            file.write(piece)
        file.truncate(len(expected))
    saver = Saver()
    found = ingest(tmp_path / "file", saver, SMALL_CHUNKS)
    assert content_of(found, saver) == expected


def test_small_files_are_of_one_group_an_owner_and_large_ones_of_another(tmp_path: Path) -> None:
    saver = Saver()
    owner = os.geteuid()
    for size, kind in ((10, "small"), (LARGE - 1, "small"), (LARGE, "large")):
        (tmp_path / "file").write_bytes(noise(size))
        ingest(tmp_path / "file", saver)
        assert {group for _, group in saver.saved} == {(kind, owner)}
        saver.saved.clear()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_the_group_names_the_owner(tmp_path: Path) -> None:
    saver = Saver()
    for uid, size in ((1234, 10), (4321, LARGE)):
        (tmp_path / "file").write_bytes(noise(size))
        os.chown(tmp_path / "file", uid, -1)
        ingest(tmp_path / "file", saver)
        assert saver.saved[-1][1][1] == uid


def test_never_more_is_read_than_the_status_says(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for size in (100, 200_000):
        path.write_bytes(noise(size))
        descriptor = os.open(path, os.O_RDONLY)
        status = os.fstat(descriptor)
        with path.open("ab") as file:
            file.write(b"more than before")
        saver = Saver()
        assert Ingest(saver, DEFAULT, SEED).file(descriptor, status)[0] == size
        os.close(descriptor)


@pytest.mark.fault(45)
@pytest.mark.parametrize("size", [1, 3000, (1 << 16) + 1, MOST_UNSIZED])
def test_what_says_that_it_is_empty_is_read_to_its_end(tmp_path: Path, size: int) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "file").write_bytes(noise(size))
    descriptor = os.open(tmp_path / "file", os.O_RDONLY)
    saver = Saver()
    found = Ingest(saver, DEFAULT, SEED).file(descriptor, (tmp_path / "empty").stat())
    os.close(descriptor)
    assert found[0] == size
    assert content_of(found, saver) == noise(size)


@pytest.mark.fault(45)
def test_what_says_that_it_is_empty_and_has_no_end_is_given_up(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    descriptor = os.open("/dev/zero", os.O_RDONLY)
    with pytest.raises(Unreadable, match="more than 16 MiB") as caught:
        Ingest(Saver(), DEFAULT, SEED).file(descriptor, (tmp_path / "empty").stat())
    os.close(descriptor)
    assert caught.value.error.errno == errno.EFBIG


@pytest.mark.parametrize(("before", "after"), [(100, 40), (100, 0), (200_000, 70_000)])
def test_a_file_that_became_shorter_gives_what_there_is(
    tmp_path: Path, before: int, after: int
) -> None:
    path = tmp_path / "file"
    path.write_bytes(noise(before))
    descriptor = os.open(path, os.O_RDONLY)
    status = os.fstat(descriptor)
    os.truncate(path, after)
    saver = Saver()
    found = Ingest(saver, DEFAULT, SEED).file(descriptor, status)
    os.close(descriptor)
    assert found[0] == after
    assert content_of(found, saver) == noise(before)[:after]


@pytest.mark.fault(16, 36)
@pytest.mark.parametrize("size", [100, 200_000])
def test_a_file_that_cannot_be_read_is_told_apart_from_a_storage_that_fails(
    tmp_path: Path, size: int
) -> None:
    (tmp_path / "file").write_bytes(noise(size))
    descriptor = os.open(tmp_path / "file", os.O_WRONLY)
    with pytest.raises(Unreadable) as caught:
        Ingest(Saver(), DEFAULT, SEED).file(descriptor, os.fstat(descriptor))
    os.close(descriptor)
    assert caught.value.error.errno == errno.EBADF
    assert caught.value.operation == "read"


def test_what_was_read_of_a_large_file_is_told_meanwhile(tmp_path: Path) -> None:
    size = 3 * BUFFER_SIZE + 5
    (tmp_path / "file").write_bytes(bytes(size))
    descriptor = os.open(tmp_path / "file", os.O_RDONLY)
    told: list[int] = []
    Ingest(Saver(), DEFAULT, SEED).file(descriptor, os.fstat(descriptor), told.append)
    os.close(descriptor)
    assert sum(told) == size
    assert len(told) > 3
