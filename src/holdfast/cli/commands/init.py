"""``holdfast init``: make a repository."""

from __future__ import annotations

import shlex
from typing import Unpack

import click

from holdfast.cli.connect import Connector
from holdfast.cli.params import RepositoryOptions, repository_options


class InitOptions(RepositoryOptions):
    """What `init` is told."""

    encryption: str
    compression: str
    pack_size: int
    chunker: str


@click.command("init", short_help="Make a repository.")
@repository_options
@click.option("-e", "--encryption", default="AES256", show_default=True, help="The cipher.")
@click.option(
    "--compression",
    default="auto",
    metavar="auto|max|off|LEVEL",
    show_default=True,
    help="How hard to compress: a mode, or a zstd level up to 22.",
)
@click.option(
    "--pack-size",
    type=click.IntRange(1, 96),
    default=16,
    metavar="MiB",
    show_default=True,
    help="Size of the objects that hold data.",
)
@click.option(
    "--chunker",
    type=click.Choice(["default", "database", "large", "fastcdc"]),
    default="default",
    show_default=True,
    help="How files are cut: `database` for small scattered changes, `large` above 10 TB.",
)
@click.pass_obj
def command(connect: Connector, **options: Unpack[InitOptions]) -> None:
    """Make a repository in a folder that is empty or does not exist yet.

    Without its password nobody can read it: keep the password in a safe place.
    """
    with connect.init(
        options["repository"],
        options["password_file"],
        encryption=options["encryption"],
        compression=options["compression"],
        pack_size=options["pack_size"] << 20,
        chunker=options["chunker"],
    ) as repo:
        if connect.output.json:
            connect.output.document({"repository": repo.location, "id": repo.id})
            return
        connect.output.summary(
            f"made repository {repo.id[:8]} in {repo.location}",
            "Keep its password: nobody can read the repository without it, you included.",
            f"Back something up: holdfast create -b {shlex.quote(repo.location)} PATH",
        )
