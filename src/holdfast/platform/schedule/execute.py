"""Does the work of jobs: each operation as a call of the managers, the drill or the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, cast

from holdfast.errors import UsageError
from holdfast.platform.managers import BackupManager, BackupValidator, open_repository
from holdfast.platform.schedule.cancel import Cancel
from holdfast.platform.schedule.job import Access, JobConfig, Operation
from holdfast.platform.schedule.outcome import Outcome
from holdfast.platform.schedule.references import resolved
from holdfast.platform.schedule.table import DONE, FAILED, PARTIAL
from holdfast.platform.workspace import Workspace

if TYPE_CHECKING:
    from holdfast.platform.managers import How

_SHOWN = 10
"""Most errors and findings that are kept of one run."""


class Dispatch:
    """The executor of jobs.

    Args:
        workspace: whose clock and audit trail are used.
        manager: does jobs that name no repository.
    """

    def __init__(self, workspace: Workspace, manager: BackupManager | None) -> None:
        self._workspace = workspace
        self._manager = manager

    def __call__(self, config: JobConfig, cancel: Cancel) -> Outcome:
        """Do what a job says.

        Raises:
            HoldfastError: it cannot be done.
        """
        work: dict[Operation, Callable[[JobConfig, Cancel], Outcome]] = {
            Operation.BACKUP: self._back_up,
            Operation.VALIDATE: self._validate,
            Operation.DRILL: self._drill,
            Operation.PRUNE: self._prune,
            Operation.COPY: self._copy,
        }
        return work[config.operation](config, cancel)

    def _back_up(self, config: JobConfig, cancel: Cancel) -> Outcome:
        with self._opened(config) as manager:
            made = manager.create_backup(
                list(_texts(config.sources)),
                tags=list(_texts(config.tags)),
                exclude=list(_texts(config.exclude)),
                progress_callback=cancel.check,
                backup_type=config.backup_type or "incremental",
            )
            result = _bounded(made)
            lost = _number(made["errors_total"])
            summary = f"snapshot {str(made['snapshot_id'])[:8]}"
            summary += f", {lost} source items could not be read" if lost else ""
            if config.retention_policy is not None:
                cancel.check()
                freed = manager.prune_snapshots(config.retention_policy)
                result["pruned"] = _pruned(freed)
        return Outcome(PARTIAL if lost else DONE, result, summary)

    def _prune(self, config: JobConfig, _: Cancel) -> Outcome:
        with self._opened(config) as manager:
            freed = _pruned(manager.prune_snapshots(config.retention_policy or {}))
        return Outcome(DONE, freed, f"{freed['removed']} snapshots forgotten")

    def _validate(self, config: JobConfig, cancel: Cancel) -> Outcome:
        with self._opened(config) as manager:
            validator = BackupValidator.on(manager.repository, self._workspace)
            found = validator.validate_snapshot(
                full_check=config.full_check,
                read_data=config.read_data,
                progress_callback=cancel.check,
            )
        errors = found["errors"] if isinstance(found["errors"], list) else []
        if found["valid"]:
            return Outcome(DONE, _bounded(found), "no damage found")
        return Outcome(FAILED, _bounded(found), f"{len(errors)} findings of damage")

    def _copy(self, config: JobConfig, cancel: Cancel) -> Outcome:
        if config.to is None:
            raise UsageError("job: to is missing")
        with (
            self._opened(config) as manager,
            open_repository(
                _text(config.to.backend), workspace=self._workspace, **_how(config.to)
            ) as target,
        ):
            copied = manager.repository.copy(
                target, tags=list(_texts(config.tags)) or None, progress=cancel.check
            )
            self._workspace.audit.record(
                "copy",
                repository=manager.repository.id,
                details={"to": target.id, "snapshots": len(copied.copied)},
            )
        return Outcome(DONE, {"copied": len(copied.copied)}, f"{len(copied.copied)} copied")

    def _drill(self, config: JobConfig, _: Cancel) -> Outcome:
        from holdfast.platform.drill import DRDrill
        from holdfast.platform.schedule.drills import drill_config

        if config.access is None:
            raise UsageError("job: a drill needs backend: where the repository is")
        told = cast("dict[str, object]", resolved(config.drill))
        drill = DRDrill(
            _text(config.access.backend), workspace=self._workspace, **_how(config.access)
        )
        report = drill.execute_drill(drill_config(config, told))
        state = {"SUCCESS": DONE, "PARTIAL": PARTIAL}.get(report.status, FAILED)
        return Outcome(state, _bounded(report.dict()), f"drill {report.status}")

    @contextmanager
    def _opened(self, config: JobConfig) -> Iterator[BackupManager]:
        """The manager of a job's repository."""
        with ExitStack() as resources:
            if config.access is not None:
                manager = BackupManager(
                    _text(config.access.backend), workspace=self._workspace, **_how(config.access)
                )
                yield resources.enter_context(manager)
            elif self._manager is not None:
                yield self._manager
            else:
                raise UsageError(
                    "job: backend is missing, and the scheduler that runs it has no backup manager"
                )


def _how(access: Access) -> How:
    how: dict[str, object] = {
        "password": access.password,
        "password_file": access.password_file,
        "password_command": access.password_command,
        "storage_options": access.storage_options or None,
    }
    given = {name: resolved(value) for name, value in how.items() if value is not None}
    return cast("How", given)


def _text(value: str) -> str:
    return str(resolved(value))


def _texts(values: tuple[str, ...]) -> Iterator[str]:
    return map(_text, values)


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _bounded(result: Mapping[str, object]) -> dict[str, object]:
    """A result with no more than the first of long lists."""
    return {
        name: value[:_SHOWN] if isinstance(value, list) else value for name, value in result.items()
    }


def _pruned(result: Mapping[str, object]) -> dict[str, object]:
    removed = result["removed"]
    return {
        "removed": len(removed) if isinstance(removed, list) else 0,
        "bytes_freed": result["bytes_freed"],
    }
