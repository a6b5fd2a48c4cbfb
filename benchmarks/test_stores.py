"""A repository in an S3 store that answers every request 20 ms late: how much that matters.

The server is versitygw with its data in memory, and the delay is that of a proxy in this process;
holdfast and restic are processes of their own, as people run them. What is counted, requests and
bytes, does not depend on the machine and is held to bounds; of times only ratios mean something.

``make bench-stores`` runs it: `make test-servers` and `benchmarks/peers/get-peers` before.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING

import pytest
from tests.servers.proxy import Proxy
from tests.servers.s3 import REGION, Versity

from benchmarks.peers import datasets
from benchmarks.peers.works import MEMORY
from holdfast import environment

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture
    from tests.servers.base import Place

DELAY = 0.02
MIB = 1 << 20
ROUNDS = 3
PASSWORD = "benchmark"
LEAST = 0.8
"""How fast a backup must be with the delay, as a part of how fast it is without."""
MOST_REQUESTS = 20
MOST_BYTES = 2 * MIB
FILES = 100_000
LARGE = 10_000 * MIB
RESTIC = Path(".peers/restic")


@pytest.fixture(scope="module")
def work() -> Iterator[Path]:
    is_there = MEMORY.is_dir() and os.access(MEMORY, os.W_OK)
    with TemporaryDirectory(dir=MEMORY if is_there else None) as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def proxy(work: Path) -> Iterator[tuple[Versity, Proxy]]:
    folder = work / "server"
    folder.mkdir()
    server = Versity(folder)
    with Proxy(server.address) as proxy:
        yield server, proxy
    server.stop()


def settings(place: Place, work: Path) -> dict[str, str]:
    return {
        "PATH": environment.variable("PATH") or "",
        "HOME": str(work),
        "XDG_CACHE_HOME": str(work / "cache"),
        "AWS_ACCESS_KEY_ID": str(place.options["key"]),
        "AWS_SECRET_ACCESS_KEY": str(place.options["secret"]),
        "AWS_DEFAULT_REGION": REGION,
        "AWS_S3_ENDPOINT": str(place.options["endpoint_url"]),
        "HOLDFAST_REPOSITORY": place.location,
        "HOLDFAST_PASSWORD": PASSWORD,
        "PYTHONPATH": str(Path(__file__).parents[1] / "src"),
        "RESTIC_REPOSITORY": place.location.replace(
            "s3://", f"s3:{place.options['endpoint_url']}/"
        ),
        "RESTIC_PASSWORD": PASSWORD,
    }


def run(arguments: list[str], told: Mapping[str, str], stdin: int = subprocess.DEVNULL) -> float:
    """Run a command to its end; returns the seconds that it took."""
    begun = perf_counter()
    done = subprocess.run(arguments, env=told, stdin=stdin, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-4000:]
    return perf_counter() - begun


def holdfast(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "holdfast", *arguments]


def test_a_backup_hardly_notices_the_delay(
    benchmark: BenchmarkFixture, proxy: tuple[Versity, Proxy], work: Path
) -> None:
    """1 GB: small files, a tar of others, and bytes that cannot be compressed."""
    server, between = proxy
    source = work / "source"
    datasets.copy_files(source / "files", 20_000)
    files, size = datasets.size_of(source)
    datasets.make_tar(source / "tar", 350 * MIB)
    datasets.make_random(source / "random", 1_000_000_000 - size - 350 * MIB)
    restic = str(RESTIC.resolve())
    assert RESTIC.exists(), "run benchmarks/peers/get-peers .peers"
    seconds: dict[str, list[float]] = {"holdfast, no delay": [], "holdfast": [], "restic": []}

    def one_round() -> None:
        for name, taken in seconds.items():
            told = settings(between.place(server.place()), work)
            between.delay = 0.0
            is_restic = name == "restic"
            run([restic, "init"] if is_restic else holdfast("init"), told)
            between.delay = 0.0 if "no delay" in name else DELAY
            words = [restic, "backup"] if is_restic else holdfast("create")
            taken.append(run([*words, str(source)], told))
            shutil.rmtree(work / "cache", ignore_errors=True)

    benchmark.group = "stores"
    benchmark.pedantic(one_round, rounds=ROUNDS)  # type: ignore[no-untyped-call]
    found = {name: median(taken) for name, taken in seconds.items()}
    _, size = datasets.size_of(source)
    print(f"\nbackup of {size / 1e6:,.0f} MB, {files:,} files and two large ones, {ROUNDS} rounds:")
    for name, each in found.items():
        print(f"  {name:20} {each:6.2f} s")
    speed = found["holdfast, no delay"] / found["holdfast"]
    ratio = found["holdfast"] / found["restic"]
    print(f"  with the delay {speed:.2f} times as fast as without; {ratio:.2f} of restic's time")
    benchmark.extra_info |= {**found, "speed": speed, "ratio": ratio}
    shutil.rmtree(source)
    assert speed >= LEAST
    assert ratio <= 1


def test_an_unchanged_backup_asks_for_little(
    benchmark: BenchmarkFixture, proxy: tuple[Versity, Proxy], work: Path
) -> None:
    server, between = proxy
    source = work / "tiny"
    datasets.make_tiny(source, FILES)
    between.delay = DELAY
    told = settings(between.place(server.place()), work)
    run(holdfast("init"), told)
    # Twice: the first makes folders beside the source, so that the directory above it has changed,
    # which costs four requests more.
    for _ in range(2):
        run(holdfast("create", str(source)), told)
    between.forget()
    seconds = benchmark.pedantic(  # type: ignore[no-untyped-call]
        lambda: run(holdfast("create", str(source)), told), rounds=1
    )
    count = len(between.requests)
    moved = sum(request.sent + request.received for request in between.requests)
    print(
        f"\nunchanged backup of {FILES:,} files: {seconds:.2f} s, {count} requests, {moved:,} bytes"
    )
    benchmark.extra_info |= {"requests": count, "bytes": moved}
    shutil.rmtree(source)
    assert count <= MOST_REQUESTS


def test_one_small_file_of_a_large_repository(
    benchmark: BenchmarkFixture, proxy: tuple[Versity, Proxy], work: Path
) -> None:
    server, between = proxy
    source = work / "few"
    datasets.copy_files(source, 5_000)
    chosen = max(
        (path for path in source.rglob("*.py") if path.stat().st_size < 20_000),
        key=lambda path: path.stat().st_size,
    )
    between.delay = 0.0
    told = settings(between.place(server.place()), work)
    run(holdfast("init"), told)
    run(holdfast("create", str(source), "--label", "few"), told)
    with subprocess.Popen(
        ["head", "-c", str(LARGE), "/dev/urandom"], stdout=subprocess.PIPE
    ) as filling:
        assert filling.stdout is not None
        run(holdfast("create", "--stdin", "large"), told, filling.stdout.fileno())
    listed = subprocess.run(holdfast("--json", "list"), env=told, capture_output=True, check=True)
    (snapshot,) = (
        each["id"] for each in json.loads(listed.stdout)["snapshots"] if each["label"] == "few"
    )
    between.delay = DELAY
    between.forget()
    target = work / "restored"
    arguments = holdfast(
        "restore",
        "-s",
        f"{snapshot}:{chosen.parent}",
        "--include",
        str(chosen),
        "--target",
        str(target),
    )
    seconds = benchmark.pedantic(lambda: run(arguments, told), rounds=1)  # type: ignore[no-untyped-call]
    count = len(between.requests)
    moved = sum(request.sent + request.received for request in between.requests)
    _, stored = datasets.size_of(work / "server/objects")
    size = chosen.stat().st_size
    print(
        f"\none file of {size:,} bytes from {stored / 1e9:.1f} GB: {seconds:.2f} s, "
        f"{count} requests, {moved:,} bytes"
    )
    benchmark.extra_info |= {"requests": count, "bytes": moved, "stored": stored}
    assert (target / chosen.name).read_bytes() == chosen.read_bytes()
    assert moved <= MOST_BYTES
