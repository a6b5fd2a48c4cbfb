"""The commands about jobs, and jobs of each operation on real repositories."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.cli_runner import PASSWORD, Cli, Ended

import holdfast
from holdfast.platform.workspace import Workspace


@pytest.fixture
def cli(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cli]:
    cli = Cli(tmp_path, capsys, monkeypatch)
    cli.environment(HOLDFAST_STATE_DIR=str(tmp_path / "state"), TZ="UTC")
    cli.repository()
    (tmp_path / "password").write_text(PASSWORD)
    (tmp_path / "password").chmod(0o600)
    monkeypatch.delenv("HOLDFAST_PASSWORD")
    yield cli
    logging.getLogger().handlers.clear()


def scheduled(cli: Cli, *arguments: str, cron: str = "manual") -> str:
    """Keep a job of the repository, and return its id."""
    ended = cli.json("schedule", "-b", "repo", "-p", "password", "-c", cron, *arguments)
    assert ended.code == 0, ended.err
    return str(ended.document["id"])


def triggered(cli: Cli, job: str) -> tuple[Ended, dict[str, object]]:
    ended = cli.json("scheduler", "trigger", job)
    (run,) = ended.objects("runs")
    return ended, run


def test_r147_schedule_keeps_a_backup(cli: Cli) -> None:
    top = cli.tree()
    ended = cli(
        "schedule", "-s", "data", "-b", "repo", "-p", "password", "-c", "0 */6 * * *",
        "-r", "keep-daily:7", "-t", "a", "-t", "b", "-n", "mine",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert "(mine): next run " in ended.out
    (job,) = cli.json("jobs").objects("jobs")
    assert job["cron"] == "0 */6 * * *"
    config = job["config"]
    assert isinstance(config, dict)
    assert config["sources"] == [str(top)]
    assert config["backend"] == str(cli.folder / "repo")
    assert config["password_file"] == str(cli.folder / "password")
    assert (config["tags"], config["retention_policy"]) == (["a", "b"], "keep-daily:7")


def test_r152_jobs_lists_them(cli: Cli) -> None:
    assert cli("jobs").out == "0 jobs\n"
    assert cli.json("jobs").document == {"jobs": []}
    job = scheduled(cli, "-s", "data", "-n", "nightly", cron="30 2 * * *")
    scheduled(cli, "-s", "data", "--max-rpo-minutes", "15", cron="@daily")
    ended = cli("jobs")
    assert job in ended.out
    assert "nightly" in ended.out
    assert "30 2 * * * (UTC)" in ended.out
    assert "RPO of 15 minutes cannot be met" in ended.err
    assert cli("jobs", "-x").code == 2


def test_a_job_is_removed_by_its_id_or_name(cli: Cli) -> None:
    job = scheduled(cli, "-s", "data", "-n", "one")
    scheduled(cli, "-s", "data", "-n", "two")
    assert cli("schedule", "--remove", job[:6]).code == 0
    assert cli("schedule", "--remove", "two").code == 0
    assert cli.json("jobs").objects("jobs") == []
    ended = cli("schedule", "--remove", "two")
    assert (ended.code, "job two not found" in ended.err) == (2, True)


@pytest.mark.parametrize("word", ["weekly", "monthly", "quarterly", "annually"])
def test_r148_r222_a_drill_is_scheduled_by_a_word(cli: Cli, word: str) -> None:
    ended = cli.json(
        "schedule-drill", "-b", "repo", "-p", "password", "-f", word, "-n", "ops@example.org",
        "-n", "console", "-c", "HIPAA",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    crons = {"weekly": "0 2 * * 0", "monthly": "0 2 1 * *", "quarterly": "0 2 1 */3 *"}
    assert ended.document["cron"] == crons.get(word, "0 2 1 1 *")
    config = ended.document["config"]
    assert isinstance(config, dict)
    assert config["compliance_framework"] == "HIPAA"
    assert config["notification"]["channels"] == ["ops@example.org", "console"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-s", "data"], "say when: give -c CRON"),
        (["-s", "data", "-c", "61 * * * *"], "bad minute '61'"),
        (["-c", "@daily"], "say what to back up"),
        (["-s", "data", "-c", "@daily", "-r", "keep-dayly:3"], "keep-d"),
        (["-c", "@daily", "--operation", "copy"], "a copy needs to"),
        (["-s", "d", "-c", "@daily", "--time-zone", "Nowhere"], "unknown time zone"),
        (["-s", "d", "-c", "@daily", "--before", "'"], "--before: No closing quotation"),
    ],
)
def test_bad_input_is_told(cli: Cli, arguments: list[str], said: str) -> None:
    ended = cli("schedule", "-b", "repo", "-p", "password", *arguments)
    assert ended.code == 2
    assert said in ended.err
    assert cli.json("jobs").objects("jobs") == []


def test_a_password_of_the_environment_is_kept_as_a_reference(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = cli("schedule", "-b", "repo", "-s", "data", "-c", "@daily")
    assert "nobody can be asked for the password" in ended.err
    cli.tree()
    monkeypatch.setenv("HOLDFAST_PASSWORD", PASSWORD)
    ended = cli.json("schedule", "-b", "repo", "-s", "data", "-c", "manual")
    assert "is to have HOLDFAST_PASSWORD set" in ended.err
    assert PASSWORD not in ended.out
    job = str(ended.document["id"])
    assert triggered(cli, job)[0].code == 0
    monkeypatch.delenv("HOLDFAST_PASSWORD")
    ended, run = triggered(cli, job)
    assert ended.code == 1
    assert run["error"] == "the environment variable HOLDFAST_PASSWORD is not set"


def test_r221_a_backup_makes_a_snapshot_and_prunes(cli: Cli) -> None:
    cli.tree()
    job = scheduled(cli, "-s", "data", "-r", "keep-last:1", "-t", "x", "-x", "*.tmp")
    triggered(cli, job)
    ended, run = triggered(cli, job)
    assert (ended.code, run["state"]) == (0, "done")
    with cli.library() as repo:
        (snapshot,) = repo.snapshots()
        assert "x" in snapshot.tags
        assert not list(repo.find("*.tmp"))
    result = run["result"]
    assert isinstance(result, dict)
    assert result["snapshot_id"] == snapshot.id
    assert result["pruned"]["removed"] == 1


def test_a_backup_that_lacks_a_source_is_partial(cli: Cli) -> None:
    cli.tree()
    job = scheduled(cli, "-s", "data", "-s", "not there")
    ended, run = triggered(cli, job)
    assert (ended.code, run["state"]) == (3, "partial")
    assert "1 source items could not be read" in str(run["result"])


def test_r76_a_validation_is_a_job_and_damage_is_a_failure(cli: Cli) -> None:
    cli.tree()
    triggered(cli, scheduled(cli, "-s", "data"))
    job = scheduled(cli, "--operation", "validate", "--read-data", "-n", "weekly")
    assert triggered(cli, job)[1]["state"] == "done"
    (pack, *_) = (each for each in (cli.folder / "repo/data").rglob("*") if each.is_file())
    pack.chmod(0o600)
    content = bytearray(pack.read_bytes())
    content[len(content) // 2] ^= 1
    pack.write_bytes(content)
    ended, run = triggered(cli, job)
    assert (ended.code, run["state"], run["error"]) == (1, "failed", None)
    assert "findings of damage" in str(run["result"])


def test_a_prune_and_a_copy_are_jobs(cli: Cli) -> None:
    cli.tree()
    cli.repository("other", named=False)
    backup = scheduled(cli, "-s", "data")
    triggered(cli, backup)
    triggered(cli, backup)
    copy = scheduled(
        cli, "--operation", "copy", "--to", "other", "--to-password-file", "password"
    )  # fmt: skip
    assert triggered(cli, copy)[1]["state"] == "done"
    with holdfast.open(cli.folder / "other", password=PASSWORD, cache=False) as other:
        assert len(other.snapshots()) == 2
    prune = scheduled(cli, "--operation", "prune", "-r", "keep-last:1")
    assert triggered(cli, prune)[1]["state"] == "done"
    with cli.library() as repo:
        assert len(repo.snapshots()) == 1


def test_a_drill_is_a_job(cli: Cli) -> None:
    cli.tree()
    triggered(cli, scheduled(cli, "-s", "data"))
    ended = cli.json("schedule-drill", "-b", "repo", "-p", "password")
    ended, run = triggered(cli, str(ended.document["id"]))
    assert (ended.code, run["state"]) == (0, "done"), run


def test_x28_a_job_whose_repository_is_away_fails_and_says_so(cli: Cli) -> None:
    cli.tree()
    job = scheduled(cli, "-s", "data", "--on-failure", "touch failed")
    (cli.folder / "repo").rename(cli.folder / "away")
    ended, run = triggered(cli, job)
    assert (ended.code, run["state"]) == (1, "failed")
    assert "repo" in str(run["error"])
    assert (cli.folder / "failed").exists()


def test_r220_x24_run_once_runs_what_is_due(cli: Cli) -> None:
    cli.tree()
    job = scheduled(cli, "-s", "data", "-n", "minutely", cron="* * * * *")
    with Workspace() as workspace, workspace.database.transaction() as connection:
        connection.execute("UPDATE jobs SET planned_ns = planned_ns - 120000000000")
    ended = cli("scheduler", "run", "--once")
    assert ended.code == 0, ended.err
    assert "minutely: done: snapshot " in ended.out
    assert "1 job run" in ended.out
    ended = cli("scheduler", "history", "--job", job)
    assert "minutely" in ended.out
    assert "1 run" in ended.out
    (run,) = cli.json("scheduler", "history", "-n", "1").objects("runs")
    assert run["job_id"] == job
    assert run["attempt"] == 1


def test_status_of_the_scheduler(cli: Cli) -> None:
    assert "none runs" in cli("scheduler", "status").out
    scheduled(cli, "-s", "data", cron="@daily")
    found = cli.json("scheduler", "status").document
    assert (found["running"], found["jobs"], found["active"]) == (False, 1, 0)
    assert str(found["next_run"]).endswith("T00:00:00+00:00")


def test_r228_export_writes_units(cli: Cli) -> None:
    job = scheduled(cli, "-s", "data", "-n", "nightly", cron="30 2 * * *")
    ended = cli("scheduler", "export", "--format", "systemd", "-o", "units")
    assert ended.code == 0, ended.err
    names = sorted(each.name for each in (cli.folder / "units").iterdir())
    assert names == [f"holdfast-nightly-{job}.service", f"holdfast-nightly-{job}.timer"]
    ended = cli("scheduler", "export", "--format", "crontab", "--program", "/opt/holdfast")
    assert f"/opt/holdfast scheduler trigger {job}" in ended.out
    ended = cli("scheduler", "export", "--format", "kubernetes", "-o", "jobs.yaml")
    assert "CronJob" in (cli.folder / "jobs.yaml").read_text()
    found = cli.json("scheduler", "export", "--format", "crontab").document
    assert list(found) == ["format", "files"]
    assert cli("scheduler", "export").code == 2


def test_a_channel_that_is_not_configured_is_told_and_fails_nothing(cli: Cli) -> None:
    cli.tree()
    job = scheduled(
        cli, "-s", "data", "--notification", "ops@example.org", "--notification", "file:told",
        "--notify-on-success",
    )  # fmt: skip
    ended, _ = triggered(cli, job)
    assert ended.code == 0
    assert "ops@example.org was not told: no mail server is configured" in ended.err
    assert "backup done" in (cli.folder / "told").read_text()


def test_the_sources_of_the_config_file_are_taken(cli: Cli) -> None:
    top = cli.tree()
    (cli.folder / "c.yaml").write_text(
        "repository: repo\npassword_file: password\n"
        "sources: [{path: data, tags: [t], exclude: ['*.log']}]\n"
    )
    ended = cli.json("--config", "c.yaml", "schedule", "-c", "@daily")
    assert ended.code == 0, ended.err
    config = ended.document["config"]
    assert isinstance(config, dict)
    assert (config["sources"], config["tags"]) == ([str(top)], ["t"])
    assert config["exclude"] == ["*.log"]
