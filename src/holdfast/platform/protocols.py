"""The four protocols of a system's resilience, each one call: back up, validate, drill, plan."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Unpack

from holdfast.backend import is_uri
from holdfast.closing import Closing
from holdfast.overrides import override
from holdfast.platform.compliance import ComplianceReporter
from holdfast.platform.drdrill import DRDrill
from holdfast.platform.drill import DrillConfig
from holdfast.platform.managers import BackupManager, BackupValidator, StorageAdapter
from holdfast.platform.workspace import Workspace

if TYPE_CHECKING:
    from holdfast.platform.managers import How, Place

_log = logging.getLogger(__name__)

SYSTEM_BACKUP: Final = "P-SYSTEM-BACKUP"
BACKUP_VALIDATION: Final = "P-BACKUP-VALIDATION"
DR_DRILL: Final = "P-RES-DR-DRILL"
OPS_RESILIENCE: Final = "P-OPS-RESILIENCE"

SYSTEM_TAGS: Final = (SYSTEM_BACKUP, "system", "production")
"""Of the snapshots that P-SYSTEM-BACKUP makes."""

SYSTEM_SOURCES: Final = ("/etc", "/var/lib", "/home", "/opt")
"""What a system backup holds, unless told otherwise."""

SYSTEM_EXCLUDE: Final = ("/var/lib/docker/", "*.log", "/tmp")  # noqa: S108 - left out, not used
"""What it leaves out, unless told otherwise."""

DRILL: Final = DrillConfig(
    name=DR_DRILL,
    description="the newest system backup can be recovered, in time",
    validation_checks=("integrity", "restore_speed", "data_consistency", "encryption_status"),
)
"""The drill that is held, unless told otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResilienceTimes:
    """When P-OPS-RESILIENCE has things done: cron expressions.

    Attributes:
        backup: when P-SYSTEM-BACKUP.
        validation: when P-BACKUP-VALIDATION.
        drill: when P-RES-DR-DRILL; None for never.
    """

    backup: str
    validation: str
    drill: str | None = None


SIX_HOURLY: Final = ResilienceTimes(backup="0 */6 * * *", validation="0 2 * * *", drill="0 2 1 * *")
"""Four backups a day, a validation each night, a drill on the first of each month."""

DAILY: Final = ResilienceTimes(backup="0 2 * * *", validation="0 3 * * *")
"""A backup each night and its validation an hour later."""


class BackupRecoveryProtocol(Closing):
    """Backs a system up, validates the backups, rehearses their recovery, and plans all three.

    A context manager, which closes the repository.

    Args:
        backend: where the repository is: a path, a URI, or a storage adapter.
        password_file: a file that holds its password; or another option says it. Planned jobs
            need a file or ``password_command``, as nobody can be asked when they run.
        sources: what is backed up where nothing else is said.
        exclude: patterns of what is left out of it.
        drill: the drill that is held.
        workspace: where jobs, drills and reports are kept, and whose clock is used; the user's own
            when None.
        **how: as of `holdfast.open`.
    """

    def __init__(
        self,
        backend: Place,
        password_file: str | os.PathLike[str] | None = None,
        *,
        sources: Sequence[str | os.PathLike[str]] = SYSTEM_SOURCES,
        exclude: Sequence[str] = SYSTEM_EXCLUDE,
        drill: DrillConfig = DRILL,
        workspace: Workspace | None = None,
        **how: Unpack[How],
    ) -> None:
        self.workspace = workspace or Workspace()
        self._backend = backend
        self._password_file = password_file
        self._sources = [os.fspath(source) for source in sources]
        self._exclude = list(exclude)
        self._drill = drill
        self._how = how
        self._manager = BackupManager(backend, password_file, workspace=self.workspace, **how)

    @override
    def close(self) -> None:
        """Close the repository; it is opened again if needed."""
        self._manager.close()

    def execute_p_system_backup(
        self, sources: Sequence[str | os.PathLike[str]] | None = None
    ) -> dict[str, object]:
        """P-SYSTEM-BACKUP: back up, with the tags `SYSTEM_TAGS`.

        Args:
            sources: what to back up, in place of what the constructor was told.

        Returns:
            As of `BackupManager.create_backup`, and ``message``.

        Raises:
            SourceError: none of the sources is there.
            RepositoryError, BackendError: no snapshot was made.
        """
        made = self._manager.create_backup(
            self._sources if sources is None else [os.fspath(source) for source in sources],
            tags=SYSTEM_TAGS,
            exclude=self._exclude,
        )
        return made | _said(SYSTEM_BACKUP, f"Snapshot: {made['snapshot_id']}")

    def execute_p_backup_validation(self) -> dict[str, object]:
        """P-BACKUP-VALIDATION: read all data, and restore the newest snapshot on trial.

        Returns:
            As of `BackupValidator.validate_snapshot`, and ``message``.

        Raises:
            RepositoryError, BackendError: the repository cannot be opened or reached.
        """
        validator = BackupValidator.on(self._manager.repository, self.workspace)
        found = validator.validate_snapshot(full_check=True, read_data=True)
        errors = found["errors"] if isinstance(found["errors"], list) else []
        told = "no damage found" if found["valid"] else f"{len(errors)} findings of damage"
        return found | _said(BACKUP_VALIDATION, f"Valid: {found['valid']} ({told})")

    def execute_p_res_dr_drill(self) -> dict[str, object]:
        """P-RES-DR-DRILL: hold a drill, and write a JSON report on it for the auditors.

        Returns:
            As of `DrillReport.dict`, among it ``status``, ``rto_compliant``, ``rpo_compliant`` and
            ``recovery_time_minutes``; ``compliance`` (as of `ComplianceReporter.generate_report`)
            and ``message``. What prevents the recovery is in it, and not raised.

        Raises:
            UsageError: the drill makes no sense, or a file cannot be written.
        """
        drill = DRDrill(self._backend, self._password_file, workspace=self.workspace, **self._how)
        held = drill.execute_drill(self._drill)
        reporter = ComplianceReporter(workspace=self.workspace)
        compliance = reporter.generate_report(held, held.compliance_framework, "json")
        verdict = f"{held.status}, RTO {_met(held.rto_compliant)}, RPO {_met(held.rpo_compliant)}"
        return held.dict() | {"compliance": compliance} | _said(DR_DRILL, verdict)

    def execute_p_ops_resilience(self, times: ResilienceTimes = SIX_HOURLY) -> list[str]:
        """P-OPS-RESILIENCE: plan the other three.

        What is planned for the same repository already is changed, so that it may be called again.
        `holdfast scheduler run` runs the jobs.

        Args:
            times: when; `SIX_HOURLY`, `DAILY` or others.

        Returns:
            The ids of the jobs: backup, validation, and drill unless there is none.

        Raises:
            UsageError: a time makes no sense, or nothing tells a job the password.
        """
        from holdfast.platform.schedule import BackupScheduler  # takes the extra `platform`

        access = self._access()
        jobs: list[tuple[str, dict[str, object]]] = [
            (times.backup, self._backup_job()),
            (times.validation, {**_VALIDATION_JOB}),
        ]
        if times.drill is not None:
            jobs.append((times.drill, self._drill_job()))
        with BackupScheduler(workspace=self.workspace) as scheduler:
            known = _known(scheduler.list_jobs(), access["backend"])
            ids = []
            for cron, job in jobs:
                id_ = known.pop(str(job["protocol"]), None)
                if id_ is None:
                    id_ = scheduler.add_job(cron, {**access, **job})
                else:
                    scheduler.update_job(id_, {**access, **job}, cron)
                ids.append(id_)
            for id_ in known.values():  # a drill that is planned no longer
                scheduler.remove_job(id_)
        _said(OPS_RESILIENCE, f"Jobs: {', '.join(ids)}")
        return ids

    def _access(self) -> dict[str, object]:
        """What a job is told of the repository."""
        backend, options = self._backend, self._how.get("storage_options") or {}
        if isinstance(backend, StorageAdapter):
            place, options = backend.uri, {**backend.storage_options, **options}
        else:
            place = os.fspath(backend)
        told: dict[str, object] = {
            "backend": place if is_uri(place) else str(Path(place).expanduser().absolute()),
            "password": self._how.get("password"),
            "password_command": self._how.get("password_command"),
            "storage_options": options,
        }
        if self._password_file is not None:
            told["password_file"] = os.fspath(self._password_file)
        return {name: value for name, value in told.items() if value}

    def _backup_job(self) -> dict[str, object]:
        return {
            "name": SYSTEM_BACKUP,
            "protocol": SYSTEM_BACKUP,
            "operation": "backup",
            "sources": self._sources,
            "exclude": self._exclude,
            "tags": list(SYSTEM_TAGS),
        }

    def _drill_job(self) -> dict[str, object]:
        return {
            "name": DR_DRILL,
            "protocol": DR_DRILL,
            "operation": "drill",
            "drill": self._drill.dict(),
            "compliance_framework": self._drill.compliance_framework,
        }


_VALIDATION_JOB: Final[Mapping[str, object]] = {
    "name": BACKUP_VALIDATION,
    "protocol": BACKUP_VALIDATION,
    "operation": "validate",
    "full_check": True,
    "read_data": True,
}


def _known(jobs: Sequence[Mapping[str, object]], backend: object) -> dict[str, str]:
    """The ids of the jobs of a repository that these protocols have planned, by protocol."""
    found = {}
    for job in jobs:
        config = job["config"] if isinstance(job["config"], Mapping) else {}
        protocol = config.get("protocol")
        if protocol in {SYSTEM_BACKUP, BACKUP_VALIDATION, DR_DRILL} and (
            config.get("backend") == backend
        ):
            found[str(protocol)] = str(job["id"])
    return found


def _said(protocol: str, text: str) -> dict[str, object]:
    """The message of a protocol, which is logged too."""
    message = f"[{protocol}] {text}"
    _log.info("%s", message)
    return {"message": message}


def _met(verdict: bool | None) -> str:  # noqa: FBT001 - a verdict
    return {True: "met", False: "MISSED", None: "not known"}[verdict]
