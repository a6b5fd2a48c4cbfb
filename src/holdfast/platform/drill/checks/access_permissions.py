"""``access_permissions``: what was restored has the modes and owners that the snapshot has.

Only root restores owners; anybody else's drill compares modes, and says so.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from holdfast.filesystem.apply import may_change_owners
from holdfast.model.entry import Entry
from holdfast.platform.drill.checks.context import CheckContext, Restored
from holdfast.platform.drill.report import CheckOutcome, DrillError, bounded

NAME = "access_permissions"

_NOT_RESTORED = frozenset({"chardev", "blockdev"})


def check_access_permissions(context: CheckContext) -> CheckOutcome:
    """Compare modes and owners of everything."""
    restored = context.restored
    if restored is None:
        return CheckOutcome(NAME, None, "nothing was restored")
    owners = may_change_owners()
    count = too_deep = 0
    errors: list[DrillError] = []
    for entry in context.repository.walk(restored.snapshot.id, restored.path or "/"):
        context.deadline.check()
        try:
            status = _place(entry, restored).lstat()
        except OSError as error:
            too_deep += error.errno == errno.ENAMETOOLONG
            if error.errno != errno.ENAMETOOLONG and entry.type not in _NOT_RESTORED:
                errors.append(DrillError(entry.path, NAME, f"not there: {error.strerror}"))
            continue
        count += 1
        message = "; ".join(_differences(entry, status, owners=owners))
        if message:
            errors.append(DrillError(entry.path, NAME, message))
    told = "modes and owners" if owners else "modes, but not owners, which only root restores,"
    outcome = CheckOutcome(
        NAME,
        not errors if count or errors else None,
        f"{told} of {count:,} entries compared" if count else "the snapshot is empty",
        {"entries": count, "owners_compared": owners, "too_deep": too_deep},
    )
    return bounded(outcome, errors)


def _place(entry: Entry, restored: Restored) -> Path:
    inner = os.path.relpath(entry.path, restored.path or "/")
    return restored.folder / inner


def _differences(entry: Entry, status: os.stat_result, *, owners: bool) -> Iterator[str]:
    if owners and (status.st_uid, status.st_gid) != (entry.uid, entry.gid):
        yield f"owner {status.st_uid}:{status.st_gid} instead of {entry.uid}:{entry.gid}"
    if entry.type == "symlink":
        return
    mode, wanted = stat.S_IMODE(status.st_mode), entry.mode
    if not owners:  # set-id bits are given to the right owner only
        mode, wanted = mode & 0o1777, wanted & 0o1777
    if mode != wanted:
        yield f"mode {mode:04o} instead of {wanted:04o}"
    if mode & ~wanted & stat.S_IWOTH:
        yield "everybody may write to it"
