"""``holdfast anomalies``: which snapshots look wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Unpack

import click

from holdfast.cli.connect import Connector
from holdfast.cli.exit_codes import ExitCode
from holdfast.cli.output import Output
from holdfast.cli.params import RepositoryOptions, repository_options
from holdfast.cli.text import count, moment, print_table
from holdfast.clock import SYSTEM_CLOCK

if TYPE_CHECKING:
    from holdfast import Anomaly

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class AnomaliesOptions(RepositoryOptions):
    """What `anomalies` is told."""

    snapshot: tuple[str, ...]
    host: str | None
    tags: tuple[str, ...]
    path: tuple[str, ...]
    days: int
    min_severity: float
    no_read_data: bool


@click.command("anomalies", short_help="Find snapshots that look wrong: ransomware, broken jobs.")
@repository_options
@click.option(
    "-s",
    "--snapshot",
    multiple=True,
    metavar="SNAPSHOT",
    help="Judge only this snapshot; may be repeated.",
)
@click.option("--host", metavar="HOST", help="Judge only those of this host.")
@click.option("-t", "--tags", multiple=True, metavar="TAG", help="Judge only those with this tag.")
@click.option("--path", multiple=True, metavar="PATH", help="Judge only backups of this path.")
@click.option(
    "-d",
    "--days",
    type=click.IntRange(0, 1_000_000),
    default=0,
    show_default=True,
    metavar="DAYS",
    help="Judge only those of the last DAYS days, 0 for all.",
)
@click.option(
    "--min-severity",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    metavar="NUMBER",
    help="Show only findings that are as severe, 0 to 1; from 0.5 on they are alarms.",
)
@click.option(
    "--no-read-data",
    is_flag=True,
    help="Do not read pieces of suspected files: go by how well they compress.",
)
@click.pass_obj
def command(connect: Connector, **options: Unpack[AnomaliesOptions]) -> ExitCode:
    """Find snapshots that look wrong, each compared with those before it.

    Exit code 0: nothing is shown. 5: something is.
    """
    days = options["days"]
    with connect.open(options["repository"], options["password_file"]) as repo:
        found = repo.anomalies(
            snapshots=options["snapshot"] or None,
            host=options["host"],
            tags=options["tags"],
            paths=options["path"],
            since=_now() - timedelta(days=days) if days else None,
            min_severity=options["min_severity"],
            read_data=not options["no_read_data"],
        )
    if connect.output.json:
        with connect.output.streamed():
            connect.output.array("anomalies", (each.dict() for each in found))
    else:
        _tell(found, connect.output)
    return ExitCode.BELOW if found else ExitCode.DONE


def _now() -> datetime:
    return _EPOCH + timedelta(microseconds=SYSTEM_CLOCK.now_ns() // 1000)


def _tell(found: list[Anomaly], output: Output) -> None:
    if found:
        rows = [
            (
                f"{each.severity:.2f}",
                each.kind,
                each.snapshot.short_id,
                moment(each.snapshot.time),
                each.snapshot.host,
                each.clean.short_id if each.clean else "-",
            )
            for each in found
        ]
        print_table(("Severity", "Kind", "ID", "Time", "Host", "Last clean"), rows, numbers=(0,))
    if output.quiet:
        return
    for each in found:
        output.summary("", f"{each.snapshot.short_id}: {each.summary}")
        output.summary(*(f"  {line}" for line in each.evidence))
        output.summary(*(f"  for example {path}" for path in each.paths))
    output.summary(*[""] * bool(found), f"{count(len(found), 'finding')}")
