"""``holdfast rewrite``: snapshots without some paths, or with other metadata."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Unpack

import click

from holdfast import UsageError
from holdfast.cli.bar import progress_bar
from holdfast.cli.connect import Connector
from holdfast.cli.exit_codes import ExitCode
from holdfast.cli.output import Output, complain
from holdfast.cli.params import RepositoryOptions, moment, repository_options
from holdfast.cli.text import count, size

if TYPE_CHECKING:
    from holdfast import RewriteResult


class RewriteOptions(RepositoryOptions):
    """What `rewrite` is told."""

    snapshot: tuple[str, ...]
    all: bool
    exclude: tuple[str, ...]
    new_host: str | None
    new_time: datetime | None
    set_tags: str | None
    new_label: str | None
    new_description: str | None
    forget: bool
    dry_run: bool


@click.command("rewrite", short_help="Make snapshots anew without some paths.")
@click.argument("snapshot", nargs=-1)
@repository_options
@click.option("--all", is_flag=True, help="All snapshots.")
@click.option(
    "-x", "--exclude", multiple=True, metavar="PATTERN", help="Leave out what matches; see create."
)
@click.option("--new-host", metavar="NAME", help="The host that they are to bear.")
@click.option("--new-time", type=moment, metavar="TIME", help="The time; ISO 8601.")
@click.option(
    "--set-tags", metavar="TAG[,TAG...]", help='All tags that they are to have; "" for none.'
)
@click.option("--new-label", metavar="TEXT", help="The name that they are to have.")
@click.option("--new-description", metavar="TEXT", help="The note that they are to have.")
@click.option("--forget", is_flag=True, help="Remove the old snapshots.")
@click.option("--dry-run", is_flag=True, help="Only say what would be different.")
@click.pass_obj
def command(connect: Connector, **options: Unpack[RewriteOptions]) -> ExitCode:
    """Make snapshots anew without some paths, or with other metadata.

    The old ones stay unless --forget is given, and data that nobody needs any more stays until
    `prune`. A snapshot that would not be different is left alone. Exit code 1: not all could be
    rewritten.
    """
    if bool(options["snapshot"]) == options["all"]:
        raise UsageError("name the snapshots to rewrite, or give --all")
    tags = options["set_tags"]
    with (
        connect.open(options["repository"], options["password_file"]) as repo,
        progress_bar(connect.output, "rewriting") as progress,
    ):
        result = repo.rewrite(
            options["snapshot"] or None,
            exclude=options["exclude"],
            host=options["new_host"],
            time=options["new_time"],
            tags=None if tags is None else [tag for tag in tags.split(",") if tag],
            label=options["new_label"],
            description=options["new_description"],
            forget=options["forget"],
            dry_run=options["dry_run"],
            progress=progress,
        )
        made = [each.snapshot for each in result.snapshots if each.snapshot is not None]
        connect.deeds.note(repo.location, [each.id for each in made])
    if connect.output.json:
        connect.output.document(result.dict())
    else:
        _tell(result, connect.output)
    for failure in result.failures:
        complain("error", f"snapshot {failure.snapshot[:8]} was not rewritten: {failure.error}")
    return ExitCode.FAILED if result.failures else ExitCode.DONE


def _tell(result: RewriteResult, output: Output) -> None:
    for each in result.snapshots:
        before = each.before.short_id
        if each.snapshot is None:
            output.summary(f"{before} stays as it is: nothing would be different")
            continue
        without = ""
        if each.files_removed or each.bytes_removed:
            without = f", without {count(each.files_removed, 'file')}, {size(each.bytes_removed)}"
        if result.dry_run:
            output.summary(f"{before} would be rewritten{without}")
            continue
        forgotten = ", and forgotten" * each.forgotten
        output.summary(f"{before} rewritten as {each.snapshot.short_id}{without}{forgotten}")
        if each.kept:
            complain("warning", f"snapshot {before} was not forgotten: {each.kept}")
