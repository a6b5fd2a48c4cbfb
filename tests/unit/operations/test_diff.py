from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import pytest

from holdfast.errors import DamagedRepository, PathNotFound
from holdfast.operations.diff import DiffCounts, DiffOptions, diff
from holdfast.testing.blobs import MemoryBlobs
from holdfast.testing.layouts import Layout, file_node, save_layout, snapshot_of

BEFORE: Layout = {b"a": {b"x": b"12345", b"y": b"1"}, b"b": b"22", b"same": {b"z": b"1"}}
AFTER: Layout = {b"a": {b"x": b"123", b"new": b"1234"}, b"b": {b"c": b""}, b"same": {b"z": b"1"}}


def at(blobs: MemoryBlobs) -> Callable[[], nullcontext[MemoryBlobs]]:
    return lambda: nullcontext(blobs)


def test_what_changed_and_how_much() -> None:
    blobs = MemoryBlobs()
    before = snapshot_of(save_layout(blobs, BEFORE), 1)
    after = snapshot_of(save_layout(blobs, AFTER), 2)
    result = diff(before, after, at(blobs))
    assert [(change.path, str(change.kind)) for change in result] == [
        ("/a/new", "added"),
        ("/a/x", "modified"),
        ("/a/y", "removed"),
        ("/b", "type"),
        ("/b/c", "added"),
    ]
    assert result.counts == DiffCounts(
        added=2, removed=1, modified=1, type=1, bytes_added=7, bytes_removed=8
    )
    assert (result.before, result.after) == (before, after)


def test_counts_without_looking_at_the_changes() -> None:
    blobs = MemoryBlobs()
    result = diff(
        snapshot_of(save_layout(blobs, BEFORE)), snapshot_of(save_layout(blobs, AFTER)), at(blobs)
    )
    assert result.counts.added == 2
    loaded = len(blobs.loaded)
    assert result.counts.dict()["bytes_added"] == 7
    assert len(blobs.loaded) == loaded
    assert len(list(result)) == len(list(result)) == 5


def test_changes_are_given_as_json_takes_them() -> None:
    blobs = MemoryBlobs()
    tree = save_layout(blobs, {b"\xff": b"1"})
    [change] = diff(snapshot_of(save_layout(blobs, {})), snapshot_of(tree), at(blobs))
    shown = json.loads(json.dumps(change.dict()))
    assert (shown["path"], shown["kind"], shown["before"]) == ("/\udcff", "added", None)
    assert shown["after"]["size"] == 1


def test_metadata_may_be_left_out() -> None:
    blobs = MemoryBlobs()
    old = file_node(blobs, b"a", b"1")
    before = snapshot_of(save_layout(blobs, {b"a": old}))
    after = snapshot_of(save_layout(blobs, {b"a": old._replace(mode=0o600)}))
    with_metadata = diff(before, after, at(blobs))
    assert [str(change.kind) for change in with_metadata] == ["metadata"]
    assert with_metadata.counts == DiffCounts(metadata=1)
    without = diff(before, after, at(blobs), DiffOptions(metadata=False))
    assert list(without) == []
    assert without.counts == DiffCounts()


def test_two_places() -> None:
    blobs = MemoryBlobs()
    snapshot = snapshot_of(save_layout(blobs, {b"a": {b"x": b"1"}, b"b": {b"x": b"2", b"y": b""}}))
    options = DiffOptions(before_path=b"/a/", after_path=b"//b")
    assert [change.path for change in diff(snapshot, snapshot, at(blobs), options)] == [
        "/b/x",
        "/b/y",
    ]
    files = DiffOptions(before_path=b"/a/x", after_path=b"/b/x")
    assert [
        (change.path, str(change.kind)) for change in diff(snapshot, snapshot, at(blobs), files)
    ] == [("/b/x", "modified")]
    mixed = DiffOptions(before_path=b"/a", after_path=b"/b/x")
    assert [
        (change.path, str(change.kind)) for change in diff(snapshot, snapshot, at(blobs), mixed)
    ] == [
        ("/b/x", "type"),
        ("/b/x/x", "removed"),
    ]


def test_what_is_not_there_and_what_is_lost() -> None:
    blobs = MemoryBlobs()
    snapshot = snapshot_of(save_layout(blobs, BEFORE))
    with pytest.raises(PathNotFound):
        list(diff(snapshot, snapshot, at(blobs), DiffOptions(before_path=b"/nowhere")))
    other = snapshot_of(save_layout(blobs, AFTER))
    del blobs.blobs[other.tree]
    with pytest.raises(DamagedRepository):
        list(diff(snapshot, other, at(blobs)))


def test_readers_are_closed() -> None:
    blobs = MemoryBlobs()
    before = snapshot_of(save_layout(blobs, BEFORE), 1)
    after = snapshot_of(save_layout(blobs, AFTER), 2)
    opened: list[bool] = []

    @contextmanager
    def reader() -> Iterator[MemoryBlobs]:
        opened.append(True)
        number = len(opened) - 1
        yield blobs
        opened[number] = False

    result = diff(before, after, reader)
    assert result.counts.added == len([each for each in result if each.kind == "added"])
    assert result.text("/a/x") in result.text()
    assert opened == [False] * 4
