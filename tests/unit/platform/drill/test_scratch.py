"""The scratch directory: whatever happens to a drill, it goes (row X32 and "Bad input")."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.errors import UsageError
from holdfast.platform.drill.scratch import MARKER, PREFIX, Scratch, sweep

KILLED = """
import os, signal, sys
from pathlib import Path
from holdfast.platform.drill.scratch import Scratch
with Scratch(Path(sys.argv[1])) as scratch:
    scratch.restored.mkdir()
    (scratch.restored / "data").write_text("secret")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_it_is_for_its_owner_only_and_goes(tmp_path: Path) -> None:
    with Scratch(tmp_path) as scratch:
        assert scratch.folder.stat().st_mode & 0o777 == 0o700
        folder = scratch.restored / "a/b"
        folder.mkdir(parents=True)
        (folder / "file").write_text("x")
        (folder / "link").symlink_to("/etc")
        folder.chmod(0)
        scratch.restored.chmod(0o500)
    assert list(tmp_path.iterdir()) == []
    assert Path("/etc/passwd").exists()


def test_deep_trees_go_too(tmp_path: Path) -> None:
    with Scratch(tmp_path) as scratch:
        before = Path.cwd()
        try:
            os.chdir(scratch.folder)
            for _ in range(300):
                Path("a" * 100).mkdir()
                os.chdir("a" * 100)
        finally:
            os.chdir(before)
    assert list(tmp_path.iterdir()) == []


def test_an_error_goes_on_and_the_directory_goes(tmp_path: Path) -> None:
    def interrupted() -> None:
        with Scratch(tmp_path) as scratch:
            scratch.work.joinpath("x").write_text("x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_drill_left_is_removed_by_the_next(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    [left] = tmp_path.iterdir()
    assert (left / "restored/data").exists()
    with Scratch(tmp_path) as scratch:
        assert [each.name for each in tmp_path.iterdir()] == [scratch.folder.name]
    assert "killed" in caplog.text


def test_drills_beside_it_and_what_is_no_drill_are_left_alone(tmp_path: Path) -> None:
    stranger = tmp_path / f"{PREFIX}notes"
    stranger.write_text("a file")
    own = tmp_path / f"{PREFIX}own"
    own.mkdir()
    (own / "kept").write_text("no marker, but not empty")
    empty = tmp_path / f"{PREFIX}empty"
    empty.mkdir()
    link = tmp_path / f"{PREFIX}link"
    link.symlink_to(own)
    with Scratch(tmp_path) as first, Scratch(tmp_path) as second:
        sweep(tmp_path)
        assert first.folder.is_dir()
        assert second.folder.is_dir()
        assert (first.folder / MARKER).exists()
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(
        [stranger.name, own.name, link.name]
    )


def test_a_folder_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot use"), Scratch(tmp_path / "file"):
        pass
