"""``holdfast report``, on drills that are kept in a workspace."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.integration.cli_runner import Cli

from holdfast.platform.drill.history import keep
from holdfast.platform.drill.report import DrillReport, Phase
from holdfast.platform.drill.words import DrillStatus
from holdfast.platform.workspace import Workspace

DRILL = DrillReport(
    drill_id="11111111-0000-4000-8000-000000000001",
    name="monthly",
    time=datetime(2026, 11, 21, 12, tzinfo=UTC),
    status=DrillStatus.SUCCESS,
    rto_compliant=True,
    rpo_compliant=True,
    recovery_time_minutes=4.5,
    data_age_minutes=10.0,
    max_rto_minutes=60.0,
    max_rpo_minutes=15.0,
    validation_results={"integrity": True, "encryption_status": True},
    recommendations=(),
    compliance_framework="SOC2",
    repository_id="ab" * 16,
    snapshot_id="cd" * 16,
    duration_seconds=270.0,
    phases=(Phase("restore", 200.0),),
    files=3,
)


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    monkeypatch.setenv("HOLDFAST_STATE_DIR", str(tmp_path / "state"))
    with Workspace(tmp_path / "state") as workspace:
        keep(workspace, DRILL, "drill")
        later = replace(
            DRILL,
            drill_id="22222222-0000-4000-8000-000000000002",
            time=datetime(2026, 11, 22, tzinfo=UTC),
            validation_results={"integrity": None, "encryption_status": True},
        )
        keep(workspace, later, "drill")
    return Cli(tmp_path, capsys, monkeypatch)


def test_a_report_is_made_and_verified(cli: Cli, tmp_path: Path) -> None:
    assert cli("report", "keygen", str(tmp_path / "key")).code == 0
    made = cli(
        "--json", "report", "create", "1111", "-o", str(tmp_path / "out"), "--format", "html",
        "--sign", str(tmp_path / "key"),
    )  # fmt: skip
    assert made.code == 0
    file = str(made.document["report_file"])
    assert made.document["compliant"] is True
    verified = cli("report", "verify", file, "--public-key", str(tmp_path / "key.pub"))
    assert (verified.code, verified.out) == (0, "unchanged, signed\n")
    Path(file).write_text(Path(file).read_text().replace("4.50", "4.40"))
    verified = cli("report", "verify", file)
    assert verified.code == 4
    assert "was changed" in verified.out


def test_the_latest_drill_is_reported_on_and_found_wanting(cli: Cli) -> None:
    made = cli("report", "create")
    assert made.code == 5
    assert "not compliant" in made.out
    assert "NOT EVALUATED" in made.out
    file = made.out.splitlines()[0]
    assert "NOT COMPLIANT" in Path(file).read_text()
    assert cli("--json", "report", "verify", file).document["recorded"] is True


def test_a_report_of_another_machine(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = cli("report", "create", "1111").out.splitlines()[0]
    monkeypatch.setenv("HOLDFAST_STATE_DIR", str(tmp_path / "another"))
    assert cli("report", "verify", file).code == 4
    assert cli("report", "verify", file, "--no-trail").code == 0


def test_what_a_framework_asks(cli: Cli) -> None:
    told = cli("report", "criteria", "hipaa")
    assert told.code == 0
    assert "164.308(a)(7)(ii)(B)" in told.out
    controls = cli("--json", "report", "criteria", "GDPR").objects("controls")
    assert [each["control"] for each in controls] == [
        "32(1)(a)",
        "32(1)(b)",
        "32(1)(c)",
        "32(1)(d)",
    ]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("create", "9999"), "no drill has an id that begins with '9999'"),
        (("create", "-f", "SOX"), "no framework 'SOX'"),
        (("create", "--sign", "nowhere"), "nowhere: No such file"),
        (("criteria", "SOC3"), "did you mean 'SOC2'"),
        (("verify", "nowhere.md"), "No such file"),
    ],
)
def test_what_makes_no_sense_is_told(cli: Cli, arguments: tuple[str, ...], problem: str) -> None:
    ended = cli("report", *arguments)
    assert ended.code == 2
    assert problem in ended.err


def test_without_a_drill_there_is_no_report(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOLDFAST_STATE_DIR", str(tmp_path / "empty"))
    ended = cli("report", "create")
    assert (ended.code, "no drill was done yet" in ended.err) == (2, True)
