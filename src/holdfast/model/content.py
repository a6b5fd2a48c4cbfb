"""A file's content: which blobs, in which order, and where the holes are.

Wire form, inside a file's entry (`Node.payload`)::

    content = nil                  an empty file
            | id                   bin 32: the whole file is one blob
            | [level, [item, …]]   anything else, at most 1024 items
    item    = [id, length]         a blob and its length in bytes, more than 0
            | run                  an integer more than 0: that many bytes of zeros

At level 0 an item's id is that of a blob of the file. Above it, the id is that of a *list blob*:
a msgpack array of 1 to 4096 items of the level below, whose lengths add up to the item's length.
Runs of zeros stand at level 0 only, so inside the lists of a long file; two of them are never
neighbours. A file of one single blob is always written as the bare id.

Lists are cut where the content says so, so that a change early in a file leaves the later lists
as they were: a list ends after an item whose id has its first 4 bytes, read as a little-endian
integer, zero in the low 10 bits, once the list holds 256 items or more; and after 4096 items in
any case. While more than 1024 items remain, they are cut into lists, and the items that name
those lists are the next level. Equal items therefore always give the same content.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Container, Iterator
from itertools import accumulate
from typing import NamedTuple, TypeAlias, TypeGuard, cast

from holdfast.errors import DamagedRepository, HoldfastError, ObjectUnreadable
from holdfast.model.node import Content, Item
from holdfast.model.roles import BlobLoader, TreeSaver
from holdfast.primitives import codec
from holdfast.primitives.ids import ID_SIZE, BlobId

MAX_INLINE = 1024
"""Most items inside an entry."""

MIN_LIST = 256
"""Least items of a list that is cut by content."""

MAX_LIST = 4096
"""Most items of a list."""

CUT_MASK = 0x3FF
"""A list ends after an id with these bits zero: one in 1024."""

MAX_LEVEL = 8
"""Highest level that is read: far above what a file of 2^63 bytes needs."""

MAX_LIST_BYTES = 1 << 20
"""Largest list blob in bytes that is decoded."""

AHEAD = 4
"""List blobs that are asked for ahead of their use."""

Items: TypeAlias = tuple[Item, ...]

OnBlob: TypeAlias = Callable[[int, BlobId], object]
"""Told the level and id of a blob: list blobs above level 0, data at 0."""


class ContentBuilder:
    """Collects the pieces of one file and writes its list blobs, in bounded memory."""

    def __init__(self, saver: TreeSaver) -> None:
        self._saver = saver
        self._size = 0
        self._zeros = 0
        self._levels: list[_Level] = [_Level()]

    def add_blob(self, blob: BlobId, length: int) -> None:
        """Append a blob of `length` bytes, more than 0."""
        if length <= 0:
            raise ValueError(f"a blob of {length} bytes")
        self._add_run()
        self._size += length
        self._add(0, (blob, length))

    def add_zeros(self, count: int) -> None:
        """Append so many bytes of zeros."""
        if count < 0:
            raise ValueError(f"{count} bytes of zeros")
        self._zeros += count
        self._size += count

    def finish(self) -> tuple[int, Content | None]:
        """End the file; returns its size in bytes and its content."""
        self._add_run()
        level = 0
        while self._levels[level].cutting:
            if self._levels[level].items:
                self._add(level + 1, self._levels[level].flush(self._saver))
            level += 1
        items = tuple(self._levels[level].items)
        if not items:
            return 0, None
        if level == 0 and len(items) == 1 and isinstance(items[0], tuple):
            return self._size, items[0][0]
        return self._size, (level, items)

    def _add_run(self) -> None:
        if self._zeros:
            run, self._zeros = self._zeros, 0
            self._add(0, run)

    def _add(self, level: int, item: Item) -> None:
        """Append an item to a level, and what that completes to the levels above."""
        if level == len(self._levels):
            self._levels.append(_Level())
        for done in self._levels[level].add(item, self._saver):
            self._add(level + 1, done)


class _Level:
    """The items of one level that are in no list yet."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.cutting = False

    def add(self, item: Item, saver: TreeSaver) -> list[Item]:
        """Append an item; returns the items that name the lists which are complete now."""
        self.items.append(item)
        if self.cutting:
            return [self.flush(saver)] if _ends_list(item, len(self.items)) else []
        if len(self.items) <= MAX_INLINE:
            return []
        self.cutting = True
        waiting, self.items = self.items, []
        return [done for old in waiting for done in self.add(old, saver)]

    def flush(self, saver: TreeSaver) -> Item:
        """Write the items as a list blob; returns the item that names it."""
        items, self.items = self.items, []
        return saver.save_tree(codec.pack(items)), _total(items)


def _ends_list(item: Item, count: int) -> bool:
    if count >= MAX_LIST:
        return True
    if count < MIN_LIST or isinstance(item, int):
        return False
    return not int.from_bytes(item[0][:4], "little") & CUT_MASK


def _total(items: Items | list[Item]) -> int:
    return sum([item if isinstance(item, int) else item[1] for item in items])


def check_content(content: object, size: int) -> None:
    """Refuse what is no content of a file of `size` bytes (ValueError); loads no lists."""
    if content is None or isinstance(content, bytes):
        if (content is None) != (size == 0) or (content is not None and len(content) != ID_SIZE):
            raise ValueError("a file's size and content disagree")
        return
    if not isinstance(content, tuple) or list(map(type, content)) != [int, tuple]:
        raise ValueError("a file's content is neither an id nor a level with items")
    level, items = content
    if not 0 <= level <= MAX_LEVEL:
        raise ValueError("a file's content has an impossible level")
    checked = _check_items(items, level, size)
    if len(checked) > MAX_INLINE:
        raise ValueError(f"a file's content has {len(checked)} items, more than {MAX_INLINE}")
    if level == 0 and len(checked) == 1 and isinstance(checked[0], tuple):
        raise ValueError("a file's content is a list of one blob, which is written as its id")


def iter_items(
    content: Content | None, size: int, loader: BlobLoader, start: int = 0
) -> Iterator[tuple[int, Item]]:
    """Give (offset in the file, item) from the item that holds byte `start` to the end.

    Loads one list per level to find the start, then one at a time.

    Raises:
        DamagedRepository: a list blob is missing or damaged, or is no such list.
    """
    if content is None:
        return
    if isinstance(content, bytes):
        if start < size:
            yield 0, (content, size)
        return
    level, items = content
    pending = _from(items, level, 0, start)
    while pending:
        level, offset, item = pending.pop()
        if level == 0 or isinstance(item, int):
            yield offset, item
            continue
        _prefetch(pending, loader)
        pending += _from(_load_list(item, level, loader), level - 1, offset, start)


class Stretch(NamedTuple):
    """Some neighbouring items of a file.

    Attributes:
        offset: where in the file the first one begins.
        items: blobs and runs of zeros; where a list blob cannot be read, one run for all that it
            would tell of.
        damage: why it cannot be read.
    """

    offset: int
    items: Items
    damage: HoldfastError | None = None


def load_stretch(content: Content | None, size: int, loader: BlobLoader, position: int) -> Stretch:
    """The items of one list, among them that which holds a byte; loads one list of each level.

    Args:
        content: of the file.
        size: of the file in bytes.
        loader: where list blobs are.
        position: of the byte, less than `size`.
    """
    if content is None or isinstance(content, bytes):
        return Stretch(0, () if content is None else ((content, size),))
    level, items = content
    offset = 0
    while level:
        _, offset, item = _from(items, level, offset, position)[-1]
        named = cast("tuple[BlobId, int]", item)  # runs stand at level 0 only
        try:
            items = _load_list(named, level, loader)
        except (DamagedRepository, ObjectUnreadable) as error:
            return Stretch(offset, (named[1],), error)
        level -= 1
    return Stretch(offset, items)


def references(
    content: Content | None, loader: BlobLoader, known: Container[BlobId] = ()
) -> Iterator[tuple[int, BlobId]]:
    """Give (level, id) of every blob that a content needs: list blobs above level 0, data at 0.

    A list in `known` is passed over with all below it. A list is given before it is loaded and
    what it names, so a caller may well add what it gets to `known`.

    Raises:
        DamagedRepository: a list blob is missing or damaged, or is no such list.
    """
    if content is None:
        return
    if isinstance(content, bytes):
        yield 0, content
        return
    level, items = content
    pending = _from(items, level, 0, 0)
    while pending:
        level, _, item = pending.pop()
        if isinstance(item, int):
            continue
        if level == 0:
            yield 0, item[0]
        elif item[0] not in known:
            yield level, item[0]
            _prefetch(pending, loader)
            pending += _from(_load_list(item, level, loader), level - 1, 0, 0)


def blob_ids(content: Content | None, loader: BlobLoader) -> Iterator[BlobId]:
    """The ids of a file's data blobs, in order, as often as each occurs."""
    return (blob for level, blob in references(content, loader) if level == 0)


def data_size(
    content: Content | None,
    size: int,
    loader: BlobLoader,
    known: dict[BlobId, int],
    on_blob: OnBlob,
) -> int:
    """Bytes of a file of `size` bytes that are in blobs, and not in runs of zeros.

    Args:
        content: of the file.
        size: of the file in bytes.
        loader: where list blobs are.
        known: what is in the lists that were loaded already; others are added, so that none is
            loaded twice, however often it is named.
        on_blob: told of each blob, as `references` gives them.

    Raises:
        DamagedRepository: a list blob is missing or damaged, or is no such list.
    """
    if content is None:
        return 0
    level, items = (0, ((content, size),)) if isinstance(content, bytes) else content
    return _data_size(items, level, loader, known, on_blob)


def _data_size(
    items: Items, level: int, loader: BlobLoader, known: dict[BlobId, int], on_blob: OnBlob
) -> int:
    total = 0
    for item in items:
        if isinstance(item, int):
            continue
        blob, length = item
        if level == 0:
            on_blob(level, blob)
        elif blob in known:
            length = known[blob]
        else:
            on_blob(level, blob)
            below = _load_list(item, level, loader)
            length = known[blob] = _data_size(below, level - 1, loader, known, on_blob)
        total += length
    return total


def list_blobs(content: Content | None, loader: BlobLoader) -> Iterator[BlobId]:
    """The ids of a content's list blobs."""
    return (blob for level, blob in references(content, loader) if level > 0)


_Pending: TypeAlias = list[tuple[int, int, Item]]
"""(level, offset, item), the next one last."""


def _from(items: Items, level: int, offset: int, start: int) -> _Pending:
    """The items that end after `start`, last one first; `offset` is where the first one begins."""
    lengths = [item if isinstance(item, int) else item[1] for item in items]
    ends = list(accumulate(lengths, initial=offset))
    first = bisect_right(ends, start, 1) - 1
    return [(level, ends[i], items[i]) for i in range(len(items) - 1, first - 1, -1)]


def _prefetch(pending: _Pending, loader: BlobLoader) -> None:
    ahead = [
        item[0]
        for level, _, item in reversed(pending[-AHEAD:])
        if level and not isinstance(item, int)
    ]
    if ahead:
        loader.prefetch(ahead)


def _load_list(item: tuple[BlobId, int], level: int, loader: BlobLoader) -> Items:
    """Load the list blob that an item above level 0 names."""
    blob, length = item
    data = loader.load(blob)
    try:
        return _decode_list(data, level - 1, length)
    except ValueError as error:
        raise DamagedRepository(f"tree {blob.hex()}", str(error)) from None


def _decode_list(data: bytes, level: int, size: int) -> Items:
    if len(data) > MAX_LIST_BYTES:
        raise ValueError(f"a list of {len(data)} bytes, more than {MAX_LIST_BYTES}")
    items = _check_items(codec.unpack_rows(data), level, size)
    if len(items) > MAX_LIST:
        raise ValueError(f"a list of {len(items)} items, more than {MAX_LIST}")
    return items


def _check_items(items: object, level: int, size: int) -> Items:
    """The items, if they are some and add up to `size` bytes (ValueError)."""
    if not isinstance(items, tuple):
        raise ValueError("a list of items is not an array")  # noqa: TRY004 - one error for all
    total = 0
    after_run = level > 0
    for item in items:
        if _is_pair(item):
            length = item[1]
            after_run = level > 0
        elif type(item) is int and not after_run:
            length = item
            after_run = True
        else:
            raise ValueError("an item is neither an id with a length nor a run of zeros")
        if length <= 0:
            raise ValueError(f"an item of {length} bytes")
        total += length
    if total != size or not items:
        raise ValueError(f"items of {total} bytes where {size} are declared")
    return cast("Items", items)


def _is_pair(item: object) -> TypeGuard[tuple[BlobId, int]]:
    if type(item) is not tuple or list(map(type, item)) != [bytes, int]:
        return False
    return len(item[0]) == ID_SIZE
