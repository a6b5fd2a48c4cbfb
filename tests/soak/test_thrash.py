"""Four writers, two pruners and a forgetter, killed at random: see `tests.soak.thrash`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from tests.soak.thrash import ENOUGH, Thrash


def thrash(tmp_path: Path, seed: int, seconds: float) -> None:
    shared = Path("/dev/shm")
    base = shared if os.access(shared, os.W_OK) else tmp_path
    place = base / f"holdfast-thrash-{os.getpid()}"
    place.mkdir()
    try:
        done = Thrash(place, seed).run(seconds)
    finally:
        shutil.rmtree(place)
    print(f"seed {seed}: {dict(done)}")
    assert ENOUGH.keys() <= done.keys()


@pytest.mark.fault(2, 3, 25, 26)
@pytest.mark.timeout(300)
def test_a_repository_that_everybody_works_on_and_dies(tmp_path: Path) -> None:
    thrash(tmp_path, 1, 5.0)


@pytest.mark.fault(2, 3, 25, 26)
@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_the_same_for_five_minutes(tmp_path: Path) -> None:
    thrash(tmp_path, 2, 300.0)
