"""The import contracts of pyproject.toml hold, and would notice if they did not."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the package in ``folder/src`` by ``folder/pyproject.toml``."""
    program = (
        "import sys; sys.path.insert(0, 'src');"
        "from importlinter.cli import lint_imports_command; lint_imports_command()"
    )
    return subprocess.run(
        [sys.executable, "-c", program, "--no-logo", "--no-cache"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def test_the_contracts_hold() -> None:
    run = lint(ROOT)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("store/intruder", "import holdfast.model", "Layers"),
        ("primitives/intruder", "import holdfast.store", "Layers"),
        ("errors", "import holdfast.clock", "Layers"),
        ("intruder", "", "Layers"),
        ("operations/intruder", "", "Operations are independent"),
        ("operations/backup", "import holdfast.store.pack", "The store is entered by its door"),
        (
            "operations/backup",
            "import holdfast.backend.base",
            "The backend is entered by its door",
        ),
        ("filesystem/intruder", "import holdfast.store", "The filesystem does not know the store"),
        ("cli/intruder", "import holdfast.operations", "The command line is thin"),
        ("store/intruder", "import fsspec", "fsspec stays at the edges"),
        ("store/intruder", "import zstandard", "Cryptography, hashing, compression, msgpack"),
        ("engine/intruder", "import click", "click and rich live in the command line"),
        ("engine/intruder", "import holdfast.testing", "The test kit is a leaf"),
    ],
)
def test_a_violation_is_noticed(tmp_path: Path, module: str, line: str, contract: str) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    # Not what is compiled: processes of other tests write that meanwhile, under passing names.
    compiled = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "src/holdfast", tmp_path / "src/holdfast", ignore=compiled)
    with (tmp_path / f"src/holdfast/{module}.py").open("a") as file:
        file.write(f"\n{line}\n")
    run = lint(tmp_path)
    assert run.returncode == 1
    broken = [text for text in run.stdout.splitlines() if " BROKEN" in text]
    assert any(text.startswith(contract) for text in broken), run.stdout
