"""One pass over local files: every entry becomes a node, every new byte a blob."""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple

from holdfast.errors import DamagedRepository
from holdfast.filesystem import (
    Directory,
    Leave,
    Owners,
    Problem,
    Walk,
    node_from_stat,
    node_type,
    read_xattrs,
)
from holdfast.model.content import references
from holdfast.model.node import Content, Node, NodeType
from holdfast.model.roles import BlobLoader
from holdfast.model.snapshot import Snapshot
from holdfast.model.tree import load_directory, save_directory
from holdfast.operations.backup.options import BackupOptions
from holdfast.operations.backup.tally import Tally
from holdfast.operations.ingest import Ingest, Unreadable
from holdfast.primitives.ids import BlobId
from holdfast.progress import Progress
from holdfast.store import Rehearsal, Writer

_log = logging.getLogger(__name__)

GRANULARITY = 2_000_000_000
"""Nanoseconds in which a file may change unnoticed, on file systems with the coarsest times."""

READ_ATTEMPTS = 3
LINKS_REMEMBERED = 1 << 16
"""Files with several hard links whose content is not read again at the next link."""

_RETYPED = frozenset({errno.ELOOP, errno.ENXIO})
"""How opening a file fails where a symlink or a socket is now."""


class _Frame(NamedTuple):
    """A directory that is being backed up: its own node but for the tree, and what is in it."""

    node: Node
    nodes: list[Node]
    before: Mapping[bytes, Node]


class _Read(NamedTuple):
    """What was read of a file."""

    status: os.stat_result
    node: Node


class TreePass:
    """One pass over a local source: every entry becomes a node, every new byte a blob."""

    def __init__(
        self,
        writer: Writer | Rehearsal,
        ingest: Ingest,
        loader: BlobLoader,
        options: BackupOptions,
        progress: Progress,
    ) -> None:
        self._writer = writer
        self._ingest = ingest
        self._loader = loader
        self._progress = progress
        self.tally = Tally()
        self._owners = Owners()
        self._frames: list[_Frame] = []
        self._parent = options.parent
        self._trusted_before = 0 if options.force else _trusted_before(options.parent)
        self._devices: dict[int, int] = {}
        self._links: OrderedDict[tuple[int, int], _Read] = OrderedDict()
        self._told = 0

    def run(self, walk: Walk) -> BlobId:
        """Back up what the walk finds; returns the id of the root directory."""
        tree: BlobId | None = None
        for event in walk:
            if isinstance(event, Directory):
                self._enter(walk, event)
            elif isinstance(event, Leave):
                tree = self._leave()
            else:
                self.tally.problem(event)
        if tree is None or self._frames:
            raise RuntimeError("a walk ended inside a directory")
        return tree

    def _enter(self, walk: Walk, directory: Directory) -> None:
        before = self._before(directory.name)
        xattrs, problems = walk.xattrs()
        for problem in problems:
            self.tally.problem(problem)
        node = node_from_stat(directory.name, directory.status, self._owners, xattrs=xattrs)
        if not directory.complete:
            node = node._replace(extra={"incomplete": True})
        nodes: list[Node] = []
        self._frames.append(_Frame(node, nodes, before))
        self.tally.directories += 1
        here = os.fsdecode(directory.path)
        self._progress.advance(0, 0, here)
        for name, status in directory.files:
            size, self._told = self.tally.size, 0
            found = self._entry(walk, directory.path, name, status, before.get(name))
            if found is not None:
                nodes.append(found)
            self._progress.advance(1, max(self.tally.size - size - self._told, 0), here)

    def _leave(self) -> BlobId:
        frame = self._frames.pop()
        # A directory that changes while it is listed may give a name twice.
        unique = {node.name: node for node in frame.nodes}
        tree = save_directory(list(unique.values()), self._writer)
        if self._frames:
            self._frames[-1].nodes.append(frame.node._replace(payload=tree))
        return tree

    def _before(self, name: bytes) -> Mapping[bytes, Node]:
        """What the parent snapshot has in the directory that is entered."""
        if self._parent is None:
            return {}
        if not self._frames:
            tree: object = self._parent.tree
        else:
            node = self._frames[-1].before.get(name)
            tree = node.payload if node and node.type == NodeType.DIRECTORY else None
        if not isinstance(tree, bytes):
            return {}
        try:
            return {node.name: node for node in load_directory(BlobId(tree), self._loader)}
        except DamagedRepository as error:
            # Nothing is lost by reading files anew that the parent has no good record of.
            _log.warning("the parent snapshot is damaged: %s", error)
            return {}

    def _entry(
        self, walk: Walk, path: bytes, name: bytes, status: os.stat_result, before: Node | None
    ) -> Node | None:
        if stat.S_ISREG(status.st_mode):
            if before is not None and self._is_unchanged(before, status):
                self.tally.unmodified += 1
                self.tally.size += before.size
                return self._placed(before, status)
            return self._file(walk, path, name, status, before)
        return self._special(walk, path, name, status)

    def _is_unchanged(self, before: Node, status: os.stat_result) -> bool:
        return (
            before.mtime == status.st_mtime_ns
            and before.ctime == status.st_ctime_ns
            and before.size == status.st_size
            and before.inode == status.st_ino
            and before.type == NodeType.FILE
            and before.ctime < self._trusted_before
            and before.extra is None
            and self._is_stored(before)
        )

    def _is_stored(self, node: Node) -> bool:
        """Whether all blobs of a file are where this backup may build upon them."""
        content = node.payload
        if isinstance(content, bytes):
            return self._writer.has((BlobId(content),))
        if not isinstance(content, tuple):
            return content is None
        try:
            return self._writer.has(blob for _, blob in references(content, self._loader))
        except DamagedRepository as error:
            _log.warning("the parent snapshot is damaged: %s", error)
            return False

    def _placed(self, node: Node, status: os.stat_result) -> Node:
        """The node with the ordinal of its file system in this snapshot."""
        ordinal = self._ordinal(status)
        if node.filesystem != ordinal:
            node = node._replace(filesystem=ordinal)
        if ordinal is not None:
            self._remember(status, node)
        return node

    def _ordinal(self, status: os.stat_result) -> int | None:
        if status.st_nlink == 1:
            return None
        return self._devices.setdefault(status.st_dev, len(self._devices))

    def _file(
        self, walk: Walk, path: bytes, name: bytes, status: os.stat_result, before: Node | None
    ) -> Node | None:
        node = self._linked(name, status)
        if node is None:
            try:
                node = self._read(walk, name)
            except Unreadable as error:
                self.tally.problem(Problem.of(_join(path, name), error.operation, error.error))
                return None
        if node is None:
            return self._retyped(walk, path, name)
        self.tally.size += node.size
        if before is None or before.type != NodeType.FILE:
            self.tally.new += 1
        elif _same(before, node):
            self.tally.unmodified += 1
        else:
            self.tally.changed += 1
        return node

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
            self.tally.problem(walk.problem(name, "read attributes of", error))
        node = node_from_stat(
            name, status, self._owners, content, xattrs, self._ordinal(status)
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

    def _retyped(self, walk: Walk, path: bytes, name: bytes) -> Node | None:
        """An entry that was a file when it was listed, and is something else now."""
        try:
            status = walk.status(name)
        except OSError as error:
            self.tally.problem(Problem.of(_join(path, name), "open", error))
            return None
        if stat.S_ISREG(status.st_mode):
            self.tally.problem(
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
            self.tally.problem(Problem.of(_join(path, name), "read link", error))
            return None
        except KeyError:
            self.tally.problem(Problem(_join(path, name), "stat", 0, "an unknown type of file"))
            return None
        if kind is NodeType.DIRECTORY:
            self.tally.problem(
                Problem(_join(path, name), "list", 0, "it became a directory during the backup")
            )
            return None
        xattrs, problems = walk.xattrs(name)
        for problem in problems:
            self.tally.problem(problem)
        self.tally.others += 1
        return node_from_stat(name, status, self._owners, target, xattrs, self._ordinal(status))


def _trusted_before(parent: Snapshot | None) -> int:
    """Files with later times may have changed unnoticed after the parent read them."""
    if parent is None:
        return 0
    started = parent.how.get("started")
    return (started if isinstance(started, int) else parent.time_ns) - GRANULARITY


def _unchanged_since(before: os.stat_result, after: os.stat_result) -> bool:
    return (
        before.st_mtime_ns == after.st_mtime_ns
        and before.st_ctime_ns == after.st_ctime_ns
        and before.st_size == after.st_size
    )


def _same(before: Node, node: Node) -> bool:
    """Whether a file that was read again is as it was, but for what every copy changes."""
    return before._replace(ctime=0, inode=0, filesystem=None) == node._replace(
        ctime=0, inode=0, filesystem=None
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
