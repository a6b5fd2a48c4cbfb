"""The tests of races stop at every call: no function that reaches files is unknown to them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from tests.faults.moments import CALLS, PURE

import holdfast

PACKAGE = Path(holdfast.__file__).parent
LAYERS = ("filesystem", "operations/backup", "operations/restore", "operations/ingest.py")
WITH_PATHS = {
    # The user's own: a file of patterns, and the target itself, before anything else is done.
    "exclude.py": {"open"},
    "target.py": {"Path(os.fsdecode(path)).mkdir"},
    # Of the system, once, when the module is loaded.
    "apply.py": {"Path('/proc/self/fd').is_dir"},
}


def modules() -> list[Path]:
    found = [
        path
        for layer in LAYERS
        for path in ([PACKAGE / layer] if layer.endswith(".py") else (PACKAGE / layer).glob("*.py"))
    ]
    assert len(found) > 30
    return found


def parsed(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_bytes())))


@pytest.mark.fault(34, 37)
def test_every_function_that_reaches_files_is_stopped_at() -> None:
    used: set[str] = set()
    for path in modules():
        texts = {ast.unparse(node) for node in parsed(path) if isinstance(node, ast.Attribute)}
        used |= {
            text.removeprefix("os.") for text in texts if re.fullmatch(r"os\.(path\.)?\w+", text)
        }
    functions = {name for name in used if not name.isupper()}
    assert functions - CALLS - PURE == set()
    assert functions == CALLS | PURE, "it is not used any more"


@pytest.mark.fault(34, 37)
@pytest.mark.parametrize("path", modules(), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_files_are_reached_by_nothing_else(path: Path) -> None:
    nodes = parsed(path)
    calls = {ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)}
    by_path = {name for name in calls if name in {"open", "io.open"} or "Path(" in name}
    assert by_path == WITH_PATHS.get(path.name, set())
    imports = {
        node.module if isinstance(node, ast.ImportFrom) else alias.name
        for node in nodes
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert not imports & {"shutil", "tempfile", "glob", "ctypes"}
    assert not any(isinstance(node, ast.ImportFrom) and node.module == "os" for node in nodes)
