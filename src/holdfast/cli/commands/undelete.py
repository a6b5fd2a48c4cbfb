"""``holdfast undelete``: bring back forgotten snapshots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

import click

from holdfast.cli.bar import progress_bar
from holdfast.cli.connect import Connector
from holdfast.cli.output import Output
from holdfast.cli.params import RepositoryOptions, repository_options
from holdfast.cli.text import count, moment, print_table

if TYPE_CHECKING:
    from holdfast import ForgottenSnapshot


class UndeleteOptions(RepositoryOptions):
    """What `undelete` is told."""

    snapshot: tuple[str, ...]


@click.command("undelete", short_help="Bring back forgotten snapshots, or list them.")
@click.argument("snapshot", nargs=-1, metavar="[SNAPSHOT]...")
@repository_options
@click.pass_obj
def command(connect: Connector, **options: Unpack[UndeleteOptions]) -> None:
    """Bring back each SNAPSHOT that was forgotten; without any, list those there are.

    It comes back as a new snapshot with an id of its own.
    """
    with connect.open(options["repository"], options["password_file"]) as repo:
        if not options["snapshot"]:
            _list(repo.forgotten(), connect.output)
            return
        made = []
        for name in options["snapshot"]:
            with progress_bar(connect.output, "bringing back") as progress:
                made.append(repo.undelete(name, progress=progress))
            connect.deeds.note(repo.location, [made[-1].id])
    if connect.output.json:
        connect.output.document({"snapshots": [snapshot.dict() for snapshot in made]})
        return
    connect.output.summary(*(f"{each.original} is back as {each.id}" for each in made))


def _list(found: Sequence[ForgottenSnapshot], output: Output) -> None:
    if output.json:
        output.document({"forgotten": [each.dict() for each in found]})
        return
    if found:
        rows = [
            (
                each.snapshot.short_id,
                moment(each.snapshot.time),
                each.snapshot.host,
                moment(each.time),
                ",".join(each.snapshot.tags),
                " ".join(each.snapshot.paths),
            )
            for each in found
        ]
        print_table(("ID", "Time", "Host", "Forgotten", "Tags", "Paths"), rows)
    output.summary(f"{count(len(found), 'forgotten snapshot')} can be brought back")
