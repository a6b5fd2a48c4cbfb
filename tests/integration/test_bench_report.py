"""The benchmark beside other tools: it measures what it says, and cannot count a broken run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from benchmarks.peers import datasets, measure, schedule, targets, works
from benchmarks.peers.__main__ import main
from benchmarks.peers.datasets import PAGE, Sizes
from benchmarks.peers.measure import Command, CommandError, Cost, cost_of
from benchmarks.peers.report import BEGIN, END, Run, report, write
from benchmarks.peers.tools import Borg, Holdfast, Installed, Restic, find_tools
from benchmarks.peers.works import (
    BACKUP,
    DataSet,
    Different,
    Medium,
    NoRoom,
    Sample,
    data_sets,
    expect_equal,
    made,
    run,
)

MB = 1_000_000
TINY = Sizes(
    small_files=40,
    tar=200_000,
    random=100_000,
    changing_files=60,
    slow_files=30,
    database=200 * PAGE,
    tiny_files=100,
)


def seeded() -> Random:
    return Random(1)  # noqa: S311 - the same in every run


def cost(script: str, folder: Path) -> Cost:
    return cost_of(Command((sys.executable, "-S", "-c", script), folder), {})


# What is measured


def test_the_peak_is_that_of_the_command(tmp_path: Path) -> None:
    found = cost("held = b'x' * 80_000_000", tmp_path)
    assert 80 * MB < found.peak < 120 * MB
    assert found.processor > 0
    assert found.wall > 0


def test_the_size_of_whoever_measures_is_not_counted(tmp_path: Path) -> None:
    held = b"x" * 150_000_000
    assert cost("pass", tmp_path).peak < 60 * MB
    assert held


def test_processor_time_is_that_of_all_processes(tmp_path: Path) -> None:
    busy = "import time\nwhile time.process_time() < 0.3: pass"
    found = cost(
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}])", tmp_path
    )
    assert found.processor >= 0.3


def test_memory_is_added_up_over_a_family_of_processes() -> None:
    script = "import sys; held = b'x' * 50_000_000; print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        family = list(measure._family(os.getpid()))
        assert family[0] == os.getpid()
        assert child.pid in family
        assert measure._proportional(child.pid) > 50 * MB
    assert child.pid not in measure._family(os.getpid())
    assert measure._proportional(child.pid) == 0


def test_a_command_that_fails_is_an_error_that_shows_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"code 7\n(.*\n)*out of luck"):
        cost("import sys; print('out of luck'); sys.exit(7)", tmp_path)


def test_costs_of_one_after_the_other() -> None:
    assert Cost(1, 2, 50) + Cost(3, 4, 40) == Cost(4, 6, 50)


# The data


@pytest.mark.parametrize("data", data_sets(TINY), ids=lambda data: data.key)
def test_data_is_made_the_same_each_time(data: DataSet, tmp_path: Path) -> None:
    for name in ("one", "two"):
        data.make(tmp_path / name)
    expected = {"a": 40, "d": 60, "e": 30, "g": 100, "g10": 10}
    files, size = datasets.size_of(tmp_path / "one")
    assert files == expected.get(data.key, 1)
    assert size > 0
    if data.key.startswith(("c", "f")):
        assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    if data.key.startswith("g"):
        assert {path.stat().st_size for path in (tmp_path / "one").rglob("*/*")} == {1024}


@pytest.mark.parametrize("clustered", [False, True])
def test_one_percent_of_the_pages_change(tmp_path: Path, *, clustered: bool) -> None:
    path = tmp_path / "database"
    datasets.make_database(path, 6400 * PAGE)
    before = path.read_bytes()
    datasets.change_pages(path, seeded(), clustered=clustered)
    after = path.read_bytes()
    assert len(after) == len(before) == 6400 * PAGE
    changed = [
        number
        for number in range(6400)
        if before[number * PAGE : (number + 1) * PAGE] != after[number * PAGE : (number + 1) * PAGE]
    ]
    assert len(changed) == 64
    is_one_run = changed[-1] - changed[0] == 63
    assert is_one_run == clustered


def test_the_share_of_files_that_is_asked_for_changes(tmp_path: Path) -> None:
    datasets.make_tiny(tmp_path / "tree", 200)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*/*/*")}
    datasets.change_files(tmp_path, seeded(), 0.05)
    assert sum(path.read_bytes() != content for path, content in before.items()) == 10


def test_a_slow_change_adds_and_removes_too(tmp_path: Path) -> None:
    datasets.make_tiny(tmp_path / "tree", 400)
    before = set(tmp_path.rglob("*/*/*"))
    datasets.change_slowly(tmp_path, seeded())
    after = set(tmp_path.rglob("*/*/*"))
    assert len(after - before) == 2
    assert len(before - after) == 2


# The run


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Path]:
    """A page that has a place for tables; afterwards the signal is handled as before."""
    before = signal.getsignal(signal.SIGTERM)
    path = tmp_path / "page.md"
    path.write_text(f"# Before\n\n{BEGIN}\nold\n{END}\n\nafter\n", "utf-8")
    yield path
    signal.signal(signal.SIGTERM, before)


def test_a_whole_run_of_holdfast(
    tmp_path: Path, page: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(datasets, "QUICK", TINY)
    monkeypatch.setattr(works, "SETTLE", 0)
    work = tmp_path / "work"
    code = main(
        ["--quick", "--sets", "d", "--repeat", "1", "--on", "disk", "--tools", "holdfast",
         "--work", str(work), "--report", str(page)]
    )  # fmt: skip
    told = capsys.readouterr()
    assert code == 0, told.err
    text = page.read_text("utf-8")
    assert told.out.strip() in text
    assert text.startswith("# Before\n")
    assert text.endswith(f"{END}\n\nafter\n")
    assert "old" not in text.splitlines()
    for what in ("backup", "backup, 5 % changed", "list", "restore", "check, reading all data"):
        assert f"| (d) {what} | " in text
    assert "--sets d --tools holdfast`" in text
    assert str(tmp_path) not in text
    assert list(work.iterdir()) == []


def test_a_set_that_does_not_fit_is_not_begun(tmp_path: Path) -> None:
    data = DataSet("x", "too large", Path.touch, 1 << 60, ())
    with pytest.raises(NoRoom, match="are needed"), made(data, tmp_path):
        pytest.fail("it was made")
    assert list(tmp_path.iterdir()) == []


def test_a_tool_that_fails_ends_the_run_and_leaves_nothing(tmp_path: Path) -> None:
    (step, *_) = data_sets(TINY)[2].steps
    data = DataSet("x", "missing", Path.touch, 0, (step,))
    source, medium = tmp_path / "missing", Medium("disk", tmp_path / "medium")
    source.touch()
    medium.folder.mkdir()
    tools = find_tools(None, frozenset({"holdfast"}))
    samples = run(data, source, [tools, tools], medium)
    assert [each.work for each in next(samples)] == [BACKUP]
    source.unlink()
    with pytest.raises(CommandError, match="nothing to back up"):
        next(samples)
    assert list(medium.folder.iterdir()) == []


def rewrite(folder: Path) -> None:
    (folder / "file").write_bytes(b"c0ntent")
    os.utime(folder / "file", (1, 1))


def relink(folder: Path) -> None:
    (folder / "link").unlink()
    (folder / "link").symlink_to("folder")
    os.utime(folder / "link", (1, 1), follow_symlinks=False)


def test_a_tool_that_may_be_missing_is_tried_out_first(
    tmp_path: Path, page: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(datasets, "QUICK", TINY)
    monkeypatch.setattr(works, "SETTLE", 0)
    program = tmp_path / "rustic"
    program.write_text('#!/bin/sh\n[ "$1" != --version ] || exec echo rustic 0\nexit 3\n', "utf-8")
    program.chmod(0o755)
    code = main(
        ["--quick", "--sets", "c", "--repeat", "1", "--on", "disk", "--tools", "holdfast,rustic",
         "--peers", str(tmp_path), "--work", str(tmp_path / "work"), "--report", str(page)]
    )  # fmt: skip
    assert code == 0, capsys.readouterr().err
    assert "rustic 0 does not work here: " in page.read_text("utf-8")


@pytest.mark.parametrize(
    "hurt",
    [
        rewrite,
        relink,
        lambda folder: (folder / "file").chmod(0o600),
        lambda folder: (folder / "file").unlink(),
        lambda folder: (folder / "more").touch(),
        lambda folder: os.utime(folder / "file", (2, 2)),
    ],
    ids=["content", "link", "mode", "missing", "added", "time"],
)
def test_a_restore_that_differs_is_noticed(tmp_path: Path, hurt: Callable[[Path], None]) -> None:
    for name in ("source", "restored"):
        folder = tmp_path / name / "folder"
        folder.mkdir(parents=True)
        (folder / "file").write_bytes(b"content")
        (folder / "link").symlink_to("file")
        for path in (folder / "file", folder / "link", folder, folder.parent):
            os.utime(path, (1, 1), follow_symlinks=False)
    expect_equal(tmp_path / "source", tmp_path / "restored", "it")
    hurt(tmp_path / "restored/folder")
    os.utime(tmp_path / "restored/folder", (1, 1))
    with pytest.raises(Different, match="it restored other"):
        expect_equal(tmp_path / "source", tmp_path / "restored", "it")


@pytest.mark.parametrize(
    ("data", "is_main", "expected"),
    [
        ("a", True, ["holdfast restic borg", *["holdfast restic"] * 4]),
        ("g10", True, ["holdfast restic borg", *["holdfast"] * 4]),
        ("g", True, ["holdfast restic", "holdfast", "holdfast"]),
        ("a", False, ["holdfast restic"]),
        ("g", False, []),
    ],
)
def test_what_targets_are_set_on_is_repeated(
    data: str, expected: list[str], *, is_main: bool
) -> None:
    tools = [Installed(kind, [kind.name], "") for kind in (Holdfast, Restic, Borg)]
    found = schedule.rounds(tools, data, 5, is_main=is_main)
    assert [" ".join(tool.name for tool in taking) for taking in found] == expected


# The report

ABOUT = Run(
    command="python -m benchmarks.peers",
    date="2020-01-02",
    is_quick=False,
    repeat=3,
    machine={"processor": "one"},
    load=(0.1, 0.2),
    versions=["holdfast 1", "restic 2"],
    media={"memory": "tmpfs"},
    sets={"a": ("files", 100, 5 * MB)},
    notes=["a note"],
)


def samples(tool: str, *walls: float, stored: int) -> list[Sample]:
    return [
        Sample("a", "memory", tool, BACKUP, Cost(wall, 2 * wall, 100 * MB), stored, stored)
        for wall in walls
    ]


def cells(text: str, first: str) -> list[list[str]]:
    """The rows that begin with a cell."""
    lines = (line.strip("| ").split(" | ") for line in text.splitlines())
    return [line for line in lines if line[0] == first]


def test_the_report_shows_medians_ratios_and_targets() -> None:
    text = report(
        ABOUT,
        samples("holdfast", 9, 4, 3, stored=90 * MB)
        + samples("restic", 10, 1, 20, stored=100 * MB),
    )
    assert cells(text, "(a) backup") == [
        ["(a) backup", "4.00 s", "10.00 s", "0.40", "0.40", "met"],
        ["(a) backup", "4.00", "10.00", "0.40"],
        ["(a) backup", "8.00", "20.00", "0.40"],
        ["(a) backup", "100", "100", "1.00"],
        ["(a) backup", "90.0", "100.0", "0.90"],
    ]
    (row,) = cells(text, "(a) stored after: backup")
    assert row[3:] == ["0.90", "0.80", "**not met**"]
    assert "quick run" not in text
    assert "- **a note**" in text


def test_without_a_peer_there_is_nothing_to_compare_with() -> None:
    text = report(ABOUT, samples("holdfast", 1, stored=MB))
    target, seconds, *_ = cells(text, "(a) backup")
    assert [each.strip() for each in target] == [
        "(a) backup", "", "", "", "0.40", "**not measured**"
    ]  # fmt: skip
    assert seconds == ["(a) backup", "1.00"]
    assert cells(text, "most memory in any work, (a) to (f)")[0][-1] == "met"


def test_every_target_has_a_row_whatever_was_measured() -> None:
    shown = report(ABOUT, samples("holdfast", 1, stored=MB)).partition("### Targets")[2]
    for ratio in targets.RATIOS:
        assert f"({ratio.data}) " in shown
    count = sum(line.endswith(("met |", "met** |", "measured** |")) for line in shown.splitlines())
    assert count == len(targets.RATIOS) + 4


def test_targets_are_told_for_the_first_medium_only() -> None:
    about = replace(ABOUT, media={"memory": "tmpfs", "disk": "ext4"})
    again = [replace(each, on="disk") for each in samples("holdfast", 2, stored=MB)]
    text = report(about, samples("holdfast", 1, stored=MB) + again)
    assert text.count("### Seconds\n") == 2
    assert text.count("### Targets") == 1


def test_what_was_not_run_has_no_tables() -> None:
    assert "## On" not in report(ABOUT, [])


def test_a_page_without_a_place_for_tables_is_not_changed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"text {BEGIN}\n", "utf-8")
    with pytest.raises(ValueError, match="has no lines"):
        write(page, "tables")
    assert page.read_text("utf-8") == f"text {BEGIN}\n"
