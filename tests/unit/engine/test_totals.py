"""What backups and restores know of what there is to do, and from when on."""

from __future__ import annotations

import io
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from typing_extensions import override

from holdfast.clock import SystemClock
from holdfast.engine.origin import counted
from holdfast.engine.repository import Repository
from holdfast.filesystem import ExcludeRules, LocalSource
from holdfast.model.snapshot import Summary, encode_snapshot
from holdfast.progress import COUNT_AFTER, Progress, ProgressEvent
from holdfast.testing.repositories import new_store


class Hasty(SystemClock):
    """Every wait is over at once, and a second passes whenever it is asked."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._lock = threading.Lock()

    @override
    def monotonic(self) -> float:
        with self._lock:
            self.seconds += 1
            return self.seconds

    @override
    def wait(self, event: threading.Event, seconds: float) -> bool:
        return event.is_set()


class Patient(Hasty):
    """Every wait lasts until the event; remembers them."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    @override
    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.waits.append(seconds)
        return event.wait()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    (data / "below").mkdir(parents=True)
    (data / "file").write_bytes(b"abc" * 1000)
    (data / "other").hardlink_to(data / "file")
    (data / "link").symlink_to("file")
    os.mkfifo(data / "below/pipe")
    (data / "below/small").write_bytes(b"abc")
    return data


ENTRIES, SIZE = 5, 6003


def repository() -> Repository:
    return Repository(new_store(), Patient())


def told(
    repo: Repository,
    name: str,
    target: Path,
    *,
    include: str | None = None,
    exclude: str | None = None,
    verify: bool = False,
) -> list[ProgressEvent]:
    events: list[ProgressEvent] = []
    result = repo.restore(
        name, target, include=include, exclude=exclude, verify=verify, progress=events.append
    )
    assert not result.errors
    return events


def known(events: list[ProgressEvent]) -> tuple[int, int]:
    """The totals, which were known from the beginning and are right."""
    first, last = events[0], events[-1]
    assert len(events) > 1
    assert (first.files_total, first.bytes_total) == (last.files_total, last.bytes_total)
    assert (last.files, last.bytes) == (last.files_total, last.bytes_total)
    return first.files_total, first.bytes_total


def test_a_first_backup_counts_all_that_it_will_find(data: Path) -> None:
    source = LocalSource([data], ExcludeRules())
    events: list[ProgressEvent] = []
    progress = Progress(events.append, Hasty())
    with counted(source, None, progress):
        while not events or not events[-1].bytes_total:
            progress.advance(0, 0)
    assert (events[-1].files_total, events[-1].bytes_total) == (ENTRIES, SIZE)


def test_a_backup_knows_what_its_parent_had(data: Path) -> None:
    repo = repository()
    repo.backup(data)
    events: list[ProgressEvent] = []
    repo.backup(data, progress=events.append)
    assert known(events) == (ENTRIES, SIZE)


@pytest.mark.parametrize("verify", [False, True])
def test_a_restore_knows_what_its_snapshot_has(data: Path, tmp_path: Path, verify: bool) -> None:
    repo = repository()
    repo.backup(data)
    times = 1 + verify
    for name in ("latest", f"latest:{data.parent}", f"latest:{data}"):
        events = told(repo, name, tmp_path / "target", verify=verify)
        assert known(events) == (ENTRIES * times, SIZE * times)


def test_a_restore_knows_what_copies_cuts_and_streams_have(data: Path, tmp_path: Path) -> None:
    repo, other = repository(), repository()
    repo.backup(data)
    repo.copy(other)
    assert known(told(other, "latest", tmp_path / "1")) == (ENTRIES, SIZE)
    repo.rewrite("latest", exclude="small", forget=True)
    assert known(told(repo, "latest", tmp_path / "2")) == (ENTRIES - 1, SIZE - 3)
    repo.backup_stream(io.BytesIO(b"stream"), "name")
    assert known(told(repo, "latest", tmp_path / "3")) == (1, 6)


def test_a_restore_of_less_than_all_does_not_go_by_the_snapshot(data: Path, tmp_path: Path) -> None:
    repo = repository()
    repo.backup(data)
    for number, (events, entries) in enumerate(
        (
            (told(repo, f"latest:{data}/below", tmp_path / "1"), 2),
            (told(repo, f"latest:{data}/file", tmp_path / "2"), 1),
            (told(repo, "latest", tmp_path / "3", include="small"), 1),
            (told(repo, "latest", tmp_path / "4", exclude="small"), ENTRIES - 1),
        )
    ):
        assert events[-1].files_total == events[-1].files == entries, number
        assert events[0].files_total < ENTRIES, number


def test_a_restore_goes_by_no_snapshot_without_numbers(data: Path, tmp_path: Path) -> None:
    clock = Patient()
    repo = Repository(new_store(), clock)
    made = repo.backup(data).snapshot
    assert made is not None
    with repo._store.writer({}) as writer:  # another program's
        bare = replace(made, summary=Summary(), time_ns=made.time_ns + 10**9, paths=())
        name = writer.commit(encode_snapshot(bare))
    told(repo, made.id, tmp_path / "1")
    assert not clock.waits
    assert told(repo, name, tmp_path / "2")[-1].files_total == ENTRIES
    assert clock.waits == [COUNT_AFTER]
