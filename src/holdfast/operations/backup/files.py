"""Reading what is no directory: every entry becomes a row, every new byte a blob."""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections import OrderedDict
from typing import NamedTuple

from holdfast.filesystem import Owners, Problem, Walk, node_from_stat, node_type, read_xattrs
from holdfast.model.node import (
    CTIME,
    FILESYSTEM,
    SIZE,
    TYPE,
    Content,
    Node,
    NodeType,
    Row,
    node_of,
)
from holdfast.operations.backup.tally import Tally
from holdfast.operations.ingest import Ingest, Unreadable
from holdfast.progress import Progress

_log = logging.getLogger(__name__)

READ_ATTEMPTS = 3
LINKS_REMEMBERED = 1 << 16
"""Files with several hard links whose content is not read again at the next link."""

_RETYPED = frozenset({errno.ELOOP, errno.ENXIO})
"""How opening a file fails where a symlink or a socket is now."""

_FILE = int(NodeType.FILE)
_REGULAR = stat.S_IFREG
_FORMAT = 0o170000
_TIMES = stat.ST_ATIME
"""What a status has before its times: mode, inode, device, links, owner, group and size."""


class _Read(NamedTuple):
    """What was read of a file."""

    status: os.stat_result
    node: Node


class FileReader:
    """Reads the entries of directories that are not taken over from the parent snapshot.

    Attributes:
        owners: names of users and groups.
    """

    def __init__(self, ingest: Ingest, tally: Tally, progress: Progress) -> None:
        self._ingest = ingest
        self._tally = tally
        self._progress = progress
        self.owners = Owners()
        self._devices: dict[int, int] = {}
        self._links: OrderedDict[tuple[int, int], _Read] = OrderedDict()
        self._told = 0

    def read(
        self, walk: Walk, path: bytes, name: bytes, status: os.stat_result, before: Row | None
    ) -> Row | None:
        """Read an entry and count it; None when nothing can be stored of it.

        Args:
            walk: has the directory open.
            path: of the directory.
            name: of the entry.
            status: as it was listed.
            before: the parent snapshot's row.
        """
        row: Row | None
        self._told = 0
        if status.st_mode & _FORMAT == _REGULAR:
            row = self._small(walk, name, status) or self._file(walk, path, name, status)
        else:
            row = self._special(walk, path, name, status)
        size = 0
        if row is not None and row[TYPE] == _FILE:
            size = row[SIZE]
            self._count(before, row)
        self._progress.advance(1, max(size - self._told, 0))
        return row

    def _count(self, before: Row | None, row: Row) -> None:
        tally = self._tally
        tally.size += row[SIZE]
        if before is None or before[TYPE] != _FILE:
            tally.new += 1
        elif _same(before, row):
            tally.unmodified += 1
        else:
            tally.changed += 1

    def placed(self, row: Row, status: os.stat_result) -> Row:
        """An unchanged file's row with the ordinal of its file system in this snapshot."""
        ordinal = self._ordinal(status)
        if ordinal is None and row[FILESYSTEM] is None:
            return row
        node = node_of(row)._replace(filesystem=ordinal)
        if ordinal is not None:
            self._remember(status, node)
        return node

    def _ordinal(self, status: os.stat_result) -> int | None:
        if status.st_nlink == 1:
            return None
        return self._devices.setdefault(status.st_dev, len(self._devices))

    def _small(self, walk: Walk, name: bytes, status: os.stat_result) -> Row | None:
        """The row of a small file with one name that is as it was listed after it was read.

        None of any other, and of one that fails: they are looked at more closely. Nearly all
        files are of this kind, and it takes the fewest system calls that tell all of a file.
        """
        size = status.st_size
        if size > self._ingest.small or status.st_nlink != 1:
            return None
        try:
            descriptor = walk.open_file(name)
        except OSError:
            return None
        try:
            data = os.pread(descriptor, size, 0)
            after = os.fstat(descriptor)
            if len(data) != size or not _is_as_listed(status, after):
                return None
            xattrs, errors = read_xattrs(descriptor)
        except OSError:
            return None
        finally:
            os.close(descriptor)
        for error in errors:
            self._tally.problem(walk.problem(name, "read attributes of", error))
        uid, gid = status.st_uid, status.st_gid
        return (
            name, _FILE, status.st_mode & 0o7777, uid, gid, *self.owners.names(uid, gid),
            status.st_mtime_ns, status.st_ctime_ns, status.st_ino, size,
            self._ingest.small_file(data, status), None, xattrs, None,
        )  # fmt: skip

    def _file(self, walk: Walk, path: bytes, name: bytes, status: os.stat_result) -> Row | None:
        node = self._linked(name, status)
        if node is None:
            try:
                node = self._read(walk, name)
            except Unreadable as error:
                self._tally.problem(Problem.of(_join(path, name), error.operation, error.error))
                return None
        return self._retyped(walk, path, name) if node is None else node

    def _linked(self, name: bytes, status: os.stat_result) -> Node | None:
        """The node of another link to a file that was read already and has not changed since."""
        if status.st_nlink == 1:
            return None
        read = self._links.get((status.st_dev, status.st_ino))
        if read is None or read.node.extra or not _unchanged_since(read.status, status):
            return None
        return read.node._replace(name=name)

    def _read(self, walk: Walk, name: bytes) -> Node | None:
        """Read a file, again if it changes meanwhile; None when it is no regular file any more.

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
            status, size, content, is_stable = self._read_stable(descriptor, status)
            xattrs, errors = read_xattrs(descriptor)
        finally:
            os.close(descriptor)
        for error in errors:
            self._tally.problem(walk.problem(name, "read attributes of", error))
        node = node_from_stat(
            name, status, self.owners, content, xattrs, self._ordinal(status)
        )._replace(size=size, extra=None if is_stable else {"changed": True})
        if not is_stable:
            _log.warning("%r changed while it was read", walk.problem(name, "", OSError()).path)
        return self._grouped(node, status)

    def _read_stable(
        self, descriptor: int, status: os.stat_result
    ) -> tuple[os.stat_result, int, Content | None, bool]:
        """Read a file until it does not change meanwhile, a few times at most.

        Returns:
            Its status afterwards, the bytes that were read, their content, and whether it held
            still.
        """
        attempt = 1
        while True:
            size, content = self._ingest.file(
                descriptor, status, self._tell if attempt == 1 else None
            )
            after = _status(descriptor)
            is_stable = size == status.st_size and _unchanged_since(status, after)
            if is_stable or attempt == READ_ATTEMPTS:
                return after, size, content, is_stable
            status = after
            attempt += 1

    def _tell(self, size: int) -> None:
        """Tell of bytes of a file that is still being read."""
        self._told += size
        self._progress.advance(0, size)

    def _grouped(self, node: Node, status: os.stat_result) -> Node:
        """The node of one of several links, but a file of its own if the others differ from it.

        They do if the file changed between them, or if its inode was given to a new file: links
        share one content when they are restored, and this entry's must not be another's.
        """
        if node.filesystem is None:
            return node
        read = self._links.get((status.st_dev, status.st_ino))
        if read is not None and read.node.payload != node.payload:
            return node._replace(filesystem=None)
        self._remember(status, node)
        return node

    def _remember(self, status: os.stat_result, node: Node) -> None:
        self._links[status.st_dev, status.st_ino] = _Read(status, node)
        if len(self._links) > LINKS_REMEMBERED:
            self._links.popitem(last=False)

    def _retyped(self, walk: Walk, path: bytes, name: bytes) -> Row | None:
        """An entry that was a file when it was listed, and is something else now."""
        try:
            status = walk.status(name)
        except OSError as error:
            self._tally.problem(Problem.of(_join(path, name), "open", error))
            return None
        if stat.S_ISREG(status.st_mode):
            self._tally.problem(
                Problem(_join(path, name), "open", 0, "it kept changing its type during the backup")
            )
            return None
        return self._special(walk, path, name, status)

    def _special(self, walk: Walk, path: bytes, name: bytes, status: os.stat_result) -> Row | None:
        """A link, fifo, socket or device: stored as what it is, never opened."""
        target: bytes | None = None
        try:
            kind = node_type(status)
            if kind is NodeType.SYMLINK:
                target = walk.readlink(name)
        except OSError as error:
            self._tally.problem(Problem.of(_join(path, name), "read link", error))
            return None
        except KeyError:
            self._tally.problem(Problem(_join(path, name), "stat", 0, "an unknown type of file"))
            return None
        if kind is NodeType.DIRECTORY:
            self._tally.problem(
                Problem(_join(path, name), "list", 0, "it became a directory during the backup")
            )
            return None
        xattrs, problems = walk.xattrs(name)
        for problem in problems:
            self._tally.problem(problem)
        self._tally.others += 1
        return node_from_stat(name, status, self.owners, target, xattrs, self._ordinal(status))


def _is_as_listed(listed: os.stat_result, after: os.stat_result) -> bool:
    """Whether an open file is the one that was listed, and has not changed since."""
    return (
        listed[:_TIMES] == after[:_TIMES]
        and listed.st_mtime_ns == after.st_mtime_ns
        and listed.st_ctime_ns == after.st_ctime_ns
    )


def _unchanged_since(before: os.stat_result, after: os.stat_result) -> bool:
    return (
        before.st_mtime_ns == after.st_mtime_ns
        and before.st_ctime_ns == after.st_ctime_ns
        and before.st_size == after.st_size
    )


def _same(before: Row, row: Row) -> bool:
    """Whether a file that was read again is as it was, but for what every copy changes."""
    return (
        before[:CTIME] == row[:CTIME]
        and before[SIZE:FILESYSTEM] == row[SIZE:FILESYSTEM]  # not the inode between them
        and before[FILESYSTEM + 1 :] == row[FILESYSTEM + 1 :]
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
