"""Paths inside a snapshot: raw bytes from the root, such as ``/home/anna/notes``."""

from __future__ import annotations

ROOT = b"/"


def split_path(path: bytes) -> list[bytes]:
    """The components of a path; leading, trailing and double slashes and ``.`` do not count."""
    return [part for part in path.split(b"/") if part not in (b"", b".")]


def join_path(parent: bytes, name: bytes) -> bytes:
    """The path of an entry of the directory at `parent`."""
    return parent + name if parent.endswith(b"/") else parent + b"/" + name


def printable(path: bytes) -> str:
    """A path as text that any terminal takes: odd bytes and control characters are escaped."""
    text = path.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
