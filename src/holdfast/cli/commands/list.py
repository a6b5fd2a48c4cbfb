"""``holdfast list``: the snapshots of a repository."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

import click

from holdfast.cli.connect import Connector
from holdfast.cli.output import Output
from holdfast.cli.params import RepositoryOptions, repository_options
from holdfast.cli.text import count, moment, print_table, size
from holdfast.clock import SYSTEM_CLOCK

if TYPE_CHECKING:
    from holdfast import Snapshot

_DAY = 86_400_000_000_000  # in nanoseconds

DAYS = 30
"""How far back `list` looks; its alias `snapshots` shows all."""


class ListOptions(RepositoryOptions):
    """What `list` is told."""

    filter: str | None
    days: int | None
    limit: int | None


@click.command("list", short_help="List the snapshots of the last 30 days, or all.")
@repository_options
@click.option(
    "-f", "--filter", metavar="TAG_OR_PATH", help="Only those with this tag, or of this path."
)
@click.option(
    "-d",
    "--days",
    type=click.IntRange(0, 1_000_000),
    metavar="DAYS",
    help=f"Only those of the last DAYS days, 0 for all.  [default: {DAYS}; `snapshots`: 0]",
)
@click.option(
    "-l", "--limit", type=click.IntRange(min=1), metavar="N", help="Only the newest N of them."
)
@click.pass_obj
def command(connect: Connector, **options: Unpack[ListOptions]) -> None:
    """List snapshots, oldest first; says how many are not shown."""
    days = options["days"]
    if days is None:
        days = 0 if click.get_current_context().info_name == "snapshots" else DAYS
    with connect.open(options["repository"], options["password_file"]) as repo:
        known = repo.snapshots()
    shown: list[Snapshot] = known
    if options["filter"] is not None:
        shown = [each for each in shown if _admits(options["filter"], each)]
    matching = len(shown)
    if days:
        since = SYSTEM_CLOCK.now_ns() - days * _DAY
        shown = [each for each in shown if each.time_ns >= since]
    if options["limit"] is not None:
        shown = shown[-options["limit"] :]
    hidden = matching - len(shown)
    if connect.output.json:
        with connect.output.streamed():
            connect.output.array("snapshots", (each.dict() for each in shown))
            connect.output.field("total", len(known))
            connect.output.field("hidden", hidden)
        return
    _tell(shown, connect.output, total=len(known), hidden=hidden)


def _admits(wanted: str, snapshot: Snapshot) -> bool:
    """Whether the snapshot has that tag, or holds something of that path."""
    if wanted in snapshot.tags:
        return True
    place = os.path.abspath(wanted)  # noqa: PTH100 - `..` is taken as text, links are not followed
    return any(_is_below(place, path) or _is_below(path, place) for path in snapshot.paths)


def _is_below(path: str, top: str) -> bool:
    return path == top or path.startswith(top.rstrip("/") + "/")


def _marks(snapshot: Snapshot) -> list[str]:
    """What stands before the paths: that it is protected, and its label."""
    marks = ["[protected]"] if snapshot.holds else []
    return [*marks, f"[{snapshot.label}]"] if snapshot.label else marks


def _tell(shown: Sequence[Snapshot], output: Output, *, total: int, hidden: int) -> None:
    if shown:
        rows = [
            (
                each.short_id,
                moment(each.time),
                each.host,
                f"{each.summary.files:,}",
                size(each.summary.bytes_processed),
                ",".join(each.tags),
                " ".join([*_marks(each), *each.paths]),
            )
            for each in shown
        ]
        print_table(("ID", "Time", "Host", "Files", "Size", "Tags", "Paths"), rows, numbers=(3, 4))
    lines = [count(len(shown), "snapshot") + (f" of {total:,}" if total > len(shown) else "")]
    if hidden:
        lines.append(
            f"{hidden:,} more {'is' if hidden == 1 else 'are'} not shown: "
            "-d 0 shows those of any age"
        )
    output.summary(*lines)
