"""Row by row: what a `BackupManager` does."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.unit.platform.managers.scene import Scene

import holdfast
from holdfast import BackupManager, BackupType, RetentionPolicy, UsageError
from holdfast.backend import LocalBackend
from holdfast.platform.managers import check_backup_freshness
from holdfast.platform.workspace import Workspace
from holdfast.primitives.kdf import KDF_PROFILES
from holdfast.testing.repositories import PASSWORD, QUICK_KDF, ManualClock


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path)
    scene.tree()
    yield scene
    scene.close()


def manager_at(location: Path, folder: Path, password: str = PASSWORD) -> BackupManager:
    return BackupManager(location, password=password, workspace=Workspace(folder), cache=False)


def test_r23_backend_and_password_file_are_the_first_arguments(scene: Scene) -> None:
    file = scene.folder / "password"
    file.write_text(PASSWORD)
    file.chmod(0o600)
    by_place = BackupManager(str(scene.location), str(file), workspace=scene.workspace, cache=False)
    by_name = BackupManager(
        backend=f"file://{scene.location}",
        password_file=file,
        workspace=scene.workspace,
        cache=False,
    )
    with by_place, by_name:
        assert by_place.list_snapshots() == by_name.list_snapshots() == []
        assert by_place.repository.id == by_name.repository.id


def test_r24_a_repository_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KDF_PROFILES, "default", QUICK_KDF)
    with manager_at(tmp_path / "new", tmp_path / "state") as manager:
        with pytest.raises(holdfast.RepositoryNotFound):
            manager.list_snapshots()
        made = manager.init_repository()
        assert made["repository"] == manager.repository.id
        with pytest.raises(holdfast.RepositoryExists):
            manager.init_repository()
        told = [(each.event, each.result) for each in manager.workspace.audit.entries()]
    assert told[-3:] == [("open-failed", "failed"), ("init", "ok"), ("init", "failed")]


def test_r25_several_sources_are_one_snapshot(scene: Scene) -> None:
    other = scene.folder / "other"
    other.mkdir()
    scene.backup.create_backup([str(scene.source), other], tags=["x", "y"], exclude=["*.tmp"])
    (found,) = scene.backup.list_snapshots()
    assert found["paths"] == sorted([str(scene.source), str(other)])
    assert found["files"] == 2


def test_r26_what_a_backup_tells(scene: Scene) -> None:
    first = scene.backup.create_backup([scene.source])
    assert (first["files_new"], first["files_changed"]) == (3, 0)
    assert isinstance(first["data_added"], int)
    assert first["data_added"] > 0
    (scene.source / "b.tmp").write_text("changed")
    second = scene.backup.create_backup([scene.source])
    assert (second["files_new"], second["files_changed"], second["files_unmodified"]) == (0, 1, 2)
    assert {"errors", "duration", "directories", "bytes_processed", "repository"} <= second.keys()
    assert scene.events("backup") == ["ok", "ok"]


def test_r27_x15_there_is_one_encryption(scene: Scene) -> None:
    assert scene.backup.create_backup(scene.source, encryption="AES256")["snapshot_id"]
    with pytest.raises(UsageError, match="AES256 only"):
        scene.backup.create_backup(scene.source, encryption="none")


@pytest.mark.parametrize("verify", [False, True])
def test_r28_r118_progress_ends_at_100(scene: Scene, *, verify: bool) -> None:
    told: list[float] = []
    scene.backup.create_backup(scene.source, progress_callback=told.append, verify=verify)
    assert told == sorted(told)
    assert (told[-1], told.count(100.0)) == (100.0, 1)
    assert min(told) >= 0
    told.clear()
    scene.backup.create_backup(
        scene.source, progress_callback=told.append, verify=verify, dry_run=True
    )
    assert told[-1] == 100.0


def test_r29_snapshots_are_listed_by_tag_and_days(scene: Scene) -> None:
    old = datetime.now(UTC) - timedelta(days=9)
    scene.backup.create_backup(scene.source, tags=["daily"], time=old)
    new = scene.backup.create_backup(scene.source, tags=["daily", "pii"])
    assert len(scene.backup.list_snapshots(tag="daily")) == 2
    (found,) = scene.backup.list_snapshots(tag="daily", days=7)
    assert found["id"] == new["snapshot_id"]
    assert str(found["id"]).startswith(str(found["short_id"]))
    assert datetime.fromisoformat(str(found["time"])).tzinfo is not None
    assert {"tags", "paths", "hostname", "size"} <= found.keys()


def test_r30_r110_a_prune_tells_before_what_it_does(scene: Scene) -> None:
    for number in range(3):
        (scene.source / "a.txt").write_bytes(b"%d" % number * 50_000)
        scene.backup.create_backup(scene.source)
    plan = scene.backup.prune_snapshots({"keep_last": 1}, dry_run=True, force=True)
    assert len(scene.backup.list_snapshots()) == 3
    (kept,) = _dicts(plan["kept"])
    assert kept["reasons"] == ["last snapshot"]
    assert isinstance(plan["bytes_freed"], int)
    assert plan["bytes_freed"] > 0
    done = scene.backup.prune_snapshots(RetentionPolicy(keep_last=1), force=True)
    assert done["removed"] == plan["removed"]
    assert [each["id"] for each in scene.backup.list_snapshots()] == [kept["id"]]
    assert scene.events("prune") == ["ok", "ok"]


def test_r31_status_of_what_is_there(scene: Scene) -> None:
    made = scene.backup.create_backup(scene.source)
    status = scene.backup.get_status()
    assert (status["reachable"], status["initialised"], status["usable"]) == (True, True, True)
    assert (status["snapshot_count"], status["last_snapshot"]) == (1, made["snapshot_id"])
    assert status["fresh"] is True
    assert status["error"] is None
    assert status["recent_failures"] == []


def test_r31_status_of_what_is_not(tmp_path: Path, scene: Scene) -> None:
    with manager_at(tmp_path / "nowhere", tmp_path / "s1") as manager:
        status = manager.get_status()
        assert (status["reachable"], status["initialised"], status["usable"]) == (
            True,
            False,
            False,
        )
    with manager_at(scene.location, tmp_path / "s2", "wrong") as manager:
        status = manager.get_status()
        assert (status["initialised"], status["usable"]) == (True, False)
        (failure,) = _dicts(status["recent_failures"])
        assert failure["event"] == "open-failed"
        (entry,) = manager.workspace.audit.entries(event="open-failed")
        assert entry.result == "denied"
        assert "wrong" not in str(entry.details["location"])


def test_r32_stats_have_the_ratios(scene: Scene) -> None:
    scene.backup.create_backup(scene.source)
    scene.backup.create_backup(scene.source)
    stats = scene.backup.get_stats()
    dedup, compression = stats["dedup_ratio"], stats["compression_ratio"]
    assert isinstance(dedup, float)
    assert isinstance(compression, float)
    assert dedup >= 2
    assert stats["efficiency"] == pytest.approx(dedup * compression)
    assert stats["snapshot_count"] == 2


def test_r33_r37_several_threads_share_one_manager(scene: Scene) -> None:
    folders = []
    for number in range(6):
        folder = scene.folder / f"folder {number}"
        folder.mkdir()
        (folder / "same").write_bytes(b"the same in all" * 9000)
        (folder / "own").write_text(f"of {number}")
        folders.append(folder)
    fresh = manager_at(scene.location, scene.folder / "other state")
    with fresh, ThreadPoolExecutor(max_workers=3) as pool:
        made = list(pool.map(lambda folder: fresh.create_backup([folder]), folders))
        stats = fresh.get_stats()
        assert len({each["snapshot_id"] for each in made}) == 6
        for folder, each in zip(folders, made, strict=True):
            inside = fresh.repository.listdir(str(each["snapshot_id"]), str(folder))
            assert [entry.name for entry in inside] == ["own", "same"]
        assert isinstance(stats["dedup_ratio"], float)
        assert stats["dedup_ratio"] > 5
        assert fresh.repository.check(read_data=True).valid


def test_r35_x4_types_are_recorded_and_mean_something(scene: Scene) -> None:
    kinds = ["incremental", "full", BackupType.INCREMENTAL, "DIFFERENTIAL"]
    made = [scene.backup.create_backup(scene.source, backup_type=kind) for kind in kinds]
    found = [each["backup_type"] for each in made]
    assert found == ["full", "full", "incremental", "differential"], "the first has no other"
    assert made[2]["parent_id"] == made[1]["snapshot_id"]
    assert made[3]["parent_id"] == made[1]["snapshot_id"], "not the latest but the latest full one"
    assert [each["backup_type"] for each in scene.backup.list_snapshots()] == found
    assert scene.repository.snapshot(str(made[1]["snapshot_id"])).how["forced"] is True
    with pytest.raises(UsageError, match="unknown backup type"):
        scene.backup.create_backup(scene.source, backup_type="synthetic")


def test_r38_classification_is_by_tags(scene: Scene) -> None:
    for word in ("pii", "public"):
        scene.backup.create_backup(
            scene.source, tags=["classified" * (word == "pii") or word, word]
        )
    assert len(scene.backup.list_snapshots(tag="pii")) == 1
    plan = scene.backup.prune_snapshots({"keep_tags": ["pii"]}, dry_run=True)
    assert len(_dicts(plan["kept"])) == 1


def test_r47_verification_after_a_backup_raises(scene: Scene) -> None:
    good = scene.backup.create_backup(scene.source, verify=True)
    assert good["verified"] is True
    damage(scene)
    with pytest.raises(holdfast.DamagedRepository):
        scene.backup.create_backup(scene.source, verify=True)
    assert scene.events("backup") == ["ok", "failed"]
    assert len(scene.backup.list_snapshots()) == 2


def test_r210_files_that_cannot_be_read_are_data(scene: Scene) -> None:
    result = scene.backup.create_backup([scene.source, scene.folder / "missing"])
    (error,) = _dicts(result["errors"])
    assert str(error["path"]).endswith("missing")
    assert scene.events("backup") == ["partial"]
    with pytest.raises(holdfast.SourceError):
        scene.backup.create_backup(scene.folder / "missing")


def test_r109_a_policy_without_rules_removes_nothing(scene: Scene) -> None:
    scene.backup.create_backup(scene.source)
    with pytest.raises(UsageError):
        scene.backup.prune_snapshots({})
    assert len(scene.backup.list_snapshots()) == 1


def test_r107_r108_r111_x18_policies_of_every_form() -> None:
    policy = RetentionPolicy(keep_last=1, keep_daily=7, keep_weekly=4)
    assert policy.dict()["keep_daily"] == 7
    assert RetentionPolicy.parse(policy.dict()) == policy
    assert RetentionPolicy.parse("keep-last:1,keep-daily:7,keep-weekly:4") == policy
    assert RetentionPolicy.parse("standard") == RetentionPolicy(
        keep_last=5, keep_daily=7, keep_weekly=4, keep_monthly=12, keep_yearly=3
    )
    assert RetentionPolicy.parse("aggressive") == RetentionPolicy(
        keep_last=3, keep_daily=3, keep_weekly=2, keep_monthly=6
    )
    assert RetentionPolicy.parse("long_term") == RetentionPolicy(
        keep_daily=30, keep_weekly=52, keep_monthly=60, keep_yearly=10
    )
    mixed = RetentionPolicy(keep_daily=7, keep_within="30d", keep_tags=["pii"])
    assert RetentionPolicy.parse(mixed.dict()) == mixed


def test_r275_a_missed_backup_is_told(tmp_path: Path) -> None:
    clock = ManualClock()
    scene = Scene(tmp_path / "clock", clock)
    scene.tree()
    told: list[tuple[str, str, str]] = []

    def alert(event: str, subject: str, text: str) -> None:
        told.append((event, subject, text))

    assert not scene.backup.check_backup_freshness(alert=alert)
    assert "no backup" in told.pop()[2]
    scene.backup.create_backup(scene.source, tags=["daily"])
    assert scene.backup.check_backup_freshness(alert=alert)
    clock.advance(25 * 3600)
    assert not scene.backup.check_backup_freshness(alert=alert)
    assert told.pop()[0] == "backup-missed"
    assert scene.backup.check_backup_freshness(26, alert=alert)
    assert not scene.backup.check_backup_freshness(26, tag="weekly")
    assert scene.backup.get_status()["fresh"] is False
    future = datetime.fromtimestamp(clock.now_ns() / 1e9, UTC) + timedelta(days=1)
    scene.backup.create_backup(scene.source, time=future)
    assert not check_backup_freshness(scene.repository, clock=clock), "one of tomorrow is no backup"
    assert told == []
    scene.close()


def test_an_open_repository_is_not_closed_by_its_manager(scene: Scene) -> None:
    with BackupManager.on(scene.repository, scene.workspace) as manager:
        manager.list_snapshots()
    assert scene.repository.snapshots() == []


def damage(scene: Scene) -> None:
    """Change a byte in the middle of every pack."""
    backend = LocalBackend(scene.location)
    for info in list(backend.list("data/")):
        content = bytearray(backend.get(info.name))
        content[len(content) // 3] ^= 1
        backend.delete(info.name)
        backend.put(info.name, bytes(content))
    backend.close()


def _dicts(value: object) -> list[dict[str, object]]:
    assert isinstance(value, list)
    return value


def test_r38_the_tag_of_safety_copies_is_for_them_alone(scene: Scene) -> None:
    """Such a backup would not be found as the latest, nor be listed."""
    with pytest.raises(UsageError, match="safety"):
        scene.backup.create_backup(scene.source, tags=["pii", "safety"])
    assert scene.backup.list_snapshots("safety") == []
