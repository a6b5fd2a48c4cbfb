"""The only door to msgpack: compact binary records, decoded without trust.

A decoded value is a tree of None, bool, int, float, str, bytes, tuple and dict. Whatever is
wrong with the input becomes one `ValueError`; the caller knows which object it came from.
"""

from __future__ import annotations

import msgpack

MAX_RECORD = 64 << 20
"""Largest record in bytes that is decoded."""

MAX_DEPTH = 32
"""Deepest nesting that is decoded: arrays and maps within one another."""


def pack(value: object) -> bytes:
    """Encode a value; integers outside 64 bits raise OverflowError."""
    packed: bytes = msgpack.packb(value, use_bin_type=True)
    return packed


def unpack(data: bytes | bytearray | memoryview) -> object:
    """Decode one whole record.

    Raises:
        ValueError: not exactly one well-formed record, too large, too deep, or a map has a key
            twice or a key that is not a string.
    """
    value = unpack_rows(data)
    check_depth(value)
    return value


def unpack_rows(data: bytes | bytearray | memoryview) -> object:
    """Decode one whole record whose caller checks the shape of every row, and so its depth.

    Looking for the depth costs as much as decoding, which is felt on directories.

    Raises:
        ValueError: as `unpack`, but depth is bounded by msgpack's own limit only.
    """
    if len(data) > MAX_RECORD:
        raise ValueError(f"record of {len(data)} bytes, more than {MAX_RECORD}")
    try:
        value: object = msgpack.unpackb(
            data, raw=False, use_list=False, object_pairs_hook=_unique
        )
    except msgpack.exceptions.UnpackException as error:
        raise ValueError(f"not a record: {error or type(error).__name__}") from None
    except (ValueError, TypeError, RecursionError, OverflowError, MemoryError) as error:
        raise ValueError(f"not a record: {error or type(error).__name__}") from None
    return value


def _unique(pairs: list[tuple[object, object]]) -> dict[str, object]:
    record: dict[str, object] = {}
    for key, value in pairs:
        if not isinstance(key, str) or key in record:
            raise ValueError(f"bad or repeated key {key!r:.40}")
        record[key] = value
    return record


def check_depth(value: object) -> None:
    """Refuse a value that is nested deeper than `MAX_DEPTH` (ValueError)."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for parent in level
            if isinstance(parent, tuple | dict)
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, tuple | dict)
        ]
        if not level:
            return
    raise ValueError(f"nested deeper than {MAX_DEPTH}")
