"""`DRDrill`: the documented class, which puts the parts together."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypedDict, Unpack

from holdfast.errors import UsageError
from holdfast.platform.drill.config import DrillConfig, Probe, probe_problems
from holdfast.platform.drill.execution import Equipment, execute
from holdfast.platform.drill.history import DrillTrend, keep, past_drills, trend_of
from holdfast.platform.drill.objectives import meets_rpo, meets_rto
from holdfast.platform.drill.playbook import (
    Playbook,
    Terms,
    load_playbook,
    refuse_nonsense,
    run_playbook,
)
from holdfast.platform.drill.telling import Notify, NotifyTo, Telling, announcement
from holdfast.platform.drill.words import CHECKS, cron_of, suggestion
from holdfast.platform.managers import How, Place, open_repository
from holdfast.platform.workspace import Workspace

if TYPE_CHECKING:
    from holdfast.engine.repository import Repository
    from holdfast.platform.drill.report import DrillReport


class Scheduler(Protocol):
    """What plans drills; `holdfast.BackupScheduler` is one."""

    def add_job(self, cron_expression: str, job_config: Mapping[str, object]) -> str:
        """Plan a job; returns its id."""


class Criteria(TypedDict, total=False):
    """What `DRDrill.execute_quarterly_drill` measures by."""

    checks: Sequence[str]
    max_rto_minutes: float
    max_rpo_minutes: float
    framework: str


class DRDrill:
    """Rehearses recoveries: restores into a scratch directory, checks, measures, reports.

    Safe to share between threads.

    Args:
        backend: where the repository is: a path, a URI, a storage adapter, or a function that
            opens it.
        password_file: a file that holds its password; or another option says it.
        workspace: where drills are kept, and whose clock is used; the user's own when None.
        probes: for the checks ``service_availability`` and ``api_health``: a URL, a command as a
            list of arguments, or a function that is given the folder of the restored data.
        notify: called with an event, a subject and a text, such as `Notifier.send`.
        notify_to: for channels that a drill or a step names, called with their names before these;
            returns why some were not told, such as `to_channels` makes one. Without it `notify`
            is told for all of them.
        scheduler: plans drills.
        **how: as of `holdfast.open`.

    Raises:
        UsageError: an argument makes no sense.
    """

    def __init__(  # noqa: PLR0913 - what a drill works with; all but two by name
        self,
        backend: Place | Callable[[], AbstractContextManager[Repository]],
        password_file: str | os.PathLike[str] | None = None,
        *,
        workspace: Workspace | None = None,
        probes: Mapping[str, Probe] | None = None,
        notify: Notify | None = None,
        notify_to: NotifyTo | None = None,
        scheduler: Scheduler | None = None,
        **how: Unpack[How],
    ) -> None:
        problems = probe_problems(probes or {})
        if problems:
            raise UsageError("; ".join(problems))
        self.workspace = workspace or Workspace()
        self._backend = backend
        self._password_file = password_file
        self._telling = Telling(notify, notify_to)
        self._scheduler = scheduler
        self._equipment = Equipment(self._opener(how), self.workspace, dict(probes or {}))

    def execute_drill(self, config: DrillConfig | None = None) -> DrillReport:
        """Restore a snapshot, check it, and report; whatever goes wrong is in the report.

        Args:
            config: what to do; `DrillConfig()` when None.

        Raises:
            UsageError: the drill makes no sense.
        """
        config = config or DrillConfig()
        self._prepare()
        report = execute(config, self._equipment)
        keep(self.workspace, report, "drill")
        if config.notification_channels:
            self._telling.send(config.notification_channels, *announcement(report))
        return report

    def execute_quarterly_drill(
        self,
        playbook: str | os.PathLike[str] | Playbook,
        validation_criteria: Criteria | None = None,
        *,
        allow_execute: bool = False,
    ) -> DrillReport:
        """Run a playbook, measured by criteria instead of its own objectives.

        Args:
            playbook: the playbook, or its file.
            validation_criteria: ``checks`` that must be evaluated, by a step or in the end,
                ``max_rto_minutes``, ``max_rpo_minutes`` and ``framework``. What is left out is as
                in the playbook.
            allow_execute: whether it may run programs.

        Raises:
            UsageError: the playbook or the criteria make no sense, or it may not run programs.
        """
        criteria = validation_criteria or {}
        _check_words("criterion", criteria, Criteria.__annotations__)
        checks = criteria.get("checks", ())
        _check_words("check", checks, CHECKS)
        loaded = playbook if isinstance(playbook, Playbook) else load_playbook(Path(playbook))
        refuse_nonsense(loaded, loaded.name)
        meta = loaded.metadata
        config = DrillConfig(
            name=loaded.name,
            description=loaded.description,
            test_environment=meta.test_environment,
            max_rto_minutes=criteria.get("max_rto_minutes", meta.max_rto_minutes),
            max_rpo_minutes=criteria.get("max_rpo_minutes", meta.max_rpo_minutes),
            compliance_framework=criteria.get("framework", meta.compliance_framework),
        )
        self._prepare()
        terms = Terms(config, tuple(checks), allow_execute, self._telling)
        report = run_playbook(loaded, terms, self._equipment)
        keep(self.workspace, report, "playbook")
        return report

    def run_playbook(
        self, playbook_path: str | os.PathLike[str], *, allow_execute: bool = False
    ) -> DrillReport:
        """Run a playbook from a YAML file.

        Args:
            playbook_path: the file.
            allow_execute: whether it may run programs.

        Raises:
            UsageError: it makes no sense, or it may not run programs; nothing was done.
        """
        return self.execute_quarterly_drill(playbook_path, allow_execute=allow_execute)

    def validate_rto(self, recovery_time: float | timedelta, max_rto: float | timedelta) -> bool:
        """Whether a recovery was quick enough; numbers are of minutes."""
        return meets_rto(recovery_time, max_rto)

    def validate_rpo(self, snapshot_time: datetime | str, max_rpo: float | timedelta) -> bool:
        """Whether data is young enough now.

        Args:
            snapshot_time: when its backup began: a time, or one in ISO 8601; in the local zone
                unless it names one.
            max_rpo: how old it may be; a number is of minutes.

        Raises:
            UsageError: that is no time.
        """
        return meets_rpo(snapshot_time, max_rpo, self.workspace.clock.now_ns())

    def schedule_drill(self, config: DrillConfig, cron: str) -> str:
        """Plan a drill.

        Args:
            config: what to do.
            cron: when: a cron expression, or ``weekly``, ``monthly``, ``quarterly`` or
                ``annually``.

        Returns:
            The id of the plan.

        Raises:
            UsageError: it makes no sense, nothing plans drills, or another process could not do
                this drill because it has not what this one was given.
        """
        scheduler = self._scheduler or self._usual_scheduler()
        if scheduler is None:
            raise UsageError("nothing plans drills here: give DRDrill a scheduler")
        if not isinstance(self._backend, str | os.PathLike) or self._password_file is None:
            raise UsageError(
                "a planned drill is done by another process: name the repository by a path or URI "
                "and its password by password_file"
            )
        if any(callable(probe) for probe in config.probes.values()):
            raise UsageError("a planned drill cannot use a function as a probe: give a command")
        return scheduler.add_job(
            cron_of(cron),
            {
                "name": config.name,
                "operation": "drill",
                "backend": os.fspath(self._backend),
                "password_file": str(Path(self._password_file).absolute()),
                "compliance_framework": config.compliance_framework,
                "drill": config.dict(),
            },
        )

    def history(
        self, limit: int | None = None, *, repository: str | None = None
    ) -> list[DrillReport]:
        """The drills that the workspace keeps, oldest first.

        Args:
            limit: only the newest so many.
            repository: only those of this one; its id, or how that begins.
        """
        return past_drills(self.workspace, repository=repository, limit=limit)

    def trend(self, *, repository: str | None = None) -> DrillTrend:
        """How drills change over time; argument as of `history`."""
        return trend_of(self.history(repository=repository))

    def _usual_scheduler(self) -> Scheduler | None:
        """What plans drills if nothing else was given; a layer above this one has it."""
        return None

    def _opener(self, how: How) -> Callable[[], AbstractContextManager[Repository]]:
        backend = self._backend
        if callable(backend):
            return backend
        return partial(
            open_repository, backend, self._password_file, workspace=self.workspace, **how
        )

    def _prepare(self) -> None:
        """Find out before a drill whether it can be kept (UsageError if not)."""
        _ = self.workspace.database


def _check_words(what: str, words: Iterable[str], known: Iterable[str]) -> None:
    names = list(known)
    for word in words:
        if word not in names:
            raise UsageError(f"unknown {what} {word!r}{suggestion(word, names)}")
