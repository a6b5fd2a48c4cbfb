"""Asks a process of its own what it thinks of files, and survives whatever they do to it."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from holdfast.platform.formats.verdict import Limits, Verdict

_log = logging.getLogger(__name__)

_CODE: Final = (
    "import sys; del sys.path[:]; sys.path += sys.argv[3:]; "
    f"from {__name__.rpartition('.')[0]}.worker import main; main()"
)

_PATIENCE: Final = 2.0
"""Seconds for the process to end when nothing is asked any more."""


class FormatReader:
    """Judges files. Its process is started for the first one, and again after each that ended it.

    Args:
        work: a folder in which it may write.
        limits: how much it may spend on a file.
    """

    def __init__(self, work: Path, limits: Limits | None = None) -> None:
        self._work = work
        self._limits = limits or Limits()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._end()

    def read(self, path: Path, format_name: str, seconds: float) -> Verdict:
        """Judge a file.

        Args:
            path: where it is.
            format_name: what it is thought to be.
            seconds: that it may take, if that is less than the limit.
        """
        allowed = max(0.1, min(self._limits.seconds, seconds))
        question = json.dumps([os.fspath(path), format_name, allowed]) + "\n"
        try:
            process = self._process = self._process or self._started()
            pipe = _pipe(process.stdin)
            pipe.write(question.encode("ascii"))
            pipe.flush()
            answer = _pipe(process.stdout).readline()
        except OSError as error:
            answer = b""
            _log.info("the process that reads files of known formats: %s", error)
        if not answer.endswith(b"\n"):
            return Verdict(None, _reason(self._end(), allowed))
        good, reason = json.loads(answer)
        return Verdict(good, reason)

    def _started(self) -> subprocess.Popen[bytes]:
        # Isolated, and with an empty environment: what it reads may come from anybody.
        command = [sys.executable, "-I", "-c", _CODE, str(self._work), json.dumps(self._limits)]
        return subprocess.Popen(  # noqa: S603 - ourselves
            command + list(filter(None, sys.path)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self._work,
            env={"LANG": "C.UTF-8"},
            process_group=0,  # Ctrl-C is for the parent to handle
        )

    def _end(self) -> int | None:
        """End the process; returns its status, None when there was none."""
        process, self._process = self._process, None
        if process is None:
            return None
        with suppress(OSError):
            _pipe(process.stdin).close()
        try:
            status = process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
        _pipe(process.stdout).close()
        return status


def _reason(status: int | None, allowed: float) -> str:
    """Why there was no answer."""
    if status == -signal.SIGALRM:
        return f"reading it took longer than {allowed:g} s"
    if status is None:
        return "no process to read it could be started"
    return f"what reads it ended with status {status}"


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise OSError("a process without pipes")
    return pipe
