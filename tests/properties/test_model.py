"""Laws of the model: what is written is what is read, whatever it is and whoever touched it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import DamagedRepository
from holdfast.model.compare import ChangeKind, compare
from holdfast.model.content import ContentBuilder, blob_ids, check_content, iter_items
from holdfast.model.file import SnapshotFile
from holdfast.model.node import Content, Item, Node, NodeType
from holdfast.model.snapshot import (
    Problem,
    Snapshot,
    Summary,
    decode_snapshot,
    encode_snapshot,
)
from holdfast.model.tree import find_entry, load_directory, save_directory
from holdfast.model.walk import directory_tree, lookup, walk
from holdfast.primitives.ids import BlobId, SnapshotId
from holdfast.testing.blobs import MemoryBlobs
from holdfast.testing.layouts import directory_node, file_node, link_node, node, save_layout

names = st.binary(min_size=1, max_size=6).filter(
    lambda name: (
        not {b"/", b"\0"} & {name[i : i + 1] for i in range(len(name))}
        and name not in (b".", b"..")
    )
)
blob_ids_ = st.binary(min_size=32, max_size=32).map(BlobId)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
times = st.one_of(st.integers(-(1 << 63), (1 << 63) - 1), st.integers(-(1 << 127), (1 << 127) - 1))
values: st.SearchStrategy[object] = st.one_of(st.none(), st.integers(0, 9), st.binary(max_size=3))
items = st.one_of(st.tuples(blob_ids_, st.integers(1, 1 << 30)), st.integers(0, 1 << 40))


def content_of(pieces: list[Item], blobs: MemoryBlobs) -> tuple[int, Content | None]:
    builder = ContentBuilder(blobs)
    for piece in pieces:
        if isinstance(piece, int):
            builder.add_zeros(piece)
        else:
            builder.add_blob(*piece)
    return builder.finish()


def merged(pieces: list[Item]) -> list[Item]:
    """The same pieces, as a plain list says them."""
    plain: list[Item] = []
    for piece in pieces:
        if isinstance(piece, int) and plain and isinstance(plain[-1], int):
            plain[-1] += piece
        elif piece != 0:
            plain.append(piece)
    return plain


@st.composite
def nodes(draw: st.DrawFn) -> Node:
    kind = draw(st.sampled_from(NodeType))
    payload: Content | bytes | int | None = None
    size = 0
    if kind == NodeType.FILE:
        size, payload = content_of(draw(st.lists(items, max_size=5)), MemoryBlobs())
    elif kind == NodeType.DIRECTORY:
        payload = draw(blob_ids_)
    elif kind == NodeType.SYMLINK:
        payload = draw(st.binary(min_size=1, max_size=40)).replace(b"\0", b"0")
        size = len(payload)
    elif kind in (NodeType.CHARACTER_DEVICE, NodeType.BLOCK_DEVICE):
        payload = draw(st.integers(0, (1 << 64) - 1))
    xattrs = draw(st.dictionaries(names, st.binary(max_size=5), max_size=3))
    return Node(
        name=draw(names),
        type=kind,
        mode=draw(st.integers(0, 0o7777)),
        uid=draw(st.integers(0, (1 << 32) - 1)),
        gid=draw(st.integers(0, (1 << 32) - 1)),
        user=draw(st.none() | texts),
        group=draw(st.none() | texts),
        mtime=draw(times),
        ctime=draw(times),
        inode=draw(st.integers(0, (1 << 64) - 1)),
        size=size,
        payload=payload,
        filesystem=draw(st.none() | st.integers(0, 1000)),
        xattrs=tuple(sorted(xattrs.items())),
        extra=draw(st.none() | st.dictionaries(texts, values)),
    )


directories = st.lists(nodes(), max_size=8, unique_by=lambda entry: entry.name)


@given(directories)
def test_a_directory_comes_back(entries: list[Node]) -> None:
    blobs = MemoryBlobs()
    tree = save_directory(entries, blobs)
    assert list(load_directory(tree, blobs)) == sorted(entries)
    assert save_directory(list(load_directory(tree, blobs)), blobs) == tree
    for entry in entries:
        assert find_entry(tree, entry.name, blobs) == entry


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages so small that a few names make a tree of them."""
    monkeypatch.setattr("holdfast.model.tree.MAX_ENTRIES", 8)
    monkeypatch.setattr("holdfast.model.tree._CUT_BITS", 2)


@pytest.mark.usefixtures("small_pages")
class TestSmallPages:
    @given(st.sets(st.binary(min_size=1, max_size=2).map(bytes.hex), max_size=120), names, names)
    def test_pages_are_stable(self, hexes: set[str], more: bytes, probe: bytes) -> None:
        blobs = MemoryBlobs()
        entries = {name.encode(): node(name.encode(), NodeType.FIFO, None) for name in hexes}
        tree = save_directory(list(entries.values()), blobs)
        assert [entry.name for entry in load_directory(tree, blobs)] == sorted(entries)
        assert find_entry(tree, probe, blobs) == entries.get(probe)
        rest = [entry.name for entry in load_directory(tree, blobs, after=probe)]
        assert rest == sorted(name for name in entries if name > probe)
        before = set(blobs.blobs)
        entries[more] = node(more, NodeType.FIFO, None)
        changed = save_directory(list(entries.values()), blobs)
        assert [entry.name for entry in load_directory(changed, blobs)] == sorted(entries)
        # A page that is full may push its last entry on to the next, up to the next cut.
        assert len(set(blobs.blobs) - before) <= 20


@given(st.lists(items, max_size=30))
def test_the_builder_is_a_plain_list(pieces: list[Item]) -> None:
    blobs = MemoryBlobs()
    size, content = content_of(pieces, blobs)
    check_content(content, size)
    plain = merged(pieces)
    assert [item for _, item in iter_items(content, size, blobs)] == plain
    assert size == sum(item if isinstance(item, int) else item[1] for item in plain)
    assert list(blob_ids(content, blobs)) == [i[0] for i in plain if not isinstance(i, int)]
    assert content_of(plain, blobs) == (size, content)


@pytest.fixture
def small_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists so short that a few blobs make several levels of them."""
    for name, value in {"MAX_INLINE": 4, "MIN_LIST": 2, "MAX_LIST": 4, "CUT_MASK": 1}.items():
        monkeypatch.setattr(f"holdfast.model.content.{name}", value)


@pytest.mark.usefixtures("small_lists")
class TestShortLists:
    @given(st.lists(items, min_size=1, max_size=120), st.data())
    def test_seeking_is_skipping(self, pieces: list[Item], data: st.DataObject) -> None:
        blobs = MemoryBlobs()
        size, content = content_of(pieces, blobs)
        check_content(content, size)
        whole = list(iter_items(content, size, blobs))
        assert [item for _, item in whole] == merged(pieces)
        start = data.draw(st.integers(0, size))
        ends = [offset + (i if isinstance(i, int) else i[1]) for offset, i in whole]
        expected = [piece for piece, end in zip(whole, ends, strict=True) if end > start]
        assert list(iter_items(content, size, blobs, start)) == expected

    @given(st.lists(st.binary(max_size=9) | st.integers(0, 20), max_size=60), st.data())
    def test_a_stream_is_its_bytes(self, pieces: list[bytes | int], data: st.DataObject) -> None:
        blobs = MemoryBlobs()
        told = [p if isinstance(p, int) else (blobs.add(p), len(p)) for p in pieces if p != b""]
        size, content = content_of(told, blobs)
        whole = b"".join(bytes(piece) if isinstance(piece, int) else piece for piece in pieces)
        file = SnapshotFile(node(b"f", NodeType.FILE, content, size), blobs)
        for _ in range(4):
            position = data.draw(st.integers(0, size + 3))
            length = data.draw(st.integers(0, size + 3))
            file.seek(position)
            assert file.read(length) == whole[position : position + length]

    @given(st.lists(items, min_size=60, max_size=60), st.data())
    def test_damaged_lists_are_damage(self, pieces: list[Item], data: st.DataObject) -> None:
        blobs = MemoryBlobs()
        size, content = content_of(pieces, blobs)
        if not blobs.blobs:
            return
        victim = data.draw(st.sampled_from(sorted(blobs.blobs)))
        blobs.blobs[victim] = data.draw(mutations(blobs.blobs[victim]))
        only_damage(lambda: list(iter_items(content, size, blobs)))


def mutations(data: bytes) -> st.SearchStrategy[bytes]:
    """The same bytes with a few changed, put in, or cut off."""
    place = st.integers(0, len(data))
    change = st.tuples(place, st.integers(0, 4), st.binary(max_size=4))

    def mutated(changes: list[tuple[int, int, bytes]]) -> bytes:
        result = data
        for start, length, new in changes:
            result = result[:start] + new + result[start + length :]
        return result

    return st.lists(change, min_size=1, max_size=3).map(mutated) | place.map(lambda end: data[:end])


def only_damage(read: Callable[[], object]) -> None:
    """Reading gives something, or says that it is damaged; there is no third way."""
    try:
        read()
    except DamagedRepository as error:
        assert error.object  # noqa: PT017 - the error is one of two good outcomes


@given(directories.filter(bool), st.data())
def test_a_damaged_directory_is_damage(entries: list[Node], data: st.DataObject) -> None:
    blobs = MemoryBlobs()
    tree = save_directory(entries, blobs)
    blobs.blobs[tree] = data.draw(mutations(blobs.blobs[tree]))

    def read() -> None:
        for entry in load_directory(tree, blobs):
            assert entry.name not in (b"", b".", b"..")
            assert b"/" not in entry.name
            assert b"\0" not in entry.name
        save_directory(list(load_directory(tree, blobs)), MemoryBlobs())

    only_damage(read)


snapshots = st.builds(
    Snapshot,
    id=st.just(SnapshotId("0" * 32)),
    tree=blob_ids_,
    time_ns=st.integers(-(1 << 63), (1 << 63) - 1),
    end_ns=st.integers(-(1 << 63), (1 << 63) - 1),
    utc_offset=st.integers(-86_400, 86_400),
    host=texts,
    paths=st.lists(st.binary().map(lambda b: b.decode("utf-8", "surrogateescape"))).map(tuple),
    tags=st.lists(texts).map(tuple),
    parent=st.none() | st.binary(min_size=16, max_size=16).map(bytes.hex),
    how=st.dictionaries(texts, st.none() | st.booleans() | texts | st.binary()),
    problems=st.lists(st.builds(Problem, texts, texts, texts)).map(tuple),
    summary=st.builds(Summary, files_new=st.integers(0, 1 << 60)),
    extra=st.dictionaries(texts.map(lambda text: "x-" + text), st.integers(0, 9)),
)


@given(snapshots)
def test_a_snapshot_comes_back(snapshot: Snapshot) -> None:
    expected = replace(snapshot, problem_count=len(snapshot.problems))
    assert decode_snapshot(snapshot.id, encode_snapshot(snapshot)) == expected
    assert snapshot.dict()["time"]


@given(snapshots, st.data())
def test_a_damaged_snapshot_is_damage(snapshot: Snapshot, data: st.DataObject) -> None:
    record = data.draw(mutations(encode_snapshot(snapshot)))
    only_damage(lambda: encode_snapshot(decode_snapshot(snapshot.id, record)))


@given(st.binary())
def test_noise_is_damage(noise: bytes) -> None:
    blobs = MemoryBlobs()
    blob = blobs.add(noise)
    only_damage(lambda: decode_snapshot(SnapshotId("0" * 32), noise))
    only_damage(lambda: list(load_directory(blob, blobs)))
    only_damage(lambda: list(iter_items((1, ((blob, 5),)), 5, blobs)))


# ------------------------------------------------------------------------------------------ trees

Plain: TypeAlias = Mapping[bytes, "bytes | str | Plain"]
"""A file's bytes, a link's target as text, or a directory."""

few_names = st.sampled_from([b"a", b"b", b"c", b"\xff"])
plain_trees: st.SearchStrategy[Plain] = st.recursive(
    st.dictionaries(few_names, st.sampled_from([b"", b"1", b"2"]) | st.sampled_from(["x", "y"])),
    lambda below: st.dictionaries(few_names, below | st.sampled_from([b"", b"1", "x"])),
    max_leaves=12,
)


def save(plain: Plain, blobs: MemoryBlobs) -> BlobId:
    entries: list[Node] = []
    for name, what in plain.items():
        if isinstance(what, bytes):
            entries.append(file_node(blobs, name, what))
        elif isinstance(what, str):
            entries.append(link_node(name, what.encode()))
        else:
            entries.append(directory_node(name, save(what, blobs)))
    return save_directory(entries, blobs)


def listing(tree: BlobId, blobs: MemoryBlobs) -> dict[bytes, Node]:
    """Every path and its node, a directory's tree left out."""
    return {path: without_tree(entry) for path, entry in walk(tree, blobs)}


def without_tree(entry: Node) -> Node:
    return entry._replace(payload=None) if entry.type == NodeType.DIRECTORY else entry


@given(plain_trees, plain_trees)
def test_the_difference_applied_to_one_tree_gives_the_other(first: Plain, second: Plain) -> None:
    blobs = MemoryBlobs()
    before, after = save(first, blobs), save(second, blobs)
    tree = listing(before, blobs)
    for change in compare(before, after, blobs):
        if change.before is not None:
            assert tree.pop(change.path) == without_tree(change.before)
        if change.after is not None:
            tree[change.path] = without_tree(change.after)
        assert (change.kind == ChangeKind.ADDED) == (change.before is None)
        assert (change.kind == ChangeKind.REMOVED) == (change.after is None)
    assert tree == listing(after, blobs)


@given(plain_trees, plain_trees)
def test_the_difference_backwards_is_the_opposite(first: Plain, second: Plain) -> None:
    blobs = MemoryBlobs()
    before, after = save(first, blobs), save(second, blobs)
    forth = [(c.path, c.before, c.after) for c in compare(before, after, blobs)]
    back = [(c.path, c.after, c.before) for c in compare(after, before, blobs)]
    assert forth == back
    assert (forth == []) == (before == after)


@given(plain_trees)
def test_lookup_finds_what_the_walk_gives(plain: Plain) -> None:
    blobs = MemoryBlobs()
    tree = save(plain, blobs)
    found = list(walk(tree, blobs))
    paths = [path for path, _ in found]
    assert paths == sorted(set(paths), key=lambda path: path.split(b"/"))
    for path, entry in found:
        assert lookup(tree, path, blobs) == entry
        if entry.type == NodeType.DIRECTORY:
            below = [(p, n) for p, n in found if p.startswith(path + b"/")]
            assert list(walk(directory_tree(entry), blobs, path)) == below


@given(plain_trees, st.data())
def test_all_that_is_intact_is_given(plain: Plain, data: st.DataObject) -> None:
    blobs = MemoryBlobs()
    tree = save(plain, blobs)
    found = list(walk(tree, blobs))
    below = [(path, entry) for path, entry in found if entry.type == NodeType.DIRECTORY]
    if not below:
        return
    lost = directory_tree(data.draw(st.sampled_from(below))[1])
    gone = [path for path, entry in below if entry.payload == lost]
    del blobs.blobs[lost]
    told: list[bytes] = []
    rest = list(walk(tree, blobs, on_damage=lambda path, _: told.append(path)))
    hidden = {p for p, _ in found if any(p.startswith(path + b"/") for path in gone)}
    assert rest == [(path, entry) for path, entry in found if path not in hidden]
    assert told == [path for path in gone if path not in hidden]


def test_save_layout_is_save() -> None:
    blobs = MemoryBlobs()
    assert save_layout(blobs, {b"a": {b"b": b"1"}}) == save({b"a": {b"b": b"1"}}, blobs)
