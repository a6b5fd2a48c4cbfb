"""The only door to content-defined chunking (FastCDC; Xia et al., IEEE TPDS 2020).

A chunker looks at a window of a stream and says where to cut it. What is cut must never change
for a repository, or nothing deduplicates any more; golden tests pin the cut points.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Protocol

from holdfast.errors import UnsupportedRepository, UsageError

DEFAULT_CHUNKER = "pyfastcdc"
CHUNKERS = ("pyfastcdc", "fastcdc")

MIN_SIZES = (64, 256, 1024)
"""Least minimum, average and maximum of a chunk's length in bytes, of all implementations."""

MAX_SIZES = (1 << 20, 4 << 20, 16 << 20)
"""Greatest minimum, average and maximum, likewise."""

_SEED_MASK = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class ChunkerParams:
    """How a repository cuts its files; fixed when it is made.

    Attributes:
        name: the implementation, one of `CHUNKERS`.
        min_size: least length of a chunk in bytes, the last of a file excepted.
        avg_size: FastCDC's average parameter in bytes; chunks average about min + avg.
        max_size: greatest length of a chunk in bytes.
    """

    name: str
    min_size: int
    avg_size: int
    max_size: int

    def __post_init__(self) -> None:
        """Check the bounds that every implementation has (UsageError)."""
        if self.name not in CHUNKERS:
            raise UsageError(f"unknown chunker {self.name!r}: choose one of {', '.join(CHUNKERS)}")
        sizes = (self.min_size, self.avg_size, self.max_size)
        fits = all(
            low <= size <= high for low, size, high in zip(MIN_SIZES, sizes, MAX_SIZES, strict=True)
        )
        if not fits or list(sizes) != sorted(sizes):
            raise UsageError(
                f"chunk sizes {self.min_size}/{self.avg_size}/{self.max_size} are out of bounds: "
                "64 B ≤ min ≤ 1 MiB, 256 B ≤ avg ≤ 4 MiB, 1 KiB ≤ max ≤ 16 MiB, min ≤ avg ≤ max"
            )


PROFILES = {
    "default": ChunkerParams(DEFAULT_CHUNKER, 64 << 10, 256 << 10, 2 << 20),
    "database": ChunkerParams(DEFAULT_CHUNKER, 16 << 10, 64 << 10, 512 << 10),
    "large": ChunkerParams(DEFAULT_CHUNKER, 512 << 10, 1 << 20, 8 << 20),
    "fastcdc": ChunkerParams("fastcdc", 64 << 10, 256 << 10, 2 << 20),
}
"""Named settings: `database` for small scattered changes, `large` for more than 10 TB, `fastcdc`
for the other implementation at the default sizes."""


class Chunker(Protocol):
    """Finds cut points. One instance is used by one thread at a time."""

    def cut(self, window: memoryview, *, last: bool) -> list[int]:
        """Lengths of the chunks at the beginning of a window.

        Args:
            window: bytes of the stream from the last cut on.
            last: whether the stream ends with this window.

        Returns:
            Lengths in order. They fill the whole window when `last`; otherwise the chunk that
            touches the window's end is left out, as later bytes may move its cut.
        """


class _PyFastCDC:
    """The default: seeded, releases the GIL."""

    def __init__(self, params: ChunkerParams, seed: int) -> None:
        from pyfastcdc import FastCDC  # noqa: PLC0415 - start-up must not pay for it

        self._fastcdc = FastCDC(
            params.avg_size, min_size=params.min_size, max_size=params.max_size, seed=seed
        )

    def cut(self, window: memoryview, *, last: bool) -> list[int]:
        """See `Chunker.cut`."""
        lengths = [chunk.length for chunk in self._fastcdc.cut_buf(window)]
        return lengths if last else lengths[:-1]


class _FastCDC:
    """The `fastcdc` package: no seed, holds the GIL, compiled on install."""

    def __init__(self, params: ChunkerParams) -> None:
        try:
            import fastcdc  # noqa: PLC0415 - an extra
        except ImportError:
            raise UnsupportedRepository(
                "this repository is cut by the package fastcdc, which is not installed: "
                "pip install 'fastcdc>=1.7,<2'"
            ) from None
        if fastcdc.fastcdc.__name__ == "fastcdc_py":
            warnings.warn(
                "the fastcdc package is installed without its compiled module and is about a "
                "thousand times slower: install a C compiler and reinstall it",
                RuntimeWarning,
                stacklevel=3,
            )
        self._fastcdc = fastcdc.fastcdc
        self._sizes = (params.min_size, params.avg_size, params.max_size)

    def cut(self, window: memoryview, *, last: bool) -> list[int]:
        """See `Chunker.cut`."""
        lengths = [chunk.length for chunk in self._fastcdc(window, *self._sizes)]
        return lengths if last else lengths[:-1]


def open_chunker(params: ChunkerParams, seed: bytes) -> Chunker:
    """A chunker for these settings.

    Args:
        params: how to cut.
        seed: at least 8 secret bytes; 63 bits of them, never zero, seed the gear table.
    """
    if params.name == "fastcdc":
        return _FastCDC(params)
    return _PyFastCDC(params, (int.from_bytes(seed[:8], "little") & _SEED_MASK) or 1)
