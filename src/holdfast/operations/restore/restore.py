"""The restore itself, its dry run and its verification, put together."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TypeAlias

from holdfast.errors import BackendError, DamagedRepository, UsageError
from holdfast.filesystem.events import refuse_shortage
from holdfast.filesystem.target import TargetError, open_target
from holdfast.model.node import Node, NodeType
from holdfast.model.roles import BlobLoader
from holdfast.operations.restore.directories import DirectoryRestorer
from holdfast.operations.restore.elsewhere import THREADS, Elsewhere
from holdfast.operations.restore.entries import Context, Stopped
from holdfast.operations.restore.helper import Helper
from holdfast.operations.restore.options import Overwrite, RestoreOptions
from holdfast.operations.restore.plan import Planner
from holdfast.operations.restore.pool import Pool
from holdfast.operations.restore.purge import Purge
from holdfast.operations.restore.result import RestoreResult, Tally, VerifyResult
from holdfast.operations.restore.scope import Place, Selection
from holdfast.operations.restore.traverse import Level, Subject, Visitor, find_subject, traverse
from holdfast.operations.restore.verify import Verifier
from holdfast.primitives.ids import BlobId
from holdfast.progress import Progress
from holdfast.store import Loader

TargetPath: TypeAlias = str | bytes | os.PathLike[str]

_log = logging.getLogger(__name__)

_PROTECTING = (Overwrite.IF_NEWER, Overwrite.NEVER)


def restore(
    tree: BlobId,
    path: bytes,
    target: TargetPath,
    loader: BlobLoader,
    options: RestoreOptions,
    progress: Progress | None = None,
) -> RestoreResult:
    """Restore a snapshot, or a part of it, into a directory.

    Args:
        tree: the snapshot's root directory.
        path: what to restore: of a directory its contents, or one other entry.
        target: directory to restore into, created if need be. It keeps its own metadata.
        loader: where trees and blobs come from.
        options: how to do it; see `RestoreOptions`.
        progress: told how far it is.

    Returns:
        What was done, and what could not be done.

    Raises:
        PathNotFound: the snapshot has no such path.
        UsageError: the target cannot be opened or created.
        OutOfResources: this process can open no more files.
        DamagedRepository: the way to `path` cannot be read. What else is damaged, is reported.
        BackendError: the storage failed; what was restored until then stays.
    """
    job = _Restore(find_subject(tree, path, loader), Selection(options), loader, options, progress)
    keeps = options.verify and options.overwrite in _PROTECTING
    tally = Tally(options.on_action, options.on_problem, keeps=keeps)
    with _opened(target, create=not options.dry_run) as root:
        if options.dry_run:
            job.plan(root, tally)
        elif root is not None:
            with job.announced(passes=1 + options.verify):
                job.write(root, tally, target)
                if options.verify:
                    job.verify(root, tally)
    if progress is not None:
        progress.finish()
    return tally.result()


def verify_restore(
    tree: BlobId,
    path: bytes,
    target: TargetPath,
    loader: BlobLoader,
    options: RestoreOptions,
    progress: Progress | None = None,
) -> VerifyResult:
    """Compare a directory with the snapshot, or the part of it, that was restored there.

    Content is read from the target and compared with the blobs of the repository, byte by byte;
    of the metadata all is compared that this user can restore. What the target has in addition
    is not looked at.

    Args:
        tree: the snapshot's root directory.
        path: what was restored; see `restore`.
        target: the directory.
        loader: where trees and blobs come from.
        options: those of the restore; its patterns and `devices` say what to compare.
        progress: told how far it is.

    Returns:
        What was compared, and each mismatch.

    Raises:
        PathNotFound: the snapshot has no such path.
        UsageError: the target cannot be opened.
        OutOfResources: this process can open no more files.
        DamagedRepository: the way to `path` cannot be read. What else is damaged, is reported.
        BackendError: the storage failed.
    """
    job = _Restore(find_subject(tree, path, loader), Selection(options), loader, options, progress)
    tally = Tally(on_problem=options.on_problem)
    with _opened(target, create=False) as root:
        if root is None:
            raise UsageError(f"target {os.fsdecode(target)!r}: there is no such directory")
        with job.announced(passes=1):
            entries, size = job.verify(root, tally)
    if progress is not None:
        progress.finish()
    result = tally.result()
    return VerifyResult(entries, size, result.errors, result.errors_total)


@contextmanager
def _opened(target: TargetPath, *, create: bool) -> Iterator[int | None]:
    """A descriptor of the target; None if there is no such directory and none is to be made."""
    root = open_target(target, create=create)
    try:
        yield root
    except TargetError as error:  # the target itself: all that is in it is data for the report
        if isinstance(error.__cause__, OSError):
            refuse_shortage(error.__cause__, os.fsencode(target))
        raise UsageError(f"target {os.fsdecode(target)!r}: {error.message}") from error
    finally:
        if root is not None:
            os.close(root)


@dataclass(frozen=True, slots=True)
class _Restore:
    """The passes over what is restored."""

    subject: Subject
    selection: Selection
    loader: BlobLoader
    options: RestoreOptions
    progress: Progress | None

    def announced(self, passes: int) -> AbstractContextManager[None]:
        """Tell the progress what is to come, or have it counted by a pass over the trees."""
        if self.progress is None:
            return nullcontext()
        expected, has_patterns = self.options.expected, self.options.include or self.options.exclude
        if expected is not None and not has_patterns:
            entries, size = expected
            self.progress.expect(entries * passes, size * passes)
            return nullcontext()
        return self.progress.counting(lambda stop: self._count(stop, passes))

    def _count(self, stop: threading.Event, passes: int) -> tuple[int, int] | None:
        total = _Total(stop)
        try:
            self._traverse(total)
        except Stopped:
            return None
        except (BackendError, DamagedRepository) as error:
            _log.info("how much there is to restore cannot be counted: %s", error)
            return None
        return total.entries * passes, total.size * passes

    def _elsewhere(self, target: TargetPath, root: int) -> Elsewhere | None:
        executor = self.options.executor
        if executor is None or not isinstance(self.loader, Loader):
            return None
        path = os.path.abspath(os.fsencode(target))  # noqa: PTH100 - symlinks stay what they are
        return Elsewhere(executor, self.loader, path, root)

    def write(self, root: int, tally: Tally, target: TargetPath) -> None:
        """Restore."""
        purge = Purge(self.selection, tally, dry_run=False)
        elsewhere = self._elsewhere(target, root)
        access = self.loader.access() if isinstance(self.loader, Loader) else None
        pool = Pool() if elsewhere is None else Pool(THREADS)
        if elsewhere is not None:
            elsewhere.has_ended = lambda: pool.has_failed
        with elsewhere or Helper(access, root) as helper, pool:
            context = Context(
                root=root,
                loader=self.loader,
                options=self.options,
                tally=tally,
                progress=self.progress,
                clear=purge.remove,
                has_ended=lambda: pool.has_failed,
                elsewhere=elsewhere,
            )
            with closing(DirectoryRestorer(context, pool, purge, helper)) as restorer:
                self._traverse(restorer)

    def plan(self, root: int | None, tally: Tally) -> None:
        """Find out what `write` would do."""
        purge = Purge(self.selection, tally, dry_run=True)
        with closing(Planner(root, self.loader, self.options, tally, purge)) as planner:
            self._traverse(planner)

    def verify(self, root: int, tally: Tally) -> tuple[int, int]:
        """Compare; returns how many entries and bytes were."""
        verifier = Verifier(root, self.loader, self.options, tally, self.progress)
        with closing(verifier):
            self._traverse(verifier)
        return verifier.entries, verifier.size

    def _traverse(self, visitor: Visitor) -> None:
        traverse(self.subject, self.selection, self.loader, visitor)


class _Total:
    """The `Visitor` that counts what is to come, until it is told to stop."""

    def __init__(self, stop: threading.Event) -> None:
        self.entries = self.size = 0
        self._stop = stop

    def enter(self, level: Level) -> None:
        """See `Visitor.enter`."""

    def entry(self, level: Level, node: Node) -> None:  # noqa: ARG002 - a Visitor's signature
        """See `Visitor.entry`."""
        if self._stop.is_set():
            raise Stopped
        self.entries += 1
        self.size += node.size if node.type == NodeType.FILE else 0

    def leave(self, level: Level) -> None:
        """See `Visitor.leave`."""

    def damaged(self, place: Place, error: DamagedRepository) -> None:
        """See `Visitor.damaged`; the pass that restores will report it."""
