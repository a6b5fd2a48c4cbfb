"""The entries of one page of a directory: checked column by column, which is quick.

Reading a directory is felt in every backup and restore, and a call per field and entry would be
most of its cost. So the entries are turned into columns, and each rule is one pass over one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import itemgetter, lt
from types import NoneType
from typing import NoReturn, cast

from holdfast.model.content import check_content
from holdfast.model.node import Node, NodeType, Payload, Row, node_of
from holdfast.primitives import codec
from holdfast.primitives.ids import ID_SIZE

MAX_NAME = 4096
"""Longest name in bytes."""

_TYPES: dict[str, frozenset[type]] = {
    "name": frozenset({bytes}),
    **dict.fromkeys(("type", "mode", "uid", "gid"), frozenset({int, NodeType})),
    **dict.fromkeys(("user", "group"), frozenset({str, NoneType})),
    **dict.fromkeys(("mtime", "ctime", "inode", "size"), frozenset({int, NodeType})),
    "payload": frozenset({NoneType, bytes, int, tuple}),
    "filesystem": frozenset({NoneType, int}),
    "xattrs": frozenset({tuple}),
    "extra": frozenset({NoneType, dict}),
}
_TEXT = _TYPES["user"]
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


_mtime = itemgetter(Node._fields.index("mtime"))
_ctime = itemgetter(Node._fields.index("ctime"))


def decode_rows(rows: Sequence[object]) -> Sequence[Row]:
    """The rows of a page as those of nodes; ValueError when anything about them is wrong."""
    if not rows:
        return ()
    if set(map(type, rows)) != {tuple}:
        raise ValueError("an entry is not an array")
    found = cast("Sequence[Row]", rows)
    if set(map(len, found)) != {len(Node._fields)}:
        raise ValueError(f"an entry has not {len(Node._fields)} fields")
    try:
        check_nodes(found)
    except ValueError:
        if not any(isinstance(time, bytes) for row in found for time in _times(row)):
            raise
        found = [_narrowed(node_of(row)) for row in found]
        check_nodes(found)
    return found


def encode_nodes(nodes: Sequence[Row]) -> Sequence[Row]:
    """The nodes, at least one, as msgpack can encode them: times beyond 64 bits are bytes."""
    for time in (_mtime, _ctime):
        if _is_wide(min(map(time, nodes))) or _is_wide(max(map(time, nodes))):
            return [_widened(node_of(node)) for node in nodes]
    return nodes


def check_nodes(nodes: Sequence[Row]) -> None:
    """Refuse nodes that are no page of a directory, for whatever reason (ValueError)."""
    count = len(nodes)
    (
        names, kinds, modes, uids, gids, users, groups, mtimes, ctimes, inodes, sizes, payloads,
        filesystems, xattrs, extras,
    ) = columns = tuple(zip(*nodes, strict=True))  # fmt: skip
    # Columns of one type are looked at together: few passes over much are what is quick.
    numbers = (*modes, *uids, *gids, *inodes, *sizes)
    types = list(map(type, (*numbers, *kinds, *mtimes, *ctimes)))
    if (
        types.count(int) != len(types)
        or list(map(type, names)).count(bytes) != count
        or not _TEXT.issuperset(map(type, (*users, *groups)))
    ):
        _check_types(columns)
    if (
        min(numbers) < 0
        or max(modes) > _MOST["mode"]
        or max(inodes) > _MOST["inode"]
        or max(sizes) > _MOST["size"]
        or max((*uids, *gids)) > _MOST["uid"]
    ):
        _refuse_range(columns)
    _check_names(names)
    if xattrs.count(()) != count:
        _check_type("xattrs", xattrs)
        _check_xattrs(xattrs)
    if filesystems.count(None) != count or extras.count(None) != count:
        _check_type("filesystem", filesystems)
        _check_type("extra", extras)
        _check_rare(filesystems, extras)
    for entry in zip(kinds, sizes, payloads, strict=True):
        kind, size, payload = entry
        # Nearly every entry of nearly every tree: a file of one blob, or a directory.
        named = type(payload) is bytes and len(payload) == ID_SIZE
        if not named or not (size if kind == _FILE else kind == _DIRECTORY and not size):
            _check_payload(*entry)


def _check_types(columns: Sequence[Sequence[object]]) -> None:
    for field, column in zip(_TYPES, columns, strict=True):
        _check_type(field, column)


def _check_type(field: str, column: Iterable[object]) -> None:
    if not _TYPES[field].issuperset(map(type, column)):
        raise ValueError(f"an entry's {field} is of the wrong type")


def _refuse_range(columns: Sequence[Sequence[object]]) -> NoReturn:
    for field, most in _MOST.items():
        numbers = cast("Sequence[int]", columns[Node._fields.index(field)])
        if min(numbers) < 0 or max(numbers) > most:
            break
    raise ValueError(f"an entry's {field} is out of range")


def _check_names(names: Sequence[bytes]) -> None:
    if not all(map(lt, names, names[1:])):
        raise ValueError("names are not in ascending order, or one occurs twice")
    joined = b"/".join(names)
    if joined.count(b"/") != len(names) - 1 or b"\0" in joined:
        raise ValueError("a name contains '/' or NUL")
    if not names[0] or b"." in names or b".." in names:
        raise ValueError("a name is empty, '.' or '..'")
    if len(joined) > MAX_NAME and max(map(len, names)) > MAX_NAME:
        raise ValueError(f"a name has more than {MAX_NAME} bytes")


def _check_payload(kind: int, size: int, payload: Payload) -> None:
    _check_type("payload", (payload,))
    if kind == _FILE:
        if payload is not None or size:  # else it is empty
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


def _check_xattrs(column: Sequence[Sequence[object]]) -> None:
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


def _check_rare(filesystems: Iterable[int | None], extras: Iterable[object]) -> None:
    """The fields that few entries have."""
    for filesystem in filesystems:
        if filesystem is not None and not 0 <= filesystem <= _MAX_ORDINAL:
            raise ValueError("an entry's filesystem is out of range")
    for extra in extras:
        codec.check_depth(extra)


def _times(row: Row) -> tuple[object, object]:
    return _mtime(row), _ctime(row)


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
