"""Runs commands in processes of their own, each with a limit, or a signal at a certain moment.

    python -m tests.faults.commands FOLDER

It reads a line of JSON for each command from its standard input, and answers with a line. All of
holdfast is loaded before the first, so that a command costs a fork rather than a start: hundreds of
them can be tried, and what happens to them happens in our code, not while Python imports it.
"""

from __future__ import annotations

import faulthandler
import gc
import importlib
import json
import os
import pkgutil
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import IO, Self

import holdfast
from holdfast.clock import SystemClock
from holdfast.primitives.kdf import KDF_PROFILES
from holdfast.testing.repositories import QUICK_KDF

PATIENCE = 120
"""Seconds after which a command hangs: then it says where, and ends."""

MOMENTS = frozenset({"open", "os.link", "os.mkdir", "os.remove", "os.rename", "os.scandir"})
"""What Python tells of before it asks the system for it; each is a moment for a signal."""

LIMITS = {
    "memory": resource.RLIMIT_AS,
    "descriptors": resource.RLIMIT_NOFILE,
    "file size": resource.RLIMIT_FSIZE,
}


@dataclass
class Order:
    """What to run, and what happens to it.

    Attributes:
        arguments: of the command line.
        stdin: what it may read.
        signals: sent to it at the moment, one after the other.
        moment: before the so-manieth step; 0 is never.
        limit: what there is little of, of `LIMITS`; nothing if empty.
        amount: how much more of it there is than what is in use: bytes, or descriptors.
    """

    arguments: list[str]
    stdin: str = ""
    signals: list[int] = field(default_factory=list)
    moment: int = 0
    limit: str = ""
    amount: int = 0


@dataclass
class Ended:
    """How a command ended.

    Attributes:
        code: its exit status; minus the number of the signal that killed it.
        out, err: what it wrote.
        steps: how many moments there were.
        is_stopped: it has not ended, but waits for SIGCONT.
    """

    code: int
    out: str
    err: str
    steps: int
    is_stopped: bool = False

    @property
    def said(self) -> str:
        """All of it, for the message of an assertion."""
        return f"exit {self.code} after {self.steps} steps\n{self.out}{self.err}"


class Commands:
    """The process that runs commands, seen from a test.

    Args:
        folder: where commands run.
        environment: of all of them.
    """

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.commands", folder],
            cwd=Path(__file__).parents[2],
            env=environment | {"PYTHONPATH": str(Path(holdfast.__file__).parents[1])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise

    def run(self, order: Order) -> Ended:
        """Run a command to its end, or until it is stopped."""
        return self._asked(json.dumps(asdict(order)))

    def go_on(self, seconds: float) -> Ended:
        """Let the command that was stopped go on; to it, so many seconds have gone by."""
        return self._asked(json.dumps(seconds))

    def _asked(self, question: str) -> Ended:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(question + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the process that runs commands has ended"
        return Ended(**json.loads(answer))


def main(folder: Path) -> int:
    """Run what is asked for; in a child, returns the exit code of the command."""
    for package in ("cli", "settings", "engine", "operations", "store", "platform"):
        _load(package)
    KDF_PROFILES["default"] = QUICK_KDF  # what `init` makes opens as quickly as all others
    gc.collect()
    gc.freeze()  # so that a child does not touch, and so copy, all the memory that it shares
    shift = folder / "shift"
    shift.write_text("0")
    _shift_clock(shift)
    for line in sys.stdin:
        order = Order(**json.loads(line))
        shift.write_text("0")
        child = os.fork()
        if not child:
            return _child(order, folder)
        answer = _followed(child, folder)
        while answer.is_stopped:
            _answer(answer)
            shift.write_text(sys.stdin.readline())
            os.kill(child, signal.SIGCONT)
            answer = _followed(child, folder)
        _answer(answer)
    return 0


def _answer(ended: Ended) -> None:
    sys.stdout.write(json.dumps(asdict(ended)) + "\n")
    sys.stdout.flush()


def _load(package: str) -> None:
    """Import a package of holdfast, and all below it that is no program of its own."""
    found = importlib.import_module(f"holdfast.{package}")
    for module in pkgutil.walk_packages(found.__path__, f"{found.__name__}."):
        if not module.name.endswith(("__main__", ".worker", ".protocol")):
            importlib.import_module(module.name)


def _followed(child: int, folder: Path) -> Ended:
    """How a child ended, or that it stopped."""
    _, status = os.waitpid(child, os.WUNTRACED)
    is_stopped = os.WIFSTOPPED(status)
    return Ended(
        code=0 if is_stopped else os.waitstatus_to_exitcode(status),
        out=(folder / "out").read_text(errors="surrogateescape"),
        err=(folder / "err").read_text(errors="surrogateescape"),
        steps=(folder / "steps").stat().st_size,
        is_stopped=is_stopped,
    )


def _child(order: Order, folder: Path) -> int:
    from holdfast.cli.run import run  # noqa: PLC0415 - what the process that is forked has loaded

    os.chdir(folder)
    (folder / "in").write_text(order.stdin)
    for number, name, flags in (
        (0, "in", os.O_RDONLY),
        (1, "out", os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        (2, "err", os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
    ):
        opened = os.open(name, flags, 0o666)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = _text(1)
    sys.stderr = _text(2)
    steps = os.open("steps", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o666)
    faulthandler.dump_traceback_later(PATIENCE, exit=True)
    if order.limit:
        kind = LIMITS[order.limit]
        amount = order.amount + _used(order.limit)
        resource.setrlimit(kind, (amount, resource.getrlimit(kind)[1]))
    sys.addaudithook(_counting(order, steps))
    return run(order.arguments)


def _text(descriptor: int) -> IO[str]:
    return os.fdopen(descriptor, "w", closefd=False, encoding="utf-8", errors="surrogateescape")


def _used(limit: str) -> int:
    """How much of what there is little of is in use already."""
    if limit == "memory":
        pages = Path("/proc/self/statm").read_text("ascii").split()[0]
        return int(pages) * resource.getpagesize()
    if limit == "descriptors":
        return max(int(each.name) for each in Path("/proc/self/fd").iterdir()) + 1
    return 0


def _counting(order: Order, steps: int) -> Callable[[str, object], None]:
    """Sends the signals at the moment, and tells the parent of every step."""
    main_process = os.getpid()
    numbers = count(1)  # of which no two threads get the same

    def hook(event: str, _: object) -> None:
        if event in MOMENTS and os.getpid() == main_process:
            number = next(numbers)
            os.write(steps, b".")
            if number == order.moment:
                for each in order.signals:
                    os.kill(main_process, each)

    return hook


def _shift_clock(shift: Path) -> None:
    """Have the clock go by what the parent says: a machine that sleeps for hours."""
    now_ns, monotonic = SystemClock.now_ns, SystemClock.monotonic
    descriptor = os.open(shift, os.O_RDONLY)

    def seconds() -> float:
        return float(os.pread(descriptor, 100, 0))

    setattr(  # noqa: B010 - a method of a class
        SystemClock, "now_ns", lambda self: now_ns(self) + int(seconds() * 1e9)
    )
    setattr(  # noqa: B010
        SystemClock, "monotonic", lambda self: monotonic(self) + seconds()
    )


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
