"""``holdfast status`` and ``holdfast 321 status``."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.integration.cli_runner import PASSWORD, Cli

import holdfast

pytestmark = pytest.mark.usefixtures("cheap_passwords")


@pytest.fixture
def cli(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    runner = Cli(tmp_path, capfd, monkeypatch)
    monkeypatch.setenv("HOLDFAST_STATE_DIR", str(tmp_path / "state"))
    runner.repository()
    runner.tree()
    return runner


def test_r149_status_for_monitoring(cli: Cli) -> None:
    empty = cli("status")
    assert (empty.code, "there is no backup yet" in empty.out) == (5, True)
    assert cli("create", "data").code == 0
    well = cli("status", "-b", "repo", "-d", "3")
    assert (well.code, "all is well" in well.out) == (0, True)
    found = cli.json("status")
    assert (found.code, found.document["ok"], found.document["days"]) == (0, True, 7)
    assert found.objects("sources")[0]["paths"] == [str(cli.folder / "data")]
    assert len(found.objects("growth")) == 7
    assert cli("create", "data", "--time", "2020-01-01", "--host", "old").code == 0
    late = cli("status")
    assert (late.code, "data of old: the newest backup is" in late.out) == (5, True)


def test_status_of_what_cannot_be_opened(cli: Cli) -> None:
    gone = cli.json("status", "-b", "nowhere")
    assert (gone.code, gone.document["reachable"]) == (10, False)
    (cli.folder / "pw").write_text("wrong")
    (cli.folder / "pw").chmod(0o600)
    denied = cli.json("status", "-p", "pw")
    assert (denied.code, denied.document["ok"]) == (12, False)
    assert cli("status", "-d", "0").code == 2


def test_status_knows_of_checks_by_the_command(cli: Cli) -> None:
    assert cli("create", "data").code == 0
    assert "Last check: none" in cli("status").out
    assert cli("validate", "-s", "latest").code == 0  # of a part only
    assert "Last check: none" in cli("status").out
    assert cli("validate").code == 0
    checked = cli.json("status").document["last_check"]
    assert isinstance(checked, dict)
    assert (checked["name"], checked["result"]) == ("standard", "valid")
    for pack in (cli.folder / "repo/data").rglob("*"):
        if pack.is_file():
            pack.write_bytes(pack.read_bytes()[:-1])
    assert cli("validate", "--full-check").code == 4
    found = cli.json("status")
    assert found.code == 5
    checked = found.document["last_check"]
    assert isinstance(checked, dict)
    assert (checked["name"], checked["result"]) == ("thorough", "damaged")


def test_status_goes_by_the_config_file(cli: Cli) -> None:
    (cli.folder / "c.yaml").write_text(
        "sources: [data, never]\nmonitoring: {max_rpo_minutes: 600}\n"
        "tiered_strategy: {top: {sources: data/sub, max_rpo_minutes: 5}}\n"
    )
    assert cli("create", "data").code == 0
    found = cli.json("--config", "c.yaml", "status")
    assert found.code == 5
    assert [each["text"] for each in found.objects("problems")] == [
        f"{cli.folder}/never: there is no backup"
    ]
    assert [each["limit_minutes"] for each in found.objects("sources")] == [600, 600]


def test_the_metrics_say_what_the_json_says(cli: Cli) -> None:
    assert cli("create", "data").code == 0
    found = cli.json("status", "--prometheus", "m.prom")
    assert found.code == 0
    values = {
        sample.name: sample.value
        for family in text_string_to_metric_families((cli.folder / "m.prom").read_text())
        for sample in family.samples
    }
    assert values["holdfast_ok"] == 1
    assert values["holdfast_snapshots"] == found.document["snapshots"]
    growth = found.objects("growth")
    assert values["holdfast_stored_bytes"] == sum(int(str(each["stored"])) for each in growth)
    assert cli("status", "--prometheus", "no/m.prom").code == 2


def test_the_server_ends_cleanly(cli: Cli) -> None:
    assert cli("--json", "status", "--serve", "127.0.0.1:0").code == 2
    assert cli("status", "--serve", "nonsense").code == 2
    with subprocess.Popen(
        [sys.executable, "-m", "holdfast", "status", "--serve", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cli.folder,
        env=dict(os.environ),
    ) as server:
        assert server.stdout is not None
        try:
            line = server.stdout.readline()
            address = line.partition("/metrics")[0]
            assert address.startswith("http://127.0.0.1:")
            connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=60)
            connection.request("GET", "/metrics")
            assert b"holdfast_up" in connection.getresponse().read()
            connection.request("GET", "/healthz")
            sick = connection.getresponse()
            assert (sick.status, json.loads(sick.read())) == (503, {"ok": False, "problems": 1})
            connection.close()
        finally:
            server.send_signal(signal.SIGTERM)
            out, err = server.communicate(timeout=60)
    assert (server.returncode, out, err) == (0, "ended\n", "")


def test_r123_x27_the_rule_is_checked_by_listing(cli: Cli) -> None:
    cli.repository("far", named=False)
    (cli.folder / "pw").write_text(PASSWORD)
    (cli.folder / "pw").chmod(0o600)
    (cli.folder / "c.yaml").write_text(
        "repository: repo\npassword_file: pw\nthree_two_one:\n"
        "  original: {media: disk, location: office}\n  copies:\n"
        "    - {repository: repo, media: nas, location: office}\n"
        "    - {repository: far, media: cloud, location: frankfurt, password_file: pw}\n"
    )
    nothing = cli("--config", "c.yaml", "321", "status")
    assert nothing.code == 5
    assert cli("create", "data").code == 0
    half = cli("--config", "c.yaml", "321", "status")
    assert half.code == 5
    assert "missing: 1 more copy; a copy at another place than office" in half.out
    far = holdfast.open(cli.folder / "far", password=PASSWORD, cache=False)
    with cli.library() as repo, far:
        repo.copy(far)
    whole = cli.json("--config", "c.yaml", "321", "status")
    assert (whole.code, whole.document["ok"], whole.document["warnings"]) == (0, True, [])
    (cli.folder / "far").rename(cli.folder / "gone")
    lost = cli.json("--config", "c.yaml", "321", "status")
    assert lost.code == 5
    assert lost.objects("errors")[0]["repository"] == str(cli.folder / "far")
    without = cli("321", "status")
    assert (without.code, "three_two_one" in without.err) == (2, True)
