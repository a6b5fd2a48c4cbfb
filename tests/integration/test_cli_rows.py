"""Rows of the requirements that are about all commands, or about the library as a whole."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from tests.integration.cli_runner import PASSWORD, Cli

import holdfast
from holdfast import errors

pytestmark = pytest.mark.usefixtures("cheap_passwords")


@pytest.fixture
def cli(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    runner = Cli(tmp_path, capfd, monkeypatch)
    runner.repository()
    runner.tree()
    assert runner("create", "data").code == 0
    return runner


def test_r78_what_is_damaged_is_mended_by_commands(cli: Cli) -> None:
    for index in (cli.folder / "repo/index").rglob("*"):
        if index.is_file():
            index.unlink()
    assert cli("validate").code == 4
    assert cli("repair", "index", "--apply").code == 0
    assert cli("validate").code == 0


def test_r139_options_before_the_command(cli: Cli) -> None:
    (cli.folder / "c.yaml").write_text("repository: repo\n")
    for options in (["--verbose"], ["-v"], ["--debug"], ["--json"], ["--config", "c.yaml"]):
        assert cli(*options, "list").code == 0


def test_r141_json_is_one_document_and_logs_go_elsewhere(cli: Cli) -> None:
    for command in (["list"], ["stats"], ["browse"], ["validate"], ["status"], ["jobs"]):
        ended = cli("--json", "--debug", *command)
        assert isinstance(json.loads(ended.out), dict), command


def test_r156_retention_on_the_command_line(cli: Cli) -> None:
    policy = "keep-last:1,keep-hourly:2,keep-daily:7,keep-weekly:4,keep-monthly:12,keep-yearly:3"
    ended = cli("prune", "-r", policy, "--dry-run")
    assert ended.code == 0
    assert cli("prune", "-r", "keep-dayly:7", "--dry-run").code == 2


def test_r159_exit_codes(cli: Cli) -> None:
    (cli.folder / "wrong").write_text("wrong")
    (cli.folder / "wrong").chmod(0o600)
    assert cli("list").code == 0
    assert cli("restore", "-s", "latest:/nowhere", "-t", "out").code == 1
    assert cli("restore").code == 2
    assert cli("create", "data", "missing").code == 3
    assert cli("list", "-b", "nowhere").code == 10
    assert cli("list", "-p", "wrong").code == 12


def test_r160_debug_sets_the_level_of_logging(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    levels: list[int] = []
    real = logging.Logger.setLevel

    def noted(logger: logging.Logger, level: int) -> None:
        if logger is logging.getLogger():
            levels.append(level)
        real(logger, level)

    monkeypatch.setattr(logging.Logger, "setLevel", noted)
    assert cli("--debug", "list").code == 0
    assert logging.DEBUG in levels


def test_r193_restics_variables_are_taken_where_there_are_none_of_ours(cli: Cli) -> None:
    (cli.folder / "password").write_text(PASSWORD)
    (cli.folder / "password").chmod(0o600)
    for name in ("HOLDFAST_REPOSITORY", "HOLDFAST_PASSWORD"):
        cli.patch.delenv(name)
    assert cli("list").code == 2
    cli.environment(RESTIC_REPOSITORY="repo", RESTIC_PASSWORD_FILE="password")
    assert cli("list").code == 0
    cli.patch.delenv("RESTIC_PASSWORD_FILE")
    cli.environment(RESTIC_PASSWORD=PASSWORD)
    assert cli("list").code == 0
    cli.environment(HOLDFAST_REPOSITORY="nowhere")
    assert cli("list").code == 10


def test_r207_r208_one_tree_of_errors() -> None:
    raised = [each for each in vars(errors).values() if isinstance(each, type)]
    assert len(raised) > 15
    assert all(issubclass(each, holdfast.HoldfastError) for each in raised)


def test_r253_a_reporter_needs_no_arguments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_STATE_DIR", str(tmp_path))
    assert holdfast.ComplianceReporter()._folder == tmp_path / "drill_reports"
    assert holdfast.ComplianceReporter(output_dir=tmp_path / "x")._folder == tmp_path / "x"


def test_r191_r402_a_config_file_is_yaml_or_json(cli: Cli) -> None:
    cli.patch.delenv("HOLDFAST_REPOSITORY")
    (cli.folder / "c.yaml").write_text("backend: {type: local, uri: repo}\n")
    (cli.folder / "c.json").write_text('{"backend": {"type": "local", "uri": "repo"}}')
    for name in ("c.yaml", "c.json"):
        assert cli("--config", name, "list").code == 0
