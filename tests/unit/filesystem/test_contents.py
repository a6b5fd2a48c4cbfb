from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import DamagedRepository
from holdfast.filesystem.contents import (
    AHEAD,
    Piece,
    first_difference,
    read_pieces,
    update_pieces,
    write_pieces,
)
from holdfast.filesystem.target import TargetError
from holdfast.model.content import ContentBuilder
from holdfast.model.node import Content
from holdfast.testing.blobs import MemoryBlobs

PARTS = st.lists(
    st.sampled_from([b"a", b"b" * 700, bytes(600), bytes(3), 1, 5000, 70_000]), max_size=8
)


def pieces(parts: Sequence[bytes | int]) -> Iterator[Piece]:
    offset = 0
    for part in parts:
        yield offset, part
        offset += part if isinstance(part, int) else len(part)


def plain(parts: list[bytes | int]) -> bytes:
    return b"".join(bytes(part) for part in parts)


def memory_file(content: bytes = b"") -> int:
    fd = os.memfd_create("test")
    os.pwrite(fd, content, 0)
    return fd


def content_of(fd: int) -> bytes:
    return os.pread(fd, os.fstat(fd).st_size + 1, 0)


@given(PARTS, st.booleans())
def test_writing(parts: list[bytes | int], sparse: bool) -> None:
    fd = memory_file()
    written = write_pieces(fd, pieces(parts), len(plain(parts)), sparse=sparse)
    assert content_of(fd) == plain(parts)
    data = [part for part in parts if isinstance(part, bytes) and (any(part) or not sparse)]
    assert written.size == sum(map(len, data))
    assert first_difference(fd, pieces(parts)) is None
    os.close(fd)


@given(PARTS, PARTS, st.booleans())
def test_updating(before: list[bytes | int], parts: list[bytes | int], sparse: bool) -> None:
    fd = memory_file(plain(before))
    written = update_pieces(fd, pieces(parts), len(plain(parts)), sparse=sparse)
    assert content_of(fd) == plain(parts)
    assert written.changed == (plain(before) != plain(parts))
    again = update_pieces(fd, pieces(parts), len(plain(parts)), sparse=sparse)
    assert again == (0, False)
    os.close(fd)


@given(PARTS.filter(bool), st.data())
def test_comparing(parts: list[bytes | int], data: st.DataObject) -> None:
    content = bytearray(plain(parts))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 0xFF
    fd = memory_file(bytes(content))
    difference = first_difference(fd, pieces(parts))
    starts = [offset for offset, _ in pieces(parts)]
    assert difference == max(start for start in starts if start <= place)
    os.close(fd)


def test_a_file_that_is_too_short_differs() -> None:
    fd = memory_file(b"abc")
    assert first_difference(fd, pieces([b"abc", b"d"])) == 3
    assert first_difference(fd, pieces([b"abcd"])) == 0
    os.close(fd)


def test_what_the_target_refuses(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    fd = os.open(tmp_path / "f", os.O_RDONLY)
    with pytest.raises(TargetError, match="write"):
        write_pieces(fd, pieces([b"x"]), 1, sparse=False)
    with pytest.raises(TargetError, match="write"):
        update_pieces(fd, pieces([b"ab"]), 2, sparse=False)
    os.close(fd)
    fd = os.open(tmp_path / "f", os.O_WRONLY)
    with pytest.raises(TargetError, match="read"):
        update_pieces(fd, pieces([b"ab"]), 2, sparse=False)
    with pytest.raises(TargetError, match="write"):
        write_pieces(fd, pieces([1 << 70]), 1 << 70, sparse=False)
    os.close(fd)


def stored(parts: Sequence[bytes | int], blobs: MemoryBlobs) -> tuple[Content | None, int]:
    builder = ContentBuilder(blobs)
    for part in parts:
        if isinstance(part, int):
            builder.add_zeros(part)
        else:
            builder.add_blob(blobs.add(part), len(part))
    size, content = builder.finish()
    return content, size


def test_pieces_of_the_repository() -> None:
    cases: list[list[bytes | int]] = [[], [b"one"], [b"one", b"two"], [b"one", 10, b"two", 1]]
    for parts in cases:
        blobs = MemoryBlobs()
        content, size = stored(parts, blobs)
        assert list(read_pieces(content, size, blobs)) == list(pieces(parts))


def test_pieces_are_asked_for_ahead_and_not_too_far() -> None:
    blobs = MemoryBlobs()
    content, size = stored([b"%d" % n for n in range(10 * AHEAD)], blobs)
    reader = read_pieces(content, size, blobs)
    for number, _ in enumerate(reader):
        ahead = len(blobs.hinted) - number
        assert min(AHEAD, 10 * AHEAD - number) <= ahead <= 2 * AHEAD
    assert blobs.hinted == blobs.loaded


def test_a_blob_of_the_wrong_length_is_damage() -> None:
    for parts in ([b"one"], [b"one", b"two"]):
        blobs = MemoryBlobs()
        content, size = stored(parts, blobs)
        blobs.blobs[blobs.add(b"one")] = b"once"
        with pytest.raises(DamagedRepository, match="4 bytes instead of 3"):
            list(read_pieces(content, size, blobs))
