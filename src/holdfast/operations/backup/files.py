"""Reading what is no directory: every entry becomes a row, every new byte a blob."""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from holdfast.filesystem import (
    Directory,
    Owners,
    Problem,
    Walk,
    node_from_stat,
    node_type,
    read_xattrs,
)
from holdfast.model.node import SIZE, TYPE, Content, Node, NodeType, Row, Xattrs
from holdfast.operations.backup.links import Links, Ordinals, unchanged_since
from holdfast.operations.ingest import Ingest, Tell, Unreadable
from holdfast.progress import Progress

_log = logging.getLogger(__name__)

READ_ATTEMPTS = 3

_RETYPED = frozenset({errno.ELOOP, errno.ENXIO})
"""How opening a file fails where a symlink or a socket is now."""

_FILE = int(NodeType.FILE)
_REGULAR = stat.S_IFREG
_FORMAT = 0o170000
_TIMES = stat.ST_ATIME
"""What a status has before its times: mode, inode, device, links, owner, group and size."""

T = TypeVar("T")

SaveSmall: TypeAlias = Callable[[bytes, os.stat_result], Content | None]
"""Stores all of a small file, see `Ingest.small_file`."""

Store: TypeAlias = Callable[[int, os.stat_result, Tell | None], tuple[int, T]]
"""Stores an open file, see `Ingest.file`; what it returns beside the size is up to it."""


class Read(NamedTuple, Generic[T]):
    """What was read of a file.

    Attributes:
        status: its status afterwards.
        size: bytes that were read.
        content: what came of storing them.
        xattrs: its extended attributes.
        is_stable: it did not change meanwhile.
    """

    status: os.stat_result
    size: int
    content: T
    xattrs: Xattrs
    is_stable: bool


class SourceReader:
    """Reads the entries of directories that a walk has open, for whoever stores them.

    Args:
        small: most bytes of a file that `save_small` takes.
        save_small: stores a small file.
        on_problem: told of what could not be read.
        progress: told of the bytes of large files.

    Attributes:
        ordinals: of the file systems.
    """

    def __init__(
        self,
        small: int,
        save_small: SaveSmall,
        on_problem: Callable[[Problem], None],
        progress: Progress,
    ) -> None:
        self._small_size = small
        self._save_small = save_small
        self._on_problem = on_problem
        self._progress = progress
        self._owners = Owners()
        self.ordinals = Ordinals()
        self._told = 0

    def directory(self, walk: Walk, directory: Directory) -> Node:
        """A directory's own node, without its tree."""
        xattrs, problems = walk.xattrs()
        for problem in problems:
            self._on_problem(problem)
        node = node_from_stat(directory.name, directory.status, self._owners, xattrs=xattrs)
        return node if directory.complete else node._replace(extra={"incomplete": True})

    def _small(self, walk: Walk, name: bytes, status: os.stat_result) -> Row | None:
        """The row of a small file with one name that is as it was listed after it was read.

        None of any other, and of one that fails: they are looked at more closely. Nearly all
        files are of this kind, and it takes the fewest system calls that tell all of a file.
        """
        size = status.st_size
        if size > self._small_size or status.st_nlink != 1:
            return None
        try:
            descriptor = walk.open_file(name)
        except OSError:
            return None
        try:
            data = os.pread(descriptor, size + 1, 0)  # one more: see `pour_file`
            after = os.fstat(descriptor)
            if len(data) != size or not _is_as_listed(status, after):
                return None
            xattrs, errors = read_xattrs(descriptor)
        except OSError:
            return None
        finally:
            os.close(descriptor)
        for error in errors:
            self._on_problem(walk.problem(name, "read attributes of", error))
        uid, gid = status.st_uid, status.st_gid
        return (
            name, _FILE, status.st_mode & 0o7777, uid, gid, *self._owners.names(uid, gid),
            status.st_mtime_ns, status.st_ctime_ns, status.st_ino, size,
            self._save_small(data, status), None, xattrs, None,
        )  # fmt: skip

    def _regular(
        self, walk: Walk, path: bytes, name: bytes, store: Store[T]
    ) -> Read[T] | Node | None:
        """Read a file, again if it changes meanwhile.

        Returns:
            What was read; the node of what it has become, if that is no regular file any more;
            None when nothing can be stored of it.
        """
        try:
            read = self._read(walk, name, store)
        except Unreadable as error:
            self._on_problem(Problem.of(_join(path, name), error.operation, error.error))
            return None
        return self._retyped(walk, path, name) if read is None else read

    def _read(self, walk: Walk, name: bytes, store: Store[T]) -> Read[T] | None:
        """Read a file; None when it is no regular file any more.

        Raises:
            Unreadable: it cannot be opened or read.
        """
        descriptor = _open(walk, name)
        if descriptor is None:
            return None
        try:
            status = _status(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return None
            status, size, content, is_stable = self._read_stable(descriptor, status, store)
            xattrs, errors = read_xattrs(descriptor)
        finally:
            os.close(descriptor)
        for error in errors:
            self._on_problem(walk.problem(name, "read attributes of", error))
        if not is_stable:
            _log.warning("%r changed while it was read", walk.problem(name, "", OSError()).path)
        return Read(status, size, content, xattrs, is_stable)

    def _read_stable(
        self, descriptor: int, status: os.stat_result, store: Store[T]
    ) -> tuple[os.stat_result, int, T, bool]:
        """Read a file until it does not change meanwhile, a few times at most.

        Returns:
            Its status afterwards, the bytes that were read, their content, and whether it held
            still.
        """
        attempt = 1
        while True:
            size, content = store(descriptor, status, self._tell if attempt == 1 else None)
            after = _status(descriptor)
            has_all = size == status.st_size or not status.st_size
            is_stable = has_all and unchanged_since(status, after)
            if is_stable or attempt == READ_ATTEMPTS:
                return after, size, content, is_stable
            status = after
            attempt += 1

    def _tell(self, size: int) -> None:
        """Tell of bytes of a file that is still being read."""
        self._told += size
        self._progress.advance(0, size)

    def _node(self, name: bytes, read: Read[T], content: Content | None, links: Links) -> Node:
        """The node of a file that was read, as one repository has it.

        Args:
            name: of the file.
            read: what was read of it.
            content: where that repository has its bytes.
            links: what it has of other links.
        """
        node = node_from_stat(
            name, read.status, self._owners, content, read.xattrs, self.ordinals.of(read.status)
        )._replace(size=read.size, extra=None if read.is_stable else {"changed": True})
        return links.grouped(node, read.status)

    def _retyped(self, walk: Walk, path: bytes, name: bytes) -> Node | None:
        """An entry that was a file when it was listed, and is something else now."""
        try:
            status = walk.status(name)
        except OSError as error:
            self._on_problem(Problem.of(_join(path, name), "open", error))
            return None
        if stat.S_ISREG(status.st_mode):
            self._on_problem(
                Problem(_join(path, name), "open", 0, "it kept changing its type during the backup")
            )
            return None
        return self._special(walk, path, name, status)

    def _special(self, walk: Walk, path: bytes, name: bytes, status: os.stat_result) -> Node | None:
        """A link, fifo, socket or device: stored as what it is, never opened."""
        target: bytes | None = None
        try:
            kind = node_type(status)
            if kind is NodeType.SYMLINK:
                target = walk.readlink(name)
        except OSError as error:
            self._on_problem(Problem.of(_join(path, name), "read link", error))
            return None
        except KeyError:
            self._on_problem(Problem(_join(path, name), "stat", 0, "an unknown type of file"))
            return None
        if kind is NodeType.DIRECTORY:
            self._on_problem(
                Problem(_join(path, name), "list", 0, "it became a directory during the backup")
            )
            return None
        xattrs, problems = walk.xattrs(name)
        for problem in problems:
            self._on_problem(problem)
        return node_from_stat(name, status, self._owners, target, xattrs, self.ordinals.of(status))


class FileReader(SourceReader):
    """Reads the entries that one repository does not take over from its parent snapshot.

    Attributes:
        links: what is known of files with several links.
    """

    def __init__(
        self, ingest: Ingest, on_problem: Callable[[Problem], None], progress: Progress
    ) -> None:
        super().__init__(ingest.small, ingest.small_file, on_problem, progress)
        self._store = ingest.file
        self.links = Links(self.ordinals)

    def read(self, walk: Walk, path: bytes, name: bytes, status: os.stat_result) -> Row | None:
        """Read an entry; None when nothing can be stored of it.

        Args:
            walk: has the directory open.
            path: of the directory.
            name: of the entry.
            status: as it was listed.
        """
        row: Row | None
        self._told = 0
        if status.st_mode & _FORMAT == _REGULAR:
            row = self._small(walk, name, status) or self._file(walk, path, name, status)
        else:
            row = self._special(walk, path, name, status)
        size = row[SIZE] if row is not None and row[TYPE] == _FILE else 0
        self._progress.advance(1, max(size - self._told, 0))
        return row

    def _file(self, walk: Walk, path: bytes, name: bytes, status: os.stat_result) -> Row | None:
        node = self.links.find(name, status)
        if node is not None:
            return node
        read = self._regular(walk, path, name, self._store)
        return self._node(name, read, read.content, self.links) if isinstance(read, Read) else read


def _is_as_listed(listed: os.stat_result, after: os.stat_result) -> bool:
    """Whether an open file is the one that was listed, and has not changed since."""
    return (
        listed[:_TIMES] == after[:_TIMES]
        and listed.st_mtime_ns == after.st_mtime_ns
        and listed.st_ctime_ns == after.st_ctime_ns
    )


def _open(walk: Walk, name: bytes) -> int | None:
    """A descriptor of a file; None when it is no file any more."""
    try:
        return walk.open_file(name)
    except OSError as error:
        if error.errno in _RETYPED:
            return None
        raise Unreadable(error, "open") from error


def _status(descriptor: int) -> os.stat_result:
    try:
        return os.fstat(descriptor)
    except OSError as error:
        raise Unreadable(error, "stat") from error


def _join(path: bytes, name: bytes) -> bytes:
    return (b"" if path == b"/" else path) + b"/" + name
