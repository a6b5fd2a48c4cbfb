"""Restore: a snapshot, or a part of it, written into a directory.

One thread goes through the trees (`traverse`), creates directories and enters them
(`directories`), and puts their other entries in batches into a bounded queue, each with a
descriptor of its directory; a few threads take them from there (`pool`, `entries`). `judge`
decides what becomes of an entry that exists, `links` joins the names of one file, `purge` deletes
what the snapshot does not have. A directory gets its metadata when its last entry is done. `plan`
is the dry run, `verify` reads everything back.

Nothing is changed but by a name in a directory that is held open (`holdfast.filesystem.target`).
A new entry is made under a temporary name and renamed when it is complete; a crash leaves some of
these names behind, and the next restore into their directory removes them. An existing file is
changed in place, and only where it differs; its mtime is set last, so that one which a crash left
half changed is changed again by any later restore but those that protect it.

What fails in the target, or is damaged in the repository, is an entry of `RestoreResult.errors`
and the rest is restored; only a failure of the repository as a whole ends the work. Nothing waits
for the disk: after a power failure, restore again.
"""

from holdfast.operations.restore.judge import DEVICE_LEFT_OUT
from holdfast.operations.restore.objects import restore_objects
from holdfast.operations.restore.options import Overwrite, RestoreOptions
from holdfast.operations.restore.restore import restore, verify_restore
from holdfast.operations.restore.result import (
    MAX_ERRORS,
    Action,
    Deed,
    OnAction,
    OnProblem,
    RestoreResult,
    VerifyResult,
)

__all__ = [
    "DEVICE_LEFT_OUT",
    "MAX_ERRORS",
    "Action",
    "Deed",
    "OnAction",
    "OnProblem",
    "Overwrite",
    "RestoreOptions",
    "RestoreResult",
    "VerifyResult",
    "restore",
    "restore_objects",
    "verify_restore",
]
