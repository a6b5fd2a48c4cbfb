"""Schedules and strategies of a config file become jobs."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast import UsageError
from holdfast.platform.schedule import JobConfig
from holdfast.settings.config import load_config
from holdfast.settings.jobs import PlannedJob, objective_problems, planned_jobs

BASE = "repository: /srv/repo\npassword_file: /pw\nsources: [/data]\n"


@pytest.fixture(autouse=True)
def _no_password_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for prefix in ("HOLDFAST", "RESTIC"):
        for name in ("PASSWORD", "PASSWORD_FILE", "PASSWORD_COMMAND"):
            monkeypatch.delenv(f"{prefix}_{name}", raising=False)


def jobs_of(folder: Path, text: str, profile: str = "") -> list[PlannedJob]:
    path = folder / "c.yaml"
    path.write_text(text)
    config = load_config(path)
    jobs = planned_jobs(config.profiles[profile] if profile else config, None, profile)
    for each in jobs:
        JobConfig.parse({k: v for k, v in each.config.items() if k != "time_zone"})
    return jobs


def named(jobs: list[PlannedJob]) -> dict[str, str]:
    assert len({each.name for each in jobs}) == len(jobs)
    return {each.name: each.cron for each in jobs}


def test_r184_a_schedule(tmp_path: Path) -> None:
    jobs = jobs_of(
        tmp_path,
        BASE + "retention: {keep_daily: 7}\nexclude: '*.o'\n"
        "schedule: {backup_cron: 0 2 * * *, validation_cron: 0 3 * * 0, drill_cron: 0 2 1 */3 *, "
        "prune_cron: 0 4 * * 0, zone: UTC}\n"
        "dr_drill: {max_rpo_minutes: 2000, compliance_framework: GDPR}\n",
    )
    assert named(jobs) == {
        "backup": "0 2 * * *",
        "validation": "0 3 * * 0",
        "drill": "0 2 1 */3 *",
        "prune": "0 4 * * 0",
    }
    backup, _, drill, prune = (each.config for each in jobs)
    assert backup == {
        "name": "backup",
        "operation": "backup",
        "backend": "/srv/repo",
        "password_file": "/pw",
        "sources": ["/data"],
        "exclude": ["*.o"],
        "time_zone": "UTC",
    }
    assert prune["retention_policy"] == {"keep_daily": 7}
    assert drill["compliance_framework"] == "GDPR"
    assert isinstance(drill["drill"], dict)
    assert drill["drill"]["max_rpo_minutes"] == 2000
    assert objective_problems(jobs) == []


def test_r121_a_backup_strategy(tmp_path: Path) -> None:
    strategy = "backup_strategy: {type: incremental, frequency: daily, retention: standard, "
    jobs = jobs_of(
        tmp_path,
        BASE + strategy + "schedule: {incremental: 0 1 * * *, full: 0 2 * * 0, "
        "validation: 0 3 * * 0, pruning: 0 4 * * 0}}",
    )
    assert named(jobs) == {
        "incremental": "0 1 * * *",
        "full": "0 2 * * 0",
        "strategy validation": "0 3 * * 0",
        "strategy pruning": "0 4 * * 0",
    }
    assert [each.config.get("backup_type") for each in jobs] == ["incremental", "full", None, None]
    assert jobs[3].config["retention_policy"] == {
        "keep_last": 5, "keep_daily": 7, "keep_weekly": 4, "keep_monthly": 12, "keep_yearly": 3,
    }  # fmt: skip
    usual = jobs_of(tmp_path, BASE + strategy + "full_backup_frequency: weekly}")
    assert named(usual) == {"incremental": "0 2 * * *", "full": "0 2 * * 0"}


def test_r125_tiers(tmp_path: Path) -> None:
    jobs = jobs_of(
        tmp_path,
        "repository: /r\npassword_file: /pw\ntiered_strategy:\n"
        "  critical: {sources: [/database, /financial], frequency: hourly, max_rpo_minutes: 90, "
        "retention: {hourly: 24, daily: 30, weekly: 52, monthly: 120}, encryption: AES256}\n"
        "  standard: {sources: [/logs, /temp], frequency: weekly}\n",
    )
    assert named(jobs) == {"tier critical": "0 * * * *", "tier standard": "0 2 * * 0"}
    critical = jobs[0].config
    assert (critical["tags"], critical["max_rpo_minutes"]) == (["critical"], 90)
    assert critical["retention_policy"] == {
        "keep_hourly": 24, "keep_daily": 30, "keep_weekly": 52, "keep_monthly": 120,
    }  # fmt: skip


def test_r129_r130_r131_continuous_backups(tmp_path: Path) -> None:
    text = BASE + "monitoring: {alert_on_rpo_violation: true, max_rpo_minutes: 30}\n"
    cdp = "cdp_strategy: {type: continuous, interval_minutes: %d, retention: {hourly: 24}}\n"
    (job,) = jobs_of(tmp_path, text + cdp % 15)
    assert (job.name, job.cron) == ("continuous", "*/15 * * * *")
    assert job.config["retention_policy"] == {"keep_hourly": 24}
    assert job.config["max_rpo_minutes"] == 30
    assert objective_problems([job]) == []
    with pytest.raises(UsageError, match="N = 1, 2, 3"):
        jobs_of(tmp_path, text + cdp % 7)


def test_x17_an_interval_that_cannot_meet_the_objective(tmp_path: Path) -> None:
    nightly = BASE + "schedule: {backup_cron: 0 2 * * *}\n"
    jobs = jobs_of(tmp_path, nightly + "dr_drill: {max_rpo_minutes: 15}\n")
    (problem,) = objective_problems(jobs)
    assert problem.startswith("/data: up to 1440 minutes lie between two backups (job 'backup')")
    assert "may be 15 minutes old" in problem
    assert "max_rpo_minutes" not in jobs[0].config, "a drill's objective raises no alarms"
    both = jobs_of(
        tmp_path,
        nightly + "monitoring: {max_rpo_minutes: 20}\ncdp_strategy: {interval_minutes: 20}\n",
    )
    assert objective_problems(both) == [], "the job that runs most often meets it"
    assert [each.config.get("max_rpo_minutes") for each in both] == [None, 20]


def test_sources_with_different_tags_are_different_jobs(tmp_path: Path) -> None:
    jobs = jobs_of(
        tmp_path,
        "repository: /r\npassword_command: [pass, x]\nschedule: {backup_cron: 0 2 * * *}\n"
        "sources: [{path: /a, tags: x}, /b, {path: /a, tags: z}, {path: /c, tags: x}]\n",
    )
    assert [(each.name, each.sources, each.config.get("tags")) for each in jobs] == [
        ("backup /a", ("/a", "/c"), ["x"]),
        ("backup /b", ("/b",), None),
        ("backup /a (2)", ("/a",), ["z"]),
    ]


def test_jobs_hold_references_in_place_of_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_SECRET", "hush")
    monkeypatch.setenv("HOLDFAST_PASSWORD", "hush")
    (job,) = jobs_of(
        tmp_path,
        "backend: {uri: 's3://b/x', region: r}\nsources: [/a]\nschedule: {backup_cron: 0 2 * * *}\n"
        "credentials: {aws_secret_key: '${TEST_SECRET}'}\n"
        "storage_options: {token: '${TEST_SECRET}'}",
    )
    assert job.config["password"] == "${HOLDFAST_PASSWORD}"
    assert job.config["storage_options"] == {
        "region": "r", "secret": "${TEST_SECRET}", "token": "${TEST_SECRET}",
    }  # fmt: skip
    assert "hush" not in str(job.config)


def test_who_is_told(tmp_path: Path) -> None:
    (job,) = jobs_of(
        tmp_path,
        BASE + "schedule: {backup_cron: 0 2 * * *}\nnotifications:\n"
        "  email: {smtp_host: m, recipients: [a@b]}\n  slack: {enabled: false, webhook_url: x}\n"
        "  apprise: {team: discord://1/2}\n  on_success: true\n"
        "monitoring: {alert_on_failure: false}",
    )
    assert job.config["notification"] == {
        "channels": ["email", "team"], "on_success": True, "on_failure": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("schedule: {backup_cron: 0 2 * * *}", "`sources:`"),
        ("sources: [a]\nschedule: {backup_cron: 0 2 * * *}", "a repository"),
        ("repository: a\nschedule: {validation_cron: 0 2 * * *}", "a password"),
        ("repository: a\npassword_file: b\nschedule: {prune_cron: 0 2 * * *}", "`retention:`"),
    ],
)
def test_what_is_missing_is_told(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        jobs_of(tmp_path, text)


def test_a_profile_has_jobs_of_its_own(tmp_path: Path) -> None:
    text = BASE + "schedule: {backup_cron: 0 2 * * *}\nprofiles: {nas: {repository: /nas}}"
    (job,) = jobs_of(tmp_path, text, "nas")
    assert (job.name, job.config["backend"]) == ("nas: backup", "/nas")
    assert jobs_of(tmp_path, BASE) == []
