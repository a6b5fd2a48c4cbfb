"""Formats that take a library which need not be there: Parquet by pyarrow, images by Pillow.

They are imported by name, because nothing of holdfast depends on them: whoever has such files, and
one of these libraries, gets them read.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Final, Protocol, Self, cast

from holdfast.platform.formats.verdict import Broken, Unread

_BAD: Final = (OSError, SyntaxError, ValueError, EOFError, LookupError, struct.error)


class _ParquetFile(Protocol):
    def iter_batches(self) -> Iterator[object]:
        """All rows, some at a time."""


class _Parquet(Protocol):
    def ParquetFile(self, source: str) -> _ParquetFile:  # noqa: N802 - pyarrow's name
        """Open a file."""


class _Image(Protocol):
    def __enter__(self) -> Self:
        """Use it."""

    def __exit__(self, *_: object) -> None:
        """Close it."""

    def load(self) -> object:
        """Decode it."""


class _Pillow(Protocol):
    DecompressionBombError: type[Exception]
    DecompressionBombWarning: type[Warning]

    def open(self, path: Path) -> _Image:
        """Open an image."""


def read_parquet(path: Path) -> None:
    """Every row of a Parquet file."""
    parquet = cast("_Parquet", _library("pyarrow.parquet", "pyarrow"))
    try:
        for _ in parquet.ParquetFile(str(path)).iter_batches():
            pass
    except _BAD as error:
        raise Broken(str(error)) from error


def read_image(path: Path) -> None:
    """Every pixel of an image."""
    pillow = cast("_Pillow", _library("PIL.Image", "Pillow"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", pillow.DecompressionBombWarning)
            with pillow.open(path) as image:
                image.load()
    except (pillow.DecompressionBombError, pillow.DecompressionBombWarning) as error:
        raise Unread(str(error)) from error
    except _BAD as error:
        raise Broken(str(error) or type(error).__name__) from error


def _library(module: str, name: str) -> object:
    try:
        return import_module(module)
    except ImportError:
        raise Unread(f"that takes {name}, which is not installed") from None
