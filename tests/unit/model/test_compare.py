from __future__ import annotations

import pytest

from holdfast.errors import DamagedRepository
from holdfast.model.compare import ChangeKind, compare
from holdfast.model.node import NodeType
from holdfast.primitives import codec
from holdfast.primitives.ids import BlobId
from holdfast.testing.blobs import ForgedBlobs, MemoryBlobs
from holdfast.testing.layouts import (
    Layout,
    directory_node,
    file_node,
    link_node,
    node,
    save_layout,
)


def changes(blobs: MemoryBlobs, before: Layout, after: Layout) -> list[tuple[bytes, str]]:
    first, second = save_layout(blobs, before), save_layout(blobs, after)
    blobs.loaded.clear()
    return [(change.path, str(change.kind)) for change in compare(first, second, blobs)]


def test_equal_trees_are_not_loaded() -> None:
    blobs = MemoryBlobs()
    assert changes(blobs, {b"a": {b"b": b"1"}}, {b"a": {b"b": b"1"}}) == []
    assert not blobs.loaded


def test_equal_subtrees_are_not_loaded() -> None:
    blobs = MemoryBlobs()
    same: Layout = {b"x": {b"y": b"1"}}
    assert changes(blobs, {b"a": same, b"b": b"1"}, {b"a": same, b"b": b"2"}) == [
        (b"/b", "modified")
    ]
    assert len(blobs.loaded) == 2


def test_kinds_of_change() -> None:
    blobs = MemoryBlobs()
    old = file_node(blobs, b"mode", b"same")
    assert changes(
        blobs,
        {
            b"content": b"1",
            b"gone": {b"x": {b"y": b"1"}},
            b"link": link_node(b"link", b"a"),
            b"mode": old,
            b"same": b"1",
            b"swap": {b"child": b"1"},
            b"swap2": b"1",
        },
        {
            b"content": b"2",
            b"link": link_node(b"link", b"b"),
            b"mode": old._replace(mode=0o600),
            b"new": {b"x": b"1"},
            b"same": b"1",
            b"swap": b"1",
            b"swap2": {b"child": b"1"},
        },
    ) == [
        (b"/content", "modified"),
        (b"/gone", "removed"),
        (b"/gone/x", "removed"),
        (b"/gone/x/y", "removed"),
        (b"/link", "modified"),
        (b"/mode", "metadata"),
        (b"/new", "added"),
        (b"/new/x", "added"),
        (b"/swap", "type"),
        (b"/swap/child", "removed"),
        (b"/swap2", "type"),
        (b"/swap2/child", "added"),
    ]


@pytest.mark.parametrize(
    ("field", "value", "is_change"),
    [
        ("mode", 0o600, True),
        ("uid", 7, True),
        ("gid", 7, True),
        ("user", None, True),
        ("mtime", 5, True),
        ("xattrs", ((b"user.a", b"1"),), True),
        ("extra", {"flags": 1}, True),
        ("ctime", 5, False),
        ("inode", 7, False),
        ("filesystem", 1, False),
    ],
)
def test_what_counts_as_metadata(field: str, value: object, is_change: bool) -> None:
    blobs = MemoryBlobs()
    old = file_node(blobs, b"a", b"1")
    new = old._replace(**{field: value})  # type: ignore[arg-type]
    expected = [(b"/a", "metadata")] if is_change else []
    assert changes(blobs, {b"a": old}, {b"a": new}) == expected


def test_a_directory_whose_own_metadata_changed() -> None:
    blobs = MemoryBlobs()
    tree = save_layout(blobs, {b"x": b"1"})
    other = save_layout(blobs, {b"x": b"2"})
    old = directory_node(b"d", tree)
    new = directory_node(b"d", other)._replace(mode=0o700)
    assert changes(blobs, {b"d": old}, {b"d": new}) == [(b"/d", "metadata"), (b"/d/x", "modified")]


def test_from_and_to_nothing() -> None:
    blobs = MemoryBlobs()
    tree = save_layout(blobs, {b"a": {b"b": b"1"}})
    added = list(compare(None, tree, blobs, b"/srv"))
    assert [(change.path, change.kind) for change in added] == [
        (b"/srv/a", ChangeKind.ADDED),
        (b"/srv/a/b", ChangeKind.ADDED),
    ]
    assert all(change.before is None for change in added)
    removed = list(compare(tree, None, blobs))
    assert [change.kind for change in removed] == [ChangeKind.REMOVED] * 2
    assert all(change.after is None for change in removed)


@pytest.mark.fault(39)
def test_deep_and_damaged_trees() -> None:
    blobs = MemoryBlobs()
    first = second = save_layout(blobs, {})
    for depth in range(2000):
        first = save_layout(blobs, {b"d": directory_node(b"d", first), b"f": b"1"})
        second = save_layout(
            blobs, {b"d": directory_node(b"d", second), b"f": b"2" if depth == 0 else b"1"}
        )
    assert [len(change.path) for change in compare(first, second, blobs)] == [4000]
    del blobs.blobs[first]
    with pytest.raises(DamagedRepository):
        list(compare(first, second, blobs))


def test_trees_that_contain_themselves_end() -> None:
    cycle = ForgedBlobs(
        lambda blob: codec.pack(
            [0, [node(blob.hex().encode(), NodeType.FIFO, None), directory_node(b"d", blob)]]
        )
    )
    with pytest.raises(DamagedRepository, match="contains itself"):
        list(compare(BlobId(bytes(32)), BlobId(b"\1" * 32), cycle))
