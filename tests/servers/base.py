"""What all test servers share: a program that runs as long as the tests, and places in it."""

from __future__ import annotations

import contextlib
import http.client
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple, NoReturn, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

INSTALLED = Path(__file__).parents[2] / ".servers"
_TRIES = 3
_SECONDS_TO_START = 120.0  # what a busy machine may take; an idle one takes two
_SECONDS_TO_STOP = 10.0


class NotInstalledError(Exception):
    """The program of a server is not on this machine."""

    def __init__(self, program: str) -> None:
        super().__init__(f"{program} is not installed: run `make test-servers`")


class ServerFailedError(Exception):
    """A server did not start."""


class Place(NamedTuple):
    """A fresh bucket, container or folder that nobody else uses.

    Attributes:
        location: its URI, with a prefix inside it.
        options: fsspec storage options for it: address, keys.
    """

    location: str
    options: dict[str, object]


class Server(Protocol):
    """A store that runs until it is stopped."""

    name: ClassVar[str]

    def place(self) -> Place:
        """A new, empty place."""

    def log(self) -> str:
        """What the server has said since it started."""

    def stop(self) -> None:
        """End it; calling it again is harmless."""


class Program:
    """A server process that listens on a free port of the loopback interface.

    It dies with the process (to be exact: the thread) that started it, however that one ends.
    """

    def __init__(
        self,
        folder: Path,
        command: Callable[[int], Sequence[str | Path]],
        answers: Callable[[int], bool],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start it, and return when it answers.

        Args:
            folder: its working directory, which is there; its log is written there.
            command: the command line that makes it listen on this port.
            answers: whether it does on this port; asked until it says so.
            environment: variables to set for it.

        Raises:
            ServerFailedError: it ended, or did not answer in time; with its log.
        """
        self._folder = folder
        self._environment = os.environ | dict(environment or {})
        for _ in range(_TRIES):  # another process may take the port between our look and its
            self.port = free_port()
            self._process = self._start(command(self.port))
            if self._wait(answers):
                return
        raise ServerFailedError(f"a server does not start:\n{self.log()}")

    @property
    def address(self) -> str:
        """Its HTTP address, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def log(self) -> str:
        """What it has written to its standard output and error."""
        return (self._folder / "log").read_text(errors="replace")

    def stop(self) -> None:
        """End it and what it has started; calling it again is harmless."""
        descendants = _descendants(self._process.pid)
        self._process.terminate()
        for process in descendants:  # sshd leaves its connections to themselves
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        try:
            self._process.wait(_SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _start(self, command: Sequence[str | Path]) -> subprocess.Popen[bytes]:
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *command],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def _wait(self, answers: Callable[[int], bool]) -> bool:
        """Whether it answers; False when it ended, as when its port is taken."""
        end = time.monotonic() + _SECONDS_TO_START
        while self._process.poll() is None:
            if answers(self.port):
                return True
            if time.monotonic() > end:
                self.stop()
                raise ServerFailedError(f"a server does not answer:\n{self.log()}")
            time.sleep(0.02)
        return False


class ProgramServer:
    """A `Server` that is one program."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def log(self) -> str:
        """See `Server.log`."""
        return self._program.log()

    def stop(self) -> None:
        """See `Server.stop`."""
        self._program.stop()


def _descendants(parent: int) -> list[int]:
    """The processes that a process has started, and those that they have started (proc(5))."""
    try:
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    except (FileNotFoundError, ProcessLookupError):  # it has ended
        return []
    found = [int(child) for child in children.split()]
    return found + [process for child in found for process in _descendants(child)]


def free_port() -> int:
    """A TCP port on which nothing listens now.

    It is none of those that the system gives to who asks for any (ip_local_port_range in ip(7)):
    another test's server might get such a one before ours has it, and would be taken for it.
    """
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def answers_http(port: int) -> bool:
    """Whether something on this port answers a request, in whatever way."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/")
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


def installed(*names: str) -> Path:
    """The path of a program that ``tests/servers/install`` has put into its folder.

    Raises:
        NotInstalledError: it is not there.
    """
    path = INSTALLED.joinpath(*names)
    if not path.exists():
        raise NotInstalledError(names[-1])
    return path


def on_system(program: str, *places: str) -> str:
    """The path of a program of the system, which may be in one of `places` outside of PATH.

    Raises:
        NotInstalledError: it is nowhere.
    """
    path = shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", ""), *places]))
    if path is None:
        raise NotInstalledError(program)
    return path


def give_up(error: NotInstalledError) -> NoReturn:
    """Skip the test, or fail it if HOLDFAST_TEST_SERVERS is ``required``."""
    if os.environ.get("HOLDFAST_TEST_SERVERS") == "required":
        pytest.fail(str(error))
    pytest.skip(str(error))


def fresh(word: str) -> str:
    """A name that no test has used, fit for buckets."""
    return f"{word}-{secrets.token_hex(6)}"
