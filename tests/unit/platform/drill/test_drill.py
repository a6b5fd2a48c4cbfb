"""Drills: what is measured, what is checked, and that nothing is left (rows R229 to R243)."""

from __future__ import annotations

import json
import logging
import socket
import threading
import zipfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from random import Random

import pytest
from tests.unit.platform.drill.rig import DATA_CHECKS, Rig

import holdfast
from holdfast import DRDrill, DrillConfig, DrillReport, UsageError
from holdfast.backend import LocalBackend
from holdfast.overrides import override
from holdfast.platform.drill import (
    CHECKS,
    DrillStatus,
    load_report,
    report_file,
    verdict_word,
)
from holdfast.platform.drill.restoring import restore_into
from holdfast.platform.workspace import Workspace
from holdfast.testing.repositories import PASSWORD, new_store

_RANDOM = Random(1)  # noqa: S311 - the same in every run

FILES = {
    "a.json": b'{"a": 1}',
    "b.yaml": b"a: [1, 2]\n",
    "notes.txt": b"nothing in particular\n",
    **{f"many/{number:03}.bin": _RANDOM.randbytes(25_000) for number in range(100)},
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    """A rig whose repository is good; the backup was 5 minutes ago."""
    rig = Rig(tmp_path_factory.mktemp("drill"), FILES)
    rig.back_up()
    rig.clock.advance(300)
    return rig


@pytest.fixture
def damaged(whole: Rig) -> Rig:
    """The same with one pack of data damaged."""
    twin = whole.twin()
    twin.damage(twin.packs()[-1])
    return twin


@pytest.fixture
def server() -> Iterator[str]:
    """A service that is healthy at /health, and elsewhere is not."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            codes = {"/health": 204, "/moved": 302}
            self.send_response(codes.get(self.path, 503))
            self.send_header("Location", "/health")
            self.end_headers()

        @override
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as service:
        thread = threading.Thread(target=service.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{service.server_port}"
        service.shutdown()
        thread.join()


def test_r229_a_drill_takes_a_repository_and_a_password_file(tmp_path: Path) -> None:
    place, secret = tmp_path / "repository", tmp_path / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o600)
    (tmp_path / "a.json").write_text("{}")
    new_store(LocalBackend(place)).close()
    with holdfast.open(place, password_file=secret, cache=False) as repository:
        repository.backup([str(tmp_path / "a.json")])
    with Workspace(tmp_path / "state") as workspace:
        by_position = DRDrill(str(place), str(secret), workspace=workspace, cache=False)
        by_name = DRDrill(backend=place, password_file=secret, workspace=workspace, cache=False)
        reports = [each.execute_drill(DrillConfig()) for each in (by_position, by_name)]
    assert [each.status for each in reports] == ["SUCCESS", "SUCCESS"]


def test_r232_a_good_repository_is_a_success_and_nothing_is_left(whole: Rig) -> None:
    report = whole.report()
    assert report.status == "SUCCESS"
    assert report.errors == ()
    assert set(report.validation_results.values()) == {True}
    assert report.files == len(FILES)
    assert report.bytes == sum(map(len, FILES.values()))
    assert whole.leftovers() == []


def test_r233_the_report_has_all_that_is_documented(whole: Rig) -> None:
    report = whole.report(name="mine", compliance_framework="HIPAA")
    assert isinstance(report.status, DrillStatus)
    assert (report.rto_compliant, report.rpo_compliant) == (True, True)
    assert report.recovery_time_minutes == 0
    assert report.recommendations == ()
    assert (report.name, report.compliance_framework) == ("mine", "HIPAA")
    assert report.time == datetime.fromtimestamp(whole.clock.now_ns() // 10**9, UTC)
    assert len(report.drill_id) == 36
    assert report.snapshot_time == report.time - timedelta(minutes=5)
    with whole.open() as repository:
        assert report.repository_id == repository.id
        assert report.evidence["tree"] == repository.snapshot("latest").tree.hex()
    plain = report.dict()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["digest"] == report.digest


def test_r234_every_check_is_known_by_its_name(whole: Rig) -> None:
    report = whole.drill({"service_availability": ["true"], "api_health": lambda _: True})
    results = report.execute_drill(whole.config(validation_checks=CHECKS)).validation_results
    assert results == dict.fromkeys(CHECKS, True)


def test_the_times_are_exactly_those_of_the_model(whole: Rig) -> None:
    """Each read takes 2 seconds, the probe takes 7, and an outside observer counts."""
    rig = whole.twin()
    rig.backend.cost = 2.0
    marks: dict[str, tuple[float, int]] = {}

    def mark(name: str) -> None:
        marks[name] = (rig.clock.monotonic(), rig.backend.reads)

    def opened() -> holdfast.Repository:
        mark("start")
        rig.clock.advance(3)
        repository = rig.open()
        mark("opened")
        return repository

    def probe(_: Path) -> bool:
        mark("probed")
        rig.clock.advance(7)
        return True

    began = rig.open().snapshot("latest").time_ns
    age = (rig.clock.now_ns() - began) / 60e9
    drill = DRDrill(opened, workspace=rig.workspace, probes={"api_health": probe})
    before = rig.clock.monotonic()
    report = drill.execute_drill(
        rig.config(
            validation_checks=["integrity", "api_health", "encryption_status"], max_rto_minutes=1e4
        )
    )
    after = rig.clock.monotonic()
    seconds = {phase.name: phase.seconds for phase in report.phases}
    assert seconds["open"] == 3 + 2.0 * (marks["opened"][1] - marks["start"][1])
    reads = marks["probed"][1] - marks["opened"][1]
    assert reads > 4
    assert seconds["restore"] + seconds["check integrity"] == 2.0 * reads
    assert seconds["check api_health"] == 7
    assert report.recovery_time_minutes == (marks["probed"][0] + 7 - before) / 60
    assert seconds["check encryption_status"] > 0
    assert report.duration_seconds == after - before == sum(seconds.values())
    assert report.restore_rate == report.bytes / seconds["restore"]
    assert report.data_age_minutes == age
    assert report.status == "SUCCESS"


def test_a_damaged_pack_fails_and_its_files_are_named(damaged: Rig) -> None:
    report = damaged.report()
    assert report.status == "FAILED"
    assert report.validation_results["integrity"] is False
    assert report.rto_compliant is False
    hurt = {each.path for each in report.errors if each.path}
    assert hurt
    known = {str(damaged.source / name) for name in FILES}
    assert hurt < known
    with damaged.open() as repository:
        checked = repository.check(read_data=True)
    named = {path for each in checked.errors for hit in each.hurts for path in hit.paths}
    assert hurt == named
    assert any("holdfast validate --read-data" in each for each in report.recommendations)
    assert damaged.leftovers() == []


def test_damage_fails_also_when_integrity_was_not_asked_for(damaged: Rig) -> None:
    report = damaged.report(validation_checks=["restore_speed"])
    assert (report.status, report.rto_compliant) == ("FAILED", False)
    assert report.validation_results == {"restore_speed": True}


def test_a_snapshot_damaged_while_the_drill_goes_on_fails(whole: Rig) -> None:
    rig = whole.twin()

    def spoil(_: Path) -> bool:
        rig.damage(rig.packs()[-1])
        return True

    drill = rig.drill({"api_health": spoil})
    report = drill.execute_drill(
        rig.config(validation_checks=["api_health", "encryption_status", "integrity"])
    )
    # What was restored before was whole; that the repository is damaged shows afterwards.
    assert report.validation_results["integrity"] is True
    second = drill.execute_drill(rig.config(validation_checks=["integrity"]))
    assert second.status == "FAILED"


@pytest.mark.parametrize(("folder", "status"), [("snapshots/", "FAILED"), ("data/", "FAILED")])
def test_a_missing_object_is_a_failed_drill(whole: Rig, folder: str, status: str) -> None:
    rig = whole.twin()
    for info in list(rig.backend.list(folder)):
        rig.backend.delete(info.name)
    report = rig.report()
    assert report.status == status
    assert report.errors
    assert rig.leftovers() == []


def test_a_repository_that_cannot_be_opened_is_a_failed_drill_in_the_history(
    tmp_path: Path,
) -> None:
    with Workspace(tmp_path / "state") as workspace:
        drill = DRDrill(tmp_path / "none", workspace=workspace, password=PASSWORD, cache=False)
        report = drill.execute_drill()
        assert report.status == "FAILED"
        assert "none" in report.errors[0].message
        assert dict(report.validation_results) == dict.fromkeys(DrillConfig().validation_checks)
        assert drill.history() == [report]


def test_r235_validate_rto(whole: Rig) -> None:
    drill = whole.drill()
    assert drill.validate_rto(59.9, 60)
    assert drill.validate_rto(60, 60)
    assert not drill.validate_rto(60.1, 60)
    assert drill.validate_rto(timedelta(seconds=59), max_rto=1)


def test_r236_validate_rpo(whole: Rig) -> None:
    drill = whole.drill()
    now = datetime.fromtimestamp(whole.clock.now_ns() / 1e9, UTC)
    assert drill.validate_rpo(now - timedelta(minutes=14), 15)
    assert not drill.validate_rpo(now - timedelta(minutes=16), 15)
    assert drill.validate_rpo((now - timedelta(minutes=14)).isoformat(), 15)
    assert drill.validate_rpo((now - timedelta(minutes=14)).astimezone().replace(tzinfo=None), 15)
    assert not drill.validate_rpo(now + timedelta(hours=1), 15)
    with pytest.raises(UsageError, match="no time"):
        drill.validate_rpo("yesterday", 15)


def test_an_objective_that_is_missed_is_partial_and_says_what_to_do(whole: Rig) -> None:
    report = whole.report(max_rpo_minutes=1)
    assert (report.status, report.rpo_compliant) == ("PARTIAL", False)
    assert "back up at least that often" in report.recommendations[0]
    rig = whole.twin()
    rig.backend.cost = 8.0
    late = rig.report(max_rto_minutes=1, max_rpo_minutes=1e5, validation_checks=["integrity"])
    assert (late.status, late.rto_compliant) == ("PARTIAL", False)
    slow = rig.report(max_rto_minutes=0.1, max_rpo_minutes=1e5, validation_checks=["restore_speed"])
    assert slow.validation_results == {"restore_speed": False}
    assert slow.status == "FAILED"


def test_a_snapshot_from_the_future_is_not_young(tmp_path: Path) -> None:
    rig = Rig(tmp_path, {"a.json": b"1"})
    rig.clock.advance(7200)
    rig.back_up()
    rig.clock.advance(-7200)
    report = rig.report()
    assert (report.status, report.rpo_compliant) == ("PARTIAL", False)
    assert report.data_age_minutes == -120
    assert "future" in report.recommendations[0]


@pytest.mark.parametrize("name", ["service_availability", "api_health"])
def test_r242_without_a_probe_it_is_not_evaluated(whole: Rig, name: str) -> None:
    report = whole.report(validation_checks=["integrity", name])
    assert report.validation_results == {"integrity": True, name: None}
    assert report.status == "PARTIAL"
    assert f"{name}: NOT EVALUATED" in report.text()
    assert verdict_word(None) == "NOT EVALUATED"


def no(_: Path) -> bool:
    return False


def wrong(_: Path) -> bool:
    raise RuntimeError("out of order")


@pytest.mark.parametrize(
    ("probe", "problem"),
    [
        (lambda folder: (folder / "x").parent.is_dir(), ""),
        (no, "the probe says no"),
        (wrong, "out of order"),
        (["true"], ""),
        (["sh", "-c", 'test -d "$HOLDFAST_RESTORED"'], ""),
        (["sh", "-c", "echo sad; exit 3"], "exit status 3: sad"),
        (["no-such-program"], "cannot be run"),
        ("/health", ""),
        ("/broken", "status 503"),
        ("/moved", "status 302"),
        ("http://127.0.0.1:9/", "no answer"),
    ],
)
def test_r242_a_probe_is_a_function_a_command_or_a_url(
    whole: Rig, server: str, probe: object, problem: str
) -> None:
    if isinstance(probe, str) and probe.startswith("/"):
        probe = server + probe
    config = whole.config(validation_checks=["api_health"], probes={"api_health": probe})
    report = whole.drill().execute_drill(config)
    assert report.validation_results == {"api_health": not problem}
    assert report.status == ("FAILED" if problem else "SUCCESS")
    if problem:
        assert problem in report.errors[0].message


@pytest.mark.parametrize("checks", [["restore_speed"], DATA_CHECKS, ["encryption_status"]])
def test_r243_a_drill_past_its_time_ends(whole: Rig, checks: list[str]) -> None:
    rig = whole.twin()
    rig.backend.cost = 20.0
    before = set(threading.enumerate())  # some of which may be ending, of tests before this one
    report = rig.report(max_duration_minutes=1.5, validation_checks=checks, max_rpo_minutes=1e5)
    assert report.status == "FAILED"
    messages = [each.message for each in report.errors]
    assert "drill execution timeout after 1.5 minutes" in messages
    assert None in report.validation_results.values() or not report.rto_compliant
    assert rig.leftovers() == []
    assert set(threading.enumerate()) <= before


def test_r243_a_restore_ends_half_way(whole: Rig) -> None:
    rig = whole.twin()
    rig.backend.cost = 1.0
    checks = ["restore_speed"]
    full = rig.report(validation_checks=checks, max_rpo_minutes=1e5)
    seconds = {phase.name: phase.seconds for phase in full.phases}
    limit = (seconds["open"] + seconds["restore"] - 1) / 60
    report = rig.report(validation_checks=checks, max_duration_minutes=limit, max_rpo_minutes=1e5)
    assert full.files == len(FILES)
    assert [phase.name for phase in report.phases] == ["open", "restore", "remove"]
    assert report.files == 0  # it did not come to an end, so nothing counts as restored
    assert report.validation_results == {"restore_speed": None}
    assert rig.leftovers() == []


def test_r243_a_service_that_answers_byte_by_byte_is_not_waited_for(whole: Rig) -> None:
    over = threading.Event()

    def drip() -> None:
        client, _ = listener.accept()
        with client:
            client.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            while not over.wait(0.02):
                client.sendall(b"a")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        report = whole.drill(probes={"api_health": url}).execute_drill(
            whole.config(validation_checks=["api_health"], max_duration_minutes=0.02)
        )
        over.set()
        thread.join()
    assert report.validation_results == {"api_health": False}
    assert "no answer in" in report.errors[0].message


def test_r209_the_message_of_a_drill_past_its_time(whole: Rig) -> None:
    rig = whole.twin()

    def dawdle(_: Path) -> bool:
        rig.clock.advance(3600)
        return True

    drill = rig.drill({"service_availability": dawdle})
    report = drill.execute_drill(
        rig.config(
            validation_checks=["service_availability", "api_health"],
            max_duration_minutes=30,
            max_rpo_minutes=1e5,
        )
    )
    assert report.errors[-1].message == "drill execution timeout after 30 minutes"
    assert report.validation_results["api_health"] is None


def test_an_interrupt_leaves_nothing(whole: Rig) -> None:
    def interrupted(_: Path) -> bool:
        raise KeyboardInterrupt

    drill = whole.drill({"api_health": interrupted})
    with pytest.raises(KeyboardInterrupt):
        drill.execute_drill(whole.config(validation_checks=["api_health"]))
    assert whole.leftovers() == []


def test_a_part_of_a_snapshot_is_enough(whole: Rig) -> None:
    report = whole.report(snapshot_id=f"latest:{whole.source}/many")
    assert report.files == 100
    assert report.validation_results["data_consistency"] is None
    assert report.validation_results["access_permissions"] is True
    assert report.status == "PARTIAL"


@pytest.mark.parametrize("name", ["0123456789abcdef", "latest~7"])
def test_a_snapshot_that_is_not_there_is_a_failed_drill(whole: Rig, name: str) -> None:
    report = whole.report(snapshot_id=name)
    assert report.status == "FAILED"
    assert report.rpo_compliant is None
    assert report.recovery_time_minutes == 0


def test_r240_drills_are_kept_and_listed(whole: Rig, tmp_path: Path) -> None:
    rig = whole.twin()
    rig.workspace = Workspace(tmp_path / "state", rig.clock)
    reports = []
    for number in range(3):
        reports.append(rig.report(name=f"drill {number}", max_rpo_minutes=1e6))
        rig.clock.advance(86400)
    drill = rig.drill()
    assert drill.history() == reports
    assert drill.history(limit=1) == reports[2:]
    assert drill.history(repository=reports[0].repository_id[:6]) == reports
    assert drill.history(repository="none") == []
    kept = sorted((tmp_path / "state/drill_reports").iterdir())
    assert kept == [report_file(rig.workspace, each) for each in reports]
    assert kept[0].stat().st_mode & 0o777 == 0o600
    assert load_report(kept[0].read_text()) == reports[0]
    events = list(rig.workspace.audit.entries(event="drill"))
    assert [entry.details["digest"] for entry in events] == [each.digest for each in reports]
    assert {entry.result for entry in events} == {"ok"}


def test_a_report_that_was_changed_is_left_out_and_told_of(
    whole: Rig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rig = whole.twin()
    rig.workspace = Workspace(tmp_path / "state", rig.clock)
    report = rig.report(max_rpo_minutes=0.1)
    text = report_file(rig.workspace, report).read_text()
    with pytest.raises(UsageError, match="was changed"):
        load_report(text.replace('"PARTIAL"', '"SUCCESS"'))
    with pytest.raises(UsageError, match="no report"):
        load_report("[]")
    rig.workspace.database.connection.execute(
        "UPDATE drills SET report = replace(report, 'PARTIAL', 'SUCCESS')"
    )
    with caplog.at_level(logging.WARNING):
        assert rig.drill().history() == []
    assert report.drill_id in caplog.text


def test_the_trend_compares_the_newest_with_the_others(whole: Rig, tmp_path: Path) -> None:
    rig = whole.twin()
    rig.workspace = Workspace(tmp_path / "state", rig.clock)
    assert rig.drill().trend().recovery_change is None
    for cost in (1.0, 1.0, 2.0):
        rig.backend.cost = cost
        rig.report(max_rpo_minutes=1e6, validation_checks=["integrity"])
    trend = rig.drill().trend()
    assert [point.status for point in trend.points] == ["SUCCESS"] * 3
    assert trend.recovery_change == 1.0
    assert trend.rate_change == -0.5
    assert json.dumps(trend.dict())


class Planner:
    """Keeps what is planned."""

    def __init__(self) -> None:
        self.jobs: list[tuple[str, Mapping[str, object]]] = []

    def add_job(self, cron_expression: str, job_config: Mapping[str, object]) -> str:
        self.jobs.append((cron_expression, job_config))
        return f"job {len(self.jobs)}"


def test_r238_a_drill_is_planned(tmp_path: Path) -> None:
    planner = Planner()
    with Workspace(tmp_path) as workspace:
        drill = DRDrill("/srv/repo", "/etc/secret", workspace=workspace, scheduler=planner)
        config = DrillConfig(name="often", max_rto_minutes=30)
        assert drill.schedule_drill(config, "quarterly") == "job 1"
    [(cron, job)] = planner.jobs
    assert cron == "0 2 1 */3 *"
    assert (job["operation"], job["backend"], job["password_file"]) == (
        "drill",
        "/srv/repo",
        "/etc/secret",
    )
    assert DrillConfig.of(dict(job["drill"])) == config  # type: ignore[call-overload]


def test_r238_the_seeds_call_works_without_naming_a_scheduler(tmp_path: Path) -> None:
    pytest.importorskip("cronsim")
    with Workspace(tmp_path) as workspace:
        drill = holdfast.DRDrill("/srv/repo", "/etc/secret", workspace=workspace)
        job = drill.schedule_drill(DrillConfig(name="monthly one"), "0 3 1 * *")
        [listed] = holdfast.BackupScheduler(workspace=workspace).list_jobs()
    assert job
    assert listed["name"] == "monthly one"


def test_a_drill_that_another_process_cannot_do_is_not_planned(whole: Rig) -> None:
    planner = Planner()
    drill = DRDrill(whole.open, workspace=whole.workspace, scheduler=planner)
    with pytest.raises(UsageError, match="another process"):
        drill.schedule_drill(DrillConfig(), "weekly")
    drill = DRDrill("/srv/repo", "/etc/secret", workspace=whole.workspace, scheduler=planner)
    with pytest.raises(UsageError, match="function as a probe"):
        drill.schedule_drill(DrillConfig(probes={"api_health": no}), "weekly")
    assert planner.jobs == []


def test_somebody_is_told_if_channels_are_named(whole: Rig) -> None:
    told: list[tuple[str, str, str]] = []
    drill = DRDrill(whole.open, workspace=whole.workspace, notify=lambda *words: told.append(words))
    drill.execute_drill(whole.config(validation_checks=["integrity"]))
    assert told == []
    drill.execute_drill(
        whole.config(name="d", validation_checks=["integrity"], notification_channels=["email"])
    )
    [(event, subject, text)] = told
    assert (event, subject) == ("drill-done", "drill d: SUCCESS")
    assert "integrity: passed" in text


def test_modes_that_differ_are_found(whole: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def restored(*arguments: object) -> object:
        found = restore_into(*arguments)  # type: ignore[arg-type]
        place = found.folder / whole.source.relative_to("/") / "a.json"
        place.chmod(0o666)
        (place.parent / "b.yaml").unlink()
        return found

    monkeypatch.setattr("holdfast.platform.drill.execution.restore_into", restored)
    report = whole.report(validation_checks=["access_permissions"])
    messages = {Path(each.path).name: each.message for each in report.errors}
    assert messages["a.json"] == "mode 0666 instead of 0644; everybody may write to it"
    assert "not there" in messages["b.yaml"]
    assert report.status == "FAILED"


def test_an_object_that_is_not_sealed_is_found(whole: Rig) -> None:
    rig = whole.twin()
    [name] = [info.name for info in rig.backend.list("snapshots/")]
    rig.backend.put("index/" + "0" * 32, b"plain text where a sealed object should be" * 10)
    report = rig.report(validation_checks=["encryption_status"])
    assert name
    assert report.validation_results == {"encryption_status": False}
    assert "index/" in report.errors[0].message


def test_a_drill_of_nothing_is_not_passed(tmp_path: Path) -> None:
    rig = Rig(tmp_path, {})
    rig.source.mkdir()
    rig.back_up()
    report = rig.report(validation_checks=["restore_speed", "data_consistency"])
    assert report.validation_results == {"restore_speed": None, "data_consistency": None}
    assert report.status == "PARTIAL"


def test_files_that_cannot_be_evaluated_keep_a_check_from_passing(tmp_path: Path) -> None:
    locked = tmp_path / "locked.zip"
    rig = Rig(tmp_path, {"a.json": b"{}"})
    with zipfile.ZipFile(locked, "w") as archive:
        archive.writestr("x", "y")
    data = bytearray(locked.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1  # says that it is encrypted
    (rig.source / "locked.zip").write_bytes(data)
    rig.back_up()
    report = rig.report(validation_checks=["integrity", "data_consistency"])
    assert report.validation_results == {"integrity": True, "data_consistency": None}
    assert report.status == "PARTIAL"
    assert "1 could not be evaluated" in report.checks[-1].summary


def test_a_name_that_is_no_text_is_kept(whole: Rig) -> None:
    report = whole.report(name="caf\udce9", validation_checks=["integrity"])
    assert report.name == "caf\\udce9"
    assert report in whole.drill().history()


def test_channels_are_named_without_their_secrets(whole: Rig) -> None:
    words = ["email", "discord://4711/hunter2"]
    report = whole.report(validation_checks=["integrity"], notification_channels=words)
    assert report.notification_channels == ("email", "discord://***")


def test_bad_arguments_are_refused_before_anything_is_done(whole: Rig) -> None:
    with pytest.raises(UsageError, match="there is no probe"):
        DRDrill(whole.open, workspace=whole.workspace, probes={"x": "http://x/"})
    with pytest.raises(UsageError, match="limit of 0"):
        whole.drill().history(limit=0)
    blocked = whole.folder / "a file"
    blocked.write_text("")
    with pytest.raises(UsageError, match="cannot use"):
        whole.report(test_environment=str(blocked))


def test_text_tells_everything(damaged: Rig) -> None:
    report: DrillReport = damaged.report(name="d")
    text = report.text()
    assert text.startswith("drill d: FAILED\n")
    assert "integrity: FAILED" in text
    assert f"error: {report.errors[0].path}" in text
    assert "advice: " in text
