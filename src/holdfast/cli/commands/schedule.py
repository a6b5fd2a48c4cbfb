"""``holdfast schedule``: keep a job that runs when it is time."""

from __future__ import annotations

import shlex
from typing import Unpack

import click

from holdfast import UsageError
from holdfast.cli.connect import Connector
from holdfast.cli.params import RepositoryOptions, repository_options
from holdfast.cli.scheduling import access_of, added

OPERATIONS = ("backup", "validate", "prune", "copy")
PRIORITIES = ("low", "normal", "high", "critical")


class ScheduleOptions(RepositoryOptions):
    """What `schedule` is told."""

    source: tuple[str, ...]
    cron: str | None
    retention_policy: str | None
    tags: tuple[str, ...]
    name: str | None
    operation: str
    exclude: tuple[str, ...]
    full_check: bool
    read_data: bool
    to: str | None
    to_password_file: str | None
    time_zone: str | None
    max_rpo_minutes: int | None
    priority: str | None
    retries: int | None
    notification: tuple[str, ...]
    notify_on_success: bool
    before: str | None
    after: str | None
    on_failure: str | None
    remove: str | None


@click.command("schedule", short_help="Back up, validate, prune or copy when it is time.")
@repository_options
@click.option(
    "-s", "--source", multiple=True, metavar="PATH", help="What to back up; may be repeated."
)
@click.option(
    "-c",
    "--cron",
    metavar="CRON",
    help="When: minute hour day month weekday, such as '30 2 * * *'; @daily; 'every 15 minutes'; "
    "or manual, for `scheduler trigger` only.",
)
@click.option(
    "-r",
    "--retention-policy",
    metavar="POLICY",
    help="Afterwards forget and prune by this: keep-daily:7,keep-weekly:4 or a preset.",
)
@click.option(
    "-t", "--tags", multiple=True, metavar="TAG", help="Tag of the snapshots; may be repeated."
)
@click.option("-n", "--name", metavar="NAME", help="What the job is called.")
@click.option(
    "--operation",
    type=click.Choice(OPERATIONS),
    default="backup",
    show_default=True,
    help="What it does; drills are for `schedule-drill`.",
)
@click.option("-x", "--exclude", multiple=True, metavar="PATTERN", help="Leave out what matches.")
@click.option("--full-check", is_flag=True, help="Of a validation: compare packs with the index.")
@click.option("--read-data", is_flag=True, help="Of a validation: read all data.")
@click.option("--to", metavar="LOCATION", help="Of a copy: the repository to copy to.")
@click.option("--to-password-file", metavar="FILE", help="File that holds its password.")
@click.option(
    "--time-zone", metavar="ZONE", help="Whose clock, such as Europe/Berlin.  [default: here]"
)
@click.option(
    "--max-rpo-minutes",
    type=click.IntRange(min=1),
    metavar="N",
    help="Warn when the newest snapshot is older.",
)
@click.option("--priority", type=click.Choice(PRIORITIES), help="Of jobs due together.")
@click.option(
    "--retries",
    type=click.IntRange(0, 100),
    metavar="N",
    help="Tries after a failure.  [default: 2]",
)
@click.option(
    "--notification",
    multiple=True,
    metavar="CHANNEL",
    help="Whom to tell of failures: an address, a configured channel; may be repeated.",
)
@click.option("--notify-on-success", is_flag=True, help="Tell of successes too.")
@click.option(
    "--before", metavar="COMMAND", help="Run this first, without a shell; the job waits for it."
)
@click.option("--after", metavar="COMMAND", help="Run this last, whatever happened.")
@click.option("--on-failure", metavar="COMMAND", help="Run this when the job failed.")
@click.option("--remove", metavar="JOB", help="Forget the job of this id or name instead.")
@click.pass_obj
def command(connect: Connector, **options: Unpack[ScheduleOptions]) -> None:
    """Keep a job; `scheduler run` runs it when it is due, and `jobs` lists all.

    Times are those of a time zone's clocks, summer time included. Passwords are not kept: a job
    knows the password's file or command.
    """
    from holdfast.platform.schedule import BackupScheduler

    with BackupScheduler() as scheduler:
        if options["remove"] is not None:
            scheduler.remove_job(options["remove"])
            if connect.output.json:
                connect.output.document({"removed": options["remove"]})
            else:
                connect.output.summary(f"job {options['remove']} is removed; its history stays")
            return
        if options["cron"] is None:
            raise UsageError("say when: give -c CRON, such as -c '30 2 * * *'")
        added(connect, scheduler, options["cron"], _config(connect, options))


def _config(connect: Connector, options: ScheduleOptions) -> dict[str, object]:
    given: dict[str, object] = {
        **access_of(connect, options["repository"], options["password_file"]),
        "name": options["name"],
        "operation": options["operation"],
        "tags": list(options["tags"]),
        "retention_policy": options["retention_policy"],
        "full_check": options["full_check"],
        "read_data": options["read_data"],
        "to": options["to"],
        "to_password_file": options["to_password_file"],
        "time_zone": options["time_zone"],
        "max_rpo_minutes": options["max_rpo_minutes"],
        "priority": options["priority"],
        "retries": options["retries"],
        "hooks": _hooks(options),
        "notification": _notification(options),
        **_sources(connect, options),
    }
    return {name: value for name, value in given.items() if value not in (None, [], False, {})}


def _sources(connect: Connector, options: ScheduleOptions) -> dict[str, object]:
    """What is backed up: as the command line says, or else the config file."""
    from holdfast.platform.schedule.references import literal

    if options["operation"] != "backup":
        return {}
    # Variables of the config file are filled in already, those of flags when the job runs.
    exclude = [*map(literal, connect.config.exclude), *options["exclude"]]
    if options["source"]:
        return {"sources": list(options["source"]), "exclude": exclude}
    groups = connect.config.source_groups()
    if not groups:
        raise UsageError("say what to back up: give -s PATH, or put `sources:` into a config file")
    if len(groups) > 1:
        raise UsageError(
            "the sources of the config file have tags or patterns of their own, so they are "
            "several jobs: put `schedule:` into it, and give `config apply`"
        )
    return {
        "sources": [*map(literal, groups[0].paths)],
        "exclude": [*exclude, *map(literal, groups[0].exclude)],
        "tags": [*map(literal, groups[0].tags), *options["tags"]],
    }


def _hooks(options: ScheduleOptions) -> dict[str, object]:
    hooks: dict[str, object] = {}
    for name, line in (
        ("before", options["before"]),
        ("after", options["after"]),
        ("on_failure", options["on_failure"]),
    ):
        if line is not None:
            try:
                hooks[name] = shlex.split(line)
            except ValueError as error:
                raise UsageError(f"--{name.replace('_', '-')}: {error}") from None
    return hooks


def _notification(options: ScheduleOptions) -> dict[str, object]:
    told: dict[str, object] = {}
    if options["notification"]:
        told["channels"] = list(options["notification"])
    if options["notify_on_success"]:
        told["on_success"] = True
    return told
