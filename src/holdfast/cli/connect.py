"""From what a user said, wherever they said it, to an open repository."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import click

import holdfast
from holdfast import BackendError, RepositoryError, UsageError
from holdfast.cli.deeds import Deeds
from holdfast.cli.output import Output, complain
from holdfast.settings import (
    Config,
    PasswordSource,
    find_cache_size,
    find_limits,
    find_location,
    find_other_password_source,
    find_other_storage_options,
    find_password_source,
    find_profile,
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
        config_file: name of the config file; None without one.
        profile: the name of its profile that is used; None without one.
        storage_option: what the driver of the store is told, each ``KEY=VALUE``.
        limits: how fast data may be sent, and how fast it may be fetched.
        cache_dir: where indexes and metadata are cached; the user's cache folder when None.
        cache_size: most MiB of metadata that are cached of a repository.
        cache: whether anything is.
        recovery_key: file that holds the recovery key, which takes a password's place.
        deeds: what the command does, for the audit trail.
    """

    def __init__(self, output: Output) -> None:
        self.output = output
        self._config: Config | None = None
        self.config_file: str | None = None
        self.profile: str | None = None
        self.storage_option: tuple[str, ...] = ()
        self.limits: tuple[str | None, str | None] = (None, None)
        self.cache_dir: str | None = None
        self.cache_size: int | None = None
        self.cache = True
        self.recovery_key: str | None = None
        self.deeds = Deeds()

    @property
    def config(self) -> Config:
        """The config file, or the profile of it that is used; read when first asked for.

        Raises:
            UsageError: it makes no sense, or has no such profile.
        """
        if self._config is None:
            config = Config()
            if self.config_file is not None:
                from holdfast.settings.config import load_config  # YAML, for those who have a file

                config = load_config(Path(self.config_file))
            self._config = find_profile(self.profile, config)
        return self._config

    def open(
        self, repository: str | None, password_file: str | None
    ) -> AbstractContextManager[Repository]:
        """Open the repository; flags are None where there was none.

        It stays open until what was done is in the audit trail, and so do the others.

        Raises:
            UsageError: nothing says where it is, or no password is to be had.
            RepositoryError, BackendError: it cannot be opened.
        """
        return self.opener(repository, password_file)()

    def opener(
        self, repository: str | None, password_file: str | None
    ) -> Callable[[], AbstractContextManager[Repository]]:
        """Find out all that it takes to open the repository; what is returned opens it.

        Raises:
            UsageError: as of `open`, which is this and the call.
        """
        location = self.location(repository)
        how = self._how(find_storage_options(self.storage_option, self.config))
        if self.recovery_key is not None:
            if password_file is not None:
                raise UsageError("give either -p or --recovery-key")
            text = _read_recovery_key(self.recovery_key)
            return lambda: self._opened(
                location, "", lambda: holdfast.open(location, recovery_key=text, **how)
            )
        source = self._password(password_file, location, confirm=False)
        return lambda: self._opened(location, "", lambda: _open(location, source, how))

    def open_other(
        self,
        location: str,
        password_file: str | None,
        options: Sequence[str],
        name: str,
        flag: str | None = None,
    ) -> AbstractContextManager[Repository]:
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
        found = source
        return self._opened(location, name, lambda: _open(location, found, self._how(storage)))

    def open_listed(
        self, location: str, password_file: str | None, options: Mapping[str, object]
    ) -> AbstractContextManager[Repository]:
        """Open a repository that the config file lists beside the one it is about.

        Args:
            location: where it is.
            password_file: of it; None when it has the password of the other one.
            options: for its store's driver.
        """
        source = PasswordSource(file=password_file)
        if password_file is None:
            source = self._password(None, location, confirm=False)
        how = self._how(dict(options))
        return self._opened(location, "COPY", lambda: _open(location, source, how))

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
    ) -> AbstractContextManager[Repository]:
        """Make a repository; arguments as for `open` and `holdfast.init`."""
        if self.recovery_key is not None:
            raise UsageError("a new repository takes a password: leave out --recovery-key")
        location = self.location(repository)
        storage = find_storage_options(self.storage_option, self.config)
        source = self._password(password_file, location, confirm=True)
        return self._opened(
            location,
            "",
            lambda: holdfast.init(
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
            ),
        )

    def _opened(
        self, location: str, role: str, opener: Callable[[], Repository]
    ) -> AbstractContextManager[Repository]:
        self.deeds.begin()
        try:
            repository = opener()
        except (BackendError, RepositoryError) as error:
            self.deeds.not_opened(location, role, error)
            raise
        self.deeds.opened(repository, role)
        return nullcontext(repository)

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

    @property
    def flags(self) -> dict[str, object]:
        """What the options before the command say, by the names of settings; None for nothing."""
        upload, download = self.limits
        return {
            "limit_upload": upload,
            "limit_download": download,
            "cache_dir": self.cache_dir,
            "cache_size": self.cache_size,
        }

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


def _open(location: str, source: PasswordSource, how: How) -> Repository:
    return holdfast.open(
        location,
        password=source.password,
        password_file=source.file,
        password_command=source.command,
        **how,
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


def _read_recovery_key(file: str) -> str:
    path = Path(file)
    try:
        mode = path.stat().st_mode
        text = path.read_text("utf-8")
    except UnicodeDecodeError:
        raise UsageError(f"{file}: not text") from None
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from None
    if stat.S_ISREG(mode) and mode & 0o077:
        complain("warning", f"recovery key {file} can be read by others: chmod 600 {file}")
    return text


def _has_terminal() -> bool:
    """Whether somebody can be asked, although standard input may be what is backed up."""
    if not (sys.stdin.isatty() or sys.stderr.isatty()):
        return False
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
