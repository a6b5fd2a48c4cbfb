"""``restore --undoable``, ``undo`` and ``validate --level``."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.cli_runner import Cli


@pytest.fixture
def cli(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.setenv("HOLDFAST_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "work").mkdir()
    made = Cli(tmp_path / "work", capsys, monkeypatch)
    made.repository()
    made.tree()
    assert made("create", "data").code == 0
    return made


def test_a_restore_is_undone(cli: Cli) -> None:
    file = cli.folder / "target" / "a.txt"
    file.parent.mkdir()
    file.write_text("mine")
    source = f"latest:{cli.folder}/data"
    told = cli("restore", "-s", source, "-t", "target", "--undoable")
    assert told.code == 0
    assert file.read_text() != "mine"
    assert "holdfast undo" in told.out
    listed = cli("undo", "--list")
    assert "done" in listed.out
    undone = cli("undo")
    assert (undone.code, file.read_text()) == (0, "mine")
    assert [each.name for each in file.parent.iterdir()] == ["a.txt"]
    assert cli("undo").code == 2
    (recovery,) = cli.json("undo", "--list").objects("recoveries")
    assert recovery["state"] == "undone"


def test_what_was_changed_since_is_named(cli: Cli) -> None:
    record = cli.json(
        "restore", "-s", f"latest:{cli.folder}/data", "-t", "target", "--undoable"
    ).document
    (cli.folder / "target" / "a.txt").write_text("written since")
    undone = cli("undo", str(record["recovery"])[:6])
    assert undone.code == 0
    assert "a.txt" in undone.err
    assert (cli.folder / "target" / "a.txt").read_text() == "written since"


def test_a_plain_restore_cannot_be_undone(cli: Cli) -> None:
    assert cli("restore", "-t", "target").code == 0
    assert cli("undo").code == 2


def test_levels_of_validation(cli: Cli) -> None:
    told = cli("validate", "--level", "standard")
    assert (told.code, "score 1.00" in told.out) == (0, True)
    report = cli.json("validate", "--level", "forensic", "-s", "latest").document
    assert (report["valid"], report["validation_level"]) == (True, "forensic")
    assert cli("validate", "--level", "deep").code == 2
    assert cli("validate", "--level", "basic", "--read-data").code == 2


def test_damage_is_told_at_every_level(cli: Cli) -> None:
    packs = [each for each in (cli.folder / "repo").glob("data/*/*") if each.is_file()]
    for pack in packs:
        pack.unlink()
    told = cli("validate", "--level", "basic")
    assert told.code == 4
    assert "missing pack" in told.out
