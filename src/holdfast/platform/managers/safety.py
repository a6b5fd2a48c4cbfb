"""What a restore is about to overwrite, kept as a snapshot before it begins."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

from holdfast.errors import SnapshotNotFound, SourceError, UsageError
from holdfast.model.select import SAFETY
from holdfast.platform.managers.places import pattern, relative, with_parents
from holdfast.platform.managers.recoveries import Recovery

if TYPE_CHECKING:
    from holdfast.engine.repository import Repository
    from holdfast.model.snapshot import Snapshot
    from holdfast.operations.restore import Action, RestoreResult

_CREATE, _REPLACE = "create", "replace"
_TELLING = frozenset({"read", "create", "delete"})
"""Problems of a dry run after which nothing is touched either: damage in the snapshot, devices that
are not asked for, other file systems. After any other it is not known what is there."""


class Affected:
    """What a restore would touch, found out by a dry run.

    Attributes:
        paths: all of it, below the target; what is to be created among it, as something may be
            there by then.
        trees: directories that something else takes the place of, with all that is in them.
    """

    def __init__(self, base: str, *, deletes: bool) -> None:
        """Begin.

        Args:
            base: what of the snapshot is restored.
            deletes: whether what the snapshot does not have is removed.
        """
        self._base = base
        self._deletes = deletes
        self.paths: set[bytes] = set()
        self.trees: list[bytes] = []

    def note(self, action: Action) -> None:
        """Take what would be done."""
        path = relative(action.path, self._base)
        self.paths.add(path)
        if self._deletes and action.deed == _REPLACE:
            self.trees.append(path)

    def check(self, plan: RestoreResult) -> None:
        """Take where nothing would be done; refuse a plan that does not tell everything.

        Raises:
            SourceError: something in the target cannot be looked at, or too much fails to tell.
        """
        if plan.errors_total > len(plan.errors):
            raise SourceError(
                f"there are {plan.errors_total:,} problems, too many to find out what would be "
                "overwritten, so nothing was changed"
            )
        for problem in plan.errors:
            if problem.operation not in _TELLING:
                raise SourceError(
                    f"{problem.path}: {problem.operation}: {problem.message}; what would be "
                    "overwritten cannot all be kept, so nothing was changed"
                )
            self.paths.add(relative(problem.path, self._base))

    def spare(self, target: str, own: str, what: str) -> None:
        """Refuse a restore that changes what undoing it takes.

        Raises:
            UsageError: it would change something in that directory.
        """
        root, place = os.fsencode(target), os.path.realpath(os.fsencode(own))
        if os.path.commonpath((root, place)) == place:
            raise UsageError(f"{target} is in {what}, which undoing takes")
        base = root.rstrip(b"/") + b"/"
        if not place.startswith(base):
            return
        below = place[len(base) :]
        if any(path == below or path.startswith(below + b"/") for path in self.paths):
            inner = os.path.join(self._base, os.fsdecode(below))  # noqa: PTH118 - text
            raise UsageError(
                f"{what}, which undoing takes, would be changed: exclude {inner} from the restore"
            )


def keep(
    repository: Repository,
    recovery: Recovery,
    what: tuple[Iterable[bytes], Iterable[bytes]],
    until: datetime,
    folder: Path,
) -> Snapshot:
    """Make a snapshot of some paths below a target; whatever of it is not there is left out.

    It has the tag ``safety`` and is protected, so that no retention policy removes it.

    Args:
        repository: where it is made.
        recovery: for whose sake, and in whose target.
        what: what to keep, below the target: paths, of directories only their metadata; and
            directories with all that is in them.
        until: how long it is protected.
        folder: of the workspace, where the list of paths is while it is made.

    Raises:
        SourceError: something cannot be read; there is no such snapshot then.
        RepositoryError, BackendError: the same.
    """
    target = recovery.target
    with _patterns(os.fsencode(target), *what, folder) as (file, others):
        result = repository.backup(
            [target],
            exclude_file=file,
            exclude=others,
            tags=[SAFETY],
            label=label_of(recovery),
            description=f"what was in {target} before {recovery.snapshot[:8]} was restored to it",
            protect=until,
            force=True,
        )
    made = result.snapshot
    if made is None or result.errors_total:
        if made is not None:
            give_up(repository, made.id)
        first = result.errors[0] if result.errors else None
        raise SourceError(
            f"{result.errors_total} items that would be overwritten cannot be read, so nothing was "
            f"changed; the first is {first and first.path}: {first and first.message}"
        )
    return made


def label_of(recovery: Recovery) -> str:
    """The label of what is kept for a recovery."""
    return f"before recovery {recovery.id}"


def release(repository: Repository, snapshot: str) -> None:
    """Leave what was kept to the retention policies."""
    try:
        repository.release([snapshot])
    except SnapshotNotFound:
        return


def give_up(repository: Repository, snapshot: str) -> None:
    """Remove what was kept, because it is of no use."""
    release(repository, snapshot)
    repository.forget([snapshot], force=True)


@contextmanager
def _patterns(
    root: bytes, paths: Iterable[bytes], trees: Iterable[bytes], folder: Path
) -> Iterator[tuple[str, list[str]]]:
    """Patterns that leave out of a directory all but some paths.

    They are a file, and those that come after it: with a line break, which a line cannot have.
    """
    base = root.rstrip(b"/") + b"/"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    others: list[str] = []
    with NamedTemporaryFile(dir=folder, suffix=".patterns") as file:

        def write(line: str) -> None:
            if "\n" in line:
                others.append(line)
            else:
                file.write(os.fsencode(f"{line}\n"))

        write(f"{pattern(base)}**")
        for path in with_parents(paths):
            write(f"!{pattern(base + path)}")
        for path in trees:
            write(f"!{pattern(base + path)}/**")
        file.flush()
        yield file.name, others
