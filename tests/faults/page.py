"""Makes docs/reliability.md of the catalogue of faults and the tests that name its rows.

``python -m tests.faults.page`` writes it; `tests/faults/test_catalogue.py` says when it is old.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tests.faults.catalogue import CATALOGUE, Row

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs/reliability.md"

HEAD = """\
# Every fault, tried

<!-- Made by `make reliability`; edit tests/faults/catalogue.py instead. -->

Backup software is judged on its worst day. These are the faults that holdfast must survive, what
happens then, and the tests that bring each of them about, in `tests/` of the source. One rule holds
for all: success is never reported for what is not stored durably and verified; no wrong byte is
ever returned; no existing snapshot is harmed; bad input is an error that says what to do.

{summary}

`make test` runs them, some in part; `make soak` runs them at length, `make simulate` the simulation
of the engine with as many seeds as you like, `make thrash` and `make fuzz` what they do for as many
minutes. A test names the rows that it tries with `pytest.mark.fault`, or its module does for all.

"""

TABLE = """\
| | Fault | How it is brought about | What happens | Tests |
|---|---|---|---|---|
"""

REST = """
## What is missing

"""


class Found(NamedTuple):
    """A test that names rows: its module below `tests/`, its name, and the rows."""

    module: str
    name: str
    rows: tuple[int, ...]


@cache
def marked() -> tuple[Found, ...]:
    """The tests that name rows, by module."""
    return tuple(_marked())


def _marked() -> Iterator[Found]:
    for path in sorted(TESTS.rglob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        if "mark.fault(" not in text:
            continue
        module = path.relative_to(TESTS).as_posix()
        tree = ast.parse(text)
        of_all = tuple(row for node in tree.body for row in _rows_of_all(node))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                rows = _rows(node.decorator_list) + of_all
                if rows:
                    yield Found(module, node.name, rows)


def _rows_of_all(node: ast.stmt) -> tuple[int, ...]:
    """The rows that all tests of a module try, if that is what the statement says."""
    match node:
        case ast.Assign(targets=[ast.Name("pytestmark")], value=ast.List(marks)):
            return _rows(marks)
        case ast.Assign(targets=[ast.Name("pytestmark")], value=mark):
            return _rows([mark])
        case _:
            return ()


def _rows(marks: Iterable[ast.expr]) -> tuple[int, ...]:
    return tuple(
        ast.literal_eval(argument)
        for mark in marks
        if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.fault"
        for argument in mark.args
    )


def made() -> str:
    """The page as it ought to be."""
    tests: dict[int, list[Found]] = defaultdict(list)
    for found in marked():
        for number in found.rows:
            tests[number].append(found)
    lines = [_line(row, tests[row.number]) for row in CATALOGUE]
    rest = [f"- **{row.number}.** {row.missing}" for row in CATALOGUE if row.missing]
    partly = sum(1 for row in CATALOGUE if row.missing and tests[row.number])
    never = [f"{row.number}" for row in CATALOGUE if not tests[row.number]]
    summary = (
        f"Of {len(CATALOGUE)} faults {len(CATALOGUE) - partly - len(never)} are tried in full, and "
        f"{partly} but for something that is [said below](#what-is-missing)."
    )
    if never:
        summary += f" Not tried at all: {', '.join(never)}."
    return HEAD.format(summary=summary) + TABLE + "\n".join(lines) + "\n" + REST + _joined(rest)


def _joined(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"


def _line(row: Row, tests: list[Found]) -> str:
    by_module: dict[str, list[str]] = defaultdict(list)
    for test in tests:
        by_module[test.module].append(f"`{test.name}`")
    names = "<br>".join(
        f"{module}: {', '.join(names)}" for module, names in sorted(by_module.items())
    )
    number = f"{row.number}[*](#what-is-missing)" if row.missing else f"{row.number}"
    return f"| {number} | {row.fault} | {row.how} | {row.what} | {names} |"


if __name__ == "__main__":
    PAGE.write_text(made(), encoding="utf-8")
