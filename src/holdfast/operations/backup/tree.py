"""One pass over local files: what is unchanged is taken over, everything else is read."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from operator import itemgetter
from typing import NamedTuple

from holdfast.errors import DamagedRepository
from holdfast.filesystem import Directory, Leave, Walk, node_from_stat
from holdfast.model.content import references
from holdfast.model.node import PAYLOAD, SIZE, TYPE, Node, NodeType, Row
from holdfast.model.roles import BlobLoader
from holdfast.model.snapshot import Snapshot
from holdfast.model.tree import load_rows, save_directory
from holdfast.operations.backup.files import FileReader
from holdfast.operations.backup.options import BackupOptions
from holdfast.operations.backup.tally import Tally
from holdfast.operations.ingest import Ingest
from holdfast.primitives.ids import BlobId
from holdfast.progress import Progress
from holdfast.store import Rehearsal, Writer

_log = logging.getLogger(__name__)

GRANULARITY = 2_000_000_000
"""Nanoseconds in which a file may change unnoticed, on file systems with the coarsest times."""

_FILE, _DIRECTORY = int(NodeType.FILE), int(NodeType.DIRECTORY)
_FORMAT, _REGULAR = 0o170000, 0o100000
_name = itemgetter(0)

_Files = Sequence[tuple[bytes, os.stat_result]]


class _Before(NamedTuple):
    """What the parent snapshot has in a directory: its entries in order, and its tree's blobs."""

    rows: list[Row]
    by_name: dict[bytes, Row]
    pages: list[BlobId]


_NOTHING = _Before([], {}, [])


class _Frame(NamedTuple):
    """A directory that is being backed up.

    Attributes:
        node: its own, but for the tree.
        rows: what is in it.
        before: what the parent snapshot has.
        is_stored: the parent's tree is where this backup may build upon it.
    """

    node: Node
    rows: list[Row]
    before: _Before
    is_stored: bool


class TreePass:
    """One pass over a local source: every entry becomes a row, every new byte a blob."""

    def __init__(
        self,
        writer: Writer | Rehearsal,
        ingest: Ingest,
        loader: BlobLoader,
        options: BackupOptions,
        progress: Progress,
    ) -> None:
        self._writer = writer
        self._loader = loader
        self._progress = progress
        self.tally = Tally()
        self._files = FileReader(ingest, self.tally, progress)
        self._frames: list[_Frame] = []
        self._parent = options.parent
        self._trusted_before = 0 if options.force else _trusted_before(options.parent)

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
        path = directory.path
        left: _Files = directory.files
        self.tally.directories += 1
        self._progress.advance(0, 0, os.fsdecode(path))
        before = self._before(directory.name)
        rows: list[Row] = []
        is_stored = False
        if before.pages:
            left, is_stored = self._take_over(left, before, rows)
        self._frames.append(_Frame(self._node(walk, directory), rows, before, is_stored))
        read, get = self._files.read, before.by_name.get
        for name, status in left:
            row = read(walk, path, name, status, get(name))
            if row is not None:
                rows.append(row)

    def _node(self, walk: Walk, directory: Directory) -> Node:
        """The directory's own node, without its tree."""
        xattrs, problems = walk.xattrs()
        for problem in problems:
            self.tally.problem(problem)
        node = node_from_stat(directory.name, directory.status, self._files.owners, xattrs=xattrs)
        return node if directory.complete else node._replace(extra={"incomplete": True})

    def _leave(self) -> BlobId:
        node, rows, before, is_stored = self._frames.pop()
        rows.sort(key=_name)
        if is_stored and rows == before.rows:
            tree = before.pages[0]  # the same would come of it
        else:
            # A directory that changes while it is listed may give a name twice.
            tree = save_directory({row[0]: row for row in rows}.values(), self._writer)
        if self._frames:
            self._frames[-1].rows.append(node._replace(payload=tree))
        return tree

    def _before(self, name: bytes) -> _Before:
        """What the parent snapshot has in the directory that is entered."""
        if self._frames:
            was = self._frames[-1].before.by_name.get(name)
            tree = was[PAYLOAD] if was is not None and was[TYPE] == _DIRECTORY else None
        else:
            tree = None if self._parent is None else self._parent.tree
        if not isinstance(tree, bytes):
            return _NOTHING
        try:
            rows, pages = load_rows(BlobId(tree), self._loader)
        except DamagedRepository as error:
            # Nothing is lost by reading files anew that the parent has no good record of.
            _log.warning("the parent snapshot is damaged: %s", error)
            return _NOTHING
        return _Before(rows, dict(zip(map(_name, rows), rows, strict=True)), pages)

    def _take_over(self, files: _Files, before: _Before, rows: list[Row]) -> tuple[_Files, bool]:
        """Take over the rows of unchanged files whose blobs are stored.

        Returns:
            The other entries, and whether the parent's tree is stored itself.
        """
        unchanged, blobs, left = self._unchanged(files, before)
        # One question for all: what is stored is nearly always everything.
        is_stored = self._writer.has(blobs + before.pages)
        if not is_stored:
            stored = {row[0] for row in unchanged if self._is_stored(row)}
            left = [file for file in files if file[0] not in stored]
            unchanged = [row for row in unchanged if row[0] in stored]
        rows += unchanged
        size = sum([row[SIZE] for row in unchanged])
        self.tally.unmodified += len(unchanged)
        self.tally.size += size
        self._progress.advance(len(unchanged), size)
        return left, is_stored

    def _unchanged(self, files: _Files, before: _Before) -> tuple[list[Row], list[BlobId], _Files]:
        """Compare files with what the parent has of them, in one loop, as there may be many.

        Returns:
            The rows of those that are unchanged, the blobs of those that are one blob (of others
            it was seen that they are stored), and all other entries.
        """
        rows: list[Row] = []
        blobs: list[BlobId] = []
        left: list[tuple[bytes, os.stat_result]] = []
        get, trusted_before = before.by_name.get, self._trusted_before
        for file in files:
            name, status = file
            row = get(name)
            if row is not None:
                _, kind, _, _, _, _, _, mtime, ctime, inode, size, payload, at, _, extra = row
                if (
                    mtime == status.st_mtime_ns
                    and ctime == status.st_ctime_ns
                    and size == status.st_size
                    and inode == status.st_ino
                    and ctime < trusted_before
                    and kind == _FILE
                    and status.st_mode & _FORMAT == _REGULAR
                    and extra is None
                ):
                    if type(payload) is bytes and at is None and status.st_nlink == 1:
                        blobs.append(BlobId(payload))
                        rows.append(row)
                        continue
                    if self._is_stored(row):
                        rows.append(self._files.placed(row, status))
                        continue
            left.append(file)
        return rows, blobs, left

    def _is_stored(self, row: Row) -> bool:
        """Whether all blobs of a file are where this backup may build upon them."""
        content = row[PAYLOAD]
        if isinstance(content, bytes):
            return self._writer.has((BlobId(content),))
        if not isinstance(content, tuple):
            return content is None
        try:
            return self._writer.has([blob for _, blob in references(content, self._loader)])
        except DamagedRepository as error:
            _log.warning("the parent snapshot is damaged: %s", error)
            return False


def _trusted_before(parent: Snapshot | None) -> int:
    """Files with later times may have changed unnoticed after the parent read them."""
    if parent is None:
        return 0
    started = parent.how.get("started")
    return (started if isinstance(started, int) else parent.time_ns) - GRANULARITY
