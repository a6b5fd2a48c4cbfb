"""Directories as blobs: one page, or a few levels of pages when there are many entries.

Wire form, a msgpack array of two::

    [0, [entry, …]]         a leaf: entries in strictly ascending order of their raw names
    [n, [child, …]]         n from 1 to 5, an inner node: [first name, id, entries below] of each
                            page of level n - 1, in ascending order, at least one
    entry = [name, type, mode, uid, gid, user, group, mtime, ctime, inode, size, payload,
             filesystem, xattrs, extra]

An entry has exactly these 15 fields, as `holdfast.model.node.Node` explains them: name and link
targets are bin, user and group str or nil, `payload` is content (see `holdfast.model.content`)
for a file, a tree id for a directory, the target for a symbolic link, the device number for a
device, nil for the rest; xattrs are [name, value] pairs of bin, ascending; `extra` is nil or a
map with string keys, of which unknown ones are kept. Times are integers; one that is outside
-2^63 … 2^64 - 1 is 16 bytes, a signed big-endian integer. An unknown type is an error:
what an older program cannot understand is announced in the repository's config.

A page holds at most 4096 entries or children and at most 4 MiB, and a directory that fits is one
page. A larger one is cut before a name whose keyed BLAKE3 has 10 zero bits: the first 8
bytes of it, as a little-endian integer, are zero in bits 10 n to 10 n + 9, where n is the level
of the pages that are cut; and before an entry that would be too much for its page. Pages of
level n + 1 list those of level n, until one page holds all. So an entry more or less changes the
page it is in and one page on each level above.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from operator import itemgetter
from typing import NamedTuple, TypeAlias

from holdfast.errors import DamagedRepository
from holdfast.model.node import Node, Row, node_of
from holdfast.model.roles import BlobLoader, TreeSaver
from holdfast.model.rows import check_nodes, decode_rows, encode_nodes
from holdfast.primitives import codec, hashing
from holdfast.primitives.ids import ID_SIZE, BlobId

MAX_ENTRIES = 4096
"""Most entries or children of one page."""

MAX_PAGE = 4 << 20
"""Largest page in bytes."""

MAX_LEVEL = 5
"""Highest level of an inner node."""

OnDamage: TypeAlias = Callable[[DamagedRepository], object]
"""Told of a page that cannot be read; what it names is passed over."""

OnPage: TypeAlias = Callable[[BlobId], object]
"""Told the id of a page."""

_PAGE_HEADER = 16
_CHILD_BYTES = 64
_CUT_BITS = 10
_AHEAD = 4
_name = itemgetter(0)


class _Page(NamedTuple):
    """What is known of a page before it is read; level None for the top one."""

    id: BlobId
    level: int | None
    first: bytes
    end: bytes | None
    entries: int


class _Child(NamedTuple):
    """An inner node's row."""

    first: bytes
    id: BlobId
    entries: int


def save_directory(nodes: Iterable[Row], saver: TreeSaver) -> BlobId:
    """Store a directory's entries, in whatever order they come; returns the tree's id.

    Raises:
        ValueError: a name occurs twice, an entry is malformed (nothing is ever written that would
            not be read back), or one alone is larger than a page may be.
    """
    ordered = sorted(nodes, key=_name)
    if not ordered:
        return saver.save_tree(codec.pack([0, []]))
    check_nodes(ordered)
    rows = encode_nodes(ordered)
    if len(rows) <= MAX_ENTRIES:
        data = codec.pack([0, rows])
        if len(data) <= MAX_PAGE:
            return saver.save_tree(data)
    return _save_pages(rows, saver)


def load_directory(
    tree: BlobId,
    loader: BlobLoader,
    *,
    after: bytes = b"",
    on_damage: OnDamage | None = None,
    on_page: OnPage | None = None,
) -> Iterator[Node]:
    """Give a directory's entries in order of their names, holding one page at a time.

    Args:
        tree: the directory.
        loader: where its pages are.
        after: only entries whose names follow this one.
        on_damage: called with the error of a page that cannot be read; then the next page is
            read. Without it the error is raised.
        on_page: called with the id of every page before it is read, for whoever needs to know
            all blobs that a directory is made of.

    Raises:
        DamagedRepository: a page is missing or damaged, or is no page of a directory.
    """
    for page in _leaves(tree, loader, after, on_damage, on_page):
        yield from map(node_of, page)


def load_rows(tree: BlobId, loader: BlobLoader) -> tuple[list[Row], list[BlobId]]:
    """A directory's entries in order of their names, and the ids of its pages, its own first.

    Raises:
        DamagedRepository: a page is missing or damaged, or is no page of a directory.
    """
    level, rows, _ = _load_page(_Page(tree, None, b"", None, 0), loader)
    if level == 0:
        return list(rows), [tree]
    pages: list[BlobId] = []
    leaves = _leaves(tree, loader, b"", None, pages.append)
    return list(chain.from_iterable(leaves)), pages


def _leaves(
    tree: BlobId,
    loader: BlobLoader,
    after: bytes,
    on_damage: OnDamage | None,
    on_page: OnPage | None,
) -> Iterator[Sequence[Row]]:
    """The entries of one page after another; the arguments are as for `load_directory`."""
    pending = [_Page(tree, None, b"", None, 0)]
    while pending:
        page = pending.pop()
        if pending:
            loader.prefetch([later.id for later in reversed(pending[-_AHEAD:])])
        if on_page is not None:
            on_page(page.id)
        try:
            level, rows, children = _load_page(page, loader)
        except DamagedRepository as error:
            if on_damage is None:
                raise
            on_damage(error)
            continue
        if level == 0:
            start = bisect_right(rows, after, key=_name) if after else 0
            yield rows[start:] if start else rows
        else:
            below = _pages(children, level - 1, page.end)
            pending += [
                child for child in reversed(below) if child.end is None or child.end > after
            ]


class Leaf(NamedTuple):
    """Some neighbouring entries of a directory.

    Attributes:
        first: no name before this one is among them.
        end: nor this one or any after it; None when they go to the end of the directory.
        rows: all entries with names between, in order of these.
    """

    first: bytes
    end: bytes | None
    rows: Sequence[Row]

    def covers(self, name: bytes) -> bool:
        """Whether an entry of that name would be here."""
        return self.first <= name and (self.end is None or name < self.end)

    def find(self, name: bytes) -> Node | None:
        """The entry of that name, or None."""
        index = bisect_right(self.rows, name, key=_name) - 1
        return node_of(self.rows[index]) if index >= 0 and self.rows[index][0] == name else None


def load_leaf(tree: BlobId, name: bytes, loader: BlobLoader) -> Leaf:
    """The page of a directory that an entry of that name is in, if there is one.

    Reads one page of each level.

    Raises:
        DamagedRepository: a page is missing or damaged, or is no page of a directory.
    """
    page = _Page(tree, None, b"", None, 0)
    while True:
        level, rows, children = _load_page(page, loader)
        if level == 0:
            return Leaf(page.first, page.end, rows)
        index = bisect_right(children, name, key=_name) - 1
        if index < 0:
            return Leaf(page.first, children[0].first, ())
        page = _pages(children, level - 1, page.end)[index]


def find_entry(tree: BlobId, name: bytes, loader: BlobLoader) -> Node | None:
    """The entry of that name, or None; reads one page of each level.

    Raises:
        DamagedRepository: a page is missing or damaged, or is no page of a directory.
    """
    return load_leaf(tree, name, loader).find(name)


def _load_page(page: _Page, loader: BlobLoader) -> tuple[int, Sequence[Row], list[_Child]]:
    """Read a page: its level, and its entries or its children."""
    data = loader.load(page.id)
    try:
        level, values = _decode_page(data)
        rows = decode_rows(values) if level == 0 else ()
        children = _decode_children(values) if level else []
        if page.level is not None:
            _check_place(page, level, rows, children)
    except ValueError as error:
        raise DamagedRepository(f"tree {page.id.hex()}", str(error)) from None
    return level, rows, children


def _decode_page(data: bytes) -> tuple[int, tuple[object, ...]]:
    if len(data) > MAX_PAGE:
        raise ValueError(f"a page of {len(data)} bytes, more than {MAX_PAGE}")
    value = codec.unpack_rows(data)
    if not isinstance(value, tuple) or list(map(type, value)) != [int, tuple]:
        raise ValueError("not a page of a directory")
    level, rows = value
    if not 0 <= level <= MAX_LEVEL:
        raise ValueError(f"a page of level {level}")
    if len(rows) > MAX_ENTRIES:
        raise ValueError(f"a page of {len(rows)} entries, more than {MAX_ENTRIES}")
    return level, rows


def _decode_children(rows: tuple[object, ...]) -> list[_Child]:
    children: list[_Child] = []
    for row in rows:
        if not isinstance(row, tuple) or list(map(type, row)) != [bytes, bytes, int]:
            raise ValueError("a child is not a name, an id and a number")
        child = _Child._make(row)
        if len(child.id) != ID_SIZE or child.entries <= 0:
            raise ValueError("a child's id or number of entries is out of range")
        if children and child.first <= children[-1].first:
            raise ValueError("children are not in ascending order")
        children.append(child)
    if not children:
        raise ValueError("an inner node without children")
    return children


def _check_place(page: _Page, level: int, rows: Sequence[Row], children: list[_Child]) -> None:
    """Whether a page is what the inner node above it says."""
    count = sum(child.entries for child in children) if level else len(rows)
    if level != page.level or count != page.entries:
        raise ValueError("a page is not of the level or number of entries that its parent says")
    first = children[0].first if level else rows[0][0]
    last = children[-1].first if level else rows[-1][0]
    if first != page.first or (page.end is not None and last >= page.end):
        raise ValueError("a page does not cover the names that its parent says")


def _pages(children: list[_Child], level: int, end: bytes | None) -> list[_Page]:
    """What an inner node says of the pages below; its own names end before `end`."""
    ends = [*(child.first for child in children[1:]), end]
    return [
        _Page(child.id, level, child.first, child_end, child.entries)
        for child, child_end in zip(children, ends, strict=True)
    ]


def _save_pages(rows: Sequence[Row], saver: TreeSaver) -> BlobId:
    """Store a directory that one page cannot hold."""
    sizes = [len(codec.pack(row)) for row in rows]
    names = [row[0] for row in rows]
    children = [
        _Child(names[start], saver.save_tree(codec.pack([0, rows[start:end]])), end - start)
        for start, end in _cut(names, sizes, 0, saver.page_key)
    ]
    level = 0
    while len(children) > 1:
        level += 1
        names = [child.first for child in children]
        sizes = [len(name) + _CHILD_BYTES for name in names]
        whole = len(children) <= MAX_ENTRIES and sum(sizes) <= MAX_PAGE - _PAGE_HEADER
        cuts = [(0, len(children))] if whole else _cut(names, sizes, level, saver.page_key)
        children = [_save_inner(children[start:end], level, saver) for start, end in cuts]
    return children[0].id


def _save_inner(children: list[_Child], level: int, saver: TreeSaver) -> _Child:
    blob = saver.save_tree(codec.pack([level, children]))
    return _Child(children[0].first, blob, sum(child.entries for child in children))


def _cut(
    names: Sequence[bytes], sizes: Sequence[int], level: int, key: bytes
) -> list[tuple[int, int]]:
    """Where the pages of a level begin and end."""
    starts: list[int] = []
    total = 0
    for index, (name, size) in enumerate(zip(names, sizes, strict=True)):
        if size > MAX_PAGE - _PAGE_HEADER:
            raise ValueError(f"an entry of {size} bytes, more than a page may hold")
        full = not starts or index - starts[-1] == MAX_ENTRIES
        if full or total + size > MAX_PAGE - _PAGE_HEADER or _begins_page(name, level, key):
            starts.append(index)
            total = 0
        total += size
    return list(zip(starts, [*starts[1:], len(names)], strict=True))


def _begins_page(name: bytes, level: int, key: bytes) -> bool:
    bits = int.from_bytes(hashing.keyed(key, name)[:8], "little")
    return not (bits >> (_CUT_BITS * level)) & ((1 << _CUT_BITS) - 1)
