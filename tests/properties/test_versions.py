"""Looking through time gives what plain Python finds in plain dictionaries."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import PathNotFound
from holdfast.model.content import ContentBuilder
from holdfast.model.lines import Bounds, Line, LinePattern, search_lines, within_lines
from holdfast.model.node import Node, NodeType
from holdfast.model.snapshot import Snapshot
from holdfast.model.tree import save_directory
from holdfast.model.unified import hunks
from holdfast.operations.diff import diff
from holdfast.operations.find import FindOptions, find
from holdfast.operations.grep import GrepOptions, grep
from holdfast.operations.history import history
from holdfast.testing.blobs import MemoryBlobs
from holdfast.testing.layouts import directory_node, link_node, node, snapshot_of

SMALL = Bounds(longest=8, overlap=3, shown=1000, probe=4)
"""Bounds that short files reach."""

# ------------------------------------------------------------------------ a model of the files

Content: TypeAlias = tuple[bytes | int, ...]
"""Bytes and holes."""


class File(tuple[Content, int, int]):
    """A file: its content, mode and mtime."""

    __slots__ = ()


class Link(bytes):
    """A symbolic link: its target."""


Directory: TypeAlias = Mapping[bytes, "File | Link | Directory"]

NAMES = [b"a", b"b", b"c\xff"]
words = st.sampled_from(
    [b"", b"a", b"b", b"ab", b"\n", b"a\n", b"b\r\n", b"\r", b"\xc3\xa4", b"\xff", b"\0", b" "]
)
texts = st.lists(words, max_size=12).map(b"".join)
contents = st.lists(texts | st.integers(1, 40), max_size=3).map(tuple)
files = st.builds(
    lambda *fields: File(fields),
    contents,
    st.sampled_from([0o644, 0o600]),
    st.sampled_from([0, 1000, 2000]),
)
leaves: st.SearchStrategy[File | Link | Directory] = files | st.builds(
    Link, st.sampled_from([b"x", b"y"])
)
directories: st.SearchStrategy[Directory] = st.dictionaries(
    st.sampled_from(NAMES),
    st.recursive(leaves, lambda inner: st.dictionaries(st.sampled_from(NAMES), inner, max_size=3)),
    max_size=3,
)


def data_of(content: Content) -> bytes:
    return b"".join(bytes(piece) if isinstance(piece, int) else piece for piece in content)


def file_node(blobs: MemoryBlobs, name: bytes, file: File, cut: int) -> Node:
    """Store a file in blobs of `cut` bytes; equal bytes with equal holes are stored equally."""
    content, mode, mtime = file
    builder = ContentBuilder(blobs)
    for is_hole, pieces in groupby(content, key=lambda piece: isinstance(piece, int)):
        if is_hole:
            builder.add_zeros(sum(piece for piece in pieces if isinstance(piece, int)))
            continue
        data = b"".join(piece for piece in pieces if isinstance(piece, bytes))
        for start in range(0, len(data), cut):
            blob = data[start : start + cut]
            builder.add_blob(blobs.add(blob), len(blob))
    size, payload = builder.finish()
    return node(name, NodeType.FILE, payload, size)._replace(mode=mode, mtime=mtime)


def save(blobs: MemoryBlobs, directory: Directory, cut: int) -> bytes:
    """Store a directory; returns its tree."""
    nodes: list[Node] = []
    for name, what in directory.items():
        if isinstance(what, File):
            nodes.append(file_node(blobs, name, what, cut))
        elif isinstance(what, Link):
            nodes.append(link_node(name, bytes(what)))
        else:
            nodes.append(directory_node(name, save(blobs, what, cut)))  # type: ignore[arg-type]
    return save_directory(nodes, blobs)


def snapshots_of(blobs: MemoryBlobs, past: Sequence[Directory], cut: int) -> list[Snapshot]:
    return [
        snapshot_of(save(blobs, directory, cut), number)  # type: ignore[arg-type]
        for number, directory in enumerate(past, start=1)
    ]


def walked(directory: Directory, path: bytes = b"") -> Iterator[tuple[bytes, object]]:
    for name, what in sorted(directory.items()):
        yield path + b"/" + name, what
        if isinstance(what, Mapping):
            yield from walked(what, path + b"/" + name)


# --------------------------------------------------------------------------------- the history


def plain(what: object) -> object:
    """What tells versions apart: a file's blobs and holes, which neighbours do not change."""
    if isinstance(what, File):
        content, mode, mtime = what
        merged: list[bytes | int] = []
        for is_hole, pieces in groupby(content, key=lambda piece: isinstance(piece, int)):
            alike = list(pieces)
            merged.append(
                sum(p for p in alike if isinstance(p, int))
                if is_hole
                else b"".join(p for p in alike if isinstance(p, bytes))
            )
        return "file", tuple(piece for piece in merged if piece), mode, mtime
    if isinstance(what, Link):
        return "link", bytes(what)
    if isinstance(what, Mapping):
        return "dir", tuple((name, plain(inner)) for name, inner in sorted(what.items()))
    return None


def kind_of(before: object, after: object, *, was_there: bool) -> str:
    if after is None:
        return "removed"
    if before is None:
        return "reappeared" if was_there else "added"
    assert isinstance(before, tuple)
    assert isinstance(after, tuple)
    if before[0] != after[0]:
        return "type"
    return "metadata" if before[0] == "file" and before[1] == after[1] else "modified"


def expected_history(past: Sequence[Directory], path: bytes) -> list[tuple[str, int, int]]:
    """The kind, the first snapshot and the number of snapshots of every version."""
    versions: list[tuple[str, int, int]] = []
    before: object = None
    for number, directory in enumerate(past, start=1):
        here = plain(dict(walked(directory)).get(path))
        if here == before:
            if versions:
                kind, first, count = versions[-1]
                versions[-1] = kind, first, count + 1
        else:
            versions.append((kind_of(before, here, was_there=bool(versions)), number, 1))
        before = here
    return versions


@given(st.lists(directories, min_size=1, max_size=6), st.data(), st.integers(1, 5))
def test_the_history_of_a_path_is_its_distinct_versions(
    past: list[Directory], data: st.DataObject, cut: int
) -> None:
    past = [data.draw(st.sampled_from(past)) for _ in range(len(past) + 2)]
    blobs = MemoryBlobs()
    snapshots = [replace(each, paths=("/",)) for each in snapshots_of(blobs, past, cut)]
    for path in {path for directory in past for path, _ in walked(directory)}:
        blobs.loaded.clear()
        found = history(reversed(snapshots), path, blobs)
        assert [
            (version.kind, int(version.first.id, 16), version.snapshots) for version in found
        ] == expected_history(past, path)
        levels = path.count(b"/")  # a tree may stand at several of them
        assert all(blobs.loaded.count(tree) <= levels for tree in blobs.loaded)
    with pytest.raises(PathNotFound):
        history(snapshots, b"/nowhere", blobs)


# ---------------------------------------------------------------------------------- the search


def lines_of(data: bytes) -> list[bytes]:
    *ended, last = data.split(b"\n")
    return [line.removesuffix(b"\r") for line in ended] + ([last] if last else [])


def cut_line(line: bytes, bounds: Bounds) -> Iterator[bytes]:
    start = 0
    while len(line) - start > bounds.longest:
        yield line[start : start + bounds.longest]
        start += bounds.longest - bounds.overlap
    yield line[start:]


def expected_lines(data: bytes, regex: re.Pattern[bytes], bounds: Bounds) -> list[Line]:
    found: list[Line] = []
    for number, line in enumerate(lines_of(data), start=1):
        for piece in cut_line(line, bounds):
            if regex.search(piece):
                spans = [match.span() for match in regex.finditer(piece)]
                inside = (
                    (
                        len(piece[:begin].decode("utf-8", "replace")),
                        len(piece[:end].decode("utf-8", "replace")),
                    )
                    for begin, end in spans
                )
                text = tuple((begin, end) for begin, end in inside if end > begin)
                is_cut = len(line) > bounds.longest
                found.append(Line(number, piece.decode("utf-8", "replace"), text, is_cut))
                break
    return found


parts = st.sampled_from(
    [
        *(
            rb"a",
            rb"b",
            rb".",
            rb"\s",
            rb"\S",
            rb"\w",
            rb"\W",
            rb"\d",
            rb"\D",
            rb"^",
            rb"$",
            rb"\b",
        ),
        *(rb"\B", rb"[ab]", rb"[^a]", rb"[^]a]", rb"[^-a]", rb"[]a]", rb"[^\w]", rb"\x00", rb"\A"),
        *(rb"\Z", rb"(?=b)", rb"(?!b)", rb"(?<!a)", rb"(a)\1", rb"(?:ab)", rb"\.", rb"\t", rb" "),
        *(
            rb"ab",
            rb"ba",
            rb"b\.",
            rb"(?>a*)",
            rb"a*+",
            rb"[\s,]",
            rb"[\x00- ]",
            rb"\xc3\xa4".replace(b"\\x", b"\\x"),
        ),
    ]
)
quantified = st.tuples(parts, st.sampled_from([b"", b"", b"*", b"?", b"+?", b"{1,2}"])).map(
    lambda pair: b"(?:%s)%s" % pair
)
patterns = st.lists(quantified | parts, max_size=3).map(b"".join) | st.tuples(parts, parts).map(
    b"|".join
)


def cut_at_random(data: bytes, draw: st.DataObject) -> list[bytes]:
    places = draw.draw(st.lists(st.integers(0, len(data)), max_size=6).map(sorted))
    return [data[begin:end] for begin, end in zip([0, *places], [*places, len(data)], strict=True)]


@given(texts, patterns, st.booleans(), st.data())
def test_lines_are_found_in_whatever_pieces_a_file_is(
    data: bytes, pattern: bytes, ignore_case: bool, draw: st.DataObject
) -> None:
    searched = LinePattern(pattern, ignore_case=ignore_case)
    flags = re.MULTILINE | (re.IGNORECASE if ignore_case else re.NOFLAG)
    if ignore_case:
        data = data.replace(b"ab", b"aB")
    pieces = cut_at_random(data, draw)
    found = list(search_lines(pieces, searched, text=True, bounds=SMALL))
    assert found == expected_lines(data, re.compile(pattern, flags), SMALL)
    if not searched.could_match(data, SMALL):
        assert found == []


@given(texts, patterns)
def test_a_pattern_that_is_rewritten_finds_the_same_lines(data: bytes, pattern: bytes) -> None:
    quick = within_lines(pattern)
    if quick is None:
        return
    lines = b"\n".join(lines_of(data))
    alone = re.compile(pattern)
    finds = re.compile(quick, re.MULTILINE)
    assert {lines.count(b"\n", 0, match.start()) for match in finds.finditer(lines)} >= {
        number for number, line in enumerate(lines.split(b"\n")) if alone.search(line)
    }
    assert all(b"\n" not in match[0] for match in finds.finditer(lines))


@given(st.integers(0, 300), texts, texts, patterns)
def test_a_hole_is_as_many_zeros(hole: int, before: bytes, after: bytes, pattern: bytes) -> None:
    searched = LinePattern(pattern)
    holes: list[bytes | int] = [before, hole, after] if hole else [before, after]
    found = list(search_lines(holes, searched, text=True, bounds=SMALL))
    whole = [before + bytes(hole) + after]
    assert found == list(search_lines(whole, searched, text=True, bounds=SMALL))


@given(st.lists(directories, min_size=1, max_size=4), st.integers(1, 5), st.booleans())
def test_a_search_finds_the_lines_of_every_version(
    past: list[Directory],
    cut: int,
    text: bool,
) -> None:
    blobs = MemoryBlobs()
    snapshots = snapshots_of(blobs, past, cut)
    blobs.loaded.clear()
    options = GrepOptions(rb"ab|b$|\xa4", text=text, bounds=SMALL)
    found = [
        (
            match.path.encode("utf-8", "surrogateescape"),
            int(snapshot.id, 16),
            match.line_number,
            match.line,
        )
        for match in grep(snapshots, lambda: nullcontext(blobs), options)
        for snapshot in match.snapshots
    ]
    regex = re.compile(rb"ab|b$|\xa4", re.MULTILINE)
    expected: list[tuple[bytes, int, int | None, str]] = []
    for number, directory in enumerate(past, start=1):
        for path, what in walked(directory):
            if not isinstance(what, File):
                continue
            data = data_of(what[0])
            lines = expected_lines(data, regex, SMALL)
            if lines and not text and b"\0" in data[: SMALL.probe]:
                expected.append((path, number, None, ""))
            else:
                expected += [(path, number, line.number, line.text) for line in lines]
    assert sorted(found, key=repr) == sorted(expected, key=repr)


# --------------------------------------------------------------------------------- differences


def patched(before: bytes, lines: Sequence[bytes]) -> bytes:
    """Apply hunks as `patch` does, and be as strict."""
    *ended, last = before.split(b"\n")
    old = [line + b"\n" for line in ended] + ([last] if last else [])
    new: list[bytes] = []
    position = 0
    for line in b"".join(lines).replace(b"\n\\ No newline at end of file\n", b"\\\\").split(b"\n"):
        if found := re.match(rb"@@ -(\d+),(\d+) \+(\d+),(\d+) @@", line):
            begin = int(found[1]) - (found[2] != b"0")
            new += old[position:begin]
            position = begin
            assert len(new) == int(found[3]) - (found[4] != b"0")
            continue
        for number, each in enumerate(filter(None, re.split(rb"\\\\(?=[-+ ])|\\\\\Z", line))):
            is_last = number < line.count(b"\\\\")
            text = each[1:] + (b"" if is_last else b"\n")
            if each[:1] in b"- ":
                assert old[position] == text
                position += 1
            if each[:1] in b"+ ":
                new.append(text)
    return b"".join(new + old[position:])


lines = st.lists(st.sampled_from([b"a\n", b"b\n", b"c\r\n", b"\n", b"\xff\n", b"d"]), max_size=25)


@given(lines.map(b"".join), lines.map(b"".join), st.integers(0, 4))
def test_applying_a_difference_gives_the_second_text(
    before: bytes, after: bytes, context: int
) -> None:
    found = list(hunks(before, after, context))
    assert patched(before, found) == after
    assert bool(found) == (before != after)


@given(directories, directories, st.integers(1, 5))
def test_the_patches_of_two_snapshots_make_one_of_the_other(
    before: Directory, after: Directory, cut: int
) -> None:
    blobs = MemoryBlobs()
    first, second = snapshots_of(blobs, [before, after], cut)
    have = {path: data_of(what[0]) for path, what in walked(before) if isinstance(what, File)}
    want = {path: data_of(what[0]) for path, what in walked(after) if isinstance(what, File)}
    for patch in diff(first, second, lambda: nullcontext(blobs)).patches():
        path = patch.path.encode("utf-8", "surrogateescape")
        if patch.kind == "binary":
            assert b"\0" in have.get(path, b"") + want.get(path, b"")
            have[path] = want.get(path, b"")
        else:
            _, mark, changes = patch.data.partition(b"@@ -")
            have[path] = patched(have.get(path, b""), [mark + changes])
        if "+++ /dev/null" in patch.text or path not in want:
            assert path not in want
            del have[path]
    assert have == want


# ------------------------------------------------------------------------------------- finding

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
sizes = st.none() | st.integers(0, 20)
times = st.none() | st.integers(0, 2).map(lambda second: EPOCH + timedelta(microseconds=second))


@given(directories, sizes, sizes, times, times, st.sampled_from([None, "file", "symlink", "dir"]))
def test_filters_of_find_are_plain_filters(
    directory: Directory,
    least: int | None,
    most: int | None,
    newer: datetime | None,
    older: datetime | None,
    kind: str | None,
) -> None:
    if (least, most) != (None, None):
        kind = None
    blobs = MemoryBlobs()
    [snapshot] = snapshots_of(blobs, [directory], 3)
    everything = list(find([snapshot], blobs, FindOptions(("*",))))
    options = FindOptions(("*",), False, kind, least, most, newer, older)
    assert [each.entry for each in find([snapshot], blobs, options)] == [
        entry
        for each in everything
        for entry in [each.entry]
        if (kind is None or entry.type == kind)
        and (least is None or (entry.type == "file" and entry.size >= least))
        and (most is None or (entry.type == "file" and entry.size <= most))
        and (newer is None or (entry.mtime is not None and entry.mtime >= newer))
        and (older is None or (entry.mtime is not None and entry.mtime < older))
    ]
