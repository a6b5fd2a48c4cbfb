"""From what a user said, wherever they said it, to an open repository."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

import holdfast
from holdfast import UsageError
from holdfast.cli.output import Output
from holdfast.settings import (
    Config,
    PasswordSource,
    find_location,
    find_other_password_source,
    find_password_source,
)

if TYPE_CHECKING:
    from holdfast import Repository


class Connector:
    """Knows the options before the command; opens repositories by them.

    Attributes:
        output: of the command.
        config: the config file.
        cache_dir: where indexes are cached; the user's cache folder when None.
        cache: whether they are.
        recovery_key: file that holds the recovery key, which takes a password's place.
    """

    def __init__(self, output: Output) -> None:
        self.output = output
        self.config = Config()
        self.cache_dir: str | None = None
        self.cache = True
        self.recovery_key: str | None = None

    def open(self, repository: str | None, password_file: str | None) -> Repository:
        """Open the repository; flags are None where there was none.

        Raises:
            UsageError: nothing says where it is, or no password is to be had.
            RepositoryError, BackendError: it cannot be opened.
        """
        location = self._location(repository)
        if self.recovery_key is not None:
            if password_file is not None:
                raise UsageError("give either -p or --recovery-key")
            return holdfast.open(
                location,
                recovery_key=_read_text(self.recovery_key),
                cache_dir=self.cache_dir or self.config.cache_dir,
                cache=self.cache,
            )
        source = self._password(password_file, location, confirm=False)
        return holdfast.open(
            location,
            password=source.password,
            password_file=source.file,
            password_command=source.command,
            cache_dir=self.cache_dir or self.config.cache_dir,
            cache=self.cache,
        )

    def open_other(self, location: str, password_file: str | None, name: str) -> Repository:
        """Open a second repository, which has a password of its own.

        Args:
            location: where it is.
            password_file: from its flag.
            name: what its flag and its variables are called, such as ``TO``.
        """
        source = find_other_password_source(password_file, name)
        if source is None:
            flag = f"--{name.lower()}-password-file FILE"
            source = _asked(location, f"give {flag}, or set HOLDFAST_{name}_PASSWORD_FILE")
        return holdfast.open(
            location,
            password=source.password,
            password_file=source.file,
            password_command=source.command,
            cache_dir=self.cache_dir or self.config.cache_dir,
            cache=self.cache,
        )

    def init(  # noqa: PLR0913 - what a repository begins with
        self,
        repository: str | None,
        password_file: str | None,
        *,
        encryption: str,
        compression: str | None,
        pack_size: int | None,
        chunker: str | None,
        like: Repository | None = None,
    ) -> Repository:
        """Make a repository; arguments as for `open` and `holdfast.init`."""
        if self.recovery_key is not None:
            raise UsageError("a new repository takes a password: leave out --recovery-key")
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
            like=like,
            cache_dir=self.cache_dir or self.config.cache_dir,
            cache=self.cache,
        )

    def new_password(
        self, repository: str | None, file: str | None, command: str | None
    ) -> PasswordSource:
        """Where a new password for the repository comes from; arguments are flags.

        Raises:
            UsageError: two places are given, or none and nobody can be asked.
        """
        if command is not None:
            if file is not None:
                raise UsageError("give either --new-password-file or --new-password-command")
            return PasswordSource(command=command)
        location = self._location(repository)
        return find_other_password_source(file, "NEW") or _asked(
            location, "give --new-password-file FILE, or set HOLDFAST_NEW_PASSWORD_FILE",
            confirm=True,
        )  # fmt: skip

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
        return _asked(
            location,
            "give -p FILE, or set HOLDFAST_PASSWORD_FILE, HOLDFAST_PASSWORD_COMMAND or "
            "HOLDFAST_PASSWORD",
            confirm=confirm,
        )


def _asked(location: str, advice: str, *, confirm: bool = False) -> PasswordSource:
    """The password that somebody types; the advice is for where nobody can."""
    if not _has_terminal():
        raise UsageError(
            f"no password for {location} is given and there is no terminal to ask for it: {advice}"
        )
    typed: str = click.prompt(
        f"{'new password' if confirm else 'password'} for {location}",
        hide_input=True,
        confirmation_prompt=confirm,
        err=True,
    )
    return PasswordSource(password=typed)


def _read_text(file: str) -> str:
    try:
        return Path(file).read_text("utf-8")
    except UnicodeDecodeError:
        raise UsageError(f"{file}: not text") from None
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from None


def _has_terminal() -> bool:
    """Whether somebody can be asked, although standard input may be what is backed up."""
    if not (sys.stdin.isatty() or sys.stderr.isatty()):
        return False
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
