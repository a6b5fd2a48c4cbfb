from __future__ import annotations

import json

import pytest

from holdfast.errors import DamagedRepository
from holdfast.model.content import ContentBuilder, list_blobs
from holdfast.model.node import NodeType
from holdfast.operations.stats import stats
from holdfast.primitives import codec
from holdfast.primitives.ids import BlobId
from holdfast.testing.blobs import ForgedBlobs, MemoryBlobs
from holdfast.testing.layouts import directory_node, link_node, node, save_layout, snapshot_of


class HalfSizes:
    """As if every blob took half of its bytes."""

    def __init__(self, blobs: MemoryBlobs) -> None:
        self._blobs = blobs

    def sizes(self, blob: BlobId) -> tuple[int, int] | None:
        known = self._blobs.sizes(blob)
        return None if known is None else (known[0], known[0] // 2)


def test_what_snapshots_hold() -> None:
    blobs = MemoryBlobs()
    one = save_layout(blobs, {b"a": {b"x": b"1" * 100, b"y": b"2" * 50}, b"copy": b"1" * 100})
    two = save_layout(
        blobs,
        {b"a": {b"x": b"1" * 100, b"y": b"2" * 50}, b"link": link_node(b"link", b"a"), b"e": b""},
    )
    data = {blobs.add(b"1" * 100), blobs.add(b"2" * 50)}
    trees = sum(len(blobs.blobs[blob]) for blob in blobs.blobs if blob not in data)
    blobs.loaded.clear()
    result = stats([snapshot_of(one), snapshot_of(two)], blobs, HalfSizes(blobs))
    assert (result.snapshots, result.files, result.directories, result.others) == (2, 6, 2, 1)
    assert result.restore_size == result.referenced_size == 400
    assert (result.blobs, result.raw_size, result.tree_size) == (5, 150, trees)
    assert result.dedup_ratio == pytest.approx(400 / 150)
    assert result.compression_ratio == pytest.approx(2, rel=0.02)
    assert result.efficiency == pytest.approx(result.dedup_ratio * result.compression_ratio)
    assert result.missing == 0
    assert len(blobs.loaded) == len(set(blobs.loaded)) == 3
    shown = json.loads(json.dumps(result.dict()))
    assert shown["dedup_ratio"] == result.dedup_ratio
    assert shown["files"] == 6


def test_nothing() -> None:
    blobs = MemoryBlobs()
    result = stats([], blobs, blobs)
    assert (result.snapshots, result.blobs) == (0, 0)
    assert result.dedup_ratio == result.compression_ratio == result.efficiency == 1.0


def test_holes_are_restored_but_not_stored() -> None:
    blobs = MemoryBlobs()
    builder = ContentBuilder(blobs)
    builder.add_zeros(1 << 40)
    builder.add_blob(blobs.add(b"end"), 3)
    size, content = builder.finish()
    tree = save_layout(blobs, {b"sparse": node(b"sparse", NodeType.FILE, content, size)})
    result = stats([snapshot_of(tree)], blobs, blobs)
    assert result.restore_size == (1 << 40) + 3
    assert result.referenced_size == 3
    assert result.dedup_ratio == 1.0


def test_long_files_and_their_lists() -> None:
    blobs = MemoryBlobs()
    builder = ContentBuilder(blobs)
    for number in range(3000):
        builder.add_blob(blobs.add(b"%04d" % (number % 100)), 4)
    size, content = builder.finish()
    entry = node(b"long", NodeType.FILE, content, size)
    tree = save_layout(blobs, {b"long": entry, b"other": entry._replace(name=b"other")})
    lists = len(set(list_blobs(content, blobs)))
    blobs.loaded.clear()
    result = stats([snapshot_of(tree)], blobs, blobs)
    assert result.referenced_size == result.restore_size == 24_000
    assert result.raw_size == 400
    assert result.blobs == 100 + lists + 1
    assert len(blobs.loaded) == len(list(list_blobs(content, blobs))) + 1


def test_missing_blobs_are_counted() -> None:
    blobs = MemoryBlobs()
    tree = save_layout(blobs, {b"a": b"1", b"b": b"2"})
    del blobs.blobs[blobs.add(b"1")]
    result = stats([snapshot_of(tree)], blobs, blobs)
    assert result.missing == 1
    assert result.raw_size == 1


def test_deep_trees() -> None:
    blobs = MemoryBlobs()
    tree = save_layout(blobs, {b"f": b"1"})
    for _ in range(3000):
        tree = save_layout(blobs, {b"d": directory_node(b"d", tree)})
    result = stats([snapshot_of(tree)], blobs, blobs)
    assert (result.directories, result.files) == (3000, 1)


def test_a_directory_in_two_places_counts_twice() -> None:
    blobs = MemoryBlobs()
    tree = save_layout(blobs, {b"f": b"1"})
    for _ in range(64):
        tree = save_layout(
            blobs, {b"a": directory_node(b"a", tree), b"b": directory_node(b"b", tree)}
        )
    result = stats([snapshot_of(tree)], blobs, blobs)
    assert result.files == 2**64
    assert result.directories == 2**65 - 2


def test_a_tree_that_contains_itself_ends() -> None:
    cycle = ForgedBlobs(lambda blob: codec.pack([0, [directory_node(b"d", blob)]]))
    with pytest.raises(DamagedRepository, match="in itself"):
        stats([snapshot_of(BlobId(bytes(32)))], cycle, MemoryBlobs())


def test_a_lost_tree() -> None:
    blobs = MemoryBlobs()
    with pytest.raises(DamagedRepository):
        stats([snapshot_of(BlobId(bytes(32)))], blobs, blobs)
