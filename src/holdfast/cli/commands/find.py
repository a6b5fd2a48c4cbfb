"""``holdfast find``: every version of what matches, in all snapshots."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, Unpack

import click

from holdfast.cli.connect import Connector
from holdfast.cli.params import RepositoryOptions, repository_options, size_in_bytes
from holdfast.cli.params import moment as time
from holdfast.cli.text import count, escaped, moment

if TYPE_CHECKING:
    from holdfast import Found

T = TypeVar("T")


class FindOptions(RepositoryOptions):
    """What `find` is told."""

    pattern: tuple[str, ...]
    snapshot: tuple[str, ...]
    ignore_case: bool
    type: str | None
    min_size: str | None
    max_size: str | None
    newer: str | None
    older: str | None


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
@click.option(
    "--type",
    metavar="TYPE",
    help="Only file, dir, symlink, fifo, socket, chardev or blockdev.",
)
@click.option("--min-size", metavar="SIZE", help="Only files of so many bytes or more, as 10M.")
@click.option("--max-size", metavar="SIZE", help="Only files of so many bytes or fewer.")
@click.option("--newer", metavar="TIME", help="Only what was modified then or later.")
@click.option("--older", metavar="TIME", help="Only what was modified before.")
@click.pass_obj
def command(connect: Connector, **options: Unpack[FindOptions]) -> None:
    """Find every version of every entry that matches a PATTERN, as for excludes."""
    with connect.open(options["repository"], options["password_file"]) as repo:
        found = repo.find(
            options["pattern"],
            snapshots=options["snapshot"] or None,
            ignore_case=options["ignore_case"],
            type=options["type"],
            min_size=_given(options["min_size"], size_in_bytes),
            max_size=_given(options["max_size"], size_in_bytes),
            newer=_given(options["newer"], time),
            older=_given(options["older"], time),
        )
        if connect.output.json:
            with connect.output.streamed():
                connect.output.array("found", (each.dict() for each in found))
            return
        total = 0
        for total, each in enumerate(found, start=1):  # noqa: B007 - printed after the loop
            print(_line(each))
    connect.output.summary(f"{count(total, 'version')} found")


def _given(text: str | None, parse: Callable[[str], T]) -> T | None:
    return None if text is None else parse(text)


def _line(found: Found) -> str:
    entry = found.entry
    where = " ".join(each.short_id for each in found.snapshots)
    return (
        f"{entry.mode_text}  {entry.size:>13,}  {moment(entry.mtime)}  "
        f"{escaped(entry.path)}  ({where})"
    )
