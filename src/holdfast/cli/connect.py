"""From what a user said, wherever they said it, to an open repository."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

import holdfast
from holdfast import UsageError
from holdfast.cli.output import Output
from holdfast.settings import Config, PasswordSource, find_location, find_password_source

if TYPE_CHECKING:
    from holdfast import Repository


class Connector:
    """Knows the options before the command; opens repositories by them.

    Attributes:
        output: of the command.
        config: the config file.
        cache_dir: where indexes are cached; the user's cache folder when None.
        cache: whether they are.
    """

    def __init__(self, output: Output) -> None:
        self.output = output
        self.config = Config()
        self.cache_dir: str | None = None
        self.cache = True

    def open(self, repository: str | None, password_file: str | None) -> Repository:
        """Open the repository; flags are None where there was none.

        Raises:
            UsageError: nothing says where it is, or no password is to be had.
            RepositoryError, BackendError: it cannot be opened.
        """
        location = self._location(repository)
        source = self._password(password_file, location, confirm=False)
        return holdfast.open(
            location,
            password=source.password,
            password_file=source.file,
            password_command=source.command,
            cache_dir=self.cache_dir or self.config.cache_dir,
            cache=self.cache,
        )

    def init(
        self,
        repository: str | None,
        password_file: str | None,
        *,
        encryption: str,
        compression: str,
        pack_size: int,
        chunker: str,
    ) -> Repository:
        """Make a repository; arguments as for `open` and `holdfast.init`."""
        location = self._location(repository)
        source = self._password(password_file, location, confirm=True)
        return holdfast.init(
            location,
            password=source.password,
            password_file=source.file,
            password_command=source.command,
            encryption=encryption,
            compression=compression,
            pack_size=pack_size,
            chunker=chunker,
            cache_dir=self.cache_dir or self.config.cache_dir,
            cache=self.cache,
        )

    def _location(self, flag: str | None) -> str:
        location = find_location(flag, self.config)
        if location is None:
            raise UsageError(
                "no repository is named: give -b LOCATION, set HOLDFAST_REPOSITORY, "
                "or put `repository:` into a file for --config"
            )
        return location

    def _password(self, flag: str | None, location: str, *, confirm: bool) -> PasswordSource:
        source = find_password_source(flag, self.config)
        if source is not None:
            return source
        if not _has_terminal():
            raise UsageError(
                "no password is given and there is no terminal to ask for it: give -p FILE, or "
                "set HOLDFAST_PASSWORD_FILE, HOLDFAST_PASSWORD_COMMAND or HOLDFAST_PASSWORD"
            )
        typed: str = click.prompt(
            f"{'new password' if confirm else 'password'} for {location}",
            hide_input=True,
            confirmation_prompt=confirm,
            err=True,
        )
        return PasswordSource(password=typed)


def _has_terminal() -> bool:
    """Whether somebody can be asked, although standard input may be what is backed up."""
    if not (sys.stdin.isatty() or sys.stderr.isatty()):
        return False
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
