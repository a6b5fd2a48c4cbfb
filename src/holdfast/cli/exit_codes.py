"""What the exit codes mean, and which error ends with which: the only place that says so."""

from __future__ import annotations

from enum import IntEnum

import click

from holdfast import RepositoryNotFound, UsageError, WrongPassword


class ExitCode(IntEnum):
    """How a command ended."""

    DONE = 0
    FAILED = 1
    """It failed; some files could not be restored; `grep` found nothing, as grep itself says it."""
    USAGE = 2
    INCOMPLETE = 3
    """The backup or comparison was made, but some source items could not be read."""
    DAMAGED = 4
    """Validation found damage, or a comparison bit rot."""
    BELOW = 5
    """A status or a drill is below its objectives, or snapshots look wrong."""
    NO_REPOSITORY = 10
    WRONG_PASSWORD = 12
    INTERRUPTED = 130


class CommandError(Exception):
    """A command failed for a reason that is the command line's own.

    Attributes:
        code: the exit code.
    """

    def __init__(self, message: str, code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.code = code


_OF_ERRORS: dict[type[BaseException], ExitCode] = {
    click.Abort: ExitCode.INTERRUPTED,
    click.UsageError: ExitCode.USAGE,
    KeyboardInterrupt: ExitCode.INTERRUPTED,
    RepositoryNotFound: ExitCode.NO_REPOSITORY,
    UsageError: ExitCode.USAGE,
    WrongPassword: ExitCode.WRONG_PASSWORD,
}


def exit_code_of(error: BaseException) -> ExitCode:
    """How a command ends that an error ended."""
    if isinstance(error, CommandError):
        return error.code
    return next(
        (code for kind, code in _OF_ERRORS.items() if isinstance(error, kind)), ExitCode.FAILED
    )
