"""The verbs that make snapshots of snapshots: here, or in other repositories."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from holdfast.engine.backups import nanoseconds
from holdfast.engine.connection import Connection, Words, words
from holdfast.engine.origin import about_session
from holdfast.engine.retention import Retention
from holdfast.errors import DamagedRepository, ObjectUnreadable, SnapshotNotFound, UsageError
from holdfast.model.select import Filter, ordered
from holdfast.model.snapshot import Snapshot
from holdfast.primitives.ids import random_name
from holdfast.progress import Progress, ProgressCallback

if TYPE_CHECKING:
    from holdfast.operations.copy import CopyResult, Target
    from holdfast.operations.rewrite import RewriteResult, RewrittenSnapshot

_log = logging.getLogger(__name__)


class Copies(Retention):
    """Copying snapshots to other repositories, and making changed ones of them."""

    def copy(  # noqa: PLR0913 - the public API's options
        self,
        to: Connection | Sequence[Connection],
        snapshots: Words | None = None,
        *,
        host: str | None = None,
        tags: Words | None = None,
        paths: Words | None = None,
        dry_run: bool = False,
        executor: Executor | None = None,
        progress: ProgressCallback | None = None,
    ) -> CopyResult:
        """Copy snapshots to one or several other repositories.

        Only what is missing there travels. A repository that was made with ``init(like=...)``
        has equal blob ids; for any other one, everything is named anew on the way. In a copy,
        `Snapshot.original` is the id of the snapshot that it was copied from. Snapshots of
        which there is a copy already are passed over, also when it was rewritten there, and so
        are copies of what is there itself. Holds and notes are not copied, tags are.

        Args:
            to: the open repositories to copy to.
            snapshots: names of the snapshots; all when None.
            host: of all, only those of this host.
            tags: of all, only those with all of these tags.
            paths: of all, only backups of all of these paths.
            dry_run: only find out which snapshots would be copied.
            executor: of ``concurrent.futures``, also of ``dask.distributed``: its processes read
                the data here and store it there. They get the keys of both repositories.
            progress: called with `ProgressEvent`s.

        Raises:
            CopyIncomplete: not all could be copied; `.result` says what was, and what failed. A
                snapshot that is damaged does not keep others from being copied, and a target
                that fails no other target.
            UsageError: the arguments make no sense; nothing was done.
            SnapshotNotFound: there is no such snapshot; nothing was done.
        """
        from holdfast.operations.copy import (
            CopyFailure,
            CopyIncomplete,
            CopyOptions,
            CopyResult,
            copy,
        )

        targets = self._targets(to)
        wanted = Filter(host=host, tags=words(tags or ()), paths=words(paths or ()))
        if snapshots is not None and wanted != Filter():
            raise UsageError("give names of snapshots, or host, tags and paths; not both")
        start = self._clock.monotonic()
        known, damaged = self._load_snapshots()
        if snapshots is None:
            chosen = ordered(known, wanted)
            unread = [CopyFailure("", _id_of(error), error) for error in damaged]
        else:
            chosen = self._named_once(words(snapshots))
            unread = []
        options = CopyOptions(
            about=about_session("copy"),
            group=random_name() if len(targets) > 1 else None,
            dry_run=dry_run,
            executor=executor,
        )
        counter = Progress(progress, self._clock)
        outcome = copy(self._store, known, chosen, targets, options, counter)
        counter.finish()
        result = CopyResult(
            copied=tuple(outcome.copied),
            skipped=outcome.skipped,
            failures=(*unread, *outcome.failures),
            dry_run=dry_run,
            duration=self._clock.monotonic() - start,
        )
        if result.failures:
            raise CopyIncomplete(result) from result.failures[0].error
        return result

    def _targets(self, to: Connection | Sequence[Connection]) -> list[Target]:
        from holdfast.operations.copy import Target

        connections = [to] if isinstance(to, Connection) else list(to)
        ids = [self.id, *(each.id for each in connections)]
        if not connections or len(set(ids)) < len(ids):
            raise UsageError("copy to other repositories, one or several, each named once")
        return [
            Target(each.location, each._store, each.snapshots)  # noqa: SLF001 - between connections
            for each in connections
        ]

    def rewrite(  # noqa: PLR0913 - the public API's options
        self,
        snapshots: Words | None,
        *,
        exclude: Words = (),
        host: str | None = None,
        time: datetime | None = None,
        tags: Words | None = None,
        label: str | None = None,
        description: str | None = None,
        forget: bool = False,
        dry_run: bool = False,
        progress: ProgressCallback | None = None,
    ) -> RewriteResult:
        """Make snapshots anew without some paths, or with other metadata.

        The new ones have new ids; `Snapshot.replaces` is the id of the old one, which stays
        unless it is to be forgotten. Where nothing would be different, none is made. One that
        cannot be rewritten does not keep others from it: `RewriteResult.failures` has it.

        Args:
            snapshots: names of the snapshots; all when None.
            exclude: patterns of what to leave out, as for `backup`.
            host: the host that they are to bear.
            time: the time that they are to bear; in the local zone unless it is aware.
            tags: all tags that they are to have.
            label: the name that they are to have.
            description: the note that they are to have.
            forget: remove the old ones. One that is held stays, and so do all while a reclaim is
                in progress. The data that nobody needs then comes back by `prune`.
            dry_run: only find out what would be different.
            progress: called with `ProgressEvent`s.

        Raises:
            UsageError: an argument makes no sense, or nothing would be left of the only
                snapshot that is named; nothing was done.
            SnapshotNotFound: there is no such snapshot; nothing was done.
            DamagedRepository: the only snapshot that is named is damaged, or something of it
                that is to stay is lost; nothing was done.
        """
        from holdfast.filesystem import Patterns
        from holdfast.operations.rewrite import Changes, RewriteFailure, RewriteResult, rewrite

        changes = Changes(
            exclude=Patterns(words(exclude)),
            patterns=words(exclude),
            host=host,
            time_ns=None if time is None else nanoseconds(time),
            tags=None if tags is None else words(tags),
            label=label,
            description=description,
        )
        if changes == Changes(exclude=changes.exclude) and not changes.exclude:
            raise UsageError(
                "nothing is to be changed: give patterns to exclude, or a new host, "
                "time, tags, label or description"
            )
        known, damaged = self._load_snapshots()
        if snapshots is None:
            chosen = ordered(known)
            failures = [RewriteFailure(_id_of(error), error) for error in damaged]
        else:
            chosen = self._named_once(words(snapshots))
            failures = []
        about = None if dry_run else about_session("rewrite")
        counter = Progress(progress, self._clock)
        for each in chosen:
            counter.expect(each.summary.files, each.summary.bytes_processed)
        done: list[RewrittenSnapshot] = []
        for each in chosen:
            try:
                done.append(rewrite(self._store, each, known, changes, about, counter))
            except (UsageError, DamagedRepository, ObjectUnreadable) as error:
                if snapshots is not None and len(chosen) == 1:
                    raise
                _log.warning("snapshot %s was not rewritten: %s", each.short_id, error)
                failures.append(RewriteFailure(each.id, error))
        counter.finish()
        if forget and not dry_run:
            done = [self._replaced(each) for each in done]
        return RewriteResult(tuple(done), tuple(failures), dry_run)

    def _named_once(self, names: Sequence[str]) -> list[Snapshot]:
        """The snapshots of these names, each once."""
        return list({each.id: each for each in map(self.snapshot, names)}.values())

    def _replaced(self, rewritten: RewrittenSnapshot) -> RewrittenSnapshot:
        """Forget the snapshot that was rewritten."""
        if rewritten.snapshot is None:
            return rewritten
        if self._store.is_reclaimed():
            return replace(rewritten, kept="a prune is in progress: forget it when that has ended")
        try:
            result = self.forget(rewritten.before.id, force=True)
        except SnapshotNotFound:  # somebody else was quicker
            return replace(rewritten, forgotten=True)
        except UsageError as error:  # it is held
            return replace(rewritten, kept=str(error))
        kept = ", ".join(each.reason for each in result.passed_over)
        return replace(rewritten, forgotten=not kept, kept=kept)


def _id_of(error: DamagedRepository) -> str:
    return error.object.removeprefix("snapshots/")
