"""One run of the command line: signals, and every way in which it can end."""

from __future__ import annotations

import errno
import io
import logging
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import closing
from itertools import takewhile
from types import FrameType
from typing import Self

import click

from holdfast import HoldfastError
from holdfast.cli.app import GLOBAL_FLAGS, app
from holdfast.cli.connect import Connector
from holdfast.cli.exit_codes import CommandError, ExitCode, exit_code_of
from holdfast.cli.output import Output, complain

_log = logging.getLogger(__name__)

_ENDING = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
}
"""The signals that ask a program to end, and what Python does on them if nobody said otherwise."""


def run(arguments: Sequence[str]) -> int:
    """Run a command.

    Args:
        arguments: what was typed after the program's name.

    Returns:
        The exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # what the terminal has no letters for
    # Known before anything is parsed, because parsing may be what fails.
    output = Output(json="--json" in takewhile(lambda each: each != "--", arguments))
    with _Interrupts() as interrupts:
        code = _run(arguments, output, interrupts)
    return _flushed(code)


class _Interrupts:
    """Lets the signals that ask a program to end do so as Ctrl-C does: cleaning up.

    Attributes:
        came: whether one came. What fails then, fails because of it: an interrupt that hits the
            standard library inside a lock comes out of it as a RuntimeError.
    """

    def __init__(self) -> None:
        self.came = False
        self._before = {number: signal.getsignal(number) for number in _ENDING}

    def __enter__(self) -> Self:
        for number, usual in _ENDING.items():
            if self._before[number] == usual:  # `nohup` has SIGHUP ignored
                signal.signal(number, self._interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        self.came = True
        raise KeyboardInterrupt


def _run(arguments: Sequence[str], output: Output, interrupts: _Interrupts) -> int:
    try:
        code = _main(arguments, Connector(output))
    except BrokenPipeError:
        return ExitCode.FAILED  # nobody reads what we could say
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - told, whatever it is
        _log.debug("the error came from here:", exc_info=error)
        if interrupts.came or isinstance(error, click.Abort | KeyboardInterrupt):
            return _failed(ExitCode.INTERRUPTED, "Interrupted", "interrupted", output)
        return _failed(exit_code_of(error), type(error).__name__, _message(error), output)
    return code or ExitCode.DONE


def _main(arguments: Sequence[str], connect: Connector) -> int | None:
    """Run the command, and put down in the audit trail what it did."""
    with closing(connect.deeds):
        try:
            code: int | None = app.main(list(arguments), standalone_mode=False, obj=connect)
        except BaseException as error:
            connect.deeds.record(_reason(error))
            raise
        try:
            connect.deeds.record(code)
        except KeyboardInterrupt:  # what was asked for is done, and the exit code says so
            _log.warning("interrupted while the audit trail was written or anchored")
    return code


def _reason(error: BaseException) -> BaseException:
    """What ended a command: click makes an exit, its only one, of a pipe that nobody reads."""
    return BrokenPipeError() if isinstance(error, SystemExit) else error


def _failed(code: ExitCode, kind: str, message: str, output: Output) -> ExitCode:
    try:
        output.fail(kind, message, code)
    except BrokenPipeError:
        _log.debug("nobody reads the document")
    return code


_NO_THREAD = "can't start new thread"
"""How Python says that the system refuses one; it has no exception of its own for that."""


def _message(error: BaseException) -> str:
    match error:
        case HoldfastError() | CommandError():
            return str(error)
        case click.NoSuchOption(option_name=flag) if flag in GLOBAL_FLAGS:
            return f"{flag} goes before the command: holdfast {flag} ..."
        case click.UsageError(ctx=click.Context(command_path=path)):
            return f"{error.format_message()}\ntry '{path} --help'"
        case click.ClickException():
            return error.format_message()
        case _:
            return _unexpected(error)


def _unexpected(error: BaseException) -> str:
    """What is said of an error that is none of ours: the machine may have too little for us."""
    match error:
        case MemoryError():
            return "there is not enough memory: free some, then run this again"
        case OSError(errno=errno.EMFILE | errno.ENFILE | errno.ENOMEM | errno.EAGAIN):
            return (
                f"{error.strerror}: this process or this machine has too little to work with: end "
                "other programs, or raise its limits (`ulimit -a` shows them), then run this again"
            )
        case RuntimeError(args=(str(text), *_)) if text.startswith(_NO_THREAD):
            return f"{text}: too many processes run, or there is not enough memory"
        case _:
            advice = "a mistake of ours: run it again with --debug before the command to see where"
            return f"unexpected {type(error).__name__}: {error} ({advice})"


def _flushed(code: int) -> int:
    """Write out what is still buffered, which is when a full disk or a closed pipe shows."""
    try:
        sys.stdout.flush()
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            complain("error", f"standard output: {error.strerror}")
        # Python flushes again at its end, and would complain again.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
        return code or ExitCode.FAILED
    return code
