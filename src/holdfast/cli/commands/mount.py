"""``holdfast mount``: snapshots as files of this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Unpack

import click

from holdfast.cli.connect import Connector
from holdfast.cli.params import RepositoryOptions, repository_options


class MountOptions(RepositoryOptions):
    """What `mount` is told."""

    directory: str
    snapshot: str | None
    allow_other: bool


@click.command("mount", short_help="Show snapshots as files, by FUSE.")
@click.argument("directory", metavar="DIRECTORY")
@repository_options
@click.option(
    "-s",
    "--snapshot",
    metavar="SNAPSHOT",
    help="Only this one, or with :/path a directory in it; otherwise all of them.",
)
@click.option(
    "--allow-other",
    is_flag=True,
    help="Let other users look, too, as far as the modes of files allow it.",
)
@click.pass_obj
def command(connect: Connector, **options: Unpack[MountOptions]) -> None:
    """Show snapshots as files in an empty DIRECTORY, until it is unmounted.

    All can be read and nothing changed. There are latest, ids, times, hosts and tags, unless one
    snapshot is named. Ctrl-C ends it, or `fusermount3 -u DIRECTORY`.
    """
    place = str(Path(options["directory"]).absolute())

    def tell() -> None:
        if connect.output.json:
            connect.output.document({"directory": place, "snapshot": options["snapshot"]})
        else:
            connect.output.summary(f"mounted at {place}; Ctrl-C unmounts it")
        sys.stdout.flush()

    with connect.open(options["repository"], options["password_file"]) as repo:
        repo.mount(
            options["directory"],
            options["snapshot"],
            allow_other=options["allow_other"],
            on_ready=tell,
        )
    if not connect.output.json:
        connect.output.summary("unmounted")
