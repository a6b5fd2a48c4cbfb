"""Row by row: what a `RecoveryManager` does but for undoing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.unit.platform.managers.scene import Scene, state

import holdfast
from holdfast import PathNotFound, RecoveryManager, UsageError
from holdfast.platform.workspace import Workspace
from holdfast.testing.repositories import PASSWORD


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path)
    scene.tree()
    yield scene
    scene.close()


def inside(scene: Scene, target: Path) -> Path:
    """Where the source is in a target that a whole snapshot was restored to."""
    return target / str(scene.source).lstrip("/")


def test_r52_backend_and_password_file_are_the_first_arguments(scene: Scene) -> None:
    file = scene.folder / "password"
    file.write_text(PASSWORD)
    file.chmod(0o600)
    with RecoveryManager(scene.location, file, workspace=scene.workspace, cache=False) as manager:
        assert manager.list_recovery_points() == []


@pytest.mark.parametrize("name", ["latest", "whole", "short"])
def test_r53_x21_snapshots_have_several_names(scene: Scene, name: str) -> None:
    snapshot = str(scene.backup.create_backup(scene.source)["snapshot_id"])
    named = {"latest": "latest", "whole": snapshot, "short": snapshot[:8]}[name]
    result = scene.recovery.restore_snapshot(named, scene.target, verify=True)
    assert (result["files_restored"], result["verified"], result["valid"]) == (3, True, True)
    assert result["snapshot_id"] == snapshot
    assert state(inside(scene, scene.target)) == state(scene.source)


def test_r53_x21_a_beginning_of_several_is_refused(scene: Scene) -> None:
    seen: set[str] = set()
    first = ""
    while first not in seen:
        seen.add(first)
        first = str(scene.backup.create_backup(scene.source)["snapshot_id"])[0]
    with pytest.raises(holdfast.AmbiguousSnapshot):
        scene.recovery.restore_snapshot(first, scene.target)
    with pytest.raises(holdfast.SnapshotNotFound):
        scene.recovery.restore_snapshot("nothing", scene.target)
    assert not scene.target.exists()


def test_r54_selected_files(scene: Scene) -> None:
    odd = scene.source / "[odd]*"
    odd.write_text("odd")
    (scene.source / "odd").write_text("not this")
    scene.snapshot()
    scene.recovery.restore_files("latest", [str(odd), scene.source / "sub"], scene.target)
    found = sorted(state(inside(scene, scene.target)))
    assert found == ["[odd]*", "sub", "sub/c.csv"]
    with pytest.raises(holdfast.PathNotFound):
        scene.recovery.restore_files("latest", ["/nowhere/a"], scene.folder / "none")
    with pytest.raises(holdfast.PathNotFound):
        scene.recovery.restore_files("latest", [scene.source / "missing"], scene.folder / "none")
    assert not (scene.folder / "none").exists()


def test_r55_browse(scene: Scene) -> None:
    scene.snapshot()
    found = scene.recovery.browse_snapshot("latest", scene.source)
    assert [each["name"] for each in found] == ["a.txt", "b.tmp", "link", "sub"]
    assert found[0]["size"] == 16_000
    assert [each["type"] for each in scene.recovery.browse_snapshot("latest")] == ["dir"]


def test_r56_verification_sees_content_size_and_mode(scene: Scene) -> None:
    snapshot = scene.snapshot()
    scene.recovery.restore_snapshot(snapshot, scene.target)
    good = scene.recovery.verify_restore(scene.target, snapshot)
    assert (good["valid"], good["entries"], good["errors"]) == (True, 4, [])
    (scene.target / "sub" / "c.csv").chmod(0o600)
    (scene.target / "b.tmp").write_text("longer")
    (scene.target / "a.txt").unlink()
    bad = scene.recovery.verify_restore(scene.target, snapshot)
    assert bad["valid"] is False
    assert {Path(str(each["path"])).name for each in _dicts(bad["errors"])} >= {
        "a.txt",
        "b.tmp",
        "c.csv",
    }
    partly = scene.recovery.verify_restore(scene.target, snapshot, include=["link"])
    assert partly["entries"] == 1


def test_r57_include_and_exclude(scene: Scene) -> None:
    snapshot = scene.snapshot()
    scene.recovery.restore_snapshot(snapshot, scene.target, include=["*.txt", "sub"])
    assert sorted(state(scene.target)) == ["a.txt", "sub", "sub/c.csv"]
    scene.recovery.restore_snapshot(snapshot, scene.folder / "two", exclude="*.txt")
    assert "a.txt" not in state(scene.folder / "two")


def test_r58_x34_points_in_time(scene: Scene) -> None:
    now = datetime.now(UTC)
    for days in (3, 2, 1):
        (scene.source / "b.tmp").write_text(f"{days} days ago")
        scene.backup.create_backup(
            scene.source, tags=["odd" if days % 2 else "even"], time=now - timedelta(days=days)
        )
    when = now - timedelta(days=1, hours=12)
    result = scene.recovery.restore_point_in_time(when.isoformat(), scene.target)
    assert result["time"] == (now - timedelta(days=2)).isoformat()
    naive = when.astimezone().replace(tzinfo=None)
    again = scene.recovery.restore_point_in_time(naive, scene.target, tag="odd")
    assert (inside(scene, scene.target) / "b.tmp").read_text() == "3 days ago"
    assert datetime.fromisoformat(str(again["time"])).tzinfo is not None
    with pytest.raises(holdfast.SnapshotNotFound):
        scene.recovery.restore_point_in_time(when, scene.target, source="/elsewhere")
    with pytest.raises(holdfast.SnapshotNotFound):
        scene.recovery.restore_point_in_time("2001-01-01", scene.target)


def test_r59_nothing_outside_the_target_is_touched(scene: Scene) -> None:
    snapshot = scene.snapshot()
    outside = scene.folder / "outside"
    outside.mkdir()
    scene.target.mkdir()
    (scene.target / "sub").symlink_to(outside)
    for undoable in (True, False):
        scene.recovery.restore_snapshot(snapshot, scene.target, undoable=undoable)
        assert list(outside.iterdir()) == []
        assert (scene.target / "sub" / "c.csv").exists()
        if undoable:
            assert scene.recovery.undo()["errors"] == []
            assert (scene.target / "sub").readlink() == outside


def test_r60_restoring_from_a_backup_is_verified(scene: Scene) -> None:
    snapshot = str(scene.backup.create_backup(scene.source)["snapshot_id"])
    result = scene.recovery.restore_from_backup(snapshot, target_path=scene.target)
    assert result["verified"] is True
    assert scene.recovery.undo()["recovery"] == result["recovery"]
    result = scene.recovery.restore_from_backup(
        snapshot, target_path=scene.target, verify_integrity=False, undoable=False
    )
    assert (result["verified"], result["safety"]) == (None, None)


def test_r60_it_goes_back_to_where_it_came_from(scene: Scene) -> None:
    snapshot = str(scene.backup.create_backup(scene.source)["snapshot_id"])
    before = state(scene.source)
    (scene.source / "b.tmp").write_text("ruined")
    ruined = state(scene.source)
    scene.recovery.restore_from_backup(snapshot)
    assert state(scene.source) == before
    scene.recovery.undo()
    assert state(scene.source) == ruined


def test_r63_every_recovery_is_kept_with_its_outcome(scene: Scene) -> None:
    snapshot = scene.snapshot()
    done = scene.recovery.restore_snapshot(snapshot, scene.target)
    with pytest.raises(UsageError):
        scene.recovery.restore_snapshot(snapshot, scene.source / "b.tmp")
    scene.recovery.restore_snapshot(snapshot, scene.folder / "dry", dry_run=True)
    failed, kept = scene.recovery.list_recoveries(days=1)
    assert (kept["recovery"], kept["state"], kept["undoable"]) == (done["recovery"], "done", False)
    assert kept["target"] == str(scene.target)
    assert failed["state"] == "failed"
    assert scene.events("restore") == ["ok", "failed"]
    points = scene.recovery.list_recovery_points(source=str(scene.source))
    assert [each["id"] for each in points] == [snapshot[:32]]


def test_r63_who_cannot_write_the_state_gets_the_data_all_the_same(scene: Scene) -> None:
    snapshot = scene.snapshot()
    blocked = scene.folder / "a file"
    blocked.write_text("")
    workspace = Workspace(blocked / "state")
    manager = RecoveryManager.on(scene.repository, workspace)
    done = manager.restore_snapshot(snapshot, scene.target)
    assert (done["valid"], done["recovery"]) == (True, None)
    with pytest.raises((UsageError, OSError)):
        manager.restore_snapshot(snapshot, scene.target, undoable=True)


def test_r118_progress_ends_at_100(scene: Scene) -> None:
    snapshot = scene.snapshot()
    told: list[float] = []
    scene.recovery.restore_snapshot(
        snapshot, scene.target, verify=True, progress_callback=told.append
    )
    assert told == sorted(told)
    assert (told[-1], told.count(100.0)) == (100.0, 1)


def test_r210_what_cannot_be_restored_is_data(scene: Scene) -> None:
    snapshot = scene.snapshot()
    (scene.target / "a.txt" / "in the way").mkdir(parents=True)
    result = scene.recovery.restore_snapshot(snapshot, scene.target)
    (error,) = _dicts(result["errors"])
    assert str(error["path"]).endswith("a.txt")
    assert result["valid"] is False
    assert scene.events("restore") == ["partial"]
    assert (scene.target / "a.txt" / "in the way").is_dir()


def _dicts(value: object) -> list[dict[str, object]]:
    assert isinstance(value, list)
    return value


@pytest.mark.parametrize("undoable", [False, True])
def test_r63_a_full_disk_does_not_hide_what_was_restored(scene: Scene, *, undoable: bool) -> None:
    """The state cannot be written any more once the restore goes on."""
    connection = scene.workspace.database.connection
    done = scene.recovery.restore_snapshot(
        scene.snapshot(),
        scene.target,
        undoable=undoable,
        on_action=lambda _: connection.execute("PRAGMA query_only = 1"),
    )
    assert (done["valid"], done["files_restored"]) == (True, 3)
    connection.execute("PRAGMA query_only = 0")
    assert [each["state"] for each in scene.recovery.list_recoveries()] == ["running"]
    if undoable:
        assert scene.recovery.undo()["state"] == "undone"


def test_r59_no_name_is_no_target(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = scene.snapshot()
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "mine").write_text("mine")
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(UsageError, match="no target"):
        scene.recovery.restore_snapshot(snapshot, "", delete=True)
    assert [each.name for each in (tmp_path / "here").iterdir()] == ["mine"]


@pytest.mark.parametrize("name", ["repository", "state"])
def test_r59_the_repository_and_the_state_are_not_deleted(scene: Scene, name: str) -> None:
    snapshot = scene.snapshot()
    others = [f"{scene.source}/{each}" for each in {"repository", "state", "source"} - {name}]
    with pytest.raises(UsageError, match=f"exclude {scene.source}/{name}"):
        scene.recovery.restore_snapshot(snapshot, scene.folder, delete=True, exclude=others)
    assert not (scene.folder / "a.txt").exists()
    done = scene.recovery.restore_snapshot(
        snapshot, scene.folder, delete=True, exclude=[*others, f"{scene.source}/{name}"]
    )
    assert done["errors"] == []
    assert (scene.folder / "a.txt").exists()
    assert scene.repository.snapshot("latest").id in snapshot
    with pytest.raises(UsageError, match="it is in"):
        scene.recovery.restore_snapshot(snapshot, scene.folder / name / "sub", delete=True)


def test_r54_files_are_named_in_the_snapshot_not_in_a_part_of_it(scene: Scene) -> None:
    snapshot = scene.snapshot()
    with pytest.raises(PathNotFound):
        scene.recovery.restore_files(snapshot, ["/a.txt"], scene.target)
    with pytest.raises(PathNotFound):
        scene.recovery.restore_files(f"{snapshot}/sub", [scene.source / "a.txt"], scene.target)
    done = scene.recovery.restore_files(snapshot, [scene.source / "a.txt"], scene.target)
    assert (done["files_restored"], (scene.target / "a.txt").exists()) == (1, True)
