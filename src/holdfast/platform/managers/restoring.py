"""One restore of a `RecoveryManager`: recorded, and undoable if that is asked for."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, TypedDict

from holdfast.backend import is_uri
from holdfast.engine.own import refuse_to_delete
from holdfast.errors import UsageError
from holdfast.filesystem import Patterns
from holdfast.model.path import split_path
from holdfast.model.select import parse_spec
from holdfast.platform.managers import safety
from holdfast.platform.managers.places import relative
from holdfast.platform.managers.recording import moment, recorded
from holdfast.platform.managers.recoveries import Recoveries, Recovery, Request

if TYPE_CHECKING:
    from holdfast.engine.connection import PathLike, Words
    from holdfast.engine.repository import Repository
    from holdfast.model.snapshot import Problem, Snapshot
    from holdfast.operations.restore import OnAction, RestoreResult
    from holdfast.platform.audit import JSON, AuditTrail
    from holdfast.platform.workspace import Workspace
    from holdfast.progress import ProgressCallback

_log = logging.getLogger(__name__)

KEEP_DAYS = 30.0
"""For how long what a restore overwrote is protected, unless another number is given."""

MOST_DAYS = 36_500.0
"""The most that can be given."""


class RestoreOptions(TypedDict, total=False):
    """How to restore; `Repository.restore` explains all but the last two.

    ``undoable`` has what is overwritten or removed kept, so that `RecoveryManager.undo` can bring
    it back; for ``keep_days`` days (30 if not given) no retention policy removes that.
    """

    include: Words | None
    exclude: Words | None
    overwrite: str
    delete: bool
    sparse: bool
    devices: bool
    dry_run: bool
    target_options: Mapping[str, object] | None
    on_action: OnAction | None
    undoable: bool
    keep_days: float


class Restoring:
    """One restore."""

    def __init__(
        self,
        repository: Repository,
        workspace: Workspace,
        name: str,
        target: PathLike,
        options: RestoreOptions,
    ) -> None:
        """Find out what is meant.

        Args:
            repository: where the snapshot is.
            workspace: where the restore is recorded.
            name: of the snapshot, with ``:/path`` for a place in it.
            target: where it is restored to.
            options: how.

        Raises:
            SnapshotNotFound, AmbiguousSnapshot: no snapshot is meant.
            UsageError: an argument makes no sense.
        """
        spec, path = parse_spec(name)
        self._repository = repository
        self._id = repository.id
        self._workspace = workspace
        self._snapshot: Snapshot = repository.snapshot(spec)
        self._path = os.fsdecode(b"/" + b"/".join(split_path(os.fsencode(path))))
        self._options = options
        self._recoveries = Recoveries(workspace)
        self._is_dry = options.get("dry_run", False)
        self._is_undoable = options.get("undoable", False) and not self._is_dry
        self._days = options.get("keep_days", KEEP_DAYS)
        text = os.fsdecode(target)
        if not text:
            raise UsageError("no target is named")
        self._is_elsewhere = is_uri(text)
        self._target = text if self._is_elsewhere else os.path.realpath(text)
        if self._is_undoable and self._is_elsewhere:
            raise UsageError("a restore to a store cannot be undone: restore to a new folder there")
        if not 0 < self._days <= MOST_DAYS:
            raise UsageError(f"what is overwritten cannot be kept for {self._days} days")
        if options.get("delete", False) and not self._is_elsewhere and not self._is_dry:
            patterns = [
                None if (given := _words(each)) is None else Patterns(given)
                for each in (options.get("include"), options.get("exclude"))
            ]
            refuse_to_delete(
                str(workspace.folder),
                "the folder that keeps the record",
                self._target,
                os.fsencode(self._path),
                (patterns[0], patterns[1]),
            )

    def run(
        self, *, verify: bool, progress: ProgressCallback | None, trail: AuditTrail | None
    ) -> dict[str, object]:
        """Restore; see `RecoveryManager.restore_snapshot`."""
        start = self._workspace.clock.monotonic()
        about: dict[str, JSON] = {"target": self._target, "path": self._path}
        with recorded(None if self._is_dry else trail, "restore", self._id, about) as deed:
            deed.snapshot = self._snapshot.id
            result, recovery = self.restore(verify=verify, progress=progress)
            deed.result = "partial" if result.errors_total else "ok"
            deed.details |= {"files": result.files_restored, "errors": result.errors_total}
            if recovery is not None:
                deed.details |= {"recovery": recovery.id, "safety": recovery.safety}
        return {
            "snapshot_id": self._snapshot.id,
            "target": self._target,
            "dry_run": self._is_dry,
            "valid": result.errors_total == 0,
            "verified": result.errors_total == 0 if verify and not self._is_dry else None,
            **_numbers(result),
            "left_out": dict(result.left_out),
            "errors": listed(result.errors),
            "errors_total": result.errors_total,
            "duration": self._workspace.clock.monotonic() - start,
            "recovery": recovery and recovery.id,
            "safety": recovery and recovery.safety,
        }

    def restore(
        self, *, verify: bool, progress: ProgressCallback | None
    ) -> tuple[RestoreResult, Recovery | None]:
        """Restore, and keep in the workspace how that went, unless it is a dry run."""
        if self._is_dry:
            return self._restore(verify=verify, progress=progress), None
        recovery = self._begun()
        with (
            self._recoveries.at_work(recovery) if recovery and self._is_undoable else nullcontext()
        ):
            try:
                recovery = self._kept(recovery)
                result = self._restore(verify=verify, progress=progress)
            except BaseException as error:
                why = {"error": type(error).__name__, "message": str(error)}
                self._ended(recovery, "failed", why)
                raise
            state = "partial" if result.errors_total else "done"
            failed = may_be_torn(result, self._path)
            outcome = {**_numbers(result), "errors": result.errors_total, "failed": failed}
            return result, self._ended(recovery, state, outcome)

    def _begun(self) -> Recovery | None:
        """Record that it begins; None if that cannot be, and need not be."""
        request = Request(
            path=self._path,
            existed=os.path.lexists(self._target),
            include=_words(self._options.get("include")),
            exclude=_words(self._options.get("exclude")),
            overwrite=self._options.get("overwrite", "always"),
            delete=self._options.get("delete", False),
            devices=self._options.get("devices", False),
            undoable=self._is_undoable,
            began=not self._is_undoable,
        )
        try:
            return self._recoveries.begin(self._id, self._snapshot.id, self._target, request)
        except (sqlite3.Error, OSError, UsageError) as error:
            if self._is_undoable:
                raise
            # Whoever needs their data gets it, also where nothing else can be written.
            _log.warning("this recovery is not recorded: %s", error)
            return None

    def _kept(self, recovery: Recovery | None) -> Recovery | None:
        """Keep what will be overwritten, if that is asked for; then the restore may begin."""
        if recovery is None or not self._is_undoable:
            return recovery
        made = self._safety(recovery) if recovery.request.existed else None
        kept = replace(recovery, safety=made, request=replace(recovery.request, began=True))
        self._recoveries.store(kept)
        return kept

    def _safety(self, recovery: Recovery) -> str | None:
        affected = safety.Affected(self._path, deletes=recovery.request.delete)
        plan = self._restore(verify=False, progress=None, affected=affected)
        affected.check(plan)
        affected.spare(
            self._target, str(self._workspace.folder), "the folder that keeps the record"
        )
        if not is_uri(self._repository.location):
            affected.spare(self._target, self._repository.location, "the repository")
        if not affected.paths:
            return None
        now = moment(self._workspace.clock.now_ns())
        made = safety.keep(
            self._repository,
            recovery,
            (affected.paths, affected.trees),
            now + timedelta(days=self._days),
            self._workspace.folder / "recoveries",
        )
        return made.id

    def _restore(
        self,
        *,
        verify: bool,
        progress: ProgressCallback | None,
        affected: safety.Affected | None = None,
    ) -> RestoreResult:
        """Restore, or find out what that would do."""
        told = self._options
        return self._repository.restore(
            f"{self._snapshot.id}:{self._path}",
            self._target,
            include=told.get("include"),
            exclude=told.get("exclude"),
            overwrite=told.get("overwrite", "always"),
            delete=told.get("delete", False),
            sparse=told.get("sparse", False),
            devices=told.get("devices", False),
            dry_run=self._is_dry or affected is not None,
            verify=verify,
            target_options=told.get("target_options"),
            progress=progress,
            on_action=told.get("on_action") if affected is None else affected.note,
        )

    def _ended(
        self, recovery: Recovery | None, state: str, outcome: Mapping[str, object]
    ) -> Recovery | None:
        if recovery is None:
            return None
        ended = replace(
            recovery,
            state=state,
            ended_ns=self._workspace.clock.now_ns(),
            outcome=dict(outcome),
        )
        self._recoveries.end(ended)
        return ended


def listed(problems: Iterable[Problem]) -> list[dict[str, str]]:
    """Problems, ready for JSON."""
    return [
        {"path": each.path, "operation": each.operation, "message": each.message}
        for each in problems
    ]


def may_be_torn(result: RestoreResult, base: str) -> list[str] | None:
    """What a restore may have changed in part, below its target; None if it does not tell all.

    Args:
        result: of the restore.
        base: what of the snapshot was restored.
    """
    if result.errors_total > len(result.errors):
        return None
    return sorted({os.fsdecode(relative(each.path, base)) for each in result.errors})


def _numbers(result: RestoreResult) -> dict[str, int]:
    return {
        "files_restored": result.files_restored,
        "files_skipped": result.files_skipped,
        "hardlinks": result.hardlinks,
        "directories": result.directories,
        "others": result.others,
        "deleted": result.deleted,
        "bytes_restored": result.bytes_restored,
        "bytes_written": result.bytes_written,
    }


def _words(given: Words | None) -> tuple[str, ...] | None:
    if given is None:
        return None
    return (given,) if isinstance(given, str) else tuple(given)
