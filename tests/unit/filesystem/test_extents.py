from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from holdfast.filesystem import Extent, data_extents

BLOCK = 1 << 16  # no file system here has larger ones
TB = 1 << 40


@contextmanager
def sparse(path: Path, size: int, *pieces: int) -> Iterator[int]:
    """A file with a block of data at each of these offsets."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        os.truncate(descriptor, size)
        for offset in pieces:
            os.pwrite(descriptor, b"d" * min(BLOCK, size - offset), offset)
        if pieces and os.fstat(descriptor).st_blocks * 512 >= size:
            pytest.skip("the file system makes no holes")
        yield descriptor
    finally:
        os.close(descriptor)


def extents(descriptor: int) -> list[Extent]:
    return list(data_extents(descriptor, os.fstat(descriptor)))


@pytest.fixture
def seeks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    asked: list[int] = []
    real = os.lseek

    def counting(descriptor: int, offset: int, whence: int) -> int:
        asked.append(whence)
        return real(descriptor, offset, whence)

    monkeypatch.setattr(os, "lseek", counting)
    return asked


def answer(monkeypatch: pytest.MonkeyPatch, data: list[int], holes: list[int]) -> None:
    """Make the system answer so; a negative number is an error."""

    def scripted(_descriptor: int, _offset: int, whence: int) -> int:
        result = (data if whence == os.SEEK_DATA else holes).pop(0)
        if result < 0:
            raise OSError(-result, os.strerror(-result))
        return result

    monkeypatch.setattr(os, "lseek", scripted)


def test_an_empty_file_has_no_extents(tmp_path: Path) -> None:
    with sparse(tmp_path / "file", 0) as file:
        assert extents(file) == []


def test_a_full_file_is_one_extent_and_asks_nothing(tmp_path: Path, seeks: list[int]) -> None:
    (tmp_path / "file").write_bytes(b"x" * 3 * BLOCK)
    with (tmp_path / "file").open("rb") as file:
        os.fsync(file.fileno())
        assert extents(file.fileno()) == [Extent(0, 3 * BLOCK, is_hole=False)]
    assert seeks == []


@pytest.mark.fault(41)
def test_a_terabyte_of_nothing_is_two_questions_at_most(tmp_path: Path, seeks: list[int]) -> None:
    with sparse(tmp_path / "file", TB) as file:
        assert extents(file) == [Extent(0, TB, is_hole=True)]
    assert len(seeks) <= 2


def test_holes_and_data_cover_the_file(tmp_path: Path) -> None:
    size = TB + 5
    with sparse(tmp_path / "file", size, 0, 8 * BLOCK, TB - BLOCK) as file:
        found = extents(file)
    position = 0
    for extent in found:
        assert extent.offset == position
        assert extent.length > 0
        position += extent.length
    assert position == size
    data = [extent for extent in found if not extent.is_hole]
    assert sum(extent.length for extent in data) < 8 * BLOCK
    for offset in (0, 8 * BLOCK, TB - BLOCK):
        assert any(e.offset <= offset < offset + BLOCK <= e.offset + e.length for e in data)


def test_a_file_that_shrank_is_a_hole_to_its_old_size(tmp_path: Path) -> None:
    with sparse(tmp_path / "file", 64 * BLOCK, 0) as file:
        before = os.fstat(file)
        os.truncate(file, 0)
        assert list(data_extents(file, before)) == [Extent(0, 64 * BLOCK, is_hole=True)]


def test_nothing_beyond_the_size_that_was_asked_for(tmp_path: Path) -> None:
    with sparse(tmp_path / "file", 64 * BLOCK) as file:
        before = os.fstat(file)
        os.pwrite(file, b"d" * BLOCK, 80 * BLOCK)
        assert list(data_extents(file, before)) == [Extent(0, 64 * BLOCK, is_hole=True)]


@pytest.mark.parametrize(
    ("data", "holes", "expected"),
    [
        ([-errno.EINVAL], [100], [(0, 100, False)]),
        ([0], [-errno.EINVAL], [(0, 100, False)]),
        ([-errno.ENXIO], [], [(0, 100, True)]),
        ([10], [-errno.ENXIO], [(0, 10, True), (10, 90, False)]),
        ([10, 200], [20], [(0, 10, True), (10, 10, False), (20, 80, True)]),
        ([10], [200], [(0, 10, True), (10, 90, False)]),
        ([0], [0], [(0, 100, False)]),
        ([10], [5], [(0, 10, True), (10, 90, False)]),
    ],
)
def test_strange_answers(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    data: list[int],
    holes: list[int],
    expected: list[tuple[int, int, bool]],
) -> None:
    with sparse(tmp_path / "file", 100) as file:
        answer(monkeypatch, data, holes)
        assert extents(file) == expected


def test_an_error_of_the_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with sparse(tmp_path / "file", 100) as file:
        answer(monkeypatch, [-errno.EIO], [])
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            extents(file)
