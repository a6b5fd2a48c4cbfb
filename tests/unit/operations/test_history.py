from __future__ import annotations

import json
from dataclasses import replace

import pytest

from holdfast.errors import PathNotFound
from holdfast.model.snapshot import Problem, Snapshot
from holdfast.model.tree import load_directory
from holdfast.model.walk import directory_tree, lookup
from holdfast.operations.history import Version, history
from holdfast.testing.blobs import MemoryBlobs
from holdfast.testing.layouts import Layout, save_layout, snapshot_of


def snapshots_of(blobs: MemoryBlobs, *layouts: Layout) -> list[Snapshot]:
    return [
        snapshot_of(save_layout(blobs, {b"data": layout}), number)
        for number, layout in enumerate(layouts, start=1)
    ]


def told(versions: list[Version]) -> list[tuple[str, int, int, int]]:
    return [
        (str(each.kind), int(each.first.id, 16), int(each.last.id, 16), each.snapshots)
        for each in versions
    ]


def test_what_became_of_a_file() -> None:
    blobs = MemoryBlobs()
    snapshots = snapshots_of(
        blobs, {}, {b"f": b"1"}, {b"f": b"1", b"g": b""}, {b"f": b"22"}, {}, {}, {b"f": b"22"}
    )
    found = history(snapshots, b"/data/f", blobs)
    assert told(found) == [
        ("added", 2, 3, 2),
        ("modified", 4, 4, 1),
        ("removed", 5, 6, 2),
        ("reappeared", 7, 7, 1),
    ]
    assert [each.entry and each.entry.size for each in found] == [1, 2, None, 2]
    assert history(snapshots, b"data//f/", blobs) == found
    record = json.loads(json.dumps(found[0].dict()))
    assert (record["first"], record["last"]) == (snapshots[1].id, snapshots[2].id)
    assert [row[0] for row in found._table().rows] == [str(each.kind) for each in found]


def test_a_file_that_becomes_a_directory_and_what_is_in_it() -> None:
    blobs = MemoryBlobs()
    snapshots = snapshots_of(blobs, {b"x": b"1"}, {b"x": {b"y": b"2"}}, {b"x": b"1"})
    assert told(history(snapshots, b"/data/x", blobs)) == [
        ("added", 1, 1, 1),
        ("type", 2, 2, 1),
        ("type", 3, 3, 1),
    ]
    inner = history(snapshots, b"/data/x/y", blobs)
    assert told(inner) == [("added", 2, 2, 1), ("removed", 3, 3, 1)]


def test_a_directory_is_what_its_tree_is() -> None:
    blobs = MemoryBlobs()
    snapshots = snapshots_of(blobs, {b"d": {b"e": {b"f": b"1"}}}, {b"d": {b"e": {b"f": b"2"}}})
    for path in (b"/", b"/data", b"/data/d", b"/data/d/e"):
        assert [each.kind for each in history(snapshots, path, blobs)] == ["added", "modified"]


def test_only_the_trees_on_the_way_are_loaded_and_each_once() -> None:
    blobs = MemoryBlobs()
    layouts: list[Layout] = [{b"f": b"%d" % (n // 3), b"d": {b"x": b""}} for n in range(9)]
    snapshots = snapshots_of(blobs, *layouts)
    blobs.loaded.clear()
    assert len(history(snapshots, b"/data/f", blobs)) == 3
    assert len(blobs.loaded) == 6
    assert set(blobs.hinted) == set(blobs.loaded)


def test_other_hosts_have_a_history_of_their_own() -> None:
    blobs = MemoryBlobs()
    one, two, three, four = snapshots_of(blobs, *[{b"f": b"%d" % n} for n in (1, 2, 1, 2)])
    snapshots = [one, replace(two, host="other"), three, replace(four, host="other")]
    found = history(snapshots, b"/data/f", blobs)
    assert told(found) == [("added", 1, 3, 2), ("added", 2, 4, 2)]
    assert [each.first.host for each in found] == ["host", "other"]


def test_a_backup_of_other_paths_says_nothing() -> None:
    blobs = MemoryBlobs()
    one, two, three = snapshots_of(blobs, {b"f": b"1"}, {}, {b"f": b"1"})
    snapshots = [one, replace(two, paths=("/data/other",)), three]
    assert told(history(snapshots, b"/data/f", blobs)) == [("added", 1, 3, 2)]


def test_a_directory_above_what_was_backed_up_is_compared_with_its_like() -> None:
    blobs = MemoryBlobs()
    snapshots = snapshots_of(blobs, {b"a": b"1"}, {b"b": b"1"}, {b"a": b"1"}, {b"b": b"2"})
    about = [
        replace(each, paths=(f"/data/{'ab'[number % 2]}",)) for number, each in enumerate(snapshots)
    ]
    expected = [("added", 1, 3, 2), ("added", 2, 2, 1), ("modified", 4, 4, 1)]
    assert told(history(about, b"/data", blobs)) == expected


@pytest.mark.parametrize(
    "why",
    [
        {"excluded": ("/data/f",)},
        {"excluded": ("data/",)},
        {"problems": (Problem("/data/f", "open", "denied"),)},
        {"problems": (Problem("/data", "list", "denied"),)},
    ],
)
def test_what_was_left_out_or_not_read_was_not_removed(why: dict[str, object]) -> None:
    blobs = MemoryBlobs()
    one, two, three = snapshots_of(blobs, {b"f": b"1"}, {}, {b"f": b"1"})
    without = replace(two, **why)  # type: ignore[arg-type]  # dataclass checks the names
    assert told(history([one, without, three], b"/data/f", blobs)) == [("added", 1, 3, 2)]


def test_patterns_that_are_not_understood_leave_nothing_out() -> None:
    blobs = MemoryBlobs()
    one, two = snapshots_of(blobs, {b"f": b"1"}, {})
    found = history([one, replace(two, excluded=("[",))], b"/data/f", blobs)
    assert told(found) == [("added", 1, 1, 1), ("removed", 2, 2, 1)]


def test_a_folder_of_a_store_has_a_history() -> None:
    blobs = MemoryBlobs()
    one, two = snapshots_of(blobs, {b"f": b"1"}, {})
    stored = [replace(each, paths=("s3://data/there",)) for each in (one, two)]
    assert [each.kind for each in history(stored, b"/data/f", blobs)] == ["added", "removed"]


def test_a_damaged_tree_is_a_version_and_not_the_end() -> None:
    blobs = MemoryBlobs()
    one, two, three, four, five = snapshots_of(
        blobs, {b"f": b"1"}, {b"f": b"2"}, {b"f": b"1"}, {b"f": b"2"}, {b"f": b"3"}
    )
    lost = directory_tree(lookup(two.tree, b"/data", blobs))
    del blobs.blobs[lost]
    found = history([one, two, three, four, five], b"/data/f", blobs)
    assert told(found) == [("added", 1, 3, 2), ("damaged", 2, 4, 2), ("modified", 5, 5, 1)]
    assert found[1].problem == f"blob {lost.hex()}: missing"
    assert found[1].entry is None
    assert [each.kind for each in history([two], b"/data/f", blobs)] == ["damaged"]
    assert [each.kind for each in history([one, two], b"/data", blobs)] == ["added", "modified"]


def test_damage_on_both_sides_of_a_version_is_told_twice() -> None:
    blobs = MemoryBlobs()
    snapshots = snapshots_of(blobs, {b"f": b"1"}, {b"f": b"2"}, {b"f": b"3"}, {b"f": b"2"})
    del blobs.blobs[directory_tree(lookup(snapshots[1].tree, b"/data", blobs))]
    assert told(history(snapshots, b"/data/f", blobs)) == [
        ("added", 1, 1, 1),
        ("damaged", 2, 2, 1),
        ("modified", 3, 3, 1),
        ("damaged", 4, 4, 1),
    ]


def test_a_path_that_no_snapshot_has() -> None:
    blobs = MemoryBlobs()
    with pytest.raises(PathNotFound, match="/data/g: no snapshot has such a path"):
        history(snapshots_of(blobs, {b"f": b"1"}), b"/data/g", blobs)
    with pytest.raises(PathNotFound):
        history([], b"/", blobs)


def test_a_directory_of_many_pages() -> None:
    blobs = MemoryBlobs()
    many: Layout = {b"%05d" % number: b"" for number in range(9000)}
    snapshots = snapshots_of(blobs, many, {**many, b"08000": b"x"})
    assert (
        len(list(load_directory(directory_tree(lookup(snapshots[0].tree, b"/data", blobs)), blobs)))
        == 9000
    )
    blobs.loaded.clear()
    assert told(history(snapshots, b"/data/08000", blobs)) == [
        ("added", 1, 1, 1),
        ("modified", 2, 2, 1),
    ]
    assert len(blobs.loaded) == 6
