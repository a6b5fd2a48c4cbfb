"""``holdfast history``: the distinct versions of one path through time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

import click

from holdfast.cli.connect import Connector
from holdfast.cli.exit_codes import ExitCode
from holdfast.cli.output import complain
from holdfast.cli.params import (
    RepositoryOptions,
    SnapshotFilters,
    absolute,
    repository_options,
    snapshot_filters,
)
from holdfast.cli.text import count, moment, print_table

if TYPE_CHECKING:
    from holdfast import Version


class HistoryOptions(RepositoryOptions, SnapshotFilters):
    """What `history` is told."""

    file: str
    snapshot: tuple[str, ...]


@click.command("history", short_help="Show the versions of a file or directory.")
@click.argument("file", metavar="PATH")
@repository_options
@click.option(
    "-s",
    "--snapshot",
    multiple=True,
    metavar="SNAPSHOT",
    help="Only in this snapshot; may be repeated.",
)
@snapshot_filters
@click.pass_obj
def command(connect: Connector, **options: Unpack[HistoryOptions]) -> ExitCode:
    """Show the distinct versions of PATH, a file or a directory, oldest first.

    A directory has another version when anything below it has. Snapshots that say nothing of the
    path are passed over: those of other paths, and those that left it out or could not read it.
    """
    place = absolute(options["file"])
    with connect.open(options["repository"], options["password_file"]) as repo:
        versions = repo.history(
            place,
            snapshots=options["snapshot"] or None,
            host=options["host"],
            tags=options["tag"],
            paths=options["path"],
        )
    damaged = [each for each in versions if each.problem]
    if connect.output.json:
        with connect.output.streamed():
            connect.output.field("path", place)
            connect.output.array("versions", (each.dict() for each in versions))
    else:
        _tell(versions)
        for each in damaged:
            complain("warning", f"snapshot {each.first.short_id}: {each.problem}")
        connect.output.summary(count(len(versions), "version"))
    return ExitCode.DAMAGED if damaged else ExitCode.DONE


def _tell(versions: Sequence[Version]) -> None:
    heads = ("From", "To", "Snapshots", "First", "Change", "Size", "Modified", "Host")
    hosts = {each.first.host for each in versions}
    shown = len(heads) - (len(hosts) == 1)
    rows = [_row(each)[:shown] for each in versions]
    print_table(heads[:shown], rows, numbers=(2, 5))


def _row(version: Version) -> tuple[str, ...]:
    entry = version.entry
    return (
        moment(version.first.time),
        moment(version.last.time),
        f"{version.snapshots:,}",
        version.first.short_id,
        version.kind,
        "" if entry is None or entry.is_dir else f"{entry.size:,}",
        "" if entry is None else moment(entry.mtime),
        version.first.host,
    )
