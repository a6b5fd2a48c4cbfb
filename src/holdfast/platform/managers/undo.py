"""Undoing a restore: what it overwrote or removed comes back, what it created goes."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from holdfast.errors import SnapshotNotFound, UsageError
from holdfast.model.select import SAFETY
from holdfast.model.snapshot import Problem
from holdfast.platform.managers import safety
from holdfast.platform.managers.aftermath import Aftermath, Findings
from holdfast.platform.managers.recording import moment, recorded
from holdfast.platform.managers.recoveries import Recoveries, Recovery
from holdfast.platform.managers.restoring import KEEP_DAYS, listed, may_be_torn

if TYPE_CHECKING:
    from holdfast.engine.repository import Repository
    from holdfast.operations.restore import RestoreResult
    from holdfast.platform.audit import JSON, AuditTrail
    from holdfast.platform.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Undone:
    """What undoing a recovery did.

    Attributes:
        recovery: which.
        found: what had become of the target.
        restored: what was brought back; None if nothing was kept.
        saved_as: id of the snapshot of what may have been half written; None if there was none.
    """

    recovery: Recovery
    found: Findings
    restored: RestoreResult | None = None
    saved_as: str | None = None

    @property
    def errors_total(self) -> int:
        """How much of it failed."""
        failed = self.restored.errors_total if self.restored else 0
        return len(self.found.errors) + len(self.found.unknown) + failed

    @property
    def restored_total(self) -> int:
        """How many files and other entries were brought back."""
        return self.restored.files_restored + self.restored.others if self.restored else 0

    @property
    def kept(self) -> list[Problem]:
        """What stays as it is, and why."""
        return [
            Problem(self._path(path), "keep", why) for path, why in sorted(self.found.kept.items())
        ]

    @property
    def errors(self) -> list[Problem]:
        """What failed."""
        own = [Problem(self._path(path), "enter", why) for path, why in self.found.unknown.items()]
        own += [Problem(self._path(path), "delete", why) for path, why in self.found.errors.items()]
        return own + list(self.restored.errors if self.restored else ())

    def dict(self) -> dict[str, object]:
        """See `RecoveryManager.undo`."""
        return {
            "recovery": self.recovery.id,
            "snapshot_id": self.recovery.snapshot,
            "target": self.recovery.target,
            "state": "partial" if self.errors_total else "undone",
            "removed": self.found.removed,
            "restored": self.restored_total,
            "kept": [{"path": each.path, "reason": each.message} for each in self.kept],
            "saved_as": self.saved_as,
            "safety": self.recovery.safety,
            "errors": listed(self.errors),
            "errors_total": self.errors_total,
        }

    def _path(self, path: bytes) -> str:
        return os.path.join(self.recovery.target, os.fsdecode(path)).rstrip("/")  # noqa: PTH118 - text


def undo(
    repository: Repository, workspace: Workspace, recovery: Recovery, trail: AuditTrail | None
) -> Undone:
    """Undo a recovery that nobody else works on; see `RecoveryManager.undo`."""
    if not recovery.request.undoable:
        raise UsageError(f"recovery {recovery.id} was not made so that it can be undone")
    if recovery.state == "undone":
        raise UsageError(f"recovery {recovery.id} is undone already")
    about: dict[str, JSON] = {"recovery": recovery.id, "target": recovery.target}
    with recorded(trail, "undo", repository.id, about) as deed:
        deed.snapshot = recovery.safety or ""
        done = _undo(repository, workspace, recovery)
        state = "partial" if done.errors_total else "undone"
        outcome = {"removed": done.found.removed, "restored": done.restored_total}
        deed.result = "partial" if done.errors_total else "ok"
        deed.details |= outcome
        ended = replace(
            recovery,
            state=state,
            ended_ns=workspace.clock.now_ns(),
            outcome={
                **outcome,
                "kept": len(done.found.kept),
                "saved_as": done.saved_as,
                "failed": _failed(done),
            },
        )
        Recoveries(workspace).end(ended)
    return done


def _failed(done: Undone) -> list[str] | None:
    """What may be half changed still; None if that is not known."""
    if done.found.unknown or done.restored is None:
        return None
    return may_be_torn(done.restored, done.recovery.target)


def _undo(repository: Repository, workspace: Workspace, recovery: Recovery) -> Undone:
    if not recovery.request.began:  # it was killed, or failed, before it touched anything
        for each in repository.snapshots(tags=SAFETY):
            if each.label == safety.label_of(recovery):
                safety.release(repository, each.id)
        return Undone(recovery, Findings())
    folder = workspace.folder / "recoveries"
    aftermath = Aftermath(repository, recovery, folder / f"{recovery.id}.nowhere")
    try:
        found = aftermath.look()
    except SnapshotNotFound as error:
        advice = f"; what was there before is snapshot {recovery.safety}" * bool(recovery.safety)
        raise SnapshotNotFound(f"this cannot be undone: {error}{advice}") from error
    saved = None
    if found.torn:
        until = moment(workspace.clock.now_ns()) + timedelta(days=KEEP_DAYS)
        saved = safety.keep(repository, recovery, (found.torn, ()), until, folder).id
    # From here on, what this leaves when it is killed is half changed, too.
    begun = {**recovery.outcome, "spared": [os.fsdecode(path) for path in sorted(found.kept)]}
    Recoveries(workspace).store(replace(recovery, state="running", ended_ns=None, outcome=begun))
    aftermath.remove_created()
    done = Undone(recovery, found, aftermath.bring_back(), saved)
    if recovery.safety is not None and not done.errors_total and not found.kept:
        safety.release(repository, recovery.safety)
    return done
