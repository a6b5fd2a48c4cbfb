"""``holdfast storage``: the place where repositories are."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict, Unpack

import click

import holdfast
from holdfast.cli.connect import Connector
from holdfast.cli.exit_codes import ExitCode
from holdfast.cli.output import Output, complain
from holdfast.cli.params import location_option
from holdfast.cli.text import count, escaped, print_table, size

if TYPE_CHECKING:
    from holdfast import StorageReport

_QUESTIONS = {
    "write": "stores objects",
    "read": "gives back what was stored",
    "range": "gives parts of objects",
    "missing": "tells what is not there",
    "list": "lists what was just stored",
    "overwrite": "replaces objects at once",
    "create": "creates only what is absent",
    "race": "lets one of several create",
    "data": "stores data objects",
    "delete": "deletes objects at once",
}
_USES = {
    "backup": "backups",
    "restore": "restores",
    "prune": "prune, while nobody else writes",
    "prune beside writers": "prune beside running backups",
}
_SKEW = 60
"""Seconds by which clocks may differ without a word."""


class TestOptions(TypedDict):
    """What `storage test` is told."""

    repository: str | None


@click.group("storage", short_help="What a store can do.")
def command() -> None:
    """Look at the place where a repository is, or will be."""


@command.command("test", short_help="Find out what a store can do.")
@location_option
@click.pass_obj
def test(connect: Connector, **options: Unpack[TestOptions]) -> ExitCode:
    """Find out what a store can and cannot do; exit code 1 if it is not fit for a repository.

    Stores, reads, lists, replaces and deletes objects of its own in a folder holdfast-test-…, some
    megabytes, and removes them all. No repository has to be there, no password is asked for, and
    a repository that is there is not touched.
    """
    report = holdfast.test_storage(connect.location(options["repository"]), **connect.storage())
    if connect.output.json:
        connect.output.document(report.dict())
    else:
        _tell(report, connect.output)
    if report.left:
        left = count(len(report.left), "probe object")
        folder = report.left[0].partition("/")[0]
        complain("warning", f"{left} could not be deleted: remove the folder {folder}")
    return ExitCode.DONE if report.fit else ExitCode.FAILED


def _tell(report: StorageReport, output: Output) -> None:
    rows = [(_QUESTIONS[each.name], each.outcome, each.detail) for each in report.checks]
    print_table(("The store", "", ""), rows)
    print()
    for name, value in _measured(report).items():
        print(f"{name:<22}{value}")
    if report.clock_difference is not None and abs(report.clock_difference) > _SKEW:
        away = f"{abs(report.clock_difference):,.0f} s"
        side = "before" if report.clock_difference > 0 else "behind"
        complain("warning", f"the store's clock is {away} {side} this machine's")
    for verdict in report.verdicts:
        word = "fit" if verdict.fit else "NOT fit"
        why = f": {verdict.reason}" if verdict.reason else ""
        print(escaped(f"{word} for {_USES[verdict.use]}{why}"))
    if not report.fit:
        output.summary(f"{report.location} is not fit for a repository, with these credentials")


def _measured(report: StorageReport) -> dict[str, str]:
    """What was measured, by the names of the lines that tell it."""
    rates = {"sent": report.upload_rate, "fetched": report.download_rate}
    times = {"a small put": report.put_latency, "a small read": report.get_latency}
    return {
        **{name: f"{each * 1000:.1f} ms" for name, each in times.items() if each is not None},
        **{name: f"{size(int(each))}/s" for name, each in rates.items() if each is not None},
    }
