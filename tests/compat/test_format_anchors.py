"""Anchors of audit trails: F57 and F58 of docs/format.md."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.compat import reader
from tests.compat.making import flip, names, new_repository, opened

import holdfast
from holdfast.backend import Faulty, LocalBackend, NoFault
from holdfast.clock import SYSTEM_CLOCK
from holdfast.engine.repository import Repository
from holdfast.platform.audit import AuditTrail
from holdfast.store.envelope import object_epoch

TRAIL = "ab" * 16
DIGEST = "cd" * 32


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "repo"


@pytest.fixture
def repository(place: Path) -> Repository:
    return new_repository(place)


@pytest.mark.format("F57")
def test_the_record_of_an_anchor(repository: Repository, place: Path) -> None:
    before = SYSTEM_CLOCK.now_ns()
    made = repository.anchor_audit(TRAIL, 12, DIGEST, place="/größe")
    (name,) = names(place, "audit")
    assert made.name == name
    assert name.startswith(f"audit/{TRAIL}/12-")
    ((found, record),) = opened(place).anchors(TRAIL).items()
    assert found == name
    assert sorted(record) == ["digest", "host", "place", "time", "user"]
    assert record["digest"] == bytes.fromhex(DIGEST)
    assert (record["host"], record["place"]) == (os.uname().nodename, "/größe")
    assert before <= reader.want(record["time"], int) <= SYSTEM_CLOCK.now_ns()
    assert list(repository.audit_anchors()) == [made]
    assert (made.trail, made.sequence, made.digest) == (TRAIL, 12, DIGEST)


@pytest.mark.format("F57", "F12")
def test_a_changed_anchor_is_refused(repository: Repository, place: Path) -> None:
    repository.anchor_audit(TRAIL, 0, DIGEST)
    (name,) = names(place, "audit")
    assert repository.check().findings == ()
    for position in (0, 8, 9, 12, 16, 48, -1):
        flip(place, name, position)
        with pytest.raises(reader.RefusedError):
            opened(place).anchors(TRAIL)
        assert [each.object for each in repository.check().errors] == [name]
        assert list(repository.audit_anchors()) == []
        flip(place, name, position)
    # Nor does it say anything of another trail or entry.
    moved = place / name.replace("/0-", "/7-")
    (place / name).rename(moved)
    assert list(repository.audit_anchors()) == []


@pytest.mark.format("F57")
@pytest.mark.parametrize(
    ("trail", "sequence", "digest"),
    [("AB" * 16, 0, DIGEST), (TRAIL, -1, DIGEST), (TRAIL, 10**15, DIGEST), (TRAIL, 0, "x")],
)
def test_what_is_no_anchor_is_not_put(
    repository: Repository, place: Path, trail: str, sequence: int, digest: str
) -> None:
    with pytest.raises(holdfast.UsageError, match="no audit trail"):
        repository.anchor_audit(trail, sequence, digest)
    assert not (place / "audit").exists()


@pytest.mark.format("F58")
def test_an_older_anchor_goes_only_after_the_new_one_is_there(
    repository: Repository, place: Path, tmp_path: Path
) -> None:
    trail = AuditTrail(tmp_path / "audit.jsonl")
    trail.record("backup")
    first = trail.anchor(repository)
    trail.record("backup")
    storage = Faulty(LocalBackend(place), NoFault())
    repository._store.backend = storage
    second = trail.anchor(repository)
    assert first is not None
    assert second is not None
    changes = [call[1:] for call in storage.calls if call.verb not in {"get", "list", "stat"}]
    assert changes == [("put", second.name), ("delete", first.name)]


@pytest.mark.format("F58")
def test_a_reclaim_leaves_anchors_alone(repository: Repository, place: Path) -> None:
    made = [repository.anchor_audit(TRAIL, number, DIGEST) for number in (3, 3, 4)]
    repository.prune()
    assert names(place, "audit") == sorted(each.name for each in made)
    assert [each.sequence for each in repository.audit_anchors(TRAIL)] == [4, 3, 3]
    assert list(repository.audit_anchors("00" * 16)) == []


@pytest.mark.format("F49", "F57")
def test_a_rotation_seals_anchors_anew(repository: Repository, place: Path) -> None:
    made = repository.anchor_audit(TRAIL, 3, DIGEST)
    done = repository.rotate_keys(password="another")
    assert done.finished
    assert object_epoch(made.name, (place / made.name).read_bytes()) == 1
    assert list(repository.audit_anchors()) == [made]
    assert list(opened(place, "another").anchors(TRAIL)) == [made.name]
    assert repository.check().findings == ()


@pytest.mark.format("F57")
def test_an_anchor_can_be_looked_at(repository: Repository) -> None:
    made = repository.anchor_audit(TRAIL, 3, DIGEST, place="/srv")
    found = repository.cat("anchor", made.name.rpartition("/")[2])
    assert isinstance(found, dict)
    assert (found["digest"], found["place"]) == (DIGEST, "/srv")
