"""One pass over local files for several repositories: what any of them needs is read once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from typing import TypeAlias

from holdfast.clock import Clock
from holdfast.errors import DamagedRepository
from holdfast.filesystem import Directory, Leave, LocalSource, Problem, Walk
from holdfast.model.node import SIZE, TYPE, Content, NodeType, Row, node_of
from holdfast.operations.backup.backup import COMMIT_ATTEMPTS, checked_paths, conclude
from holdfast.operations.backup.files import Read, SourceReader
from holdfast.operations.backup.lanes import AllFailed, JointIngest, Lane, save_small, working
from holdfast.progress import Progress

_FILE = int(NodeType.FILE)
_FORMAT, _REGULAR = 0o170000, 0o100000

_Rows: TypeAlias = list[tuple[Lane, Row]]


def backup_jointly(
    source: LocalSource, lanes: Sequence[Lane], clock: Clock, progress: Progress
) -> None:
    """Back up local files and directories to several repositories.

    Afterwards each lane has an outcome, or the error that its repository failed with.

    Args:
        source: what to back up, not yet walked.
        lanes: the repositories.
        clock: for the times of the snapshots.
        progress: told of every directory.

    Raises:
        SourceError: nothing that was to be backed up exists.
    """
    origin = clock.now_ns(), checked_paths(source)
    pending = working(lanes)
    for _ in range(COMMIT_ATTEMPTS):
        if not pending:
            return
        _store(source, pending, progress)
        pending = [lane for lane in working(pending) if not _is_concluded(lane, clock, origin)]
    for lane in pending:
        with lane:
            raise DamagedRepository("data/", "packs keep vanishing during this backup")


def _store(source: LocalSource, lanes: Sequence[Lane], progress: Progress) -> None:
    """Store all that there is in those repositories."""
    joint = JointPass(lanes, progress)
    for lane in lanes:
        for problem in source.problems:
            lane.tally.problem(problem)
    with source.walk() as walk:
        joint.run(walk)


def _is_concluded(lane: Lane, clock: Clock, origin: tuple[int, tuple[str, ...]]) -> bool:
    """Make the snapshot of one repository; False when packs have gone that it builds upon."""
    with lane:
        lane.writer.flush()
        if not lane.writer.confirm():
            return False
        found = lane.tree.root, lane.tally
        lane.outcome = conclude(lane.writer, lane.loader, lane.options, clock, found, origin)
        lane.resources.close()
    return True


class JointPass:
    """One pass: each repository takes over what is unchanged, the rest is read once for all."""

    def __init__(self, lanes: Sequence[Lane], progress: Progress) -> None:
        self._lanes = lanes
        self._progress = progress
        self._reader = JointReader(lanes, progress)
        for lane in lanes:
            lane.begin(self._reader.ordinals)

    def run(self, walk: Walk) -> None:
        """Back up what the walk finds, as long as there is a repository that has not failed."""
        for event in walk:
            lanes = working(self._lanes)
            if not lanes:
                return
            if isinstance(event, Directory):
                self._enter(walk, event, lanes)
            elif isinstance(event, Leave):
                for lane in lanes:
                    with lane:
                        lane.tree.leave()
            else:
                self._reader.tell(event, lanes)

    def _enter(self, walk: Walk, directory: Directory, lanes: Sequence[Lane]) -> None:
        path, reader = directory.path, self._reader
        self._progress.advance(0, 0, os.fsdecode(path))
        reader.lanes = lanes
        node = reader.directory(walk, directory)
        wanted: dict[bytes, list[Lane]] = {}
        for lane in lanes:
            with lane:
                # A directory that changes while it is listed may give a name twice.
                for name in {name for name, _ in lane.tree.enter(node, directory.files)}:
                    wanted.setdefault(name, []).append(lane)
        taken = [status.st_size for name, status in directory.files if name not in wanted]
        self._progress.advance(len(taken), sum(taken))
        for name, status in directory.files:
            if name in wanted:
                for lane, row in reader.read(walk, path, name, status, wanted[name]):
                    lane.tree.add(row)


class JointReader(SourceReader):
    """Reads the entries that at least one repository does not take over from its parent.

    Attributes:
        lanes: the repositories that what is being read is for.
    """

    def __init__(self, lanes: Sequence[Lane], progress: Progress) -> None:
        self._ingest = JointIngest(lanes)
        self.lanes = lanes
        self._saved: list[tuple[Lane, Content | None]] = []
        super().__init__(self._ingest.small, self._save, self._note, progress)

    def tell(self, problem: Problem, lanes: Sequence[Lane]) -> None:
        """Note a source item that could not be read, in the result of each of these."""
        for lane in lanes:
            lane.tally.problem(problem)

    def _note(self, problem: Problem) -> None:
        self.tell(problem, self.lanes)

    def read(
        self, walk: Walk, path: bytes, name: bytes, status: os.stat_result, lanes: Sequence[Lane]
    ) -> _Rows:
        """Read an entry; returns what of it is to be stored in each repository.

        Args:
            walk: has the directory open.
            path: of the directory.
            name: of the entry.
            status: as it was listed.
            lanes: the repositories that it is for.
        """
        self.lanes = working(lanes)
        if not self.lanes:
            return []
        self._told = 0
        if status.st_mode & _FORMAT == _REGULAR:
            rows = self._small_rows(walk, name, status)
            if rows is None:
                rows = self._file_rows(walk, path, name, status)
        else:
            rows = self._same_for_all(self._special(walk, path, name, status))
        row = rows[0][1] if rows else None
        size = row[SIZE] if row is not None and row[TYPE] == _FILE else 0
        self._progress.advance(1, max(size - self._told, 0))
        return rows

    def _same_for_all(self, row: Row | None) -> _Rows:
        return [] if row is None else [(lane, row) for lane in self.lanes]

    def _save(self, data: bytes, status: os.stat_result) -> None:
        """Store a small file, and keep its content for each repository."""
        self._saved = save_small(data, ("small", status.st_uid), self.lanes)

    def _small_rows(self, walk: Walk, name: bytes, status: os.stat_result) -> _Rows | None:
        row = self._small(walk, name, status)
        if row is None:
            return None
        node = node_of(row)
        return [(lane, node._replace(payload=content)) for lane, content in self._saved]

    def _file_rows(self, walk: Walk, path: bytes, name: bytes, status: os.stat_result) -> _Rows:
        rows: _Rows = []
        left: list[Lane] = []
        for lane in self.lanes:
            known = lane.links.find(name, status)
            if known is None:
                left.append(lane)
            else:
                rows.append((lane, known))
        self.lanes = left
        return rows + self._read_rows(walk, path, name) if left else rows

    def _read_rows(self, walk: Walk, path: bytes, name: bytes) -> _Rows:
        try:
            read = self._regular(walk, path, name, partial(self._ingest.file, self.lanes))
        except AllFailed:
            return []
        if not isinstance(read, Read):
            return self._same_for_all(read)
        return [
            (lane, self._node(name, read, content, lane.links)) for lane, content in read.content
        ]
