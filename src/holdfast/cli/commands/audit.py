"""``holdfast audit``: what was done on this machine, and whether that was tampered with."""

from __future__ import annotations

from collections import deque
from datetime import datetime
from typing import TYPE_CHECKING, TypedDict, Unpack

import click

from holdfast.cli.connect import Connector
from holdfast.cli.exit_codes import CommandError, ExitCode
from holdfast.cli.output import Output
from holdfast.cli.params import RepositoryOptions, moment, repository_options
from holdfast.cli.text import count, escaped, print_table
from holdfast.cli.text import moment as shown
from holdfast.settings import find_location

if TYPE_CHECKING:
    from collections.abc import Iterable

    from holdfast.platform.audit import AuditEntry, AuditTrail, AuditVerification


class ShowOptions(TypedDict):
    """What `audit show` is told."""

    event: str | None
    since: datetime | None
    repository: str | None
    number: int | None


@click.group("audit", short_help="What was done, by whom, when.")
def command() -> None:
    """Look at the audit trail of this machine and user: what was done, by whom, with what result.

    It is kept in HOLDFAST_STATE_DIR, or else in ~/.local/state/holdfast.
    """


def _trail() -> AuditTrail:
    from holdfast.platform.audit import AuditTrail
    from holdfast.platform.folder import default_trail

    return AuditTrail(default_trail())


@command.command("show", short_help="List what was done.")
@click.option("-e", "--event", metavar="EVENT", help="Only such: backup, restore, prune, key, ...")
@click.option("--since", type=moment, metavar="TIME", help="Only since then; ISO 8601.")
@click.option("--repository", metavar="ID", help="Only in the repository whose id begins so.")
@click.option(
    "-n", "number", type=click.IntRange(min=1), metavar="N", help="Only the newest N of them."
)
@click.pass_obj
def show(connect: Connector, **options: Unpack[ShowOptions]) -> None:
    """List entries, oldest first. Whether they can be trusted is for `audit verify` to say."""
    trail = _trail()
    found: Iterable[AuditEntry] = trail.entries(
        since=options["since"], repository=options["repository"], event=options["event"]
    )
    if options["number"] is not None:
        found = deque(found, options["number"])
    try:
        if connect.output.json:
            with connect.output.streamed():
                connect.output.field("file", str(trail.file))
                connect.output.array("entries", (each.dict() for each in found))
            return
        _tell_entries(list(found), connect.output)
    except OSError as error:
        raise CommandError(f"{trail.file}: {error.strerror}") from None


def _tell_entries(found: list[AuditEntry], output: Output) -> None:
    if found:
        rows = [
            (
                str(each.sequence),
                shown(each.when),
                each.user,
                each.event,
                each.result,
                each.repository[:8],
                each.snapshot[:8],
                str(each.details.get("error") or each.details.get("location") or ""),
            )
            for each in found
        ]
        heads = ("No.", "Time", "User", "Event", "Result", "In", "Snapshot", "")
        print_table(heads, rows, numbers=(0,))
    output.summary(count(len(found), "entry", "entries"))


@command.command("verify", short_help="Find out whether the trail was tampered with.")
@repository_options
@click.pass_obj
def verify(connect: Connector, **options: Unpack[RepositoryOptions]) -> ExitCode:
    """Look whether anything was edited, put in, taken out or moved; exit code 4 if so.

    That the end was cut off, or all of it written anew, shows only in the repository, where each
    backup puts down how far the trail has come: name it as for any other command.
    """
    trail = _trail()
    location = find_location(options["repository"], connect.config)
    try:
        if location is None:
            found = trail.verify()
        else:
            with connect.open(location, options["password_file"]) as repo:
                found = trail.verify(repo.audit_anchors())
    except OSError as error:
        raise CommandError(f"{trail.file}: {error.strerror}") from None
    if connect.output.json:
        connect.output.document({"file": str(trail.file), "repository": location, **found.dict()})
    else:
        _tell(found, connect.output, location)
    return ExitCode.DONE if found.ok else ExitCode.DAMAGED


def _tell(found: AuditVerification, output: Output, location: str | None) -> None:
    for problem in found.problems:
        where = f"line {problem.line}: " if problem.line else ""
        print(escaped(where + problem.message))
    entries = count(found.entries, "entry", "entries")
    if not found.ok:
        print(f"{count(len(found.problems), 'problem')} in {entries}")
        return
    lines = [f"{entries}, none of which was changed"]
    if found.torn:
        numbers = ", ".join(map(str, found.torn))
        lines.append(f"never finished, because of a crash or a full disk: line {numbers}")
    if location is None:
        lines.append("that nothing was cut off at the end shows in a repository only: give -b")
    elif found.anchored < 0:
        lines.append(f"{location} does not have this trail, so the end may have been cut off")
    else:
        lines.append(f"{location} vouches for all up to entry {found.anchored}")
    output.summary(*lines)
