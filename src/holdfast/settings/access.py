"""Where the repository is and where its password comes from: the first place that says so."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from holdfast import environment
from holdfast.errors import UsageError
from holdfast.settings.defaults import Config

_log = logging.getLogger(__name__)

_MOST_PACK_SIZE = 96
"""MiB; restic takes more."""

_NO = frozenset({"0", "false", "no", "off"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordSource:
    """One place to have a password from; exactly one of the three is given.

    Attributes:
        password: the password itself.
        file: name of a file that holds it.
        command: program, and its arguments, that prints it.
    """

    password: str | None = field(default=None, repr=False)
    file: str | None = None
    command: str | tuple[str, ...] | None = None


def find_config_file(flag: str | None) -> str | None:
    """The config file's name: a flag, or HOLDFAST_CONFIG."""
    return environment.variable("HOLDFAST_CONFIG") if flag is None else flag


def find_profile_name(flag: str | None) -> str | None:
    """The profile's name: a flag, or HOLDFAST_PROFILE."""
    return environment.variable("HOLDFAST_PROFILE") if flag is None else flag


def find_profile(flag: str | None, config: Config) -> Config:
    """The profile of a config file that a flag or HOLDFAST_PROFILE names; without, the file.

    Raises:
        UsageError: it has no such profile.
    """
    name = find_profile_name(flag)
    if name is None:
        return config
    if name in config.profiles:
        return config.profiles[name]
    if name in config.unusable:
        raise UsageError(config.unusable[name])
    if not config.profiles and not config.unusable:
        raise UsageError(
            f"there is no profile {name!r}: put `profiles:` into a file, and name that by --config "
            "or HOLDFAST_CONFIG"
        )
    known = ", ".join(sorted({*config.profiles, *config.unusable}))
    raise UsageError(f"there is no profile {name!r} in the config file: there are {known}")


def find_debug(*, flag: bool) -> bool:
    """Whether everything is to be told: a flag, HOLDFAST_DEBUG or RESTIC_DEBUG."""
    said = environment.first("HOLDFAST_DEBUG", "RESTIC_DEBUG") or "no"
    return flag or said.casefold() not in _NO


def find_location(flag: str | None, config: Config) -> str | None:
    """The repository's location: a flag, HOLDFAST_*, RESTIC_*, the config file."""
    if flag is not None:
        return flag
    return environment.first("HOLDFAST_REPOSITORY", "RESTIC_REPOSITORY") or config.repository


def find_cache_size(flag: int | None, config: Config) -> int | None:
    """Most bytes of metadata that are cached of a repository, in the same order; None when open.

    Args:
        flag: MiB, from the command line.
        config: the config file.

    Raises:
        UsageError: a variable holds no whole number.
    """
    size = flag
    for name in ("HOLDFAST_CACHE_SIZE", "RESTIC_CACHE_SIZE"):
        size = _mebibytes(name) if size is None else size
    size = config.cache_size if size is None else size
    return None if size is None else size << 20


def find_compression(flag: str | None, config: Config) -> str | None:
    """How hard a new repository compresses, in the same order; None when open."""
    if flag is not None:
        return flag
    return environment.first("HOLDFAST_COMPRESSION", "RESTIC_COMPRESSION") or config.compression


def find_pack_size(flag: int | None, config: Config) -> int | None:
    """Bytes at which a new repository closes packs, in the same order; None when open.

    restic takes up to 128 MiB; where its variable asks for more than holdfast can, the most that
    it can is taken, which a warning says.

    Args:
        flag: MiB, from the command line.
        config: the config file.

    Raises:
        UsageError: a variable holds no whole number.
    """
    size = flag
    if size is None:
        size = _mebibytes("HOLDFAST_PACK_SIZE")
    if size is None:
        size = _mebibytes("RESTIC_PACK_SIZE")
        if size is not None and size > _MOST_PACK_SIZE:
            _log.warning("RESTIC_PACK_SIZE is %d: %d MiB is the most", size, _MOST_PACK_SIZE)
            size = _MOST_PACK_SIZE
    size = config.pack_size if size is None else size
    return None if size is None else size << 20


def _mebibytes(name: str) -> int | None:
    """The number that a variable holds, if it is set."""
    text = environment.variable(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal()):
        raise UsageError(f"{name} is to be a number of MiB, not {text!r}")
    return int(text)


def find_password_source(flag: str | None, config: Config) -> PasswordSource | None:
    """Where the password comes from, in the same order.

    Args:
        flag: the password file that was named on the command line.
        config: the config file.

    Returns:
        The source; None when no place says anything.
    """
    if flag is not None:
        return PasswordSource(file=flag)
    for prefix in ("HOLDFAST", "RESTIC"):
        found = _from_environment(prefix)
        if found is not None:
            return found
    if config.password_file is not None:
        return PasswordSource(file=config.password_file)
    if config.password_command is not None:
        return PasswordSource(command=config.password_command)
    return None


def find_other_password_source(flag: str | None, name: str) -> PasswordSource | None:
    """Where the password of a second repository comes from: a flag, or the environment.

    The first repository's password is not tried: what is right for one place is not to be told
    to another, and a copy is the safer for having a password of its own.

    Args:
        flag: the password file that was named on the command line.
        name: what the repository is to the command, such as ``TO``: then HOLDFAST_TO_PASSWORD,
            HOLDFAST_TO_PASSWORD_FILE and HOLDFAST_TO_PASSWORD_COMMAND are looked at.
    """
    if flag is not None:
        return PasswordSource(file=flag)
    return _from_environment(f"HOLDFAST_{name}")


def _from_environment(prefix: str) -> PasswordSource | None:
    password = environment.variable(f"{prefix}_PASSWORD")
    if password is not None:
        return PasswordSource(password=password)
    file = environment.variable(f"{prefix}_PASSWORD_FILE")
    if file is not None:
        return PasswordSource(file=file)
    command = environment.variable(f"{prefix}_PASSWORD_COMMAND") if prefix != "RESTIC" else None
    return None if command is None else PasswordSource(command=command)
