"""``holdfast cat``: look at one object of the repository."""

from __future__ import annotations

import json
import sys
from typing import Unpack

import click

from holdfast import UsageError
from holdfast.cli.connect import Connector
from holdfast.cli.params import RepositoryOptions, repository_options

KINDS = (
    "config",
    "key",
    "index",
    "snapshot",
    "forgotten",
    "label",
    "anchor",
    "session",
    "reclaim",
    "epoch",
    "pack",
    "blob",
    "tree",
)


class CatOptions(RepositoryOptions):
    """What `cat` is told."""

    kind: str
    name: str


@click.command("cat", short_help="Look at one object.")
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("name", default="")
@repository_options
@click.pass_obj
def command(connect: Connector, **options: Unpack[CatOptions]) -> None:
    """Print what an object says as JSON, or the bytes of a blob; secrets are never shown.

    NAME is the object's name or its beginning; the 64 digits of a blob; for a tree these or a
    snapshot, with :/path behind it for a directory in it.
    """
    if options["kind"] == "blob" and sys.stdout.isatty():
        raise UsageError("a blob is not for a terminal: redirect it into a file or a pipe")
    if options["kind"] == "blob" and connect.output.json:
        raise UsageError("a blob is no JSON")
    with connect.open(options["repository"], options["password_file"]) as repo:
        found = repo.cat(options["kind"], options["name"])
    if isinstance(found, bytes):
        sys.stdout.buffer.write(found)
    elif connect.output.json:
        connect.output.document(found)
    else:
        # Only ASCII, as in all our JSON: odd bytes of names are legal as escapes.
        print(json.dumps(found, indent=2))
