"""``holdfast export-config``: write the config file again, without its secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypedDict, Unpack

import click

from holdfast.cli.connect import Connector
from holdfast.cli.exit_codes import CommandError
from holdfast.cli.output import complain


class ExportOptions(TypedDict):
    """What `export-config` is told."""

    output: str
    format: Literal["yaml", "json"]


@click.command("export-config", short_help="Write the configuration to a file, without secrets.")
@click.option("-o", "--output", required=True, metavar="PATH", help="The file to write.")
@click.option(
    "-f",
    "--format",
    type=click.Choice(["yaml", "json"]),
    default="yaml",
    show_default=True,
    help="How it is written.",
)
@click.pass_obj
def command(connect: Connector, **options: Unpack[ExportOptions]) -> None:
    """Write the configuration that is in use to a file, without its secrets.

    That is the config file, or the profile of it that is used, and what the environment says of
    the repository. Variables stay as they are, and relative paths become absolute. A secret that
    stands in the file is not written: a variable takes its place, which has to be set where the
    new file is used.
    """
    from holdfast.settings.effective import written
    from holdfast.settings.export import exported, write_text

    folder = Path(connect.config_file or "").parent
    out = exported(written(connect.config), folder)
    try:
        write_text(Path(options["output"]), out.text(options["format"]))
    except OSError as error:
        raise CommandError(f"{options['output']}: {error.strerror}") from None
    for name, path in out.variables.items():
        complain("warning", f"{path} holds a secret: set {name} where the new file is used")
    if connect.output.json:
        connect.output.document(
            {
                "output": options["output"],
                "format": options["format"],
                "variables": dict(out.variables),
            }
        )
    else:
        connect.output.summary(f"wrote {options['output']}")
