"""What a piece of a file looks like: how random its bytes are, and whether a known format."""

from __future__ import annotations

from collections import Counter
from math import log, log2
from typing import NamedTuple

MEASURED = 64 << 10
"""Bytes of a piece that are measured."""

RANDOM = 7.5
"""Bits of entropy in a byte from which on bytes look random: encrypted or compressed. Text has 4
to 5, programs and databases 5 to 6.5; encrypted bytes have 7.9 or more."""

ORDERLY = 7.0
"""Bits of entropy in a byte up to which a file is surely not encrypted."""

_FORMATS = {
    b"PK\x03\x04": "zip",
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ\x00": "xz",
    b"(\xb5/\xfd": "zstd",
    b"\x04\x22M\x18": "lz4",
    b"BZh": "bzip2",
    b"7z\xbc\xaf'\x1c": "7z",
    b"Rar!\x1a\x07": "rar",
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF8": "GIF",
    b"RIFF": "RIFF",
    b"%PDF-": "PDF",
    b"ID3": "MP3",
    b"\xff\xfb": "MP3",
    b"OggS": "Ogg",
    b"fLaC": "FLAC",
    b"\x1aE\xdf\xa3": "Matroska",
    b"PAR1": "Parquet",
    b"\x89HDF\r\n\x1a\n": "HDF5",
    b"SQLite format 3\x00": "SQLite",
    b"\x7fELF": "ELF",
}
"""How files of well-known formats begin."""

_FTYP = slice(4, 8)  # of MP4, HEIC and their like, behind a length
_BASE = log(2)


class Look(NamedTuple):
    """What a piece looks like.

    Attributes:
        entropy: bits in a byte, 0 to 8, corrected for how short the piece is.
        format: the format that the beginning of a file tells; "" when none is known.
    """

    entropy: float
    format: str

    @property
    def is_random(self) -> bool:
        """Whether nothing can be made of it: random bytes, without the head of a known format."""
        return self.entropy >= RANDOM and not self.format


def look(piece: bytes, *, at_start: bool) -> Look:
    """Look at a piece of a file; at_start: whether the file begins with it."""
    return Look(entropy(piece[:MEASURED]), _format(piece) if at_start else "")


def entropy(piece: bytes) -> float:
    """Bits in a byte by how often each value occurs, with the correction of Miller and Madow.

    Without that (G. A. Miller, "Note on the bias of information estimates", 1955) a kilobyte of
    random bytes would seem to have 7.8 bits in each.
    """
    if not piece:
        return 0.0
    total = len(piece)
    counts = Counter(piece).values()
    found = sum(count * log2(total / count) for count in counts) / total
    return min(8.0, found + (len(counts) - 1) / (2 * total * _BASE))


def lost(before: Look, after: Look) -> bool:
    """Whether a file became random that was orderly before, or of a known format."""
    return after.is_random and (before.entropy <= ORDERLY or bool(before.format))


def _format(piece: bytes) -> str:
    if piece[_FTYP] == b"ftyp":
        return "MP4"
    return next((name for head, name in _FORMATS.items() if piece.startswith(head)), "")
