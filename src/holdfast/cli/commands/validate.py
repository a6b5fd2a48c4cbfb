"""``holdfast validate``: look for damage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import click

from holdfast import DamagedRepository, UsageError
from holdfast.cli.bar import progress_bar
from holdfast.cli.connect import Connector
from holdfast.cli.exit_codes import CommandError, ExitCode
from holdfast.cli.output import Output, complain
from holdfast.cli.params import RepositoryOptions, repository_options
from holdfast.cli.text import count, escaped, size
from holdfast.clock import SYSTEM_CLOCK

if TYPE_CHECKING:
    from holdfast import CheckReport, Finding, Repository
    from holdfast.platform.managers import Fault

SHOWN_PATHS = 10
"""Most paths that are named for one finding in one snapshot; with -v all that are known."""

_WORDS = {True: "passed", False: "FAILED", None: "not made"}


class ValidateOptions(RepositoryOptions):
    """What `validate` is told."""

    snapshot: tuple[str, ...]
    full_check: bool
    read_data: bool
    read_data_subset: str | None
    level: str | None


@click.command("validate", short_help="Look for damage.")
@repository_options
@click.option(
    "-s",
    "--snapshot",
    multiple=True,
    metavar="SNAPSHOT",
    help="Only what this snapshot needs; may be repeated.",
)
@click.option("--full-check", is_flag=True, help="Compare every pack's contents with the index.")
@click.option("--read-data", is_flag=True, help="Read all data.")
@click.option("--read-data-subset", metavar="10%|3/10", help="Read so much of the data.")
@click.option(
    "--level",
    metavar="LEVEL",
    help="In place of the last three: basic, standard, thorough (reads a tenth of the data) or "
    "forensic (reads all, and restores a snapshot on trial); tells a score.",
)
@click.pass_obj
def command(connect: Connector, **options: Unpack[ValidateOptions]) -> ExitCode:
    """Check that everything is there and unharmed; exit code 4 if not.

    Without options: all small objects, every directory of every snapshot, and that every file's
    data is stored, without reading the data.
    """
    if options["read_data"] and options["read_data_subset"] is not None:
        raise UsageError("give either --read-data or --read-data-subset")
    if options["level"] is not None:
        return _validate(connect, options, options["level"])
    try:
        report = _check(connect, options)
    except DamagedRepository as error:  # too damaged even to look at
        if connect.output.json:
            connect.output.field("valid", value=False)
        raise CommandError(str(error), ExitCode.DAMAGED) from error
    if connect.output.json:
        connect.output.document(report.dict())
    else:
        _tell(report, connect.output)
    return ExitCode.DONE if report.valid else ExitCode.DAMAGED


def _validate(connect: Connector, options: ValidateOptions, level: str) -> ExitCode:
    """Validate at a level."""
    if options["full_check"] or options["read_data"] or options["read_data_subset"] is not None:
        raise UsageError("--level says what is read: leave out --full-check and --read-data")
    if len(options["snapshot"]) > 1:
        raise UsageError("with --level, give one snapshot or none")
    from holdfast import BackupValidator
    from holdfast.platform.workspace import Workspace

    snapshot = options["snapshot"][0] if options["snapshot"] else None
    with (
        connect.open(options["repository"], options["password_file"]) as repo,
        Workspace() as workspace,
    ):
        validator = BackupValidator.on(repo, workspace, is_audited=False)
        found = validator.validate(level, snapshot)
    if connect.output.json:
        connect.output.document(found.dict())
    else:
        for fault in found.errors:
            _tell_finding(fault, connect.output)
        made = ", ".join(f"{check} {_WORDS[passed]}" for check, passed in found.results.items())
        connect.output.summary(
            f"{'no damage found' if found.valid else count(len(found.errors), 'finding')} "
            f"at level {found.word}, score {found.score:.2f}: {made}; "
            f"{size(found.bytes_read)} of data read"
        )
    return ExitCode.DONE if found.valid else ExitCode.DAMAGED


def _check(connect: Connector, options: ValidateOptions) -> CheckReport:
    with connect.open(options["repository"], options["password_file"]) as repo:
        start, started_ns = SYSTEM_CLOCK.monotonic(), SYSTEM_CLOCK.now_ns()
        with progress_bar(connect.output, "validating") as progress:
            report = repo.check(
                options["snapshot"] or None,
                options["read_data_subset"] or options["read_data"],
                full=options["full_check"],
                progress=progress,
            )
        if not options["snapshot"]:
            thorough = options["full_check"] or options["read_data"]
            _keep(repo, report, started_ns, SYSTEM_CLOCK.monotonic() - start, thorough=thorough)
    return report


def _keep(
    repo: Repository, report: CheckReport, started_ns: int, seconds: float, *, thorough: bool
) -> None:
    """Keep what was found for `status`, where that can be."""
    from holdfast import BackupValidator, IntegrityLevel
    from holdfast.platform.workspace import Workspace

    level = IntegrityLevel.THOROUGH if thorough else IntegrityLevel.STANDARD
    try:
        with Workspace() as workspace:
            validator = BackupValidator.on(repo, workspace, is_audited=False)
            validator.keep(report, level, started_ns, seconds)
    except UsageError as error:  # no home directory, or a file of the workspace is damaged
        complain("warning", f"this check is not recorded: {error}")


def _tell(report: CheckReport, output: Output) -> None:
    for finding in report.findings:
        if finding.is_error or output.verbose:
            _tell_finding(finding, output)
    looked = (
        f"{count(report.snapshots, 'snapshot')}, {count(report.packs, 'pack')}, "
        f"{count(report.blobs, 'blob')}; {count(report.packs_read, 'pack')} read whole "
        f"({size(report.bytes_read)})"
    )
    harmless = len(report.findings) - len(report.errors)
    told = f"; {count(harmless, 'harmless finding')}" if harmless else ""
    if report.valid:
        output.summary(f"no damage found: {looked}{told}")
        return
    hurt = {each.snapshot for finding in report.errors for each in finding.hurts}
    print(f"{count(len(report.errors), 'finding')} of damage, {count(len(hurt), 'snapshot')} hurt")
    output.summary(f"looked at {looked}{told}")


def _tell_finding(finding: Finding | Fault, output: Output) -> None:
    print(escaped(f"{finding.kind}: {finding.object}: {finding.message}"))
    for hurt in finding.hurts:
        print(escaped(f"  snapshot {hurt.snapshot[:8]}: {count(hurt.count, 'path')}"))
        shown = hurt.paths if output.verbose else hurt.paths[:SHOWN_PATHS]
        for path in shown:
            print(f"    {escaped(path)}")
        if hurt.count > len(shown):
            print(f"    and {hurt.count - len(shown):,} more")
