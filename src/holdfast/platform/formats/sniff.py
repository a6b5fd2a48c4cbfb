"""Telling a file's format: by how it begins, and for text by its name."""

from __future__ import annotations

from typing import Final

_BEGINNINGS: Final = (
    (b"SQLite format 3\0", "sqlite"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"PAR1", "parquet"),
    (b"\x89PNG\r\n\x1a\n", "image"),
    (b"\xff\xd8\xff", "image"),
    (b"GIF87a", "image"),
    (b"GIF89a", "image"),
)

_NAMES: Final = (
    (".tar.gz", "tar.gz"),
    (".tgz", "tar.gz"),
    (".tar.bz2", "tar.bz2"),
    (".tbz2", "tar.bz2"),
    (".tar.xz", "tar.xz"),
    (".txz", "tar.xz"),
    (".tar", "tar"),
    (".gz", "gzip"),
    (".bz2", "bzip2"),
    (".xz", "xz"),
    (".zip", "zip"),
    (".sqlite", "sqlite"),
    (".sqlite3", "sqlite"),
    (".parquet", "parquet"),
    (".png", "image"),
    (".jpg", "image"),
    (".jpeg", "image"),
    (".gif", "image"),
    (".webp", "image"),
    (".json", "json"),
    (".jsonl", "jsonl"),
    (".ndjson", "jsonl"),
    (".yaml", "yaml"),
    (".yml", "yaml"),
    (".toml", "toml"),
    (".csv", "csv"),
)

_TAR: Final = slice(257, 262)


def format_of(name: str, head: bytes) -> str | None:
    """A file's format; None when it is none that is known.

    A name counts for more than a beginning: what is called an archive has to be one.

    Args:
        name: of the file.
        head: its first 512 bytes.
    """
    lower = name.lower()
    for ending, found in _NAMES:
        if lower.endswith(ending):
            return found
    if head[_TAR] == b"ustar":
        return "tar"
    return next((found for beginning, found in _BEGINNINGS if head.startswith(beginning)), None)
