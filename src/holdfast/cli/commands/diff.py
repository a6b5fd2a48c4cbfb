"""``holdfast diff``: what changed between two snapshots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import click

from holdfast.cli.connect import Connector
from holdfast.cli.params import RepositoryOptions, repository_options
from holdfast.cli.text import escaped, size

if TYPE_CHECKING:
    from holdfast import Diff

SIGNS = {"added": "+", "removed": "-", "modified": "M", "metadata": "U", "type": "T"}
"""What stands before a path for each kind of change."""


class DiffOptions(RepositoryOptions):
    """What `diff` is told."""

    before: str
    after: str
    no_metadata: bool


@click.command("diff", short_help="Compare two snapshots.")
@click.argument("before")
@click.argument("after")
@repository_options
@click.option(
    "--no-metadata", is_flag=True, help="Not those of which only owner, mode or times changed."
)
@click.pass_obj
def command(connect: Connector, **options: Unpack[DiffOptions]) -> None:
    r"""Compare snapshots BEFORE and AFTER, or places in them (ID:/path).

    \b
    +  added      -  removed      M  modified
    U  owner, mode, times or attributes changed
    T  its type changed
    """
    with connect.open(options["repository"], options["password_file"]) as repo:
        differences = repo.diff(
            options["before"], options["after"], metadata=not options["no_metadata"]
        )
        if connect.output.json:
            with connect.output.streamed():
                connect.output.field("before", differences.before.id)
                connect.output.field("after", differences.after.id)
                connect.output.array("differences", (each.dict() for each in differences))
                connect.output.field("counts", differences.counts.dict())
            return
        for each in differences:
            print(f"{SIGNS[each.kind]}  {escaped(each.path)}")
        connect.output.summary(_summary(differences))


def _summary(differences: Diff) -> str:
    counts = differences.counts
    return (
        f"{counts.added:,} added, {counts.removed:,} removed, {counts.modified:,} modified, "
        f"{counts.metadata:,} with other metadata, {counts.type:,} of another type; "
        f"{size(counts.bytes_added)} more, {size(counts.bytes_removed)} less"
    )
