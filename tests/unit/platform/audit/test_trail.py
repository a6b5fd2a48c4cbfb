"""The audit trail: what is put down, and what survives crashes, full disks and many writers."""

from __future__ import annotations

import json
import logging
import os
import pwd
import resource
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from holdfast.errors import UsageError
from holdfast.platform.audit import AuditEntry, AuditTrail
from holdfast.platform.audit.redact import redacted
from holdfast.platform.workspace import Workspace
from holdfast.testing.repositories import ManualClock

START = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START.timestamp() + 0.5)


@pytest.fixture
def trail(tmp_path: Path, clock: ManualClock) -> AuditTrail:
    return AuditTrail(tmp_path / "state/audit.jsonl", clock)


def test_r285_an_entry_says_who_did_what_when_with_what_result(trail: AuditTrail) -> None:
    made = trail.record(
        "backup", result="partial", repository="ab", snapshot="cd", details={"location": "/srv"}
    )
    first, found = trail.entries()
    assert found == made
    assert (found.sequence, found.event, found.result) == (1, "backup", "partial")
    assert (found.repository, found.snapshot, found.details) == ("ab", "cd", {"location": "/srv"})
    assert found.time == "2026-11-21T08:30:00.500000+00:00"
    assert found.when == START + timedelta(microseconds=500_000)
    assert (found.host, found.uid) == (os.uname().nodename, os.geteuid())
    assert found.user in {entry.pw_name for entry in pwd.getpwall()} | {str(os.geteuid())}
    assert found.program.startswith("holdfast ")
    assert found.previous == first.hash
    assert trail.head() == found
    assert (first.event, len(trail.id)) == ("trail", 32)
    assert first.details == {"trail": trail.id}
    assert stat_mode(trail.file) == 0o600
    assert stat_mode(trail.file.parent) == 0o700


def stat_mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_r286_a_line_is_canonical_json_and_holds_the_hash_of_the_one_before(
    trail: AuditTrail,
) -> None:
    trail.record("prune", details={"z": 1, "a": ["größe", None, 1.5]})
    before, line = trail.file.read_bytes().splitlines()
    record = json.loads(line)
    assert line == json.dumps(record, sort_keys=True, separators=(",", ":")).encode("ascii")
    assert record["previous"] == json.loads(before)["hash"]
    assert trail.verify().ok


@pytest.mark.parametrize("event", ["trail", "torn"])
def test_events_of_the_trail_itself_are_refused(trail: AuditTrail, event: str) -> None:
    with pytest.raises(UsageError, match=event):
        trail.record(event)
    with pytest.raises(UsageError, match="great"):
        trail.record("backup", result="great")
    assert list(trail.entries()) == []
    assert trail.head() is None
    assert trail.id == ""


def test_details_hold_no_secrets(trail: AuditTrail) -> None:
    made = trail.record(
        "config",
        details={
            "password": "hunter2",
            "api-key": "hunter2",
            "storage": {"secret_access_key": "hunter2", "region": "eu"},
            "targets": ["s3://id:hunter2@host/b", "gs://b?sig=hunter2&x=1"],
            "AWS_SECRET_ACCESS_KEY": ["hunter2"],
            "password_file": "/etc/password",
            "token": None,
            "number": float("nan"),
        },
    )
    assert "hunter2" not in trail.file.read_text()
    assert made.details == {
        "password": "***",
        "api-key": "***",
        "storage": {"secret_access_key": "***", "region": "eu"},
        "targets": ["s3://***@host/b", "gs://b?sig=***&x=1"],
        "AWS_SECRET_ACCESS_KEY": "***",
        "password_file": "/etc/password",
        "token": None,
        "number": "nan",
    }


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("s3://me:hun@ter2@host/x", "s3://***@host/x"),
        ("sftp://me:hun/ter2@host/x is away", "sftp://***@host/x is away"),
        ("sftp://host:22/srv/@home", "sftp://host:22/srv/@home"),
        ("s3://bucket/a@b", "s3://bucket/a@b"),
        ("sftp://[::1]:22/a@b", "sftp://[::1]:22/a@b"),
    ],
)
def test_passwords_that_a_uri_cannot_hold_are_masked_too(said: str, kept: str) -> None:
    assert redacted(said) == kept


def test_details_that_are_too_long_for_a_line_are_left_out(trail: AuditTrail) -> None:
    made = trail.record("backup", details={"paths": ["x" * 100] * 10_000})
    assert made.details == {"omitted": "details of 1030011 bytes"}
    trail.record("prune")
    assert trail.verify().ok


def test_r284_each_record_is_logged_as_one_line_by_the_logger_audit(
    trail: AuditTrail, caplog: pytest.LogCaptureFixture
) -> None:
    assert logging.getLogger("audit").handlers == []
    with caplog.at_level(logging.INFO, "audit"):
        made = trail.record("restore", repository="ab", details={"target": "/a\nb"})
    (record,) = [each for each in caplog.records if each.name == "audit"]
    assert record.levelno == logging.INFO
    assert "\n" not in record.getMessage()
    told = json.loads(record.getMessage())
    assert told["hash"] == made.hash
    assert told["details"] == {"target": "/a\nb"}


def test_entries_are_found_by_time_repository_and_event(
    trail: AuditTrail, clock: ManualClock
) -> None:
    for number, event in enumerate(("backup", "prune", "backup")):
        trail.record(event, repository=f"{number}" * 32)
        clock.advance(3600)

    def found(**wanted: object) -> list[int]:
        return [each.sequence for each in trail.entries(**wanted)]  # type: ignore[arg-type]  # each as named

    assert found() == [0, 1, 2, 3]
    assert found(event="backup") == [1, 3]
    assert found(repository="11") == [2]
    begin = START + timedelta(microseconds=500_000)
    assert found(since=begin + timedelta(hours=1)) == [2, 3]
    assert found(until=begin + timedelta(hours=1)) == [0, 1, 2]
    assert found(since=begin + timedelta(hours=1), event="backup") == [3]


def test_an_extract_can_be_shown_to_be_part_of_the_chain(trail: AuditTrail) -> None:
    for _ in range(3):
        trail.record("drill")
    chain = {each.hash: each for each in trail.entries()}
    for entry in trail.entries(event="drill"):
        assert chain[entry.previous].sequence == entry.sequence - 1
        assert AuditEntry(**entry.dict()) == entry  # type: ignore[arg-type]  # its own fields


def test_threads_append_one_after_another(trail: AuditTrail) -> None:
    def work() -> None:
        for _ in range(10):
            trail.record("job")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert [each.sequence for each in trail.entries()] == list(range(41))
    assert trail.verify().ok


APPEND = """
import sys
from holdfast.platform.audit import AuditTrail
trail = AuditTrail(sys.argv[1])
for number in range(int(sys.argv[2])):
    trail.record("job", details={"number": number, "by": sys.argv[3]})
    print(number, flush=True)
"""


def appender(file: Path, times: int, name: str = "") -> subprocess.Popen[str]:
    program = [sys.executable, "-c", APPEND, str(file), str(times), name]
    return subprocess.Popen(program, stdout=subprocess.PIPE, text=True)


def test_processes_append_one_after_another(trail: AuditTrail) -> None:
    children = [appender(trail.file, 20, name) for name in "abc"]
    for child in children:
        child.communicate(timeout=120)
        assert child.returncode == 0
    found = list(trail.entries())
    assert [each.sequence for each in found] == list(range(61))
    for name in "abc":
        numbers = [each.details["number"] for each in found if each.details.get("by") == name]
        assert numbers == list(range(20))
    assert trail.verify().ok


def test_what_was_told_to_be_written_survives_a_kill(trail: AuditTrail) -> None:
    for kill in range(3):
        child = appender(trail.file, 100_000)
        assert child.stdout is not None
        told = [child.stdout.readline() for _ in range(5 + kill)]
        child.send_signal(signal.SIGKILL)
        told += child.stdout.readlines()
        child.stdout.close()
        child.wait(timeout=60)
        numbers = [each.details.get("number") for each in trail.entries()]
        assert [line for line in told if line.endswith("\n") and int(line) not in numbers] == []
        trail.record("backup")
        assert trail.verify().ok


@pytest.mark.parametrize("left", [1, 20, -1])
def test_a_line_that_a_crash_cut_off_is_set_aside(trail: AuditTrail, left: int) -> None:
    trail.record("backup")
    whole = trail.file.read_bytes()
    trail.record("prune")
    line = trail.file.read_bytes()[len(whole) :]
    torn = line[: left if left > 0 else len(line) - 2]
    trail.file.write_bytes(whole + torn)
    found = trail.verify()
    assert (found.ok, found.torn, found.entries) == (True, (3,), 2)
    trail.record("restore")
    assert [each.event for each in trail.entries()] == ["trail", "backup", "torn", "restore"]
    assert trail.file.read_bytes().startswith(whole + torn), "nothing is ever removed"
    found = trail.verify()
    assert (found.ok, found.torn, found.entries) == (True, (3,), 4)
    # Nor can what was set aside be changed afterwards.
    trail.file.write_bytes(trail.file.read_bytes().replace(torn + b"\x18", b"?\x18"))
    assert [each.line for each in trail.verify().problems] == [4]


def test_an_entry_that_lacks_only_its_line_feed_counts(trail: AuditTrail) -> None:
    trail.record("backup")
    os.truncate(trail.file, trail.file.stat().st_size - 1)
    assert trail.verify().entries == 2
    trail.record("prune")
    assert [each.event for each in trail.entries()] == ["trail", "backup", "prune"]
    assert trail.verify().ok


def test_a_crash_while_a_crash_is_cleared_up(trail: AuditTrail) -> None:
    trail.record("backup")
    whole = trail.file.read_bytes()
    with trail.file.open("ab") as stream:
        stream.write(b'{"deta\x18\n{"details":{"by')
    trail.record("prune")
    found = trail.verify()
    assert (found.ok, found.torn, found.entries) == (True, (3, 4), 4)
    # A crash before there was any entry at all.
    trail.file.write_bytes(b'{"deta')
    trail.record("backup")
    assert [each.event for each in trail.entries()] == ["trail", "torn", "backup"]
    assert trail.verify().torn == (1,)
    assert trail.verify().ok
    assert whole


def test_a_whole_line_that_was_spoilt_is_no_crash(trail: AuditTrail) -> None:
    trail.record("backup")
    trail.record("prune")
    data = trail.file.read_bytes()
    trail.file.write_bytes(data[:-3] + b"?" + data[-2:])
    assert [each.line for each in trail.verify().problems] == [3]
    trail.record("backup")
    assert [each.line for each in trail.verify().problems] == [3], "and appending hides it not"


def test_a_file_of_rubbish_is_appended_to_and_told_of(trail: AuditTrail) -> None:
    trail.file.parent.mkdir(parents=True)
    trail.file.write_bytes(b"x" * 3_000_000 + b"\n" + b"\n\n")
    trail.record("backup")
    assert [each.event for each in trail.entries()] == ["trail", "torn", "backup"]
    assert not trail.verify().ok


def test_a_full_disk_is_a_warning(trail: AuditTrail, caplog: pytest.LogCaptureFixture) -> None:
    trail.record("backup")
    limit = trail.file.stat().st_size + 50
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        made = trail.record("prune")
        with pytest.raises(OSError, match="large"):
            AuditTrail(trail.file, required=True).record("prune")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (made.sequence, made.hash) == (-1, "")
    assert "cannot be written, and lacks prune" in caplog.text
    assert trail.verify().torn == (3,)
    trail.record("restore")
    assert [each.event for each in trail.entries()] == ["trail", "backup", "torn", "restore"]
    assert trail.verify().ok


def test_a_place_that_cannot_be_written_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_bytes(b"")
    trail = AuditTrail(tmp_path / "file/audit.jsonl")
    assert trail.record("backup").sequence == -1
    assert "lacks backup" in caplog.text
    with pytest.raises(FileExistsError):
        AuditTrail(tmp_path / "file/audit.jsonl", required=True).record("backup")


def test_the_workspace_has_the_trail(tmp_path: Path) -> None:
    with Workspace(tmp_path) as workspace:
        workspace.audit.record("job")
        assert workspace.audit.file == tmp_path / "audit.jsonl"
    assert AuditTrail(tmp_path / "audit.jsonl").verify().entries == 2
