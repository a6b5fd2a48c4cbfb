"""Runs a program around a job: no shell, a limit on its time, and a bounded part of its output."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import IO

from holdfast.clock import Clock
from holdfast.errors import HoldfastError
from holdfast.platform.schedule.cancel import Cancel

_OUTPUT_SIZE = 4096
_PATIENCE = 5.0  # seconds to end in after SIGTERM
_SLICE = 0.05  # seconds between two looks at whether to go on


class HookFailed(HoldfastError):  # noqa: N818 - named as the errors of holdfast.errors are
    """A hook could not be run, failed, or took too long."""


def run_hook(name: str, argv: Sequence[str], timeout: float, clock: Clock, cancel: Cancel) -> str:
    """Run a program and wait for its end.

    Args:
        name: what it is to the job, such as ``before``.
        argv: the program and its arguments.
        timeout: seconds after which it is ended, and all of its process group.
        clock: measures them.
        cancel: ends it too.

    Returns:
        The last of what it wrote.

    Raises:
        HookFailed: it could not be run, failed, or took too long; says the last of its output.
        Cancelled: it was to end.
    """
    try:
        process = subprocess.Popen(  # noqa: S603 - running what the user names is the point
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            bufsize=0,
        )
    except (OSError, ValueError) as error:
        problem = error.strerror if isinstance(error, OSError) else str(error)
        raise HookFailed(f"hook {name}: {argv[0]} cannot be run: {problem}") from None
    output = _Output(process.stdout)
    try:
        status = _wait(process, timeout, clock, cancel)
    finally:
        if process.poll() is None:
            _end(process)
        output.finish()
    said = f": {output.text}" if output.text else ""
    if status is None:
        raise HookFailed(
            f"hook {name}: {argv[0]} took longer than {timeout:g} s, and was ended{said}"
        )
    if status:
        how = f"exit status {status}" if status > 0 else f"signal {-status}"
        raise HookFailed(f"hook {name}: {argv[0]} failed with {how}{said}")
    return output.text


def _wait(
    process: subprocess.Popen[bytes], timeout: float, clock: Clock, cancel: Cancel
) -> int | None:
    """Its exit status; None when its time was over."""
    end = clock.monotonic() + timeout
    while clock.monotonic() < end:
        cancel.check()
        with suppress(subprocess.TimeoutExpired):
            return process.wait(_SLICE)
    return process.poll()


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and all of its group, as far as they let us: what `sudo` runs does not."""
    for number in (signal.SIGTERM, signal.SIGKILL):  # the second also for those left behind
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE)


class _Output:
    """Reads what a process writes, and keeps the last of it."""

    def __init__(self, stream: IO[bytes] | None) -> None:
        self._tail = b""
        self._thread = threading.Thread(
            target=self._listen, args=(stream,), name="holdfast-hook", daemon=True
        )
        self._thread.start()

    @property
    def text(self) -> str:
        """The last of what was written."""
        return self._tail.decode(errors="replace").strip()

    def finish(self) -> None:
        """Wait for the end; what the process left running may hold it open for ever."""
        self._thread.join(1.0)

    def _listen(self, stream: IO[bytes] | None) -> None:
        if stream is not None:
            with stream:
                while heard := stream.read(_OUTPUT_SIZE):
                    self._tail = (self._tail + heard)[-_OUTPUT_SIZE:]
