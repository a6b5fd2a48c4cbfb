"""The verbs that make snapshots."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, BinaryIO

from holdfast.engine.connection import Connection, PathLike, Words, words
from holdfast.engine.origin import (
    PROGRAM,
    Readable,
    about_session,
    counted,
    host_name,
    reading,
    system_name,
    user_name,
)
from holdfast.engine.plan import About, Plan, plan_of, several
from holdfast.engine.sources import Source, opened, paths_of
from holdfast.errors import UsageError
from holdfast.model.labels import new_hold
from holdfast.model.select import GroupKey, choose_parent
from holdfast.model.snapshot import Hold, Snapshot
from holdfast.progress import Progress, ProgressCallback

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from holdfast.engine.results import BackupResult
    from holdfast.operations.backup import BackupOptions, BackupOutcome
    from holdfast.operations.backup.lanes import Lane
    from holdfast.operations.ingest import Ingest
    from holdfast.store import Rehearsal, Writer

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Backups(Connection):
    """Backing up: files and directories, streams, and what commands write."""

    def backup(  # noqa: PLR0913 - the public API's options
        self,
        paths: PathLike | Sequence[PathLike],
        *,
        exclude: Words = (),
        iexclude: Words = (),
        exclude_file: PathLike | Sequence[PathLike] = (),
        exclude_if_present: Words = (),
        exclude_caches: bool = False,
        exclude_larger_than: int | None = None,
        one_file_system: bool = False,
        tags: Words = (),
        label: str = "",
        description: str = "",
        host: str | None = None,
        time: datetime | None = None,
        protect: bool | datetime = False,
        parent: str | None = None,
        group_by: Sequence[GroupKey] = ("host", "paths"),
        force: bool = False,
        skip_if_unchanged: bool = False,
        dry_run: bool = False,
        source_options: Mapping[str, object] | None = None,
        executor: Executor | None = None,
        progress: ProgressCallback | None = None,
    ) -> BackupResult:
        """Back up files and directories, or a folder of a store, into one snapshot.

        Args:
            paths: what to back up; it keeps its absolute paths in the snapshot. Or the URI of one
                folder of a store, such as ``s3://bucket/data``.
            exclude: patterns of what to leave out; the guide says what they mean.
            iexclude: the same, upper and lower case being equal.
            exclude_file: files with a pattern a line, which come before those of `exclude`.
            exclude_if_present: leave out directories that hold a file of such a name, or
                ``NAME:HEADER`` that begins so.
            exclude_caches: leave out directories that are marked as caches by CACHEDIR.TAG.
            exclude_larger_than: leave out files of more bytes.
            one_file_system: do not go into other file systems that are mounted below.
            tags: words to find the snapshot by.
            label: a name to find it by.
            description: a note.
            host: instead of this machine's name.
            time: instead of now; in the local zone unless it is aware.
            protect: hold the snapshot, until it is released or until a time: nothing removes it.
            parent: the snapshot to compare with; the newest of its group when None.
            group_by: what the snapshots of a group have in common.
            force: read every file again.
            skip_if_unchanged: make no snapshot when nothing differs from the parent.
            dry_run: only find out what would be done.
            source_options: for the driver of the store that is backed up; never shown.
            executor: of ``concurrent.futures``, also of ``dask.distributed``: its processes read
                the store and write to the repository, unless it is a dry run. They get the keys.
            progress: called with `ProgressEvent`s.

        Raises:
            SourceError: none of the paths exists, or the store cannot be read.
            RepositoryError, BackendError: no snapshot was made.
        """
        from holdfast.engine.results import BackupResult

        plan = plan_of(
            exclude=exclude,
            iexclude=iexclude,
            exclude_file=exclude_file,
            exclude_if_present=exclude_if_present,
            exclude_caches=exclude_caches,
            exclude_larger_than=exclude_larger_than,
            one_file_system=one_file_system,
            tags=tags,
            label=label,
            description=description,
            host=host,
            time=time,
            protect=protect,
            parent=parent,
            group_by=group_by,
            force=force,
            skip_if_unchanged=skip_if_unchanged,
            dry_run=dry_run,
        )
        counter = Progress(progress, self._clock)
        start = self._clock.monotonic()
        with opened(several(paths), plan.rules, source_options, self._clock) as source:
            options = replace(self._planned(plan, paths_of(source)), executor=executor)
            outcome = self._back_up(source, options, counter, dry_run=dry_run)
        counter.finish()
        return BackupResult.of(outcome, self._clock.monotonic() - start)

    def _planned(self, plan: Plan, paths: Sequence[str]) -> BackupOptions:
        return self._options(
            plan.about,
            self._parent(plan.about, paths, plan.parent, plan.group_by),
            force=plan.force,
            skip_if_unchanged=plan.skip_if_unchanged,
            excluded=plan.excluded,
        )

    def _lane(self, plan: Plan, paths: Sequence[str], group: str, resources: ExitStack) -> Lane:
        """Begin to take part in a backup to several repositories; see `holdfast.engine.joint`."""
        from holdfast.operations.backup.lanes import Lane  # which a backup to one does not need

        options = replace(self._planned(plan, paths), group=group)
        writer = self._writer(options, dry_run=plan.dry_run)
        resources.push(writer)
        return Lane(
            self.location,
            writer,
            resources.enter_context(self._store.loader()),
            options,
            self._store.settings.chunker,
            self._store.chunker_seed(),
            resources,
        )

    def _back_up(
        self, source: Source, options: BackupOptions, progress: Progress, *, dry_run: bool
    ) -> BackupOutcome:
        from holdfast.filesystem import LocalSource
        from holdfast.operations.backup import backup_objects, backup_tree

        if options.executor is not None and isinstance(source, LocalSource):
            raise UsageError("an executor's processes read stores: local paths are read here")
        with (
            self._writer(options, dry_run=dry_run) as writer,
            self._store.loader() as loader,
            counted(source, options.parent, progress),
        ):
            ingest = self._ingest(writer)
            if isinstance(source, LocalSource):
                return backup_tree(source, writer, ingest, loader, options, self._clock, progress)
            return backup_objects(source, writer, ingest, loader, options, self._clock, progress)

    def backup_stream(  # noqa: PLR0913 - as above
        self,
        stream: BinaryIO,
        name: str,
        *,
        tags: Words = (),
        label: str = "",
        description: str = "",
        host: str | None = None,
        time: datetime | None = None,
        protect: bool | datetime = False,
        progress: ProgressCallback | None = None,
    ) -> BackupResult:
        """Back up all that a binary stream gives, as one file.

        Args:
            stream: read to its end, and not closed.
            name: path of the file in the snapshot.
            tags: as for `backup`, and so are the others.
            label: a name to find it by.
            description: a note.
            host: instead of this machine's name.
            time: instead of now.
            protect: hold the snapshot, until it is released or until a time.
            progress: called with `ProgressEvent`s.

        Raises:
            SourceError: reading the stream failed; no snapshot was made.
            RepositoryError, BackendError: no snapshot was made.
        """
        about = About(words(tags), label, description, host, time, protect)
        return self._backup_stream(about, name, stream, None, progress)

    def backup_command(  # noqa: PLR0913 - as above
        self,
        command: Sequence[str],
        name: str,
        *,
        tags: Words = (),
        label: str = "",
        description: str = "",
        host: str | None = None,
        time: datetime | None = None,
        protect: bool | datetime = False,
        progress: ProgressCallback | None = None,
    ) -> BackupResult:
        """Back up what a command writes to its standard output, as one file.

        Args:
            command: the program and its arguments; no shell is involved.
            name: path of the file in the snapshot.
            tags: as for `backup`, and so are the others.
            label: a name to find it by.
            description: a note.
            host: instead of this machine's name.
            time: instead of now.
            protect: hold the snapshot, until it is released or until a time.
            progress: called with `ProgressEvent`s.

        Raises:
            SourceError: the command failed; no snapshot was made.
            RepositoryError, BackendError: no snapshot was made.
        """
        from holdfast.filesystem import CommandStream

        about = About(words(tags), label, description, host, time, protect)
        with CommandStream(command) as stream:
            return self._backup_stream(about, name, stream, stream.close, progress)

    def _backup_stream(
        self,
        about: About,
        name: str,
        stream: BinaryIO | Readable,
        finish: Callable[[], None] | None,
        progress: ProgressCallback | None,
    ) -> BackupResult:
        from holdfast.engine.results import BackupResult
        from holdfast.model.rows import MAX_NAME
        from holdfast.operations.backup import StreamSource, backup_stream

        path = b"/" + os.fsencode(os.path.normpath("/" + name)).lstrip(b"/")
        names = path.split(b"/")[1:]
        if not names[0] or b"\0" in path or max(map(len, names)) > MAX_NAME:
            raise UsageError(f"{name!r} is no name for a file")
        options = self._options(about, None)
        counter = Progress(progress, self._clock)
        start = self._clock.monotonic()
        source = StreamSource(
            path,
            "command" if finish else "stream",
            reading(stream, counter, name),
            finish or _nothing,
        )
        with self._store.writer(about_session("backup", options.host)) as writer:
            outcome = backup_stream(source, writer, self._ingest(writer), options, self._clock)
        counter.finish()
        return BackupResult.of(outcome, self._clock.monotonic() - start)

    def _options(
        self,
        about: About,
        parent: Snapshot | None,
        *,
        force: bool = False,
        skip_if_unchanged: bool = False,
        excluded: tuple[str, ...] = (),
    ) -> BackupOptions:
        from holdfast.operations.backup import BackupOptions

        return BackupOptions(
            host=about.host or host_name(),
            user=user_name(),
            os=system_name(),
            program=PROGRAM,
            tags=about.tags,
            label=about.label,
            description=about.description,
            time_ns=None if about.time is None else nanoseconds(about.time),
            parent=parent,
            force=force,
            skip_if_unchanged=skip_if_unchanged,
            excluded=excluded,
            hold=self._hold(about.protect),
        )

    def _hold(self, protect: bool | datetime) -> Hold | None:  # noqa: FBT001 - or a time
        if protect is False:
            return None
        return new_hold("", None if protect is True else protect, self._clock.now_ns())

    def _parent(
        self,
        about: About,
        paths: Sequence[str],
        parent: str | None,
        group_by: Sequence[GroupKey],
    ) -> Snapshot | None:
        if parent is not None:
            return self.snapshot(parent)
        known, _ = self._load_snapshots()
        return choose_parent(known, about.host or host_name(), paths, about.tags, group_by)

    def _writer(self, options: BackupOptions, *, dry_run: bool) -> Writer | Rehearsal:
        if dry_run:
            return self._store.rehearsal()
        return self._store.writer(about_session("backup", options.host))

    def _ingest(self, writer: Writer | Rehearsal) -> Ingest:
        from holdfast.operations.ingest import Ingest

        return Ingest(writer, self._store.settings.chunker, self._store.chunker_seed())


def _nothing() -> None:
    """A stream that was given needs no end."""


def nanoseconds(moment: datetime) -> int:
    """Nanoseconds since the Unix epoch; a time without a zone is in the local one.

    Raises:
        UsageError: a snapshot cannot bear that time.
    """
    try:
        since = moment.astimezone(UTC) - _EPOCH
    except (ValueError, OverflowError, OSError):
        since = timedelta.max
    nanoseconds = since // timedelta(microseconds=1) * 1000
    if not -(1 << 63) <= nanoseconds < 1 << 63:
        raise UsageError(f"{moment}: a snapshot cannot bear a time before 1678 or after 2261")
    return nanoseconds
