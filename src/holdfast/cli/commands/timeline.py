"""``holdfast timeline``: what each snapshot brought."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

import click

from holdfast.cli.bar import progress_bar
from holdfast.cli.connect import Connector
from holdfast.cli.params import (
    RepositoryOptions,
    SnapshotFilters,
    repository_options,
    snapshot_filters,
)
from holdfast.cli.text import count, moment, print_table, size

if TYPE_CHECKING:
    from holdfast import Step

_HEADS = ("ID", "Time", "Host", "Added", "Changed", "Removed", "More", "Less", "New", "Stored", "")
_BAR = 12
"""Columns of the longest bar."""


class TimelineOptions(RepositoryOptions, SnapshotFilters):
    """What `timeline` is told."""


@click.command("timeline", short_help="What each snapshot brought.")
@repository_options
@snapshot_filters
@click.pass_obj
def command(connect: Connector, **options: Unpack[TimelineOptions]) -> None:
    r"""Compare each snapshot with the one before it of the same host and paths.

    \b
    Added, Changed, Removed   files
    More, Less                size of files that came or changed, and of those that went
    New, Stored               data that no snapshot before needed: as it was, and as stored
    """
    with (
        connect.open(options["repository"], options["password_file"]) as repo,
        progress_bar(connect.output, "comparing") as progress,
    ):
        steps = repo.timeline(
            host=options["host"],
            tags=options["tag"],
            paths=options["path"],
            progress=progress,
        )
    if connect.output.json:
        with connect.output.streamed():
            connect.output.array("timeline", (each.dict() for each in steps))
        return
    if steps:
        print_table(_HEADS, _rows(steps), numbers=range(3, 10))
    stored = sum(each.new_stored for each in steps)
    connect.output.summary(f"{count(len(steps), 'snapshot')}, {size(stored)} stored for them")


def _rows(steps: Sequence[Step]) -> list[tuple[str, ...]]:
    most = max(each.new_stored for each in steps) or 1
    return [
        (
            each.snapshot.short_id,
            moment(each.snapshot.time),
            each.snapshot.host,
            f"{each.added:,}",
            f"{each.changed:,}",
            f"{each.removed:,}",
            size(each.bytes_added),
            size(each.bytes_removed),
            size(each.new_bytes),
            size(each.new_stored),
            "#" * -(-each.new_stored * _BAR // most),
        )
        for each in steps
    ]
