"""An open repository: the verbs of the engine, composed from operations."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from holdfast.engine.anchoring import Anchoring
from holdfast.engine.backups import Backups
from holdfast.engine.connection import PathLike, Words, words
from holdfast.engine.copies import Copies
from holdfast.engine.costs import Costs
from holdfast.engine.files import Files
from holdfast.engine.keyring import KeyManagement
from holdfast.engine.mounting import Mounting
from holdfast.engine.own import refuse_to_delete
from holdfast.engine.reading import Reading
from holdfast.engine.reclaiming import Reclaiming
from holdfast.engine.repairs import Repairs
from holdfast.engine.retention import Retention
from holdfast.engine.suspicion import Suspicion
from holdfast.engine.versions import Versions
from holdfast.errors import UsageError
from holdfast.progress import Progress, ProgressCallback

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from holdfast.filesystem import Patterns
    from holdfast.model.snapshot import Snapshot
    from holdfast.operations.check import CheckReport
    from holdfast.operations.restore import (
        OnAction,
        OnProblem,
        Overwrite,
        RestoreResult,
        VerifyResult,
    )


class Repository(
    Backups,
    Reading,
    Reclaiming,
    Copies,
    Repairs,
    Retention,
    KeyManagement,
    Anchoring,
    Costs,
    Suspicion,
    Files,
    Mounting,
    Versions,
):
    """An open repository. Safe to use from several threads; a context manager.

    Snapshots are named by an id, the beginning of one, ``latest``, ``latest~2`` (two before it)
    or a time in ISO 8601, which means the newest snapshot at or before it. With ``:/path`` behind
    it a name means that path of the snapshot.
    """

    def restore(  # noqa: PLR0913 - the public API's options
        self,
        snapshot: str,
        target: PathLike,
        *,
        include: Words | None = None,
        exclude: Words | None = None,
        overwrite: str = "always",
        delete: bool = False,
        sparse: bool = False,
        devices: bool = False,
        dry_run: bool = False,
        verify: bool = False,
        target_options: Mapping[str, object] | None = None,
        executor: Executor | None = None,
        progress: ProgressCallback | None = None,
        on_action: OnAction | None = None,
    ) -> RestoreResult:
        """Restore a snapshot, or with ``:/path`` the contents of a place in it, into a directory.

        The target may also be a folder of a store, such as ``s3://bucket/prefix``. Files become
        objects there; `RestoreResult.left_out` counts what cannot.

        What fails in the target, or is damaged in the repository, is in the result's `errors`,
        and the rest is restored.

        Args:
            snapshot: name of the snapshot.
            target: directory, or the URI of a folder; nothing outside it is ever touched.
            include: only what matches these patterns, and what is below it.
            exclude: not what matches these.
            overwrite: what becomes of files that exist: ``always``, ``if-changed``, ``if-newer``
                or ``never`` replaced.
            delete: remove from restored directories what the snapshot does not have.
            sparse: leave holes for zeros even where the source had none.
            devices: create device nodes, which takes root.
            dry_run: only find out what would be done.
            verify: read everything back and compare it with the snapshot.
            target_options: for the driver of the store that is restored to; never shown.
            executor: of ``concurrent.futures``, also of ``dask.distributed``: its processes write
                files. They reach the target by the same path, and get the repository's keys and
                the storage's options.
            progress: called with `ProgressEvent`s.
            on_action: called with everything that is done, or would be.

        Raises:
            SnapshotNotFound, PathNotFound: it is not there.
            UsageError: an argument makes no sense, or the repository itself would be deleted.
            BackendError: the storage fails, or a store as the target does not answer any more.
        """
        from holdfast.backend import Access, is_uri, open_objects
        from holdfast.operations.restore import RestoreOptions, restore, restore_objects

        found, inner = self._named(snapshot)
        options = RestoreOptions(
            include=_patterns(include),
            exclude=_patterns(exclude),
            overwrite=_overwrite(overwrite),
            delete=delete,
            sparse=sparse,
            devices=devices,
            dry_run=dry_run,
            verify=verify,
            expected=_whole(found, inner),
            executor=executor,
            on_action=on_action,
        )
        told = Progress(progress, self._clock)
        if isinstance(target, str) and is_uri(target):
            objects = open_objects(target, Access(target_options or {}), self._clock)
            with closing(objects), self._store.loader() as loader:
                done = restore_objects(found.tree, inner, objects, loader, options, told)
                return replace(done, snapshot=found.id)
        if target_options:
            raise UsageError("options for the driver of a store make no sense with a directory")
        if delete and not is_uri(self.location):
            patterns = options.include, options.exclude
            refuse_to_delete(self.location, "the repository", target, inner, patterns)
        with self._store.loader() as loader:
            done = restore(found.tree, inner, target, loader, options, told)
        return replace(done, snapshot=found.id)

    def verify_restore(  # noqa: PLR0913 - as above
        self,
        snapshot: str,
        target: PathLike,
        *,
        include: Words | None = None,
        exclude: Words | None = None,
        devices: bool = False,
        progress: ProgressCallback | None = None,
        on_problem: OnProblem | None = None,
    ) -> VerifyResult:
        """Compare what was restored into a directory with the snapshot, content and metadata.

        Args:
            snapshot: name of the snapshot, with ``:/path`` for a place in it.
            target: the directory.
            include: as it was restored with, and so are the next two.
            exclude: not what matches these.
            devices: whether device nodes were restored.
            progress: called with `ProgressEvent`s.
            on_problem: called with every `Problem`, also those that the result has no room for.

        Raises:
            SnapshotNotFound, PathNotFound: it is not there.
            UsageError: there is no such directory.
        """
        from holdfast.operations.restore import RestoreOptions, verify_restore

        found, inner = self._named(snapshot)
        options = RestoreOptions(
            include=_patterns(include),
            exclude=_patterns(exclude),
            devices=devices,
            expected=_whole(found, inner),
            on_problem=on_problem,
        )
        told = Progress(progress, self._clock)
        with self._store.loader() as loader:
            return verify_restore(found.tree, inner, target, loader, options, told)

    def check(
        self,
        snapshots: Sequence[str] | None = None,
        read_data: bool | str = False,  # noqa: FBT001, FBT002 - the documented signature
        *,
        full: bool = False,
        quick: bool = False,
        executor: Executor | None = None,
        progress: ProgressCallback | None = None,
    ) -> CheckReport:
        """Look for damage; what is found is data.

        Args:
            snapshots: check only what these need; everything when None.
            read_data: read the data too: True, a random share such as ``"10%"``, or one part of
                several such as ``"3/10"``.
            full: read the trailer of every pack and compare it with the index.
            quick: do not read the small objects that are neither snapshots nor directories, such
                as labels and key slots.
            executor: of ``concurrent.futures``, also of ``dask.distributed``: its processes read
                the data. They get the repository's keys and the storage's options.
            progress: called with `ProgressEvent`s.
        """
        from holdfast.operations.check import CheckOptions, ReadData

        options = CheckOptions(
            read_data=ReadData.parse(read_data),
            full=full,
            quick=quick,
            everything=snapshots is None,
            executor=executor,
        )
        return self._checked(snapshots, options, Progress(progress, self._clock))


def _whole(snapshot: Snapshot, path: bytes) -> tuple[int, int] | None:
    """How many entries and bytes a place has that has all of a snapshot; None for others."""
    from holdfast.model.path import split_path

    place = split_path(path)
    roots = (split_path(os.fsencode(root)) for root in snapshot.paths or ("/",))
    had = snapshot.summary
    entries = had.files + had.others
    if not entries or any(root[: len(place)] != place for root in roots):
        return None
    return entries, had.bytes_processed


def _patterns(given: Words | None) -> Patterns | None:
    from holdfast.filesystem import Patterns

    return None if given is None else Patterns(words(given))


def _overwrite(policy: str) -> Overwrite:
    from holdfast.operations.restore import Overwrite

    try:
        return Overwrite(policy)
    except ValueError:
        names = ", ".join(Overwrite)
        raise UsageError(f"unknown overwrite policy {policy!r}: choose one of {names}") from None
