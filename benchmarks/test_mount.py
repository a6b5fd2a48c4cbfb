"""A mount beside the restored tree: `grep -r` through many small files, and one large file.

Every round mounts anew, so that nothing is left of what the kernel has kept of the round before;
the restored tree is in memory, which is the most that a mount could be compared with.

``pytest benchmarks/test_mount.py --benchmark-enable --benchmark-only --timeout 0 --capture=no``
runs it; it takes FUSE and 2 GB of memory.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from os import W_OK, access
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING

import pytest

import holdfast
from benchmarks.peers import datasets
from benchmarks.peers.works import MEMORY
from holdfast.engine.snapshotfs.mount import DEVICE

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

MIB = 1 << 20
FILES = 20_000
LARGE = 512 * MIB
ROUNDS = 5
PASSWORD = "benchmark"
ABSENT = "no file has this"

pytestmark = pytest.mark.skipif(not access(DEVICE, W_OK), reason="takes FUSE")


@pytest.fixture(scope="module")
def work() -> Iterator[Path]:
    is_there = MEMORY.is_dir() and access(MEMORY, W_OK)
    with TemporaryDirectory(dir=MEMORY if is_there else None) as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def repository(work: Path) -> Iterator[holdfast.Repository]:
    """A repository with both trees, which were restored as ``copy``."""
    source = work / "source"
    datasets.make_tiny(source / "small", FILES)
    (source / "large").mkdir()
    datasets.make_random(source / "large/file", LARGE)
    with holdfast.init(work / "repository", password=PASSWORD, cache=False) as repo:
        assert not repo.backup([source]).errors
        source.rename(work / "copy")  # what a restore would make: test_mount.py of the tests
        yield repo


def seconds(*command: str | Path) -> float:
    begun = perf_counter()
    done = subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
    assert done.returncode == (command[0] == "grep")  # which says by 1 that it found nothing
    return perf_counter() - begun


def compare(
    benchmark: BenchmarkFixture, repository: holdfast.Repository, work: Path, *command: str
) -> dict[str, float]:
    """Median seconds of a command on a mount, on it once more, and on the restored tree."""
    taken: dict[str, list[float]] = {"mount": [], "again": [], "restored": []}
    where, tree = work / "mount", command[-1]
    where.mkdir(exist_ok=True)

    def one_round() -> None:
        with repository.mounted(where, f"latest:{work}/source") as mounted:
            for name in ("mount", "again"):
                taken[name].append(seconds(*command[:-1], mounted / tree))
        taken["restored"].append(seconds(*command[:-1], work / "copy" / tree))

    benchmark.pedantic(one_round, rounds=ROUNDS)  # type: ignore[no-untyped-call]
    found = {name: median(times) for name, times in taken.items()}
    told = ", ".join(f"{name} {each:.2f} s" for name, each in found.items())
    ratio = found["mount"] / found["restored"]
    print(f"\n{' '.join(command)}: {told}; mount / restored {ratio:.0f}")
    return found


def test_grep_through_small_files(
    benchmark: BenchmarkFixture, repository: holdfast.Repository, work: Path
) -> None:
    found = compare(benchmark, repository, work, "grep", "-r", ABSENT, "small")
    print(f"{FILES} files of 1 KiB: {found['mount'] / FILES * 1e3:.2f} ms each")


def test_reading_a_large_file(
    benchmark: BenchmarkFixture, repository: holdfast.Repository, work: Path
) -> None:
    found = compare(benchmark, repository, work, "cat", "large/file")
    print(f"{LARGE / MIB / found['mount']:.0f} MiB/s")
