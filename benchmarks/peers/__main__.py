"""Run holdfast and its peers in turn on the same data, and print tables of what they took."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.peers import datasets, machine, report, schedule, tools, works
from benchmarks.peers.measure import CommandError
from benchmarks.peers.tools import Installed, find_tools
from benchmarks.peers.works import DataSet, Different, Medium, NoRoom, Sample
from holdfast.clock import SYSTEM_CLOCK

LEAST_MEMORY = 2_000_000_000
"""Bytes below which the file system in memory is not used."""
SETS = "abcdefg"
_PATH = re.compile(r"/\S+")


@dataclass(frozen=True, slots=True)
class Options:
    """What is asked for.

    Attributes:
        quick: smaller data.
        sets: letters of the sets.
        repeat: how many times that is done which a target is set on.
        on: ``memory``, ``disk`` or ``both``.
        tools: names of those that are compared.
        peers: the folder that they are in; programs of the system when None.
        work: a folder on a disk, for data and repositories.
        report: the page that keeps the tables; they are only printed when None.
    """

    quick: bool
    sets: str
    repeat: int
    on: str
    tools: tuple[str, ...]
    peers: Path | None
    work: Path
    report: Path | None

    @property
    def command(self) -> str:
        """The command, without what is a matter of this machine only."""
        parts = ["python", "-m", "benchmarks.peers", *["--quick"] * self.quick]
        parts += ["--repeat", str(self.repeat), "--on", self.on]
        if self.sets != SETS:
            parts += ["--sets", ",".join(self.sets)]
        if self.tools != tools.NAMES:
            parts += ["--tools", ",".join(self.tools)]
        return shlex.join(parts)


class Bench:
    """One run, and what it has found so far."""

    def __init__(self, options: Options, found: Sequence[Installed]) -> None:
        self._options = options
        self._tools = list(found)
        self._notes: list[str] = []
        self._sets: dict[str, tuple[str, int, int]] = {}
        self._samples: list[Sample] = []
        self._load = machine.load()
        self._media = list(self._choose_media())
        if self._load > machine.cores():
            self._note(
                "the machine was busy with other work when this began: only ratios mean something,"
                " those of processor time above all"
            )
        names = {tool.name for tool in found}
        if absent := [name for name in options.tools if name not in names]:
            self._note(f"not on this machine: {', '.join(absent)}")

    def try_tools(self) -> None:
        """Go on without those tools that may be missing and do not work."""
        for tool in [each for each in self._tools if each.kind.is_optional]:
            try:
                works.try_out(tool, self._options.work)
            except (CommandError, Different) as error:
                self._tools.remove(tool)
                why = _PATH.sub("…", str(error).splitlines()[0])
                self._note(f"{tool.version} does not work here: {why}")

    def run(self, data: DataSet) -> None:
        """Use one set of data.

        Raises:
            CommandError: a tool failed.
            Different: a tool did not restore what it had backed up.
        """
        try:
            with works.made(data, self._options.work) as source:
                self._sets[data.key] = (data.title, *datasets.size_of(source))
                for medium in self._media:
                    self._run_on(medium, data, source)
        except NoRoom as error:
            self._note(f"({data.key}) was left out: {error}")

    def text(self) -> str:
        """The report of what was found."""
        about = report.Run(
            command=self._options.command,
            date=f"{datetime.fromtimestamp(SYSTEM_CLOCK.now_ns() // 10**9, UTC):%Y-%m-%d}",
            is_quick=self._options.quick,
            repeat=self._options.repeat,
            machine=machine.describe(),
            load=(self._load, machine.load()),
            versions=[tool.version for tool in self._tools],
            media={medium.name: machine.filesystem(medium.folder) for medium in self._media},
            sets=self._sets,
            notes=self._notes,
        )
        return report.report(about, self._samples)

    def _run_on(self, medium: Medium, data: DataSet, source: Path) -> None:
        is_main = medium == self._media[0]
        rounds = schedule.rounds(self._tools, data.key, self._options.repeat, is_main=is_main)
        try:
            for found in works.run(data, source, rounds, medium):
                self._samples += found
                for each in found:
                    what = f"({each.data}) {each.on:6} {each.tool:8} {each.work:42}"
                    _tell(f"{what} {each.cost.wall:8.2f} s")
        except NoRoom as error:
            self._note(f"({data.key}) was not run on {medium.name}: {error}")

    def _choose_media(self) -> Iterator[Medium]:
        wanted = self._options.on
        if wanted != "disk":
            is_there = works.MEMORY.is_dir() and os.access(works.MEMORY, os.W_OK)
            if is_there and machine.available_memory() >= LEAST_MEMORY:
                yield Medium("memory", works.MEMORY)
            else:
                self._note("there is no file system in memory that is large enough")
                wanted = "disk"
        if wanted != "memory":
            yield Medium("disk", self._options.work)

    def _note(self, note: str) -> None:
        _tell(note)
        self._notes.append(note)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as the arguments say, those of the process when None; returns the exit code."""
    options = _options(arguments)
    options.work.mkdir(parents=True, exist_ok=True)
    sizes = datasets.QUICK if options.quick else datasets.FULL
    # Whoever ends this run, what it has made is removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    bench = Bench(options, find_tools(options.peers, frozenset(options.tools)))
    try:
        bench.try_tools()
        for data in works.data_sets(sizes):
            if data.key[0] in options.sets:
                bench.run(data)
    except KeyboardInterrupt:
        print(bench.text())
        _tell("interrupted: the tables show what was done until then, and no file was written")
        return 130
    except (CommandError, Different) as error:
        _tell(f"FAILED: {error}")
        return 1
    text = bench.text()
    print(text)
    if options.report:
        report.write(options.report, text)
    return 0


def _options(arguments: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="smaller data; in memory and N = 3, if not told")
    add("--sets", default=",".join(SETS), metavar="a,b,...", help="only these sets of data")
    add("--repeat", type=int, metavar="N", help="how often to do what targets are set on; 5")
    add(
        "--on", choices=("memory", "disk", "both"), help="where repositories are and files restored"
    )
    add("--tools", default=",".join(tools.NAMES), metavar="NAME,...", help="only these tools")
    add("--peers", type=Path, metavar="DIR", help="where get-peers put the other tools")
    add("--work", type=Path, default=Path(".benchmarks"), metavar="DIR", help="on a disk with room")
    add("--report", type=Path, metavar="FILE", help="the page that keeps the tables")
    found = parser.parse_args(arguments)
    return Options(
        quick=found.quick,
        sets=found.sets.replace(",", ""),
        repeat=found.repeat or (3 if found.quick else 5),
        on=found.on or ("memory" if found.quick else "both"),
        tools=tuple(found.tools.split(",")),
        peers=found.peers,
        work=found.work,
        report=found.report,
    )


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
