"""``holdfast browse``: what a directory of a snapshot holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import click

from holdfast.cli.connect import Connector
from holdfast.cli.params import RepositoryOptions, repository_options
from holdfast.cli.text import moment, print_table

if TYPE_CHECKING:
    from holdfast import Entry


class BrowseOptions(RepositoryOptions):
    """What `browse` is told."""

    snapshot: str
    path: str


@click.command("browse", short_help="List a directory of a snapshot.")
@repository_options
@click.option(
    "-s", "--snapshot", default="latest", show_default=True, metavar="SNAPSHOT", help="Which one."
)
@click.option("--path", default="/", show_default=True, metavar="PATH", help="The directory.")
@click.pass_obj
def command(connect: Connector, **options: Unpack[BrowseOptions]) -> None:
    """List what a directory of a snapshot holds, as `ls -l` does."""
    with connect.open(options["repository"], options["password_file"]) as repo:
        entries = repo.listdir(options["snapshot"], options["path"])
    if connect.output.json:
        with connect.output.streamed():
            connect.output.field("path", options["path"])
            connect.output.array("entries", (each.dict() for each in entries))
        return
    print_table(
        ("Mode", "Owner", "Group", "Size", "Modified", "Name"),
        [_row(each) for each in entries],
        numbers=(3,),
    )


def _row(entry: Entry) -> tuple[str, ...]:
    name = entry.name if entry.target is None else f"{entry.name} -> {entry.target}"
    return (
        entry.mode_text,
        entry.user or str(entry.uid),
        entry.group or str(entry.gid),
        f"{entry.size:,}",
        moment(entry.mtime),
        name + ("/" if entry.is_dir else ""),
    )
