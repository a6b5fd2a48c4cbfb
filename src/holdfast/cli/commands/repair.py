"""``holdfast repair``: mend what can be mended, and say what is lost."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Unpack

import click

from holdfast.cli.bar import progress_bar
from holdfast.cli.connect import Connector
from holdfast.cli.exit_codes import ExitCode
from holdfast.cli.output import Output
from holdfast.cli.params import RepositoryOptions, other_storage_option, repository_options
from holdfast.cli.text import count, escaped, size

if TYPE_CHECKING:
    from collections.abc import Iterable

    from holdfast import Hurt, IndexRepair, PackRepairs, SnapshotRepair, SnapshotRepairs

SHOWN_PATHS = 10
"""Most paths that are named for one snapshot; with -v all that are known."""

APPLY = "Do it; without this, only say what would be done."


class IndexOptions(RepositoryOptions):
    """What `repair index` is told."""

    apply: bool


class PackOptions(IndexOptions):
    """What `repair packs` is told."""

    pack: tuple[str, ...]
    source: str | None
    source_password_file: str | None
    other_storage_option: tuple[str, ...]


class SnapshotOptions(IndexOptions):
    """What `repair snapshots` is told."""

    snapshot: tuple[str, ...]
    read_data: bool


@click.group("repair", short_help="Mend a damaged repository.")
def command() -> None:
    """Mend what can be mended of a damaged repository, and say what is lost.

    Nothing that is there is changed; a prune clears away later what was replaced. In this order:
    index, packs, and, when something is lost for good, snapshots. Before that, put back copies of
    damaged objects if you have any, and make a backup of the same files: that often mends all.
    Exit code 4: something is lost, or stays damaged.
    """


@command.command("index", short_help="Tell the index of every pack that is there.")
@repository_options
@click.option("--apply", is_flag=True, help=APPLY)
@click.pass_obj
def index(connect: Connector, **options: Unpack[IndexOptions]) -> ExitCode:
    """Bring the index and the packs together: from the packs, which say all that it says.

    Index objects that cannot be read are deleted once others tell of all packs, and what is told
    of packs that are missing is dropped.
    """
    with (
        connect.open(options["repository"], options["password_file"]) as repo,
        progress_bar(connect.output, "repairing") as progress,
    ):
        result = repo.repair_index(dry_run=not options["apply"], progress=progress)
    if connect.output.json:
        connect.output.document(result.dict())
    else:
        _tell_index(result, connect.output)
    is_whole = not (result.lost or result.kept or result.unreadable)
    return ExitCode.DONE if is_whole else ExitCode.DAMAGED


@command.command("packs", short_help="Save what can be read of damaged packs.")
@click.argument("pack", nargs=-1)
@repository_options
@click.option(
    "--from",
    "source",
    metavar="LOCATION",
    help="Take what is lost from this repository, made with `init --like`, or the other way round.",
)
@click.option(
    "--from-password-file", "source_password_file", metavar="FILE", help="Its password's file."
)
@other_storage_option("from", "it")
@click.option("--apply", is_flag=True, help=APPLY)
@click.pass_obj
def packs(connect: Connector, **options: Unpack[PackOptions]) -> ExitCode:
    """Store anew what can be read of damaged packs, of those named or of all that are damaged.

    To find them all data is read. What cannot be read is looked for in other packs, and in another
    repository: its password comes from --from-password-file, HOLDFAST_FROM_PASSWORD,
    HOLDFAST_FROM_PASSWORD_FILE or HOLDFAST_FROM_PASSWORD_COMMAND, or is asked for. The next prune
    deletes the damaged packs.
    """
    with ExitStack() as stack:
        repo = stack.enter_context(connect.open(options["repository"], options["password_file"]))
        location, file = options["source"], options["source_password_file"]
        told = options["other_storage_option"]
        source = location and stack.enter_context(connect.open_other(location, file, told, "FROM"))
        progress = stack.enter_context(progress_bar(connect.output, "repairing"))
        result = repo.repair_packs(
            options["pack"] or None,
            source=source or None,
            dry_run=not options["apply"],
            progress=progress,
        )
    if connect.output.json:
        connect.output.document(result.dict())
    else:
        _tell_packs(result, connect.output)
    return ExitCode.DAMAGED if result.hurts else ExitCode.DONE


@command.command("snapshots", short_help="Make new snapshots without what is lost.")
@click.argument("snapshot", nargs=-1)
@repository_options
@click.option(
    "--read-data",
    is_flag=True,
    help="Find damaged data by reading it all, not only what `repair packs` has found.",
)
@click.option("--apply", is_flag=True, help=APPLY)
@click.pass_obj
def snapshots(connect: Connector, **options: Unpack[SnapshotOptions]) -> ExitCode:
    """Make new snapshots, without what is lost, of those named or all of which something is lost.

    The old ones stay, and so do the reasons for which a prune refuses to work, until you `forget`
    them.
    """
    with (
        connect.open(options["repository"], options["password_file"]) as repo,
        progress_bar(connect.output, "repairing") as progress,
    ):
        result = repo.repair_snapshots(
            options["snapshot"] or None,
            read_data=options["read_data"],
            dry_run=not options["apply"],
            progress=progress,
        )
    if connect.output.json:
        connect.output.document(result.dict())
    else:
        _tell_snapshots(result, connect.output)
    is_whole = not (result.unreadable or result.snapshots)
    return ExitCode.DONE if is_whole else ExitCode.DAMAGED


def _tell_index(result: IndexRepair, output: Output) -> None:
    would = "would be " if result.dry_run else ""
    for damage in result.unreadable:
        print(escaped(f"{damage.object}: what is in it is not known: {damage.problem}"))
    for name in result.kept:
        print(escaped(f"{name}: cannot be read, and stays: it may tell of those packs"))
    for pack in result.lost:
        print(escaped(f"{pack.pack}: missing, and needed"))
        _tell_hurts(pack.hurts, output)
    lines = [
        (result.indexed, "pack", f"{would}put into the index"),
        (result.deleted, "unreadable index object", f"{would}deleted"),
        (result.missing, "missing pack", f"{would}dropped from the index"),
        (result.at_work, "pack", "of sessions at work left alone: see `holdfast sessions`"),
    ]
    told = [f"{count(len(names), noun)} {done}" for names, noun, done in lines if names]
    output.summary(*(told or ["the index tells of all packs"]))
    _advise(output, dry_run=result.dry_run and result.changed)


def _tell_packs(result: PackRepairs, output: Output) -> None:
    for pack in result.packs:
        print(escaped(f"{pack.pack}: {pack.problem}"))
        parts = [
            (pack.salvaged, "can be read"),
            (pack.elsewhere, "are in other packs too"),
            (pack.supplied, "come from the other repository"),
            (pack.lost, "are lost"),
        ]
        told = ", ".join(f"{number:,} {what}" for number, what in parts if number)
        print(f"  of {count(pack.blobs, 'blob')}: {told or 'none is known'}")
    _tell_hurts(result.hurts, output)
    if not result.packs:
        output.summary("no pack is damaged or missing")
        return
    done = "would be " if result.dry_run else f"{size(result.stored)} stored, "
    output.summary(f"{count(len(result.packs), 'pack')}: {done}repaired")
    _advise(output, dry_run=result.dry_run)
    if result.hurts and not result.dry_run:
        output.summary("a backup of the same files may bring back what is lost")


def _tell_snapshots(result: SnapshotRepairs, output: Output) -> None:
    for name in result.unreadable:
        print(escaped(f"{name}: it cannot be read, and nothing can be made of it"))
    for repair in result.snapshots:
        print(escaped(f"snapshot {repair.snapshot[:8]}: {_fate(repair, dry_run=result.dry_run)}"))
        _tell_paths(repair.paths, repair.lost, output)
    whole = result.checked - len(result.snapshots)
    output.summary(
        f"{count(result.checked, 'snapshot')} looked at: nothing is missing in {whole:,}, "
        f"something in {len(result.snapshots):,}"
    )
    _advise(output, dry_run=result.dry_run and bool(result.snapshots))


def _fate(repair: SnapshotRepair, *, dry_run: bool) -> str:
    if repair.problem:
        return f"{repair.problem}: nothing can be made of it"
    if repair.new is None:
        return "a new one would be made without this" if dry_run else "none was made"
    made = "now" if repair.made else "before"
    return f"snapshot {repair.new[:8]}, made {made}, has all but this"


def _tell_hurts(hurts: Iterable[Hurt], output: Output) -> None:
    for hurt in hurts:
        print(escaped(f"  snapshot {hurt.snapshot[:8]}: {count(hurt.count, 'path')} lost"))
        _tell_paths(hurt.paths, hurt.count, output)


def _tell_paths(paths: tuple[str, ...], total: int, output: Output) -> None:
    shown = paths if output.verbose else paths[:SHOWN_PATHS]
    for path in shown:
        print(f"    {escaped(path)}")
    if total > len(shown):
        print(f"    and {total - len(shown):,} more")


def _advise(output: Output, *, dry_run: bool) -> None:
    if dry_run:
        output.summary("nothing was done: --apply does it")
