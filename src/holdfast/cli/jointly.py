"""Several repositories of one command: each is opened with what is its own, and may fail alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING, TypeAlias, Union

import holdfast
from holdfast import HoldfastError, UsageError
from holdfast.cli.connect import Connector
from holdfast.cli.params import RepositoriesOptions

if TYPE_CHECKING:
    from holdfast import BackupToResult, Repository, RepositoryBackup
    from holdfast.engine.plan import TreeOptions
    from holdfast.progress import ProgressCallback

Opened: TypeAlias = Sequence[tuple[str, Union["Repository", HoldfastError]]]
"""Locations, each with the repository there or why it could not be opened."""


def only_repository(options: RepositoriesOptions) -> tuple[str | None, str | None]:
    """The flags for the one repository of a command; None where there was none.

    Raises:
        UsageError: there are several.
    """
    for flag, given in (("-b", options["repository"]), ("-p", options["password_file"])):
        if len(given) > 1:
            raise UsageError(f"{flag} makes sense several times only to back up files or folders")
    if options["further_storage_option"]:
        raise UsageError("--other-storage-option makes no sense with one repository")
    return (
        next(iter(options["repository"]), None),
        next(iter(options["password_file"]), None),
    )


@contextmanager
def opened_repositories(connect: Connector, options: RepositoriesOptions) -> Iterator[Opened]:
    """Open several repositories.

    The first one takes the password and the storage options that it would take alone. None of
    these is tried on the others, unless a password file is given for all of them.

    Raises:
        UsageError: it is not clear what their passwords are.
    """
    locations = options["repository"]
    files: Sequence[str | None] = options["password_file"]
    if connect.recovery_key is not None:
        raise UsageError("--recovery-key makes no sense with several repositories")
    if len(files) < 2:  # noqa: PLR2004 - one for all, or none
        files = [files[0] if files else None] * len(locations)
    if len(files) != len(locations):
        raise UsageError("give -p once, or once for each -b, in their order")
    opened: list[tuple[str, Repository | HoldfastError]] = []
    with ExitStack() as stack:
        for number, (location, file) in enumerate(zip(locations, files, strict=True)):
            try:
                repository = (
                    _open_other(connect, location, file, options)
                    if number
                    else connect.open(location, file)
                )
            except UsageError:
                raise
            except HoldfastError as error:
                opened.append((location, error))
            else:
                opened.append((location, stack.enter_context(repository)))
        yield opened


def _open_other(
    connect: Connector, location: str, file: str | None, options: RepositoriesOptions
) -> AbstractContextManager[Repository]:
    further = options["further_storage_option"]
    return connect.open_other(location, file, further, "OTHER", "-p FILE once for each -b")


def backed_up(
    opened: Opened, paths: Sequence[str], progress: ProgressCallback | None, how: TreeOptions
) -> BackupToResult:
    """Back up to those that could be opened; the result has all of them, as they were named."""
    usable = [each for _, each in opened if not isinstance(each, HoldfastError)]
    made = holdfast.BackupToResult((), 0.0)
    if usable:
        made = holdfast.backup_to(usable, paths, progress=progress, **how)
    rest = iter(made.backups)
    return holdfast.BackupToResult(
        tuple(_named(location, each, rest) for location, each in opened), made.duration
    )


def _named(
    location: str, opened: Repository | HoldfastError, rest: Iterator[RepositoryBackup]
) -> RepositoryBackup:
    if isinstance(opened, HoldfastError):
        return holdfast.RepositoryBackup(location, None, opened)
    return next(rest)
