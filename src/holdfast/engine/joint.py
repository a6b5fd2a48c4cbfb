"""One backup to several repositories: the source is read once, and each may fail alone."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Unpack

from holdfast.engine.connection import PathLike
from holdfast.engine.origin import counted
from holdfast.engine.plan import Plan, TreeOptions, plan_of, several
from holdfast.engine.results import BackupResult
from holdfast.engine.sources import opened, paths_of
from holdfast.errors import (
    AmbiguousSnapshot,
    BackendError,
    HoldfastError,
    RepositoryError,
    SnapshotNotFound,
    UsageError,
)
from holdfast.overrides import override
from holdfast.present import (
    Cell,
    Column,
    Kind,
    Row,
    Shown,
    Table,
    Tone,
    cells,
    columns,
    count,
    duration,
    table_of,
)
from holdfast.primitives.ids import random_name
from holdfast.progress import Progress, ProgressCallback

if TYPE_CHECKING:
    from holdfast.engine.repository import Repository
    from holdfast.operations.backup.lanes import Lane

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RepositoryBackup(Row):
    """What came of a backup in one of its repositories.

    Attributes:
        repository: where it is.
        result: of its backup; None when it failed.
        error: why it failed.
    """

    repository: str
    result: BackupResult | None
    error: HoldfastError | None = None

    _COLUMNS: ClassVar[tuple[Column, ...]] = (
        *columns(
            repository=Kind.PATH,
            snapshot_id=Kind.ID,
            files_new=Kind.COUNT,
            files_changed=Kind.COUNT,
            files_unmodified=Kind.COUNT,
            bytes_processed=Kind.BYTES,
            data_added=Kind.BYTES,
            data_stored=Kind.BYTES,
            errors_total=Kind.COUNT,
        ),
        Column("error", Kind.TEXT, Tone.BAD),
    )

    def dict(self) -> dict[str, object]:
        """Ready for JSON."""
        error = self.error and {"type": type(self.error).__name__, "message": str(self.error)}
        return {
            "repository": self.repository,
            "result": self.result and self.result.dict(),
            "error": error,
        }

    @override
    def _row(self) -> tuple[Cell, ...]:
        done = self.result
        if done is None:
            return self.repository, *(None for _ in self._COLUMNS[2:]), str(self.error)
        made = done.snapshot
        numbers = cells(done, self._COLUMNS[2:-1])
        return self.repository, made.id if made else None, *numbers, ""


@dataclass(frozen=True, slots=True)
class BackupToResult(Shown):
    """What a backup to several repositories did.

    Attributes:
        backups: one for each repository, in the order in which they were given.
        duration: seconds.
    """

    backups: tuple[RepositoryBackup, ...]
    duration: float

    @property
    def ok(self) -> bool:
        """Whether no repository failed. Source items may have: each `BackupResult` has them."""
        return all(each.error is None for each in self.backups)

    def dict(self) -> dict[str, object]:
        """Ready for JSON."""
        return {
            "backups": [each.dict() for each in self.backups],
            "ok": self.ok,
            "duration": self.duration,
        }

    @override
    def _table(self) -> Table:
        failed = sum(each.error is not None for each in self.backups)
        caption = f"Backup to {count(len(self.backups), 'repository', 'repositories')}"
        caption += f", {failed:,} failed" * bool(failed)
        return table_of(RepositoryBackup, self.backups, caption, (duration(self.duration),))


def backup_to(
    repositories: Sequence[Repository],
    paths: PathLike | Sequence[PathLike],
    *,
    progress: ProgressCallback | None = None,
    **options: Unpack[TreeOptions],
) -> BackupToResult:
    """Back up files and directories to several repositories, reading each file once.

    Every repository gets the snapshot that a backup of its own would make: cut by its own chunker,
    compressed at its own level, compared with its own parent snapshot. Where one was made
    ``init(like=...)`` another, files are cut for both at once. The slowest one sets the pace. The
    snapshots have a `Snapshot.group` in common.

    Args:
        repositories: open ones, each once.
        paths: what to back up, of this machine.
        progress: called with `ProgressEvent`s, one series for all.
        options: as for `Repository.backup`. A `parent` is looked for in each repository.

    Returns:
        What came of it in each repository. One that fails does not keep the others from their
        snapshot: the result has its error, and `BackupToResult.ok` is False.

    Raises:
        UsageError: the arguments make no sense; nothing was done.
        SourceError: none of the paths exists.
    """
    repositories = list(repositories)
    if not repositories or len({each.id for each in repositories}) < len(repositories):
        raise UsageError("back up to one repository or several, each named once")
    plan = plan_of(**options)
    clock = repositories[0]._clock  # noqa: SLF001 - ours
    counter = Progress(progress, clock)
    start = clock.monotonic()
    lanes = _backed_up(repositories, several(paths), plan, counter)
    counter.finish()
    duration = clock.monotonic() - start
    return BackupToResult(
        tuple(
            _told(repository.location, lane, duration)
            for repository, lane in zip(repositories, lanes, strict=True)
        ),
        duration,
    )


def _backed_up(
    repositories: Sequence[Repository], paths: Sequence[PathLike], plan: Plan, progress: Progress
) -> list[Lane | HoldfastError]:
    """Make the backup; returns for each repository how it went, or why it did not begin."""
    from holdfast.filesystem import LocalSource
    from holdfast.operations.backup.joint import backup_jointly

    clock = repositories[0]._clock  # noqa: SLF001 - ours
    with opened(paths, plan.rules, None, clock) as source, ExitStack() as stack:
        if not isinstance(source, LocalSource):
            raise UsageError(
                f"{source.uri}: a store can be backed up to one repository at a time: make a "
                "backup to each, or copy the snapshot"
            )
        named = paths_of(source)
        group = random_name()
        begun = [_begun(each, plan, named, group, stack) for each in repositories]
        lanes = [each for each in begun if not isinstance(each, HoldfastError)]
        parents = (lane.options.parent for lane in lanes)
        known = next((each for each in parents if each and each.paths == named), None)
        with counted(source, known, progress):
            backup_jointly(source, lanes, clock, progress)
    return begun


def _begun(
    repository: Repository, plan: Plan, paths: Sequence[str], group: str, stack: ExitStack
) -> Lane | HoldfastError:
    """Begin in one repository, or tell why it cannot be."""
    resources = stack.enter_context(ExitStack())
    try:
        return repository._lane(plan, paths, group, resources)  # noqa: SLF001 - made for this
    except (RepositoryError, BackendError, SnapshotNotFound, AmbiguousSnapshot) as error:
        _log.warning("the backup to %s failed: %s", repository.location, error)
        resources.__exit__(type(error), error, error.__traceback__)
        return error


def _told(location: str, lane: Lane | HoldfastError, duration: float) -> RepositoryBackup:
    if isinstance(lane, HoldfastError):
        return RepositoryBackup(location, None, lane)
    if lane.outcome is None:
        return RepositoryBackup(location, None, lane.error)
    return RepositoryBackup(location, BackupResult.of(lane.outcome, duration))
