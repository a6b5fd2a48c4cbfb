from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace

import pytest

from holdfast.errors import UsageError
from holdfast.model.lines import Bounds
from holdfast.model.snapshot import Snapshot
from holdfast.model.walk import directory_tree, lookup
from holdfast.operations.grep import Grep, GrepOptions, Match, grep
from holdfast.operations.grep.search import BATCH_FILES
from holdfast.overrides import override
from holdfast.testing.blobs import MemoryBlobs
from holdfast.testing.layouts import Layout, save_layout, snapshot_of
from holdfast.testing.trees import directory, file, save_tree


def stored(blobs: MemoryBlobs, *layouts: Layout) -> list[Snapshot]:
    snapshots = [
        snapshot_of(save_layout(blobs, layout), number)
        for number, layout in enumerate(layouts, start=1)
    ]
    blobs.loaded.clear()
    return snapshots


def search(blobs: MemoryBlobs, snapshots: Sequence[Snapshot], options: GrepOptions | str) -> Grep:
    options = GrepOptions(options) if isinstance(options, str) else options
    return grep(snapshots, lambda: nullcontext(blobs), options)


def told(matches: Grep) -> list[tuple[str, int | None, str, list[int]]]:
    return [
        (each.path, each.line_number, each.line, [int(one.id, 16) for one in each.snapshots])
        for each in matches
    ]


def test_lines_of_all_versions_of_a_file() -> None:
    blobs = MemoryBlobs()
    one: Layout = {b"d": {b"f": b"a\nneedle 1\n"}, b"g": b"no\n"}
    two: Layout = {b"d": {b"f": b"needle 2"}, b"g": b"no\n"}
    assert told(search(blobs, stored(blobs, one, two, one), "needle")) == [
        ("/d/f", 2, "needle 1", [1, 3]),
        ("/d/f", 1, "needle 2", [2]),
    ]


def test_a_content_is_read_once_wherever_it_is() -> None:
    blobs = MemoryBlobs()
    layout: Layout = {b"%d" % number: b"needle\n" for number in range(3 * BATCH_FILES)}
    found = search(blobs, stored(blobs, layout, {b"other": b"needle\n"}), "needle")
    assert len(list(found)) == 3 * BATCH_FILES + 1
    assert blobs.loaded.count(blobs.add(b"needle\n")) == 1
    assert (found.counts.contents, found.counts.bytes_read) == (1, 7)
    assert found.counts.lines == 3 * BATCH_FILES + 1


def test_what_was_forgotten_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.operations.grep.contents.KEPT_BYTES", 0)
    monkeypatch.setattr("holdfast.operations.grep.search.BATCH_FILES", 1)
    blobs = MemoryBlobs()
    found = search(blobs, stored(blobs, {b"a": b"needle", b"b": b"needle"}), "needle")
    assert len(list(found)) == 2
    assert blobs.loaded.count(blobs.add(b"needle")) == 2


@pytest.mark.parametrize(("lines", "reads"), [(3000, 1), (5000, 2)])
def test_only_so_many_lines_of_a_file_are_remembered(
    monkeypatch: pytest.MonkeyPatch, lines: int, reads: int
) -> None:
    """About a megabyte: the memory that a search takes has a bound."""
    monkeypatch.setattr("holdfast.operations.grep.search.BATCH_FILES", 1)
    blobs = MemoryBlobs()
    layout: Layout = dict.fromkeys((b"a", b"b"), b"needle\n" * lines)
    found = search(blobs, stored(blobs, layout), "needle")
    assert sum(1 for _ in found) == 2 * lines
    assert found.counts.contents == reads


def test_a_file_with_other_metadata_is_the_same_content() -> None:
    blobs = MemoryBlobs()
    trees = [
        save_tree(directory({b"f": file(b"x needle", mtime=mtime)}), blobs) for mtime in (1, 2, 3)
    ]
    snapshots = [snapshot_of(tree, number) for number, tree in enumerate(trees, start=1)]
    assert told(search(blobs, snapshots, "needle")) == [("/f", 1, "x needle", [1, 2, 3])]


def test_a_match_across_the_edges_of_blobs_and_a_hole_between_lines() -> None:
    blobs = MemoryBlobs()
    data = b"x" * 1020 + b"needle\nsecond" + b"y" * 2000 + b"\nneedle"
    tree = save_tree(directory({b"f": file(data, 1 << 40, b"\nlast needle\n")}), blobs)
    found = search(blobs, [snapshot_of(tree)], GrepOptions(b"needle$", text=True))
    assert [each.line_number for each in found] == [1, 4]
    assert [each.line for each in found][1] == "last needle"
    [long] = search(blobs, [snapshot_of(tree)], GrepOptions(b"needle\\x00", text=True))
    assert long.line.startswith("needle\0")
    assert long.cut
    assert long.line_number == 3


def test_only_some_paths() -> None:
    blobs = MemoryBlobs()
    layout: Layout = {
        b"a": {b"x.py": b"n", b"y.txt": b"n", b"deep": {b"z.txt": b"n"}},
        b"b": {b"x.py": b"n", b"src": {b"y": b"n"}},
    }
    snapshots = stored(blobs, layout)

    def paths(*patterns: str) -> list[str]:
        return [each.path for each in search(blobs, snapshots, GrepOptions("n", patterns))]

    assert paths("*.py") == ["/a/x.py", "/b/x.py"]
    assert paths("/a/**/*.txt", "src") == ["/a/deep/z.txt", "/a/y.txt", "/b/src/y"]
    assert paths("/a", "!*.py") == ["/a/deep/z.txt", "/a/x.py", "/a/y.txt"]
    assert paths("*.txt", "!y.txt") == ["/a/deep/z.txt"]
    assert len(paths("/")) == 5
    blobs.loaded.clear()
    assert paths("/b/src/y") == ["/b/src/y"]
    assert directory_tree(lookup(snapshots[0].tree, b"/a", blobs)) not in blobs.loaded


def test_options() -> None:
    blobs = MemoryBlobs()
    snapshots = stored(blobs, {b"f": b"A.c\nabc\na.c a.C\n"})

    def lines(**options: bool) -> list[int | None]:
        chosen = replace(GrepOptions("a.c"), **options)  # type: ignore[arg-type]  # flags
        return [each.line_number for each in search(blobs, snapshots, chosen)]

    assert lines() == [2, 3]
    assert lines(fixed=True) == [3]
    assert lines(ignore_case=True) == [1, 2, 3]
    assert lines(ignore_case=True, fixed=True) == [1, 3]
    assert lines(first=True) == [2]
    [*_, last] = search(blobs, snapshots, GrepOptions("a.c", ignore_case=True))
    assert last.spans == ((0, 3), (4, 7))


def test_binary_files_and_odd_text() -> None:
    blobs = MemoryBlobs()
    snapshots = stored(
        blobs,
        {b"bin": b"\0\nneedle\nneedle\n", b"l\xff": b"\xe4 needle\n", b"u": "ä needle".encode()},
    )
    found = search(blobs, snapshots, "needle")
    assert [(each.path, each.kind, each.line) for each in found] == [
        ("/bin", "binary", ""),
        ("/l\udcff", "line", "\ufffd needle"),
        ("/u", "line", "ä needle"),
    ]
    assert [each.spans for each in found] == [(), ((2, 8),), ((2, 8),)]
    assert found.counts.binary == 1
    as_text = search(blobs, snapshots, GrepOptions("needle", text=True))
    assert [each.line_number for each in as_text] == [2, 3, 1, 1]


def test_damage_is_told_and_the_search_goes_on() -> None:
    blobs = MemoryBlobs()
    tree = save_tree(
        directory(
            {
                b"a": directory({b"f": file(b"needle")}),
                b"b": file(b"needle b"),
                b"c": file(b"needle\n", b"x" * 3000, b"\nneedle"),
                b"d": file(b"needle d"),
            }
        ),
        blobs,
    )
    lost_tree = directory_tree(lookup(tree, b"/a", blobs))
    for lost in (lost_tree, blobs.add(b"needle b"), blobs.add(b"x" * 1024)):
        del blobs.blobs[lost]
    found = search(blobs, [snapshot_of(tree)], "needle")
    assert [(each.path, str(each.kind)) for each in found] == [
        ("/a", "damaged"),
        ("/b", "damaged"),
        ("/c", "line"),
        ("/c", "damaged"),
        ("/d", "line"),
    ]
    assert found.counts.damaged == 3
    [first, *_] = found
    assert first.problem == f"blob {lost_tree.hex()}: missing"


def test_lines_before_the_damage_are_given() -> None:
    blobs = MemoryBlobs()
    tree = save_tree(directory({b"f": file(b"needle\n" * 1000)}), blobs)
    data = b"needle\n" * 1000
    del blobs.blobs[blobs.add(data[6 * 1024 :])]
    bounds = Bounds(longest=1024, overlap=16)
    found = list(search(blobs, [snapshot_of(tree)], GrepOptions("needle", bounds=bounds)))
    assert [each.kind for each in found] == ["line"] * (6 * 1024 // 7) + ["damaged"]


def test_what_can_be_shown() -> None:
    blobs = MemoryBlobs()
    found = search(blobs, stored(blobs, {b"f": b"a needle"}), "needle")
    [match] = found
    assert isinstance(match, Match)
    assert json.loads(json.dumps(match.dict()))["spans"] == [[2, 8]]
    assert [row[:4] for row in found._table().rows] == [("/f", "line", 1, "a needle")]
    assert match._row()[3] == "a needle"
    assert found.counts.dict()["lines"] == 1


@pytest.mark.parametrize("pattern", ["(", "a\nb", "[z-a]"])
def test_patterns_that_make_no_sense(pattern: str) -> None:
    with pytest.raises(UsageError):
        search(MemoryBlobs(), [], pattern)


def test_closing_a_search_early_lets_go_of_the_loader() -> None:
    blobs = MemoryBlobs()
    closed: list[bool] = []

    class Context(nullcontext[MemoryBlobs]):
        @override
        def __exit__(self, *_: object) -> None:
            closed.append(True)

    snapshots = stored(blobs, {b"f": b"n\nn\n"})
    matches = iter(grep(snapshots, lambda: Context(blobs), GrepOptions("n")))
    next(matches)
    matches.close()  # type: ignore[attr-defined]  # it is a generator
    assert closed == [True]
