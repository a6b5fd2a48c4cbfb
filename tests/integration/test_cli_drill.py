"""``holdfast drill`` and ``holdfast drill-history`` as they are typed (rows R150, R240, R251)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.integration.cli_runner import PASSWORD, Cli

PLAYBOOK = """
name: two steps
steps:
  - name: get it
    action: restore
    parameters: {target: /dr-restore, verify: true}
  - name: look
    action: execute
    parameters: {command: test -d dr-restore}
    depends_on: [get it]
"""


@pytest.fixture
def cli(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.setenv("HOLDFAST_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    cli = Cli(tmp_path, capsys, monkeypatch)
    cli.repository()
    assert cli("--no-cache", "create", str(cli.tree())).code == 0
    return cli


def damage(folder: Path) -> None:
    """Turn over a byte in the middle of every pack."""
    for pack in (folder / "data").rglob("*"):
        if pack.is_file():
            data = bytearray(pack.read_bytes())
            data[len(data) // 2] ^= 1
            pack.chmod(0o600)
            pack.write_bytes(data)


def test_r150_every_flag(cli: Cli) -> None:
    (cli.folder / "password").write_text(PASSWORD)
    (cli.folder / "password").chmod(0o600)
    (cli.folder / "drill.yaml").write_text("validation_checks: [integrity]\n")
    ended = cli(
        *("--no-cache", "drill", "-b", "repo", "-p", "password"),
        *("-c", "drill.yaml", "-n", "mine", "-f", "hipaa"),
    )
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("drill mine: SUCCESS\n")
    assert "integrity" in ended.out
    listed = cli.json("drill-history").objects("drills")
    assert [each["compliance_framework"] for each in listed] == ["HIPAA"]
    assert list((cli.folder / "scratch").iterdir()) == []


def test_without_a_file_the_usual_checks_are_done(cli: Cli) -> None:
    ended = cli.json("--no-cache", "drill")
    assert ended.code == 0
    assert ended.document["status"] == "SUCCESS"
    assert ended.document["validation_results"] == {
        "integrity": True,
        "restore_speed": True,
        "data_consistency": True,
    }


def test_a_damaged_repository_fails_with_the_files_named(cli: Cli) -> None:
    damage(cli.folder / "repo")
    ended = cli("--no-cache", "drill")
    assert ended.code == 1
    assert "FAILED" in ended.out.splitlines()[0]
    assert "error" in ended.err


def test_what_is_not_evaluated_ends_with_code_5(cli: Cli) -> None:
    (cli.folder / "drill.yaml").write_text("validation_checks: [integrity, api_health]\n")
    ended = cli("--no-cache", "drill", "-c", "drill.yaml")
    assert ended.code == 5
    assert "NOT EVALUATED" in ended.out


def test_a_playbook_runs_programs_only_with_permission(cli: Cli) -> None:
    (cli.folder / "book.yaml").write_text(PLAYBOOK)
    refused = cli("--no-cache", "drill", "--playbook", "book.yaml")
    assert refused.code == 2
    assert "--allow-execute" in refused.err
    ended = cli(
        *("--no-cache", "drill", "--playbook", "book.yaml", "--allow-execute"),
        "-n",
        "a",
        "-f",
        "NIST",
    )
    assert ended.code == 0, ended.out + ended.err
    assert "drill a: SUCCESS" in ended.out
    assert "get it" in ended.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-c", "none.yaml"), "No such file"),
        (("-f", "PCI"), "unknown framework"),
        (("-c", "a", "--playbook", "b"), "either -c or --playbook"),
    ],
)
def test_bad_input_is_a_usage_error(cli: Cli, arguments: tuple[str, ...], message: str) -> None:
    ended = cli("--no-cache", "drill", *arguments)
    assert ended.code == 2
    assert message in ended.err


def test_r240_the_history_and_its_trend(cli: Cli) -> None:
    assert "0 drills" in cli("drill-history").out
    for _ in range(2):
        assert cli("--no-cache", "drill").code == 0
    ended = cli("drill-history")
    assert "2 drills" in ended.out
    assert "recovery time of the newest" in ended.out
    assert len(cli.json("drill-history", "-l", "1").objects("drills")) == 1
    assert cli.json("drill-history", "--repository-id", "none").objects("drills") == []


def told(cli: Cli, name: str) -> list[tuple[str, str]]:
    """Events and subjects of the messages in a file."""
    file = cli.folder / name
    lines = file.read_text().splitlines() if file.exists() else []
    return [(each["event"], each["subject"]) for each in map(json.loads, lines)]


def test_channels_that_a_drill_names_are_told(cli: Cli) -> None:
    (cli.folder / "drill.yaml").write_text(
        "name: d\nnotification_channels: ['file:told', nobody]\nvalidation_checks: [integrity]\n"
    )
    assert cli("--no-cache", "drill", "-c", "drill.yaml").code == 0
    damage(cli.folder / "repo")
    assert cli("--no-cache", "drill", "-c", "drill.yaml").code == 1
    assert told(cli, "told") == [
        ("drill-done", "drill d: SUCCESS"),
        ("drill-failed", "drill d: FAILED"),
    ]


def test_channels_of_the_config_file_are_told_as_it_says(cli: Cli) -> None:
    (cli.folder / "c.yaml").write_text("notifications: {file: usual}\n")
    assert cli("--no-cache", "--config", "c.yaml", "drill", "-n", "d").code == 0
    assert told(cli, "usual") == [], "success is not asked for"
    damage(cli.folder / "repo")
    assert cli("--no-cache", "--config", "c.yaml", "drill", "-n", "d").code == 1
    assert told(cli, "usual") == [("drill-failed", "drill d: FAILED")]


@pytest.mark.parametrize(
    ("channel", "state", "status"),
    [("file:told", "completed", "SUCCESS"), ("file:no/such/folder", "not evaluated", "PARTIAL")],
)
def test_r246_a_step_of_a_playbook_tells_channels(
    cli: Cli, channel: str, state: str, status: str
) -> None:
    (cli.folder / "book.yaml").write_text(
        PLAYBOOK.partition("  - name: look")[0]
        + f"  - {{name: tell, action: notify, parameters: {{channels: ['{channel}'], message: m}}}}"
    )
    ended = cli.json("--no-cache", "drill", "--playbook", "book.yaml")
    assert ended.document["status"] == status
    assert [each["state"] for each in ended.objects("steps")] == ["completed", state]
    assert told(cli, "told") == [("playbook", "two steps: tell")] * (state == "completed")
