"""zstd frames: decoded only when they are exactly what was said, and never bombs."""

from __future__ import annotations

import io
import os
import struct
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from holdfast.primitives import compression
from holdfast.primitives.compression import MAX_LEVEL, Buffer, Compressor

MAGIC = b"\x28\xb5\x2f\xfd"
TEXT = b"to be or not to be, " * 100


def frame_of(data: bytes) -> bytes:
    frame = Compressor(3).compress(data)
    assert frame is not None
    return frame


def room(size: int) -> memoryview:
    return memoryview(bytearray(size))


def decompress(frame: Buffer, size: int) -> bytes:
    return bytes(compression.decompress(frame, size, room))


def claiming(size: int, block: bytes = b"\x01\0\0") -> bytes:
    """A frame of one segment whose header states a size, and one last block."""
    return MAGIC + b"\xe0" + struct.pack("<Q", size) + block


@given(st.binary(max_size=5000), st.integers(1, 5), st.integers(1, MAX_LEVEL))
def test_what_is_compressed_is_decompressed(data: bytes, repeats: int, level: int) -> None:
    whole = data * repeats
    frame = Compressor(level).compress(whole)
    if frame is not None:
        assert len(frame) < len(whole)
        assert decompress(frame, len(whole)) == whole
        assert decompress(memoryview(frame), len(whole)) == whole


def test_what_does_not_shrink_is_left_alone() -> None:
    compressor = Compressor(3)
    assert compressor.compress(os.urandom(1000)) is None
    assert compressor.compress(b"") is None
    assert Compressor(0).compress(TEXT) is None


@pytest.mark.parametrize("level", [1, 3, 9, 10, 19])
def test_long_data_of_which_pieces_do_not_shrink_is_left_alone(level: int) -> None:
    assert Compressor(level).compress(os.urandom(1 << 20)) is None


@pytest.mark.parametrize("shrinking", [b"text " * 20_000, bytes(200_000)])
@pytest.mark.parametrize("place", range(0, 900_000, 100_000))
def test_a_tenth_that_shrinks_is_found_wherever_it_is(shrinking: bytes, place: int) -> None:
    data = bytearray(os.urandom(1 << 20))
    data[place : place + len(shrinking)] = shrinking
    frame = Compressor(3).compress(data)
    assert frame is not None
    assert len(frame) < len(data) - len(shrinking) * 9 // 10
    assert decompress(frame, len(data)) == data


def test_high_levels_try_everything() -> None:
    data = bytearray(os.urandom(1 << 20))
    data[100_000:130_000] = bytes(30_000)
    assert Compressor(10).compress(data) is not None


def test_one_compressor_serves_several_threads() -> None:
    compressor = Compressor(3)
    pieces = [bytes([number]) * 50_000 + os.urandom(100) for number in range(40)]
    with ThreadPoolExecutor(4) as pool:
        frames = list(pool.map(compressor.compress, pieces))
        found = list(
            pool.map(lambda frame, piece: decompress(frame or b"", len(piece)), frames, pieces)
        )
    assert found == pieces


@pytest.mark.fault(33)
@pytest.mark.parametrize("stated", [1 << 40, (1 << 64) - 2, 1 << 34, 1 << 26])
@pytest.mark.parametrize("expected", [0, 1, 1 << 20])
def test_a_frame_that_states_another_size_is_refused_without_allocating(
    stated: int, expected: int
) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="states"):
            decompress(claiming(stated), expected)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.fault(33)
def test_a_bomb_is_refused() -> None:
    bomb = zstandard.ZstdCompressor().compress(bytes(256 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="states"):
            decompress(bomb, 1 << 20)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_frame_that_states_no_size_is_refused() -> None:
    unstated = zstandard.ZstdCompressor(write_content_size=False).compress(TEXT)
    stream = io.BytesIO()
    with zstandard.ZstdCompressor().stream_writer(stream, closefd=False) as writer:
        writer.write(TEXT)
    for frame in (unstated, stream.getvalue()):
        with pytest.raises(ValueError, match="zstd frame"):
            decompress(frame, len(TEXT))


def test_a_frame_that_lies_about_its_size_is_refused() -> None:
    frame = bytearray(frame_of(TEXT))
    header = zstandard.get_frame_parameters(bytes(frame))
    assert header.content_size == len(TEXT)
    at = bytes(frame).index(struct.pack("<H", len(TEXT) - 256))  # two bytes state it, less 256
    for lie in (len(TEXT) - 1, len(TEXT) + 1, len(TEXT) + 1000):
        frame[at : at + 2] = struct.pack("<H", lie - 256)
        with pytest.raises(ValueError, match="zstd frame"):
            decompress(bytes(frame), lie)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        MAGIC,
        TEXT,
        frame_of(TEXT) + b"x",
        frame_of(TEXT) + frame_of(TEXT),
        frame_of(TEXT) + claiming(0),
        b"\x50\x2a\x4d\x18\x04\0\0\0abcd" + frame_of(TEXT),  # a skippable frame before it
        frame_of(TEXT)[:-1],
        frame_of(TEXT)[:8],
        zstandard.ZstdCompressor(
            dict_data=zstandard.ZstdCompressionDict(b"to be or not " * 100), write_content_size=True
        ).compress(TEXT),
    ],
    ids=range(10),
)
def test_what_is_not_one_whole_frame_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="zstd frame"):
        decompress(data, len(TEXT))


@given(st.data())
def test_a_damaged_frame_gives_its_bytes_or_a_value_error(data: st.DataObject) -> None:
    frame = bytearray(frame_of(TEXT))
    frame[data.draw(st.integers(0, len(frame) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        found = decompress(bytes(frame), len(TEXT))
    except ValueError:
        return
    assert len(found) == len(TEXT)


def no_room(size: int) -> memoryview:
    raise AssertionError(f"room for {size} bytes")


def test_no_room_is_made_for_a_frame_of_which_blocks_are_missing() -> None:
    frame = zstandard.compress(bytes(64 << 20))
    for cut in (1, 3, 4, len(frame) // 2, len(frame) - 9):
        with pytest.raises(ValueError, match="zstd frame"):
            compression.decompress(frame[:-cut], 64 << 20, no_room)


class _Refused:
    """A context of zstd that is refused memory."""

    def compress(self, _: Buffer) -> bytes:
        raise zstandard.ZstdError("cannot compress: Allocation error : not enough memory")

    def stream_reader(self, _: Buffer) -> object:
        raise zstandard.ZstdError("zstd decompress error: Allocation error : not enough memory")


@pytest.mark.fault(6)
def test_too_little_memory_is_no_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = zstandard.ZstdCompressor().compress(b"content")
    monkeypatch.setattr(compression._local, "context", _Refused(), raising=False)
    with pytest.raises(MemoryError):
        compression.decompress(frame, 7, lambda size: memoryview(bytearray(size)))
    compressor = Compressor(3)
    monkeypatch.setattr(compressor._local, "whole", _Refused(), raising=False)
    with pytest.raises(MemoryError):
        compressor.compress(b"content" * 100)
