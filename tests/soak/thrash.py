"""Writers, pruners and a forgetter on one repository, killed at random and started again.

``python -m tests.soak.thrash --minutes 60`` lets them (`make thrash`).

At sampled moments all of them are stopped where they are, and every snapshot that there is must
be whole; at the end, after a last prune, nothing must be left that no snapshot needs.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from tests.simulation.ledger import Files, Ledger, Violation
from tests.soak.worker import expected

from holdfast.backend import LocalBackend
from holdfast.clock import SYSTEM_CLOCK
from holdfast.engine.repository import Repository
from holdfast.model.snapshot import Snapshot
from holdfast.store import Store
from holdfast.testing.repositories import new_store, reopened

ROLES = ["writer"] * 4 + ["pruner"] * 2 + ["forgetter"]
LIVES = 6.0
"""How much longer a process lives, on average, than it takes to start and make one backup."""

BETWEEN_SAMPLES = 2.0

ENOUGH = {"made": 20, "forgot": 3, "pruned": 3, "deleted packs": 20, "kills": 20, "samples": 5}
"""What must have been done before an end, so that it has proved something."""


class Thrash:
    """A repository and those who work on it."""

    def __init__(self, place: Path, seed: int) -> None:
        self._life = 0.0
        self._kills = self._samples = 0
        self._place = place
        self._seed = seed
        self._random = Random(f"thrash {seed}")
        self._started = 0
        (place / "log").touch()
        new_store(LocalBackend(place / "repo")).close()

    def run(self, seconds: float) -> Counter[str]:
        """Let them work, and return what they did how often.

        Args:
            seconds: at least; it goes on until enough has been done.

        Raises:
            Violation: something was not as it must always be.
        """
        self._life = LIVES * self._first_backup()
        end = time.monotonic() + seconds
        workers = {number: self._start(role) for number, role in enumerate(ROLES)}
        deaths = {number: self._death() for number in workers}
        sample = time.monotonic() + BETWEEN_SAMPLES
        try:
            while time.monotonic() < end or not self._is_enough():
                first = min(deaths, key=lambda number: deaths[number])
                time.sleep(max(0.0, min(deaths[first], sample) - time.monotonic()))
                if time.monotonic() >= sample:
                    self._sample(list(workers.values()))
                    sample = time.monotonic() + BETWEEN_SAMPLES
                else:
                    self._kill(workers[first])
                    self._kills += 1
                    workers[first] = self._start(ROLES[first])
                    deaths[first] = self._death()
        finally:
            for worker in workers.values():
                self._kill(worker)
        self._look()
        self._clear_up()
        return self._done()

    def _first_backup(self) -> float:
        """Seconds until a writer has made its first snapshot here and now."""
        begin = time.monotonic()
        worker = self._start("writer")
        while not self._done()["made"]:
            time.sleep(0.05)
        self._kill(worker)
        return time.monotonic() - begin

    def _is_enough(self) -> bool:
        done = self._done()
        return all(done[what] >= count for what, count in ENOUGH.items())

    def _start(self, role: str) -> subprocess.Popen[bytes]:
        self._started += 1
        seed = f"{self._seed}.{self._started}"
        return subprocess.Popen(
            [sys.executable, "-m", "tests.soak.worker", role, self._place, seed],
            cwd=Path(__file__).parents[2],
        )

    def _death(self) -> float:
        return time.monotonic() + self._random.expovariate(1 / self._life)

    @staticmethod
    def _kill(worker: subprocess.Popen[bytes]) -> None:
        worker.kill()
        worker.wait()

    def _sample(self, workers: list[subprocess.Popen[bytes]]) -> None:
        for worker in workers:
            worker.send_signal(signal.SIGSTOP)
        try:
            self._look()
        finally:
            for worker in workers:
                worker.send_signal(signal.SIGCONT)
        self._samples += 1

    def _look(self) -> Ledger:
        """Read every snapshot, while nothing moves."""
        ledger = Ledger(self._store(), _expected)
        ledger.look()
        lines = self._lines()
        made = {id_ for verb, _, id_ in lines if verb == "made"}
        given_up = {id_ for verb, _, id_ in lines if verb == "forgetting"}
        if lost := made - given_up - ledger.snapshots.keys():
            raise Violation(f"snapshots have gone that nobody forgot: {sorted(lost)}")
        return ledger

    def _clear_up(self) -> None:
        for _ in range(2):  # the first declares dead sessions dead, whose packs the second takes
            repo = Repository(self._store(), SYSTEM_CLOCK)
            repo.prune(max_unused="0", wait=True, expire_after=0.5, force=True)
        if left := self._look().unneeded():
            raise Violation(f"nobody needs these packs: {sorted(left)}")
        report = Repository(self._store(), SYSTEM_CLOCK).check(read_data=True)
        if not report.valid:
            raise Violation(f"check finds {report.findings}")

    def _store(self) -> Store:
        return reopened(LocalBackend(self._place / "repo"))

    def _lines(self) -> list[tuple[str, str, str]]:
        log = self._place / "log"
        return [line.partition(" ") for line in log.read_text().splitlines()]

    def _done(self) -> Counter[str]:
        lines = self._lines()
        if bugs := [rest for verb, _, rest in lines if verb == "bug"]:
            raise Violation(f"a process ended by itself: {bugs[0]}")
        done = Counter(verb for verb, _, _ in lines)
        done.update(f"failed: {rest.split()[0]}" for verb, _, rest in lines if verb == "failed")
        done["deleted packs"] = sum(int(rest) for verb, _, rest in lines if verb == "pruned")
        done["kills"], done["samples"] = self._kills, self._samples
        return done


def _expected(snapshot: Snapshot) -> Files:
    return expected(snapshot.label)


def thrash(seed: int, seconds: float) -> Counter[str]:
    """Thrash a new repository, in memory where that is possible; returns what was done.

    Raises:
        Violation: something was not as it must always be.
    """
    shared = Path("/dev/shm")
    base = shared if os.access(shared, os.W_OK) else None
    with TemporaryDirectory(prefix="holdfast-thrash-", dir=base) as place:
        done = Thrash(Path(place), seed).run(seconds)
    print(f"seed {seed}, {seconds / 60:.1f} minutes: {dict(done)}")
    return done


def main() -> None:
    """Thrash as long as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.thrash", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=3)
    options = parser.parse_args()
    thrash(options.seed, 60 * options.minutes)


if __name__ == "__main__":
    main()
