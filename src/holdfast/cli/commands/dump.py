"""``holdfast dump``: a file, or a directory as an archive, to standard output or into a file."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, Unpack

import click

from holdfast import UsageError
from holdfast.cli.connect import Connector
from holdfast.cli.exit_codes import CommandError, ExitCode
from holdfast.cli.output import complain
from holdfast.cli.params import RepositoryOptions, repository_options
from holdfast.overrides import override

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_HARMLESS = bytes({*range(0x20, 0x7F), *range(0x80, 0x100), *b"\t\n\r\f\b"})
"""What a terminal may be sent; everything else can move its cursor, or worse."""


class DumpOptions(RepositoryOptions):
    """What `dump` is told."""

    snapshot: str
    path: str
    archive: Literal["tar", "zip"]
    output: str | None


@click.command("dump", short_help="Write out a file, or a directory as an archive.")
@click.argument("snapshot")
@click.argument("path")
@repository_options
@click.option(
    "-a",
    "--archive",
    type=click.Choice(["tar", "zip"]),
    default="tar",
    show_default=True,
    help="How to write a directory.",
)
@click.option("-o", "--output", metavar="FILE", help="Write a new FILE, not standard output.")
@click.pass_obj
def command(connect: Connector, **options: Unpack[DumpOptions]) -> ExitCode:
    """Write the file at PATH of SNAPSHOT as it is, or the directory as an archive."""
    if connect.output.json and options["output"] is None:
        raise UsageError("--json and the dumped data cannot share standard output: give -o FILE")
    with (
        connect.open(options["repository"], options["password_file"]) as repo,
        _opened(options["output"]) as stream,
    ):
        result = repo.dump(options["snapshot"], options["path"], stream, archive=options["archive"])
    for path, reason in result.skipped:
        complain("warning", f"{path!r} is left out: {reason}")
    if connect.output.json:
        connect.output.document(asdict(result))
    return ExitCode.DONE


@contextmanager
def _opened(name: str | None) -> Iterator[BinaryIO]:
    """Where to write to; a new file that could not be completed is removed."""
    if name is None:
        with io.BufferedWriter(_Sink(sys.stdout.fileno(), "standard output"), 1 << 20) as stream:
            yield stream
        return
    try:
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise UsageError(f"-o {name}: {error.strerror}") from None
    try:
        with io.BufferedWriter(_Sink(descriptor, name), 1 << 20) as stream:
            yield stream
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


class _Sink(io.RawIOBase):
    """Writes to a descriptor; its failures are not the repository's."""

    def __init__(self, descriptor: int, name: str) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._name = name
        self._is_terminal = os.isatty(descriptor)

    @override
    def writable(self) -> bool:
        """See `io.RawIOBase.writable`."""
        return True

    @override
    def write(self, data: ReadableBuffer, /) -> int:
        """See `io.RawIOBase.write`."""
        if self._is_terminal and bytes(data).translate(None, _HARMLESS):
            raise CommandError(
                "this is binary data and standard output is a terminal: give -o FILE, or redirect"
            )
        try:
            return os.write(self._descriptor, data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise CommandError(f"{self._name}: {error.strerror}") from error
