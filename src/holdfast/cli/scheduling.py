"""What the commands about jobs have in common."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from holdfast import UsageError, environment
from holdfast.cli.connect import Connector
from holdfast.cli.output import complain
from holdfast.cli.text import moment
from holdfast.settings import Config, find_password_source, find_storage_options

if TYPE_CHECKING:
    from holdfast.platform.schedule import BackupScheduler


def access_of(
    connect: Connector, repository: str | None, password_file: str | None
) -> dict[str, object]:
    """The repository of a job, and where its password comes from when nobody can be asked.

    Raises:
        UsageError: nothing says so.
    """
    if connect.recovery_key is not None:
        raise UsageError("a job takes a password, and no recovery key: leave out --recovery-key")
    source = find_password_source(password_file, connect.config)
    if source is None:
        raise UsageError(
            "nobody can be asked for the password when a job runs: give -p FILE, or set "
            "HOLDFAST_PASSWORD_FILE or HOLDFAST_PASSWORD_COMMAND"
        )
    access: dict[str, object] = {"backend": connect.location(repository)}
    options = find_storage_options(connect.storage_option, Config())
    if options:
        access["storage_options"] = options
    if source.file is not None:
        return {**access, "password_file": source.file}
    if source.command is not None:
        return {**access, "password_command": source.command}
    name = "HOLDFAST_PASSWORD" if environment.variable("HOLDFAST_PASSWORD") else "RESTIC_PASSWORD"
    complain("note", f"the password is not kept: what runs the job is to have {name} set too")
    return {**access, "password": f"${{{name}}}"}


def added(
    connect: Connector, scheduler: BackupScheduler, cron: str, config: Mapping[str, object]
) -> None:
    """Add a job, and say so."""
    number = scheduler.add_job(cron, config)
    job = next(each for each in scheduler.list_jobs() if each["id"] == number)
    if connect.output.json:
        connect.output.document(plain(job))
        return
    connect.output.summary(
        f"job {number} ({job['name']}): next run {shown(job['next_run'])}",
        "`holdfast scheduler run` runs it",
    )


def plain(record: Mapping[str, object]) -> dict[str, object]:
    """A record with its times as JSON has them."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in record.items()
    }


def shown(value: object) -> str:
    """A time of a record for people."""
    return moment(value if isinstance(value, datetime) else None)
