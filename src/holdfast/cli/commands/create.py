"""``holdfast create``: make a snapshot."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar, Unpack

import click
from click.core import ParameterSource

from holdfast import UsageError
from holdfast.cli.bar import progress_bar
from holdfast.cli.connect import Connector
from holdfast.cli.exit_codes import ExitCode
from holdfast.cli.output import Output, complain
from holdfast.cli.params import (
    GroupKey,
    OptionalValue,
    OptionalValues,
    RepositoryOptions,
    group_keys,
    last_moment,
    moment,
    repository_options,
    size_in_bytes,
)
from holdfast.cli.text import count, duration, size

if TYPE_CHECKING:
    from holdfast import BackupResult, Repository
    from holdfast.progress import ProgressCallback

P = ParamSpec("P")
T = TypeVar("T")

SHOWN_ERRORS = 20
"""Most source items that could not be read which are named on standard error."""

_FOR_TREES = (
    "source",
    "files_from",
    "exclude",
    "iexclude",
    "exclude_file",
    "exclude_if_present",
    "exclude_caches",
    "exclude_larger_than",
    "one_file_system",
    "parent",
    "group_by",
    "force",
    "skip_if_unchanged",
    "dry_run",
)
"""Options that mean nothing for a stream; they are refused there, not ignored."""


class CreateOptions(RepositoryOptions):
    """What `create` is told."""

    path: tuple[str, ...]
    source: tuple[str, ...]
    files_from: tuple[str, ...]
    stdin: str | None
    command: str | None
    exclude: tuple[str, ...]
    iexclude: tuple[str, ...]
    exclude_file: tuple[str, ...]
    exclude_if_present: tuple[str, ...]
    exclude_caches: bool
    exclude_larger_than: int | None
    one_file_system: bool
    tag: tuple[str, ...]
    label: str
    host: str | None
    time: datetime | None
    protect: str | None
    parent: str | None
    group_by: tuple[GroupKey, ...]
    force: bool
    skip_if_unchanged: bool
    dry_run: bool


def _what_options(command: Callable[P, T]) -> Callable[P, T]:
    """What to back up, and what not."""
    for option in reversed(
        (
            click.option(
                "-s", "--source", multiple=True, metavar="PATH", help="As PATH; may be repeated."
            ),
            click.option(
                "--files-from",
                multiple=True,
                metavar="FILE",
                help="Back up the paths in FILE, one a line; - is standard input.",
            ),
            click.option("--stdin", metavar="NAME", help="Back up standard input as file NAME."),
            click.option(
                "--command",
                metavar="NAME",
                help="Back up the output of the command after -- as file NAME.",
            ),
            click.option(
                "-x", "--exclude", multiple=True, metavar="PATTERN", help="Leave out what matches."
            ),
            click.option(
                "--iexclude", multiple=True, metavar="PATTERN", help="The same in any case."
            ),
            click.option(
                "--exclude-file", multiple=True, metavar="FILE", help="Read patterns from FILE."
            ),
            click.option(
                "--exclude-if-present",
                multiple=True,
                metavar="NAME[:HEADER]",
                help="Leave out directories that hold such a file.",
            ),
            click.option(
                "--exclude-caches", is_flag=True, help="Leave out what CACHEDIR.TAG marks."
            ),
            click.option(
                "--exclude-larger-than",
                type=size_in_bytes,
                metavar="SIZE",
                help="Leave out larger files; SIZE such as 100M.",
            ),
            click.option(
                "--one-file-system", is_flag=True, help="Do not enter file systems mounted below."
            ),
        )
    ):
        command = option(command)
    return command


def _how_options(command: Callable[P, T]) -> Callable[P, T]:
    """What the snapshot says of itself, and how it is made."""
    for option in reversed(
        (
            click.option("-t", "--tag", "--tags", multiple=True, metavar="TAG", help="Tag it."),
            click.option("--label", default="", metavar="TEXT", help="Give it a name."),
            click.option("--host", metavar="NAME", help="Instead of this machine's name."),
            click.option("--time", type=moment, metavar="TIME", help="Instead of now; ISO 8601."),
            click.option(
                "--protect",
                cls=OptionalValue,
                metavar="[=UNTIL]",
                help="Let nothing remove the snapshot, for ever or until a date.",
            ),
            click.option("--parent", metavar="ID", help="The snapshot to compare with."),
            click.option(
                "--group-by",
                type=group_keys,
                default="host,paths",
                metavar="KEYS",
                show_default=True,
                help="Of which snapshots the newest is the parent: host, paths, tags.",
            ),
            click.option("--force", is_flag=True, help="Read every file again."),
            click.option(
                "--skip-if-unchanged", is_flag=True, help="No snapshot when nothing differs."
            ),
            click.option("--dry-run", is_flag=True, help="Only say what would be done."),
        )
    ):
        command = option(command)
    return command


@click.command(
    "create", cls=OptionalValues, short_help="Back up files and directories into a snapshot."
)
@click.argument("path", nargs=-1, metavar="[PATH]... [-- CMD [ARG]...]")
@repository_options
@_what_options
@_how_options
@click.pass_obj
def command(connect: Connector, **options: Unpack[CreateOptions]) -> ExitCode:
    """Back up files and directories, a stream, or a command's output into one snapshot.

    Exit code 3: the snapshot was made, but some source items could not be read.
    """
    is_stream = options["stdin"] is not None or options["command"] is not None
    paths = [] if is_stream else _paths(options)
    if is_stream:
        _check_stream(options)
    with (
        connect.open(options["repository"], options["password_file"]) as repo,
        progress_bar(connect.output, "backing up") as progress,
    ):
        if is_stream:
            result = _back_up_stream(repo, options, progress)
        else:
            exclude = (*connect.config.exclude, *options["exclude"])
            result = _back_up(repo, paths, exclude, options, progress)
    if connect.output.json:
        connect.output.document(result.dict())
    else:
        _tell(result, connect.output, dry_run=options["dry_run"])
    return _tell_errors(result)


def _paths(options: CreateOptions) -> list[str]:
    paths = [*options["source"], *options["path"]]
    for name in options["files_from"]:
        paths += _listed(name)
    if not paths:
        raise UsageError("nothing to back up: give a PATH, --stdin NAME or --command NAME")
    return paths


def _listed(name: str) -> list[str]:
    try:
        content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise UsageError(f"--files-from {name}: {error.strerror}") from None
    return [os.fsdecode(line) for line in content.split(b"\n") if line]


def _check_stream(options: CreateOptions) -> None:
    """Refuse what a stream cannot have, rather than ignore it."""
    if options["stdin"] is not None and options["command"] is not None:
        raise UsageError("give either --stdin or --command")
    if options["command"] is not None and not options["path"]:
        raise UsageError("--command NAME needs the command: ... --command NAME -- CMD [ARG]...")
    if options["stdin"] is not None and options["path"]:
        raise UsageError("--stdin NAME makes a snapshot of its own: no PATH can go with it")
    context = click.get_current_context()
    for name in _FOR_TREES:
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            flag = name.replace("_", "-")
            raise UsageError(f"--{flag} makes no sense with --stdin or --command")


def _back_up(
    repo: Repository,
    paths: list[str],
    exclude: tuple[str, ...],
    options: CreateOptions,
    progress: ProgressCallback | None,
) -> BackupResult:
    return repo.backup(
        paths,
        exclude=exclude,
        iexclude=options["iexclude"],
        exclude_file=options["exclude_file"],
        exclude_if_present=options["exclude_if_present"],
        exclude_caches=options["exclude_caches"],
        exclude_larger_than=options["exclude_larger_than"],
        one_file_system=options["one_file_system"],
        tags=options["tag"],
        label=options["label"],
        host=options["host"],
        time=options["time"],
        protect=_protect(options["protect"]),
        parent=options["parent"],
        group_by=options["group_by"],
        force=options["force"],
        skip_if_unchanged=options["skip_if_unchanged"],
        dry_run=options["dry_run"],
        progress=progress,
    )


def _back_up_stream(
    repo: Repository, options: CreateOptions, progress: ProgressCallback | None
) -> BackupResult:
    if options["command"] is not None:
        return repo.backup_command(
            options["path"],
            options["command"],
            tags=options["tag"],
            label=options["label"],
            host=options["host"],
            time=options["time"],
            protect=_protect(options["protect"]),
            progress=progress,
        )
    return repo.backup_stream(
        sys.stdin.buffer,
        options["stdin"] or "",
        tags=options["tag"],
        label=options["label"],
        host=options["host"],
        time=options["time"],
        protect=_protect(options["protect"]),
        progress=progress,
    )


def _protect(until: str | None) -> bool | datetime:
    if until is None:
        return False
    return last_moment(until) if until else True


def _tell(result: BackupResult, output: Output, *, dry_run: bool) -> None:
    if result.snapshot is not None:
        first = f"snapshot {result.snapshot.short_id} made in {duration(result.duration)}"
    elif dry_run:
        first = f"dry run: no snapshot was made ({duration(result.duration)})"
    else:
        first = f"nothing has changed: no snapshot was made ({duration(result.duration)})"
    stored = "" if dry_run else f", stored as {size(result.data_stored)}"
    output.summary(
        first,
        f"  {result.files_new:,} new, {result.files_changed:,} changed and "
        f"{count(result.files_unmodified, 'unmodified file')} in "
        f"{count(result.directories, 'directory', 'directories')}, {size(result.bytes_processed)}",
        f"  {size(result.data_added)} of new data{stored}",
    )


def _tell_errors(result: BackupResult) -> ExitCode:
    if not result.errors_total:
        return ExitCode.DONE
    for error in result.errors[:SHOWN_ERRORS]:
        complain("warning", f"{error.path!r}: {error.operation}: {error.message}")
    rest = result.errors_total - len(result.errors[:SHOWN_ERRORS])
    more = f" ({rest:,} of them not named here)" if rest else ""
    items = count(result.errors_total, "source item")
    complain("warning", f"{items} could not be read{more}")
    return ExitCode.INCOMPLETE
