"""Running a program that a playbook or a probe names: no shell, a clean environment, an end.

It runs in a session of its own. When its time is over, when the drill ends or when it has ended
itself, all of its process group is killed: nothing that a step started stays, unless it was handed
to somebody else, such as a service manager.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Self

from holdfast import environment
from holdfast.platform.drill.deadline import Deadline, OutOfTime

OUTPUT_LIMIT: Final = 8 << 10
"""Bytes of a program's output that are kept: its end."""

_TICK: Final = 20
"""Milliseconds between two looks at a program that prints nothing."""

_PASSED_ON: Final = ("HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "TERM", "TMPDIR", "TZ", "USER")
"""Variables that a program gets; all others may hold secrets."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended.

    Attributes:
        status: exit status, or the negative number of a signal; None when it could not be run.
        output: the end of what it printed.
        problem: why it did not do what it should, or "".
    """

    status: int | None
    output: str
    problem: str


def run_command(
    arguments: Sequence[str], deadline: Deadline, folder: Path, variables: Mapping[str, str]
) -> Ended:
    """Run a program to its end.

    Args:
        arguments: the program and what it is told.
        deadline: when it is killed.
        folder: where it runs.
        variables: of its environment, besides a few harmless ones.

    Raises:
        OutOfTime: it had to be killed.
    """
    deadline.check()
    try:
        process = subprocess.Popen(  # noqa: S603 - what the caller allowed
            list(arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**_environment(), **variables},
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        problem = (error.strerror if isinstance(error, OSError) else None) or str(error)
        return Ended(None, "", f"{arguments[0]!r} cannot be run: {problem}")
    with _Watched(process) as watched:
        watched.wait(deadline)
    return _ended(process.returncode, watched.output)


class _Watched:
    """A process that is read from while it runs; its group ends with the block."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._pipe: IO[bytes] | None = process.stdout
        self._tail = b""
        if self._pipe is not None:
            os.set_blocking(self._pipe.fileno(), False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # It is not waited for before this, so no other process can have its number.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._drain()
        if self._pipe is not None:
            self._pipe.close()

    @property
    def output(self) -> str:
        return self._tail.decode(errors="replace").strip()

    def wait(self, deadline: Deadline) -> None:
        """Until the process has ended (OutOfTime if that takes too long)."""
        while os.waitid(os.P_PID, self._process.pid, _ENDED) is None:
            try:
                deadline.check()
            except OutOfTime as error:
                self._drain()
                error.add_note(self.output)
                raise
            poll = select.poll()  # not `select`, which refuses descriptors from 1024 on
            if self._pipe is not None:
                poll.register(self._pipe, select.POLLIN)
            poll.poll(_TICK)
            self._drain()

    def _drain(self) -> None:
        """Read what is there; at the end of the pipe it is let go of."""
        while self._pipe is not None and not self._pipe.closed:
            try:
                data = os.read(self._pipe.fileno(), 1 << 16)
            except BlockingIOError:
                return
            if not data:
                self._pipe.close()
                self._pipe = None
                return
            self._tail = (self._tail + data)[-OUTPUT_LIMIT:]


_ENDED: Final = os.WEXITED | os.WNOWAIT | os.WNOHANG


def _ended(status: int, output: str) -> Ended:
    if status == 0:
        return Ended(status, output, "")
    if status > 0:
        return Ended(status, output, f"exit status {status}")
    return Ended(status, output, f"ended by signal {-status}")


def _environment() -> dict[str, str]:
    found = {name: environment.variable(name) for name in _PASSED_ON}
    known = {name: value for name, value in found.items() if value is not None}
    return {"PATH": os.defpath, **known}
