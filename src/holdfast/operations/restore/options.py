"""What a restore is told: which entries, and what becomes of those that exist."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from enum import StrEnum

from holdfast.filesystem import Patterns
from holdfast.operations.restore.result import OnAction, OnProblem


class Overwrite(StrEnum):
    """What becomes of an entry that exists in the target.

    Directories are never emptied by it; that is `RestoreOptions.delete`.
    """

    ALWAYS = "always"
    """It becomes what the snapshot has; of a file, parts that are equal are not written."""

    IF_CHANGED = "if-changed"
    """As `ALWAYS`, but a file of the same size and mtime is taken to have the same content."""

    IF_NEWER = "if-newer"
    """As `ALWAYS`, but only what is older than in the snapshot, by mtime, is touched."""

    NEVER = "never"
    """It stays as it is."""


@dataclass(frozen=True, slots=True)
class RestoreOptions:
    """How to restore.

    Patterns are matched against absolute paths in the snapshot, also when only a part of it is
    restored. A directory that only leads to something included is created when that is needed;
    its metadata is restored only then.

    Attributes:
        include: only entries that match, and what is below directories that match; all when
            there are no patterns.
        exclude: not these, nor anything below them; stronger than `include`.
        overwrite: see `Overwrite`.
        delete: remove from restored directories what the snapshot does not have there. What
            `include` and `exclude` hide, and other file systems mounted there, stay.
        sparse: leave holes also for blobs of zeros; the snapshot's own holes always are.
        devices: create device nodes, which takes root; otherwise each is reported as left out.
        dry_run: only say what would be done.
        verify: when all is done, read everything back and compare it with the snapshot.
        expected: how many entries that are no directories there are without patterns, and their
            bytes, if that is known: then progress need not count them.
        executor: its processes write files, too; they reach the target by the same path.
        on_action: told of each thing that is done, from several threads but one call at a time;
            in a dry run, of each that would be done.
        on_problem: told of each problem, also of those that the result has no room for.
    """

    include: Patterns | None = None
    exclude: Patterns | None = None
    overwrite: Overwrite = Overwrite.ALWAYS
    delete: bool = False
    sparse: bool = False
    devices: bool = False
    dry_run: bool = False
    verify: bool = False
    expected: tuple[int, int] | None = None
    executor: Executor | None = None
    on_action: OnAction | None = None
    on_problem: OnProblem | None = None
