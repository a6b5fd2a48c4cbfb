"""Reports for auditors, from drills' reports that are made here."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.errors import UsageError
from holdfast.platform.audit import JSON, AuditTrail
from holdfast.platform.compliance import (
    FORMATS,
    FRAMEWORKS,
    ComplianceReport,
    ComplianceReporter,
    framework,
    new_signing_key,
    verify,
)
from holdfast.platform.compliance.evidence import AuditExtract, Evidence
from holdfast.platform.compliance.rules import RULES, Verdict
from holdfast.platform.drill.history import keep
from holdfast.platform.drill.report import DrillError, DrillReport, Phase, StepOutcome
from holdfast.platform.drill.words import DrillStatus
from holdfast.platform.workspace import Workspace

REPOSITORY = "ab" * 16
WHEN = datetime(2026, 11, 21, 12, tzinfo=UTC)
ANOTHER_KIND_OF_KEY = """\
-----BEGIN PUBLIC KEY-----
MAwwBQYDKgMEAwMAAQI=
-----END PUBLIC KEY-----
"""
"""Of an algorithm that nobody knows."""

GOOD = DrillReport(
    drill_id="7d9f2c1e-0000-4000-8000-000000000001",
    name="monthly",
    time=WHEN,
    status=DrillStatus.SUCCESS,
    rto_compliant=True,
    rpo_compliant=True,
    recovery_time_minutes=4.5,
    data_age_minutes=10.0,
    max_rto_minutes=60.0,
    max_rpo_minutes=15.0,
    validation_results={
        "integrity": True,
        "data_consistency": True,
        "encryption_status": True,
        "access_permissions": True,
    },
    recommendations=("go on like this",),
    compliance_framework="SOC2",
    repository_id=REPOSITORY,
    snapshot_id="cd" * 16,
    snapshot_time=WHEN - timedelta(minutes=10),
    duration_seconds=270.0,
    phases=(Phase("open", 1.0), Phase("restore", 200.0), Phase("check integrity", 69.0)),
    files=1200,
    bytes=5_000_000,
)

RECORDED: Mapping[str, JSON] = {"drill": GOOD.drill_id, "digest": GOOD.digest}
"""What a drill writes into the audit trail."""

BARE = {name: value for name, value in GOOD.dict().items() if name != "digest"}


class Morning:
    """A clock that stands."""

    def now_ns(self) -> int:
        return int((WHEN + timedelta(hours=1)).timestamp()) * 10**9

    def utc_offset(self) -> int:
        return 0

    def monotonic(self) -> float:
        return 0.0

    def wait(self, event: object, seconds: float) -> bool:  # noqa: ARG002 - as clocks have it
        return False


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace in whose trail the drill is."""
    workspace = Workspace(tmp_path / "state", Morning())
    workspace.audit.record("drill", repository=REPOSITORY, details=RECORDED)
    return workspace


@pytest.fixture
def reporter(workspace: Workspace, tmp_path: Path) -> ComplianceReporter:
    return ComplianceReporter(tmp_path / "reports", workspace=workspace)


def checks(**changed: bool | None) -> DrillReport:
    """The good drill with other results of checks."""
    return replace(GOOD, validation_results={**GOOD.validation_results, **changed})


def read(result: Mapping[str, object], name: str = "report_file") -> str:
    return Path(str(result[name])).read_text("utf-8")


# What is compliant


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_r254_a_drill_that_shows_everything_is_compliant(
    reporter: ComplianceReporter, name: str
) -> None:
    result = reporter.generate_report(GOOD, name, "json")
    assert result["compliant"] is True
    assert result["reasons"] == []
    told = json.loads(read(result))
    assert told["framework"] == name
    assert {item["verdict"] for item in told["items"]} == {"PASSED"}
    assert told["evidence"]["drill"]["drill_id"] == GOOD.drill_id


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("SOC2", "integrity"),
        ("SOC2", "encryption_status"),
        ("HIPAA", "integrity"),
        ("HIPAA", "encryption_status"),
        ("GDPR", "access_permissions"),
        ("GDPR", "encryption_status"),
        ("ISO27001", "integrity"),
        ("NIST_CSF", "data_consistency"),
    ],
)
@pytest.mark.parametrize("found", [None, False])
def test_r260_what_was_not_evaluated_is_not_passed(
    reporter: ComplianceReporter,
    name: str,
    check: str,
    found: bool | None,
) -> None:
    result = reporter.generate_report(checks(**{check: found}), name)
    assert result["compliant"] is False
    word = "NOT EVALUATED" if found is None else "FAILED"
    assert any(word in reason and check in reason for reason in _lines(result["reasons"]))
    text = read(result)
    assert "NOT COMPLIANT" in text
    assert f"| {check.replace('_', chr(92) + '_')} | {word} |" in text


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_check_that_no_rule_looks_at_counts_too(reporter: ComplianceReporter, name: str) -> None:
    """Whatever a drill was asked to look at, and could not, is told and is not passed."""
    result = reporter.generate_report(checks(service_availability=None), name)
    assert result["compliant"] is False
    reasons = _lines(result["reasons"])
    assert any("not evaluated: service_availability" in reason for reason in reasons)


def test_r260_a_check_that_was_not_asked_for_is_not_passed(reporter: ComplianceReporter) -> None:
    result = reporter.generate_report(replace(GOOD, validation_results={}), "SOC2")
    assert result["compliant"] is False
    assert any("integrity" in reason for reason in _lines(result["reasons"]))


def _lines(value: object) -> list[str]:
    assert isinstance(value, list)
    return [str(each) for each in value]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"recovery_time_minutes": 60.01}, "60.01 minutes (required: at most 60 minutes)"),
        ({"data_age_minutes": 15.5}, "15.50 minutes (required: at most 15 minutes)"),
        ({"data_age_minutes": None}, "NOT EVALUATED: not measured"),
        ({"status": DrillStatus.FAILED}, "the drill ended with FAILED"),
        ({"phases": ()}, "nothing was restored"),
        ({"errors": (DrillError("/a", "restore", "gone"),)}, "1 errors"),
        ({"files": 0}, "NOT EVALUATED: nothing was restored"),
        ({"data_age_minutes": -9e6, "rpo_compliant": False}, "by the drill's own verdict, missed"),
        ({"rto_compliant": False}, "by the drill's own verdict, missed"),
        ({"rto_compliant": None}, "NOT EVALUATED: 4.50 minutes"),
        ({"steps": (StepOutcome("get", "restore", "failed", 1, 1.0, "no"),)}, "step 'get' failed"),
    ],
)
def test_each_rule_can_fail(
    reporter: ComplianceReporter, change: dict[str, object], reason: str
) -> None:
    record = {**GOOD.dict(), **replace(GOOD, **change).dict()}  # type: ignore[arg-type]  # by name
    result = reporter.generate_report(record, "SOC2")
    assert result["compliant"] is False
    assert any(reason in each for each in _lines(result["reasons"])), result["reasons"]


def test_r262_without_an_audit_trail_nothing_is_compliant(tmp_path: Path) -> None:
    empty = Workspace(tmp_path / "empty", Morning())
    result = ComplianceReporter(tmp_path, workspace=empty).generate_report(GOOD, "SOC2")
    (reason,) = _lines(result["reasons"])
    assert reason.startswith("CC7.2: NOT EVALUATED: no audit trail was given")


def test_r262_a_trail_that_was_changed_is_evidence_of_that(
    workspace: Workspace, reporter: ComplianceReporter
) -> None:
    text = workspace.audit.file.read_text()
    workspace.audit.file.write_text(text.replace('"result":"ok"', '"result":"OK"', 1))
    workspace.audit.record("drill", details={"drill": "another"})
    result = reporter.generate_report(GOOD, "SOC2")
    assert result["compliant"] is False
    assert any("does not verify" in each for each in _lines(result["reasons"]))


def test_a_trail_without_the_drill_does_not_do(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "state", Morning())
    workspace.audit.record("backup", repository=REPOSITORY)
    result = ComplianceReporter(tmp_path, workspace=workspace).generate_report(GOOD, "SOC2")
    assert any("does not hold the drill" in each for each in _lines(result["reasons"]))


def test_a_report_on_a_drill_does_not_put_the_drill_into_the_trail(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "state", Morning())
    workspace.audit.record("backup", repository=REPOSITORY)
    reporter = ComplianceReporter(tmp_path, workspace=workspace)
    first, second = (reporter.generate_report(GOOD, "SOC2") for _ in range(2))
    assert (first["compliant"], second["compliant"]) == (False, False)


def test_a_drill_that_was_changed_since_it_was_recorded_does_not_do(
    reporter: ComplianceReporter,
) -> None:
    better = replace(GOOD, recovery_time_minutes=0.5)
    result = reporter.generate_report(better, "SOC2")
    assert any("does not hold the drill" in each for each in _lines(result["reasons"]))


@given(st.data())
def test_compliant_is_exactly_all_rules_passed(data: st.DataObject) -> None:
    """The model: a framework is met if each rule of each control would be, looked at alone."""
    results = {
        name: data.draw(st.sampled_from([True, False, None]), name)
        for name in GOOD.validation_results
    }
    drill = replace(
        GOOD,
        validation_results=results,
        recovery_time_minutes=data.draw(st.sampled_from([1.0, 60.0, 61.0]), "rto"),
        data_age_minutes=data.draw(st.sampled_from([1.0, 15.0, 16.0, None]), "rpo"),
        status=data.draw(st.sampled_from(list(DrillStatus)), "status"),
    )
    audit = AuditExtract((), (), data.draw(st.booleans(), "audit"))
    evidence = Evidence.of(drill, audit)
    good = {
        "restored": True,
        "rto": drill.recovery_time_minutes <= 60,
        "rpo": drill.data_age_minutes is not None and drill.data_age_minutes <= 15,
        "completed": drill.status is not DrillStatus.FAILED and None not in results.values(),
        "integrity": results["integrity"] is True,
        "consistency": results["data_consistency"] is True,
        "encryption": results["encryption_status"] is True,
        "permissions": results["access_permissions"] is True,
        "audit": audit.has_drill,
    }
    assert good.keys() == RULES.keys()
    for each in FRAMEWORKS.values():
        report = ComplianceReport(each, evidence, WHEN)
        wanted = all(good[name] for control in each.controls for name in control.rules)
        assert report.compliant == wanted
        assert (not report.reasons) == wanted
        for item in report.items:
            assert (item.verdict is Verdict.PASSED) == all(
                good[name] for name in item.control.rules
            )


# How it looks


def test_r255_the_sections_of_a_soc2_report(reporter: ComplianceReporter) -> None:
    text = read(reporter.generate_soc2_report(GOOD))
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    assert headings == [
        "SOC 2, Trust Services Criteria",
        "Drill information",
        "A1.2 Availability: backup and recovery: PASSED",
        "A1.3 Availability: recovery is tested: PASSED",
        "CC6.1 Security: stored data is protected: PASSED",
        "CC7.2 Security: operations leave a trail: PASSED",
        "Checks",
        "Recommendations",
        "Auditor notes",
        "Evidence",
    ]
    for told in (
        GOOD.drill_id,
        "| Name | monthly |",
        "| Executed | 2026-11-21T12:00:00+00:00 |",
        "| Status | SUCCESS |",
        "| at most 60 minutes | 4.50 minutes | PASSED |",
        "| at most 15 minutes | 10.00 minutes | PASSED |",
        "Overall status: **COMPLIANT**",
        "Generated: 2026-11-21T13:00:00+00:00",
    ):
        assert told in text


def test_r256_r257_r258_the_other_frameworks(reporter: ComplianceReporter) -> None:
    assert "164.308(a)(7)(ii)(B)" in read(reporter.generate_hipaa_report(GOOD))
    assert "32(1)(c) Restoring availability in time" in read(reporter.generate_gdpr_report(GOOD))
    assert "A.8.13 Information backup" in read(reporter.generate_iso27001_report(GOOD))
    assert "PR.DS-11 Backups" in read(reporter.generate_nist_report(GOOD))


def test_r259_what_a_drill_must_show(reporter: ComplianceReporter) -> None:
    found = reporter.validate_compliance_criteria("soc2")
    assert found["framework"] == "SOC2"
    assert found["rules"] == [
        "audit", "completed", "encryption", "integrity", "restored", "rpo", "rto",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["soc2", "SOC 2", "iso-27001", "ISO27001", "nist", "NIST CSF"])
def test_frameworks_are_found_however_they_are_written(name: str) -> None:
    assert framework(name).controls


def test_an_unknown_framework_or_format_is_refused(reporter: ComplianceReporter) -> None:
    with pytest.raises(UsageError, match="did you mean 'HIPAA'"):
        reporter.generate_report(GOOD, "HIPA")
    with pytest.raises(UsageError, match="no format 'docx'"):
        reporter.generate_report(GOOD, "SOC2", "docx")


HOSTILE = "</td><script>alert(1)</script> | # **a**\n\n# b\x00 {{ 7 * 7 }} \u4e2d"


@pytest.mark.parametrize("form", FORMATS)
def test_names_mean_nothing_in_a_report(reporter: ComplianceReporter, form: str) -> None:
    drill = replace(GOOD, name=HOSTILE, errors=(DrillError(HOSTILE, "check", HOSTILE),))
    result = reporter.generate_report(drill, "SOC2", form)
    data = Path(str(result["report_file"])).read_bytes()
    assert len(data) > 1000
    if form != "json":
        assert re.search(rb"(?<!\\)<script", data) is None
    if form == "markdown":
        assert b"\n# b" not in data
        assert b"\\# b" in data
    if form == "html":
        assert b"&lt;script&gt;" in data


@pytest.mark.parametrize("form", FORMATS)
def test_any_name_of_a_file_or_phase_can_be_told(reporter: ComplianceReporter, form: str) -> None:
    name = "caf\udce9 \x07 " + "x" * 9000
    drill = replace(
        GOOD,
        name=name,
        errors=(DrillError(name, "check", name),),
        phases=tuple(Phase(f"{number} {name}", 1.0) for number in range(300)),
    )
    result = reporter.generate_report(drill, "SOC2", form)
    assert verify(str(result["report_file"])).ok


def test_html_shows_the_drill_and_those_before_as_pictures(
    workspace: Workspace, reporter: ComplianceReporter
) -> None:
    for month in (9, 10):
        time = WHEN.replace(month=month)
        before = replace(GOOD, drill_id=f"{month}", time=time, recovery_time_minutes=float(month))
        keep(workspace, before, "drill")
    text = read(reporter.generate_report(GOOD, "SOC2", "html"))
    assert text.count("<svg") == 2
    assert [told for told in ("9.00 min", "10.00 min", "4.50 min") if told not in text] == []
    assert text.index("9.00 min, SUCCESS") < text.index("10.00 min, SUCCESS")
    workspace.close()


def test_pdf_is_a_pdf(reporter: ComplianceReporter) -> None:
    result = reporter.generate_report(GOOD, "GDPR", "pdf")
    data = Path(str(result["report_file"])).read_bytes()
    assert data.startswith(b"%PDF-")
    assert data.rstrip().endswith(b"%%EOF")


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        ({}, "drill_id"),
        ({"drill_id": "a", "status": "SUCCESS", "validation_results": []}, "no mapping"),
        ({"drill_id": "a", "status": "S", "validation_results": {"integrity": "yes"}}, "'yes'"),
        ({**BARE, "recovery_time_minutes": "fast"}, "'fast'"),
        ({**BARE, "recovery_time_minutes": float("nan")}, "nan"),
        ({**BARE, "errors": "many"}, "no list"),
        ({**BARE, "time": "at noon"}, "at noon"),
        ({**BARE, "time": "2026-11-21T12:00:00"}, "no zone"),
        ({**GOOD.dict(), "status": "FAILED"}, "was changed"),
    ],
)
def test_what_is_no_drill_is_refused(
    reporter: ComplianceReporter, record: dict[str, object], problem: str
) -> None:
    with pytest.raises(UsageError, match=problem):
        reporter.generate_report(record, "SOC2")


# What shows that it was changed


def test_reports_never_overwrite_each_other(reporter: ComplianceReporter) -> None:
    first = reporter.generate_report(GOOD, "SOC2")
    second = reporter.generate_report(GOOD, "SOC2")
    assert first["report_file"] != second["report_file"]
    assert verify(str(first["report_file"])).ok
    assert verify(str(second["report_file"])).ok


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("is_signed", [False, True])
def test_a_report_verifies(
    workspace: Workspace, tmp_path: Path, form: str, *, is_signed: bool
) -> None:
    public = new_signing_key(tmp_path / "key")
    key = tmp_path / "key" if is_signed else None
    reporter = ComplianceReporter(tmp_path / "r", workspace=workspace, signing_key=key)
    result = reporter.generate_report(GOOD, "SOC2", form)
    assert result["signed"] is is_signed
    for name in ("report_file", "evidence_file", "manifest_file"):
        found = verify(str(result[name]), trail=workspace.audit)
        assert (found.ok, found.signed, found.recorded) == (True, is_signed, True)
        assert verify(str(result[name]), public).ok is is_signed


@settings(max_examples=30)
@given(st.data())
def test_any_changed_byte_is_found(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("any")
    workspace = Workspace(folder / "state", Morning())
    workspace.audit.record("drill", repository=REPOSITORY, details=RECORDED)
    public = new_signing_key(folder / "key")
    reporter = ComplianceReporter(folder / "r", workspace=workspace, signing_key=folder / "key")
    result = reporter.generate_report(GOOD, "SOC2", "json")
    name = data.draw(st.sampled_from(["report_file", "evidence_file", "manifest_file"]))
    file = Path(str(result[name]))
    content = bytearray(file.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    file.write_bytes(content)
    assert not verify(str(result["report_file"]), public).ok
    workspace.close()


def test_a_signature_in_capital_letters_is_not_what_was_written(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.audit.record("drill", repository=REPOSITORY, details=RECORDED)
    public = new_signing_key(tmp_path / "key")
    reporter = ComplianceReporter(tmp_path / "r", workspace=workspace, signing_key=tmp_path / "key")
    result = reporter.generate_report(GOOD, "SOC2", "json")
    assert verify(str(result["report_file"]), public).ok
    manifest = Path(str(result["manifest_file"]))
    text = manifest.read_text()
    signature = json.loads(text)["signature"]
    manifest.write_text(text.replace(signature, signature.upper()))
    assert not verify(str(result["report_file"]), public).ok


def test_a_report_that_was_made_anew_is_found_by_key_and_trail(
    workspace: Workspace, tmp_path: Path
) -> None:
    public = new_signing_key(tmp_path / "key")
    new_signing_key(tmp_path / "other")
    forged_by = Workspace(tmp_path / "elsewhere", Morning())
    forged_by.audit.record("drill", repository=REPOSITORY, details=RECORDED)
    bad = checks(integrity=True)
    for key in (None, tmp_path / "other"):
        forger = ComplianceReporter(tmp_path / "f", workspace=forged_by, signing_key=key)
        result = forger.generate_report(bad, "SOC2")
        found = verify(str(result["report_file"]), public, workspace.audit)
        assert (found.ok, found.trusted, found.recorded) == (False, False, False)


def test_an_edited_entry_of_the_trail_in_the_evidence_is_found(
    reporter: ComplianceReporter,
) -> None:
    """Even where every digest of the manifest was made anew."""
    result = reporter.generate_report(GOOD, "SOC2")
    evidence = Path(str(result["evidence_file"]))
    manifest = Path(str(result["manifest_file"]))
    record = json.loads(evidence.read_bytes())
    record["audit"]["entries"][0]["host"] = "elsewhere"
    data = json.dumps(record, indent=2, sort_keys=True).encode() + b"\n"
    evidence.write_bytes(data)
    told = json.loads(manifest.read_bytes())
    from holdfast.primitives.hashing import digest  # noqa: PLC0415 - a forger's tool

    told["files"][evidence.name] = {"blake3": digest(data).hex(), "size": len(data)}
    manifest.write_text(json.dumps(told, indent=2, sort_keys=True) + "\n")
    found = verify(manifest)
    assert not found.ok
    assert "audit trail" in found.findings[0].problem


def test_a_manifest_that_names_files_elsewhere_is_refused(reporter: ComplianceReporter) -> None:
    result = reporter.generate_report(GOOD, "SOC2")
    manifest = Path(str(result["manifest_file"]))
    told = json.loads(manifest.read_bytes())
    names = ["../../etc/passwd", "", "a\0b", "\ud800"]
    told["files"] |= {name: {"blake3": "", "size": 0} for name in names}
    manifest.write_text(json.dumps(told, indent=2, sort_keys=True) + "\n")
    found = {each.file: each.problem for each in verify(manifest).findings}
    assert all("no name of a file" in found[name] for name in names)


def test_a_file_that_the_manifest_does_not_name_does_not_verify(
    reporter: ComplianceReporter,
) -> None:
    result = reporter.generate_report(GOOD, "SOC2")
    beside = Path(str(result["report_file"])).with_suffix(".html")
    for _ in range(2):
        [finding] = verify(beside).findings
        assert (finding.file, "no part" in finding.problem) == (beside.name, True)
        beside.write_text("<h1>COMPLIANT</h1>")


def test_a_manifest_without_the_evidence_or_with_another_trail_is_found(
    reporter: ComplianceReporter,
) -> None:
    result = reporter.generate_report(GOOD, "SOC2")
    manifest = Path(str(result["manifest_file"]))
    whole = json.loads(manifest.read_bytes())
    without = {**whole, "files": {}}
    for told in (without, {**whole, "audit_head": "00" * 32}):
        manifest.write_text(json.dumps(told, indent=2, sort_keys=True) + "\n")
        assert not verify(manifest).ok


@pytest.mark.parametrize(
    "evidence",
    [
        '{"drill": [], "audit": null, "history": []}',
        (
            '{"drill": {"drill_id": 1, "status": 1, "validation_results": {}}, "audit": null, '
            '"history": [3]}'
        ),
        '{"drill": {}, "audit": [1], "history": []}',
        '{"drill": ' + "[" * 900 + "]" * 900 + "}",
    ],
)
def test_hostile_evidence_and_manifests_are_findings(
    reporter: ComplianceReporter, evidence: str
) -> None:
    result = reporter.generate_report(GOOD, "SOC2")
    Path(str(result["evidence_file"])).write_text(evidence)
    manifest = Path(str(result["manifest_file"]))
    assert not verify(manifest).ok
    manifest.write_text('{"holdfast_report": 1, "files": {}, "x": ' + "[" * 900 + "]" * 900 + "}")
    assert not verify(manifest).ok


@pytest.mark.parametrize(
    "change",
    [
        {"more": float("inf")},
        {"public_key": "no key"},
        {"public_key": ANOTHER_KIND_OF_KEY},
        {"signature": "not hexadecimal"},
    ],
)
def test_a_signature_that_makes_no_sense_is_a_finding(
    reporter: ComplianceReporter, change: dict[str, object]
) -> None:
    manifest = Path(str(reporter.generate_report(GOOD, "SOC2")["manifest_file"]))
    told = {**json.loads(manifest.read_bytes()), "public_key": "", "signature": "00", **change}
    manifest.write_text(json.dumps(told, indent=2, sort_keys=True) + "\n")
    [finding] = verify(manifest).findings
    assert finding.problem == "the signature is not of this manifest"


def test_evidence_with_an_audit_trail_that_is_none_is_a_finding(
    reporter: ComplianceReporter,
) -> None:
    result = reporter.generate_report(GOOD, "SOC2")
    evidence = Path(str(result["evidence_file"]))
    evidence.write_text(json.dumps({**json.loads(evidence.read_bytes()), "audit": []}))
    found = [each.problem for each in verify(str(result["manifest_file"])).findings]
    assert "it is no evidence of a report" in found


def test_missing_files_and_keys(reporter: ComplianceReporter, tmp_path: Path) -> None:
    result = reporter.generate_report(GOOD, "SOC2")
    with pytest.raises(UsageError, match="No such file"):
        verify(tmp_path / "none.md")
    for text in (ANOTHER_KIND_OF_KEY, "x"):
        (tmp_path / "no key").write_text(text)
        with pytest.raises(UsageError, match="no key"):
            verify(str(result["report_file"]), tmp_path / "no key")
    Path(str(result["report_file"])).unlink()
    assert not verify(str(result["manifest_file"])).ok
    with pytest.raises(UsageError, match="signing key"):
        ComplianceReporter(
            tmp_path,
            workspace=Workspace(tmp_path / "w", Morning()),
            signing_key=tmp_path / "no key",
        ).generate_report(GOOD, "SOC2")


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    new_signing_key(tmp_path / "key")
    before = (tmp_path / "key").read_bytes()
    with pytest.raises(UsageError, match="exists"):
        new_signing_key(tmp_path / "key")
    assert (tmp_path / "key").read_bytes() == before
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_the_trail_says_who_made_a_report(
    workspace: Workspace, reporter: ComplianceReporter
) -> None:
    result = reporter.generate_report(GOOD, "SOC2")
    trail: AuditTrail = workspace.audit
    (entry,) = trail.entries(event="report")
    assert entry.details["file"] == result["report_file"]
    assert entry.details["compliant"] is True
