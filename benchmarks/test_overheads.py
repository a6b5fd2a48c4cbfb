"""What it costs to watch: the same work with progress, as JSON and by the command line, or not.

All ways are taken in turn, each in a process of its own that starts, opens the repository and does
one thing, so that a machine that is slow for a while is slow for all of them. Each is compared with
the same without what it adds. The bound is on processor time: what is to be noticed is a callback
for every file that is slow, a count of what is known, or a display that keeps a processor busy. The
least of all rounds, and the median of their ratios, are two ways to see past what else goes on;
what really costs more shows in both, and so the lesser of the two is held to the bound. On a busy
machine that is off by up to 0.05 all the same, for which the bound leaves room.

There are so many files that the work takes a few seconds: what is paid once, the display's start
(0.05 s) and that of the command line, then weighs what it weighs in real work, and a first backup
is long enough to count what there is to do. That is most of what watching costs: 3 µs a file, of
the 57 that a small file takes in all, and more when its thread and that of the work get in each
other's way on busy processors. A restore counts nothing, it knows what the snapshot has.
All files are in memory where that is possible: how long a disk's file system takes for the same
varies by more than the bound.
"""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING

import pytest

import holdfast
from benchmarks.peers.works import MEMORY
from holdfast import environment
from holdfast.primitives.hashing import keyed_stream

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

FILES = 50_000
SIZE = 8 << 10
"""Bytes of a file, of which half can be compressed: about what small files have."""
PASSWORD = "benchmark"
ROUNDS = 5
MOST = 1.10
"""Processor seconds for each of what a way is compared with."""
COMPARED = {
    "library, progress": "library",
    "command line": "library",
    "command line, progress": "command line",
    "command line, --json": "command line",
}

LIBRARY = """
import sys, holdfast
verb, repository, path, watched = sys.argv[1:]
events = []
progress = events.append if watched == "yes" else None
with holdfast.open(repository, cache=False, password="benchmark") as repo:
    if verb == "create":
        assert not repo.backup(path, progress=progress).errors
    else:
        assert not repo.restore("latest", path, progress=progress).errors
assert bool(events) == (watched == "yes")
"""


@dataclass(frozen=True)
class Spent:
    wall: float
    processor: float


def library(verb: str, repository: Path, path: Path, *, watched: bool) -> list[str]:
    told = "yes" if watched else "no"
    return [sys.executable, "-c", LIBRARY, verb, str(repository), str(path), told]


def command(verb: str, path: Path, *flags: str) -> list[str]:
    place = [str(path)] if verb == "create" else ["--target", str(path)]
    return [sys.executable, "-m", "holdfast", "--no-cache", *flags, verb, *place]


def spend(arguments: list[str], repository: Path, *, shown: bool) -> Spent:
    """Run to its end; with a terminal as standard error, and somebody who looks at it, if shown."""
    settings = {
        "PATH": environment.variable("PATH") or "",
        "PYTHONPATH": str(Path(holdfast.__file__).parents[1]),
        "HOLDFAST_REPOSITORY": str(repository),
        "HOLDFAST_PASSWORD": PASSWORD,
        "TERM": "xterm",
    }
    terminal, other_end = os.openpty()
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), perf_counter()
    with subprocess.Popen(
        arguments,
        env=settings,
        stdout=subprocess.DEVNULL,
        stderr=other_end if shown else subprocess.DEVNULL,
    ) as process:
        os.close(other_end)
        seen = drained(terminal)
    wall, after = perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    os.close(terminal)
    assert process.returncode == 0, seen
    assert bool(seen) == shown
    return Spent(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def drained(terminal: int) -> bytes:
    """All that is written to the other end of a terminal."""
    seen = b""
    while True:
        try:
            seen += os.read(terminal, 1 << 16)
        except OSError as error:
            if error.errno != errno.EIO:  # which is how its end is told
                raise
            return seen


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Path]:
    is_there = MEMORY.is_dir() and os.access(MEMORY, os.W_OK)
    with TemporaryDirectory(dir=MEMORY if is_there else tmp_path) as folder:
        yield Path(folder)


@pytest.fixture
def source(work: Path) -> Path:
    top = work / "source"
    for number in range(FILES):
        folder = top / f"{number // 200:03}"
        if number % 200 == 0:
            folder.mkdir(parents=True)
        half = keyed_stream(bytes(32), number.to_bytes(4, "little"), SIZE // 2)
        (folder / f"{number:05}").write_bytes(half + bytes(SIZE // 2))
    return top


def ways(verb: str, path: Path) -> dict[str, Callable[[Path], Spent]]:
    """How to do the same in a repository, by name."""
    return {
        "library": lambda repo: spend(
            library(verb, repo, path, watched=False), repo, shown=False
        ),
        "library, progress": lambda repo: spend(
            library(verb, repo, path, watched=True), repo, shown=False
        ),
        "command line": lambda repo: spend(command(verb, path), repo, shown=False),
        "command line, progress": lambda repo: spend(command(verb, path), repo, shown=True),
        "command line, --json": lambda repo: spend(
            command(verb, path, "--json"), repo, shown=False
        ),
    }  # fmt: skip


def compare(
    benchmark: BenchmarkFixture,
    found: dict[str, Callable[[Path], Spent]],
    setup: Callable[[], Path],
    clean: Callable[[Path], None],
) -> None:
    """Take all ways in turn, print the ratios, and hold them to the bound."""
    spent: dict[str, list[Spent]] = {name: [] for name in found}

    def one_round() -> None:
        for name, way in found.items():
            repo = setup()
            spent[name].append(way(repo))
            clean(repo)

    benchmark.group = "overheads"
    benchmark.pedantic(one_round, rounds=ROUNDS)  # type: ignore[no-untyped-call]
    print(f"\n{benchmark.name}: {FILES:,} files, {ROUNDS} rounds")
    processor: dict[str, float] = {}
    for name, other in COMPARED.items():
        pairs = list(zip(spent[name], spent[other], strict=True))
        wall = median(each.wall / base.wall for each, base in pairs)
        by_least = least(spent[name]) / least(spent[other])
        by_pairs = median(each.processor / base.processor for each, base in pairs)
        processor[name] = min(by_least, by_pairs)
        print(
            f"  {name:22} ÷ {other:12}  wall {wall:.3f}, processor {by_least:.3f} of the least "
            f"({least(spent[name]):.2f} s), {by_pairs:.3f} in the median"
        )
        benchmark.extra_info[name] = {"wall": wall, "processor": processor[name]}
    assert max(processor.values()) <= MOST


def least(spent: Sequence[Spent]) -> float:
    return min(each.processor for each in spent)


def test_backup(benchmark: BenchmarkFixture, source: Path, work: Path) -> None:
    empty = work / "empty"
    holdfast.init(empty, password=PASSWORD, cache=False).close()

    def fresh() -> Path:
        return Path(shutil.copytree(empty, work / "repository"))

    compare(benchmark, ways("create", source), fresh, shutil.rmtree)


def test_restore(benchmark: BenchmarkFixture, source: Path, work: Path) -> None:
    target = work / "target"
    with holdfast.init(work / "repository", password=PASSWORD, cache=False) as repo:
        repo.backup(source)

    def ready() -> Path:
        target.mkdir()
        return work / "repository"

    compare(benchmark, ways("restore", target), ready, lambda _: shutil.rmtree(target))
