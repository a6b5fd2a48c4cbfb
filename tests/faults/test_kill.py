"""A backup that is killed at any moment harms nothing, and the next one goes on from there.

A child process backs up, and is killed at a moment drawn anew for each round, from right after its
start to right after its end.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from hashlib import shake_256
from itertools import count
from pathlib import Path
from random import Random

import pytest

from holdfast.backend import LocalBackend
from holdfast.clock import SYSTEM_CLOCK
from holdfast.engine.repository import Repository
from holdfast.primitives.chunker import PROFILES
from holdfast.primitives.kdf import KdfParams
from holdfast.store import Settings, create_store

FILES = 14
SMALL = 100
LEVEL = 12
CHEAP = KdfParams(memory=19 << 10, passes=1, lanes=1)

# Time runs faster for the child, so that it writes several index objects in the short time that
# it is given. And compressing hard makes that time long enough to be hit anywhere.
CHILD = """
import sys, holdfast
from holdfast.clock import SystemClock

class Fast(SystemClock):
    def monotonic(self):
        return 10 * super().monotonic()

repo = holdfast.open(sys.argv[1], password="password", cache_dir=sys.argv[3], clock=Fast())
print("ready", flush=True)
print(repo.backup(sys.argv[2]).snapshot.id, flush=True)
"""


class Bench:
    """A repository, a tree to back up, and what every snapshot of it must hold."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.data = place / "data"
        (self.data / "small").mkdir(parents=True)
        (self.data / "kept").mkdir()
        backend = LocalBackend(place / "repo")
        settings = Settings(PROFILES["default"], 1 << 20, LEVEL)
        self.repo = Repository(
            create_store(backend, "password", settings, CHEAP, SYSTEM_CLOCK, None), SYSTEM_CLOCK
        )
        self.known: dict[str, dict[str, bytes]] = {}
        for number in range(SMALL):
            (self.data / f"small/{number}").write_bytes(text(500, f"small {number}"))
        (self.data / "kept/file").write_bytes(text(700_000, "kept"))

    def refill(self, number: int) -> int:
        """Give all large files a new content; returns how many bytes that are."""
        for index in range(FILES):
            (self.data / f"{index}").write_bytes(text(250_000, f"round {number}, file {index}"))
        return FILES * 250_000

    def start(self) -> subprocess.Popen[bytes]:
        """Start a backup in a process of its own; returns when it is about to begin."""
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, self.place / "repo", self.data, self.place / "cache"],
            stdout=subprocess.PIPE,
        )
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        return child

    def remember(self, snapshot: str) -> None:
        self.known[snapshot] = {
            path.relative_to(self.data).as_posix(): shake_256(path.read_bytes()).digest(16)
            for path in self.data.rglob("*")
            if path.is_file()
        }

    def verify(self, snapshot: str) -> None:
        """Read all of a snapshot and compare it with what was backed up."""
        archive = io.BytesIO()
        assert self.repo.dump(snapshot, self.data, archive).skipped == []
        archive.seek(0)
        with tarfile.open(fileobj=archive) as tar:
            found = {
                member.name.removeprefix("data/"): shake_256(file.read()).digest(16)
                for member in tar
                if (file := tar.extractfile(member)) is not None
            }
        assert found == self.known[snapshot]

    def listed(self, folder: str) -> set[str]:
        return {path.name for path in (self.place / "repo" / folder).glob("*")}


def text(size: int, seed: str) -> bytes:
    """Compressible bytes that no other seed gives."""
    return shake_256(seed.encode()).hexdigest(size // 2).encode()


def wait(child: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait for a process for some time; returns whether it has ended."""
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def kill(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()
    assert child.stdout is not None
    child.stdout.close()


@pytest.mark.fault(2)
@pytest.mark.timeout(600)
@pytest.mark.parametrize("rounds", [30, pytest.param(100, marks=pytest.mark.soak)])
def test_a_backup_that_is_killed_at_any_moment_harms_nothing(tmp_path: Path, rounds: int) -> None:
    shared = Path("/dev/shm")
    base = shared if os.access(shared, os.W_OK) else tmp_path
    place = base / f"holdfast-kill-{os.getpid()}"
    place.mkdir()
    try:
        attack(Bench(place), rounds)
    finally:
        subprocess.run(["rm", "-rf", place], check=True)


def attack(bench: Bench, rounds: int) -> None:
    random = Random(5)  # noqa: S311 - moments, not secrets
    bench.refill(0)
    seconds = duration(bench)
    killed = reused = indexed = 0
    for number in count(1):
        fresh = bench.refill(number)
        before = bench.listed("index")
        child = bench.start()
        was_running = not wait(child, random.uniform(0, seconds))
        kill(child)
        # Keeps to the real duration, whatever else this machine is doing: 3 of 4 are hit.
        seconds *= 1.03 if was_running else 0.92
        has_index = bench.listed("index") != before
        expect_unharmed(bench, random, thoroughly=number % 25 == 0)
        survived = {str(s.id) for s in bench.repo.snapshots()} - bench.known.keys()
        assert len(survived) <= 1
        assert was_running or survived
        for snapshot in survived:
            bench.remember(snapshot)
            bench.verify(snapshot)
        result = bench.repo.backup(bench.data)
        assert result.snapshot is not None
        assert result.errors == ()
        bench.remember(result.snapshot.id)
        bench.verify(result.snapshot.id)
        if has_index:
            indexed += 1
            assert result.data_added < fresh
        killed += not survived
        reused += not survived and result.data_added < fresh
        # The moments must meet all phases: before, between and after the first index object. How
        # long a backup takes changes with what else the machine does, so that may take more rounds.
        if number >= rounds and rounds // 2 <= killed < number and rounds // 20 <= reused < killed:
            break
        assert number < 6 * rounds, (killed, reused)
    for snapshot in bench.known:
        bench.verify(snapshot)
    report = bench.repo.check(read_data=True)
    assert report.valid, report.findings
    assert indexed >= reused


def duration(bench: Bench) -> float:
    """Seconds that a backup of this tree takes here and now."""
    child = bench.start()
    start = SYSTEM_CLOCK.monotonic()
    assert child.wait() == 0
    seconds = SYSTEM_CLOCK.monotonic() - start
    assert child.stdout is not None
    bench.remember(child.stdout.read().decode().strip())
    child.stdout.close()
    return seconds


def expect_unharmed(bench: Bench, random: Random, *, thoroughly: bool) -> None:
    assert bench.known.keys() <= {s.id for s in bench.repo.snapshots()}
    earlier = random.choice(sorted(bench.known))
    bench.verify(earlier)
    report = bench.repo.check(None if thoroughly else [earlier], read_data=thoroughly)
    assert report.valid, report.findings
