"""The only door to zstd (RFC 8878): one frame a segment, decoded without trust."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeAlias

import zstandard

Buffer: TypeAlias = bytes | bytearray | memoryview

LEVELS = {"auto": 3, "max": 19, "off": 0}
"""Named compression modes and their zstd levels; 0 stores everything raw."""

MIN_LEVEL, MAX_LEVEL = 0, 22

_AUTO = zstandard.ZstdCompressionParameters(
    window_log=21,
    hash_log=16,
    chain_log=15,
    min_match=5,
    strategy=zstandard.STRATEGY_DFAST,
    write_content_size=True,
)
"""Level 3 with tables that fit into the fast caches: over segments of 2 MiB it takes a tenth less
time than zstd's own level 3 over 1 MiB, and a percent less space (ADR 0012)."""

_PIECES = 16
_PIECE = 4 << 10
_PROBED = 256 << 10
"""Bytes from which on a few pieces are tried first; what they cost is 2 % of compressing."""

_PROBED_LEVEL = 9
"""Highest level at which time matters more than the last byte."""


class Compressor:
    """Compresses at one level; safe to use from several threads, each with its own context.

    Attributes:
        level: the zstd level, 0 for none.
    """

    def __init__(self, level: int) -> None:
        self.level = level
        self._local = threading.local()

    def compress(self, data: Buffer) -> bytes | None:
        """One zstd frame that states its content size; None when that would not be smaller.

        Of what is long, pieces all over it are tried first: if they do not shrink, nothing is
        compressed, which spares random and compressed data most of the work.
        """
        if self.level == 0 or not data:
            return None
        try:
            if len(data) >= _PROBED and self.level <= _PROBED_LEVEL and not self._shrinks(data):
                return None
            frame: bytes = self._context("whole", self._new).compress(data)
        except zstandard.ZstdError as error:
            _refuse_shortage(error)
            raise
        return frame if len(frame) < len(data) else None

    def _shrinks(self, data: Buffer) -> bool:
        view = memoryview(data)
        step = (len(view) - _PIECE) // (_PIECES - 1)
        pieces = b"".join([view[at * step : at * step + _PIECE] for at in range(_PIECES)])
        return len(self._context("pieces", _new_probe).compress(pieces)) < len(pieces) * 127 // 128

    def _new(self) -> zstandard.ZstdCompressor:
        if self.level == LEVELS["auto"]:
            return zstandard.ZstdCompressor(compression_params=_AUTO)
        return zstandard.ZstdCompressor(level=self.level, write_content_size=True)

    def _context(
        self, name: str, make: Callable[[], zstandard.ZstdCompressor]
    ) -> zstandard.ZstdCompressor:
        """This thread's context of that name."""
        context: zstandard.ZstdCompressor | None = getattr(self._local, name, None)
        if context is None:
            context = make()
            setattr(self._local, name, context)
        return context


def _new_probe() -> zstandard.ZstdCompressor:
    return zstandard.ZstdCompressor(level=1)


_local = threading.local()


def decompress(frame: Buffer, size: int, take: Callable[[int], memoryview]) -> memoryview:
    """Decode one zstd frame that must be exactly so many bytes long when decoded.

    The frame's own statement, and that all of its blocks are there, are checked first, because the
    library makes room for what is stated.

    Args:
        frame: the frame.
        size: what it holds.
        take: gives memory of that size, to decode into.

    Raises:
        ValueError: not one whole frame and nothing else, or not of that size.
        MemoryError: there is too little to tell.
    """
    try:
        stated = zstandard.get_frame_parameters(frame).content_size
        if stated != size:
            raise ValueError(f"the zstd frame states {stated} bytes instead of {size}")
        if _end_of_frame(frame) != len(frame):
            raise ValueError("not one zstd frame and nothing else")
        context: zstandard.ZstdDecompressor | None = getattr(_local, "context", None)
        if context is None:
            context = _local.context = zstandard.ZstdDecompressor()
        out = take(size)
        with context.stream_reader(frame) as reader:
            done = reader.readinto(out)
    except (zstandard.ZstdError, IndexError) as error:
        _refuse_shortage(error)
        raise ValueError(f"not a zstd frame: {error}") from None
    if done != size:
        raise ValueError(f"the zstd frame holds {done} bytes instead of {size}")
    return out


def _end_of_frame(frame: Buffer) -> int:
    """Where a frame ends, by the headers of its blocks (RFC 8878, 3.1.1.2); IndexError if cut.

    The library does not say how much of its input a streaming reader has used.
    """
    view = memoryview(frame)
    place = zstandard.frame_header_size(frame)
    is_last = False
    while not is_last:
        header = view[place] | view[place + 1] << 8 | view[place + 2] << 16
        is_last = bool(header & 1)
        place += 3 + (1 if header >> 1 & 3 == _RUN else header >> 3)
    return place + 4 * zstandard.get_frame_parameters(frame).has_checksum


def _refuse_shortage(error: Exception) -> None:
    """Tell a shortage of memory from what is wrong with the data: MemoryError."""
    if _NO_MEMORY in str(error):
        raise MemoryError(str(error)) from error


_NO_MEMORY = "not enough memory"
"""How zstd's message ends when it was refused memory; what a frame must not ask for reads
otherwise."""

_RUN = 1
"""The type of a block that is one byte, repeated."""
