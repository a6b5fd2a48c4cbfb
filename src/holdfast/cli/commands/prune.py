"""``holdfast prune``: give back the space of what no snapshot needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import click

from holdfast.cli.bar import progress_bar
from holdfast.cli.connect import Connector
from holdfast.cli.output import Output, complain
from holdfast.cli.params import (
    RepositoryOptions,
    expire_after_option,
    repository_options,
    size_in_bytes,
)
from holdfast.cli.policies import named_policy
from holdfast.cli.text import count, moment, size

if TYPE_CHECKING:
    from holdfast import PruneResult


class PruneCommandOptions(RepositoryOptions):
    """What `prune` is told."""

    retention_policy: str | None
    max_unused: str
    max_repack_size: int | None
    recompress: bool
    dry_run: bool
    wait: bool
    expire_after: float
    force: bool
    no_other_writers: bool


@click.command("prune", short_help="Give back the space of what no snapshot needs.")
@repository_options
@click.option(
    "-r",
    "--retention-policy",
    metavar="POLICY",
    help="First forget snapshots, as `forget -r` does: keep-daily:7,keep-weekly:4, a preset, or "
    "the name of a policy in the config file.",
)
@click.option(
    "--max-unused",
    default="5%",
    show_default=True,
    metavar="5%|SIZE|unlimited",
    help="How much unneeded data may stay beside needed data.",
)
@click.option(
    "--max-repack-size",
    type=size_in_bytes,
    metavar="SIZE",
    help="Most needed data to store anew in this run.",
)
@click.option("--recompress", is_flag=True, help="Store anew what was compressed at another level.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--wait", is_flag=True, help="Wait for backups at work, to delete everything now.")
@expire_after_option
@click.option(
    "--force", is_flag=True, help="Go on when no snapshot or less than half of all would be left."
)
@click.option(
    "--no-other-writers",
    is_flag=True,
    help="Nobody else writes now; for storages without conditional writes.",
)
@click.pass_obj
def command(connect: Connector, **options: Unpack[PruneCommandOptions]) -> None:
    """Delete data that no snapshot needs, and store anew what is needed of the rest of its packs.

    Backups may run meanwhile. What they may still build upon is deleted by the next prune; so is
    what an interrupted prune left.
    """
    policy = named_policy(connect, options["retention_policy"])
    with (
        connect.open(options["repository"], options["password_file"]) as repo,
        progress_bar(connect.output, "pruning") as progress,
    ):
        result = repo.prune(
            policy,
            max_unused=options["max_unused"],
            max_repack_size=options["max_repack_size"],
            recompress=options["recompress"],
            dry_run=options["dry_run"],
            wait=options["wait"],
            expire_after=options["expire_after"],
            force=options["force"],
            no_other_writers=options["no_other_writers"],
            progress=progress,
        )
        connect.deeds.note(repo.location, result.removed)
    if connect.output.json:
        connect.output.document(result.dict())
    else:
        _tell(result, connect.output)
    if result.stopped:
        complain("warning", f"not everything was stored anew: {result.stopped}; prune again")


def _tell(result: PruneResult, output: Output) -> None:
    stored = f"{count(result.snapshots, 'snapshot')}, {count(result.packs, 'pack')}"
    needed = f"({size(result.bytes)}): {size(result.used)} needed, {size(result.unused)} not"
    told = _would(result) if result.dry_run else _done(result)
    output.summary(f"{stored} {needed}", *told)


def _would(result: PruneResult) -> list[str]:
    lines = []
    if result.removed:
        lines.append(f"{count(len(result.removed), 'snapshot')} would be forgotten")
    if result.packs_repacked:
        packs = count(result.packs_repacked, "pack")
        lines.append(f"{size(result.bytes_repacked)} of {packs} would be stored anew")
    lines.append(
        f"about {size(result.bytes_freed)} would be given back, "
        f"{size(result.unused_left)} of unneeded data left in place"
    )
    if result.forgotten:
        forgotten = count(result.forgotten, "forgotten snapshot")
        lines.append(f"{forgotten} could no longer be brought back")
    return lines


def _done(result: PruneResult) -> list[str]:
    lines = []
    if result.removed:
        lines.append(f"{count(len(result.removed), 'snapshot')} forgotten")
    if result.packs_repacked:
        packs = count(result.packs_repacked, "pack")
        lines.append(f"{size(result.bytes_repacked)} of {packs} stored anew")
    if result.packs_deleted:
        packs = count(result.packs_deleted, "pack")
        freed = max(result.bytes_freed, 0)  # what was stored anew may be more, as yet
        lines.append(f"{packs} deleted, {size(freed)} given back")
    if result.packs_pending:
        packs = count(result.packs_pending, "pack")
        lines.append(f"{packs} will go at the next prune, after these sessions have ended:")
        lines += [
            f"  {each.session[:8]} {each.kind or 'unknown'} on {each.host or 'unknown'}, "
            f"last sign of life {moment(each.last)}"
            for each in result.waiting
        ]
    if result.forgotten:
        forgotten = count(result.forgotten, "forgotten snapshot")
        lines.append(f"{forgotten} can no longer be brought back")
    if result.unused_left:
        lines.append(f"{size(result.unused_left)} of unneeded data left in place")
    return lines or ["nothing to give back"]
