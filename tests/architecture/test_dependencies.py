"""What the package imports is what it says it depends on."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def canonical(requirement: str) -> str:
    """The name in a requirement, spelt as package indexes compare it (PEP 503)."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name is not None, requirement
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def declared() -> set[str]:
    """What an installation with every extra but `dev` asks for."""
    requirements = list(PROJECT["dependencies"])
    for extra, more in PROJECT["optional-dependencies"].items():
        requirements += more if extra != "dev" else []
    return {canonical(requirement) for requirement in requirements} - {"holdfast"}


def imports_at_run_time(node: ast.AST) -> Iterator[str]:
    """Names of the modules that code imports, but for what only type checkers read."""
    match node:
        case ast.Import():
            yield from (alias.name for alias in node.names)
        case ast.ImportFrom(module=str(module)):
            yield module
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            for otherwise in node.orelse:
                yield from imports_at_run_time(otherwise)
        case _:
            for child in ast.iter_child_nodes(node):
                yield from imports_at_run_time(child)


def imported() -> dict[str, set[str]]:
    """Foreign top-level packages, and the modules of ours that import them."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "src").rglob("*.py"):
        for name in imports_at_run_time(ast.parse(path.read_text("utf-8"))):
            top = name.partition(".")[0]
            if top != "holdfast" and top not in sys.stdlib_module_names:
                found.setdefault(top, set()).add(str(path.relative_to(ROOT)))
    return found


def test_every_foreign_import_is_declared() -> None:
    homes = packages_distributions()
    undeclared = {
        name: sorted(modules)
        for name, modules in imported().items()
        if not {canonical(home) for home in homes.get(name, [name])} & declared()
    }
    assert undeclared == {}


def test_every_requirement_is_explained() -> None:
    decision = (ROOT / "docs/adr/0005-dependencies.md").read_text("utf-8")
    assert [name for name in sorted(declared()) if name not in decision] == []


def test_every_requirement_is_pinned() -> None:
    pins = (ROOT / "requirements/dev.txt").read_text("utf-8")
    pinned = {canonical(line) for line in pins.splitlines() if "==" in line}
    assert declared() - pinned == set()


def test_pins_name_no_place_to_download_from() -> None:
    assert "://" not in (ROOT / "requirements/dev.txt").read_text("utf-8")
