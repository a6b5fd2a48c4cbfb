"""``holdfast init``: make a repository."""

from __future__ import annotations

import shlex
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, Unpack

import click

from holdfast.cli.connect import Connector
from holdfast.cli.params import RepositoryOptions, other_storage_option, repository_options
from holdfast.settings import find_compression, find_pack_size

if TYPE_CHECKING:
    from holdfast import Repository


class InitOptions(RepositoryOptions):
    """What `init` is told."""

    encryption: str
    compression: str | None
    pack_size: int | None
    chunker: str | None
    like: str | None
    like_password_file: str | None
    other_storage_option: tuple[str, ...]


def _made(
    connect: Connector, options: InitOptions, like: Repository | None
) -> AbstractContextManager[Repository]:
    return connect.init(
        options["repository"],
        options["password_file"],
        encryption=options["encryption"],
        compression=find_compression(options["compression"], connect.config),
        pack_size=find_pack_size(options["pack_size"], connect.config),
        chunker=options["chunker"],
        like=like,
    )


@click.command("init", short_help="Make a repository.")
@repository_options
@click.option("-e", "--encryption", default="AES256", show_default=True, help="The cipher.")
@click.option(
    "--compression",
    metavar="auto|max|off|LEVEL",
    help="How hard to compress: a mode, or a zstd level up to 22.  [default: auto]",
)
@click.option(
    "--pack-size",
    type=click.IntRange(1, 96),
    metavar="MiB",
    help="Size of the objects that hold data.  [default: 16]",
)
@click.option(
    "--chunker",
    type=click.Choice(["default", "database", "large", "fastcdc"]),
    help="How files are cut: `database` for small scattered changes, `large` above 10 TB.",
)
@click.option(
    "--like",
    metavar="LOCATION",
    help="A repository to share deduplication with: what is copied between them keeps its form.",
)
@click.option(
    "--like-password-file", metavar="FILE", help="File that holds the password of that one."
)
@other_storage_option("like", "that one")
@click.pass_obj
def command(connect: Connector, **options: Unpack[InitOptions]) -> None:
    """Make a repository in a folder that is empty or does not exist yet.

    Without its password nobody can read it: keep the password in a safe place. The password of
    the repository named by --like comes from --like-password-file, HOLDFAST_LIKE_PASSWORD,
    HOLDFAST_LIKE_PASSWORD_FILE or HOLDFAST_LIKE_PASSWORD_COMMAND, or is asked for. Compression and
    pack size may also come from HOLDFAST_COMPRESSION and HOLDFAST_PACK_SIZE, RESTIC_COMPRESSION and
    RESTIC_PACK_SIZE, or the config file.
    """
    with ExitStack() as stack:
        like = None
        if options["like"] is not None:
            like = stack.enter_context(
                connect.open_other(
                    options["like"],
                    options["like_password_file"],
                    options["other_storage_option"],
                    "LIKE",
                )
            )
        repo = stack.enter_context(_made(connect, options, like))
        if connect.output.json:
            connect.output.document({"repository": repo.location, "id": repo.id})
            return
        connect.output.summary(
            f"made repository {repo.id[:8]} in {repo.location}",
            "Keep its password: nobody can read the repository without it, you included.",
            f"Back something up: holdfast create -b {shlex.quote(repo.location)} PATH",
        )
