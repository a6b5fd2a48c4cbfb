"""One pass over local files: what is unchanged is taken over, everything else is read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from operator import itemgetter
from typing import NamedTuple, TypeAlias

from holdfast.filesystem import Directory, Leave, Walk
from holdfast.model.node import CTIME, FILESYSTEM, SIZE, TYPE, Node, NodeType, Row
from holdfast.model.roles import BlobLoader
from holdfast.model.tree import save_directory
from holdfast.operations.backup.files import FileReader
from holdfast.operations.backup.links import Links
from holdfast.operations.backup.options import BackupOptions
from holdfast.operations.backup.parent import (
    NOTHING,
    Before,
    is_stored,
    load_before,
    trusted_before,
)
from holdfast.operations.backup.tally import Tally
from holdfast.operations.ingest import Ingest
from holdfast.primitives.ids import BlobId
from holdfast.progress import Progress
from holdfast.store import Rehearsal, Writer

_FILE = int(NodeType.FILE)
_FORMAT, _REGULAR = 0o170000, 0o100000
_name = itemgetter(0)

Files: TypeAlias = Sequence[tuple[bytes, os.stat_result]]
"""Entries of a directory as they were listed."""


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
    before: Before
    is_stored: bool


class TreeBuilder:
    """The tree that one repository gets: takes over from its parent snapshot, is given the rest.

    Args:
        writer: stores directories, and knows what is stored.
        loader: reads the parent snapshot.
        options: name the parent.
        links: of this repository, in this pass.
        tally: counts what there is.
    """

    def __init__(
        self,
        writer: Writer | Rehearsal,
        loader: BlobLoader,
        options: BackupOptions,
        links: Links,
        tally: Tally,
    ) -> None:
        self._writer = writer
        self._loader = loader
        self._links = links
        self._tally = tally
        self._frames: list[_Frame] = []
        self._rows: list[Row] = []
        self._rows_before = NOTHING.by_name
        self._parent = options.parent
        self._trusted_before = 0 if options.force else trusted_before(options.parent)
        self._root: BlobId | None = None

    @property
    def root(self) -> BlobId:
        """The root directory, after all was left."""
        if self._root is None or self._frames:
            raise RuntimeError("a walk ended inside a directory")
        return self._root

    def enter(self, node: Node, files: Files) -> Files:
        """Enter a directory, and take over its unchanged files.

        Args:
            node: its own, but for the tree.
            files: what is in it and no directory.

        Returns:
            The files that are to be read, and given to `add` before anything else is entered.
        """
        self._tally.directories += 1
        before = self._before(node.name)
        rows: list[Row] = []
        is_stored = False
        if before.pages:
            files, is_stored = self._take_over(files, before, rows)
        self._frames.append(_Frame(node, rows, before, is_stored))
        self._rows, self._rows_before = rows, before.by_name
        return files

    def add(self, row: Row) -> None:
        """Take an entry that was read in the directory that was entered last, and count it."""
        self._rows.append(row)
        tally = self._tally
        if row[TYPE] != _FILE:
            tally.others += 1
            return
        tally.size += row[SIZE]
        before = self._rows_before.get(row[0])
        if before is None or before[TYPE] != _FILE:
            tally.new += 1
        elif _same(before, row):
            tally.unmodified += 1
        else:
            tally.changed += 1

    def leave(self) -> None:
        """Store the directory that was entered last."""
        node, rows, before, is_stored = self._frames.pop()
        rows.sort(key=_name)
        if is_stored and rows == before.rows:
            tree = before.pages[0]  # the same would come of it
        else:
            # A directory that changes while it is listed may give a name twice.
            tree = save_directory({row[0]: row for row in rows}.values(), self._writer)
        if self._frames:
            self._frames[-1].rows.append(node._replace(payload=tree))
        else:
            self._root = tree

    def _before(self, name: bytes) -> Before:
        """What the parent snapshot has in the directory that is entered."""
        if self._frames:
            tree = self._frames[-1].before.tree(name)
        else:
            tree = None if self._parent is None else self._parent.tree
        return load_before(tree, self._loader)

    def _take_over(self, files: Files, before: Before, rows: list[Row]) -> tuple[Files, bool]:
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
        self._tally.unmodified += len(unchanged)
        self._tally.size += sum([row[SIZE] for row in unchanged])
        return left, is_stored

    def _unchanged(self, files: Files, before: Before) -> tuple[list[Row], list[BlobId], Files]:
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
                        rows.append(self._links.placed(row, status))
                        continue
            left.append(file)
        return rows, blobs, left

    def _is_stored(self, row: Row) -> bool:
        return is_stored(row, self._writer, self._loader)


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
        self._progress = progress
        self.tally = Tally()
        self._reader = FileReader(ingest, self.tally.problem, progress)
        self._tree = TreeBuilder(writer, loader, options, self._reader.links, self.tally)

    def run(self, walk: Walk) -> BlobId:
        """Back up what the walk finds; returns the id of the root directory."""
        for event in walk:
            if isinstance(event, Directory):
                self._enter(walk, event)
            elif isinstance(event, Leave):
                self._tree.leave()
            else:
                self.tally.problem(event)
        return self._tree.root

    def _enter(self, walk: Walk, directory: Directory) -> None:
        path, tally = directory.path, self.tally
        self._progress.advance(0, 0, os.fsdecode(path))
        count, size = tally.unmodified, tally.size
        left = self._tree.enter(self._reader.directory(walk, directory), directory.files)
        self._progress.advance(tally.unmodified - count, tally.size - size)
        read, add = self._reader.read, self._tree.add
        for name, status in left:
            row = read(walk, path, name, status)
            if row is not None:
                add(row)


def _same(before: Row, row: Row) -> bool:
    """Whether a file that was read again is as it was, but for what every copy changes."""
    return (
        before[:CTIME] == row[:CTIME]
        and before[SIZE:FILESYSTEM] == row[SIZE:FILESYSTEM]  # not the inode between them
        and before[FILESYSTEM + 1 :] == row[FILESYSTEM + 1 :]
    )
