from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.engine.snapshotfs.directories import Directories
from holdfast.model.node import Node
from holdfast.model.tree import save_directory
from holdfast.primitives.ids import BlobId
from holdfast.testing.blobs import MemoryBlobs
from holdfast.testing.layouts import file_node


def directory(blobs: MemoryBlobs, count: int, what: str = "f") -> tuple[BlobId, list[Node]]:
    nodes = [file_node(blobs, f"{what}{number:06}".encode(), b"x") for number in range(count)]
    return save_directory(nodes, blobs), nodes


def test_all_entries_are_given_and_kept() -> None:
    blobs = MemoryBlobs()
    tree, nodes = directory(blobs, 100)
    directories = Directories(blobs)
    assert directories.all(tree) == nodes
    loaded = len(blobs.loaded)
    assert directories.all(tree) == nodes
    assert [directories.find(tree, node.name) for node in nodes] == nodes
    assert directories.find(tree, b"none") is None
    assert len(blobs.loaded) == loaded


def test_a_name_in_a_huge_directory_takes_one_page_of_each_level() -> None:
    blobs = MemoryBlobs()
    tree, nodes = directory(blobs, 20_000)
    directories = Directories(blobs)
    assert directories.find(tree, nodes[9_999].name) == nodes[9_999]
    assert len(blobs.loaded) == 2
    assert directories.find(tree, nodes[10_000].name) == nodes[10_000]
    assert len(blobs.loaded) <= 4


def test_looking_up_each_name_of_a_huge_directory_loads_no_page_twice() -> None:
    blobs = MemoryBlobs()
    tree, nodes = directory(blobs, 10_000)
    directories = Directories(blobs)
    assert [directories.find(tree, node.name) for node in nodes] == nodes
    leaves = [blob for blob in blobs.loaded if blob != tree]
    assert len(leaves) == len(set(leaves)) > 3


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(-1, 50)), max_size=40))
def test_whatever_is_asked_for_in_whatever_order(asked: list[tuple[int, int]]) -> None:
    blobs = MemoryBlobs()
    known = [directory(blobs, 10 * number, f"d{number}-") for number in range(6)]
    directories = Directories(blobs, 60)
    for number, entry in asked:
        tree, nodes = known[number]
        if entry < 0:
            assert directories.all(tree) == nodes
        else:
            expected = nodes[entry] if entry < len(nodes) else None
            assert directories.find(tree, f"d{number}-{entry:06}".encode()) == expected


def test_entries_that_are_kept_are_bounded() -> None:
    blobs = MemoryBlobs()
    small, _ = directory(blobs, 10, "a")
    other, _ = directory(blobs, 10, "b")
    huge, nodes = directory(blobs, 5000, "c")
    directories = Directories(blobs, 15)
    directories.all(small)
    directories.all(other)
    blobs.loaded.clear()
    directories.all(other)
    assert not blobs.loaded
    directories.all(small)
    assert blobs.loaded == [small]
    directories.all(huge)  # alone is too much, and drives nothing out
    assert directories.find(huge, nodes[3].name) == nodes[3]
    blobs.loaded.clear()
    directories.all(small)
    assert not blobs.loaded


@pytest.mark.parametrize("name", [b"", b"\0", b"a", b"f", b"f000500x", b"zzz", b"\xff"])
def test_names_that_are_not_there(name: bytes) -> None:
    blobs = MemoryBlobs()
    tree, _ = directory(blobs, 9000)
    directories = Directories(blobs)
    assert directories.find(tree, name) is None
    assert directories.find(tree, name) is None
