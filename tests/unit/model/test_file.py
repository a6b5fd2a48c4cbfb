from __future__ import annotations

import io
import os

import pytest

from holdfast.errors import DamagedRepository, UsageError
from holdfast.model.content import ContentBuilder
from holdfast.model.file import AHEAD, SnapshotFile
from holdfast.model.node import Node, NodeType
from holdfast.primitives.ids import BlobId
from holdfast.testing.blobs import MemoryBlobs
from holdfast.testing.layouts import directory_node, file_node, node


def stored(blobs: MemoryBlobs, pieces: list[bytes | int]) -> tuple[Node, bytes]:
    """A file of these blobs and runs of zeros, and what it should read as."""
    builder = ContentBuilder(blobs)
    for piece in pieces:
        if isinstance(piece, int):
            builder.add_zeros(piece)
        else:
            builder.add_blob(blobs.add(piece), len(piece))
    size, content = builder.finish()
    whole = b"".join(bytes(piece) if isinstance(piece, int) else piece for piece in pieces)
    return node(b"file", NodeType.FILE, content, size), whole


PIECES: list[bytes | int] = [b"hello", 7, b"world" * 100, b"x", 3, 4, b"\0" * 9]


def test_reading_it_all() -> None:
    blobs = MemoryBlobs()
    entry, whole = stored(blobs, PIECES)
    with SnapshotFile(entry, blobs) as file:
        assert file.readable()
        assert file.seekable()
        assert not file.writable()
        assert file.read() == whole
        assert file.read() == b""
        assert file.tell() == len(whole)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100, 10_000])
def test_reading_in_pieces(size: int) -> None:
    blobs = MemoryBlobs()
    entry, whole = stored(blobs, PIECES)
    file = SnapshotFile(entry, blobs)
    assert b"".join(iter(lambda: file.read(size), b"")) == whole


def test_through_a_buffer() -> None:
    blobs = MemoryBlobs()
    entry, whole = stored(blobs, [b"line one\n", 3, b"\nline", b" three"])
    assert io.BufferedReader(SnapshotFile(entry, blobs)).readlines() == whole.splitlines(True)


def test_seeking() -> None:
    blobs = MemoryBlobs()
    entry, whole = stored(blobs, PIECES)
    file = SnapshotFile(entry, blobs)
    for position in (0, 500, 3, 11, 12, len(whole) - 1, 5, len(whole), 4):
        assert file.seek(position) == position
        assert file.read(10) == whole[position : position + 10]
    assert file.seek(-4, os.SEEK_END) == len(whole) - 4
    assert file.seek(2, os.SEEK_CUR) == len(whole) - 2
    assert file.read() == whole[-2:]
    assert file.seek(100, os.SEEK_END) == len(whole) + 100
    assert file.read(5) == b""
    with pytest.raises(ValueError, match="no such position"):
        file.seek(-1)
    with pytest.raises(ValueError, match="no such position"):
        file.seek(0, 99)


def test_a_huge_hole_costs_nothing() -> None:
    blobs = MemoryBlobs()
    builder = ContentBuilder(blobs)
    builder.add_zeros(1 << 40)
    builder.add_blob(blobs.add(b"end"), 3)
    size, content = builder.finish()
    file = SnapshotFile(node(b"sparse", NodeType.FILE, content, size), blobs)
    file.seek((1 << 40) - 2)
    assert file.read() == b"\0\0end"


def test_reading_on_announces_what_follows() -> None:
    blobs = MemoryBlobs()
    pieces: list[bytes | int] = [b"%04d" % number for number in range(100)]
    entry, whole = stored(blobs, pieces)
    file = SnapshotFile(entry, blobs)
    file.read(4)
    assert not blobs.hinted
    file.read(4)
    assert len(blobs.hinted) == AHEAD
    assert file.read() == whole[8:]
    assert blobs.hinted == blobs.loaded[1:]
    blobs.hinted.clear()
    file.seek(50)
    file.read(1)
    assert not blobs.hinted


def test_an_empty_file() -> None:
    blobs = MemoryBlobs()
    assert SnapshotFile(file_node(blobs, b"a", b""), blobs).read() == b""


def test_only_files_can_be_opened() -> None:
    with pytest.raises(UsageError, match="not a regular file"):
        SnapshotFile(directory_node(b"d", BlobId(bytes(32))), MemoryBlobs())


def test_a_closed_file_cannot_be_read() -> None:
    blobs = MemoryBlobs()
    file = SnapshotFile(file_node(blobs, b"a", b"1"), blobs)
    file.close()
    for use in (file.read, file.tell, lambda: file.seek(0)):
        with pytest.raises(ValueError, match="closed"):
            use()


def test_a_blob_of_another_length_is_damage() -> None:
    blobs = MemoryBlobs()
    entry, _ = stored(blobs, [b"hello", b"world"])
    wrong = node(b"a", NodeType.FILE, entry.payload, 10)
    blobs.blobs[blobs.add(b"hello")] = b"hell"
    with pytest.raises(DamagedRepository, match="4 bytes where 5"):
        SnapshotFile(wrong, blobs).read()


def test_a_lost_blob_is_told_again_and_again_and_the_rest_is_read() -> None:
    blobs = MemoryBlobs()
    entry, whole = stored(blobs, [b"hello", b"lost!", b"world"])
    del blobs.blobs[blobs.add(b"lost!")]
    file = SnapshotFile(entry, blobs)
    assert file.read(5) == b"hello"
    for _ in range(3):
        with pytest.raises(DamagedRepository):
            file.read(1)
        assert file.tell() == 5
    file.seek(10)
    assert file.read() == whole[10:]
