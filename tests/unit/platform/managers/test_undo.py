"""Undoing restores: what was there comes back, and what came since is never lost (row R62)."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.platform.managers.scene import Scene, state

from holdfast import SourceError, UsageError
from holdfast.model.snapshot import Problem
from holdfast.platform.managers.recoveries import Recoveries
from holdfast.platform.managers.safety import Affected

PROGRAM = """
import os, signal, sys
from holdfast import RecoveryManager
from holdfast.platform.workspace import Workspace
from holdfast.testing.repositories import PASSWORD

location, folder, snapshot, target, actions = sys.argv[1:]
left = int(actions)

def note(action):
    global left
    left -= 1
    if left <= 0:
        os.kill(os.getpid(), signal.SIGKILL)

manager = RecoveryManager(location, password=PASSWORD, workspace=Workspace(folder), cache=False)
manager.restore_snapshot(snapshot, target, undoable=True, delete=True, on_action=note)
"""


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path)
    yield scene
    scene.close()


def old_target(scene: Scene) -> None:
    """Something in the target that a restore of the tree changes in every way."""
    target = scene.target
    (target / "sub" / "deep").mkdir(parents=True)
    (target / "a.txt").write_text("a of before")
    (target / "a.txt").chmod(0o640)
    (target / "link").mkdir()
    (target / "sub" / "deep" / "mine").write_text("mine")
    (target / "other name").hardlink_to(target / "a.txt")
    (target / "odd \n[*]?\udcff ").write_text("odd")
    os.mkfifo(target / "fifo")
    (target / "dangling").symlink_to("nowhere")
    os.utime(target / "sub", ns=(10**18, 10**18))


def killed_restore(scene: Scene, snapshot: str, actions: int) -> None:
    """A restore that is killed after so many actions."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            PROGRAM,
            str(scene.location),
            str(scene.workspace.folder),
            snapshot,
            str(scene.target),
            str(actions),
        ],
        check=False,
        timeout=120,
    )
    assert done.returncode == -signal.SIGKILL


def test_r62_what_was_overwritten_and_removed_comes_back(scene: Scene) -> None:
    scene.tree()
    snapshot = scene.snapshot()
    old_target(scene)
    before = state(scene.target)
    done = scene.recovery.restore_snapshot(snapshot, scene.target, undoable=True, delete=True)
    assert done["errors"] == []
    assert {each.name for each in scene.target.iterdir()} == {"a.txt", "b.tmp", "link", "sub"}
    undone = scene.recovery.undo()
    assert (undone["state"], undone["errors"], undone["kept"]) == ("undone", [], [])
    assert state(scene.target) == before
    assert scene.events("undo") == ["ok"]


def test_r62_a_target_that_was_not_there_is_gone_again(scene: Scene) -> None:
    scene.tree()
    done = scene.recovery.restore_snapshot(scene.snapshot(), scene.target, undoable=True)
    assert done["safety"] is None
    assert scene.recovery.undo()["removed"] == 6
    assert not scene.target.exists()


@pytest.mark.parametrize("overwrite", ["never", "if-newer", "if-changed"])
def test_r62_what_a_policy_protected_stays(scene: Scene, overwrite: str) -> None:
    scene.tree()
    snapshot = scene.snapshot()
    shutil.copytree(scene.source, scene.target, symlinks=True)
    (scene.target / "b.tmp").write_text("mine")
    (scene.target / "sub" / "c.csv").unlink()
    before = state(scene.target)
    scene.recovery.restore_snapshot(snapshot, scene.target, undoable=True, overwrite=overwrite)
    assert (scene.target / "sub" / "c.csv").exists()
    assert scene.recovery.undo()["kept"] == []
    assert state(scene.target) == before


def test_r62_what_was_changed_since_is_told_and_stays(scene: Scene) -> None:
    scene.tree()
    snapshot = scene.snapshot()
    scene.target.mkdir()
    (scene.target / "a.txt").write_text("a of before")
    done = scene.recovery.restore_snapshot(snapshot, scene.target, undoable=True)
    (scene.target / "a.txt").write_text("written since")
    (scene.target / "sub" / "c.csv").write_text("written since")
    (scene.target / "sub" / "new").write_text("new")
    undone = scene.recovery.undo()
    kept = [Path(str(each["path"])).name for each in _dicts(undone["kept"])]
    assert kept == ["a.txt", "c.csv"]
    assert (scene.target / "a.txt").read_text() == "written since"
    assert (scene.target / "sub" / "c.csv").read_text() == "written since"
    assert (scene.target / "sub" / "new").read_text() == "new"
    assert not (scene.target / "b.tmp").exists()
    held = scene.repository.snapshot(str(done["safety"])).holds
    assert held, "what was there before is needed still"


def test_r62_a_change_that_leaves_size_and_time_as_they_were_is_seen(scene: Scene) -> None:
    scene.tree()
    scene.recovery.restore_snapshot(scene.snapshot(), scene.target, undoable=True)
    file = scene.target / "b.tmp"
    times = file.stat()
    file.write_text("B")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert [each["path"] for each in _dicts(scene.recovery.undo()["kept"])] == [str(file)]
    assert file.read_text() == "B"


def test_r62_the_safety_copy_is_held_until_it_is_undone(scene: Scene) -> None:
    scene.tree()
    snapshot = scene.snapshot()
    scene.target.mkdir()
    (scene.target / "a.txt").write_text("a of before")
    done = scene.recovery.restore_snapshot(snapshot, scene.target, undoable=True)
    safety = str(done["safety"])
    pruned = scene.backup.prune_snapshots("keep-last:1")
    assert pruned["removed"] == []
    assert scene.repository.snapshot(safety).tags == ("safety",)
    assert scene.repository.snapshot("latest").id in snapshot
    scene.recovery.undo()
    assert scene.repository.snapshot(safety).holds == ()


def test_r62_the_safety_copy_is_no_backup(scene: Scene) -> None:
    """In place: the copy has the same paths as backups, and must not pass for one of them."""
    scene.tree()
    snapshot = scene.snapshot()
    (scene.source / "b.tmp").write_text("changed")
    done = scene.recovery.restore_snapshot(snapshot, scene.source, undoable=True)
    assert done["safety"] is not None
    assert [each["id"] for each in scene.backup.list_snapshots()] == [snapshot[:32]]
    assert [each["id"] for each in scene.backup.list_snapshots("safety")] == [done["safety"]]
    assert len(scene.recovery.list_recovery_points()) == 1
    assert scene.backup.prune_snapshots("keep-last:1", dry_run=True)["removed"] == []
    made = scene.repository.backup(scene.source).snapshot
    assert made is not None
    assert made.parent == snapshot[:32]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_r62_what_cannot_be_read_stops_the_restore(scene: Scene) -> None:
    scene.tree()
    snapshot = scene.snapshot()
    scene.target.mkdir()
    (scene.target / "a.txt").write_text("a of before")
    (scene.target / "b.tmp").write_text("secret")
    (scene.target / "b.tmp").chmod(0)
    with pytest.raises(SourceError, match="nothing was changed"):
        scene.recovery.restore_snapshot(snapshot, scene.target, undoable=True)
    assert (scene.target / "a.txt").read_text() == "a of before"
    assert scene.backup.list_snapshots("safety") == []
    assert scene.recovery.undo()["removed"] == 0


@pytest.mark.parametrize("actions", [1, 3, 5])
def test_r62_a_restore_that_was_killed_is_undone(scene: Scene, actions: int) -> None:
    scene.tree()
    snapshot = scene.snapshot()
    old_target(scene)
    before = state(scene.target)
    killed_restore(scene, snapshot, actions)
    assert [each["state"] for each in scene.recovery.list_recoveries()] == ["running"]
    undone = scene.recovery.undo()
    assert (undone["state"], undone["kept"]) == ("undone", [])
    assert state(scene.target) == before


def test_r62_a_file_that_was_half_written_is_kept_before_it_is_put_back(scene: Scene) -> None:
    scene.tree()
    snapshot = scene.snapshot()
    scene.target.mkdir()
    (scene.target / "a.txt").write_text("a of before")
    before = state(scene.target)
    killed_restore(scene, snapshot, 3)
    (scene.target / "a.txt").write_text("half of the one, half of the other")
    undone = scene.recovery.undo()
    assert state(scene.target) == before
    saved = f"{undone['saved_as']}:{scene.target}"
    scene.recovery.restore_snapshot(saved, scene.folder / "saved")
    assert (scene.folder / "saved" / "a.txt").read_text() == "half of the one, half of the other"


def test_r62_undoing_is_done_once_and_the_newest_comes_first(scene: Scene) -> None:
    scene.tree()
    snapshot = scene.snapshot()
    first = scene.recovery.restore_snapshot(snapshot, scene.target, undoable=True)
    (scene.target / "a.txt").write_text("mine")
    second = scene.recovery.restore_snapshot(snapshot, scene.target, undoable=True)
    assert scene.recovery.undo()["recovery"] == second["recovery"]
    assert (scene.target / "a.txt").read_text() == "mine"
    with pytest.raises(UsageError, match="undone already"):
        scene.recovery.undo(str(second["recovery"]))
    assert scene.recovery.undo()["recovery"] == first["recovery"]
    with pytest.raises(UsageError, match="can be undone"):
        scene.recovery.undo()


def test_r62_only_what_was_made_so_is_undone(scene: Scene) -> None:
    scene.tree()
    done = scene.recovery.restore_snapshot(scene.snapshot(), scene.target)
    with pytest.raises(UsageError, match="can be undone"):
        scene.recovery.undo()
    with pytest.raises(UsageError, match="not made so"):
        scene.recovery.undo(str(done["recovery"]))
    with pytest.raises(UsageError, match="cannot be undone"):
        scene.recovery.restore_snapshot("latest", "memory://there", undoable=True)


def test_r62_nothing_is_undone_through_a_link_that_took_the_place_of_the_target(
    scene: Scene,
) -> None:
    scene.tree()
    snapshot = scene.snapshot()
    scene.target.mkdir()
    (scene.target / "a.txt").write_text("a of before")
    scene.recovery.restore_snapshot(snapshot, scene.target, undoable=True)
    elsewhere = scene.target.rename(scene.folder / "elsewhere")
    scene.target.symlink_to(elsewhere)
    (elsewhere / "a.txt").write_text("written since")
    with pytest.raises(UsageError, match="symbolic link now"):
        scene.recovery.undo()
    assert (elsewhere / "a.txt").read_text() == "written since"


def test_r62_what_was_edited_after_a_restore_with_a_failure_stays(scene: Scene) -> None:
    scene.tree()
    snapshot = scene.snapshot()
    (scene.target / "b.tmp" / "full").mkdir(parents=True)
    (scene.target / "a.txt").write_text("a of before")
    done = scene.recovery.restore_snapshot(snapshot, scene.target, undoable=True)
    assert done["errors_total"] == 1, "a directory is in the way"
    (scene.target / "a.txt").write_text("edited since")
    undone = scene.recovery.undo()
    assert [each["path"] for each in _dicts(undone["kept"])] == [str(scene.target / "a.txt")]
    assert undone["saved_as"] is None
    assert (scene.target / "a.txt").read_text() == "edited since"


def test_r62_names_with_line_breaks_are_not_mistaken_for_others(scene: Scene) -> None:
    scene.source.mkdir()
    scene.target.mkdir()
    for name in ("a\nb", "a-b"):
        (scene.source / name).write_text("of the backup")
        (scene.target / name).write_text("of before")
    snapshot = scene.snapshot()
    scene.recovery.restore_snapshot(snapshot, scene.target, undoable=True)
    (scene.target / "a\nb").write_text("edited since")
    assert len(_dicts(scene.recovery.undo()["kept"])) == 1
    assert (scene.target / "a-b").read_text() == "of before"
    files = [scene.source / "a\nb"]
    scene.recovery.restore_files(snapshot[:32], files, scene.folder / "one")
    assert [each.name for each in (scene.folder / "one").rglob("a*b")] == ["a\nb"]


@pytest.mark.parametrize("is_whole", [True, False])
def test_r62_a_directory_that_a_killed_restore_left_gives_way(
    scene: Scene, *, is_whole: bool
) -> None:
    """What was begun in it goes with it, and what was there before it comes back."""
    scene.tree()
    snapshot = scene.snapshot()
    scene.target.mkdir()
    (scene.target / "sub").symlink_to("nowhere")
    before = state(scene.target)
    scene.recovery.restore_snapshot(snapshot, scene.target, undoable=True)
    (scene.target / "sub" / ".holdfast-0123456789abcdef-7").write_text("begun")
    if not is_whole:
        (scene.target / "sub").chmod(0o700)
    (recovery,) = scene.recovery.recoveries()
    Recoveries(scene.workspace).store(replace(recovery, state="running", ended_ns=None))
    assert scene.recovery.undo()["errors"] == []
    assert state(scene.target) == before


def test_r62_what_undoing_takes_is_not_restored_over(scene: Scene) -> None:
    scene.tree()
    (scene.source / "state" / "sub").mkdir(parents=True)
    (scene.source / "state" / "sub" / "file").write_text("an old state")
    snapshot = scene.snapshot()
    with pytest.raises(UsageError, match="would be changed: exclude"):
        scene.recovery.restore_snapshot(snapshot, scene.folder, undoable=True)
    assert not (scene.folder / "a.txt").exists()
    excluded = str(scene.source / "state")
    scene.recovery.restore_snapshot(snapshot, scene.folder, undoable=True, exclude=excluded)
    assert scene.recovery.undo()["removed"] == 5


def test_r62_the_plan_of_a_restore_must_be_whole(scene: Scene) -> None:
    problem = Problem("/a", "read", "damaged")
    plan = scene.repository.restore(_snapshot(scene), scene.target, dry_run=True)
    affected = Affected("/", deletes=False)
    affected.check(replace(plan, errors=(problem,), errors_total=1))
    assert affected.paths == {b"a"}
    with pytest.raises(SourceError, match="nothing was changed"):
        affected.check(replace(plan, errors=(problem,), errors_total=2))


@pytest.mark.parametrize("days", [0.0, float("inf"), float("nan"), 1e9])
def test_r62_what_is_kept_is_kept_for_some_time(scene: Scene, days: float) -> None:
    with pytest.raises(UsageError, match="days"):
        scene.recovery.restore_snapshot(
            _snapshot(scene), scene.target, undoable=True, keep_days=days
        )


def test_r62_one_that_is_being_worked_on_is_left_alone(scene: Scene) -> None:
    done = scene.recovery.restore_snapshot(_snapshot(scene), scene.target, undoable=True)
    recoveries = Recoveries(scene.workspace)
    recovery = recoveries.find(scene.repository.id, str(done["recovery"]))
    with recoveries.at_work(recovery), pytest.raises(UsageError, match="being worked on"):
        scene.recovery.undo(recovery.id)


def _snapshot(scene: Scene) -> str:
    scene.tree()
    return scene.snapshot()


def test_r62_any_tree_over_any_other(scene: Scene) -> None:
    for seed in range(8):
        chance = random.Random(seed)  # noqa: S311 - a tree, no secret
        source, target = scene.folder / f"{seed}.source", scene.folder / f"{seed}.target"
        grow(chance, source)
        grow(chance, target)
        made = scene.backup.create_backup(source)
        before = state(target)
        scene.recovery.restore_snapshot(
            f"{made['snapshot_id']}:{source}",
            target,
            undoable=True,
            delete=chance.random() < 0.5,
            overwrite=chance.choice(["always", "if-changed", "if-newer"]),
        )
        undone = scene.recovery.undo()
        assert (undone["kept"], undone["errors"]) == ([], []), seed
        assert state(target) == before, seed


def grow(chance: random.Random, folder: Path, depth: int = 0) -> None:
    """A tree of everything that there is."""
    folder.mkdir()
    for name in chance.sample(["a", "b", "c d", "e\n", "[x]*", "ü", "z\udcff"], 4):
        path, kind = folder / name, chance.random()
        if kind < 0.5:
            path.write_bytes(chance.randbytes(chance.randint(0, 9000)))
        elif kind < 0.75 and depth < 3:
            grow(chance, path, depth + 1)
        elif kind < 0.9:
            path.symlink_to(chance.choice(["a", "nowhere", "../.."]))
        else:
            os.mkfifo(path)
    for path in folder.iterdir():
        if not path.is_symlink():
            os.utime(path, ns=(10**18, chance.randint(10**18, 2 * 10**18)))


def _dicts(value: object) -> list[dict[str, object]]:
    assert isinstance(value, list)
    return value
