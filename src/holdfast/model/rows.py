"""The entries of one page of a directory: checked column by column, which is quick.

Reading a directory is felt in every backup and restore, and a call per field and entry would be
most of its cost. So the entries are turned into columns, and each rule is one pass over one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from operator import itemgetter, lt
from types import NoneType
from typing import TypeAlias, cast

from holdfast.model.content import check_content
from holdfast.model.node import Node, NodeType
from holdfast.primitives import codec
from holdfast.primitives.ids import ID_SIZE

MAX_NAME = 4096
"""Longest name in bytes."""

Row: TypeAlias = tuple[object, ...]

_INTEGER: set[type] = {int, NodeType}
_TEXT: set[type] = {str, NoneType}
_TYPES: dict[str, set[type]] = {
    "name": {bytes},
    "type": _INTEGER,
    "mode": _INTEGER,
    "uid": _INTEGER,
    "gid": _INTEGER,
    "user": _TEXT,
    "group": _TEXT,
    "mtime": _INTEGER,
    "ctime": _INTEGER,
    "inode": _INTEGER,
    "size": _INTEGER,
    "payload": {NoneType, bytes, int, tuple},
    "filesystem": {NoneType, int},
    "xattrs": {tuple},
    "extra": {NoneType, dict},
}
_MOST: dict[str, int] = {
    "mode": 0o7777,
    "uid": (1 << 32) - 1,
    "gid": (1 << 32) - 1,
    "inode": (1 << 64) - 1,
    "size": (1 << 63) - 1,
}
_DEVICES = (NodeType.CHARACTER_DEVICE, NodeType.BLOCK_DEVICE)
_EMPTY = (NodeType.FIFO, NodeType.SOCKET)
_MAX_DEVICE = (1 << 64) - 1
_MAX_ORDINAL = (1 << 32) - 1
_WIDE_INTEGER = 16
_FILE, _DIRECTORY, _SYMLINK = int(NodeType.FILE), int(NodeType.DIRECTORY), int(NodeType.SYMLINK)


_node = partial(tuple.__new__, Node)  # what Node._make does, without a Python call per entry
_mtime = itemgetter(Node._fields.index("mtime"))
_ctime = itemgetter(Node._fields.index("ctime"))


def decode_nodes(rows: Sequence[object]) -> list[Node]:
    """The nodes of a page's rows; ValueError when anything about them is wrong."""
    if not rows:
        return []
    if set(map(type, rows)) != {tuple}:
        raise ValueError("an entry is not an array")
    entries = cast("Sequence[Row]", rows)
    if set(map(len, entries)) != {len(Node._fields)}:
        raise ValueError(f"an entry has not {len(Node._fields)} fields")
    nodes = list(map(_node, entries))
    try:
        check_nodes(nodes)
    except ValueError:
        if not any(isinstance(time, bytes) for node in nodes for time in _times(node)):
            raise
        nodes = [_narrowed(node) for node in nodes]
        check_nodes(nodes)
    return nodes


def encode_nodes(nodes: Sequence[Node]) -> Sequence[Node]:
    """The nodes, at least one, as msgpack can encode them: times beyond 64 bits are bytes."""
    for time in (_mtime, _ctime):
        if _is_wide(min(map(time, nodes))) or _is_wide(max(map(time, nodes))):
            return [_widened(node) for node in nodes]
    return nodes


def check_nodes(nodes: Sequence[Node]) -> None:
    """Refuse nodes that are no page of a directory, for whatever reason (ValueError)."""
    columns: dict[str, Sequence[object]] = dict(
        zip(Node._fields, zip(*nodes, strict=True), strict=True)
    )
    for field, allowed in _TYPES.items():
        if not set(map(type, columns[field])) <= allowed:
            raise ValueError(f"an entry's {field} is of the wrong type")
    for field, most in _MOST.items():
        numbers = cast("Sequence[int]", columns[field])
        if min(numbers) < 0 or max(numbers) > most:
            raise ValueError(f"an entry's {field} is out of range")
    _check_names(cast("Sequence[bytes]", columns["name"]))
    _check_payloads(nodes)
    if any(columns["xattrs"]):
        _check_xattrs(cast("Sequence[Row]", columns["xattrs"]))
    for field in ("filesystem", "extra"):
        if columns[field].count(None) != len(nodes):
            _check_rare(nodes)


def _check_names(names: Sequence[bytes]) -> None:
    if not all(map(lt, names, names[1:])):
        raise ValueError("names are not in ascending order, or one occurs twice")
    joined = b"/".join(names)
    if joined.count(b"/") != len(names) - 1 or b"\0" in joined:
        raise ValueError("a name contains '/' or NUL")
    if not names[0] or b"." in names or b".." in names:
        raise ValueError("a name is empty, '.' or '..'")
    if max(map(len, names)) > MAX_NAME:
        raise ValueError(f"a name has more than {MAX_NAME} bytes")


def _check_payloads(nodes: Sequence[Node]) -> None:
    for _, kind, _, _, _, _, _, _, _, _, size, payload, _, _, _ in nodes:
        # Nearly every entry of nearly every tree: a file of one blob, or a directory.
        named = type(payload) is bytes and len(payload) == ID_SIZE
        if named and ((kind == _FILE and size) or (kind == _DIRECTORY and not size)):
            continue
        if kind == _FILE:
            check_content(payload, size)
        elif not _is_payload(kind, size, payload):
            raise ValueError("an entry's size and payload are none of its type")


def _is_payload(kind: int, size: int, payload: object) -> bool:
    """Whether an entry that is no file, and no sound directory, may have this payload."""
    if kind == _SYMLINK:
        return isinstance(payload, bytes) and len(payload) == size > 0 and b"\0" not in payload
    if kind in _DEVICES:
        return type(payload) is int and 0 <= payload <= _MAX_DEVICE and not size
    return kind in _EMPTY and payload is None and not size


def _check_xattrs(column: Sequence[Row]) -> None:
    for xattrs in column:
        names: list[bytes] = []
        for pair in xattrs:
            if not isinstance(pair, tuple) or list(map(type, pair)) != [bytes, bytes]:
                raise ValueError("an extended attribute is not a pair of bytes")
            names.append(pair[0])
        if names and (not names[0] or any(b"\0" in name for name in names)):
            raise ValueError("an extended attribute's name is empty or contains NUL")
        if not all(map(lt, names, names[1:])):
            raise ValueError("extended attributes are not in ascending order")


def _check_rare(nodes: Sequence[Node]) -> None:
    """The fields that few entries have."""
    for node in nodes:
        if node.filesystem is not None and not 0 <= node.filesystem <= _MAX_ORDINAL:
            raise ValueError("an entry's filesystem is out of range")
        codec.check_depth(node.extra)


def _times(node: Node) -> tuple[object, object]:
    return node.mtime, node.ctime


def _is_wide(time: object) -> bool:
    return isinstance(time, int) and not -(1 << 63) <= time < 1 << 64


def _widened(node: Node) -> Node:
    return _with_times(node, *map(_widen, _times(node)))


def _narrowed(node: Node) -> Node:
    return _with_times(node, *map(_narrow, _times(node)))


def _with_times(node: Node, mtime: object, ctime: object) -> Node:
    """The node with times that are integers, or bytes where they go to or come from the wire."""
    return node._replace(mtime=cast("int", mtime), ctime=cast("int", ctime))


def _widen(time: object) -> object:
    if not (isinstance(time, int) and _is_wide(time)):
        return time
    try:
        return time.to_bytes(_WIDE_INTEGER, "big", signed=True)
    except OverflowError:
        raise ValueError("a time does not fit in 128 bits") from None


def _narrow(time: object) -> object:
    if not isinstance(time, bytes):
        return time
    number = int.from_bytes(time, "big", signed=True)
    if len(time) != _WIDE_INTEGER or not _is_wide(number):
        raise ValueError("a time is not in its shortest form")
    return number
