"""``holdfast jobs``: which jobs there are."""

from __future__ import annotations

import click

from holdfast.cli.connect import Connector
from holdfast.cli.output import complain
from holdfast.cli.scheduling import plain, shown
from holdfast.cli.text import count, print_table


@click.command("jobs", short_help="List the jobs.")
@click.pass_obj
def command(connect: Connector) -> None:
    """List the jobs, when they run next, and how their last run ended.

    `schedule` adds and removes jobs, `scheduler history` tells of earlier runs.
    """
    from holdfast.platform.schedule import BackupScheduler

    with BackupScheduler() as scheduler:
        jobs = scheduler.list_jobs()
    if connect.output.json:
        connect.output.document({"jobs": [plain(job) for job in jobs]})
        return
    if jobs:
        rows = [
            (
                str(job["id"]),
                str(job["name"]),
                str(job["operation"]),
                f"{job['cron']} ({job['time_zone']})",
                shown(job["next_run"]) if job["enabled"] else "off",
                shown(job["last_run"]),
                str(job["last_result"] or "-"),
            )
            for job in jobs
        ]
        print_table(("ID", "Name", "Does", "When", "Next run", "Last run", "Result"), rows)
    for job in jobs:
        warnings = job["warnings"] if isinstance(job["warnings"], list) else []
        for warning in warnings:
            complain("warning", f"{job['name']}: {warning}")
    connect.output.summary(count(len(jobs), "job"))
