"""One run of the command line: signals, and every way in which it can end."""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from types import FrameType

import click

from holdfast import HoldfastError
from holdfast.cli.app import GLOBAL_FLAGS, app
from holdfast.cli.connect import Connector
from holdfast.cli.exit_codes import CommandError, ExitCode, exit_code_of
from holdfast.cli.output import Output, complain

_log = logging.getLogger(__name__)

_ENDING = (signal.SIGTERM, signal.SIGHUP)


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
    with _ended_like_an_interrupt():
        code = _run(arguments, output)
    return _flushed(code)


def _run(arguments: Sequence[str], output: Output) -> int:
    try:
        code: int | None = app.main(list(arguments), standalone_mode=False, obj=Connector(output))
    except BrokenPipeError:
        return ExitCode.FAILED  # nobody reads what we could say
    except (HoldfastError, CommandError, click.ClickException) as error:
        return _failed(error, _message(error), output)
    except (click.Abort, KeyboardInterrupt) as error:
        return _failed(error, "interrupted", output)
    except Exception as error:  # noqa: BLE001 - the last resort: a mistake of ours, told as one
        where = "run it again with --debug before the command to see where"
        return _failed(error, f"unexpected {type(error).__name__}: {error} ({where})", output)
    return code or ExitCode.DONE


def _failed(error: BaseException, message: str, output: Output) -> ExitCode:
    _log.debug("the error came from here:", exc_info=error)
    code = exit_code_of(error)
    kind = "Interrupted" if code == ExitCode.INTERRUPTED else type(error).__name__
    try:
        output.fail(kind, message, code)
    except BrokenPipeError:
        _log.debug("nobody reads the document")
    return code


def _message(error: HoldfastError | CommandError | click.ClickException) -> str:
    if not isinstance(error, click.ClickException):
        return str(error)
    message = error.format_message()
    if isinstance(error, click.NoSuchOption) and error.option_name in GLOBAL_FLAGS:
        return f"{error.option_name} goes before the command: holdfast {error.option_name} ..."
    if isinstance(error, click.UsageError) and error.ctx is not None:
        return f"{message}\ntry '{error.ctx.command_path} --help'"
    return message


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


@contextmanager
def _ended_like_an_interrupt() -> Iterator[None]:
    """Let the signals that ask a program to end do so as Ctrl-C does: cleaning up."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in _ENDING}
    for number, handler in before.items():
        if handler == signal.SIG_DFL:  # `nohup` has it ignored
            signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
