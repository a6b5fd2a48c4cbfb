"""Jobs written for other schedulers."""

from __future__ import annotations

import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from tests.unit.platform.schedule.reference import utc

from holdfast.errors import UsageError
from holdfast.platform.schedule import BackupScheduler, Outcome, Timing
from holdfast.platform.schedule.export import ExportOptions, export_jobs
from holdfast.platform.schedule.export.systemd import calendars
from holdfast.platform.workspace import Workspace

ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")

EXPRESSIONS = (
    "30 2 * * *", "*/15 * * * *", "0 */6 * * *", "0 2 1 */3 *", "5 4 * * SUN", "0 0 13 * FRI",
    "0 0 */2 * MON", "0 0 L * *", "0 0 1,L 2 *", "0 0 * * MON#2", "0 0 * * FRI#5", "0 0 * * 5L",
    "1-5,59 0-3 29 2 *", "0 12 * JAN,JUL 1-5", "0 0 15 * 1#1",
)  # fmt: skip


@needs_systemd
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_r228_systemd_means_the_same_by_each_expression(expression: str) -> None:
    timing = Timing(expression, "UTC")
    moment: datetime | None = utc(2028, 1, 1)
    expected: list[datetime | None] = []
    while moment is not None and len(expected) < 12:
        moment = timing.next_after(moment)
        expected += [moment]
    found = set()
    for calendar in calendars(expression, "UTC"):
        said = subprocess.run(
            [str(ANALYZE), "calendar", "--base-time=2028-01-01 00:00:00 UTC", "--iterations=12",
             calendar],
            capture_output=True, text=True, check=True, env={"TZ": "UTC", "LC_ALL": "C"},
        ).stdout  # fmt: skip
        for line in said.splitlines():
            head, _, rest = line.strip().partition(": ")
            if head in {"Next elapse", "Iteration"} or head.startswith("Iter"):
                text = " ".join(rest.split()[1:3])
                found.add(datetime.fromisoformat(text).replace(tzinfo=UTC))
    assert sorted(found)[:12] == expected


@pytest.mark.parametrize("expression", ["0 0 LW * *", "0 0 */2 * MON#1", "0 0 */2 * 5L"])
def test_r228_what_systemd_cannot_say_is_an_error(expression: str) -> None:
    with pytest.raises(UsageError):
        calendars(expression, "UTC")


def exported(folder: Path, kind: str, cron: str = "30 2 * * *", **config: object) -> dict[str, str]:
    workspace = Workspace(folder)
    values = {
        "name": 'nightly $HOME %h "x"', "sources": ["/data"], "backend": "/srv/repo",
        "password_file": "/etc/holdfast/pw", "time_zone": "UTC", **config,
    }  # fmt: skip
    with BackupScheduler(workspace=workspace, execute=lambda *_: Outcome("done")) as scheduler:
        scheduler.add_job(cron, values)
        scheduler.add_job("manual", {**values, "name": "by hand"})
        off = scheduler.add_job("@daily", {**values, "name": "off"})
        scheduler.update_job(off, {"enabled": False})
    return dict(export_jobs(workspace, kind, ExportOptions(program=["/usr/bin/env", "holdfast"])))


@needs_systemd
def test_r228_systemd_units_are_valid(tmp_path: Path) -> None:
    texts = exported(tmp_path / "a folder", "systemd", "0 0 1,L * *")
    assert [Path(name).suffix for name in texts] == [".service", ".timer"]
    units = tmp_path / "units"
    units.mkdir()
    for name, text in texts.items():
        (units / name).write_text(text)
    done = subprocess.run(
        [str(ANALYZE), "verify", "--man=no", *(str(units / name) for name in texts)],
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in done.stderr.splitlines() if "holdfast" in line]
    assert (done.returncode, said) == (0, []), done.stderr
    service, timer = texts.values()
    assert "Persistent=true" in timer
    assert timer.count("OnCalendar=") == 2
    assert 'ExecStart="/usr/bin/env" "holdfast" "scheduler" "trigger"' in service
    assert f'Environment="HOLDFAST_STATE_DIR={tmp_path}/a folder"' in service


def test_r228_a_crontab_has_a_line_for_each_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    (text,) = exported(tmp_path / "100% mine", "crontab").values()
    (line,) = [line for line in text.splitlines() if not line.startswith("#")]
    assert line.startswith("30 2 * * * HOLDFAST_STATE_DIR='")
    assert "100\\% mine" in line
    assert "/usr/bin/env holdfast scheduler trigger " in line
    with pytest.raises(UsageError, match="cron knows only that of the machine"):
        exported(tmp_path / "b", "crontab", time_zone="Asia/Tokyo")
    with pytest.raises(UsageError, match="does not know L and #"):
        exported(tmp_path / "c", "crontab", "0 0 L * *")


def kubernetes(folder: Path, cron: str = "30 2 * * *", **config: object) -> dict[str, object]:
    (text,) = exported(folder, "kubernetes", cron, **config).values()
    (document,) = yaml.safe_load_all(text)
    assert isinstance(document, dict)
    return document


def test_r228_a_cron_job_calls_the_command(tmp_path: Path) -> None:
    found = kubernetes(
        tmp_path, tags=["a", "$(b)"], retention_policy={"keep_daily": 7}, exclude=["*.tmp"],
        backend="s3://bucket/x", storage_options={"secret": "${S3_SECRET}"},
        time_zone="Europe/Berlin",
    )  # fmt: skip
    spec = found["spec"]
    assert isinstance(spec, dict)
    assert (found["apiVersion"], found["kind"]) == ("batch/v1", "CronJob")
    assert (spec["schedule"], spec["timeZone"]) == ("30 2 * * *", "Europe/Berlin")
    assert spec["concurrencyPolicy"] == "Forbid"
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    (first,), (last,) = pod["initContainers"], pod["containers"]
    where = ["-b", "s3://bucket/x", "-p", "/etc/holdfast/pw"]
    assert first["args"] == [
        "create", *where, "-s", "/data", "-t", "a", "-t", "$$(b)", "-x", "*.tmp",
    ]  # fmt: skip
    assert last["args"] == ["prune", *where, "-r", "keep-daily:7"]
    assert first["env"] == [
        {"name": "HOLDFAST_STORAGE_OPTIONS", "value": '{"secret": "$(S3_SECRET)"}'}
    ]
    assert {mount["mountPath"] for mount in first["volumeMounts"]} == {"/etc/holdfast/pw", "/data"}
    assert {volume["name"] for volume in pod["volumes"]} == {
        mount["name"] for mount in first["volumeMounts"]
    }


@pytest.mark.parametrize(
    ("config", "arguments"),
    [
        ({"operation": "validate", "read_data": True}, ["validate", "--read-data"]),
        ({"operation": "prune", "retention_policy": "standard"}, ["prune", "-r"]),
        ({"operation": "copy", "to": "s3://b", "to_password": "${P}"}, ["copy", "--to", "s3://b"]),
        ({"operation": "drill", "compliance_framework": "GDPR"}, ["drill", "-f", "GDPR"]),
    ],
)
def test_r228_every_operation_is_a_command(
    tmp_path: Path, config: dict[str, object], arguments: list[str]
) -> None:
    text = str(kubernetes(tmp_path, "@daily", **config))
    assert all(repr(word) in text for word in arguments)


def test_r228_what_a_command_cannot_say_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="hooks"):
        kubernetes(tmp_path / "a", hooks={"before": ["true"]})
    with pytest.raises(UsageError, match="does not know L"):
        kubernetes(tmp_path / "b", "0 0 L * *")
    with pytest.raises(UsageError, match="unknown format 'at'"):
        exported(tmp_path / "c", "at")


def test_r228_names_and_places_that_are_odd_stay_what_they_are(tmp_path: Path) -> None:
    found = kubernetes(
        tmp_path, name='nächtlich 😀 \u0085 "x": #', sources=["/a$$b", "/$$(X)", "/😀 y"],
        exclude=["$${X}", "${Y}$", "$$${Z}"],
    )  # fmt: skip
    metadata, spec = found["metadata"], found["spec"]
    assert isinstance(metadata, dict)
    assert isinstance(spec, dict)
    assert metadata["annotations"] == {"holdfast/job": 'nächtlich 😀 \u0085 "x": #'}
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    said = [kubernetes_expands(each, {"X": "x", "Y": "y", "Z": "z"}) for each in container["args"]]
    assert said[5:] == [
        "-s", "/a$$b", "-s", "/$$(X)", "-s", "/😀 y", "-x", "${X}", "-x", "y$", "-x", "$${Z}",
    ]  # fmt: skip
    paths = [each["hostPath"]["path"] for each in pod["volumes"] if "hostPath" in each]
    assert paths == ["/srv/repo", "/a$$b", "/$$(X)", "/😀 y"]


def kubernetes_expands(text: str, variables: dict[str, str]) -> str:
    """What a container gets of an argument: ``$(X)`` is a variable, ``$$`` a dollar."""
    return re.sub(
        r"\$\$|\$\(([^)]*)\)", lambda match: "$" if match[1] is None else variables[match[1]], text
    )


def test_r228_one_file_for_two_passwords_is_mounted_once(tmp_path: Path) -> None:
    text = str(
        kubernetes(
            tmp_path, operation="copy", to="/srv/other", to_password_file="/etc/holdfast/pw",
            sources=None,
        )
    )  # fmt: skip
    assert text.count("'mountPath': '/etc/holdfast/pw'") == 1


def test_r228_a_volume_that_depends_on_a_variable_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot depend on a variable"):
        kubernetes(tmp_path, sources=["/${PLACE}"])


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("0 3 * * 7", "0 3 * * 0"),
        ("0 3 * * 5-7", "0 3 * * 0,5,6"),
        ("0 3 * JAN */2", "0 3 * JAN 0,2,4,6"),
        ("0 3 */2 * *", "0 3 */2 * *"),
        ("0 3 13 * 5", "0 3 13 * 5"),
        ("*/15 * * * *", "*/15 * * * *"),
    ],
)
def test_r228_kubernetes_means_the_same_by_a_schedule(
    tmp_path: Path, cron: str, expected: str
) -> None:
    spec = kubernetes(tmp_path, cron)["spec"]
    assert isinstance(spec, dict)
    assert spec["schedule"] == expected


def test_r228_days_that_are_to_fit_twice_cannot_be_said_in_kubernetes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="by month and by week"):
        kubernetes(tmp_path, "0 3 1 * */2")


@pytest.mark.parametrize("folder", ["a\\%b", "a\\\\b", "a\nb"])
def test_r228_a_path_that_crontabs_read_otherwise_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    with pytest.raises(UsageError, match="cannot be said in a crontab"):
        exported(tmp_path / folder, "crontab")


def test_r228_units_of_odd_names_and_folders(tmp_path: Path) -> None:
    texts = exported(tmp_path / "a  b [x]*\\ 100%", "systemd", name="back\\slash \x1b\\")
    service, timer = texts.values()
    lines = service.splitlines()
    assert lines[1] == "Description=holdfast job back\\\\slash \\\\"  # no line ends with one
    assert f"EnvironmentFile=-{tmp_path}/a  b [[]x][*]\\\\ 100%%/environment" in lines
    assert "Description=When holdfast job back\\\\slash \\\\ runs" in timer
    with pytest.raises(UsageError, match="cannot read variables"):
        exported(tmp_path / "a\nb", "systemd")
