"""From what a user said, wherever they said it, to an open repository."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import click

import holdfast
from holdfast import UsageError
from holdfast.cli.output import Output
from holdfast.settings import (
    Config,
    PasswordSource,
    find_cache_size,
    find_limits,
    find_location,
    find_other_password_source,
    find_other_storage_options,
    find_password_source,
    find_storage_options,
)

if TYPE_CHECKING:
    from holdfast import Repository


class Storage(TypedDict):
    """How a store is used, in the words of the library."""

    storage_options: dict[str, object]
    limit_upload: str | int | None
    limit_download: str | int | None


class How(Storage):
    """What a repository is opened with besides its location and password."""

    cache_dir: str | None
    cache: bool
    cache_size: int | None


class Connector:
    """Knows the options before the command; opens repositories by them.

    Attributes:
        output: of the command.
        config: the config file, or the profile of it that is used.
        storage_option: what the driver of the store is told, each ``KEY=VALUE``.
        limits: how fast data may be sent, and how fast it may be fetched.
        cache_dir: where indexes and metadata are cached; the user's cache folder when None.
        cache_size: most MiB of metadata that are cached of a repository.
        cache: whether anything is.
        recovery_key: file that holds the recovery key, which takes a password's place.
    """

    def __init__(self, output: Output) -> None:
        self.output = output
        self.config = Config()
        self.storage_option: tuple[str, ...] = ()
        self.limits: tuple[str | None, str | None] = (None, None)
        self.cache_dir: str | None = None
        self.cache_size: int | None = None
        self.cache = True
        self.recovery_key: str | None = None

    def open(self, repository: str | None, password_file: str | None) -> Repository:
        """Open the repository; flags are None where there was none.

        Raises:
            UsageError: nothing says where it is, or no password is to be had.
            RepositoryError, BackendError: it cannot be opened.
        """
        location = self.location(repository)
        storage = find_storage_options(self.storage_option, self.config)
        if self.recovery_key is not None:
            if password_file is not None:
                raise UsageError("give either -p or --recovery-key")
            return holdfast.open(
                location,
                recovery_key=_read_text(self.recovery_key),
                **self._how(storage),
            )
        source = self._password(password_file, location, confirm=False)
        return holdfast.open(
            location,
            password=source.password,
            password_file=source.file,
            password_command=source.command,
            **self._how(storage),
        )

    def open_other(
        self,
        location: str,
        password_file: str | None,
        options: Sequence[str],
        name: str,
        flag: str | None = None,
    ) -> Repository:
        """Open a second repository, which has a password and storage options of its own.

        Args:
            location: where it is.
            password_file: from its flag.
            options: from its flags, each ``KEY=VALUE``.
            name: what its flags and its variables are called, such as ``TO``.
            flag: how its password file is given, if it is not the flag of that name.
        """
        storage = find_other_storage_options(options, name)
        source = find_other_password_source(password_file, name)
        if source is None:
            flag = flag or f"--{name.lower()}-password-file FILE"
            source = _asked(location, f"give {flag}, or set HOLDFAST_{name}_PASSWORD_FILE")
        return holdfast.open(
            location,
            password=source.password,
            password_file=source.file,
            password_command=source.command,
            **self._how(storage),
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
        location = self.location(repository)
        storage = find_storage_options(self.storage_option, self.config)
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
            **self._how(storage),
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
        location = self.location(repository)
        return find_other_password_source(file, "NEW") or _asked(
            location, "give --new-password-file FILE, or set HOLDFAST_NEW_PASSWORD_FILE",
            confirm=True,
        )  # fmt: skip

    def location(self, flag: str | None) -> str:
        """Where the repository is.

        Raises:
            UsageError: nothing says so.
        """
        location = find_location(flag, self.config)
        if location is None:
            raise UsageError(
                "no repository is named: give -b LOCATION, set HOLDFAST_REPOSITORY, "
                "or put `repository:` into a file for --config"
            )
        return location

    def storage(self) -> Storage:
        """How its store is used (UsageError if an option is none)."""
        return self._storage(find_storage_options(self.storage_option, self.config))

    def _storage(self, options: dict[str, object]) -> Storage:
        upload, download = find_limits(*self.limits, self.config)
        return {"storage_options": options, "limit_upload": upload, "limit_download": download}

    def _how(self, options: dict[str, object]) -> How:
        """What every repository is opened with, given the storage options of this one."""
        return {
            **self._storage(options),
            "cache_dir": self.cache_dir or self.config.cache_dir,
            "cache": self.cache,
            "cache_size": find_cache_size(self.cache_size, self.config),
        }

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


def other_options(flags: Sequence[str], name: str, places: Iterable[str]) -> dict[str, object]:
    """Storage options of a source or a target; where that is no URI, only what flags say.

    Args:
        flags: each ``KEY=VALUE``.
        name: what the flags and variables are called, such as ``SOURCE``.
        places: paths and URIs.
    """
    if not flags and not any("://" in place for place in places):
        return {}  # what the environment says is for those that are
    return find_other_storage_options(flags, name)


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
