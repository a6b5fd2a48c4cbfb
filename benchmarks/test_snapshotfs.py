"""Snapshots as files: reading in order, reading somewhere, and listing, as people wait for it.

Everything runs in processes of its own, with all files in memory where that is possible, and each
says how long it took for what is measured. Reading in order is compared with a restore of the same
file to the same memory file system, in turns, so that a machine that is slow for a while is slow
for both. HOLDFAST_BENCHMARK_MIB makes the large file smaller, to try it.

``pytest benchmarks/test_snapshotfs.py --benchmark-enable --benchmark-only --timeout 0
--capture=no`` runs it; it takes 10 GB of memory.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from os import W_OK, access
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

import holdfast
from benchmarks.peers import datasets
from benchmarks.peers.works import MEMORY
from holdfast import environment
from holdfast.primitives.kdf import KDF_PROFILES
from holdfast.testing.repositories import QUICK_KDF

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

MIB = 1 << 20
LARGE = int(environment.variable("HOLDFAST_BENCHMARK_MIB") or 4096) * MIB
ENTRIES = 10_000
ROUNDS = 5
PASSWORD = "benchmark"
LEAST = 0.7
"""How fast reading in order must be, as a part of how fast a restore is."""
MOST_READ = 0.010
"""Seconds for a read of 64 KiB somewhere, in a process that has read nothing before."""
MOST_LISTING = 0.2
"""Seconds for opening a repository and listing a large directory."""

BEGIN = """
import random, sys
from time import perf_counter
import holdfast
import holdfast.engine.snapshotfs.filesystem
place, path, target = sys.argv[1:4]
repo = holdfast.open(place, password="benchmark", cache=False)
"""
RESTORE = """
begun = perf_counter()
assert not repo.restore("latest:" + path, target).errors
print(perf_counter() - begun)
"""
READ = """
begun = perf_counter()
with repo.fs("latest").open(path) as file:
    buffer, done = bytearray(1 << 20), 0
    while count := file.readinto(buffer):
        done += count
assert done == file.size
print(perf_counter() - begun)
"""
SOMEWHERE = """
file = repo.fs("latest").open(path)
offset = random.randrange(file.size - (64 << 10))
begun = perf_counter()
file.seek(offset)
assert len(file.read(64 << 10)) == 64 << 10
print(perf_counter() - begun)
"""
LISTING = """
assert repo.fs("latest").ls(path)  # what has to be imported, is
repo.close()
begun = perf_counter()
repo = holdfast.open(target, password="benchmark", cache=False)
assert len(repo.fs("latest").ls(path)) == 10_000
print(perf_counter() - begun)
"""


@pytest.fixture(scope="module")
def work() -> Iterator[Path]:
    is_there = MEMORY.is_dir() and access(MEMORY, W_OK)
    with TemporaryDirectory(dir=MEMORY if is_there else None) as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def large(work: Path) -> tuple[Path, Path]:
    """A repository, and a file in it: half of it system files, half what nothing makes smaller."""
    source, repository = work / "source", work / "repository"
    source.mkdir()
    datasets.make_tar(source / "tar", LARGE // 2)
    datasets.make_random(source / "random", LARGE // 2)
    path = source / "file"
    with path.open("wb") as file:
        for part in ("tar", "random"):
            with (source / part).open("rb") as piece:
                while data := piece.read(MIB):
                    file.write(data)
            (source / part).unlink()
    with holdfast.init(repository, password=PASSWORD, cache=False) as repo:
        assert not repo.backup([path]).errors
    path.unlink()
    return repository, path


def seconds(program: str, *arguments: Path) -> float:
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + program, *map(str, arguments)],
        env={
            "PATH": environment.variable("PATH") or "",
            "PYTHONPATH": str(Path(holdfast.__file__).parents[1]),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return float(done.stdout)


def test_reading_in_order(
    benchmark: BenchmarkFixture, large: tuple[Path, Path], work: Path
) -> None:
    """A large file read through the file system, beside a restore of it."""
    taken: dict[str, list[float]] = {RESTORE: [], READ: []}

    def one_round() -> None:
        for program, times in taken.items():
            with TemporaryDirectory(dir=work) as target:
                times.append(seconds(program, *large, Path(target)))

    benchmark.pedantic(one_round, rounds=ROUNDS)  # type: ignore[no-untyped-call]
    ratios = [restore / read for restore, read in zip(*taken.values(), strict=True)]
    speeds = {name: LARGE / MIB / median(times) for name, times in taken.items()}
    print(f"\nrestore {speeds[RESTORE]:.0f} MiB/s, file system {speeds[READ]:.0f} MiB/s")
    print(f"ratios {', '.join(f'{ratio:.2f}' for ratio in ratios)}")
    assert max(median(ratios), min(taken[RESTORE]) / min(taken[READ])) >= LEAST


def test_reading_somewhere(
    benchmark: BenchmarkFixture, large: tuple[Path, Path], work: Path
) -> None:
    """64 KiB of a large file, each time in a new process."""
    taken: list[float] = []
    benchmark.pedantic(lambda: taken.append(seconds(SOMEWHERE, *large, work)), rounds=4 * ROUNDS)  # type: ignore[no-untyped-call]
    print(f"\n64 KiB: median {median(taken) * 1e3:.1f} ms, at most {max(taken) * 1e3:.1f} ms")
    assert median(taken) <= MOST_READ


def test_listing_a_large_directory(benchmark: BenchmarkFixture, work: Path) -> None:
    """A repository whose password costs nothing is opened, and a directory of it listed."""
    source = work / "directory"
    source.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(KDF_PROFILES, "default", QUICK_KDF)
        repositories = [work / name for name in ("small", "entries")]
        for repository, count in zip(repositories, (1, ENTRIES), strict=True):
            for number in range(count):
                (source / f"entry {number:05}").write_bytes(b"%d" % number)
            with holdfast.init(repository, password=PASSWORD, cache=False) as repo:
                assert not repo.backup([source]).errors
    small, entries = repositories
    taken: list[float] = []
    benchmark.pedantic(  # type: ignore[no-untyped-call]
        lambda: taken.append(seconds(LISTING, small, source, entries)), rounds=2 * ROUNDS
    )
    print(f"\n{ENTRIES} entries: median {median(taken):.3f} s, at most {max(taken):.3f} s")
    assert median(taken) <= MOST_LISTING
