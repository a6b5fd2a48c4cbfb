"""``holdfast copy``: snapshots to other repositories."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Unpack

import click

import holdfast
from holdfast import UsageError
from holdfast.cli.bar import progress_bar
from holdfast.cli.connect import Connector
from holdfast.cli.exit_codes import ExitCode
from holdfast.cli.output import Output, complain
from holdfast.cli.params import (
    RepositoryOptions,
    SnapshotFilters,
    other_storage_option,
    repository_options,
    snapshot_filters,
)
from holdfast.cli.text import count, size

if TYPE_CHECKING:
    from holdfast import CopyResult, Repository


class CopyOptions(RepositoryOptions, SnapshotFilters):
    """What `copy` is told."""

    snapshot: tuple[str, ...]
    to: tuple[str, ...]
    to_password_file: tuple[str, ...]
    other_storage_option: tuple[str, ...]
    dry_run: bool


@click.command("copy", short_help="Copy snapshots to other repositories.")
@click.argument("snapshot", nargs=-1)
@repository_options
@click.option(
    "--to", multiple=True, required=True, metavar="LOCATION", help="Where to; may be repeated."
)
@click.option(
    "--to-password-file",
    multiple=True,
    metavar="FILE",
    help="File that holds the password of the target; one for all, or one for each --to.",
)
@other_storage_option("to", "the targets")
@snapshot_filters
@click.option("--dry-run", is_flag=True, help="Only say which snapshots would be copied.")
@click.pass_obj
def command(connect: Connector, **options: Unpack[CopyOptions]) -> ExitCode:
    """Copy snapshots, all unless some are named, to other repositories that exist.

    Only what is missing there travels; `init --like` makes a repository to which blobs travel as
    they are. What was copied before is passed over. The password of a target comes from
    --to-password-file, from HOLDFAST_TO_PASSWORD, HOLDFAST_TO_PASSWORD_FILE or
    HOLDFAST_TO_PASSWORD_COMMAND, or is asked for. Exit code 1: not all could be copied.
    """
    with ExitStack() as stack:
        repo = stack.enter_context(connect.open(options["repository"], options["password_file"]))
        targets = _targets(connect, options, stack)
        progress = stack.enter_context(progress_bar(connect.output, "copying"))
        try:
            result = repo.copy(
                targets,
                options["snapshot"] or None,
                host=options["host"],
                tags=options["tag"],
                paths=options["path"],
                dry_run=options["dry_run"],
                progress=progress,
            )
        except holdfast.CopyIncomplete as error:
            result = error.result
        for each in result.copied:
            if each.snapshot is not None:
                connect.deeds.note(each.target, [each.snapshot.id])
    _tell(result, connect.output)
    return _tell_failures(result)


def _targets(connect: Connector, options: CopyOptions, stack: ExitStack) -> list[Repository]:
    files: Sequence[str | None] = options["to_password_file"]
    if len(files) < 2:  # noqa: PLR2004 - one for all, or none
        files = [files[0] if files else None] * len(options["to"])
    if len(files) != len(options["to"]):
        raise UsageError("give --to-password-file once, or once for each --to, in their order")
    return [
        stack.enter_context(
            connect.open_other(location, file, options["other_storage_option"], "TO")
        )
        for location, file in zip(options["to"], files, strict=True)
    ]


def _tell(result: CopyResult, output: Output) -> None:
    if output.json:
        output.document(result.dict())
        return
    done = "would be copied" if result.dry_run else "copied"
    if not output.quiet:
        for each in result.copied:
            new = "" if each.snapshot is None else f" as {each.snapshot.short_id}"
            output.summary(f"{each.original.short_id} {done} to {each.target}{new}")
    sent = "" if result.dry_run else f", {size(result.data_added)} new ({size(result.data_stored)})"
    skipped = f", {result.skipped:,} there already" * bool(result.skipped)
    output.summary(f"{count(len(result.copied), 'snapshot')} {done}{sent}{skipped}")


def _tell_failures(result: CopyResult) -> ExitCode:
    for each in result.failures:
        where = f"{each.target}: " if each.target else ""
        what = f"snapshot {each.snapshot[:8]}: " if each.snapshot else ""
        complain("error", f"{where}{what}{each.error}")
    return ExitCode.FAILED if result.failures else ExitCode.DONE
