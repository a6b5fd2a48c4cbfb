"""Options that several commands have, and the kinds of values that options take."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Literal, ParamSpec, TypeAlias, TypedDict, TypeVar

import click

from holdfast.overrides import override

P = ParamSpec("P")
T = TypeVar("T")

GroupKey: TypeAlias = Literal["host", "paths", "tags"]
"""What snapshots of one group have in common."""

_GROUP_KEYS: dict[str, GroupKey] = {"host": "host", "paths": "paths", "tags": "tags"}
_SIZE = re.compile(r"(?ai)([0-9]{1,18}(?:\.[0-9]{1,9})?)\s*([KMGTP]?)(?:I?B)?")
_POWERS = " KMGTP"
_DATE_LENGTH = len("2026-11-21")


class RepositoryOptions(TypedDict):
    """Which repository, and where its password is."""

    repository: str | None
    password_file: str | None


class RepositoriesOptions(TypedDict):
    """Which repositories, and where their passwords are."""

    repository: tuple[str, ...]
    password_file: tuple[str, ...]
    further_storage_option: tuple[str, ...]


def repository_options(command: Callable[P, T]) -> Callable[P, T]:
    """Give a command ``-b``, ``-p`` and ``--recovery-key``, which the connector keeps."""
    password_file = click.option(
        "-p", "--password-file", metavar="FILE", help="File that holds the password."
    )
    return location_option(password_file(_recovery_key_option(command)))


class SnapshotFilters(TypedDict):
    """Which snapshots a command is about."""

    host: str | None
    tag: tuple[str, ...]
    path: tuple[str, ...]


def snapshot_filters(command: Callable[P, T]) -> Callable[P, T]:
    """Give a command ``--host``, ``--tag`` and ``--path``."""
    host = click.option("--host", metavar="NAME", help="Only snapshots of this host.")
    tag = click.option(
        "--tag", multiple=True, metavar="TAG", help="Only those with all of these tags."
    )
    path = click.option(
        "--path", multiple=True, metavar="PATH", help="Only backups of all of these paths."
    )
    return host(tag(path(command)))


def repositories_options(command: Callable[P, T]) -> Callable[P, T]:
    """Give a command the same, ``-b`` and ``-p`` any number of times."""
    location = click.option(
        *_LOCATION_FLAGS,
        multiple=True,
        metavar="LOCATION",
        help="The repository: a directory, or a URI such as s3://bucket/prefix. May be repeated: "
        "then files are read once for all.",
    )
    password_file = click.option(
        "-p",
        "--password-file",
        multiple=True,
        metavar="FILE",
        help="File that holds the password; one for all, or one for each -b.",
    )
    options = click.option(
        "--other-storage-option",
        "further_storage_option",
        multiple=True,
        metavar="KEY=VALUE",
        help="As --storage-option, for the repositories after the first; may be repeated.",
    )
    return location(password_file(_recovery_key_option(options(command))))


_LOCATION_FLAGS = ("-b", "--backend", "--repository", "repository")

location_option = click.option(
    *_LOCATION_FLAGS,
    metavar="LOCATION",
    help="The repository: a directory, or a URI such as s3://bucket/prefix.",
)
"""Where the repository is."""


def other_storage_option(name: str, what: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """The storage options of a second repository, whose flags begin with a name of its own."""
    return click.option(
        f"--{name}-storage-option",
        "other_storage_option",
        multiple=True,
        metavar="KEY=VALUE",
        help=f"As --storage-option, for {what}; may be repeated.",
    )


def _keep_recovery_key(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.obj.recovery_key = value


_recovery_key_option = click.option(
    "--recovery-key",
    metavar="FILE",
    expose_value=False,
    callback=_keep_recovery_key,
    help="File that holds the recovery key, in place of a password.",
)


def absolute(path: str) -> str:
    """The path in snapshots of a path of this machine; ``..`` is text, links are not followed."""
    try:
        return os.path.abspath(path)  # noqa: PTH100 - as above
    except OSError as error:
        raise click.UsageError(
            f"{path!r}: there is no current directory: {error.strerror}"
        ) from None


def size_in_bytes(text: str) -> int:
    """A number of bytes, such as ``100M`` or ``1.5GiB``; units are binary."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise click.BadParameter(f"{text!r} is no size, such as 100M or 1.5GiB")
    return int(float(match[1]) * 1024 ** _POWERS.index(match[2].upper() or " "))


def moment(text: str) -> datetime:
    """A time in ISO 8601, in the local zone unless it names one."""
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError, OSError):
        raise click.BadParameter(f"{text!r} is no time, such as 2026-11-21T08:30") from None


def last_moment(text: str) -> datetime:
    """A time as `moment` takes it; a date means its last moment."""
    when = moment(text)
    return when + timedelta(days=1, microseconds=-1) if len(text) == _DATE_LENGTH else when


class OptionalValue(click.Option):
    """An option whose value may be left out, which is "", and else follows after ``=``.

    Click alone would take the next argument, such as a path, for its value.
    """


class OptionalValues(click.Command):
    """A command that may have options of the class `OptionalValue`."""

    @override
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Give each such option that stands alone its empty value."""
        known = {
            flag for each in self.params if isinstance(each, OptionalValue) for flag in each.opts
        }
        end = args.index("--") if "--" in args else len(args)
        told = [f"{each}=" if each in known else each for each in args[:end]]
        return super().parse_args(ctx, told + args[end:])


def group_keys(text: str) -> tuple[GroupKey, ...]:
    """What the snapshots of a group have in common, separated by commas."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    unknown = [word for word in words if word not in _GROUP_KEYS]
    if unknown:
        raise click.BadParameter(f"{unknown[0]!r} is none of {', '.join(_GROUP_KEYS)}")
    return tuple(_GROUP_KEYS[word] for word in words)


expire_after_option = click.option(
    "--expire-after",
    type=click.FloatRange(min=0),
    default=1800.0,
    show_default=True,
    metavar="SECONDS",
    help="Silence after which another client's session is declared dead; its backup fails.",
)
"""How long a silent session of another client is waited for."""
