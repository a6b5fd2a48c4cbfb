"""Getting data back: what the documented `RecoveryManager` does."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Unpack

from holdfast.backend import is_uri
from holdfast.errors import PathNotFound, UsageError
from holdfast.model.path import split_path
from holdfast.model.select import parse_spec
from holdfast.platform.managers.opening import Manager
from holdfast.platform.managers.places import pattern
from holdfast.platform.managers.points import described, point_at, recovery_points
from holdfast.platform.managers.recording import Percent, moment, percents
from holdfast.platform.managers.recoveries import Recoveries, Recovery
from holdfast.platform.managers.restoring import RestoreOptions, Restoring, listed
from holdfast.platform.managers.undo import Undone, undo

if TYPE_CHECKING:
    from holdfast.engine.connection import PathLike, Words


class RecoveryManager(Manager):
    """Restores, browses, verifies, and undoes restores.

    Arguments of the constructor are those of `Manager`. A snapshot is named by its id, a unique
    beginning of it, ``latest``, ``latest~2`` or a time; with ``:/path`` behind it that path is
    meant. Every restore is kept in the workspace, and `list_recoveries` lists them.
    """

    def restore_snapshot(
        self,
        snapshot_id: str,
        target_path: PathLike,
        *,
        verify: bool = False,
        progress_callback: Percent | None = None,
        **options: Unpack[RestoreOptions],
    ) -> dict[str, object]:
        """Restore a snapshot, or a part of it, into a directory.

        A whole snapshot keeps its absolute paths below the target; of ``ID:/path`` the contents
        come directly into it. Nothing outside the target is ever touched.

        Args:
            snapshot_id: name of the snapshot.
            target_path: the directory, or the URI of a folder of a store.
            verify: read everything back and compare it with the snapshot.
            progress_callback: called with a number from 0 to 100.
            **options: see `RestoreOptions`: ``include``, ``exclude`` (patterns), ``overwrite``,
                ``delete``, ``sparse``, ``devices``, ``dry_run``, ``target_options``,
                ``on_action``, ``undoable`` and ``keep_days``.

        Returns:
            ``snapshot_id``, ``target``, ``dry_run``, ``valid`` (nothing failed), ``verified``
            (nothing differed; None if that was not looked at), ``files_restored``,
            ``files_skipped``, ``hardlinks``, ``directories``, ``others``, ``deleted``,
            ``bytes_restored``, ``bytes_written``, ``left_out`` (kinds that a store has no place
            for), ``errors`` (each ``path``, ``operation``, ``message``), ``errors_total``,
            ``duration`` (seconds), ``recovery`` (id, None of a dry run) and ``safety`` (id of the
            snapshot of what was there before, or None).

        Raises:
            SnapshotNotFound, AmbiguousSnapshot, PathNotFound: it is not there.
            SourceError: something that would be overwritten cannot be read, so cannot be kept.
                Nothing was restored.
            UsageError: an argument makes no sense.
            RepositoryError, BackendError: the repository failed; what was restored stays.
        """
        restoring = Restoring(self.repository, self.workspace, snapshot_id, target_path, options)
        return restoring.run(verify=verify, progress=percents(progress_callback), trail=self.trail)

    def restore_files(
        self,
        snapshot_id: str,
        files: PathLike | Iterable[PathLike],
        target_path: PathLike,
        *,
        verify: bool = False,
        progress_callback: Percent | None = None,
        **options: Unpack[RestoreOptions],
    ) -> dict[str, object]:
        """Restore some files or directories of a snapshot; they keep their paths below the target.

        Args:
            snapshot_id: name of the snapshot.
            files: their absolute paths in the snapshot.
            target_path: as for `restore_snapshot`, and so are the others, but for ``include``.
            verify: read everything back.
            progress_callback: called with a number from 0 to 100.
            **options: see `RestoreOptions`.

        Returns:
            As of `restore_snapshot`.

        Raises:
            PathNotFound: one is not in the snapshot, or not in the part of it that is named;
                nothing was restored.
        """
        if options.get("include") is not None:
            raise UsageError("give either files or patterns to include")
        given = [files] if isinstance(files, str | bytes | os.PathLike) else list(files)
        if not given:
            raise UsageError("no file to restore is named")
        paths = [_absolute(path) for path in given]
        self._check_there(snapshot_id, paths)
        options["include"] = [pattern(path) for path in paths]
        return self.restore_snapshot(
            snapshot_id,
            target_path,
            verify=verify,
            progress_callback=progress_callback,
            **options,
        )

    def restore_point_in_time(  # noqa: PLR0913 - which point, and where to
        self,
        timestamp: datetime | str,
        target_path: PathLike,
        *,
        tag: str | Sequence[str] | None = None,
        source: str | Sequence[str] | None = None,
        host: str | None = None,
        verify: bool = False,
        progress_callback: Percent | None = None,
        **options: Unpack[RestoreOptions],
    ) -> dict[str, object]:
        """Restore the newest backup that began at or before a time.

        Args:
            timestamp: ISO 8601, or a datetime; in the local zone unless it names one.
            target_path: as for `restore_snapshot`.
            tag: only backups with all of these tags count.
            source: only those of all of these paths.
            host: only those of this host.
            verify: read everything back.
            progress_callback: called with a number from 0 to 100.
            **options: see `RestoreOptions`.

        Returns:
            As of `restore_snapshot`, with ``time`` (when the backup began, ISO 8601, UTC).

        Raises:
            SnapshotNotFound: there is none.
        """
        found = point_at(recovery_points(self.repository, tag, source, host), timestamp)
        result = self.restore_snapshot(
            found.id, target_path, verify=verify, progress_callback=progress_callback, **options
        )
        return result | {"time": found.time.isoformat()}

    def restore_from_backup(
        self,
        backup_id: str,
        *,
        verify_integrity: bool = True,
        target_path: PathLike = "/",
        progress_callback: Percent | None = None,
        **options: Unpack[RestoreOptions],
    ) -> dict[str, object]:
        """Restore a snapshot to where it came from, so that it can be undone.

        All that is read from the repository is authenticated in any case.

        Args:
            backup_id: name of the snapshot.
            verify_integrity: read everything back and compare it with the snapshot.
            target_path: another directory than the root of the file system.
            progress_callback: called with a number from 0 to 100.
            **options: see `RestoreOptions`; it can be undone unless ``undoable`` is False.

        Returns:
            As of `restore_snapshot`.
        """
        options.setdefault("undoable", not is_uri(target_path))
        return self.restore_snapshot(
            backup_id,
            target_path,
            verify=verify_integrity,
            progress_callback=progress_callback,
            **options,
        )

    def browse_snapshot(self, snapshot_id: str, path: PathLike = "/") -> list[dict[str, object]]:
        """The contents of a directory in a snapshot, by name.

        Returns:
            Of each entry all of `Entry.dict`: ``path``, ``name``, ``type``, ``size``, ``mode``,
            ``mtime`` and so on.

        Raises:
            SnapshotNotFound, PathNotFound: it is not there.
        """
        return [entry.dict() for entry in self.repository.listdir(snapshot_id, path)]

    def verify_restore(
        self,
        target_path: PathLike,
        snapshot_id: str = "latest",
        *,
        include: Words | None = None,
        exclude: Words | None = None,
        progress_callback: Percent | None = None,
    ) -> dict[str, object]:
        """Compare what was restored into a directory with the snapshot: content and metadata.

        Args:
            target_path: the directory.
            snapshot_id: name of the snapshot, with ``:/path`` if only that was restored.
            include: as it was restored with.
            exclude: likewise.
            progress_callback: called with a number from 0 to 100.

        Returns:
            ``valid`` (nothing differs), ``snapshot_id``, ``target``, ``entries``, ``bytes``,
            ``errors`` (each ``path``, ``operation``, ``message``) and ``errors_total``.
        """
        result = self.repository.verify_restore(
            snapshot_id,
            target_path,
            include=include,
            exclude=exclude,
            progress=percents(progress_callback),
        )
        return {
            "valid": result.errors_total == 0,
            "snapshot_id": self.repository.snapshot(parse_spec(snapshot_id)[0]).id,
            "target": os.fsdecode(target_path),
            "entries": result.entries,
            "bytes": result.bytes,
            "errors": listed(result.errors),
            "errors_total": result.errors_total,
        }

    def list_recovery_points(
        self,
        tag: str | Sequence[str] | None = None,
        source: str | Sequence[str] | None = None,
        host: str | None = None,
        days: float | None = None,
    ) -> list[dict[str, object]]:
        """The backups that one can go back to, oldest first.

        Args:
            tag: only those with all of these tags.
            source: only those of all of these paths.
            host: only those of this host.
            days: only those of so many days up to now.

        Returns:
            Of each what `described` says, as `BackupManager.list_snapshots`.
        """
        since = None if days is None else self._now() - timedelta(days=days)
        found = recovery_points(self.repository, tag, source, host, since)
        return [described(each) for each in found]

    def list_recoveries(self, days: float | None = None) -> list[dict[str, object]]:
        """The recoveries from this repository that the workspace knows of, newest first.

        Args:
            days: only those begun in so many days up to now.

        Returns:
            Of each ``recovery`` (id), ``repository``, ``snapshot_id``, ``target``, ``started``,
            ``ended`` (None while it runs, or if it was killed), ``state`` (``running``, ``done``,
            ``partial``, ``failed``, ``undone``), ``safety``, ``undoable``, ``request`` and
            ``outcome``.
        """
        return [each.dict() for each in self.recoveries(days)]

    def recoveries(self, days: float | None = None) -> list[Recovery]:
        """As `list_recoveries`, with results that are no dicts."""
        known = Recoveries(self.workspace).all(self.repository.id)
        if days is None:
            return known
        since = self._now() - timedelta(days=days)
        return [each for each in known if moment(each.started_ns) >= since]

    def undo(self, recovery_id: str | None = None) -> dict[str, object]:
        """Bring back what a restore overwrote or removed, and remove what it created.

        What was changed since the restore is neither overwritten nor removed, but told. Of a
        restore that was interrupted, a file may be half written: what is neither as the snapshot
        has it nor as it was is kept in one more snapshot before it is put back.

        Args:
            recovery_id: its id or a unique beginning; the newest that can be undone when None.

        Returns:
            ``recovery`` (id), ``snapshot_id``, ``target``, ``state`` (``undone``, or ``partial``
            if something failed: undo it again then), ``removed`` (how many entries),
            ``restored`` (how many files and others), ``kept`` (each ``path`` and ``reason``),
            ``saved_as`` (id of the snapshot of what may have been half written, or None),
            ``safety`` (id of the snapshot of what was there before, or None), ``errors`` (each
            ``path``, ``operation``, ``message``) and ``errors_total``.

        Raises:
            UsageError: there is no such recovery, it was not one that can be undone, it is undone
                already, or it is being worked on.
            SnapshotNotFound: a snapshot that it takes was removed.
            SourceError: what may be half written cannot be read; nothing was changed.
        """
        return self.undo_recovery(recovery_id).dict()

    def undo_recovery(self, recovery_id: str | None = None) -> Undone:
        """As `undo`, with a result that is no dict."""
        recoveries = Recoveries(self.workspace)
        named = recoveries.find(self.repository.id, recovery_id)
        with recoveries.at_work(named):
            # It may have ended, or been undone, since.
            recovery = recoveries.find(self.repository.id, named.id)
            return undo(self.repository, self.workspace, recovery, self.trail)

    def _now(self) -> datetime:
        return moment(self.workspace.clock.now_ns())

    def _check_there(self, snapshot_id: str, paths: Iterable[bytes]) -> None:
        """Refuse paths that a snapshot, or the named part of it, does not have (PathNotFound)."""
        known: dict[bytes, set[bytes]] = {}
        spec, part = parse_spec(snapshot_id)
        within = _absolute(part).rstrip(b"/")
        for path in paths:
            if path != within and not path.startswith(within + b"/"):
                raise PathNotFound(f"{os.fsdecode(path)} is not in {snapshot_id}")
            directory, _, name = path.rpartition(b"/")
            if directory not in known:
                entries = self.repository.listdir(spec, directory or b"/")
                known[directory] = {os.fsencode(entry.name) for entry in entries}
            if name and name not in known[directory]:
                raise PathNotFound(f"the snapshot has no {os.fsdecode(path)}")


def _absolute(path: PathLike) -> bytes:
    return b"/" + b"/".join(split_path(os.path.normpath(b"/" + os.fsencode(path))))
