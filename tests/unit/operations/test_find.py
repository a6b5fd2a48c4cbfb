from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from holdfast.errors import DamagedRepository, UsageError
from holdfast.model.node import NodeType
from holdfast.model.sidebyside import MOST_TREES
from holdfast.model.snapshot import Snapshot
from holdfast.model.tree import save_directory
from holdfast.model.walk import directory_tree, lookup
from holdfast.operations.find import FindOptions, find
from holdfast.primitives import codec
from holdfast.primitives.ids import BlobId
from holdfast.testing.blobs import ForgedBlobs, MemoryBlobs
from holdfast.testing.layouts import (
    Layout,
    directory_node,
    file_node,
    node,
    save_layout,
    snapshot_of,
)


def found(blobs: MemoryBlobs, layouts: list[Layout], *patterns: str) -> list[tuple[str, list[int]]]:
    snapshots = [snapshot_of(save_layout(blobs, layout), n) for n, layout in enumerate(layouts)]
    blobs.loaded.clear()
    return [
        (match.entry.path, [int(snapshot.id, 16) for snapshot in match.snapshots])
        for match in find(snapshots, blobs, FindOptions(patterns))
    ]


def test_by_name_anywhere() -> None:
    layout: Layout = {b"a": {b"x.csv": b"1", b"y.txt": b"2"}, b"b.csv": {b"z.csv": b"3"}}
    assert found(MemoryBlobs(), [layout], "*.csv") == [
        ("/a/x.csv", [0]),
        ("/b.csv", [0]),
        ("/b.csv/z.csv", [0]),
    ]


def test_by_path_and_kind() -> None:
    layout: Layout = {b"a": {b"x": {b"y": b"1"}}, b"x": b"2"}
    assert found(MemoryBlobs(), [layout], "/a/**") == [("/a/x", [0]), ("/a/x/y", [0])]
    assert found(MemoryBlobs(), [layout], "x/") == [("/a/x", [0])]
    assert found(MemoryBlobs(), [layout], "*", "!y") == [("/a", [0]), ("/a/x", [0]), ("/x", [0])]


def test_only_what_the_patterns_can_match_is_loaded() -> None:
    blobs = MemoryBlobs()
    layout: Layout = {b"a": {b"x": b"1"}, b"b": {b"x": {b"y": b"1"}}}
    assert found(blobs, [layout], "/a/x") == [("/a/x", [0])]
    assert len(blobs.loaded) == 2


def test_versions_of_a_file_are_given_once() -> None:
    one: Layout = {b"a": {b"f": b"1"}, b"g": b"1"}
    two: Layout = {b"a": {b"f": b"2"}, b"g": b"1"}
    blobs = MemoryBlobs()
    assert found(blobs, [one, two, one, {}], "f", "g") == [
        ("/a/f", [0, 2]),
        ("/a/f", [1]),
        ("/g", [0, 1, 2]),
    ]
    assert len(blobs.loaded) == len(set(blobs.loaded)) == 5


def test_what_is_a_file_here_and_a_directory_there() -> None:
    assert found(MemoryBlobs(), [{b"a": b"1"}, {b"a": {b"a": b"1"}}], "a") == [
        ("/a", [0]),
        ("/a", [1]),
        ("/a/a", [1]),
    ]


def test_case() -> None:
    blobs = MemoryBlobs()
    snapshot = snapshot_of(save_layout(blobs, {b"A.CSV": b"1"}))
    assert list(find([snapshot], blobs, FindOptions(("*.csv",)))) == []
    [match] = find([snapshot], blobs, FindOptions(("*.csv",), ignore_case=True))
    assert json.loads(json.dumps(match.dict()))["snapshots"] == [snapshot.id]


def test_very_many_snapshots() -> None:
    blobs = MemoryBlobs()
    layouts: list[Layout] = [
        {b"f": b"%d" % number, b"same": b""} for number in range(MOST_TREES + 5)
    ]
    matches = found(blobs, layouts, "*")
    assert len([path for path, _ in matches if path == "/f"]) == MOST_TREES + 5
    assert [holders for path, holders in matches if path == "/same"] == [
        list(range(MOST_TREES)),
        list(range(MOST_TREES, MOST_TREES + 5)),
    ]


def test_deep_trees() -> None:
    blobs = MemoryBlobs()
    tree = save_layout(blobs, {b"f": b"1"})
    for _ in range(2000):
        tree = save_layout(blobs, {b"d": directory_node(b"d", tree), b"e": b""})
    matches = list(find([snapshot_of(tree)], blobs, FindOptions(("f", "e"))))
    assert len(matches) == 2001


def test_a_lost_directory_is_told_and_the_rest_is_searched() -> None:
    blobs = MemoryBlobs()
    tree = save_layout(blobs, {b"a": {b"f": b"1"}, b"b": {b"f": b"2"}})
    snapshots: list[Snapshot] = [snapshot_of(tree)]
    del blobs.blobs[directory_tree(lookup(tree, b"/a", blobs))]
    with pytest.raises(DamagedRepository):
        list(find(snapshots, blobs, FindOptions(("f",))))
    told: list[bytes] = []
    matches = find(
        snapshots, blobs, FindOptions(("f",)), on_damage=lambda path, _: told.append(path)
    )
    assert [match.entry.path for match in matches] == ["/b/f"]
    assert told == [b"/a"]


def test_a_tree_that_contains_itself_ends() -> None:
    cycle = ForgedBlobs(
        lambda blob: codec.pack([0, [directory_node(b"d", blob), node(b"f", NodeType.FIFO, None)]])
    )
    with pytest.raises(DamagedRepository, match="contains itself"):
        list(find([snapshot_of(BlobId(bytes(32)))], cycle, FindOptions(("f",))))


def test_a_pattern_that_makes_no_sense() -> None:
    blobs = MemoryBlobs()
    with pytest.raises(UsageError):
        list(find([snapshot_of(save_directory([], blobs))], blobs, FindOptions(("",))))


def test_filters_at_their_edges() -> None:
    blobs = MemoryBlobs()
    at = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)
    file = file_node(blobs, b"f", b"12345")._replace(mtime=int(at.timestamp()) * 10**9)
    snapshot = snapshot_of(save_layout(blobs, {b"f": file, b"d": {}}))
    before, after = at - timedelta(microseconds=1), at + timedelta(microseconds=1)

    def names(**filters: object) -> list[str]:
        options = replace(FindOptions(("*",)), **filters)  # type: ignore[arg-type]  # checked
        return [match.entry.name for match in find([snapshot], blobs, options)]

    assert names() == ["d", "f"]
    assert names(type="dir") == ["d"]
    assert names(min_size=5) == names(max_size=5) == ["f"]
    assert names(min_size=6) == names(max_size=4) == []
    assert names(type="file", newer=at) == names(type="file", older=after) == ["f"]
    assert names(type="file", newer=after) == names(type="file", older=at) == []
    assert names(type="file", newer=before, older=after) == ["f"]
    with pytest.raises(UsageError, match="unknown type"):
        names(type="folder")
    with pytest.raises(UsageError, match="only files have a size"):
        names(type="dir", min_size=1)
