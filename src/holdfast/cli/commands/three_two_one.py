"""``holdfast 321``: three copies, on two kinds of media, one of them off-site."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from datetime import timedelta
from typing import TYPE_CHECKING, TypedDict, Unpack

import click

from holdfast import UsageError
from holdfast.cli.connect import Connector
from holdfast.cli.exit_codes import ExitCode
from holdfast.cli.output import Output, complain
from holdfast.cli.text import count, print_table
from holdfast.clock import SYSTEM_CLOCK

if TYPE_CHECKING:
    from holdfast import Repository
    from holdfast.platform.status import CopyPlace, RuleStatus, SourceCopies
    from holdfast.settings.blocks import RepositoryCopy, ThreeTwoOne

_DAY = 86_400_000_000_000


class StatusOptions(TypedDict):
    """What `321 status` is told."""

    days: int
    max_lag: float


@click.group("321", short_help="Three copies, two kinds of media, one off-site.")
def command() -> None:
    """The 3-2-1 rule: three copies of the data, on two kinds of media, one of them off-site."""


@command.command("status", short_help="Say whether the 3-2-1 rule holds.")
@click.option(
    "-d",
    "--days",
    type=click.IntRange(0, 1_000_000),
    default=30,
    show_default=True,
    metavar="DAYS",
    help="Only sources with a backup in the last DAYS days, 0 for all.",
)
@click.option(
    "--max-lag",
    type=click.FloatRange(0, 1_000_000),
    default=24.0,
    show_default=True,
    metavar="HOURS",
    help="By how much a copy may be older than the newest backup.",
)
@click.pass_obj
def status(connect: Connector, **options: Unpack[StatusOptions]) -> ExitCode:
    """Say whether the 3-2-1 rule holds, for each source.

    The repositories are those under `three_two_one` in the config file; each is listed. The data
    itself counts as one copy, a repository as one if its newest backup of the source is about as
    new as the newest anywhere.

    Exit code 5: the rule does not hold.
    """
    from holdfast.platform.status import Home, three_two_one

    rule = _rule(connect)
    now_ns = SYSTEM_CLOCK.now_ns()
    with ExitStack() as stack:
        found = three_two_one(
            Home(rule.original.media, rule.original.location),
            [_place(connect, each, stack) for each in rule.copies],
            since_ns=now_ns - options["days"] * _DAY if options["days"] else 0,
            max_lag=timedelta(hours=options["max_lag"]),
        )
    if connect.output.json:
        connect.output.document(found.dict())
    else:
        _tell(found, connect.output)
    return ExitCode.DONE if found.ok else ExitCode.BELOW


def _rule(connect: Connector) -> ThreeTwoOne:
    blocks = connect.config.blocks
    if blocks is None or blocks.three_two_one is None or not blocks.three_two_one.copies:
        raise UsageError(
            "no repositories are known: put `three_two_one:` with `copies:` into a file, and name "
            "that by --config or HOLDFAST_CONFIG"
        )
    return blocks.three_two_one


def _place(connect: Connector, copy: RepositoryCopy, stack: ExitStack) -> CopyPlace:
    from holdfast.platform.status import CopyPlace, Home

    def opened() -> Repository:
        return stack.enter_context(_opened(connect, copy))

    return CopyPlace(copy.repository, Home(copy.media, copy.location), opened)


def _opened(connect: Connector, copy: RepositoryCopy) -> AbstractContextManager[Repository]:
    is_main = copy.repository == connect.config.repository
    if is_main and copy.password_file is None and not copy.storage_options:
        return connect.open(copy.repository, None)
    return connect.open_listed(copy.repository, copy.password_file, copy.storage_options)


def _tell(found: RuleStatus, output: Output) -> None:
    for where, why in found.errors:
        complain("error", f"{where}: {why}")
    for warning in found.warnings:
        complain("warning", warning)
    for source in found.sources:
        output.summary(_verdict(source))
        rows = [
            (
                each.repository,
                each.media,
                each.place,
                "-" if each.snapshot is None else each.snapshot[:8],
                _state(each.lag, counts=each.counts, is_same=each.is_same),
            )
            for each in source.copies
        ]
        if not output.quiet:
            print_table(("Repository", "Media", "Place", "Snapshot", "Copy"), rows)
    if not found.sources:
        complain("error", "no repository holds a backup that is new enough to be looked at")


def _verdict(source: SourceCopies) -> str:
    what = " ".join(source.paths) + (f" of {source.host}" if source.host else "")
    if source.ok:
        return (
            f"{what}: the rule holds: {count(source.number, 'copy', 'copies')}, "
            f"{len(source.media)} kinds of media, {source.offsite} off-site"
        )
    return f"{what}: missing: {'; '.join(source.missing)}"


def _state(lag: timedelta | None, *, counts: bool, is_same: bool) -> str:
    if lag is None:
        return "none"
    if is_same:
        return "the same moment"
    hours = lag.total_seconds() / 3600
    return f"{hours:.1f} h older" + ("" if counts else ": too old")
