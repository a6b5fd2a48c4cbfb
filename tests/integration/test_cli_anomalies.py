"""``holdfast anomalies`` and `Repository.anomalies`: filters, text, JSON, exit codes, damage."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.integration.cli_runner import Cli

import holdfast

pytestmark = pytest.mark.usefixtures("cheap_passwords")

TEXT = b"nothing ever happens here, and that is how we like it. " * 30


@pytest.fixture
def cli(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    made = Cli(tmp_path, capsys, monkeypatch)
    made.repository()
    return made


def create(cli: Cli, *arguments: str) -> str:
    return str(cli.json("create", "data", *arguments).document["snapshot_id"])


def attacked(cli: Cli, *arguments: str) -> tuple[str, str]:
    """A snapshot, and one of encrypted files under other names."""
    noise = random.Random(1)  # noqa: S311 - for tests
    for number in range(20):
        path = cli.folder / f"data/f{number}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(TEXT + b"%d" % number)
    clean = create(cli, *arguments)
    for path in sorted((cli.folder / "data").iterdir()):
        path.with_name(path.name + ".locked").write_bytes(noise.randbytes(2000))
        path.unlink()
    return clean, create(cli, *arguments)


def test_a_clean_repository_ends_with_0(cli: Cli) -> None:
    cli.tree()
    create(cli)
    create(cli)
    ended = cli("anomalies")
    assert (ended.code, ended.out.strip()) == (0, "0 findings")
    assert cli.json("anomalies").objects("anomalies") == []


def test_an_attack_is_told_with_its_evidence(cli: Cli) -> None:
    clean, bad = attacked(cli)
    ended = cli("anomalies")
    assert ended.code == 5
    assert f"ransomware  {bad[:8]}" in ended.out
    assert f"{clean[:8]}\n" in ended.out.splitlines()[1] + "\n"
    assert "20 files that were orderly now look random" in ended.out
    assert "'.locked'" in ended.out
    assert f"for example {cli.folder}/data/f" in ended.out
    assert "1 finding" in ended.out
    quiet = cli("-q", "anomalies")
    assert quiet.code == 5
    assert len(quiet.out.splitlines()) == 2


def test_json_has_it_all(cli: Cli) -> None:
    clean, bad = attacked(cli)
    ended = cli.json("anomalies")
    assert ended.code == 5
    (found,) = ended.objects("anomalies")
    assert (found["kind"], found["snapshot"], found["clean"]) == ("ransomware", bad, clean)
    assert found["value"] == 20
    assert found["expected"] == [0, 8]
    by_index = cli.json("anomalies", "--no-read-data").objects("anomalies")
    assert [each["kind"] for each in by_index] == ["ransomware"]


def test_what_is_judged_can_be_chosen(cli: Cli) -> None:
    clean, bad = attacked(cli, "-t", "daily")
    for chosen in (
        ("-s", bad),
        ("-d", "1"),
        ("-t", "daily"),
        ("--path", str(cli.folder / "data")),
        ("--min-severity", "0.8"),
    ):
        assert cli("anomalies", *chosen).code == 5, chosen
    for chosen in (
        ("-s", clean),
        ("-t", "weekly"),
        ("--host", "elsewhere"),
        ("--path", "/elsewhere"),
        ("--min-severity", "1"),
    ):
        assert cli("anomalies", *chosen).code == 0, chosen


def test_arguments_that_make_no_sense(cli: Cli) -> None:
    assert cli("anomalies", "--min-severity", "2").code == 2
    assert cli("anomalies", "-s", "beef").code == 1
    with cli.library() as repo, pytest.raises(holdfast.UsageError, match="between 0 and 1"):
        repo.anomalies(min_severity=1.5)


def test_old_snapshots_are_history_only(cli: Cli) -> None:
    attacked(cli, "--time", "2024-01-01T00:00:00+00:00")
    assert cli("anomalies", "-d", "30").code == 0
    with cli.library() as repo:
        assert repo.anomalies(since=datetime(2025, 1, 1, tzinfo=UTC)) == []
        assert len(repo.anomalies(since=datetime(2023, 1, 1, tzinfo=UTC))) == 1


def test_findings_are_a_table(cli: Cli) -> None:
    attacked(cli)
    with cli.library() as repo:
        found = repo.anomalies()
        assert isinstance(found[0], holdfast.Anomaly)
        frame = found.to_pandas()
        assert list(frame["kind"]) == ["ransomware"]
        assert frame["time"][0] == found[0].snapshot.time
        assert set(found[0].dict()) >= {"kind", "severity", "evidence", "paths"}


def test_damage_is_a_finding_and_no_error(cli: Cli) -> None:
    attacked(cli)
    for pack in (cli.folder / "repo/data").rglob("*"):
        if pack.is_file():
            pack.unlink()
    ended = cli.json("anomalies", "--min-severity", "0")
    assert ended.code == 5
    assert [each["kind"] for each in ended.objects("anomalies")] == ["damaged"]
