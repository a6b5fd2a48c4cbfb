"""Every example in the README and the guide runs.

A page's ``python`` and ``console`` blocks run in order in an empty directory. Python blocks share
their variables. In a console block the lines that begin with ``$`` are a bash script, of which
each must exit with 0. A block after ``<!-- no-run: reason -->`` is left out.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fsspec.registry import _registry, known_implementations

from holdfast.primitives.kdf import KDF_PROFILES
from holdfast.testing.repositories import QUICK_KDF

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs/guide").rglob("*.md"))]

BLOCK = re.compile(
    r"^(?P<skip><!-- no-run: \S.* -->\n+)?"
    r"^```(?P<language>python|console)[^\n]*\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """One example.

    Attributes:
        language: ``python`` or ``console``.
        text: what stands between the fences.
        line: number of its first line in the page.
    """

    language: str
    text: str
    line: int


def blocks(page: str) -> list[Block]:
    """The examples of a page that are to be run."""
    return [
        Block(match["language"], match["text"], page.count("\n", 0, match.start("text")) + 1)
        for match in BLOCK.finditer(page)
        if not match["skip"]
    ]


def run_python(block: Block, page: Path, variables: dict[str, object]) -> None:
    source = "\n" * (block.line - 1) + block.text  # so that a traceback names the page's line
    exec(compile(source, str(page), "exec"), variables)  # noqa: S102 - our own documentation


def run_console(block: Block, page: Path) -> None:
    commands = [line[2:] for line in block.text.splitlines() if line.startswith("$ ")]
    assert commands, f"{page.name}:{block.line}: a console block without a command"
    run = subprocess.run(
        ["bash", "-exo", "pipefail", "-c", "\n".join(commands)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=280,
        check=False,
    )
    assert run.returncode == 0, f"{page.name}:{block.line}:\n{run.stdout}"


CHEAP = f"""
from holdfast.primitives import kdf
kdf.KDF_PROFILES["default"] = kdf.{QUICK_KDF}
"""
"""Run by each Python program that starts: to open a repository takes it a third of a second by
intention, and the pages do that more than a hundred times."""


@pytest.fixture
def cheap_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For this process and others."""
    monkeypatch.setitem(KDF_PROFILES, "default", QUICK_KDF)
    (tmp_path / "start").mkdir()
    (tmp_path / "start/sitecustomize.py").write_text(CHEAP)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "start"), prepend=os.pathsep)


@pytest.fixture
def a_registry_of_its_own() -> Iterator[None]:
    """What other pages and tests registered with fsspec is not there, nor does anything stay."""
    before = dict(_registry)
    for name in before.keys() - known_implementations.keys():
        del _registry[name]
    yield
    _registry.clear()
    _registry.update(before)


@pytest.mark.usefixtures("cheap_everywhere", "a_registry_of_its_own")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_of_a_page_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOLDFAST_PASSWORD", "a long password")
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    variables: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(page.read_text("utf-8")):
        if block.language == "python":
            run_python(block, page, variables)
        else:
            run_console(block, page)


def test_the_readme_has_a_python_example_of_about_ten_lines() -> None:
    examples = [
        block for block in blocks(PAGES[0].read_text("utf-8")) if block.language == "python"
    ]
    assert examples
    assert len(examples[0].text.splitlines()) <= 12


def test_blocks_are_found_and_left_out_as_told() -> None:
    page = (
        "```python\na = 1\n```\n\n```\nplain\n```\n\n"
        "<!-- no-run: takes a day -->\n```console\n$ false\n```\n\n```console\n$ true\nout\n```\n"
    )
    assert blocks(page) == [Block("python", "a = 1\n", 2), Block("console", "$ true\nout\n", 15)]


def test_a_failing_example_fails(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    with pytest.raises(AssertionError, match=r"page\.md:7"):
        run_console(Block("console", "$ true\n$ false\n$ true\n", 7), page)
    with pytest.raises(ZeroDivisionError) as failure:
        run_python(Block("python", "x = 1\nx / 0\n", 7), page, {})
    assert failure.traceback[-1].lineno == 7
