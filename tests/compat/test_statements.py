"""Every statement of docs/format.md is named by a test, and the reader shares nothing with us."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs/format.md"
READER = TESTS / "compat/reader.py"


def statements() -> list[str]:
    return re.findall(r"^- \*\*(F\d+)\.\*\*", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


def named(source: str) -> list[str]:
    """The statements that the markers of a test module name."""
    return [
        ast.literal_eval(argument)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.format"
        for argument in node.args
    ]


def test_the_statements_are_numbered_in_order() -> None:
    assert statements() == [f"F{number}" for number in range(1, len(statements()) + 1)]
    assert len(statements()) >= 48
    # What looks like a statement is one.
    assert PAGE.read_text(encoding="utf-8").count("**F") == len(statements())


def test_every_statement_is_named_by_a_test_and_no_other_is() -> None:
    found = {
        statement
        for path in TESTS.rglob("test_*.py")
        for statement in named(path.read_text(encoding="utf-8"))
    }
    assert sorted(set(statements()) - found) == []
    assert sorted(found - set(statements())) == []


def test_references_on_the_page_lead_somewhere() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert set(re.findall(r"\bF\d+\b", text)) <= set(statements())


def test_the_reader_is_small_and_shares_no_code() -> None:
    source = READER.read_text(encoding="utf-8")
    imported = {
        name.partition(".")[0]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
        )
    }
    assert imported - sys.stdlib_module_names == {"blake3", "zstandard", "cryptography", "msgpack"}
    assert len(source.splitlines()) <= 470
