"""Restore into a folder of a store: files become objects, written whole, many at once.

An object is not seen before its end. Stores of objects see to that themselves; on stores of files
it has a temporary name until then, which a killed process leaves behind. What a store has no place
for (links, devices, empty directories, modes and owners) is counted, not told file by file.

The store that is written to and the repository may be one and the same: what fails in the former
is a `RemoteFailure` and an entry of the result's errors; what fails in the latter is raised.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from holdfast.backend import UNSIZED, Listed, RemoteFailure, RemoteObjects
from holdfast.errors import AccessDenied, DamagedRepository, UsageError
from holdfast.model.file import SnapshotFile
from holdfast.model.node import TAG, Node, NodeType
from holdfast.model.roles import BlobLoader
from holdfast.operations.restore.options import Overwrite, RestoreOptions
from holdfast.operations.restore.pool import Pool
from holdfast.operations.restore.result import Deed, RestoreResult, Tally
from holdfast.operations.restore.scope import Place, Selection
from holdfast.operations.restore.traverse import Level, find_subject, traverse
from holdfast.overrides import override
from holdfast.primitives.ids import BlobId
from holdfast.progress import Progress

WORKERS: Final = 16
"""Objects that are written at the same time."""

PART: Final = 8 << 20
"""Bytes that are read back at a time."""

_DIRECTORY: Final = "directory"


def restore_objects(
    tree: BlobId,
    path: bytes,
    target: RemoteObjects,
    loader: BlobLoader,
    options: RestoreOptions,
    progress: Progress,
) -> RestoreResult:
    """Restore a snapshot, or a part of it, into a folder of a store.

    Args:
        tree: the snapshot's root directory.
        path: what to restore: of a directory its contents, or one other entry.
        target: the folder.
        loader: where trees and blobs come from.
        options: how to do it. Without `Overwrite.ALWAYS` each object that is there costs a
            request; `IF_CHANGED` takes one for the same that has the size and the tag with which
            it was backed up.
        progress: told how far it is.

    Raises:
        PathNotFound: the snapshot has no such path.
        UsageError: an option makes no sense here, or the folder's bucket is not there.
        DamagedRepository: the way to `path` cannot be read. What else is damaged, is reported.
        BackendError: the repository's storage failed, or the target does not answer any more.
    """
    if options.delete or options.sparse or options.devices:
        raise UsageError(
            "with a store as the target, delete, sparse and devices make no sense: nothing there "
            "is ever deleted, and there are only plain objects"
        )
    if options.executor is not None:
        raise UsageError("with a store as the target, no executor can be used")
    subject = find_subject(tree, path, loader)
    selection = Selection(options)
    _check(target)
    tally = Tally(options.on_action, keeps=options.verify)
    passes = 1 + (options.verify and not options.dry_run)
    if options.expected is not None and not (options.include or options.exclude):
        entries, size = options.expected
        progress.expect(entries * passes, size * passes)
    job = _Job(target, loader, options, tally, progress)
    for visitor in (_Writer, _Comparer)[:passes]:
        with Pool(WORKERS) as pool, _stopping(target):
            traverse(subject, selection, loader, visitor(job, pool))
    progress.finish()
    return tally.result()


@contextmanager
def _stopping(target: RemoteObjects) -> Iterator[None]:
    """When the work ends by an exception, have nothing tried again for minutes beside it."""
    try:
        yield
    except BaseException:
        target.stop()
        raise


def _check(target: RemoteObjects) -> None:
    """Find out early that there is no such place; whoever may only write cannot be told."""
    try:
        target.probe()
    except RemoteFailure as failure:
        if failure.is_of_all:
            raise failure.error from None
        # A folder that is not there will be made.
        if not failure.is_absence and not isinstance(failure.error, AccessDenied):
            raise UsageError(f"target {target.location}: {failure}") from None


@dataclass(frozen=True, slots=True)
class _Job:
    """What all work on."""

    target: RemoteObjects
    loader: BlobLoader
    options: RestoreOptions
    tally: Tally
    progress: Progress


class _Visitor:
    """What both passes over the snapshot have in common: files are worked on by a pool."""

    def __init__(self, job: _Job, pool: Pool) -> None:
        self._job = job
        self._pool = pool
        self._is_filled: list[bool] = []

    def enter(self, level: Level) -> None:
        """See `Visitor.enter`."""
        if self._is_filled:
            self._is_filled[-1] = True
        self._is_filled.append(level.parent is None)

    def leave(self, level: Level) -> None:
        """See `Visitor.leave`."""
        if not self._is_filled.pop() and level.selected:
            self._is_empty()

    def damaged(self, place: Place, error: DamagedRepository) -> None:
        """See `Visitor.damaged`."""
        self._job.tally.problem(place.path, error)

    def _is_empty(self) -> None:
        """A directory has nothing in it."""

    def _key(self, level: Level, name: bytes) -> str | None:
        """The path of an entry in the target; None when it is no text."""
        try:
            return self._job.target.path(b"/".join((*level.place.names, name)).decode())
        except UnicodeDecodeError:
            return None


class _Writer(_Visitor):
    """The `Visitor` of the restore."""

    @override
    def enter(self, level: Level) -> None:
        """See `Visitor.enter`."""
        super().enter(level)
        if level.parent is not None and level.selected:
            self._job.tally.directory(level.place.get_path, Deed.CREATE, protected=False)

    def entry(self, level: Level, node: Node) -> None:
        """See `Visitor.entry`."""
        self._is_filled[-1] = True
        tally = self._job.tally
        if node.type != NodeType.FILE:
            tally.leave_out(NodeType(node.type).name.lower().replace("_", " "))
            self._job.progress.advance(1, 0)
            return
        key = self._key(level, node.name)
        if key is None:
            message = "its path is not UTF-8, so it cannot be the key of an object"
            tally.note(level.place.below(node.name), "write", message)
            return
        if not _is_of_store(node):
            tally.leave_out("mode, owner and times of a file")
        self._pool.submit(_Write(self._job, Place(level.place, node.name), node, key))

    @override
    def _is_empty(self) -> None:
        self._job.tally.leave_out("empty directory")


class _Comparer(_Visitor):
    """The `Visitor` of the verification."""

    def entry(self, level: Level, node: Node) -> None:
        """See `Visitor.entry`."""
        key = self._key(level, node.name)
        place = Place(level.place, node.name)
        if node.type != NodeType.FILE:
            self._job.progress.advance(1, 0)
        elif key is not None and place.path not in self._job.tally.kept:
            self._pool.submit(_Compare(self._job, place, node, key))


@dataclass(frozen=True, slots=True)
class _Write:
    """A file that is to become an object."""

    job: _Job
    place: Place
    node: Node
    key: str

    def run(self) -> None:
        """Write it, unless what is there is to stay."""
        with _stopping(self.job.target):
            self._run()

    def _run(self) -> None:
        job, node = self.job, self.node
        try:
            if not self._stays():
                if not job.options.dry_run:
                    job.target.write(self.key, node.size, self._pieces)
                written = 0 if job.options.dry_run else node.size
                job.tally.file(self.place.get_path, Deed.CREATE, node.size, written)
        except RemoteFailure as failure:
            if failure.is_of_all:
                raise failure.error from None
            job.tally.note(self.place.path, "write", str(failure))
        except DamagedRepository as error:
            job.tally.problem(self.place.path, error)
        job.progress.advance(1, node.size, os.fsdecode(self.place.path))

    def close(self) -> None:
        """There is nothing to let go of."""

    def _stays(self) -> bool:
        """Whether there is an object that is right, or that the policy protects; counts it."""
        policy = self.job.options.overwrite
        if policy is Overwrite.ALWAYS:
            return False
        found = self.job.target.status(self.key)
        if found is None or found.kind == _DIRECTORY:
            return False
        protected = _is_protected(found, self.node, policy)
        if not protected and not (policy is Overwrite.IF_CHANGED and _is_right(found, self.node)):
            return False
        self.job.tally.skip(self.place.get_path, is_file=True, protected=protected)
        return True

    def _pieces(self, size: int) -> Iterator[bytes]:
        with SnapshotFile(self.node, self.job.loader) as file:
            while piece := file.read(size):
                yield piece


@dataclass(frozen=True, slots=True)
class _Compare:
    """An object that is to be compared with the file that it was written from."""

    job: _Job
    place: Place
    node: Node
    key: str

    def run(self) -> None:
        """Read both."""
        with _stopping(self.job.target):
            self._run()

    def _run(self) -> None:
        tally = self.job.tally
        try:
            problem = self._difference()
        except RemoteFailure as failure:
            if failure.is_of_all:
                raise failure.error from None
            problem = str(failure)
        except DamagedRepository as error:
            tally.problem(self.place.path, error)
            problem = ""
        if problem:
            tally.note(self.place.path, "verify", problem)
        self.job.progress.advance(1, self.node.size, os.fsdecode(self.place.path))

    def close(self) -> None:
        """There is nothing to let go of."""

    def _difference(self) -> str:
        target, size = self.job.target, self.node.size
        found = target.status(self.key)
        if found is None:
            return "the object is missing"
        if found.kind == UNSIZED:
            return "the store does not tell how many bytes it has"
        if found.size != size:
            return f"it has {found.size} bytes instead of {size}"
        with SnapshotFile(self.node, self.job.loader) as file:
            for start in range(0, size, PART):
                end = min(start + PART, size)
                if target.read_any(self.key, start, end) != file.read(end - start):
                    return f"its bytes from {start} to {end} differ"
        return ""


def _is_of_store(node: Node) -> bool:
    """Whether a file was an object, so that there is no more to it than its bytes."""
    return node.extra is not None and TAG in node.extra


def _is_protected(found: Listed, node: Node, policy: Overwrite) -> bool:
    if policy is Overwrite.IF_NEWER:
        return found.mtime is None or found.mtime >= node.mtime
    return policy is Overwrite.NEVER


def _is_right(found: Listed, node: Node) -> bool:
    """Whether what is there has the size and the tag that the file had when it was an object."""
    tag = (node.extra or {}).get(TAG)
    return bool(found.tag) and (found.size, found.tag) == (node.size, tag)
