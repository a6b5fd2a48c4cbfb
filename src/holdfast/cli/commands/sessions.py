"""``holdfast sessions``: who writes to the repository, and what a prune waits for."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Unpack

import click

from holdfast import UsageError
from holdfast.cli.connect import Connector
from holdfast.cli.exit_codes import ExitCode
from holdfast.cli.output import Output
from holdfast.cli.params import RepositoryOptions, repository_options
from holdfast.cli.text import count, duration, escaped, moment, print_table, size

if TYPE_CHECKING:
    from holdfast import AtWork, Repository


class SessionsOptions(RepositoryOptions):
    """What `sessions` is told."""

    expire: str | None
    yes: bool
    no_other_writers: bool


@click.command("sessions", short_help="Who is at work, and what a prune waits for.")
@repository_options
@click.option("--expire", metavar="ID", help="Declare this session dead: its backup will fail.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--no-other-writers",
    is_flag=True,
    help="The session is dead for certain; for storages without conditional writes.",
)
@click.pass_obj
def command(connect: Connector, **options: Unpack[SessionsOptions]) -> ExitCode:
    """List writers at work and reclaims in progress.

    A writer gives a sign of life every 5 minutes. One that is dead is in nobody's way but a
    prune's, which declares it dead itself after 30 minutes of silence.
    """
    with connect.open(options["repository"], options["password_file"]) as repo:
        if options["expire"] is not None:
            return _expire(repo, options["expire"], options, connect.output)
        found = repo.sessions()
    if connect.output.json:
        connect.output.document(found.dict())
    else:
        _tell(found, connect.output)
    return ExitCode.DONE


def _expire(repo: Repository, session: str, options: SessionsOptions, output: Output) -> ExitCode:
    if not options["yes"]:
        if not sys.stdin.isatty():
            raise UsageError("there is no terminal to ask: give --yes if the session is dead")
        click.confirm(
            f"If session {session} is alive, its backup will fail. Declare it dead?",
            abort=True,
            err=True,
        )
    is_dead = repo.expire_session(session, no_other_writers=options["no_other_writers"])
    if output.json:
        output.document({"session": session, "expired": is_dead})
    elif is_dead:
        output.summary(f"session {session} is dead")
    else:
        output.summary(f"session {session} had made its snapshot: what it left is cleared away")
    return ExitCode.DONE


def _tell(found: AtWork, output: Output) -> None:
    if found.sessions:
        rows = [
            (
                each.id[:8],
                each.kind or "?",
                f"{each.user}@{each.host}",
                str(each.process),
                moment(each.started),
                "?" if each.age is None else duration(max(each.age, 0)),
            )
            for each in found.sessions
        ]
        heads = ("ID", "Does", "Who", "Process", "Since", "Last sign of life")
        print_table(heads, rows, numbers=(3,))
    for each in found.sessions:
        if each.problem:
            print(escaped(f"session {each.id[:8]}: {each.problem}"))
    for reclaim in found.reclaims:
        waits = ", ".join(session[:8] for session in reclaim.waits) or "nobody"
        packs = f"{count(reclaim.packs, 'pack')} ({size(reclaim.bytes)})"
        print(escaped(f"reclaim {reclaim.id[:8]}: {packs} will be deleted; waits for {waits}"))
        if reclaim.problem:
            print(escaped(f"  {reclaim.problem}"))
    output.summary(
        f"{count(len(found.sessions), 'session')}, {count(len(found.reclaims), 'reclaim')}"
    )
