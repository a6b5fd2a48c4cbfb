"""``holdfast usage``: what takes the space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import click

from holdfast.cli.bar import progress_bar
from holdfast.cli.connect import Connector
from holdfast.cli.params import RepositoryOptions, absolute, repository_options
from holdfast.cli.text import count, escaped, moment, print_table, size

if TYPE_CHECKING:
    from holdfast import Overhead, Usage

_OVERHEAD = {
    "unneeded": "data that no snapshot needs (`prune` gives it back)",
    "duplicates": "data that is stored twice",
    "packs": "headers and fillers of packs",
    "condemned": "packs that a prune is about to delete",
    "unknown": "packs that the index does not know",
    "index": "index",
    "snapshots": "snapshots and labels",
    "keys": "settings and keys",
    "other": "others",
}
"""What stands behind the bytes of each kind of overhead."""


class UsageOptions(RepositoryOptions):
    """What `usage` is told."""

    path: str
    snapshot: tuple[str, ...]
    depth: int
    snapshots: bool


@click.command("usage", short_help="Which directories and snapshots take the space.")
@click.argument("path", default="/")
@repository_options
@click.option(
    "-s",
    "--snapshot",
    multiple=True,
    metavar="SNAPSHOT",
    help="Look only at this snapshot; may be repeated.",
)
@click.option(
    "--depth",
    type=click.IntRange(0, 1000),
    default=1,
    show_default=True,
    metavar="N",
    help="So many levels of directories below PATH.",
)
@click.option(
    "--snapshots", is_flag=True, help="List snapshots, and what removing each would free."
)
@click.pass_obj
def command(connect: Connector, **options: Unpack[UsageOptions]) -> None:
    r"""Attribute every stored byte to a directory below PATH, or to what else takes it.

    \b
    Stored   what is stored for it, each piece of data counted once
    Size     of its files, in the newest snapshots
    Frees    what removing the snapshot alone, and a prune, would give back
    """
    with (
        connect.open(options["repository"], options["password_file"]) as repo,
        progress_bar(connect.output, "adding up") as progress,
    ):
        found = repo.usage(
            absolute(options["path"]),
            snapshots=options["snapshot"] or None,
            depth=options["depth"],
            progress=progress,
        )
    if connect.output.json:
        connect.output.document(found.dict())
        return
    if options["snapshots"]:
        _tell_snapshots(found)
    else:
        _tell_directories(found)
    print()
    for amount, words in _rest(found):
        print(f"{size(amount):>11}  {words}")
    connect.output.summary(f"{size(found.total_stored):>11}  stored in all")
    if found.missing:
        print(f"{count(found.missing, 'blob')} missing: run `holdfast validate`")


def _tell_directories(found: Usage) -> None:
    rows = [
        (size(each.attributed), size(each.size), f"{each.files:,}", "  " * each.depth + each.path)
        for each in found.directories
    ]
    print_table(("Stored", "Size", "Files", "Directory"), rows, numbers=(0, 1, 2))


def _tell_snapshots(found: Usage) -> None:
    rows = [
        (
            each.snapshot.short_id,
            moment(each.snapshot.time),
            each.snapshot.host,
            f"{each.files:,}",
            size(each.size),
            size(each.attributed),
            size(each.freed),
            " ".join(each.snapshot.paths),
        )
        for each in found.snapshots
    ]
    heads = ("ID", "Time", "Host", "Files", "Size", "Stored", "Frees", "Paths")
    print_table(heads, rows, numbers=(3, 4, 5, 6))


def _rest(found: Usage) -> list[tuple[int, str]]:
    """The other bytes, with what they are; nothing of which there is none."""
    rest = [
        (found.attributed, f"for {escaped(found.path)}, as above"),
        (found.elsewhere, "for other snapshots, or other paths"),
        *_overhead(found.overhead),
    ]
    return [(amount, words) for amount, words in rest if amount]


def _overhead(overhead: Overhead) -> list[tuple[int, str]]:
    return [(getattr(overhead, name), words) for name, words in _OVERHEAD.items()]
