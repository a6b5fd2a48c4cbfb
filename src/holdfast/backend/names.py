"""The shape of names and ranges, checked in one place for every backend.

A component begins with a letter or a digit, so ``..`` and hidden files are out of reach and
a backend can use names beginning with a dot for itself.
"""

from __future__ import annotations

import re

from holdfast.errors import BackendError, ObjectTruncated

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)*")


def check_name(name: str) -> None:
    """Refuse a name that no object can have, before it reaches a storage.

    Raises:
        BackendError: the name does not fit; the message shows it with escapes.
    """
    if _NAME.fullmatch(name) is None:
        raise BackendError(ascii(name), "not a name of an object")


def check_prefix(prefix: str) -> None:
    """Refuse what is not a folder's name ending in ``/``; ``""`` is the folder of everything.

    Raises:
        BackendError: the prefix does not fit; the message shows it with escapes.
    """
    if prefix and not (prefix.endswith("/") and _NAME.fullmatch(prefix[:-1])):
        raise BackendError(ascii(prefix), "not a name of a folder")


def check_range(name: str, size: int, offset: int, length: int | None) -> int:
    """How many bytes to read; nothing is allocated for a range that the object does not have.

    Args:
        name: the object, for the error.
        size: its size in bytes.
        offset: first byte wanted.
        length: bytes wanted, or None for all up to the end.

    Raises:
        ObjectTruncated: the object ends before the range does.
        BackendError: the range is none.
    """
    end = size if length is None else offset + length
    problem = f"has {size} bytes, so bytes {offset} to {end} cannot be read"
    if offset < 0 or (length is not None and length < 0):
        raise BackendError(name, problem)
    if max(offset, end) > size:
        raise ObjectTruncated(name, problem)
    return end - offset
