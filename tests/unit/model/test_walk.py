from __future__ import annotations

from collections import deque

import pytest

from holdfast.errors import DamagedRepository, PathNotFound
from holdfast.model.descent import MAX_DEPTH
from holdfast.model.node import NodeType
from holdfast.model.tree import save_directory
from holdfast.model.walk import directory_tree, lookup, root_node, walk
from holdfast.primitives import codec
from holdfast.primitives.ids import BlobId
from holdfast.testing.blobs import ForgedBlobs, MemoryBlobs
from holdfast.testing.layouts import Layout, directory_node, link_node, node, save_layout

LAYOUT: Layout = {
    b"a": {b"b": {b"c": b"1", b"d": {}}, b"z": b"2"},
    b"a.txt": b"3",
    b"link": link_node(b"link", b"a"),
    b"\xff": {b"\xfe": b"4"},
}


def paths(tree: BlobId, blobs: MemoryBlobs) -> list[bytes]:
    return [path for path, _ in walk(tree, blobs)]


def test_depth_first_by_name() -> None:
    blobs = MemoryBlobs()
    assert paths(save_layout(blobs, LAYOUT), blobs) == [
        b"/a",
        b"/a/b",
        b"/a/b/c",
        b"/a/b/d",
        b"/a/z",
        b"/a.txt",
        b"/link",
        b"/\xff",
        b"/\xff/\xfe",
    ]


def test_the_directory_that_no_entry_describes() -> None:
    tree = BlobId(bytes(32))
    assert root_node(tree) == directory_node(b"", tree)._replace(
        mode=0o755, uid=0, gid=0, user=None, group=None, mtime=0, ctime=0, inode=0
    )


def test_paths_begin_with_the_one_given() -> None:
    blobs = MemoryBlobs()
    tree = save_layout(blobs, {b"x": {b"y": b""}})
    assert [path for path, _ in walk(tree, blobs, b"/srv")] == [b"/srv/x", b"/srv/x/y"]


def test_a_subtree_that_is_not_wanted_is_not_loaded() -> None:
    blobs = MemoryBlobs()
    tree = save_layout(blobs, LAYOUT)
    found = [path for path, _ in walk(tree, blobs, descend=lambda path, _: path != b"/a")]
    assert found == [b"/a", b"/a.txt", b"/link", b"/\xff", b"/\xff/\xfe"]
    assert len(blobs.loaded) == 2


def chain(blobs: MemoryBlobs, depth: int) -> BlobId:
    """A directory in a directory in a directory, each with a file on both sides of it."""
    tree = save_layout(blobs, {})
    for _ in range(depth):
        tree = save_layout(
            blobs, {b"d": directory_node(b"d", tree), b"before": b"", b"later": b"x"}
        )
    return tree


@pytest.mark.fault(39)
def test_deep_trees_need_no_recursion() -> None:
    blobs = MemoryBlobs()
    tree = chain(blobs, 3000)
    found = paths(tree, blobs)
    assert len(found) == 9000
    assert len(set(found)) == 9000
    assert max(map(len, found)) == 2 * 2999 + len("/before")
    assert found[0] == b"/before"
    assert found[-1] == b"/later"
    assert found == sorted(found, key=lambda path: path.split(b"/"))
    # Only so many directories on the way are held open; the others are read again on the way up.
    assert len(blobs.loaded) == 3001 + 3001 - 32


def test_a_tree_that_is_too_deep_ends() -> None:
    blobs = MemoryBlobs()
    tree = chain(blobs, MAX_DEPTH + 1)
    with pytest.raises(DamagedRepository, match=f"{MAX_DEPTH} deep"):
        deque(walk(tree, blobs), maxlen=0)


def test_paths_that_are_too_long_end() -> None:
    blobs = MemoryBlobs()
    tree = save_layout(blobs, {})
    for _ in range(300):
        tree = save_directory([directory_node(b"n" * 4096, tree)], blobs)
    with pytest.raises(DamagedRepository, match="paths of more than"):
        deque(walk(tree, blobs), maxlen=0)
    assert len(blobs.loaded) == 256


def test_a_directory_that_contains_itself() -> None:
    """Only a forger can do that, who found what hashes to its own name; it must end anyway."""
    cycle = ForgedBlobs(
        lambda blob: codec.pack(
            [0, [directory_node(b"again", blob), node(b"x", NodeType.FIFO, None)]]
        )
    )
    with pytest.raises(DamagedRepository, match="contains itself"):
        list(walk(BlobId(bytes(32)), cycle))
    told: list[tuple[bytes, str]] = []
    found = list(
        walk(
            BlobId(bytes(32)),
            cycle,
            on_damage=lambda path, error: told.append((path, error.problem)),
        )
    )
    assert [path for path, _ in found] == [b"/again", b"/x"]
    assert told == [(b"/again", "a directory contains itself")]


def test_one_directory_in_two_places_is_no_cycle() -> None:
    blobs = MemoryBlobs()
    tree = save_layout(blobs, {b"a": {b"x": {}}, b"b": {b"x": {}}})
    assert paths(tree, blobs) == [b"/a", b"/a/x", b"/b", b"/b/x"]


@pytest.mark.fault(11)
def test_a_lost_subtree_is_told_and_the_rest_is_given() -> None:
    blobs = MemoryBlobs()
    tree = save_layout(blobs, LAYOUT)
    lost = directory_tree(lookup(tree, b"/a/b", blobs))
    del blobs.blobs[lost]
    with pytest.raises(DamagedRepository):
        paths(tree, blobs)
    told: list[bytes] = []
    found = [path for path, _ in walk(tree, blobs, on_damage=lambda path, _: told.append(path))]
    assert told == [b"/a/b"]
    assert found == [b"/a", b"/a/b", b"/a/z", b"/a.txt", b"/link", b"/\xff", b"/\xff/\xfe"]


def test_lookup() -> None:
    blobs = MemoryBlobs()
    tree = save_layout(blobs, LAYOUT)
    assert lookup(tree, b"/", blobs) == lookup(tree, b"", blobs) == root_node(tree)
    for path, entry in walk(tree, blobs):
        assert lookup(tree, path, blobs) == entry
    assert lookup(tree, b"a//b/./c/", blobs).name == b"c"


@pytest.mark.parametrize("path", [b"/x", b"/a/x", b"/a/b/c/x", b"/a.txt/", b"/link/b", b"/a/../a"])
def test_paths_that_are_not_there(path: bytes) -> None:
    blobs = MemoryBlobs()
    tree = save_layout(blobs, LAYOUT)
    if path == b"/a.txt/":
        assert lookup(tree, path, blobs).name == b"a.txt"
        return
    with pytest.raises(PathNotFound, match=path.decode()):
        lookup(tree, path, blobs)


def test_a_path_that_is_no_text_can_be_told() -> None:
    blobs = MemoryBlobs()
    with pytest.raises(PathNotFound, match=r"/\\xff\\n: the snapshot"):
        lookup(save_layout(blobs, {}), b"/\xff\n", blobs)
