"""The commands of the configuration, and what the others take from it."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from tests.integration.cli_runner import PASSWORD, Cli, Ended

CONFIG = """\
repository: repo
password_file: pw
sources:
  - {path: data, tags: [db], exclude: ["*.tmp"]}
  - {path: more, tags: [other]}
exclude: ["*.o"]
"""

pytestmark = pytest.mark.usefixtures("cheap_passwords")


@pytest.fixture
def cli(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    runner = Cli(tmp_path, capfd, monkeypatch)
    monkeypatch.setenv("HOLDFAST_STATE_DIR", str(tmp_path / "state"))
    for name in ("COMPRESSION", "PACK_SIZE", "CACHE_SIZE"):
        for prefix in ("HOLDFAST", "RESTIC"):
            monkeypatch.delenv(f"{prefix}_{name}", raising=False)
    (tmp_path / "pw").write_text(PASSWORD)
    (tmp_path / "pw").chmod(0o600)
    return runner


def configured(cli: Cli, text: str, *arguments: str) -> Ended:
    (cli.folder / "c.yaml").write_text(text)
    return cli("--config", "c.yaml", *arguments)


def test_r157_r182_create_takes_sources_and_repository_from_the_file(cli: Cli) -> None:
    cli.repository(named=False)
    cli.tree()
    (cli.folder / "more").mkdir()
    (cli.folder / "more/x.o").write_text("x")
    (cli.folder / "more/y.tmp").write_text("y")
    ended = configured(cli, CONFIG, "create", "-t", "all")
    assert ended.code == 0, ended.err
    with cli.library() as repo:
        data, more = repo.snapshots()
        assert (data.paths, sorted(data.tags)) == ((str(cli.folder / "data"),), ["all", "db"])
        assert (more.paths, sorted(more.tags)) == ((str(cli.folder / "more"),), ["all", "other"])
        names = [entry.path for each in (data, more) for entry in repo.walk(each.id)]
    assert not [each for each in names if each.endswith(("b.tmp", ".o"))]
    assert [each for each in names if each.endswith("y.tmp")], "the pattern is of the other source"


def test_create_tells_of_each_group_in_one_document(cli: Cli) -> None:
    cli.repository(named=False)
    cli.tree()
    (cli.folder / "c.yaml").write_text(CONFIG)
    ended = cli.json("--config", "c.yaml", "create")
    assert ended.code == 1
    first, second = ended.objects("backups")
    assert (first["paths"], first["tags"]) == ([str(cli.folder / "data")], ["db"])
    assert first["snapshot_id"]
    assert "error" in second
    assert ended.document["ok"] is False
    alone = cli.json("--config", "c.yaml", "create", "data")
    assert "backups" not in alone.document


def test_x22_nothing_to_back_up(cli: Cli) -> None:
    cli.repository()
    ended = cli("create")
    assert ended.code == 2
    assert "`sources:`" in ended.err


def test_r189_validate_tells_all_and_where(cli: Cli) -> None:
    text = "repository: repo\nexclud: x\nschedule:\n  backup_cron: 7\n"
    ended = configured(cli, text, "config", "validate")
    assert ended.code == 2
    assert "c.yaml, line 2: unknown key 'exclud': did you mean 'exclude'?" in ended.err
    assert "c.yaml, line 4: schedule.backup_cron is to be a text" in ended.err
    found = cli.json("config", "validate", "c.yaml")
    assert (found.code, found.document["valid"]) == (2, False)
    assert found.objects("problems")[1] == {
        "path": "schedule.backup_cron",
        "line": 4,
        "problem": "schedule.backup_cron is to be a text, in quotes if need be",
        "severity": "error",
    }
    assert configured(cli, text, "list").code == 2, "no other command takes such a file"


def test_x17_validate_warns(cli: Cli) -> None:
    text = CONFIG + "schedule: {backup_cron: 0 2 * * *}\nmonitoring: {max_rpo_minutes: 15}\n"
    text += "tiered_strategy: {a: {sources: x, compression: high, replication: multi-region}}\n"
    ended = configured(cli, text, "config", "validate")
    assert ended.code == 0
    assert ended.err.count("warning") == 5
    assert "up to 1440 minutes lie between two backups" in ended.err
    assert "compression changes nothing" in ended.err


def test_validate_warns_of_what_tells_nobody(cli: Cli) -> None:
    text = CONFIG + "notifications: {email: {smtp_host: h}, slack: {channel: '#x'}}\n"
    ended = configured(cli, text, "config", "validate")
    assert (ended.code, ended.err.count("sends nothing")) == (0, 2)
    assert "email sends nothing: give recipients" in ended.err
    assert "slack sends nothing: give webhook_url" in ended.err
    off = text.replace("{smtp", "{enabled: false, smtp").replace("{chan", "{enabled: false, chan")
    assert "sends nothing" not in configured(cli, off, "config", "validate").err
    wrong = CONFIG + "notifications: {email: {smtp_host: h, recipients: [a@b.c, nobody]}}\n"
    ended = configured(cli, wrong, "config", "validate")
    assert ended.code == 2
    assert "'nobody' is no e-mail address" in ended.err


def test_validate_warns_of_secrets_that_others_can_read(cli: Cli) -> None:
    secret = CONFIG + "notifications: {slack: {webhook_url: https://hooks.example.org/hush}}\n"
    ended = configured(cli, secret, "config", "validate")
    assert ended.code == 0
    assert "others can read this file" in ended.err
    assert "notifications.slack.webhook_url" in ended.err
    assert "hush" not in ended.err
    Path("c.yaml").chmod(0o600)
    assert "others can read" not in cli("config", "validate", "c.yaml").err
    named = CONFIG + "notifications: {slack: {webhook_url: '${TEST_HOOK}'}}\n"
    cli.environment(TEST_HOOK="https://hooks.example.org/hush")
    Path("c.yaml").unlink()
    assert "others can read" not in configured(cli, named, "config", "validate").err


def test_validate_without_a_file(cli: Cli) -> None:
    assert cli("config", "validate").code == 2
    assert "No such file" in cli("config", "validate", "none.yaml").err


def test_r190_show_masks_secrets_and_says_where_from(cli: Cli) -> None:
    cli.environment(TEST_HOOK="https://hush", HOLDFAST_PASSWORD="hush", RESTIC_PACK_SIZE="32")
    text = (
        "repository: repo\nlimit_upload: 5\nstorage_options: {secret: hush, region: r}\n"
        "notifications: {slack: {webhook_url: '${TEST_HOOK}'}, webhook: https://hush}\n"
    )
    ended = configured(cli, text, "config", "show")
    assert ended.code == 0, ended.err
    assert "hush" not in ended.out + ended.err
    assert "${TEST_HOOK}" in ended.out
    cli.environment(HOLDFAST_REPOSITORY="/elsewhere")
    found = cli.json("--config", "c.yaml", "--limit-upload", "7", "config", "show")
    assert "hush" not in found.out
    rows = {each["name"]: (each["value"], each["from"]) for each in found.objects("effective")}
    assert rows["repository"] == ("/elsewhere", "HOLDFAST_REPOSITORY")
    assert rows["limit_upload"] == ("7", "--limit-upload")
    assert rows["limit_download"] == ("no limit", "default")
    assert rows["password"] == ("***", "HOLDFAST_PASSWORD")
    assert rows["pack_size"] == ("32", "RESTIC_PACK_SIZE")
    assert rows["storage_options.region"] == ("r", "config file")
    assert rows["storage_options.secret"] == ("***", "config file")


def test_no_secret_within_what_is_harmless_is_shown(cli: Cli) -> None:
    text = (
        "repository: sftp://u:hush@again@host/x\npassword_file: pw\n"
        "storage_options: {endpoint_url: 'https://u:hush@host'}\n"
        "dr_drill: {notification_channels: [ops@example.org, 'discord://1/hush']}\n"
    )
    ended = configured(cli, text, "config", "show")
    assert ended.code == 0
    assert "ops@example.org" in ended.out
    assert not [word for word in ("hush", "again") if word in ended.out]
    exported = configured(cli, text, "export-config", "-o", "out.yaml")
    assert exported.code == 0, exported.err
    assert "hush" not in (cli.folder / "out.yaml").read_text()


def test_the_schema_is_json(cli: Cli) -> None:
    ended = cli("config", "schema")
    assert ended.code == 0
    assert "three_two_one" in ended.document["properties"]  # type: ignore[operator]  # a mapping


def test_apply_makes_jobs_once(cli: Cli) -> None:
    cron = "schedule: {backup_cron: '0 2 * * *', validation_cron: '0 3 * * 0', zone: UTC}\n"
    dry = configured(cli, CONFIG + cron, "config", "apply", "--dry-run")
    assert (dry.code, dry.out.count("added")) == (0, 3)
    first = cli.json("--config", "c.yaml", "config", "apply")
    assert [(each["name"], each["action"]) for each in first.objects("jobs")] == [
        (f"backup {cli.folder}/data", "added"),
        (f"backup {cli.folder}/more", "added"),
        ("validation", "added"),
    ]
    again = cli.json("--config", "c.yaml", "config", "apply")
    assert {str(each["action"]) for each in again.objects("jobs")} == {"unchanged"}
    less = CONFIG.replace('exclude: ["*.o"]\n', "") + cron.replace("0 3", "0 4")
    (cli.folder / "c.yaml").write_text(less)
    changed = cli.json("--config", "c.yaml", "config", "apply")
    assert [each["action"] for each in changed.objects("jobs")] == ["changed"] * 3
    with sqlite3.connect(cli.folder / "state/state.sqlite") as connection:
        rows = connection.execute("SELECT name, cron, config FROM jobs ORDER BY name").fetchall()
    connection.close()
    assert [row[:2] for row in rows] == [
        (f"backup {cli.folder}/data", "0 2 * * *"),
        (f"backup {cli.folder}/more", "0 2 * * *"),
        ("validation", "0 4 * * 0"),
    ]
    assert "exclude" not in json.loads(rows[1][2]), "a key that is gone is gone"
    assert "nothing to do" in configured(cli, CONFIG, "config", "apply").err


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_r154_export_writes_no_secret_and_can_be_used(cli: Cli, form: str) -> None:
    cli.environment(TEST_HOOK="hush")
    text = CONFIG + (
        "storage_options: {token: hush}\n"
        "notifications: {webhook: 'https://hush', slack: {webhook_url: '${TEST_HOOK}'}}\n"
    )
    (cli.folder / "out").mkdir()
    ended = configured(cli, text, "export-config", "-o", f"out/e.{form}", "-f", form)
    assert ended.code == 0, ended.err
    written = (cli.folder / f"out/e.{form}").read_text()
    assert "hush" not in written + ended.out + ended.err
    assert "${TEST_HOOK}" in written
    assert "storage_options.token holds a secret: set HOLDFAST_STORAGE_OPTIONS_TOKEN" in ended.err
    unset = cli("--config", f"out/e.{form}", "config", "show")
    assert "is not set, or empty (and 1 more" in unset.err
    cli.environment(HOLDFAST_STORAGE_OPTIONS_TOKEN="a", HOLDFAST_NOTIFICATIONS_WEBHOOK="b")
    shown = cli.json("--config", f"out/e.{form}", "config", "show")
    rows = {each["name"]: each["value"] for each in shown.objects("effective")}
    assert rows["repository"] == str(cli.folder / "repo")


def test_export_without_a_file_tells_the_environment(cli: Cli) -> None:
    cli.environment(
        HOLDFAST_REPOSITORY="/srv/x", HOLDFAST_PASSWORD="hush", RESTIC_PASSWORD_FILE="/p"
    )
    assert cli("export-config", "-o", "e.yaml").code == 0
    assert (cli.folder / "e.yaml").read_text() == "repository: /srv/x\npassword_file: /p\n"
    assert cli("export-config").code == 2
    assert cli("export-config", "-o", "no/e.yaml").code == 1
    assert cli("export-config", "-o", "e", "-f", "toml").code == 2


def test_r192_a_flag_before_the_environment_before_the_file(cli: Cli) -> None:
    text = "compression: max\npack_size: 8\npassword_file: pw\n"
    made = [
        ({}, (), 19, 8),
        ({"RESTIC_COMPRESSION": "off", "RESTIC_PACK_SIZE": "32"}, (), 0, 32),
        ({"HOLDFAST_COMPRESSION": "5"}, ("--pack-size", "2"), 5, 2),
    ]
    for number, (variables, flags, level, size) in enumerate(made):
        cli.environment(**variables)
        ended = configured(cli, text, "init", "-b", f"r{number}", *flags)
        assert ended.code == 0, ended.err
        shown = cli("--no-cache", "cat", "-b", f"r{number}", "-p", "pw", "config")
        config = shown.document
        assert (config["compression"], config["pack_size"]) == (level, size << 20)


def test_r197_r198_the_variables_of_restic_for_new_repositories(cli: Cli) -> None:
    cli.environment(RESTIC_COMPRESSION="max", RESTIC_PACK_SIZE="128")
    ended = cli("init", "-b", "r", "-p", "pw")
    assert ended.code == 0
    assert "RESTIC_PACK_SIZE is 128: 96 MiB is the most" in ended.err
    cli.environment(HOLDFAST_PACK_SIZE="128")
    assert "out of bounds" in cli("init", "-b", "s", "-p", "pw").err
    cli.environment(HOLDFAST_PACK_SIZE="4 MB")
    assert "HOLDFAST_PACK_SIZE is to be a number of MiB" in cli("init", "-b", "s", "-p", "pw").err


def test_r284_the_audit_trail_is_told_to_a_log_file(cli: Cli) -> None:
    cli.repository(named=False)
    cli.tree()
    ended = configured(cli, CONFIG + "audit: {log_file: audit.log}\n", "create", "data")
    assert ended.code == 0, ended.err
    text = (cli.folder / "audit.log").read_text()
    assert " - " in text
    assert "backup" in text
    lost = configured(cli, "audit: {log_file: no/audit.log}", "list")
    assert (lost.code, "audit.log_file" in lost.err) == (2, True)
