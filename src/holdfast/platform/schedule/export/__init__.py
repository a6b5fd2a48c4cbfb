"""The same jobs for schedulers of others: units and tables that call the command line.

Each gives texts by the names of files. A job that another scheduler cannot be told is an error, and
no text that means something else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from holdfast.errors import UsageError
from holdfast.platform.schedule.cron import MANUAL
from holdfast.platform.schedule.export.crontab import crontab
from holdfast.platform.schedule.export.kubernetes import kubernetes
from holdfast.platform.schedule.export.systemd import systemd
from holdfast.platform.schedule.table import Job, Table
from holdfast.platform.workspace import Workspace

FORMATS = ("systemd", "crontab", "kubernetes")
"""What jobs can be written for."""


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """How jobs are written.

    Attributes:
        program: what runs holdfast on the machine, and its first arguments.
        image: the container image that holds holdfast, for Kubernetes.
    """

    program: Sequence[str] = ("/usr/bin/holdfast",)
    image: str = "holdfast"


def export_jobs(
    workspace: Workspace, kind: str, options: ExportOptions | None = None
) -> Mapping[str, str]:
    """Write the jobs of a workspace for another scheduler; those that are off are left out.

    Args:
        workspace: where the jobs are kept.
        kind: ``systemd`` (a service and a timer for each), ``crontab`` or ``kubernetes`` (one
            CronJob each).
        options: what is to be called.

    Returns:
        Texts by the names of files.

    Raises:
        UsageError: the format is not known, or a job cannot be said in it.
    """
    options = options or ExportOptions()
    jobs = _exported(Table(workspace.database).jobs())
    match kind:
        case "systemd":
            return systemd(jobs, options.program, workspace.folder)
        case "crontab":
            return crontab(jobs, options.program, workspace.folder)
        case "kubernetes":
            return kubernetes(jobs, options.image)
        case _:
            raise UsageError(f"unknown format {kind!r}: choose one of {', '.join(FORMATS)}")


def _exported(jobs: Sequence[Job]) -> list[Job]:
    return [job for job in jobs if job.enabled and job.cron != MANUAL]


__all__ = ["FORMATS", "ExportOptions", "export_jobs"]
