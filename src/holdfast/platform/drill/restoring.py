"""Restoring for a drill: measured, and ended when its time is over."""

from __future__ import annotations

from pathlib import Path

from holdfast.engine.repository import Repository
from holdfast.model.select import parse_spec
from holdfast.operations.restore import DEVICE_LEFT_OUT
from holdfast.platform.drill.checks import Restored
from holdfast.platform.drill.deadline import Deadline
from holdfast.platform.drill.report import DrillError

PHASE = "restore"


def restore_into(
    repository: Repository, snapshot_id: str, folder: Path, deadline: Deadline
) -> Restored:
    """Restore a snapshot, or a part of it, into a directory.

    Device nodes are left out, and that is no error: a drill is not to make any.

    Raises:
        SnapshotNotFound, PathNotFound: it is not there.
        BackendError, RepositoryError: it cannot be read at all.
        OutOfTime: it takes too long; no part of it works on.
    """
    begin = deadline.clock.monotonic()
    spec, path = parse_spec(snapshot_id)
    snapshot = repository.snapshot(spec)
    deadline.check()
    part = "" if path == "/" else path
    name = f"{snapshot.id}:{part}" if part else snapshot.id
    result = repository.restore(name, folder, progress=deadline.check)
    errors = tuple(
        DrillError(each.path, PHASE, f"{each.operation}: {each.message}")
        for each in result.errors
        if each.message != DEVICE_LEFT_OUT
    )
    return Restored(
        snapshot,
        part,
        folder,
        deadline.clock.monotonic() - begin,
        result.files_restored,
        result.bytes_restored,
        errors,
    )
