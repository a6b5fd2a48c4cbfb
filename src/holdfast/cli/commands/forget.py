"""``holdfast forget``: remove snapshots, by a policy or by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec, TypeVar, Unpack

import click

from holdfast import UsageError
from holdfast.cli.bar import progress_bar
from holdfast.cli.connect import Connector
from holdfast.cli.exit_codes import ExitCode
from holdfast.cli.output import Output, complain
from holdfast.cli.params import GroupKey, RepositoryOptions, group_keys, repository_options
from holdfast.cli.policies import named_policy
from holdfast.cli.text import count, escaped, moment, print_table, size

if TYPE_CHECKING:
    from holdfast import ForgetResult, RetentionPolicy

P = ParamSpec("P")
T = TypeVar("T")

_PERIODS = {
    "hourly": "hours",
    "daily": "days",
    "weekly": "weeks",
    "monthly": "months",
    "yearly": "years",
}


class ForgetOptions(RepositoryOptions):
    """What `forget` is told."""

    snapshot: tuple[str, ...]
    retention_policy: str | None
    host: str | None
    tag: tuple[str, ...]
    path: tuple[str, ...]
    group_by: tuple[GroupKey, ...]
    timezone: str | None
    dry_run: bool
    force: bool
    keep_last: str | None
    keep_hourly: str | None
    keep_daily: str | None
    keep_weekly: str | None
    keep_monthly: str | None
    keep_yearly: str | None
    keep_within: str | None
    keep_within_hourly: str | None
    keep_within_daily: str | None
    keep_within_weekly: str | None
    keep_within_monthly: str | None
    keep_within_yearly: str | None
    keep_tag: tuple[str, ...]


def _policy_options(command: Callable[P, T]) -> Callable[P, T]:
    """The rules of a policy, one by one."""
    options = [
        click.option(
            "-r",
            "--retention-policy",
            metavar="POLICY",
            help="Rules such as keep-daily:7,keep-weekly:4, a preset such as standard, or the name "
            "of a policy in the config file.",
        ),
        click.option("--keep-last", metavar="N", help="Keep the N newest."),
    ]
    options += [
        click.option(
            f"--keep-{period}",
            metavar="N",
            help=f"Keep the newest of each of N {many} that have any.",
        )
        for period, many in _PERIODS.items()
    ]
    options.append(
        click.option(
            "--keep-within", metavar="DURATION", help="Keep all of that time, such as 1y5m7d2h."
        )
    )
    options += [
        click.option(
            f"--keep-within-{period}",
            metavar="DURATION",
            help=f"Keep the newest of each of the {many} of that time.",
        )
        for period, many in _PERIODS.items()
    ]
    options.append(
        click.option(
            "--keep-tag", multiple=True, metavar="TAG[,TAG]", help="Keep what has all these tags."
        )
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command("forget", short_help="Remove snapshots, by a policy or by name.")
@click.argument("snapshot", nargs=-1, metavar="[SNAPSHOT]...")
@repository_options
@_policy_options
@click.option("--host", metavar="NAME", help="Only snapshots of this host.")
@click.option("--tag", multiple=True, metavar="TAG", help="Only those with this tag.")
@click.option("--path", multiple=True, metavar="PATH", help="Only backups of this path.")
@click.option(
    "--group-by",
    type=group_keys,
    default="host,paths",
    metavar="KEYS",
    show_default=True,
    help="What snapshots that are judged together have in common: host, paths, tags.",
)
@click.option("--timezone", metavar="ZONE", help="Count days and hours there: Europe/Berlin.")
@click.option("--dry-run", is_flag=True, help="Only say what goes, what stays and why.")
@click.option("--force", is_flag=True, help="Also the last one of a group, or a damaged one.")
@click.pass_obj
def command(connect: Connector, **options: Unpack[ForgetOptions]) -> ExitCode:
    """Remove each SNAPSHOT, or all that a policy does not keep, or all that a filter admits.

    `holdfast undelete` brings them back until their data is reclaimed. What is protected is never
    removed. Exit code 1: some snapshots were passed over.
    """
    policy = _policy(connect, options)
    with (
        connect.open(options["repository"], options["password_file"]) as repo,
        progress_bar(connect.output, "measuring") as progress,
    ):
        result = repo.forget(
            options["snapshot"] or None,
            policy=policy,
            host=options["host"],
            tags=options["tag"],
            paths=options["path"],
            group_by=options["group_by"],
            timezone=options["timezone"],
            dry_run=options["dry_run"],
            force=options["force"],
            progress=progress,
        )
        connect.deeds.note(repo.location, result.removed)
    if connect.output.json:
        connect.output.document(result.dict())
    else:
        _tell(result, connect.output)
    for each in result.passed_over:
        complain("warning", f"snapshot {each.snapshot}: {each.reason}")
    return ExitCode.FAILED if result.passed_over else ExitCode.DONE


def _policy(
    connect: Connector, options: ForgetOptions
) -> RetentionPolicy | str | dict[str, object] | None:
    given = {
        name: value
        for name, value in options.items()
        if name.startswith("keep_") and value not in {None, ()}
    }
    if "keep_tag" in given:
        given["keep_tags"] = given.pop("keep_tag")
    if options["retention_policy"] is None:
        return given or None
    if given:
        raise UsageError("give either -r POLICY or --keep-... options")
    return named_policy(connect, options["retention_policy"])


def _tell(result: ForgetResult, output: Output) -> None:
    for group in result.groups:
        print(escaped(str(group)))
        rows = [
            (
                each.snapshot.short_id,
                moment(each.snapshot.time),
                ",".join(each.snapshot.tags),
                "keep" if each.keep else "remove",
                ", ".join(each.reasons),
            )
            for each in group.decisions
        ]
        print_table(("ID", "Time", "Tags", "", "Why"), rows)
        print()
    for id_ in result.lost:
        print(f"{id_}  damaged: it cannot be brought back")
    removed = count(len(result.removed), "snapshot")
    if result.dry_run:
        back = "" if result.bytes is None else f", {size(result.bytes)} would come back by a prune"
        output.summary(f"dry run: {removed} would be removed{back}")
        return
    output.summary(f"{removed} removed")
    if len(result.removed) > len(result.lost):
        output.summary("`holdfast undelete` brings them back until a prune reclaims their data")
