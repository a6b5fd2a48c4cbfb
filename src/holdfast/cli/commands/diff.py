"""``holdfast diff``: what changed between two snapshots."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Unpack

import click

from holdfast.cli.connect import Connector
from holdfast.cli.exit_codes import ExitCode
from holdfast.cli.output import complain
from holdfast.cli.params import RepositoryOptions, repository_options
from holdfast.cli.text import escaped, size

if TYPE_CHECKING:
    from holdfast import Diff, Patch

SIGNS = {"added": "+", "removed": "-", "modified": "M", "metadata": "U", "type": "T"}
"""What stands before a path for each kind of change."""


class DiffOptions(RepositoryOptions):
    """What `diff` is told."""

    before: str
    after: str
    no_metadata: bool
    text: bool
    context: int


@click.command("diff", short_help="Compare two snapshots.")
@click.argument("before")
@click.argument("after")
@repository_options
@click.option(
    "--no-metadata", is_flag=True, help="Not those of which only owner, mode or times changed."
)
@click.option(
    "-u", "--text", is_flag=True, help="What changed in text files, as a patch for `patch -p1`."
)
@click.option(
    "--context",
    type=click.IntRange(min=0),
    default=3,
    show_default=True,
    metavar="N",
    help="Equal lines around what differs, with -u.",
)
@click.pass_obj
def command(connect: Connector, **options: Unpack[DiffOptions]) -> ExitCode:
    r"""Compare snapshots BEFORE and AFTER, or places in them (ID:/path).

    \b
    +  added      -  removed      M  modified
    U  owner, mode, times or attributes changed
    T  its type changed

    With -u the very bytes of a patch are written, unless standard output is a terminal, for which
    what does not print is escaped. It is of regular files alone: of binary files, and those of more
    than 4 MiB, it only says that they differ; of those that are damaged too, and ends with code 4.
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
                if options["text"]:
                    patches = _Patches(differences, options["context"])
                    connect.output.array("patches", (each.dict() for each in patches))
                    return patches.code
            return ExitCode.DONE
        if options["text"]:
            return _write(_Patches(differences, options["context"]))
        for each in differences:
            print(f"{SIGNS[each.kind]}  {escaped(each.path)}")
        connect.output.summary(_summary(differences))
        return ExitCode.DONE


class _Patches:
    """The patches of a diff, and how the command ends that gives them.

    Attributes:
        code: of the command, once they were given.
    """

    def __init__(self, differences: Diff, context: int) -> None:
        self.code = ExitCode.DONE
        self._patches = differences.patches(context=context)

    def __iter__(self) -> Iterator[Patch]:
        for each in self._patches:
            if each.problem:
                self.code = ExitCode.DAMAGED
                complain("warning", f"{each.path}: {each.problem}")
            yield each


def _write(patches: _Patches) -> ExitCode:
    """Write patches for a person, or for `patch`."""
    if sys.stdout.isatty():
        for each in patches:
            for line in each.text.removesuffix("\n").split("\n"):
                print("\t".join(map(escaped, line.split("\t"))))
        return patches.code
    sys.stdout.flush()
    for each in patches:
        sys.stdout.buffer.write(each.data)
    return patches.code


def _summary(differences: Diff) -> str:
    counts = differences.counts
    return (
        f"{counts.added:,} added, {counts.removed:,} removed, {counts.modified:,} modified, "
        f"{counts.metadata:,} with other metadata, {counts.type:,} of another type; "
        f"{size(counts.bytes_added)} more, {size(counts.bytes_removed)} less"
    )
