"""``holdfast drill-history``: the drills that were done on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict, Unpack

import click

from holdfast.cli.connect import Connector
from holdfast.cli.text import count, moment, print_table, size

if TYPE_CHECKING:
    from holdfast import DrillReport
    from holdfast.platform.drill import DrillTrend


class HistoryOptions(TypedDict):
    """What `drill-history` is told."""

    limit: int | None
    repository_id: str | None


@click.command("drill-history", short_help="The drills that were done, and how they change.")
@click.option(
    "-l", "--limit", type=click.IntRange(min=1), metavar="N", help="Only the newest N of them."
)
@click.option("--repository-id", metavar="ID", help="Only those of this repository.")
@click.pass_obj
def command(connect: Connector, **options: Unpack[HistoryOptions]) -> None:
    """List drills, oldest first, and compare the newest with those before it."""
    from holdfast.platform.drill import past_drills, trend_of
    from holdfast.platform.workspace import Workspace

    with Workspace() as workspace:
        drills = past_drills(workspace, repository=options["repository_id"], limit=options["limit"])
    trend = trend_of(drills)
    output = connect.output
    if output.json:
        output.document({"drills": [each.dict() for each in drills], "trend": trend.dict()})
        return
    if drills:
        heads = ("ID", "Time", "Name", "Status", "Recovery", "Data age", "Restored", "Rate")
        print_table(heads, [_row(each) for each in drills], numbers=(4, 5, 6, 7))
    output.summary(count(len(drills), "drill"), *_changes(trend))


def _row(report: DrillReport) -> tuple[str, ...]:
    age = report.data_age_minutes
    return (
        report.drill_id[:8],
        moment(report.time),
        report.name,
        report.status.value,
        f"{report.recovery_time_minutes:.2f} min",
        "-" if age is None else f"{age:.1f} min",
        size(report.bytes),
        f"{size(round(report.restore_rate))}/s",
    )


def _changes(trend: DrillTrend) -> list[str]:
    told = []
    if trend.recovery_change is not None:
        told.append(f"recovery time of the newest: {trend.recovery_change:+.0%} of the usual")
    if trend.rate_change is not None:
        told.append(f"its rate: {trend.rate_change:+.0%}")
    return told
