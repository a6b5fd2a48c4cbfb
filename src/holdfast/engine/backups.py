"""The verbs that make snapshots."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from holdfast.errors import UsageError
from holdfast.model.labels import new_hold
from holdfast.model.select import GroupKey, choose_parent
from holdfast.model.snapshot import Hold, Snapshot
from holdfast.progress import Progress, ProgressCallback

if TYPE_CHECKING:
    from holdfast.engine.results import BackupResult
    from holdfast.filesystem import LocalSource
    from holdfast.operations.backup import BackupOptions
    from holdfast.operations.ingest import Ingest
    from holdfast.store import Rehearsal, Writer

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _About:
    """What a caller says of a new snapshot."""

    tags: tuple[str, ...]
    label: str
    description: str
    host: str | None
    time: datetime | None
    protect: bool | datetime


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
        progress: ProgressCallback | None = None,
    ) -> BackupResult:
        """Back up files and directories into one snapshot.

        Args:
            paths: what to back up; it keeps its absolute paths in the snapshot.
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
            progress: called with `ProgressEvent`s.

        Raises:
            SourceError: none of the paths exists.
            RepositoryError, BackendError: no snapshot was made.
        """
        from holdfast.engine.results import BackupResult
        from holdfast.filesystem import ExcludeRules, LocalSource
        from holdfast.operations.backup import backup_tree

        rules = ExcludeRules(
            patterns=(*_patterns_of(_several(exclude_file)), *words(exclude)),
            ipatterns=words(iexclude),
            if_present=words(exclude_if_present),
            caches=exclude_caches,
            larger_than=exclude_larger_than,
            one_file_system=one_file_system,
        )
        source = LocalSource(_several(paths), rules)
        about = _About(words(tags), label, description, host, time, protect)
        options = self._options(
            about,
            self._parent(about, source, parent, group_by),
            force=force,
            skip_if_unchanged=skip_if_unchanged,
            excluded=(*words(exclude), *words(iexclude)),
        )
        counter = Progress(progress, self._clock)
        start = self._clock.monotonic()
        with (
            self._writer(options, dry_run=dry_run) as writer,
            self._store.loader() as loader,
            counted(source, options.parent, counter),
        ):
            ingest = self._ingest(writer)
            outcome = backup_tree(source, writer, ingest, loader, options, self._clock, counter)
        counter.finish()
        return BackupResult.of(outcome, self._clock.monotonic() - start)

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
        about = _About(words(tags), label, description, host, time, protect)
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

        about = _About(words(tags), label, description, host, time, protect)
        with CommandStream(command) as stream:
            return self._backup_stream(about, name, stream, stream.close, progress)

    def _backup_stream(
        self,
        about: _About,
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
        about: _About,
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
        about: _About,
        source: LocalSource,
        parent: str | None,
        group_by: Sequence[GroupKey],
    ) -> Snapshot | None:
        if parent is not None:
            return self.snapshot(parent)
        paths = [os.fsdecode(root) for root in source.roots]
        known, _ = self._load_snapshots()
        return choose_parent(known, about.host or host_name(), paths, about.tags, group_by)

    def _writer(self, options: BackupOptions, *, dry_run: bool) -> Writer | Rehearsal:
        if dry_run:
            return self._store.rehearsal()
        return self._store.writer(about_session("backup", options.host))

    def _ingest(self, writer: Writer | Rehearsal) -> Ingest:
        from holdfast.operations.ingest import Ingest

        return Ingest(writer, self._store.settings.chunker, self._store.chunker_seed())


def _several(given: PathLike | Sequence[PathLike]) -> list[PathLike]:
    return [given] if isinstance(given, str | bytes | os.PathLike) else list(given)


def _patterns_of(files: Sequence[PathLike]) -> list[str]:
    from holdfast.filesystem import load_pattern_file

    return [pattern for file in files for pattern in load_pattern_file(file)]


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
