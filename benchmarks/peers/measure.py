"""What a command costs: wall time, processor time, and peak memory of all its processes.

The command is started by a small process of its own, this module run as a program: Linux counts
what a process held before it became the command (`getrusage(2)`, ``ru_maxrss``), so that the
smallest figure that a large parent can measure is its own size.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

INTERVAL = 0.05
"""Seconds between looks at the memory of commands that have several processes."""
SHOWN = 4_000
"""Bytes of a failed command's output that are shown."""


class CommandError(Exception):
    """A command that is measured did not do its work."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a command took.

    Attributes:
        wall: seconds.
        processor: seconds of all its processes, in user and system mode.
        peak: bytes of memory at most.
    """

    wall: float
    processor: float
    peak: int

    def __add__(self, other: Cost) -> Cost:
        """One after the other."""
        return Cost(
            self.wall + other.wall,
            self.processor + other.processor,
            max(self.peak, other.peak),
        )


NOTHING = Cost(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Command:
    """A program and its arguments, and the directory that it works in."""

    arguments: tuple[str, ...]
    folder: Path


def cost_of(command: Command, environment: Mapping[str, str]) -> Cost:
    """Run a command to its end.

    Raises:
        CommandError: it exited with another code than 0.
    """
    process = subprocess.Popen(
        [sys.executable, "-I", __file__, *command.arguments],
        cwd=command.folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        out, told = process.communicate()
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    if process.returncode:
        shown = told[-SHOWN:].decode(errors="backslashreplace")
        raise CommandError(f"{' '.join(command.arguments)}: code {process.returncode}\n{shown}")
    found: dict[str, float] = json.loads(out)
    return Cost(found["wall"], found["processor"], int(found["peak"]))


def _measure(arguments: list[str]) -> tuple[int, Cost]:
    """Run a command with its output on standard error; returns its exit code too."""
    begin = perf_counter()
    process = subprocess.Popen(arguments, stdout=sys.stderr)
    watch = _Watch(process.pid)
    _, status, usage = os.wait4(process.pid, 0)
    wall = perf_counter() - begin
    watch.stop()
    process.returncode = os.waitstatus_to_exitcode(status)
    # ru_maxrss is that of the largest process, in KiB.
    peak = max(usage.ru_maxrss * 1024, watch.peak)
    return process.returncode, Cost(wall, usage.ru_utime + usage.ru_stime, peak)


class _Watch:
    """Adds up the memory of a command's processes while it has several."""

    def __init__(self, process: int) -> None:
        self.peak = 0
        self._process = process
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for it."""
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(INTERVAL):
            family = list(_family(self._process))
            if len(family) > 1:
                self.peak = max(self.peak, sum(map(_proportional, family)))


def _family(process: int) -> Iterator[int]:
    """A process and all that come from it."""
    yield process
    for listed in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            children = listed.read_text("ascii").split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended
        for child in children:
            yield from _family(int(child))


def _proportional(process: int) -> int:
    """Bytes of memory of a process; pages that n processes share count as an nth."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text("ascii").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def main() -> int:
    """Measure the command that the arguments are; its cost goes to standard output as JSON."""
    code, cost = _measure(sys.argv[1:])
    print(json.dumps(asdict(cost)))
    return code


if __name__ == "__main__":
    sys.exit(main())
