"""``holdfast tag``: change the tags of snapshots, hold or release them, note something."""

from __future__ import annotations

from datetime import datetime
from typing import Unpack

import click

from holdfast.cli.connect import Connector
from holdfast.cli.params import (
    OptionalValue,
    OptionalValues,
    RepositoryOptions,
    last_moment,
    repository_options,
)
from holdfast.cli.text import count, print_table


class TagOptions(RepositoryOptions):
    """What `tag` is told."""

    snapshot: tuple[str, ...]
    add: tuple[str, ...]
    remove: tuple[str, ...]
    only: tuple[str, ...]
    hold: str | None
    until: datetime | None
    release: bool
    note: str | None
    host: str | None
    tag: tuple[str, ...]
    path: tuple[str, ...]


@click.command("tag", cls=OptionalValues, short_help="Change tags, protect snapshots, add notes.")
@click.argument("snapshot", nargs=-1, metavar="[SNAPSHOT]...")
@repository_options
@click.option("--add", multiple=True, metavar="TAG", help="Add a tag; may be repeated.")
@click.option("--remove", multiple=True, metavar="TAG", help="Remove a tag; may be repeated.")
@click.option("--set", "only", multiple=True, metavar="TAG", help="Leave these tags only.")
@click.option(
    "--hold", cls=OptionalValue, metavar="[=REASON]", help="Protect: let nothing remove it."
)
@click.option("--until", type=last_moment, metavar="DATE", help="With --hold: until then.")
@click.option("--release", is_flag=True, help="Protect it no longer.")
@click.option("--note", metavar="TEXT", help="Note something on it.")
@click.option("--host", metavar="NAME", help="In place of SNAPSHOT: those of this host.")
@click.option("--tag", multiple=True, metavar="TAG", help="Likewise: those with this tag.")
@click.option("--path", multiple=True, metavar="PATH", help="Likewise: backups of this path.")
@click.pass_obj
def command(connect: Connector, **options: Unpack[TagOptions]) -> None:
    """Change the tags of each SNAPSHOT, protect it, or note something on it."""
    with connect.open(options["repository"], options["password_file"]) as repo:
        result = repo.tag(
            options["snapshot"] or None,
            add=options["add"],
            remove=options["remove"],
            only=options["only"] or None,
            hold=options["hold"],
            until=options["until"],
            release=options["release"],
            note=options["note"],
            host=options["host"],
            tags=options["tag"],
            paths=options["path"],
        )
        connect.deeds.note(repo.location, result.changed)
    if connect.output.json:
        connect.output.document(result.dict())
        return
    rows = [
        (
            each.short_id,
            ",".join(each.tags),
            each.protection,
            "changed" if each.id in result.changed else "as it was",
        )
        for each in result.snapshots
    ]
    if not connect.output.quiet:
        print_table(("ID", "Tags", "Protected", ""), rows)
    connect.output.summary(f"{count(len(result.changed), 'snapshot')} changed")
