"""Which trees a reader accepts and which it refuses: F30 to F35 of docs/format.md.

The trees are built as they are on the wire, such as holdfast never writes them too.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from tests.compat import reader
from tests.compat.making import (
    assert_both_read,
    assert_both_refuse,
    changed,
    commit,
    entry,
    new_store,
    page,
    save,
    told_by_holdfast,
    told_by_reader,
)

import holdfast
from holdfast.primitives import codec
from holdfast.primitives.ids import BlobId
from holdfast.store import Writer

Make: TypeAlias = Callable[[Writer], BlobId]


# What both accept though holdfast does not write it


def deep_list(writer: Writer, levels: int, data: bytes = b"deep") -> list[object]:
    """A content of one blob below so many levels of lists."""
    item: object = [save(writer, data), len(data)]
    for _ in range(levels):
        item = [writer.save_tree(codec.pack([item])), len(data)]
    return [levels, [item]]


def deep_directory(writer: Writer, levels: int) -> BlobId:
    tree = page(writer, 0, [entry(b"file")])
    for level in range(1, levels + 1):
        tree = page(writer, level, [[b"file", tree, 1]])
    return tree


def pages(writer: Writer, *leaves: list[bytes]) -> BlobId:
    """A directory of a few small pages."""
    rows = [
        [names_[0], page(writer, 0, [entry(name) for name in names_]), len(names_)]
        for names_ in leaves
    ]
    return page(writer, 1, rows)


def with_content(make: Callable[[Writer], object], size: int) -> Make:
    return lambda w: page(w, 0, [entry(b"file", 1, make(w), size)])


def listed(writer: Writer, items: list[object]) -> BlobId:
    return writer.save_tree(codec.pack(items))


def numbered(count: int) -> list[object]:
    return [entry(b"%05d" % number) for number in range(count)]


def blobs(writer: Writer, count: int) -> list[object]:
    return [[save(writer, b"x"), 1]] * count


GOOD: dict[str, Make] = {
    "an empty directory": lambda w: page(w, 0, []),
    "4096 entries": lambda w: page(w, 0, numbered(4096)),
    "pages that are cut anywhere": lambda w: pages(w, [b"a", b"b"], [b"c"], [b"d", b"e"]),
    "pages of level 5": lambda w: deep_directory(w, 5),
    "lists of level 8": with_content(lambda w: deep_list(w, 8), 4),
    "1024 items": with_content(lambda w: [0, blobs(w, 1024)], 1024),
    "a list of 4096 items": with_content(lambda w: [1, [[listed(w, blobs(w, 4096)), 4096]]], 4096),
    "a file of one hole": with_content(lambda _: [0, [1 << 20]], 1 << 20),
    "the longest name": lambda w: page(w, 0, [entry(b"\xff" * 4096)]),
    "names in raw order": lambda w: page(
        w, 0, [entry(name) for name in (b"Z", b"a", b"a ", b"\xc3")]
    ),
    "a page of 4 MiB": lambda w: page(w, 0, [large_entry(w, 4 << 20)]),
}
"""Names of trees that both must read."""


def large_entry(writer: Writer, size: int) -> list[object]:
    """An entry that makes a page of so many bytes."""
    del writer
    row = entry(b"file")
    row[13] = [[b"a", b""]]
    spare = size - len(codec.pack([0, [row]])) - 3  # the length of a bin: 4 bytes more than 1
    row[13] = [[b"a", bytes(spare)]]
    assert len(codec.pack([0, [row]])) == size
    return row


@pytest.mark.format("F30", "F31", "F34", "F38")
@pytest.mark.parametrize("case", GOOD)
def test_unusual_trees_are_accepted(tmp_path: Path, case: str) -> None:
    commit(new_store(tmp_path), GOOD[case])
    assert_both_read(tmp_path)


# What both refuse


BAD_PAGES: dict[str, Make] = {
    "no page": lambda w: w.save_tree(codec.pack({"level": 0})),
    "not msgpack": lambda w: w.save_tree(b"\xc1"),
    "more than a page": lambda w: w.save_tree(codec.pack([0, []]) + b"\0"),
    "a level too much": lambda w: deep_directory(w, 6),
    "a level below 0": lambda w: page(w, -1, []),
    "an inner page without rows": lambda w: page(w, 1, []),
    "an empty page below": lambda w: page(w, 1, [[b"a", page(w, 0, []), 0]]),
    "a level skipped": lambda w: page(w, 2, [[b"a", page(w, 0, [entry(b"a")]), 1]]),
    "4097 entries": lambda w: page(w, 0, numbered(4097)),
    "more than 4 MiB": lambda w: page(w, 0, [large_entry(w, (4 << 20) + 1)]),
    "names in no order": lambda w: page(w, 0, [entry(b"b"), entry(b"a")]),
    "a name twice": lambda w: page(w, 0, [entry(b"a"), entry(b"a")]),
    "pages in no order": lambda w: pages(w, [b"c"], [b"a"]),
    "pages that overlap": lambda w: pages(w, [b"a", b"c"], [b"b"]),
    "a first name that is another": lambda w: page(w, 1, [[b"b", page(w, 0, [entry(b"a")]), 1]]),
    "a number that is another": lambda w: page(w, 1, [[b"a", page(w, 0, [entry(b"a")]), 2]]),
    "a page that is missing": lambda w: page(w, 1, [[b"a", bytes(32), 1]]),
}


@pytest.mark.format("F30")
@pytest.mark.parametrize("case", BAD_PAGES)
def test_bad_pages_are_refused(tmp_path: Path, case: str) -> None:
    commit(new_store(tmp_path), BAD_PAGES[case])
    assert_both_refuse(tmp_path)


BAD_CONTENTS: dict[str, tuple[Callable[[Writer], object], int]] = {
    "nil of a file that is not empty": (lambda _: None, 1),
    "a blob of an empty file": (lambda w: save(w, b"1"), 0),
    "no items": (lambda _: [0, []], 0),
    "a short id": (lambda w: save(w, b"1")[:31], 1),
    "a blob of another length": (lambda w: save(w, b"123"), 2),
    "an item of another length": (lambda w: [0, [[save(w, b"123"), 2], 1]], 3),
    "lengths that do not add up": (lambda w: [0, [[save(w, b"1"), 1], 1]], 3),
    "a run of nothing": (lambda w: [0, [[save(w, b"1"), 1], 0]], 1),
    "a run below nothing": (lambda w: [0, [[save(w, b"123"), 3], -1]], 2),
    "an item of nothing": (lambda w: [0, [[save(w, b"1"), 1], [save(w, b""), 0]]], 1),
    "a blob that is missing": (lambda _: bytes(32), 1),
    "a level too much": (lambda w: deep_list(w, 9), 4),
    "a level below 0": (lambda w: [-1, blobs(w, 1)], 1),
    "a run above level 0": (lambda w: [1, [[listed(w, blobs(w, 1)), 1], 1]], 2),
    "a list of another length": (lambda w: [1, [[listed(w, blobs(w, 1)), 2]]], 2),
    "an empty list": (lambda w: [1, [[listed(w, blobs(w, 1)), 1], [listed(w, []), 1]]], 2),
    "a list that is no array": (lambda w: [1, [[w.save_tree(codec.pack({})), 1]]], 1),
    "1025 items": (lambda w: [0, blobs(w, 1025)], 1025),
    "4097 items": (lambda w: [1, [[listed(w, blobs(w, 4097)), 4097]]], 4097),
    "a list of one blob": (lambda w: [0, blobs(w, 1)], 1),
    "two runs": (lambda _: [0, [1, 1]], 2),
    "three fields": (lambda w: [0, [[save(w, b"1"), 1, 1], 1]], 2),
}


@pytest.mark.format("F31")
@pytest.mark.parametrize("case", BAD_CONTENTS)
def test_bad_contents_are_refused(tmp_path: Path, case: str) -> None:
    commit(new_store(tmp_path), with_content(*BAD_CONTENTS[case]))
    assert_both_refuse(tmp_path)


@pytest.mark.format("F31")
def test_a_list_blob_of_more_than_1_mib_is_refused(tmp_path: Path) -> None:
    # Items this long are no valid ones, so that only holdfast tells the reason.
    big: list[object] = [[bytes(300), 1]] * 4096
    commit(new_store(tmp_path), with_content(lambda w: [1, [[listed(w, big), 4096]]], 4096))
    with pytest.raises(holdfast.DamagedRepository, match="more than 1048576"):
        told_by_holdfast(tmp_path)
    with pytest.raises(reader.RefusedError, match="the length of a blob"):
        told_by_reader(tmp_path)


BAD_ENTRIES: dict[str, list[object]] = {
    "14 fields": entry(b"name")[:14],
    "16 fields": [*entry(b"name"), None],
    "type 0": changed(1, 0),
    "type 8": changed(1, 8),
    "a type that is a bool": changed(1, True),
    "mode of 13 bits": changed(2, 0o10000),
    "mode below 0": changed(2, -1),
    "uid of 33 bits": changed(3, 1 << 32),
    "gid below 0": changed(4, -1),
    "user that is bytes": changed(5, b"root"),
    "group that is a number": changed(6, 0),
    "mtime that is text": changed(7, "now"),
    "ctime that is nil": changed(8, None),
    "inode below 0": changed(9, -1),
    "size below 0": changed(10, -1),
    "size of 64 bits": changed(10, 1 << 63),
    "filesystem of 33 bits": changed(12, 1 << 32),
    "xattrs that are nil": changed(13, None),
    "xattrs in no order": changed(13, [[b"b", b""], [b"a", b""]]),
    "an xattr twice": changed(13, [[b"a", b""], [b"a", b""]]),
    "an xattr of three": changed(13, [[b"a", b"", b""]]),
    "an xattr without a name": changed(13, [[b"", b""]]),
    "an xattr with NUL": changed(13, [[b"a\0", b""]]),
    "an xattr's text": changed(13, [[b"a", "value"]]),
    "extra that is an array": changed(14, []),
}


@pytest.mark.format("F32")
@pytest.mark.parametrize("case", BAD_ENTRIES)
def test_bad_entries_are_refused(tmp_path: Path, case: str) -> None:
    commit(new_store(tmp_path), lambda w: page(w, 0, [BAD_ENTRIES[case]]))
    assert_both_refuse(tmp_path)


BAD_PAYLOADS: dict[str, list[object]] = {
    "a directory without a tree": entry(b"name", 2),
    "a directory with a short id": entry(b"name", 2, bytes(31)),
    "a directory with a size": entry(b"name", 2, bytes(32), 1),
    "a link without a target": entry(b"name", 3),
    "a link of another size": entry(b"name", 3, b"target", 5),
    "a link of text": entry(b"name", 3, "target", 6),
    "a link of nothing": entry(b"name", 3, b"", 0),
    "a link with NUL": entry(b"name", 3, b"a\0", 2),
    "a fifo with a payload": entry(b"name", 4, 1),
    "a socket with a size": entry(b"name", 5, None, 1),
    "a device without a number": entry(b"name", 6),
    "a device with a size": entry(b"name", 7, 1, 1),
    "a file with a number": entry(b"name", 1, 1, 1),
}


@pytest.mark.format("F33")
@pytest.mark.parametrize("case", BAD_PAYLOADS)
def test_bad_payloads_are_refused(tmp_path: Path, case: str) -> None:
    commit(new_store(tmp_path), lambda w: page(w, 0, [BAD_PAYLOADS[case]]))
    assert_both_refuse(tmp_path)


@pytest.mark.format("F34")
@pytest.mark.parametrize("name", [b"", b".", b"..", b"a/b", b"/", b"a\0", b"x" * 4097, "text"])
def test_bad_names_are_refused_with_their_page(tmp_path: Path, name: object) -> None:
    rows = [entry(b"!"), changed(0, name)]
    commit(new_store(tmp_path), lambda w: page(w, 0, rows if name else rows[1:]))
    assert_both_refuse(tmp_path)


@pytest.mark.format("F35")
@pytest.mark.parametrize(
    "time", [bytes(16), bytes(15) + b"\1", b"\x7f" * 15, b"\x7f" * 17, b"\xff" * 16]
)
def test_bad_times_are_refused(tmp_path: Path, time: bytes) -> None:
    commit(new_store(tmp_path), lambda w: page(w, 0, [changed(7, time)]))
    assert_both_refuse(tmp_path)
