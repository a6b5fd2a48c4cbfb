"""How much is found, and how much is made up, on histories with known answers.

The table in docs/guide/anomalies.md is of more seeds: python -m tests.integration.anomaly_scores.
"""

from __future__ import annotations

import pytest
from tests.integration.anomaly_cases import WRONG, histories
from tests.integration.anomaly_scores import score

AMOUNTS = [
    pytest.param(range(100, 101), 3, id="some"),
    pytest.param(range(101, 105), 1, id="all", marks=pytest.mark.soak),
]


@pytest.mark.parametrize(("seeds", "step"), AMOUNTS)
@pytest.mark.parametrize("held_out", [False, True], ids=["first", "held-out"])
def test_precision_and_recall(seeds: range, step: int, held_out: bool) -> None:
    scores = score(seeds, held_out=held_out, first=int(held_out), step=step)
    assert scores.reading.recall >= 0.93, scores.reading.mistakes  # one of sixteen may be missed
    assert scores.reading.precision >= 0.93, scores.reading.mistakes
    assert scores.index.recall >= 0.5, scores.index.mistakes
    assert scores.index.precision >= 0.9, scores.index.mistakes


def test_the_last_clean_state_of_a_slow_attack_can_be_restored(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    slow = next(case for case in WRONG if case.name == "encrypted over six days")
    target = tmp_path_factory.mktemp("restored")
    with histories(7, held_out=False) as lives, lives.lived(slow) as repo:
        known = repo.snapshots()
        found = repo.anomalies(snapshots=["latest"])
        clean = found[0].clean
        assert clean == known[-7]
        result = repo.restore(clean.id, target)
        assert not result.errors
        assert not any(each.is_alarm for each in repo.anomalies(snapshots=[clean.id]))
    texts = [path for path in target.rglob("*.txt") if path.is_file()]
    assert texts
    assert all(path.read_bytes().isascii() for path in texts)
