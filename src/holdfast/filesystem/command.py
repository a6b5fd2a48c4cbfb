"""The output of a command as a stream that fails when the command does."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import IO, Final, Self

from holdfast.errors import SourceError, UsageError

_DIAGNOSTICS_SIZE: Final = 4096
_PATIENCE: Final = 5.0  # seconds for a command to end after it was told to


class CommandStream:
    """Runs a command without a shell, and reads its standard output.

    Its standard input is empty. Its standard error is read beside it, and the end is kept.
    As a context manager it ends the command when the body fails, and asks for its verdict
    (`close`) when it does not.

    Args:
        argv: the program and its arguments.

    Raises:
        UsageError: there is no program in `argv`.
        SourceError: the command cannot be run.
    """

    def __init__(self, argv: Sequence[str | bytes]) -> None:
        if not argv or not argv[0]:
            raise UsageError("no command is given")
        self._name = os.fsdecode(argv[0])
        try:
            self._process = subprocess.Popen(  # noqa: S603 - running what the user names is the point
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
            )
        except (OSError, ValueError) as error:
            problem = error.strerror if isinstance(error, OSError) else str(error)
            raise SourceError(f"command {self._name!r} cannot be run: {problem}") from error
        self._output = _present(self._process.stdout)
        self._tail = b""
        self._listener = threading.Thread(
            target=self._listen, args=(_present(self._process.stderr),), daemon=True
        )
        self._listener.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abort()

    @property
    def diagnostics(self) -> str:
        """The last of what the command wrote to its standard error."""
        return self._tail.decode(errors="replace").strip()

    def readinto(self, buffer: bytearray | memoryview) -> int:
        """Read into a buffer.

        Returns:
            How many bytes were read; 0 at the end.
        """
        return os.readv(self._output.fileno(), [buffer])

    def read(self, size: int) -> bytes:
        """Read up to so many bytes; empty at the end."""
        return os.read(self._output.fileno(), size)

    def close(self) -> None:
        """Wait for the command to end and ask how it went. Further calls do nothing.

        Raises:
            SourceError: it failed; the message names the command, its status and the last of its
                standard error. A command that is still writing is made to fail.
        """
        if self._output.closed:
            return
        self._output.close()
        self._process.wait()
        # something the command left running may hold its standard error open for ever
        self._listener.join(_PATIENCE)
        status = self._process.returncode
        if status:
            said = f": {self.diagnostics}" if self._tail else ""
            raise SourceError(f"command {self._name!r} {_verdict(status)}{said}")

    def abort(self) -> None:
        """End the command, whatever it is doing. Further calls do nothing."""
        self._output.close()
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._listener.join(_PATIENCE)

    def _listen(self, errors: IO[bytes]) -> None:
        with errors:
            while heard := errors.read(_DIAGNOSTICS_SIZE):
                self._tail = (self._tail + heard)[-_DIAGNOSTICS_SIZE:]


def _present(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise ValueError("the process was started without a pipe")
    return pipe


def _verdict(status: int) -> str:
    if status > 0:
        return f"failed with exit status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"
