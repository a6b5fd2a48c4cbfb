"""``holdfast undo``: bring back what a restore overwrote, and remove what it created."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

import click

from holdfast.cli.connect import Connector
from holdfast.cli.exit_codes import ExitCode
from holdfast.cli.output import Output, complain
from holdfast.cli.params import RepositoryOptions, repository_options
from holdfast.cli.text import count, moment, print_table

if TYPE_CHECKING:
    from holdfast.platform.managers import Recovery

SHOWN_ERRORS = 20
"""Most problems that are named on standard error."""


class UndoOptions(RepositoryOptions):
    """What `undo` is told."""

    recovery: str | None
    list_: bool


@click.command("undo", short_help="Undo a restore that was made with --undoable.")
@repository_options
@click.option("--list", "list_", is_flag=True, help="List the restores from this repository.")
@click.argument("recovery", required=False)
@click.pass_obj
def command(connect: Connector, **options: Unpack[UndoOptions]) -> ExitCode:
    """Bring back what a restore overwrote or removed, and remove what it created.

    RECOVERY is the id that `restore --undoable` told, or the beginning of it; without one the
    newest such restore on this machine is undone. What was changed since the restore stays as it
    is, and is named. Exit code 1: not all could be undone; run it again.
    """
    from holdfast import RecoveryManager
    from holdfast.platform.workspace import Workspace

    output = connect.output
    with (
        connect.open(options["repository"], options["password_file"]) as repo,
        Workspace() as workspace,
    ):
        manager = RecoveryManager.on(repo, workspace)
        if options["list_"]:
            _list(manager.recoveries(), output)
            return ExitCode.DONE
        done = manager.undo_recovery(options["recovery"])
    if output.json:
        output.document(done.dict())
    else:
        for kept in done.kept:
            complain("warning", f"{kept.path!r} stays: {kept.message}")
        output.summary(
            f"recovery {done.recovery.id} undone in {done.recovery.target}: "
            f"{count(done.restored_total, 'entry', 'entries')} brought back, "
            f"{done.found.removed:,} removed"
        )
        if done.saved_as is not None:
            output.summary(
                "what may have been half written is kept as it was found: "
                f"snapshot {done.saved_as[:8]}"
            )
    for error in done.errors[:SHOWN_ERRORS]:
        complain("error", f"{error.path!r}: {error.operation}: {error.message}")
    return ExitCode.FAILED if done.errors_total else ExitCode.DONE


def _list(recoveries: Sequence[Recovery], output: Output) -> None:
    if output.json:
        output.document({"recoveries": [each.dict() for each in recoveries]})
        return
    rows = [
        (
            each.id,
            moment(each.started),
            each.snapshot[:8],
            each.state,
            "yes" if each.can_be_undone else "no",
            each.target,
        )
        for each in recoveries
    ]
    print_table(("ID", "Time", "Snapshot", "State", "Undoable", "Target"), rows)
