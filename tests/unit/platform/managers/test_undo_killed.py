"""Undoing that is killed, wherever it is: doing it again completes it, and loses nothing (R62)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.platform.managers.scene import Scene, State, state

PROGRAM = """
import os, signal, sys
from holdfast import RecoveryManager
from holdfast.platform.workspace import Workspace
from holdfast.testing.repositories import PASSWORD

location, folder, steps = sys.argv[1:]
changes = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.utime", "os.chmod", "os.chown",
           "os.truncate", "os.symlink", "os.link", "os.setxattr", "sqlite3.connect"}
done = 0

def hook(event, arguments):
    global done
    written = event == "open" and isinstance(arguments[2], int) and arguments[2] & os.O_ACCMODE
    if written or event in changes:
        done += 1
        if done == int(steps):
            os.kill(os.getpid(), signal.SIGKILL)

manager = RecoveryManager(location, password=PASSWORD, workspace=Workspace(folder), cache=False)
manager.repository
sys.addaudithook(hook)
manager.undo()
print(done)
"""


def undo(scene: Scene, steps: int) -> int | None:
    """Undo in another process that is killed at that change; returns how many it took, if not."""
    folder = scene.workspace.folder
    # Without keeping what is compiled (-B): only the first process would write that, and count it.
    done = subprocess.run(
        [sys.executable, "-B", "-c", PROGRAM, str(scene.location), str(folder), str(steps)],
        check=False,
        capture_output=True,
        timeout=120,
    )
    assert done.returncode in {0, -signal.SIGKILL}, done.stderr
    return int(done.stdout) if done.returncode == 0 else None


def restored(scene: Scene) -> None:
    """A restore over a target that is changed by it in every way, and edited afterwards."""
    scene.tree()
    made = scene.backup.create_backup(scene.source)
    target = scene.target
    (target / "sub" / "deep").mkdir(parents=True)
    (target / "a.txt").write_text("a of before" * 5000)
    (target / "link").mkdir()
    (target / "link" / "inner").write_text("inner")
    (target / "sub" / "deep" / "mine").write_text("mine")
    (target / "sub" / "c.csv").write_text("before")
    (target / "other").hardlink_to(target / "sub" / "deep" / "mine")
    os.mkfifo(target / "fifo")
    (target / "dangling").symlink_to("nowhere")
    scene.recovery.restore_snapshot(
        f"{made['snapshot_id']}:{scene.source}", target, undoable=True, delete=True
    )


def undo_to_the_end(scene: Scene, steps: int) -> int | None:
    restored(scene)
    (scene.target / "sub" / "c.csv").write_text("edited since")
    (scene.target / "sub" / "new").write_text("new")
    took = undo(scene, steps)
    if took is None:
        undone = scene.recovery.undo()
        assert (undone["state"], undone["errors"], undone["saved_as"] is None) == ("undone", [], 1)
    return took


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, State]:
    """How many changes it takes, and how the target is after it."""
    scene = Scene(tmp_path_factory.mktemp("whole"))
    took = undo_to_the_end(scene, 10**9)
    assert took is not None
    assert took > 20
    scene.close()
    return took, state(scene.target)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.7, 0.85])
def test_r62_undoing_that_was_killed_is_done_again(
    tmp_path: Path, whole: tuple[int, State], share: float
) -> None:
    scene, (took, expected) = Scene(tmp_path), whole
    assert undo_to_the_end(scene, 1 + int(share * took)) is None
    assert (scene.target / "sub" / "c.csv").read_text() == "edited since"
    found = state(scene.target)
    assert {name: each[3] for name, each in found.items()} == {
        name: each[3] for name, each in expected.items()
    }
    scene.close()
