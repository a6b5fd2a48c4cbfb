"""A process that does one kind of work on a repository until it is killed.

``python -m tests.soak.worker ROLE PLACE SEED``, with the role ``writer``, ``pruner`` or
``forgetter``. What it has done, and what it is about to do where that matters, it writes line by
line to a file, so that nothing it was told is lost with it.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from hashlib import shake_256
from pathlib import Path
from random import Random

import holdfast
from holdfast.testing.repositories import PASSWORD

POOL = 60
"""Contents that all sources are made of."""

KEPT = 10
"""Snapshots that the forgetter leaves."""

EXPIRE_AFTER = 2.0
"""Seconds of silence, few enough that writers at work are declared dead."""


def expected(label: str) -> dict[str, bytes]:
    """The files that a snapshot of this label holds."""
    random = Random(f"source {label}")
    numbers = sorted(random.sample(range(POOL), 12))
    return {f"{number % 3}/{number}": _content(number) for number in numbers}


def _content(number: int) -> bytes:
    return shake_256(number.to_bytes(4, "little")).digest(number * number * 12)


class Worker:
    """One process's work."""

    def __init__(self, role: str, place: Path, seed: str) -> None:
        self._random = Random(f"{role} {seed}")
        self._source = place / f"source-{role}-{seed}"
        self._seed = seed
        self._place = place
        self._log = os.open(place / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._work: Callable[[holdfast.Repository], None]
        self._work = {"writer": self._write, "pruner": self._prune, "forgetter": self._forget}[role]

    def run(self) -> None:
        """Work for ever."""
        while True:
            try:
                with holdfast.open(
                    self._place / "repo", password=PASSWORD, cache_dir=self._place / "cache"
                ) as repo:
                    for _ in range(self._random.randint(1, 5)):
                        self._work(repo)
            except holdfast.HoldfastError as error:
                self._tell("failed", type(error).__name__, str(error))
            except BaseException:
                self._tell("bug", repr(traceback.format_exc()))
                raise

    def _tell(self, *words: str) -> None:
        os.write(self._log, (" ".join(words) + "\n").encode())

    def _write(self, repo: holdfast.Repository) -> None:
        label = f"{self._seed}-{self._random.getrandbits(32):x}"
        files = expected(label)
        for folder in ("0", "1", "2"):
            (self._source / folder).mkdir(parents=True, exist_ok=True)
        for file in self._source.glob("*/*"):
            if str(file.relative_to(self._source)) not in files:
                file.unlink()
        for name, content in files.items():
            if not (self._source / name).exists():
                (self._source / name).write_bytes(content)
        result = repo.backup(self._source, label=label)
        assert result.snapshot is not None
        assert result.errors == ()
        self._tell("made", result.snapshot.id)

    def _prune(self, repo: holdfast.Repository) -> None:
        result = repo.prune(
            max_unused=self._random.choice(("0", "10%")),
            wait=self._random.random() < 0.7,
            expire_after=EXPIRE_AFTER,
            force=True,
        )
        self._tell("pruned", str(result.packs_deleted))

    def _forget(self, repo: holdfast.Repository) -> None:
        snapshots = [snapshot.id for snapshot in repo.snapshots()]
        if len(snapshots) > KEPT:
            chosen = self._random.sample(snapshots, len(snapshots) - KEPT)
            for id_ in chosen:
                self._tell("forgetting", id_)
            repo.forget(chosen, force=True)
            self._tell("forgot")
        elif gone := repo.forgotten():
            made = repo.undelete(self._random.choice(gone).snapshot.id)
            self._tell("made", made.id)


if __name__ == "__main__":
    Worker(sys.argv[1], Path(sys.argv[2]), sys.argv[3]).run()
