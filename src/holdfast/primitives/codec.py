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

MAX_VALUES = 1 << 20
"""Most values in arrays and maps of a record: tiny ones take 50 times their size in memory."""

MAX_ROW = 1 << 14
"""Longest array or map in rows: msgpack makes room for what its header states, at every level."""


def pack(value: object) -> bytes:
    """Encode a value; integers outside 64 bits raise OverflowError.

    Text with characters that are none, as the system gives for odd bytes, gets them escaped.
    """
    packed: bytes = msgpack.packb(value, use_bin_type=True, unicode_errors="backslashreplace")
    return packed


def unpack(data: bytes | bytearray | memoryview) -> object:
    """Decode one whole record.

    Raises:
        ValueError: not exactly one well-formed record, too large, too deep, or a map has a key
            twice or a key that is not a string.
    """
    _check_size(data)
    if len(data) > MAX_VALUES:
        _check_count(data)
    budget = _Budget()
    # The room of a list is only taken as it is filled, that of a tuple at once.
    value = _decode(
        data,
        use_list=True,
        list_hook=budget.array,
        object_pairs_hook=budget.map,
        max_array_len=MAX_VALUES,
        max_map_len=MAX_VALUES,
    )
    check_depth(value)
    return value


def unpack_rows(data: bytes | bytearray | memoryview) -> object:
    """Decode one whole record whose caller checks the shape of every row, and so its depth.

    Looking for the depth costs as much as decoding, which is felt on directories.

    Raises:
        ValueError: as `unpack`, or an array is longer than `MAX_ROW`; depth is bounded by
            msgpack's own limit only.
    """
    _check_size(data)
    return _decode(
        data,
        use_list=False,
        object_pairs_hook=_Budget().map,
        max_array_len=MAX_ROW,
        max_map_len=MAX_ROW,
    )


def _check_size(data: bytes | bytearray | memoryview) -> None:
    if len(data) > MAX_RECORD:
        raise ValueError(f"record of {len(data)} bytes, more than {MAX_RECORD}")


def _check_count(data: bytes | bytearray | memoryview) -> None:
    """Refuse a long record of too many values before any is made.

    Only lengths are looked at; whatever else is wrong is for the decoder to say.
    """
    left = MAX_VALUES
    place, end = 0, len(data)
    while place < end:
        first = data[place]
        place += 1
        if first in _CONTAINERS:
            count, width = _CONTAINERS[first]
            left -= 1 + count + int.from_bytes(data[place : place + width], "big")
            place += width
        elif first in _SCALARS:
            size, width = _SCALARS[first]
            place += size + width + int.from_bytes(data[place : place + width], "big")
        if left < 0:
            raise ValueError(f"more than {MAX_VALUES} values")


_CONTAINERS = {
    **{0x80 + count: (count, 0) for count in range(16)},  # maps
    **{0x90 + count: (count, 0) for count in range(16)},  # arrays
    0xDC: (0, 2), 0xDD: (0, 4), 0xDE: (0, 2), 0xDF: (0, 4),
}  # fmt: skip
"""By the first byte of a map or an array: how much is in it, or the size of the number of that."""

_SCALARS = {
    **{0xA0 + size: (size, 0) for size in range(32)},  # str
    **{0xC4 + at: (0, 1 << at) for at in range(3)},  # bin
    **{0xC7 + at: (1, 1 << at) for at in range(3)},  # ext
    0xCA: (4, 0), 0xCB: (8, 0),  # float
    **{0xCC + at: (1 << at, 0) for at in range(4)},  # uint
    **{0xD0 + at: (1 << at, 0) for at in range(4)},  # int
    **{0xD4 + at: (1 + (1 << at), 0) for at in range(5)},  # fixext
    **{0xD9 + at: (0, 1 << at) for at in range(3)},  # str
}  # fmt: skip
"""By the first byte of another value: its size after that, or the size of the number of it."""


def _decode(data: bytes | bytearray | memoryview, **options: object) -> object:
    try:
        value: object = msgpack.unpackb(
            data, raw=False, ext_hook=_refuse, timestamp=_NANOSECONDS, **options
        )
    except (*_MALFORMED, msgpack.exceptions.UnpackException) as error:
        raise ValueError(f"not a record: {str(error) or type(error).__name__}") from None
    return value


_MALFORMED = (ValueError, TypeError, RecursionError, OverflowError)
_NANOSECONDS = 2
"""msgpack's own timestamps become integers, as ours are."""


def _refuse(code: int, _: bytes) -> object:
    raise ValueError(f"a value of the extension type {code}")


class _Budget:
    """Makes the arrays and maps of one record, and ends it when they hold too much."""

    def __init__(self) -> None:
        self._left = MAX_VALUES

    def array(self, values: list[object]) -> tuple[object, ...]:
        self._spend(len(values))
        return tuple(values)

    def map(self, pairs: list[tuple[object, object]]) -> dict[str, object]:
        self._spend(len(pairs))
        record: dict[str, object] = {}
        for key, value in pairs:
            if not isinstance(key, str) or key in record:
                raise ValueError(f"bad or repeated key {key!r:.40}")
            record[key] = value
        return record

    def _spend(self, count: int) -> None:
        self._left -= count + 1
        if self._left < 0:
            raise ValueError(f"more than {MAX_VALUES} values")


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
