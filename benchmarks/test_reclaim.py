"""How much is left after half of the snapshots are forgotten, beside a fresh repository."""

from __future__ import annotations

import random  # noqa: TID251 - seeded, to be the same each time
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import holdfast
from holdfast.backend import LocalBackend
from holdfast.clock import SYSTEM_CLOCK
from holdfast.engine.repository import Repository
from holdfast.primitives.chunker import PROFILES
from holdfast.store import Settings
from holdfast.testing.repositories import new_store

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

SNAPSHOTS = 20
CHANGED = 0.05
FILES = 4000
MOST = 1.06
"""Bytes after forget and prune for every byte of a fresh repository that holds only the rest."""


def repository(place: Path) -> Repository:
    """A repository with the settings that users get, quick to open."""
    settings = Settings(PROFILES["default"], 16 << 20, 3)
    return Repository(new_store(LocalBackend(place), settings=settings), SYSTEM_CLOCK)


class Tree:
    """Some thousand files, half of them text and a few large, of which some change every day."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self._random = random.Random(2026)  # noqa: S311 - to be the same each time
        self._words = [self._random.randbytes(4).hex().encode() for _ in range(5000)]
        for number in range(FILES):
            self._write(number)

    def _write(self, number: int) -> None:
        path = self.top / f"{number % 40:02}" / f"{number:05}"
        path.parent.mkdir(parents=True, exist_ok=True)
        size = int(self._random.lognormvariate(8.5, 1.6))
        if number % 2:
            path.write_bytes(b" ".join(self._random.choices(self._words, k=size // 9 + 1)))
        else:
            path.write_bytes(self._random.randbytes(size))

    def change(self) -> None:
        """Another day's work: most of it in a few directories, as work is."""
        busy = self._random.sample(range(40), 8)
        for _ in range(int(FILES * CHANGED)):
            directory = self._random.choice(busy)
            self._write(self._random.randrange(FILES // 40) * 40 + directory)


def size_of(place: Path) -> int:
    return sum(path.stat().st_size for path in place.rglob("*") if path.is_file())


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    shutil.rmtree(tmp_path)


def test_size_after_forgetting_half(work: Path, benchmark: BenchmarkFixture) -> None:
    tree = Tree(work / "tree")
    full, rest = repository(work / "full"), repository(work / "rest")
    gone = []
    for number in range(SNAPSHOTS):
        snapshot = full.backup(tree.top).snapshot
        assert snapshot is not None
        if number % 2:
            rest.backup(tree.top)
        else:
            gone.append(snapshot.id)
        tree.change()
    before = size_of(work / "full")
    full.forget(gone)

    def reclaim() -> holdfast.PruneResult:
        return full.prune(force=True)

    result: holdfast.PruneResult = benchmark.pedantic(reclaim, rounds=1)  # type: ignore[no-untyped-call]
    after, fresh = size_of(work / "full"), size_of(work / "rest")
    print(
        f"\n{SNAPSHOTS} snapshots: {before:,} bytes; half forgotten and pruned: {after:,}; "
        f"a fresh repository with the rest: {fresh:,}; ratio {after / fresh:.4f}; "
        f"{result.packs_repacked} of {result.packs} packs stored anew"
    )
    assert full.check(read_data=True).valid
    assert after <= MOST * fresh
