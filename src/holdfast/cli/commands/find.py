"""``holdfast find``: every version of what matches, in all snapshots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import click

from holdfast.cli.connect import Connector
from holdfast.cli.params import RepositoryOptions, repository_options
from holdfast.cli.text import count, escaped, moment

if TYPE_CHECKING:
    from holdfast import Found


class FindOptions(RepositoryOptions):
    """What `find` is told."""

    pattern: tuple[str, ...]
    snapshot: tuple[str, ...]
    ignore_case: bool


@click.command("find", short_help="Find files by name in all snapshots.")
@click.argument("pattern", nargs=-1, required=True)
@repository_options
@click.option(
    "-s",
    "--snapshot",
    multiple=True,
    metavar="SNAPSHOT",
    help="Only in this snapshot; may be repeated.",
)
@click.option("-i", "--ignore-case", is_flag=True, help="Upper and lower case are equal.")
@click.pass_obj
def command(connect: Connector, **options: Unpack[FindOptions]) -> None:
    """Find every version of every entry that matches a PATTERN, as for excludes."""
    with connect.open(options["repository"], options["password_file"]) as repo:
        found = repo.find(
            options["pattern"],
            snapshots=options["snapshot"] or None,
            ignore_case=options["ignore_case"],
        )
        if connect.output.json:
            with connect.output.streamed():
                connect.output.array("found", (each.dict() for each in found))
            return
        total = 0
        for total, each in enumerate(found, start=1):  # noqa: B007 - printed after the loop
            print(_line(each))
    connect.output.summary(f"{count(total, 'version')} found")


def _line(found: Found) -> str:
    entry = found.entry
    where = " ".join(each.short_id for each in found.snapshots)
    return (
        f"{entry.mode_text}  {entry.size:>13,}  {moment(entry.mtime)}  "
        f"{escaped(entry.path)}  ({where})"
    )
