"""docs/threat-model.md: each adversary is there, each statement has its tests, and these exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs/threat-model.md"
ADVERSARIES = (
    "reads the storage",
    "writes to the storage",
    "deletes from the storage",
    "steals a client",
    "controls the source tree",
    "controls the clock",
)
_STATEMENT = re.compile(r"^- \*\*(?:Can|Cannot)\*\*(.*?)(?=^- |^## |\Z)", re.MULTILINE | re.DOTALL)
_ITEM = re.compile(r"^- ", re.MULTILINE)
_TEST = re.compile(r"`([a-z0-9_/]+\.py)::(test_[a-z0-9_]+)`")


def sections() -> dict[str, str]:
    """What the page says of each adversary."""
    parts = re.split(r"^## Whoever (.*)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    texts = [text.partition("\n## ")[0] for text in parts[2::2]]
    return dict(zip(parts[1::2], texts, strict=True))


@cache
def names_of(module: str) -> frozenset[str]:
    """The names of a test module's tests."""
    file = TESTS / module
    if not file.exists():
        return frozenset()
    body = ast.parse(file.read_text(encoding="utf-8")).body
    return frozenset(each.name for each in body if isinstance(each, ast.FunctionDef))


def test_each_adversary_has_its_section() -> None:
    assert sorted(set(ADVERSARIES) - set(sections())) == []


def test_each_section_says_what_they_can_and_what_they_cannot_do() -> None:
    for adversary, text in sections().items():
        assert "- **Can**" in text, adversary
        assert "- **Cannot**" in text, adversary
        assert len(_ITEM.findall(text)) == len(_STATEMENT.findall(text)), adversary


def test_each_statement_has_its_tests_or_the_reason_why_it_has_none() -> None:
    statements = [each for text in sections().values() for each in _STATEMENT.findall(text)]
    assert len(statements) >= 50
    for statement in statements:
        _, shown, tests = statement.partition("\n\n    Shown by ")
        _, not_shown, reason = statement.partition("\n\n    Not shown: ")
        assert bool(shown) != bool(not_shown), statement
        assert _TEST.search(tests) or reason.strip(), statement


def test_the_tests_that_are_named_exist() -> None:
    text = PAGE.read_text(encoding="utf-8")
    named = _TEST.findall(text)
    assert len(named) == text.count("::")  # what looks like a test is one
    assert [(file, name) for file, name in named if name not in names_of(file)] == []
