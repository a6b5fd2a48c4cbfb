"""One pass over a store: what is unchanged is taken over, everything else is read.

Objects are read ahead of the thread that stores them (`fetch`), which takes them in the order of
the listing: so a folder is complete when its end comes up.

An object is unchanged if its size, its time and its tag (the store's mark of a version) are as the
parent has them. The tag is kept with its entry, in `extra`. Where a store has none, an object
counts as unchanged only if its time lies well before the parent's backup, as for local files.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Final

from holdfast.backend import Listed, RemoteFailure
from holdfast.filesystem import Leave, Owners, Problem
from holdfast.filesystem.remote import Folder, Object, RemoteEvent, RemoteSource
from holdfast.model.node import (
    PAYLOAD,
    SIZE,
    TAG,
    TYPE,
    Content,
    Extra,
    Node,
    NodeType,
    Row,
    node_of,
)
from holdfast.model.roles import BlobLoader
from holdfast.model.tree import save_directory
from holdfast.operations.backup.elsewhere import Elsewhere
from holdfast.operations.backup.fetch import Fetched, Fetcher, Ticket, Unfetched
from holdfast.operations.backup.options import BackupOptions
from holdfast.operations.backup.parent import Before, is_stored, load_before, trusted_before
from holdfast.operations.backup.tally import Tally
from holdfast.operations.ingest import Ingest
from holdfast.primitives.ids import BlobId
from holdfast.progress import Progress
from holdfast.store import Rehearsal, Writer

_FILE: Final = int(NodeType.FILE)
_DIRECTORY: Final = int(NodeType.DIRECTORY)
_MODE: Final = 0o644
_FOLDER_MODE: Final = 0o755
_name = itemgetter(0)


@dataclass(slots=True, eq=False)
class _Frame:
    """A folder that is being backed up.

    Attributes:
        folder: it.
        above: the one it is in; None for ``/``.
        before: what the parent snapshot has.
        is_stored: all of that is where this backup may build upon it.
        rows: what is in it so far.
        newest: the latest time in it.
        folders: names of the folders in it so far.
        doubted: objects that have the name of a folder of the parent snapshot, and most likely
            of one that is still to come: then they have no place in the tree.
        gone: objects that the store said are not there when they were read.
    """

    folder: Folder
    above: _Frame | None
    before: Before
    is_stored: bool
    rows: list[Row] = field(default_factory=list)
    newest: int = 0
    folders: set[bytes] = field(default_factory=set)
    doubted: list[Object] = field(default_factory=list)
    gone: list[Object] = field(default_factory=list)

    def add(self, node: Row, mtime: int) -> None:
        """An entry of it."""
        self.rows.append(node)
        self.newest = max(self.newest, mtime)


@dataclass(slots=True, eq=False)
class _Item:
    """What waits to be done: an object to be stored, or a folder that ends."""

    frame: _Frame
    object: Object | None = None
    ticket: Ticket | None = None


class ObjectPass:
    """One pass over a store.

    Attributes:
        tally: what it has counted.
    """

    def __init__(
        self,
        source: RemoteSource,
        writer: Writer | Rehearsal,
        ingest: Ingest,
        loader: BlobLoader,
        options: BackupOptions,
        progress: Progress,
    ) -> None:
        self.tally = Tally()
        self._source = source
        self._writer = writer
        self._ingest = ingest
        self._loader = loader
        self._progress = progress
        self._executor = options.executor
        self._parent = options.parent
        self._is_forced = options.force
        self._trusted_before = trusted_before(options.parent)
        owners = Owners()
        uid, gid = os.geteuid(), os.getegid()
        self._owner = (uid, gid, owners.user(uid), owners.group(gid))
        self._frames: list[_Frame] = []
        self._waiting: deque[_Item] = deque()
        self._tree: BlobId | None = None
        self._told = 0

    def run(self) -> BlobId:
        """Back up what the source has; returns the id of the root directory.

        Raises:
            SourceError: the store fails as a whole.
            Disordered: the pass is to begin anew.
            UsageError: the executor cannot be used.
        """
        with (
            Fetcher(self._source.objects, self._writer, self._ingest, self._owner[0]) as own,
            self._fetcher(own) as fetcher,
        ):
            for event in self._source.walk():
                self._take(event, fetcher)
                while self._is_due(fetcher):
                    self._do(self._waiting.popleft(), fetcher)
            while self._waiting:
                self._do(self._waiting.popleft(), fetcher)
        if self._tree is None:
            raise RuntimeError("a walk ended inside a folder")
        return self._tree

    def _fetcher(self, own: Fetcher) -> Fetcher | Elsewhere:
        """What reads objects: this process, or an executor's, unless nothing is to be stored."""
        if self._executor is None or not isinstance(self._writer, Writer):
            return own
        address, owner = self._source.objects.address, self._owner[0]
        return Elsewhere(self._executor, address, self._writer, self._ingest, owner, own)

    def _take(self, event: RemoteEvent, fetcher: Fetcher | Elsewhere) -> None:
        match event:
            case Folder():
                self._enter(event)
            case Leave():
                self._decide(self._frames[-1], fetcher)
                self._waiting.append(_Item(self._frames.pop()))
            case Object():
                self._object(event, fetcher)
            case Problem():
                self.tally.problem(event)

    def _is_due(self, fetcher: Fetcher | Elsewhere) -> bool:
        """Whether what waits first is to be done before anything else is looked at."""
        if not self._waiting:
            return False
        is_end = self._waiting[0].object is None
        return is_end or fetcher.is_full or len(self._waiting) > fetcher.most_waiting

    def _enter(self, folder: Folder) -> None:
        self.tally.directories += 1
        self._progress.advance(0, 0, os.fsdecode(folder.path))
        above = self._frames[-1] if self._frames else None
        if above is not None:
            above.folders.add(folder.name)
            tree = above.before.tree(folder.name)
        else:
            tree = None if self._parent is None else self._parent.tree
        before = load_before(tree, self._loader)
        blobs = [
            BlobId(row[PAYLOAD])
            for row in before.rows
            if row[TYPE] == _FILE and isinstance(row[PAYLOAD], bytes)
        ]
        # One question for all: what is stored is nearly always everything.
        stored = bool(before.pages) and self._writer.has(blobs + before.pages)
        self._frames.append(_Frame(folder, above, before, stored))

    def _object(self, item: Object, fetcher: Fetcher | Elsewhere) -> None:
        frame = self._frames[-1]
        row = frame.before.by_name.get(item.name)
        if row is not None and self._is_unchanged(frame, row, item.listed):
            frame.add(row, item.listed.mtime or 0)
            self.tally.unmodified += 1
            self.tally.size += row[SIZE]
            self._progress.advance(1, row[SIZE])
        elif row is not None and row[TYPE] == _DIRECTORY:
            frame.doubted.append(item)
        else:
            self._waiting.append(_Item(frame, item, fetcher.begin(item.listed)))

    def _decide(self, frame: _Frame, fetcher: Fetcher | Elsewhere) -> None:
        """All of a folder was told of: read what has no name of a folder in it after all."""
        for item in frame.doubted:
            if item.name in frame.folders:
                self._tell_clash(item.path)
                self._progress.advance(1, 0)
            else:
                self._waiting.append(_Item(frame, item, fetcher.begin(item.listed)))
        frame.doubted.clear()

    def _tell_clash(self, path: bytes) -> None:
        clash = "there is a folder of this name too, and a tree has one entry of a name"
        self.tally.problem(Problem(path, "read", 0, clash))

    def _is_unchanged(self, frame: _Frame, row: Row, listed: Listed) -> bool:
        """Whether the parent's entry can be taken over."""
        if self._is_forced or row[TYPE] != _FILE:
            return False
        node = node_of(row)
        mtime = listed.mtime or 0
        if (node.size, node.mtime, node.extra) != (listed.size, mtime, _extra(listed)):
            return False
        if not listed.tag and not 0 < mtime < self._trusted_before:
            return False
        if frame.is_stored and not isinstance(node.payload, tuple):
            return True
        return is_stored(row, self._writer, self._loader)

    def _do(self, waiting: _Item, fetcher: Fetcher | Elsewhere) -> None:
        if waiting.object is None or waiting.ticket is None:
            self._leave(waiting.frame)
            return
        self._told = 0
        try:
            fetched = fetcher.store(waiting.ticket, self._tell)
        except Unfetched as problem:
            self._note(waiting.frame, waiting.object, problem)
            self._progress.advance(1, 0)
            return
        node = self._node(waiting.object.name, fetched)
        self._count(waiting.frame.before.by_name.get(node.name), node)
        waiting.frame.add(node, node.mtime)
        self._progress.advance(1, max(node.size - self._told, 0), os.fsdecode(waiting.object.path))

    def _note(self, frame: _Frame, item: Object, problem: Unfetched) -> None:
        """Record that an object could not be read.

        Raises:
            SourceError: nothing can.
        """
        if problem.failure is not None:
            self._source.blame(problem.failure)
        if problem.is_gone:
            frame.gone.append(item)
        else:
            self.tally.problem(Problem(item.path, "read", 0, str(problem)))

    def _look_again(self, frame: _Frame) -> None:
        """Tell vanished objects from those that are listed, but that the store does not give.

        Raises:
            SourceError: nothing can be listed.
        """
        if not frame.gone:
            return
        message = "it is listed, but the store says that there is no such object"
        folder = frame.gone[0].listed.path.rpartition("/")[0]
        try:
            there = {listed.path for listed in self._source.objects.folder(folder)}
        except RemoteFailure as failure:
            self._source.blame(failure)
            there = set()
            if not failure.is_absence:
                there.update(item.listed.path for item in frame.gone)
                message = f"it may be gone, but its folder cannot be listed: {failure}"
        for item in frame.gone:
            number = 0 if item.listed.path in there else errno.ENOENT
            self.tally.problem(Problem(item.path, "read", number, message))

    def _tell(self, size: int) -> None:
        self._told += size
        self._progress.advance(0, size)

    def _count(self, before: Row | None, node: Row, by: int = 1) -> None:
        self.tally.size += node[SIZE] * by
        if before is None or before[TYPE] != _FILE:
            self.tally.new += by
        elif before == node:
            self.tally.unmodified += by
        else:
            self.tally.changed += by

    def _leave(self, frame: _Frame) -> None:
        """Store a folder, all of which was stored before."""
        self._look_again(frame)
        rows = self._distinct(frame)
        before = frame.before
        if frame.is_stored and rows == before.rows:
            tree = before.pages[0]  # the same would come of it
        else:
            tree = save_directory(rows, self._writer)
        if frame.above is None:
            self._tree = tree
            return
        extra: Extra | None = None if frame.folder.complete else {"incomplete": True}
        node = self._entry(frame.folder.name, NodeType.DIRECTORY, frame.newest, tree, extra=extra)
        frame.above.add(node, frame.newest)

    def _distinct(self, frame: _Frame) -> list[Row]:
        """The entries of a folder by name, each name once.

        A store may have an object and a folder of one name; a tree may not.
        """
        rows: dict[bytes, Row] = {}
        for row in frame.rows:
            other = rows.get(row[0])
            if other is not None and other[TYPE] != row[TYPE]:
                self._tell_clash(frame.folder.path.rstrip(b"/") + b"/" + row[0])
                file = row if row[TYPE] == _FILE else other
                self._count(frame.before.by_name.get(row[0]), file, -1)
                if file is row:
                    continue
            rows[row[0]] = row
        return sorted(rows.values(), key=_name)

    def _node(self, name: bytes, fetched: Fetched) -> Node:
        changed: Extra = {"changed": True}
        extra = _extra(fetched.listed) if fetched.is_stable else changed
        mtime = fetched.listed.mtime or 0
        return self._entry(
            name, NodeType.FILE, mtime, fetched.content, size=fetched.size, extra=extra
        )

    def _entry(
        self,
        name: bytes,
        kind: NodeType,
        mtime: int,
        payload: Content | None,
        *,
        size: int = 0,
        extra: Extra | None = None,
    ) -> Node:
        """An entry that has what every store is silent about from this process."""
        mode = _MODE if kind is NodeType.FILE else _FOLDER_MODE
        return Node(name, kind, mode, *self._owner, mtime, mtime, 0, size, payload, None, (), extra)


def _extra(listed: Listed) -> Extra | None:
    return {TAG: listed.tag} if listed.tag else None
