"""A view in the kernel's terms: numbers of inodes, attributes, holes, codes of errors.

What is below ``ids`` never changes, so the kernel may keep it as long as it likes. `View` shows the
same snapshot in several places; here all of them but ``ids`` are symbolic links to there. So
`du` and `grep -r` meet each snapshot once, what the kernel keeps of a file is good for all its
paths, and a file that is open stays the same when ``latest`` becomes another snapshot.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from typing import Final, NamedTuple, cast

from holdfast.engine.connection import Connection
from holdfast.engine.snapshotfs.layout import IDS
from holdfast.engine.snapshotfs.reading import FileReader
from holdfast.engine.snapshotfs.view import Item, View
from holdfast.errors import (
    BackendError,
    DamagedRepository,
    HoldfastError,
    PathNotFound,
    SnapshotNotFound,
)
from holdfast.model.content import iter_items
from holdfast.model.node import Item as BlobItem
from holdfast.model.node import Node, NodeType
from holdfast.model.path import ROOT, printable
from holdfast.model.snapshot import Snapshot
from holdfast.model.walk import file_content

_log = logging.getLogger(__name__)

_IDS: Final = ROOT + IDS + b"/"
_BLOCK: Final = 512
_LINK_MODE: Final = 0o777
_MOST_READERS: Final = 32
_MOST_LISTS: Final = 16
"""Lists of a file's blobs that are read to find out how much room it takes."""

_MOST_LISTED: Final = 20_000
_MOST_KEPT: Final = 10_000

_KINDS: Final[dict[int, int]] = {
    NodeType.FILE: stat.S_IFREG,
    NodeType.DIRECTORY: stat.S_IFDIR,
    NodeType.SYMLINK: stat.S_IFLNK,
    NodeType.FIFO: stat.S_IFIFO,
    NodeType.SOCKET: stat.S_IFSOCK,
    NodeType.CHARACTER_DEVICE: stat.S_IFCHR,
    NodeType.BLOCK_DEVICE: stat.S_IFBLK,
}


class Attributes(NamedTuple):
    """What `stat` says of an entry; times in nanoseconds, blocks of 512 bytes.

    A directory has one link, which says that how many is not known, as btrfs does. So does a
    snapshot not know how many names a file has; a file with several has two.
    """

    mode: int
    inode: int
    links: int
    uid: int
    gid: int
    device: int
    size: int
    blocks: int
    mtime: int
    ctime: int


class Kernel:
    """Answers what the kernel asks about paths. Safe to use from several threads.

    Every method raises OSError with the code that the asking program is to see. What is wrong with
    the repository goes to the log, once for each file.
    """

    def __init__(self, repository: Connection, snapshot: str | None = None) -> None:
        """Begin.

        Args:
            repository: which; it has to stay open.
            snapshot: name of a snapshot, or a place in one; None for all snapshots.

        Raises:
            SnapshotNotFound, PathNotFound: it is not there.
            UsageError: the place is no directory.
        """
        self._is_whole = snapshot is None
        self._view = View(repository, snapshot)
        self._loader = repository._store.loader()  # noqa: SLF001 - one package
        self._lock = threading.Lock()
        self._readers: OrderedDict[bytes, FileReader] = OrderedDict()
        self._listed: OrderedDict[bytes, dict[bytes, Item]] = OrderedDict()
        self._listed_count = 0
        self._told: set[tuple[bytes, str]] = set()
        self._counted: dict[bytes, int] = {}

    def close(self) -> None:
        """Let go of everything, when nobody asks any more."""
        self._readers.clear()
        self._loader.close()
        self._view.close()

    def attributes(self, path: bytes) -> Attributes:
        """What `stat` says."""
        with self._errors(path):
            return self._of(self._item(path))

    def entries(self, path: bytes) -> Sequence[tuple[bytes, Attributes]]:
        """The names in a directory, each with what `stat` says."""
        start = len(path) if path == ROOT else len(path) + 1
        with self._errors(path):
            items = self._view.items(path)
            if self.is_fixed(path):
                self._remember(path, {item.path: item for item in items})
            return [(item.path[start:], self._of(item)) for item in items]

    def target(self, path: bytes) -> bytes:
        """Where a symbolic link leads."""
        with self._errors(path):
            item = self._item(path)
            return self._link(item) if self._is_link(item) else self._view.link_target(path)

    def xattrs(self, path: bytes) -> dict[bytes, bytes]:
        """The extended attributes."""
        with self._errors(path):
            item = self._item(path)
            return {} if self._is_link(item) else dict(item.node.xattrs)

    def is_fixed(self, path: bytes) -> bool:
        """Whether a directory stays as it is for as long as it is mounted."""
        return not self._is_whole or path.startswith(_IDS)

    def read(self, path: bytes, offset: int, length: int) -> bytes:
        """Bytes of a file, fewer only at its end."""
        with self._errors(path):
            reader = self._reader(path)
            data = reader.read_at(offset, length)
            if offset + length < reader.size:
                self._keep(path, reader)
            return data

    def seek(self, path: bytes, offset: int, *, hole: bool) -> int:
        """Where the first hole, or the first data, is at or after an offset."""
        with self._errors(path):
            node = self._item(path).node
            if node.type != NodeType.FILE or not 0 <= offset < node.size:
                raise _error(errno.ENXIO)
            for begin, item in iter_items(file_content(node), node.size, self._loader, offset):
                if isinstance(item, int) == hole:
                    return max(begin, offset)
            if hole:
                return node.size
            raise _error(errno.ENXIO)

    def _of(self, item: Item) -> Attributes:
        node = item.node
        if self._is_link(item):
            size, time = len(self._link(item)), node.mtime
            mode = stat.S_IFLNK | _LINK_MODE
            return Attributes(mode, _inode(item.path), 1, 0, 0, 0, size, 0, time, time)
        if node.filesystem is None or item.snapshot is None:
            inode, links = _inode(item.path), 1
        else:
            of = f"{item.snapshot.id} {node.filesystem} {node.inode}"
            inode, links = _inode(b"\0" + of.encode()), 2
        is_device = node.type >= NodeType.CHARACTER_DEVICE
        return Attributes(
            _KINDS[node.type] | node.mode,
            inode,
            links,
            node.uid,
            node.gid,
            cast("int", node.payload) if is_device else 0,
            node.size,
            self._block_count(node) if node.type == NodeType.FILE else 0,
            node.mtime,
            node.ctime,
        )

    def _is_link(self, item: Item) -> bool:
        """Whether it is a snapshot that is shown elsewhere, too."""
        return self._is_whole and item.snapshot is not None and not item.path.startswith(_IDS)

    def _link(self, item: Item) -> bytes:
        """The way from a place where a snapshot is shown to its place below ``ids``."""
        name = self._view.id_name(cast("Snapshot", item.snapshot))
        return b"../" * (item.path.count(b"/") - 1) + _IDS[1:] + name

    def _block_count(self, node: Node) -> int:
        """How much room a file takes, which is less than its size where it has holes."""
        content = file_content(node)
        if content is None or isinstance(content, bytes):
            return _blocks(node.size)
        level, items = content
        if level == 0:
            return _without_holes(items)
        if level > 1 or len(items) > _MOST_LISTS:
            return _blocks(node.size)  # to look for holes would take too long
        key = b"".join(item[0] for item in items if not isinstance(item, int))
        known = self._counted.get(key)
        if known is None:
            try:
                pieces = iter_items(content, node.size, self._loader)
                known = _without_holes(each for _, each in pieces)
            except (DamagedRepository, BackendError):  # who reads the file will be told
                return _blocks(node.size)
            if len(self._counted) < _MOST_KEPT:
                self._counted[key] = known
        return known

    def _item(self, path: bytes) -> Item:
        listed = self._listed.get(path.rpartition(b"/")[0])
        found = None if listed is None else listed.get(path)
        return found or self._view.item(path)

    def _remember(self, path: bytes, items: dict[bytes, Item]) -> None:
        """Keep what was found in a directory: mostly it is looked at next."""
        with self._lock:
            old = self._listed.pop(path, None)
            self._listed[path] = items
            self._listed_count += _cost(items) - (0 if old is None else _cost(old))
            while len(self._listed) > 1 and self._listed_count > _MOST_LISTED:
                self._listed_count -= _cost(self._listed.popitem(last=False)[1])

    def _reader(self, path: bytes) -> FileReader:
        with self._lock:
            known = self._readers.get(path)
            if known is not None:
                self._readers.move_to_end(path)
        return known or self._view.reader(self._item(path))

    def _keep(self, path: bytes, reader: FileReader) -> None:
        """Keep a reader, of which more will be asked."""
        with self._lock:
            self._readers.setdefault(path, reader)
            is_full = len(self._readers) > _MOST_READERS
            oldest = self._readers.popitem(last=False)[1] if is_full else None
        if oldest is not None:
            oldest.leave()  # not `close`: another thread may read by it just now

    @contextmanager
    def _errors(self, path: bytes) -> Iterator[None]:
        try:
            yield
        except PathNotFound:
            raise _error(errno.ENOENT) from None
        except SnapshotNotFound as error:
            self._tell(path, error)
            raise _error(errno.ESTALE) from None
        except HoldfastError as error:
            self._tell(path, error)
            raise _error(errno.EIO) from None

    def _tell(self, path: bytes, error: HoldfastError) -> None:
        told = (path, str(error))
        with self._lock:
            if told in self._told or len(self._told) >= _MOST_KEPT:
                return
            self._told.add(told)
        _log.error("%s: %s", printable(path), error)


def _error(code: int) -> OSError:
    return OSError(code, os.strerror(code))


def _inode(key: bytes) -> int:
    """A number for an inode, the same in every mount; by chance two are equal in 2^64 only."""
    return int.from_bytes(blake2b(key, digest_size=8).digest(), "little") or 2


def _cost(items: Mapping[bytes, Item]) -> int:
    """How much of what may be remembered a directory takes; an empty one takes some, too."""
    return len(items) + 1


def _without_holes(items: Iterable[BlobItem]) -> int:
    return _blocks(sum(each[1] for each in items if not isinstance(each, int)))


def _blocks(size: int) -> int:
    return -(-size // _BLOCK)
