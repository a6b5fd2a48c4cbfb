"""The demo proves what it says, and notices when it is not so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import holdfast

ROOT = Path(__file__).parents[2]


def run(program: Path, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    kept = {"PATH": os.environ["PATH"]}
    return subprocess.run(
        [sys.executable, str(program), *arguments],
        cwd=folder,
        env=kept
        | {
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": str(Path(holdfast.__file__).parents[1]),
        },
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small tree that has what the demo changes."""
    top = tmp_path / "tree"
    for number in range(12):
        path = top / f"package{number % 3}/module{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"print({number})\n" * 50)
    (top / "link").symlink_to("package0")
    (top / "another name").hardlink_to(top / "package0/module0.py")
    return top


demo_only_on_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="the demo compares with GNU find and diff"
)


@demo_only_on_linux
def test_the_demo_passes_and_leaves_nothing_behind(tree: Path, tmp_path: Path) -> None:
    before = sorted(tree.rglob("*"))
    done = run(ROOT / "examples/demo.py", "--source", str(tree), folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    for shown in (
        "$ holdfast init",
        "$ holdfast create -t first source",
        "$ holdfast list",
        "$ holdfast diff",
        "$ holdfast restore",
        "$ holdfast validate --full-check --read-data",
        "no damage found",
        "contents: equal",
        "metadata: equal",
        "demo passed",
    ):
        assert shown in done.stdout
    assert sorted(tree.rglob("*")) == before
    assert not list(tmp_path.glob("holdfast-demo-*"))


@demo_only_on_linux
def test_the_demo_notices_a_wrong_bit(tree: Path, tmp_path: Path) -> None:
    arguments = ("--source", str(tree), "--sabotage")
    done = run(ROOT / "examples/demo.py", *arguments, folder=tmp_path)
    assert done.returncode == 1, done.stdout
    assert "demo FAILED" in done.stderr
    assert "demo passed" not in done.stdout
    assert not list(tmp_path.glob("holdfast-demo-*"))
