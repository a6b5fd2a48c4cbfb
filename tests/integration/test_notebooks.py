"""Every notebook in `examples/` runs in a kernel of its own and shows what is committed."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from tests.notebooks import notebooks, outputs, read, run, settled, shape, written

from holdfast.testing.repositories import QUICK_KDF

NAMES = {
    "find_a_lost_file",
    "parquet_from_last_month",
    "ransomware",
    "when_did_this_table_change",
    "where_does_the_space_go",
}
LARGEST = 500_000

CHEAP = f"""
from holdfast.primitives import kdf
kdf.KDF_PROFILES["default"] = kdf.{QUICK_KDF}
"""

MACHINE = re.compile(
    r"/(home|root|work|Users|usr|opt)/|site-packages|\.pyenv|\.venv|/tmp/(?!holdfast-)"
)
"""What would tell on which machine a notebook was run."""


def test_there_is_a_notebook_of_each_story() -> None:
    assert {path.stem for path in notebooks()} == NAMES


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_what_it_did(path: Path, tmp_path: Path) -> None:
    committed = outputs(read(path))
    again = outputs(run(read(path), tmp_path, CHEAP))
    for number, (shown, now) in enumerate(zip(committed, again, strict=True)):
        assert shown == now, f"code cell {number}: `make notebooks` keeps what it shows now"
    left = {each.name for each in tmp_path.iterdir() if not each.name.startswith(".")}
    assert left == {"start"}, "it removes what it made"


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)
def test_a_notebook_is_committed_as_it_was_run_and_tells_nothing_of_the_machine(
    path: Path,
) -> None:
    notebook = read(path)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    shown = [kind for each in outputs(notebook) for kind, _ in each]
    assert "stream stderr" not in shown
    assert "image/png" in shown
    for cell in cells:
        shows = isinstance(ast.parse(cell.source).body[-1], ast.Expr)
        assert bool(cell.outputs) or not shows or cell is cells[-1], cell.source
        for output in cell.outputs:
            for text in [output.get("text", ""), *output.get("data", {}).values()]:
                assert not MACHINE.search(text.replace("<wbr>", "")), cell.source
    text = path.read_text("utf-8")
    assert len(text) < LARGEST
    assert text == written(notebook)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert any("assert " in cell.source for cell in cells)


def test_only_what_is_random_is_left_out_of_a_comparison() -> None:
    one = "snapshot 4f3a9c1e has 1,234 files, 5.1 MiB in /tmp/holdfast-lab-ab12cd_3/lab/a.csv"
    two = "snapshot deadbeef has 99 files, 6 KiB in /var/x/holdfast-lab-zzzzzzzz/lab/a.csv"
    assert shape(one) == shape(two) != shape(one.replace("files", "links"))


def test_a_temporary_directory_is_saved_without_its_random_ending() -> None:
    text = "+++ b/tmp/holdfast-lab-ab12cd_3/lab/holdfast-restored.csv"
    assert settled(text) == "+++ b/tmp/holdfast-lab/lab/holdfast-restored.csv"
    assert shape(text) == shape(settled(text))


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)
def test_what_is_saved_has_no_random_directory(path: Path) -> None:
    text = path.read_text("utf-8").replace("<wbr>", "")
    assert settled(text) == text
