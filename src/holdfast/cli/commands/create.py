"""``holdfast create``: make a snapshot."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar, Unpack

import click
from click.core import ParameterSource

from holdfast import HoldfastError, SourceError, UsageError
from holdfast.cli.bar import progress_bar
from holdfast.cli.connect import Connector, other_options
from holdfast.cli.exit_codes import ExitCode, exit_code_of
from holdfast.cli.jointly import backed_up, only_repository, opened_repositories
from holdfast.cli.output import Output, complain
from holdfast.cli.params import (
    GroupKey,
    OptionalValue,
    OptionalValues,
    RepositoriesOptions,
    group_keys,
    last_moment,
    moment,
    other_storage_option,
    repositories_options,
    size_in_bytes,
)
from holdfast.cli.text import count, duration, size
from holdfast.settings import SourceGroup

if TYPE_CHECKING:
    from holdfast import BackupResult, BackupToResult, Repository, SourceProblem
    from holdfast.engine.plan import TreeOptions
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
    "other_storage_option",
)
"""Options that mean nothing for a stream; they are refused there, not ignored."""


class CreateOptions(RepositoriesOptions):
    """What `create` is told."""

    path: tuple[str, ...]
    source: tuple[str, ...]
    other_storage_option: tuple[str, ...]
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
                "-s",
                "--source",
                multiple=True,
                metavar="PATH",
                help="As PATH; may be repeated. Or one URI such as s3://bucket/data.",
            ),
            other_storage_option("source", "the store that a URI names as the source"),
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
@repositories_options
@_what_options
@_how_options
@click.pass_obj
def command(connect: Connector, **options: Unpack[CreateOptions]) -> ExitCode:
    """Back up files and directories, a folder of a store, a stream, or a command's output.

    With several -b, files are read once for all. A repository that fails does not keep the others
    from their snapshot. The password of those after the first comes from -p (one for all, or one
    for each -b, in their order), from HOLDFAST_OTHER_PASSWORD, HOLDFAST_OTHER_PASSWORD_FILE or
    HOLDFAST_OTHER_PASSWORD_COMMAND, or is asked for.

    Without a PATH, the sources of the config file are backed up: those with the same tags and
    patterns into one snapshot, others into one of their own.

    Exit code 3: the snapshot was made, but some source items could not be read.
    """
    is_stream = options["stdin"] is not None or options["command"] is not None
    paths: list[str] = []
    if is_stream:
        _check_stream(options)
    else:
        groups = _groups(connect, options)
        if len(groups) > 1:
            return _create_each(connect, groups, options)
        options = _of_group(options, groups[0])
        paths = list(groups[0].paths)
        if len(options["repository"]) > 1:
            return _create_in_several(connect, paths, options)
    location, password_file = only_repository(options)
    with (
        connect.open(location, password_file) as repo,
        progress_bar(connect.output, "backing up") as progress,
    ):
        if is_stream:
            result = _back_up_stream(repo, options, progress)
        else:
            result = repo.backup(
                paths,
                source_options=other_options(options["other_storage_option"], "SOURCE", paths),
                progress=progress,
                **_tree_options(connect, options),
            )
        connect.deeds.note(repo.location, _made(result))
    if connect.output.json:
        connect.output.document(result.dict())
    else:
        _tell(result, connect.output, dry_run=options["dry_run"])
    return _tell_errors(result)


def _create_in_several(connect: Connector, paths: list[str], options: CreateOptions) -> ExitCode:
    if options["other_storage_option"]:
        raise UsageError("a store can be backed up to one repository at a time")
    with (
        opened_repositories(connect, options) as opened,
        progress_bar(connect.output, "backing up") as progress,
    ):
        result = backed_up(opened, paths, progress, _tree_options(connect, options))
        for (_, repo), made in zip(opened, result.backups, strict=True):
            if not isinstance(repo, HoldfastError):
                connect.deeds.note(repo.location, _made(made.result), _outcome(made.result))
    if connect.output.json:
        connect.output.document(result.dict())
    return _tell_all(result, connect.output, dry_run=options["dry_run"])


def _made(result: BackupResult | None) -> list[str]:
    return [] if result is None or result.snapshot is None else [result.snapshot.id]


def _outcome(result: BackupResult | None) -> str:
    """How a backup in one of several repositories ended, in the words of the audit trail."""
    if result is None:
        return "failed"
    return "partial" if result.errors_total else "ok"


def _groups(connect: Connector, options: CreateOptions) -> Sequence[SourceGroup]:
    """What to back up: the paths that are named; if none is, the sources of the config file."""
    paths = [*options["source"], *options["path"]]
    for name in options["files_from"]:
        paths += _listed(name)
    if paths:
        return [SourceGroup(tuple(paths))]
    groups = () if options["files_from"] else connect.config.source_groups()
    if not groups:
        raise UsageError(
            "nothing to back up: give a PATH, --stdin NAME or --command NAME, or put `sources:` "
            "into a file for --config"
        )
    return groups


def _of_group(options: CreateOptions, group: SourceGroup) -> CreateOptions:
    """The options for one group of sources: its tags and patterns, and those of flags."""
    return {
        **options,
        "tag": (*group.tags, *options["tag"]),
        "exclude": (*group.exclude, *options["exclude"]),
    }


def _create_each(
    connect: Connector, groups: Sequence[SourceGroup], options: CreateOptions
) -> ExitCode:
    """Make a snapshot of each group; one of which nothing is there does not keep the others."""
    location, password_file = only_repository(options)
    codes, told = [ExitCode.DONE], []
    with connect.open(location, password_file) as repo:
        for group in groups:
            own = _of_group(options, group)
            record: dict[str, object] = {"paths": list(group.paths), "tags": list(own["tag"])}
            try:
                with progress_bar(connect.output, "backing up") as progress:
                    result = repo.backup(
                        list(group.paths),
                        source_options=other_options(
                            options["other_storage_option"], "SOURCE", group.paths
                        ),
                        progress=progress,
                        **_tree_options(connect, own),
                    )
            except SourceError as error:
                complain("error", str(error))
                codes.append(ExitCode.FAILED)
                told.append({**record, "error": str(error)})
                continue
            connect.deeds.note(repo.location, _made(result))
            if not connect.output.json:
                where = f"{' '.join(group.paths)}: "
                _tell(result, connect.output, dry_run=options["dry_run"], where=where)
            codes.append(_tell_errors(result))
            told.append({**record, **result.dict()})
    if connect.output.json:
        connect.output.document({"backups": told, "ok": not any(codes)})
    return ExitCode.FAILED if ExitCode.FAILED in codes else max(codes)


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
            flag = next(each.opts[-1] for each in context.command.params if each.name == name)
            raise UsageError(f"{flag} makes no sense with --stdin or --command")


def _tree_options(connect: Connector, options: CreateOptions) -> TreeOptions:
    """What the library is told of the files and their snapshot."""
    return {
        "exclude": (*connect.config.exclude, *options["exclude"]),
        "iexclude": options["iexclude"],
        "exclude_file": options["exclude_file"],
        "exclude_if_present": options["exclude_if_present"],
        "exclude_caches": options["exclude_caches"],
        "exclude_larger_than": options["exclude_larger_than"],
        "one_file_system": options["one_file_system"],
        "tags": options["tag"],
        "label": options["label"],
        "host": options["host"],
        "time": options["time"],
        "protect": _protect(options["protect"]),
        "parent": options["parent"],
        "group_by": options["group_by"],
        "force": options["force"],
        "skip_if_unchanged": options["skip_if_unchanged"],
        "dry_run": options["dry_run"],
    }


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


def _tell_all(result: BackupToResult, output: Output, *, dry_run: bool) -> ExitCode:
    """Tell of each repository, and of a source item that could not be read once."""
    codes: list[ExitCode] = []
    told: set[tuple[SourceProblem, ...]] = set()
    for each in result.backups:
        if each.result is None:
            complain("error", f"{each.repository}: {each.error}")
            continue
        if not output.json:
            _tell(each.result, output, dry_run=dry_run, where=f"{each.repository}: ")
        if each.result.errors not in told:
            told.add(each.result.errors)
            codes.append(_tell_errors(each.result))
    failures = [exit_code_of(each.error) for each in result.backups if each.error is not None]
    return failures[0] if failures else max(codes, default=ExitCode.DONE)


def _tell(result: BackupResult, output: Output, *, dry_run: bool, where: str = "") -> None:
    if result.snapshot is not None:
        first = f"snapshot {result.snapshot.short_id} made in {duration(result.duration)}"
    elif dry_run:
        first = f"dry run: no snapshot was made ({duration(result.duration)})"
    else:
        first = f"nothing has changed: no snapshot was made ({duration(result.duration)})"
    stored = "" if dry_run else f", stored as {size(result.data_stored)}"
    output.summary(
        where + first,
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
