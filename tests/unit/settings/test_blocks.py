"""The blocks of a config file: a test for each requirement, named by its number."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast import RetentionPolicy, UsageError
from holdfast.settings import Config, Source, SourceGroup, find_profile
from holdfast.settings.blocks import (
    BackupStrategy,
    Blocks,
    CdpStrategy,
    Monitoring,
    RepositoryCopy,
    StrategySchedule,
)
from holdfast.settings.config import load_config
from holdfast.settings.review import review
from holdfast.settings.section import schema

WHOLE = """\
version: "1.0"
backend: {type: s3, uri: "s3://bucket/backups", region: eu-west-1}
credentials:
  password_file: pw
  aws_access_key: ${TEST_ACCESS}
  aws_secret_key: ${TEST_SECRET}
sources:
  - {path: data, tags: [daily, db], exclude: ["*.tmp"]}
  - {path: /etc, tags: daily}
  - /home
  - {path: more, tags: [daily, db], exclude: ["*.tmp"]}
retention: {keep_daily: 7, keep_weekly: 4, keep_monthly: 12, keep_yearly: 3}
retention_policies:
  standard: {keep_last: 5, keep_daily: 7}
  long_term: {keep_daily: 30, keep_within: 7y}
schedule: {backup_cron: "0 2 * * *", validation_cron: "0 3 * * 0", drill_cron: "0 2 1 */3 *"}
dr_drill:
  test_environment: staging
  max_rto_minutes: 60
  max_rpo_minutes: 15
  compliance_framework: SOC2
  validation_checks: [integrity, service_availability]
  notification_channels: [email]
notifications:
  email: {enabled: true, recipients: [ops@example.org], smtp_host: mail.example.org}
  slack: {enabled: true, webhook_url: "${TEST_HOOK}", channel: "#backup-alerts"}
  apprise: {team: "discord://1/2"}
  webhook: https://example.org/hook
  file: told.jsonl
  console: true
backup_strategy:
  type: incremental
  frequency: daily
  full_backup_frequency: weekly
  retention: standard
  schedule:
    {incremental: 0 2 * * *, full: 0 2 * * 0, validation: 0 3 * * 0, pruning: 0 4 * * 0}
cdp_strategy: {type: continuous, interval_minutes: 15, retention: {hourly: 24, daily: 7, weekly: 4}}
tiered_strategy:
  critical:
    sources: [/database, financial]
    frequency: hourly
    retention: {hourly: 24, daily: 30, weekly: 52, monthly: 120}
    encryption: AES256
    replication: multi-region
  standard: {sources: [/logs, /temp], frequency: weekly, compression: high}
three_two_one:
  original: {media: disk, location: office}
  copies:
    - {repository: nas, media: nas, location: office}
    - {repository: "s3://bucket/x", media: cloud, location: eu-west-1, password_file: pw2}
monitoring: {alert_on_failure: true, alert_on_rpo_violation: true, max_rpo_minutes: 30}
audit: {log_file: audit.log}
"""


@pytest.fixture
def whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setenv("TEST_ACCESS", "an id")
    monkeypatch.setenv("TEST_SECRET", "hush")
    monkeypatch.setenv("TEST_HOOK", "https://hooks.example.org/hush")
    return loaded(tmp_path, WHOLE)


def loaded(folder: Path, text: str) -> Config:
    path = folder / "backup_config.yaml"
    path.write_text(text)
    return load_config(path)


def blocks_of(config: Config) -> Blocks:
    assert config.blocks is not None
    return config.blocks


def problems(folder: Path, text: str) -> list[tuple[int | None, str]]:
    path = folder / "backup_config.yaml"
    path.write_text(text)
    return [(each.line, each.text) for each in review(path) if not each.is_warning]


def test_r178_the_version_is_a_text_or_a_number(tmp_path: Path) -> None:
    assert loaded(tmp_path, 'version: "1.0"') == loaded(tmp_path, "version: 1.0") == Config()
    with pytest.raises(UsageError, match=r"version is to be '1\.0'"):
        loaded(tmp_path, "version: 2")


def test_r179_a_backend_says_where_the_repository_is(whole: Config, tmp_path: Path) -> None:
    assert whole.repository == "s3://bucket/backups"
    assert whole.storage_options["region"] == "eu-west-1"
    assert loaded(tmp_path, "backend: {uri: repo}").repository == str(tmp_path / "repo")
    with pytest.raises(UsageError, match="uri is none of type s3, such as s3://bucket"):
        loaded(tmp_path, "backend: {type: s3, uri: /srv}")
    with pytest.raises(UsageError, match=r"backend\.region makes sense with S3 only"):
        loaded(tmp_path, "backend: {uri: /srv, region: x}")
    with pytest.raises(UsageError, match=r"backend\.uri is missing"):
        loaded(tmp_path, "backend: {type: s3}")


def test_r180_credentials(whole: Config, tmp_path: Path) -> None:
    assert whole.password_file == str(tmp_path / "pw")
    assert whole.storage_options == {"region": "eu-west-1", "key": "an id", "secret": "hush"}
    with pytest.raises(UsageError, match="either password_file or password_command"):
        loaded(tmp_path, "password_command: x\ncredentials: {password_file: y}")


def test_r181_variables_are_filled_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_A", "one")
    config = loaded(tmp_path, "repository: /x/${TEST_A}/${TEST_A}\nexclude: ['$${TEST_A}', $5]\n")
    assert config.repository == "/x/one/one"
    assert config.exclude == ("${TEST_A}", "$5")
    monkeypatch.setenv("TEST_N", "42")
    assert loaded(tmp_path, "cache_size: ${TEST_N}").cache_size == 42
    monkeypatch.setenv("TEST_F", "false")
    notifications = blocks_of(loaded(tmp_path, "notifications: {on_failure: '${TEST_F}'}"))
    assert notifications.notifications is not None
    assert notifications.notifications.on_failure is False


@pytest.mark.parametrize("value", [None, ""])
def test_r181_a_variable_that_is_not_set_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    if value is not None:
        monkeypatch.setenv("TEST_NONE", value)
    with pytest.raises(UsageError) as refused:
        loaded(tmp_path, "storage_options: {a: ['${TEST_NONE}']}")
    assert "storage_options.a[0]: the environment variable TEST_NONE is not set" in str(
        refused.value
    )
    with pytest.raises(UsageError, match=r"`\${` is to be `\${NAME}`"):
        loaded(tmp_path, "repository: ${not a name}")


def test_r181_only_the_profile_that_needs_it_misses_a_variable(tmp_path: Path) -> None:
    text = "profiles:\n  a: {repository: '${TEST_NONE}'}\n  b: {repository: /b}\n"
    config = loaded(tmp_path, text)
    assert find_profile("b", config).repository == "/b"
    with pytest.raises(UsageError, match="profile a: repository: the environment variable TEST_N"):
        find_profile("a", config)
    with pytest.raises(UsageError, match="there are a, b"):
        find_profile("c", config)
    with pytest.raises(UsageError, match="unknown key 'x'"):
        loaded(tmp_path, text + "x: 1")


def test_r182_sources_with_tags_and_patterns(whole: Config, tmp_path: Path) -> None:
    assert whole.sources[1] == Source(path="/etc", tags=("daily",))
    assert whole.source_groups() == (
        SourceGroup((str(tmp_path / "data"), str(tmp_path / "more")), ("daily", "db"), ("*.tmp",)),
        SourceGroup(("/etc",), ("daily",)),
        SourceGroup(("/home",)),
    )


def test_r183_r187_retention_and_named_policies(whole: Config, tmp_path: Path) -> None:
    blocks = blocks_of(whole)
    wanted = RetentionPolicy(keep_daily=7, keep_weekly=4, keep_monthly=12, keep_yearly=3)
    assert blocks.retention == wanted
    assert blocks.policy("long_term") == RetentionPolicy(keep_daily=30, keep_within="7y")
    assert blocks.policy("standard") == RetentionPolicy(keep_last=5, keep_daily=7), "not the preset"
    assert blocks.policy("aggressive") == RetentionPolicy.parse("aggressive")
    line, text = problems(tmp_path, "a: 1\nretention: {keep_dayly: 3}")[1]
    assert line == 2
    assert "retention: retention policy: there is no rule 'keep_dayly': did you mean" in text
    with pytest.raises(UsageError, match=r"tiered_strategy\.a\.retention: retention policy: 'std'"):
        loaded(tmp_path, "tiered_strategy: {a: {sources: x, retention: std}}")


def test_r184_r185_schedule_and_drill(whole: Config, tmp_path: Path) -> None:
    blocks = blocks_of(whole)
    assert blocks.schedule is not None
    assert blocks.schedule.drill_cron == "0 2 1 */3 *"
    assert blocks.dr_drill is not None
    assert blocks.dr_drill.validation_checks == ("integrity", "service_availability")
    found = problems(tmp_path, "schedule:\n  backup_cron: '0 25 * * *'\n  zone: Europe/Berlun\n")
    assert [line for line, _ in found] == [2, 3]
    assert "bad hour '25'" in found[0][1]
    assert "unknown time zone" in found[1][1]
    assert problems(tmp_path, "dr_drill: {validation_checks: [integrty]}")[0][1].startswith(
        "dr_drill.validation_checks[0] is to be 'integrity', 'restore_speed'"
    )


def test_r186_notifications(whole: Config) -> None:
    told = blocks_of(whole).notifications
    assert told is not None
    assert told.email is not None
    assert (told.email.recipients, told.email.smtp_port) == (("ops@example.org",), 587)
    assert told.slack is not None
    assert told.slack.webhook_url == "https://hooks.example.org/hush"
    assert "hush" not in repr(whole)


def test_r188_strategies_are_typed(whole: Config, tmp_path: Path) -> None:
    blocks = blocks_of(whole)
    assert blocks.backup_strategy == BackupStrategy(
        full_backup_frequency="weekly",
        retention="standard",
        schedule=StrategySchedule(
            incremental="0 2 * * *", full="0 2 * * 0", validation="0 3 * * 0", pruning="0 4 * * 0"
        ),
    )
    assert blocks.cdp_strategy == CdpStrategy(
        retention=RetentionPolicy(keep_hourly=24, keep_daily=7, keep_weekly=4)
    )
    critical = blocks.tiered_strategy["critical"]
    assert critical.sources == ("/database", str(tmp_path / "financial"))
    assert critical.retention == RetentionPolicy(
        keep_hourly=24, keep_daily=30, keep_weekly=52, keep_monthly=120
    )
    assert blocks.monitoring == Monitoring(max_rpo_minutes=30)
    rule = blocks.three_two_one
    assert rule is not None
    assert rule.copies[0] == RepositoryCopy(
        repository=str(tmp_path / "nas"), media="nas", location="office"
    )


def test_r189_every_problem_is_told_with_its_line_and_path(tmp_path: Path) -> None:
    text = (
        "sources:\n"
        "  - path: /a\n"
        "    tag: x\n"
        "  - {tags: y}\n"
        "schedul: {}\n"
        "notifications:\n"
        "  email:\n"
        "    smtp_port: 99999\n"
        "    recipients: [1]\n"
        "profiles:\n"
        "  nas:\n"
        "    cache_size: -1\n"
    )
    assert problems(tmp_path, text) == [
        (3, "sources[0]: unknown key 'tag': did you mean 'tags'?"),
        (4, "sources[1].path is missing"),
        (5, "unknown key 'schedul': did you mean 'schedule'?"),
        (8, "notifications.email.smtp_port is to be a whole number, 65535 or less"),
        (9, "notifications.email.recipients is to be a list of texts, in quotes if need be"),
        (12, "profile nas: cache_size is to be a whole number, 0 or more"),
    ]
    with pytest.raises(UsageError, match=r"and 5 more: `holdfast config validate` tells all"):
        loaded(tmp_path, text)


def test_the_schema_describes_every_key() -> None:
    def silent(node: object, path: str) -> list[str]:
        assert isinstance(node, dict)
        found = []
        for name, each in node.get("properties", {}).items():
            found += [] if each.get("description") else [f"{path}.{name}"]
        return found

    definitions = schema()["$defs"]
    assert isinstance(definitions, dict)
    assert silent(schema(), "") == []
    assert [each for name, node in definitions.items() for each in silent(node, name)] == []


def test_json_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text('{"repository": "repo", "exclude": ["\\ud83d\\ude00"]}')
    config = load_config(path)
    assert (config.repository, config.exclude) == (str(tmp_path / "repo"), ("\U0001f600",))
    for text, problem in (
        ('{"a": 1', "not JSON: .*line 1"),
        ('{"exclude": "a", "exclude": "b"}', "'exclude' stands there twice"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not a mapping"),
    ):
        path.write_text(text)
        with pytest.raises(UsageError, match=problem):
            load_config(path)
