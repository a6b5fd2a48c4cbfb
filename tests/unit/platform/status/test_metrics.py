"""The metrics say the same as the status, over HTTP too."""

from __future__ import annotations

import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from holdfast import UsageError
from holdfast.platform.status import (
    FailedRun,
    Growth,
    NextRun,
    SourceStatus,
    Status,
    Verified,
)
from holdfast.platform.status.metrics import metrics, write_metrics
from holdfast.platform.status.server import StatusServer
from holdfast.testing.repositories import ManualClock

WHEN = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)
DAY = timedelta(days=1)


def made(*, error: str | None = None) -> Status:
    return Status(
        repository='/srv/re"po\n',
        id="ab" * 16,
        time=WHEN + DAY,
        days=2,
        error=error,
        snapshots=None if error else 3,
        sources=(
            SourceStatus("h", ("/a", "/odd-\udcff"), 2, "12" * 16, WHEN, DAY, 2 * DAY),
            SourceStatus("", ("/never",), 0, None, None, None, DAY),
        ),
        failures=(
            FailedRun("1", "nightly", "backup", WHEN, "failed", "why", is_last=True),
            FailedRun("1", "nightly", "backup", WHEN, "failed", None, is_last=False),
            FailedRun("1", "nightly", "backup", WHEN, "lost", None, is_last=False),
        ),
        last_check=Verified(WHEN, "thorough", "valid", ok=True),
        last_drill=Verified(WHEN, "q", "FAILED", ok=False),
        next_runs=(NextRun("1", "nightly", "backup", WHEN), NextRun("2", "hand", "drill", None)),
        growth=(Growth("2026-11-20", 1, 10, 5), Growth("2026-11-21", 2, 7, 3)),
    )


def samples(content: bytes) -> dict[tuple[str, ...], float]:
    """Values by name and labels, without the repository's."""
    found = {}
    for family in text_string_to_metric_families(content.decode()):
        for sample in family.samples:
            assert sample.labels["repository"] == '/srv/re"po\n'
            labels = [v for k, v in sorted(sample.labels.items()) if k != "repository"]
            found[(sample.name.removeprefix("holdfast_"), *labels)] = sample.value
    return found


def test_prometheus_reads_what_the_status_says() -> None:
    status = made()
    known = samples(metrics(status))
    paths = "/a /odd-\\udcff"
    assert known == {
        ("ok",): float(status.ok),
        ("up",): 1,
        ("problems",): len(status.problems),
        ("snapshots",): 3,
        ("status_timestamp_seconds",): status.time.timestamp(),
        ("last_backup_timestamp_seconds",): WHEN.timestamp(),
        ("added_bytes",): 17,
        ("stored_bytes",): 8,
        ("source_last_backup_timestamp_seconds", "h", paths): WHEN.timestamp(),
        ("source_max_age_seconds", "h", paths): 2 * 86400,
        ("source_max_age_seconds", "", "/never"): 86400,
        ("source_late", "h", paths): 0,
        ("source_late", "", "/never"): 1,
        ("source_snapshots", "h", paths): 2,
        ("source_snapshots", "", "/never"): 0,
        ("failed_runs", "nightly", "failed"): 2,
        ("failed_runs", "nightly", "lost"): 1,
        ("last_check_timestamp_seconds",): WHEN.timestamp(),
        ("last_check_ok",): 1,
        ("last_drill_timestamp_seconds",): WHEN.timestamp(),
        ("last_drill_ok",): 0,
        ("next_run_timestamp_seconds", "nightly"): WHEN.timestamp(),
    }
    assert status.dict()["ok"] is False
    assert len(status.problems) == 3


def test_what_is_not_known_is_left_out() -> None:
    known = samples(metrics(made(error="gone")))
    assert known["up",] == 0
    assert ("snapshots",) not in known


def test_the_file_is_replaced_whole(tmp_path: Path) -> None:
    file = tmp_path / "holdfast.prom"
    file.write_text("old")
    write_metrics(made(), file)
    assert file.read_bytes() == metrics(made())
    assert [each.name for each in tmp_path.iterdir()] == ["holdfast.prom"]
    assert file.stat().st_mode & 0o777 == 0o644
    with pytest.raises(UsageError, match="No such file"):
        write_metrics(made(), tmp_path / "no/holdfast.prom")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match="directory"):
        write_metrics(made(), tmp_path / "folder")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["folder", "holdfast.prom"]


class Asked:
    """A server at work, and how often it asked for the status."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.status: Status | UsageError = made()
        self.count = 0
        self.server = StatusServer("127.0.0.1:0", self._collect, 60, self.clock)

    def _collect(self) -> Status:
        self.count += 1
        if isinstance(self.status, UsageError):
            raise self.status
        return self.status

    def get(self, path: str) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(f"http://{self.server.address}{path}", timeout=60) as it:
                return it.status, it.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()


@pytest.fixture
def asked() -> Iterator[Asked]:
    it = Asked()
    with it.server as server:
        thread = threading.Thread(target=server.run)
        thread.start()
        yield it
        server.stop()
        thread.join(60)
        assert not thread.is_alive()


def test_http_answers_with_the_same_values(asked: Asked) -> None:
    assert asked.get("/metrics?x") == (200, metrics(made()))
    code, body = asked.get("/healthz")
    assert (code, json.loads(body)) == (503, {"ok": False, "problems": 3})
    assert asked.get("/")[0] == 404
    assert asked.count == 1, "it is kept for a minute"
    asked.clock.advance(61)
    asked.status = UsageError("hush")
    assert asked.get("/healthz") == (500, b"see the log\n")
    assert asked.count == 2


@pytest.mark.parametrize(
    "address",
    [
        "",
        "x",
        "1.2.3.4",
        "h:p",
        "h:-1",
        "h:70000",
        "256.1.1.1:1",
        "h:" + "9" * 5000,
        "h" * 99 + ":1",
    ],
)
def test_an_address_that_makes_no_sense(address: str) -> None:
    with pytest.raises(UsageError):
        StatusServer(address, made)


def test_clients_that_never_ask_are_bounded(asked: Asked) -> None:
    host, _, port = asked.server.address.rpartition(":")
    before = set(threading.enumerate())  # other tests have had servers, too
    with ExitStack() as stack:
        place = host, int(port)
        clients = [stack.enter_context(socket.create_connection(place, 60)) for _ in range(30)]
        assert clients[-1].recv(1) == b"", "it was turned away"
        begun = set(threading.enumerate()) - before
        assert sum("process_request_thread" in each.name for each in begun) <= 16
    end = time.monotonic() + 60
    while not answers(asked):
        assert time.monotonic() < end, "the others have gone"


def answers(asked: Asked) -> bool:
    try:
        return asked.get("/healthz")[0] == 503
    except (OSError, HTTPException):
        return False


def test_a_port_that_is_taken() -> None:
    with StatusServer("127.0.0.1:0", made) as server, pytest.raises(UsageError, match="in use"):
        StatusServer(server.address, made)
