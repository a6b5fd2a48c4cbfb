"""The only door to zstd (RFC 8878): one frame a segment, decoded without trust."""

from __future__ import annotations

import threading
from typing import TypeAlias

import zstandard

Buffer: TypeAlias = bytes | bytearray | memoryview

LEVELS = {"auto": 3, "max": 19, "off": 0}
"""Named compression modes and their zstd levels; 0 stores everything raw."""

MIN_LEVEL, MAX_LEVEL = 0, 22


class Compressor:
    """Compresses at one level; safe to use from several threads, each with its own context.

    Attributes:
        level: the zstd level, 0 for none.
    """

    def __init__(self, level: int) -> None:
        self.level = level
        self._local = threading.local()

    def compress(self, data: Buffer) -> bytes | None:
        """One zstd frame that states its content size; None when that would not be smaller."""
        if self.level == 0 or not data:
            return None
        context: zstandard.ZstdCompressor | None = getattr(self._local, "context", None)
        if context is None:
            context = zstandard.ZstdCompressor(level=self.level, write_content_size=True)
            self._local.context = context
        frame: bytes = context.compress(data)
        return frame if len(frame) < len(data) else None


_local = threading.local()


def decompress(frame: Buffer, size: int) -> bytes:
    """Decode one zstd frame that must be exactly `size` bytes long when decoded.

    The frame's own statement is checked first, because the library allocates what it states
    and ignores `max_output_size` when it states something.

    Raises:
        ValueError: not one whole frame, or not of that size.
    """
    try:
        stated = zstandard.get_frame_parameters(frame).content_size
        if stated != size:
            raise ValueError(f"the zstd frame states {stated} bytes instead of {size}")
        context: zstandard.ZstdDecompressor | None = getattr(_local, "context", None)
        if context is None:
            context = _local.context = zstandard.ZstdDecompressor()
        data: bytes = context.decompress(frame, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise ValueError(f"not a zstd frame: {error}") from None
    if len(data) != size:
        raise ValueError(f"the zstd frame holds {len(data)} bytes instead of {size}")
    return data
