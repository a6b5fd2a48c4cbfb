"""Target: directories, and the lists of long files."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tests.fuzz.engine import Target
from tests.fuzz.forging import NotForged, checked, message_of, record_of
from tests.fuzz.mutate import mutate_tree

from holdfast.errors import DamagedRepository
from holdfast.model.content import blob_ids, data_size
from holdfast.model.entry import Entry
from holdfast.model.file import SnapshotFile
from holdfast.model.node import Node, NodeType, Row
from holdfast.model.roles import BlobLoader
from holdfast.model.tree import find_entry, load_directory, load_rows, save_directory
from holdfast.model.walk import file_content
from holdfast.primitives import codec
from holdfast.primitives.ids import BlobId
from holdfast.testing.blobs import ForgedBlobs, MemoryBlobs
from holdfast.testing.layouts import link_node, node


def tree_seeds() -> list[bytes]:
    """Pages and lists, each a bin; where one names another, its id is its number, in 32 bytes."""

    def number(at: int) -> BlobId:
        return BlobId(at.to_bytes(32, "big"))

    rows: list[Row] = [
        node(b"dir", NodeType.DIRECTORY, number(1)),
        node(b"empty", NodeType.FILE, None),
        node(b"fifo", NodeType.FIFO, None),
        node(b"file", NodeType.FILE, number(4), 5),
        link_node(b"link", b"target"),
        node(b"long", NodeType.FILE, (1, ((number(3), 20),)), 20),
        node(b"null", NodeType.CHARACTER_DEVICE, 259),
        node(b"other", NodeType.FILE, (0, ((number(4), 5), 7, (number(4), 5))), 17),
        node(b"wide", NodeType.FILE, None)._replace(
            mtime=(1 << 70).to_bytes(16, "big"),  # type: ignore[arg-type]  # as it is on the wire
            xattrs=((b"user.a", b"b"), (b"user.c", b"")),
            filesystem=1,
            extra={"birth": 1},
        ),
    ]
    inner = codec.pack([1, [[b"a", number(5), 1], [b"b", number(6), 1]]])
    leaf_a = codec.pack([0, [node(b"a", NodeType.FILE, None)]])
    leaf_b = codec.pack([0, [node(b"b", NodeType.FILE, None)]])
    lists = codec.pack([[number(4), 5], 10, [number(4), 5]])
    empty = codec.pack([0, []])
    pages = [codec.pack([0, rows]), empty, b"", lists, b"12345", leaf_a, leaf_b]
    return [codec.pack(pages), codec.pack([inner, *pages[1:]]), codec.pack([*pages[:1], inner])]


def tree_values(data: bytes) -> list[bytes]:
    """The blobs of an input; what is a value and no bin is packed (NotForged)."""
    record = record_of(data)
    if not isinstance(record, tuple):
        raise NotForged
    return list(map(message_of, record))


def try_tree(data: bytes) -> None:
    blobs = tree_values(data)

    def load(blob: BlobId) -> bytes:
        number = int.from_bytes(blob, "big")
        if number >= len(blobs):
            raise DamagedRepository(f"blob {blob.hex()}", "missing")
        return blobs[number]

    loader = ForgedBlobs(load)
    tree = BlobId(bytes(32))
    try:
        rows, _ = load_rows(tree, loader)
    except DamagedRepository as error:
        checked(error)
        for _ in load_directory(tree, loader, on_damage=checked):
            pass
        raise
    _use_rows(tree, rows, loader)


def _use_rows(tree: BlobId, rows: Sequence[Row], loader: BlobLoader) -> None:
    for found in load_directory(tree, loader):
        json.dumps(Entry.of(b"/" + found.name, found).dict())
        assert find_entry(tree, found.name, loader) == found or found != found  # noqa: PLR0124 - NaN
        if found.type == NodeType.FILE:
            _use_file(found, loader)
    saver = MemoryBlobs()
    again, _ = load_rows(save_directory(rows, saver), saver)
    assert repr(list(map(tuple, again))) == repr(list(map(tuple, rows)))


def _use_file(found: Node, loader: BlobLoader) -> None:
    content = file_content(found)
    try:
        blobs = list(blob_ids(content, loader))
        with SnapshotFile(found, loader) as stream:
            start = stream.read(100)
            stream.seek(max(found.size - 10, 0))
            end = stream.read(100)
    except DamagedRepository as error:
        checked(error)
        return
    assert len(start) == min(found.size, 100)
    assert len(end) == min(found.size, 10)
    assert len(blobs) <= found.size
    assert data_size(content, found.size, loader, {}, lambda _level, _blob: None) <= found.size


TARGETS = (Target("tree", lambda _: try_tree, tree_seeds, mutate_tree, (NotForged,)),)
