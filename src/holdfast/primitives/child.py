"""The only door to helper processes: another Python that works for this one, and may fail.

Threads share one interpreter lock, and work of many short steps gains nothing by them. A helper is
started by its command line, not by `multiprocessing`, which would fork a process that has threads
or run the user's script again. Messages go through its standard input and output; so do keys, which
are never in its arguments or environment. It ends when its input does, or its parent.

Whatever a helper does, its parent can do: when it cannot be started, fails or ends, it is given up
and the work is done without it.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import logging
import os
import re
import select
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final

from holdfast import environment
from holdfast.primitives import codec

_log = logging.getLogger(__name__)

_LENGTH: Final = 4
_PATIENCE: Final = 10.0
_PIPE: Final = 1 << 20
_GREETING: Final = b"holdfast: a helper is here\n"
_PYTHON: Final = re.compile(r"(python|pypy)[0-9.]*[a-z]*(\.exe)?")


class Child:
    """A helper process. Several threads may ask it; it answers one after the other."""

    def __init__(self, module: str, first: object, descriptors: Sequence[int] = ()) -> None:
        """Start it; if that fails, it is one that was given up.

        Args:
            module: whose `main` it runs, with the descriptors as `sys.argv`.
            first: the first message to it.
            descriptors: that it inherits.
        """
        self._sending = threading.Lock()
        self._receiving = threading.Lock()
        self._is_ready = False
        self._process: subprocess.Popen[bytes] | None = None
        code = f"import sys; del sys.path[:]; sys.path += sys.argv[{1 + len(descriptors)}:]; "
        code += f"from {module} import main; main()"
        # Isolated: it gets keys, so no variable of the environment has a say in what it runs.
        command = [sys.executable, "-I", "-c", code, *map(str, descriptors)]
        command += filter(None, sys.path)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - ourselves
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=descriptors,
                env=environment.without_secrets(),
                process_group=0,  # Ctrl-C is for the parent to handle
            )
            _widen(_pipe(self._process.stdin))
            send(_pipe(self._process.stdin), first)
        except (OSError, ValueError) as error:
            self._give_up(error)

    def is_ready(self, wait: float = 0.0) -> bool:
        """Whether it has come up, and was not given up; waits at most so many seconds."""
        process = self._process
        if self._is_ready or process is None:
            return self._is_ready
        try:
            if not self.has_answer(wait):
                return False
            # Not by way of the buffer, in which an answer that is there already would not be seen.
            is_there = os.read(_pipe(process.stdout).fileno(), len(_GREETING)) == _GREETING
        except (OSError, ValueError) as error:  # another thread has given it up meanwhile
            self._give_up(error)
            return False
        if not is_there:
            self._give_up("it did not start, or something else wrote to its output")
            return False
        self._is_ready = True
        return True

    def has_answer(self, wait: float = 0.0) -> bool:
        """Whether it has written something, or has ended; waits at most so many seconds."""
        process = self._process
        if process is None:
            return False
        poll = select.poll()  # not `select`, which refuses descriptors from 1024 on
        poll.register(_pipe(process.stdout), select.POLLIN)
        return bool(poll.poll(wait * 1000))

    @property
    def pid(self) -> int | None:
        """Number of the process; None when it was given up."""
        return None if self._process is None else self._process.pid

    def ask(self, question: object, attachment: memoryview | None = None) -> object:
        """Send a message, and bytes behind it; returns the answer, None when it was given up."""
        process = self._process
        if process is None:
            return None
        try:
            with self._sending:
                send(_pipe(process.stdin), question, attachment)
                self._receiving.acquire()  # who sends next, receives next
            try:
                answer = receive(_pipe(process.stdout))
            finally:
                self._receiving.release()
        except (OSError, ValueError, OverflowError) as error:
            self._give_up(error)
            return None
        except BaseException as error:  # nobody knows which answer would come next
            self._give_up(error)
            raise
        if answer is None:
            self._give_up("it ended")
        return answer

    def answer(self) -> object:
        """The answer to the first message, when it is there; None when it was given up.

        For a helper that is not asked anything else.
        """
        process = self._process
        if process is None:
            return None
        try:
            answer = receive(_pipe(process.stdout))
        except (OSError, ValueError) as error:
            self._give_up(error)
            return None
        if answer is None:
            self._give_up("it ended")
        return answer

    def kill(self) -> None:
        """End it at once, as nobody wants to know its answer any more."""
        if self._process is not None:
            self._process.kill()
        self.close()

    def close(self) -> None:
        """End it, when no thread asks it any more."""
        process, self._process, self._is_ready = self._process, None, False
        if process is None:
            return
        with contextlib.suppress(OSError):
            _pipe(process.stdin).close()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        finally:
            _pipe(process.stdout).close()

    def _give_up(self, problem: object) -> None:
        """Do without it from now on."""
        process, self._process, self._is_ready = self._process, None, False
        _log.warning("a helper process failed, its work is done here: %s", problem)
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    _pipe(pipe).close()


def connected() -> tuple[io.BufferedReader, io.BufferedWriter]:
    """In a helper: greet the parent; returns where its messages come from and answers go to.

    Whatever else prints something in this process does not reach the parent any more, and if it
    crashes, it leaves no core dump: it gets keys.
    """
    environment.leave_no_core_dump()
    questions, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    answers.write(_GREETING)
    answers.flush()
    return questions, answers


def send(pipe: IO[bytes], value: object, attachment: memoryview | None = None) -> None:
    """Write a value to a pipe, and bytes behind it."""
    data = codec.pack(value)
    pipe.write(len(data).to_bytes(_LENGTH, "little") + data)
    if attachment is not None:
        pipe.write(attachment)
    pipe.flush()


def receive(pipe: IO[bytes]) -> object:
    """Read a value from a pipe; None at its end."""
    head = pipe.read(_LENGTH)
    size = int.from_bytes(head, "little")
    if size > codec.MAX_RECORD:
        raise ValueError(f"a message of {size} bytes")
    data = pipe.read(size) if len(head) == _LENGTH else b""
    return codec.unpack_rows(data) if data and len(data) == size else None


def receive_into(pipe: io.BufferedReader, out: memoryview) -> bool:
    """Fill memory from a pipe; False when it ends before."""
    done = 0
    while done < len(out):
        count = pipe.readinto(out[done:])
        if not count:
            return False
        done += count
    return True


def can_start() -> bool:
    """Whether this is an ordinary Python that can run another, and there is a core for it."""
    name = Path(sys.executable or "").name
    is_python = bool(_PYTHON.fullmatch(name)) and not hasattr(sys, "frozen")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return is_python and (cores or 1) > 1


def _widen(pipe: IO[bytes]) -> None:
    """Let a pipe hold more, where the system can: attachments are large."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # beyond this user's share of such memory
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE)


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise ValueError("a process without pipes")
    return pipe
