"""``holdfast compare``: whether live files are still what a snapshot has of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import click

from holdfast.cli.bar import progress_bar
from holdfast.cli.connect import Connector
from holdfast.cli.exit_codes import ExitCode
from holdfast.cli.params import RepositoryOptions, repository_options
from holdfast.cli.text import count, escaped, size

if TYPE_CHECKING:
    from holdfast import ComparisonCounts, Mismatch

SIGNS = {
    "bit-rot": "!",
    "content": "M",
    "metadata": "U",
    "missing": "-",
    "new": "+",
    "type": "T",
    "unreadable": "?",
}
"""What stands before a path for each kind of mismatch; the same as of `diff`."""


class CompareOptions(RepositoryOptions):
    """What `compare` is told."""

    directory: str | None
    snapshot: str
    exclude: tuple[str, ...]
    quick: bool
    no_metadata: bool


@click.command("compare", short_help="Compare a snapshot with live files; finds bit rot.")
@click.argument("directory", required=False)
@repository_options
@click.option(
    "-s",
    "--snapshot",
    default="latest",
    show_default=True,
    metavar="SNAPSHOT",
    help="The snapshot, or a place in it (ID:/path).",
)
@click.option(
    "-x",
    "--exclude",
    multiple=True,
    metavar="PATTERN",
    help="Leave out what matches, beside what the snapshot left out; may be repeated.",
)
@click.option(
    "--quick", is_flag=True, help="Do not read files of the same size and mtime: finds no bit rot."
)
@click.option(
    "--no-metadata", is_flag=True, help="Not those of which only owner, mode or times changed."
)
@click.pass_obj
def command(connect: Connector, **options: Unpack[CompareOptions]) -> ExitCode:
    r"""Compare a snapshot with DIRECTORY, or with the files where it was made of them.

    \b
    !  bit rot: same size and mtime, other bytes       M  modified
    -  missing      +  new      T  its type changed     ?  it cannot be read
    U  owner, mode, times or attributes changed
    Ends with 4 if there is bit rot, or else with 3 if something could not be read.
    """
    with (
        connect.open(options["repository"], options["password_file"]) as repo,
        progress_bar(connect.output, "comparing") as progress,
    ):
        found = repo.compare(
            options["snapshot"],
            options["directory"],
            read_data=not options["quick"],
            metadata=not options["no_metadata"],
            exclude=options["exclude"],
            progress=progress,
        )
        if connect.output.json:
            with connect.output.streamed():
                connect.output.field("snapshot", found.snapshot.id)
                connect.output.array("mismatches", (each.dict() for each in found))
                connect.output.field("counts", found.counts.dict())
        else:
            for each in found:
                _tell(each)
    if not connect.output.json:
        connect.output.summary(_summary(found.counts))
    return _code(found.counts)


def _code(counts: ComparisonCounts) -> ExitCode:
    if counts.bit_rot:
        return ExitCode.DAMAGED
    return ExitCode.INCOMPLETE if counts.unreadable else ExitCode.DONE


def _tell(mismatch: Mismatch) -> None:
    print(f"{SIGNS[mismatch.kind]}  {escaped(mismatch.path)}")
    if mismatch.kind in {"bit-rot", "unreadable"}:
        if mismatch.offset is not None:
            print(f"     first at byte {mismatch.offset:,}")
        for detail in mismatch.details:
            print(f"     {escaped(detail)}")


def _summary(counts: ComparisonCounts) -> str:
    return (
        f"{count(counts.files, 'file')} compared, {size(counts.bytes_read)} read: "
        f"{counts.bit_rot:,} with bit rot, {counts.content:,} modified, "
        f"{counts.missing:,} missing, {counts.new:,} new, {counts.metadata:,} with other metadata, "
        f"{counts.type:,} of another type, {counts.unreadable:,} unreadable"
    )
