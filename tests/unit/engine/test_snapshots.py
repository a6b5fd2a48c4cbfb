"""Finding the snapshot that a name means, also when another one is damaged."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

import holdfast
from holdfast.operations import check as checking

if TYPE_CHECKING:
    from pathlib import Path

    from holdfast import CheckReport


@pytest.fixture
def repo(tmp_path: Path) -> holdfast.Repository:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/file").write_text("content")
    repo = holdfast.init(tmp_path / "repo", password="a long password", cache=False)
    for day, host in ((1, "one"), (2, "two"), (3, "one")):
        when = datetime(2026, 1, day, tzinfo=UTC)
        repo.backup(tmp_path / "data", host=host, tags=[f"day{day}"], time=when)
    return repo


def damage(tmp_path: Path, snapshot: holdfast.Snapshot) -> None:
    path = tmp_path / "repo/snapshots" / snapshot.id
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_snapshots_are_filtered_and_ordered(repo: holdfast.Repository, tmp_path: Path) -> None:
    assert [s.time.day for s in repo.snapshots()] == [1, 2, 3]
    assert [s.time.day for s in repo.snapshots(host="one")] == [1, 3]
    assert [s.time.day for s in repo.snapshots(tags="day2")] == [2]
    assert [s.time.day for s in repo.snapshots(since=datetime(2026, 1, 2, tzinfo=UTC))] == [2, 3]
    assert [s.time.day for s in repo.snapshots(until=datetime(2026, 1, 2, tzinfo=UTC))] == [1, 2]
    assert len(repo.snapshots(paths=str(tmp_path / "data"))) == 3
    assert repo.snapshots(paths="/elsewhere") == []


def test_a_name_means_one_snapshot(repo: holdfast.Repository) -> None:
    first, second, third = repo.snapshots()
    assert repo.snapshot("latest") == third
    assert repo.snapshot("latest~2") == first
    assert repo.snapshot(second.id) == second
    assert repo.snapshot("2026-01-02T12:00:00+00:00") == second
    with pytest.raises(holdfast.SnapshotNotFound, match="snapshot ffffffffffff not found"):
        repo.snapshot("ffffffffffff")
    with pytest.raises(holdfast.SnapshotNotFound):
        repo.snapshot("")  # the beginning of every id, and so none


def test_a_beginning_of_several_ids_is_refused(repo: holdfast.Repository, tmp_path: Path) -> None:
    while len({snapshot.id[0] for snapshot in repo.snapshots()}) == len(repo.snapshots()):
        repo.backup(tmp_path / "data")
    first = [snapshot.id[0] for snapshot in repo.snapshots()]
    with pytest.raises(holdfast.AmbiguousSnapshot):
        repo.snapshot(next(digit for digit in first if first.count(digit) > 1))


def test_the_parent_is_of_the_same_host_and_paths(
    repo: holdfast.Repository, tmp_path: Path
) -> None:
    first, second, third = repo.snapshots()
    assert (first.parent, second.parent, third.parent) == (None, None, first.id)
    chosen = repo.backup(tmp_path / "data", host="one", parent=second.short_id).snapshot
    assert chosen is not None
    assert chosen.parent == second.id


def test_latest_is_not_guessed_when_a_snapshot_is_damaged(
    repo: holdfast.Repository, tmp_path: Path
) -> None:
    first, second, third = repo.snapshots()
    damage(tmp_path, third)
    with pytest.raises(holdfast.DamagedRepository, match=third.id):
        repo.snapshot("latest")
    with pytest.raises(holdfast.DamagedRepository, match=third.id):
        repo.snapshot(third.short_id)
    assert repo.snapshot(first.short_id) == first
    assert repo.snapshots() == [first, second]


def test_a_whole_id_takes_reading_that_snapshot_only(
    repo: holdfast.Repository, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, _, third = repo.snapshots()
    damage(tmp_path, third)
    assert repo.snapshot(first.id) == first
    told = [each for each in caplog.records if each.name.startswith("holdfast")]
    assert not told  # the damaged one was not even looked at
    with pytest.raises(holdfast.DamagedRepository, match=third.id):
        repo.snapshot(third.id)


def test_a_backup_goes_on_beside_a_damaged_snapshot(
    repo: holdfast.Repository, tmp_path: Path
) -> None:
    first, _, third = repo.snapshots()
    damage(tmp_path, third)
    made = repo.backup(tmp_path / "data", host="one").snapshot
    assert made is not None
    assert made.parent == first.id


@pytest.mark.fault(7)
def test_damage_ends_a_check_however_many_snapshots_go_meanwhile(
    repo: holdfast.Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in (4, 5, 6):
        repo.backup(tmp_path / "data", time=datetime(2026, 1, day, tzinfo=UTC))
    known = repo.snapshots()
    damage(tmp_path, known[0])
    looks: list[CheckReport] = []
    check = checking.check

    def busy(*args: object) -> CheckReport:
        looks.append(check(*args))  # type: ignore[arg-type]
        repo.forget(known[len(looks)].id, force=True)
        return looks[-1]

    monkeypatch.setattr(checking, "check", busy)
    assert not repo.check().valid
    assert len(looks) == 2
