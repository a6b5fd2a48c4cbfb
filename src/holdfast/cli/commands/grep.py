"""``holdfast grep``: lines of files in snapshots that match a pattern."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import click

from holdfast.cli.connect import Connector
from holdfast.cli.exit_codes import ExitCode
from holdfast.cli.output import complain
from holdfast.cli.params import RepositoryOptions, repository_options
from holdfast.cli.text import count, escaped, size

if TYPE_CHECKING:
    from holdfast import Grep, Match


class GrepOptions(RepositoryOptions):
    """What `grep` is told."""

    pattern: str
    snapshot: tuple[str, ...]
    all: bool
    path: tuple[str, ...]
    ignore_case: bool
    fixed: bool
    text: bool
    files: bool


@click.command("grep", short_help="Search the contents of files in snapshots.")
@click.argument("pattern")
@repository_options
@click.option(
    "-s",
    "--snapshot",
    multiple=True,
    metavar="SNAPSHOT",
    help="In this snapshot; may be repeated.  [default: latest]",
)
@click.option("--all", is_flag=True, help="In all snapshots.")
@click.option(
    "--path",
    multiple=True,
    metavar="GLOB",
    help="Only files that match, as for excludes, or are below a directory that does; may be "
    "repeated.",
)
@click.option("-i", "--ignore-case", is_flag=True, help="Upper and lower case are equal (ASCII).")
@click.option("-F", "--fixed", is_flag=True, help="Find the pattern as it is.")
@click.option("-a", "--text", is_flag=True, help="Search binary files as text.")
@click.option("-l", "--files", is_flag=True, help="Only name the files that have a match.")
@click.pass_obj
def command(connect: Connector, **options: Unpack[GrepOptions]) -> ExitCode:
    r"""Find lines that match PATTERN, a regular expression of Python for bytes.

    Every version of a file is given once, with the first of the snapshots that have it and how many
    more do. Nothing matches across lines.

    \b
    Exit codes:
      0  something was found
      1  nothing was found
      4  not all could be searched, because something is damaged
    """
    with connect.open(options["repository"], options["password_file"]) as repo:
        found = repo.grep(
            options["pattern"],
            snapshots=options["snapshot"] or None,
            everywhere=options["all"],
            paths=options["path"],
            fixed=options["fixed"],
            ignore_case=options["ignore_case"],
            text=options["text"],
            first=options["files"],
        )
        if connect.output.json:
            with connect.output.streamed():
                connect.output.array("matches", (each.dict() for each in found))
                connect.output.field("counts", found.counts.dict())
        else:
            for each in found:
                _tell(each, only_files=options["files"])
            connect.output.summary(_summary(found))
    return _code(found)


def _code(found: Grep) -> ExitCode:
    counts = found.counts
    if counts.damaged:
        return ExitCode.DAMAGED
    return ExitCode.DONE if counts.lines or counts.binary else ExitCode.FAILED


def _tell(match: Match, *, only_files: bool) -> None:
    if match.problem:
        complain("warning", f"{match.path}: {match.problem}")
        return
    first, *others = match.snapshots
    where = f"{first.short_id}:{escaped(match.path)}"
    more = f"  (and {len(others):,} more)" if others else ""
    if only_files:
        print(f"{where}{more}")
    elif match.line_number is None:
        print(f"{where}: binary file matches{more}")
    else:
        cut = " [cut]" if match.cut else ""
        print(f"{where}:{match.line_number}:{_escaped(match.line)}{cut}{more}")


def _escaped(line: str) -> str:
    """A line that can do a terminal no harm, with its tabs."""
    return "\t".join(map(escaped, line.split("\t")))


def _summary(found: Grep) -> str:
    counts = found.counts
    binary = f", {count(counts.binary, 'binary file')}" if counts.binary else ""
    damaged = f", {counts.damaged:,} damaged" if counts.damaged else ""
    return (
        f"{count(counts.lines, 'line')}{binary}{damaged}; "
        f"{count(counts.contents, 'content')} read ({size(counts.bytes_read)})"
    )
