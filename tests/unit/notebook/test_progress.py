"""The progress bar: in a kernel as notebooks have it, and outside of one."""

from __future__ import annotations

from typing import TypeAlias

import nbformat
import pytest
from nbclient import NotebookClient
from tests.notebooks import sockets
from tests.unit.present.html_reader import read

from holdfast.notebook import progress
from holdfast.progress import ProgressEvent


def event(elapsed: float, percent: float, files: int = 3) -> ProgressEvent:
    """An event of work on files of 1 KiB."""
    size = files * 1024
    left = 100.0 - percent if percent else None
    return ProgressEvent(percent, files, 10, size, 10_240, "/data/a", elapsed, 2048.0, left)


@pytest.mark.usefixtures("outside")
def test_outside_of_a_notebook_lines_are_printed_now_and_then(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show = progress("backup")
    for elapsed in range(25):
        show(event(float(elapsed), elapsed * 4.0))
    show(event(25.0, 100.0, 10))
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines() == [
        "backup: 3 files, 3.00 KiB, 2.00 KiB/s  /data/a",
        "backup: 40% 3 files, 3.00 KiB of 10.0 KiB, 2.00 KiB/s, 1 min 0 s left  /data/a",
        "backup: 80% 3 files, 3.00 KiB of 10.0 KiB, 2.00 KiB/s, 20.0 s left  /data/a",
        "backup: 10 files, 10.0 KiB in 25.0 s, 2.00 KiB/s",
    ]


@pytest.mark.usefixtures("outside")
def test_work_that_comes_after_work_that_failed_is_told_from_its_beginning(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show = progress()
    show(event(8.0, 50.0))
    show(event(0.1, 0.0))
    assert len(capsys.readouterr().err.splitlines()) == 2


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """No kernel of another test is around."""
    monkeypatch.setattr("IPython.get_ipython", lambda: None)


SETUP = """
import os, threading
import holdfast
from holdfast.notebook import progress
from holdfast.primitives.kdf import KDF_PROFILES
from holdfast.testing.repositories import QUICK_KDF
KDF_PROFILES["default"] = QUICK_KDF
os.makedirs("data")
for number in range(300):
    with open(f"data/{number} <b>.txt", "w") as file:
        file.write(str(number) * 1000)
repo = holdfast.init("repo", password="a long password", cache=False)
"""

ALL_AT_ONCE = """
from holdfast.progress import ProgressEvent
show = progress("count")
for step in range(1001):
    show(ProgressEvent(step / 10, step, 1000, step, 1000, "/<i>", step / 100, 100.0, 1.0))
"""

ELSEWHERE = """
thread = threading.Thread(target=lambda: repo.check(progress=progress("check")))
thread.start()
thread.join()
"""


Shown: TypeAlias = list[list[dict[str, str]]]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """What the cells of a notebook show when it is run: for each output its MIME types."""
    sources = [
        SETUP,
        'repo.backup(["data"], progress=progress("backup"))',
        ALL_AT_ONCE,
        ELSEWHERE,
        "repo.snapshots()",
        "w = repo.walk('latest'); w",
        "len(list(w)), len(w.to_pandas())",
    ]
    cells: list[dict[str, object]] = [
        {"cell_type": "code", "id": f"cell-{number}", "metadata": {}, "execution_count": None,
         "source": source, "outputs": []}
        for number, source in enumerate(sources)
    ]  # fmt: skip
    notebook = nbformat.from_dict(
        {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    )
    place = {"metadata": {"path": str(tmp_path_factory.mktemp("notebook"))}}
    with sockets() as config:
        NotebookClient(notebook, timeout=120, resources=place, config=config).execute()
    return [
        [dict(output["data"]) for output in cell.outputs if "data" in output]
        for cell in notebook.cells
    ]


def test_a_backup_leaves_one_bar_that_says_what_was_done(shown: Shown) -> None:
    bar, result = shown[1]
    assert "300 files, " in read(bar["text/html"]).text
    assert bar["text/plain"].startswith("backup: 300 files, ")
    assert read(result["text/html"]).captions == ["Backup"]


def test_many_events_are_one_bar_that_ends_with_the_last(shown: Shown) -> None:
    (bar,) = shown[2]
    assert read(bar["text/html"]).text == "count1,000 files, 1000 B in 10.0 s, 100 B/s"


def test_work_in_another_thread_is_shown_in_the_cell_that_runs(shown: Shown) -> None:
    (bar,) = shown[3]
    assert read(bar["text/html"]).text.startswith("check")


def test_lists_of_results_show_themselves(shown: Shown) -> None:
    (snapshots,) = shown[4]
    assert read(snapshots["text/html"]).rows[0][:2] == ["id", "time UTC"]
    (entries,) = shown[5]
    found = read(entries["text/html"])
    assert found.rows[-1] == ["… more rows"]
    assert any("<b>.txt" in row[0] for row in found.rows)


def test_showing_a_walk_uses_none_of_it_up(shown: Shown) -> None:
    (lengths,) = shown[6]
    walked, framed = lengths["text/plain"].strip("()").split(", ")
    assert int(walked) == int(framed) > 300


def test_updates_come_at_a_bounded_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    updates: list[str] = []

    class Handle:
        """Keeps what it is told."""

        def update(self, shown: dict[str, str], *, raw: bool) -> None:
            assert raw
            updates.append(shown["text/plain"])

    def display(shown: dict[str, str], *, raw: bool, display_id: bool) -> Handle:
        assert raw
        assert display_id
        updates.append(shown["text/plain"])
        return Handle()

    class Shell:
        """What a kernel has."""

        kernel = object()

    monkeypatch.setattr("IPython.get_ipython", Shell)
    monkeypatch.setattr("IPython.display.display", display)
    show = progress()
    for step in range(1, 100):
        show(event(step / 10, step))
    show(event(10.0, 100.0))
    assert 30 < len(updates) < 45
    assert updates[-1] == "3 files, 3.00 KiB in 10.0 s, 2.00 KiB/s"
