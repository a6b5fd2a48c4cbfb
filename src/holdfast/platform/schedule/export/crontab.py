"""Jobs as lines of a crontab."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from holdfast.errors import UsageError
from holdfast.platform.schedule.cron import meaning_of
from holdfast.platform.schedule.table import Job
from holdfast.platform.schedule.zone import machine_zone


def crontab(jobs: Iterable[Job], program: Sequence[str], state: Path) -> Mapping[str, str]:
    """A line for each job.

    Args:
        jobs: which.
        program: what runs holdfast.
        state: the folder of the workspace.

    Raises:
        UsageError: a job has another time zone than the machine, or days that cron cannot say.
    """
    lines = ["# jobs of holdfast; `holdfast scheduler run` is not to run them too"]
    for job in jobs:
        refuse_extensions(job, "cron")
        if job.zone != machine_zone():
            raise UsageError(
                f"job {job.config.name} ({job.id}) is in the time zone {job.zone}, and cron knows "
                f"only that of the machine, {machine_zone()}: write it for systemd"
            )
        command = shlex.join([*program, "scheduler", "trigger", job.id])
        told = f"HOLDFAST_STATE_DIR={shlex.quote(str(state))} {command}"
        lines += [f"# {' '.join(job.config.name.split())}", f"{job.cron} {_escaped(told)}"]
    return {"crontab": "\n".join(lines) + "\n"}


def refuse_extensions(job: Job, who: str) -> None:
    """Refuse days that only holdfast's expressions can say (UsageError)."""
    meaning = meaning_of(job.cron)
    if 0 in meaning.days or any(number for _, number in meaning.weekdays):
        raise UsageError(
            f"job {job.config.name} ({job.id}): {who} does not know L and # in {job.cron!r}: write "
            "it for systemd"
        )


def _escaped(command: str) -> str:
    if "\n" in command or "\\\\" in command or "\\%" in command:
        raise UsageError(
            "a path with a line break, or a backslash before another or before %, cannot be said "
            "in a crontab"
        )
    return command.replace("%", "\\%")  # which else is a line break
