"""``holdfast schedule-drill``: rehearse recoveries regularly."""

from __future__ import annotations

from typing import Unpack

import click

from holdfast.cli.connect import Connector
from holdfast.cli.params import RepositoryOptions, repository_options
from holdfast.cli.scheduling import access_of, added

FREQUENCIES = ("weekly", "monthly", "quarterly", "annually")
FRAMEWORKS = ("SOC2", "HIPAA", "GDPR", "ISO27001", "NIST")


class ScheduleDrillOptions(RepositoryOptions):
    """What `schedule-drill` is told."""

    frequency: str
    notification: tuple[str, ...]
    compliance: str | None


@click.command("schedule-drill", short_help="Rehearse recoveries regularly.")
@repository_options
@click.option(
    "-f",
    "--frequency",
    type=click.Choice(FREQUENCIES),
    default="quarterly",
    show_default=True,
    help="How often; at 02:00, on Sundays or the first of the month.",
)
@click.option(
    "-n",
    "--notification",
    multiple=True,
    metavar="CHANNEL",
    help="Whom to tell of every result: an address, a configured channel; may be repeated.",
)
@click.option(
    "-c",
    "--compliance",
    type=click.Choice(FRAMEWORKS, case_sensitive=False),
    help="The framework that the drill is held for.",
)
@click.pass_obj
def command(connect: Connector, **options: Unpack[ScheduleDrillOptions]) -> None:
    """Keep a job that holds a drill; `scheduler run` runs it, and `drill` holds one now.

    A drill restores the newest snapshot into a directory of its own, checks and times that, and
    removes it again.
    """
    from holdfast.platform.drill import cron_of
    from holdfast.platform.schedule import BackupScheduler

    config: dict[str, object] = {
        **access_of(connect, options["repository"], options["password_file"]),
        "name": f"{options['frequency']} drill",
        "operation": "drill",
    }
    if options["compliance"] is not None:
        config["compliance_framework"] = options["compliance"]
    if options["notification"]:
        config["notification"] = {"channels": list(options["notification"]), "on_success": True}
    with BackupScheduler() as scheduler:
        added(connect, scheduler, cron_of(options["frequency"]), config)
