"""``holdfast serve``: snapshots over HTTP."""

from __future__ import annotations

import sys
from typing import Unpack

import click

from holdfast.cli.connect import Connector
from holdfast.cli.params import RepositoryOptions, repository_options
from holdfast.settings import PasswordSource, find_other_password_source


class ServeOptions(RepositoryOptions):
    """What `serve` is told."""

    host: str
    port: int
    snapshot: str | None
    user: str
    serve_password_file: str | None


@click.command("serve", short_help="Show snapshots over HTTP: WebDAV, and pages for browsers.")
@repository_options
@click.option(
    "-s",
    "--snapshot",
    metavar="SNAPSHOT",
    help="Only this one, or with :/path a directory in it; otherwise all of them.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="Where to listen; beyond this machine it takes a password.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    metavar="PORT",
    help="Likewise; 0 is any free one.",
)
@click.option(
    "--user", default="holdfast", show_default=True, metavar="NAME", help="Who has the password."
)
@click.option(
    "--serve-password-file",
    metavar="FILE",
    help="File that holds the password which it asks for; not that of the repository.",
)
@click.pass_obj
def command(connect: Connector, **options: Unpack[ServeOptions]) -> None:
    """Show snapshots over HTTP until interrupted, to browsers and WebDAV clients.

    All can be read and nothing changed. The password that it asks for may also come from the
    variables HOLDFAST_SERVE_PASSWORD, HOLDFAST_SERVE_PASSWORD_FILE or
    HOLDFAST_SERVE_PASSWORD_COMMAND. What it sends is not encrypted: for other machines, put a proxy
    with TLS before it.
    """
    source = find_other_password_source(options["serve_password_file"], "SERVE") or PasswordSource()
    with (
        connect.open(options["repository"], options["password_file"]) as repo,
        repo.serve(
            options["host"],
            options["port"],
            options["snapshot"],
            user=options["user"],
            password=source.password,
            password_file=source.file,
            password_command=source.command,
        ) as server,
    ):
        if connect.output.json:
            connect.output.document({"url": server.address, "snapshot": options["snapshot"]})
        else:
            connect.output.summary(f"{server.address}; end it with Ctrl-C")
        sys.stdout.flush()
        try:
            server.run()
        except KeyboardInterrupt:
            if not connect.output.json:
                connect.output.summary("ended")
