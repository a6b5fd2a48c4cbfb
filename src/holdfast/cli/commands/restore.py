"""``holdfast restore``: write a snapshot, or a part of it, into a directory."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, TypedDict, Unpack

import click

from holdfast.cli.bar import progress_bar
from holdfast.cli.connect import Connector, other_options
from holdfast.cli.exit_codes import ExitCode
from holdfast.cli.output import Output, complain
from holdfast.cli.params import RepositoryOptions, other_storage_option, repository_options
from holdfast.cli.text import count, escaped, size

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast import Action, ProgressEvent, Repository, RestoreResult

SHOWN_ERRORS = 20
"""Most problems that are named on standard error."""


class How(TypedDict):
    """What `Repository.restore` is told."""

    include: tuple[str, ...] | None
    exclude: tuple[str, ...] | None
    overwrite: str
    delete: bool
    sparse: bool
    devices: bool
    dry_run: bool
    target_options: dict[str, object]
    on_action: Callable[[Action], object] | None


class RestoreOptions(RepositoryOptions):
    """What `restore` is told."""

    snapshot: str
    target: str
    other_storage_option: tuple[str, ...]
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    verify: bool
    overwrite: str
    delete: bool
    dry_run: bool
    sparse: bool
    devices: bool
    undoable: bool


@click.command("restore", short_help="Restore a snapshot, or a part of it.")
@repository_options
@click.option(
    "-s",
    "--snapshot",
    default="latest",
    metavar="SNAPSHOT[:/PATH]",
    show_default=True,
    help="An id, the beginning of one, latest, latest~2 or a time; of it, what is in PATH.",
)
@click.option(
    "-t",
    "--target",
    required=True,
    metavar="DIR",
    help="Where to restore to; or a URI such as s3://bucket/prefix.",
)
@other_storage_option("target", "the store that a URI names as the target")
@click.option(
    "-i", "--include", multiple=True, metavar="PATTERN", help="Only what matches, and below it."
)
@click.option("-x", "--exclude", multiple=True, metavar="PATTERN", help="Not what matches.")
@click.option("--verify", is_flag=True, help="Read back what was written, and compare.")
@click.option(
    "--overwrite",
    type=click.Choice(["always", "if-changed", "if-newer", "never"]),
    default="always",
    show_default=True,
    help="What becomes of files that exist.",
)
@click.option("--delete", is_flag=True, help="Remove what the snapshot does not have.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--sparse", is_flag=True, help="Make holes of zeros.")
@click.option("--devices", is_flag=True, help="Create device nodes; takes root.")
@click.option(
    "--undoable", is_flag=True, help="Keep what is overwritten, for `holdfast undo` to bring back."
)
@click.pass_obj
def command(connect: Connector, **options: Unpack[RestoreOptions]) -> ExitCode:
    """Restore into a directory; nothing outside it is touched.

    A whole snapshot keeps its absolute paths below the target; SNAPSHOT:/PATH puts the contents of
    PATH directly into it. Exit code 1: something could not be restored.
    """
    output = connect.output
    actions: list[dict[str, str]] = []

    def note(action: Action) -> None:
        if output.json:
            actions.append({"path": action.path, "action": str(action.deed)})
        else:
            print(f"{action.deed:8} {escaped(action.path)}")

    with (
        connect.open(options["repository"], options["password_file"]) as repo,
        progress_bar(output, "restoring") as progress,
    ):
        how: How = {
            "include": options["include"] or None,
            "exclude": options["exclude"] or None,
            "overwrite": options["overwrite"],
            "delete": options["delete"],
            "sparse": options["sparse"],
            "devices": options["devices"],
            "dry_run": options["dry_run"],
            "target_options": other_options(
                options["other_storage_option"], "TARGET", (options["target"],)
            ),
            "on_action": note if _shows_actions(output, dry_run=options["dry_run"]) else None,
        }
        result, kept = _restore(repo, options, how, progress)
        connect.deeds.note(repo.location, [result.snapshot])
    if output.json:
        record: dict[str, object] = {"target": options["target"], **asdict(result), **kept}
        output.document(record | ({"actions": actions} if options["dry_run"] else {}))
    else:
        _tell(result, options, output)
        if kept:
            output.summary(f"what was there before is kept: holdfast undo {kept['recovery']}")
    _tell_left_out(result)
    return _tell_errors(result)


def _restore(
    repo: Repository,
    options: RestoreOptions,
    how: How,
    progress: Callable[[ProgressEvent], object] | None,
) -> tuple[RestoreResult, dict[str, str | None]]:
    """Restore; returns also what undoes it, if that was asked for."""
    verify = options["verify"]
    if not options["undoable"]:
        done = repo.restore(
            options["snapshot"], options["target"], verify=verify, progress=progress, **how
        )
        return done, {}
    from holdfast.platform.managers import KEEP_DAYS, Restoring
    from holdfast.platform.workspace import Workspace

    with Workspace() as workspace:
        restoring = Restoring(
            repo,
            workspace,
            options["snapshot"],
            options["target"],
            {**how, "undoable": True, "keep_days": KEEP_DAYS},
        )
        done, recovery = restoring.restore(verify=verify, progress=progress)
    if recovery is None:
        return done, {}
    return done, {"recovery": recovery.id, "safety": recovery.safety}


def _shows_actions(output: Output, *, dry_run: bool) -> bool:
    return dry_run if output.json else (dry_run or output.verbose) and not output.quiet


def _tell(result: RestoreResult, options: RestoreOptions, output: Output) -> None:
    done = "would be restored" if options["dry_run"] else "restored"
    skipped = f", {count(result.files_skipped, 'file')} left as they are" * bool(
        result.files_skipped
    )
    deleted = f", {result.deleted:,} removed" * bool(result.deleted)
    output.summary(
        f"{count(result.files_restored, 'file')} {done} to {options['target']}, "
        f"{size(result.bytes_restored)} ({size(result.bytes_written)} written){skipped}{deleted}"
    )
    if options["verify"] and not result.errors_total and not options["dry_run"]:
        output.summary("verified: everything was read back and is as in the snapshot")


def _tell_left_out(result: RestoreResult) -> None:
    """Say once what the target has no place for."""
    if result.left_out:
        kinds = ", ".join(f"{kind}: {number:,}" for kind, number in sorted(result.left_out.items()))
        complain("warning", f"left out, as a store has no place for it: {kinds}")


def _tell_errors(result: RestoreResult) -> ExitCode:
    if not result.errors_total:
        return ExitCode.DONE
    for error in result.errors[:SHOWN_ERRORS]:
        complain("error", f"{error.path!r}: {error.operation}: {error.message}")
    rest = result.errors_total - len(result.errors[:SHOWN_ERRORS])
    more = f" ({rest:,} of them not named here)" if rest else ""
    complain("error", f"{count(result.errors_total, 'problem')} while restoring{more}")
    return ExitCode.FAILED
