"""Backups as a program asks for them: what may be given, what is told, and what is refused."""

from __future__ import annotations

import io
import os
import sys
import threading
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from pathlib import Path

import pytest
from typing_extensions import override

import holdfast
from holdfast.backend import Fail, Faulty, MemoryBackend
from holdfast.clock import SystemClock
from holdfast.engine.repository import Repository
from holdfast.primitives.chunker import PROFILES
from holdfast.primitives.kdf import KdfParams
from holdfast.progress import ProgressEvent
from holdfast.store import Settings, create_store
from holdfast.testing.content import noise

CHEAP = KdfParams(memory=19 << 10, passes=1, lanes=1)


class Fast(SystemClock):
    """An hour ahead, so that new files are old; a second passes whenever it is asked."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._lock = threading.Lock()

    @override
    def now_ns(self) -> int:
        return super().now_ns() + 3600 * 10**9

    @override
    def monotonic(self) -> float:
        with self._lock:
            self.seconds += 1
            return self.seconds


class Bench:
    """A repository in memory, and a directory to back up."""

    def __init__(self, data: Path) -> None:
        self.data = data
        data.mkdir()
        self.objects = MemoryBackend()
        settings = Settings(PROFILES["default"], 16 << 20, 3)
        self.repo = Repository(
            create_store(self.objects, "password", settings, CHEAP, Fast(), None), Fast()
        )

    def listed(self, prefix: str) -> list[str]:
        return sorted(info.name for info in self.objects.list(prefix))

    def everything(self) -> dict[str, bytes]:
        return {info.name: self.objects.get(info.name) for info in self.objects.list("")}

    def names(self, result: holdfast.BackupResult) -> list[str]:
        base = str(self.data) + "/"
        return [e.path.removeprefix(base) for e in self.repo.walk(made(result).id, self.data)]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "data")


def made(result: holdfast.BackupResult) -> holdfast.Snapshot:
    assert result.snapshot is not None
    return result.snapshot


def read(bench: Bench, path: str | Path) -> bytes:
    with bench.repo.open_file("latest", path) as file:
        return file.read()


# What a snapshot says of itself


def test_a_snapshot_bears_what_it_is_given(bench: Bench) -> None:
    when = datetime(2020, 2, 29, 12, 30, 45, 123457, tzinfo=timezone(timedelta(hours=5)))
    snapshot = made(
        bench.repo.backup(
            bench.data,
            tags=["daily", "täglich"],
            label="name",
            description="a note\nof two lines",
            host="elsewhere",
            time=when,
        )
    )
    assert snapshot == bench.repo.snapshot("latest")
    assert snapshot.tags == ("daily", "täglich")
    assert (snapshot.label, snapshot.description) == ("name", "a note\nof two lines")
    assert snapshot.host == "elsewhere"
    assert snapshot.time == when
    assert snapshot.paths == (str(bench.data),)
    assert snapshot.program == f"holdfast {holdfast.__version__}"
    assert snapshot.how["kind"] == "local"


def test_a_snapshot_knows_where_it_comes_from(bench: Bench) -> None:
    before = datetime.now(UTC)
    snapshot = made(bench.repo.backup(bench.data))
    assert snapshot.host == os.uname().nodename
    assert snapshot.user
    assert timedelta() <= snapshot.time - before <= timedelta(hours=2)
    assert snapshot.time <= snapshot.end


@pytest.mark.parametrize("year", [1, 1677, 2263, 9999])
def test_a_time_that_no_snapshot_can_bear_is_refused_at_once(bench: Bench, year: int) -> None:
    before = bench.everything()
    with pytest.raises(holdfast.UsageError, match="time"):
        bench.repo.backup(bench.data, time=datetime(year, 1, 1, tzinfo=UTC))
    with pytest.raises(holdfast.UsageError, match="time"):
        bench.repo.backup(bench.data, time=datetime(year, 1, 1))  # noqa: DTZ001 - as callers may
    assert bench.everything() == before


def test_a_time_without_a_zone_is_local(bench: Bench) -> None:
    when = datetime(2020, 6, 1, 12)  # noqa: DTZ001 - as callers may
    assert made(bench.repo.backup(bench.data, time=when)).time == when.astimezone()


# Sources


def test_of_several_sources_one_snapshot_is_made(bench: Bench) -> None:
    for name in ("a", "b", "c"):
        (bench.data / name).mkdir()
        (bench.data / name / "file").write_text(name)
    result = bench.repo.backup(
        [bench.data / "a", str(bench.data / "c"), os.fsencode(bench.data / "c/file")]
    )
    assert bench.names(result) == ["a", "a/file", "c", "c/file"]
    assert result.files_new == 2


@pytest.mark.fault(49)
def test_a_source_that_is_missing_is_recorded_when_others_are_there(bench: Bench) -> None:
    (bench.data / "file").write_text("content")
    result = bench.repo.backup([bench.data, bench.data.parent / "missing"])
    (error,) = result.errors
    assert error.path == str(bench.data.parent / "missing")
    assert (result.errors_total, made(result).problem_count) == (1, 1)
    assert bench.names(result) == ["file"]


@pytest.mark.fault(49)
def test_nothing_is_made_of_sources_that_are_all_missing(bench: Bench) -> None:
    before = bench.everything()
    with pytest.raises(holdfast.SourceError, match="missing"):
        bench.repo.backup([bench.data / "missing", bench.data / "also missing"])
    with pytest.raises(holdfast.UsageError):
        bench.repo.backup([])
    assert bench.everything() == before


def test_what_is_excluded_is_not_in_the_snapshot(bench: Bench) -> None:
    for name in ("keep", "drop.tmp", "DROP.BAK", "node_modules/x", "cache/y", "private/z", "big"):
        path = bench.data / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("content")
    (bench.data / "cache/CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55")
    (bench.data / "private/.nobackup").touch()
    (bench.data / "big").write_bytes(bytes(2000))
    result = bench.repo.backup(
        bench.data,
        exclude=["*.tmp", "node_modules/"],
        iexclude="*.bak",
        exclude_if_present=".nobackup",
        exclude_caches=True,
        exclude_larger_than=1000,
    )
    assert bench.names(result) == [
        "cache", "cache/CACHEDIR.TAG", "keep", "private", "private/.nobackup",
    ]  # fmt: skip
    assert made(result).excluded == ("*.tmp", "node_modules/", "*.bak")


# The parent


def test_the_parent_is_chosen_by_group(bench: Bench) -> None:
    (bench.data / "sub").mkdir()
    one = made(bench.repo.backup(bench.data, host="one", tags="a"))
    two = made(bench.repo.backup(bench.data, host="two", tags="b"))
    assert two.parent is None
    old = datetime(2000, 1, 1, tzinfo=UTC)  # so that what is made here is nobody's parent
    backup = partial(bench.repo.backup, bench.data, time=old)
    cases = [
        (partial(backup, host="one"), one.id),
        (partial(backup, host="two"), two.id),
        (partial(backup, host="three", group_by=["paths"]), two.id),
        (partial(backup, host="three", group_by=["tags"], tags=["a"]), one.id),
        (partial(backup, host="three", group_by=[]), two.id),
        (partial(backup, host="three", parent=one.short_id), one.id),
    ]
    for make, parent in cases:
        assert made(make()).parent == parent, make
    assert made(bench.repo.backup(bench.data / "sub", host="one")).parent is None


def test_a_parent_that_is_not_there_is_an_error(bench: Bench) -> None:
    before = bench.everything()
    with pytest.raises(holdfast.SnapshotNotFound):
        bench.repo.backup(bench.data, parent="abcdef")
    assert bench.everything() == before


# Without a snapshot


def test_a_dry_run_stores_nothing_and_foretells_what_would_be_added(bench: Bench) -> None:
    (bench.data / "sub").mkdir()
    for number in range(30):
        (bench.data / f"sub/file{number}").write_bytes(noise(number * 5000, number % 20))
    for _ in range(2):
        before = bench.everything()
        dry = bench.repo.backup(bench.data, dry_run=True)
        assert bench.everything() == before
        assert dry.snapshot is None
        real = bench.repo.backup(bench.data)
        for name in ("files_new", "files_changed", "files_unmodified", "directories",
                     "bytes_processed", "data_added"):  # fmt: skip
            assert getattr(dry, name) == getattr(real, name), name
        (bench.data / "sub/file7").write_bytes(noise(300_000, 77))


def test_a_dry_run_takes_lost_packs_into_account(bench: Bench) -> None:
    (bench.data / "file").write_bytes(noise(100_000))
    bench.repo.backup(bench.data)
    for name in bench.listed("data/"):
        bench.objects.delete(name)
    dry = bench.repo.backup(bench.data, dry_run=True)
    assert dry.data_added == bench.repo.backup(bench.data).data_added
    assert dry.data_added > 100_000


def test_no_second_snapshot_is_made_when_nothing_has_changed(bench: Bench) -> None:
    (bench.data / "file").write_text("content")
    first = bench.repo.backup(bench.data, skip_if_unchanged=True)
    assert first.snapshot is not None
    (bench.data.parent / "neighbour").touch()  # changes a directory on the way to the source
    assert bench.repo.backup(bench.data, skip_if_unchanged=True).snapshot is None
    assert len(bench.repo.snapshots()) == 1
    assert bench.listed("sessions/") == []
    (bench.data / "file").write_text("CONTENT")
    assert bench.repo.backup(bench.data, skip_if_unchanged=True).snapshot is not None
    bench.data.chmod(0o711)
    assert bench.repo.backup(bench.data, skip_if_unchanged=True).snapshot is not None
    assert bench.repo.backup(bench.data).snapshot is not None


# Streams and commands


@pytest.mark.parametrize("size", [0, 1, 100_000, 20_000_000])
def test_a_stream_becomes_a_file(bench: Bench, size: int) -> None:
    result = bench.repo.backup_stream(io.BytesIO(noise(size)), "dumps/all.sql", tags="db")
    assert read(bench, "/dumps/all.sql") == noise(size)
    assert result.bytes_processed == size
    assert (result.files_new, made(result).tags, made(result).how["kind"]) == (1, ("db",), "stream")
    assert [entry.path for entry in bench.repo.walk("latest")] == ["/dumps", "/dumps/all.sql"]


def test_a_stream_that_only_reads_becomes_a_file(bench: Bench) -> None:
    class Reader:
        def __init__(self, data: bytes) -> None:
            self._data = io.BytesIO(data)

        def read(self, size: int) -> bytes:
            return self._data.read(min(size, 1000))

    bench.repo.backup_stream(Reader(noise(30_000)), "name")  # type: ignore[arg-type]
    assert read(bench, "name") == noise(30_000)


@pytest.mark.parametrize("name", ["", "/", ".", "..", "a/..", "nul\0", "x" * 5000])
def test_a_name_that_no_file_can_have_is_refused(bench: Bench, name: str) -> None:
    before = bench.everything()
    with pytest.raises(holdfast.UsageError):
        bench.repo.backup_stream(io.BytesIO(b"content"), name)
    assert bench.everything() == before


@pytest.mark.parametrize("name", ["a//b", "/a/b", "./a/b", "../a/b", "a/x/../b"])
def test_a_name_is_made_an_absolute_path(bench: Bench, name: str) -> None:
    bench.repo.backup_stream(io.BytesIO(b"content"), name)
    assert read(bench, "/a/b") == b"content"


def test_a_stream_of_text_is_refused(bench: Bench) -> None:
    with pytest.raises(holdfast.UsageError, match="binary"):
        bench.repo.backup_stream(io.StringIO("text"), "name")  # type: ignore[arg-type]
    assert bench.listed("snapshots/") == bench.listed("sessions/") == []


def test_a_stream_that_fails_makes_no_snapshot(bench: Bench) -> None:
    class Failing(io.RawIOBase):
        @override
        def readable(self) -> bool:
            return True

        @override
        def readinto(self, buffer: object) -> int:
            raise OSError(5, "Input/output error")

    with pytest.raises(holdfast.SourceError, match="Input/output error"):
        bench.repo.backup_stream(Failing(), "name")  # type: ignore[arg-type]
    assert bench.listed("snapshots/") == bench.listed("sessions/") == []


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_the_output_of_a_command_becomes_a_file(bench: Bench) -> None:
    result = bench.repo.backup_command(python("print('x' * 100_000)"), "out.txt")
    assert read(bench, "out.txt") == b"x" * 100_000 + b"\n"
    assert made(result).how["kind"] == "command"


@pytest.mark.parametrize(
    "code",
    [
        "import sys; sys.stdout.write('x' * 3_000_000); sys.stdout.flush(); sys.exit('it broke')",
        "import os; os.kill(os.getpid(), 9)",
    ],
)
def test_a_command_that_fails_makes_no_snapshot(bench: Bench, code: str) -> None:
    with pytest.raises(holdfast.SourceError, match=r"it broke|SIGKILL"):
        bench.repo.backup_command(python(code), "out")
    assert bench.listed("snapshots/") == bench.listed("sessions/") == []


def test_a_command_that_cannot_be_run_makes_no_snapshot(bench: Bench) -> None:
    with pytest.raises(holdfast.SourceError, match="no-such-program"):
        bench.repo.backup_command(["no-such-program"], "out")
    assert bench.listed("snapshots/") == bench.listed("sessions/") == []


def test_a_command_is_ended_when_the_repository_fails(bench: Bench) -> None:
    plan = Fail(lambda call: call.name.startswith("data/"), holdfast.StorageFull)
    bench.repo._store.backend = Faulty(bench.objects, plan)
    endless = python(
        "import sys\nwhile True: sys.stdout.buffer.write(__import__('os').urandom(9999))"
    )
    with pytest.raises(holdfast.StorageFull):
        bench.repo.backup_command(endless, "out")


# Progress


class Listener:
    """Checks the law of progress as the events come."""

    def __init__(self) -> None:
        self.events: list[ProgressEvent] = []
        self._busy = threading.Lock()

    def __call__(self, event: ProgressEvent) -> None:
        assert self._busy.acquire(blocking=False), "two events at a time"
        self.events.append(event)
        self._busy.release()

    def check(self) -> None:
        percents = [event.percent for event in self.events]
        assert percents == sorted(percents)
        assert percents[-1] == 100
        assert percents.count(100) == 1
        assert percents[0] >= 0
        for name in ("files", "bytes", "elapsed", "files_total", "bytes_total"):
            values = [getattr(event, name) for event in self.events]
            assert values == sorted(values), name
        for event in self.events:
            assert event.files <= event.files_total
            assert event.bytes <= event.bytes_total


def test_progress_tells_of_every_file_and_ends_at_100_once(bench: Bench) -> None:
    for number in range(20):
        (bench.data / f"dir{number}").mkdir()
        for name in range(5):
            (bench.data / f"dir{number}/{name}").write_bytes(noise(1000))
    listener = Listener()
    bench.repo.backup(bench.data, progress=listener)
    listener.check()
    last = listener.events[-1]
    assert (last.files, last.bytes, last.files_total, last.bytes_total) == (
        100,
        100_000,
        100,
        100_000,
    )
    assert len(listener.events) > 100
    assert str(bench.data / "dir7") in {event.path for event in listener.events}


def test_what_the_parent_had_is_what_there_is_to_do(bench: Bench) -> None:
    for number in range(20):
        (bench.data / f"file{number}").write_bytes(noise(1000))
    bench.repo.backup(bench.data)
    for number in range(12):
        (bench.data / f"file{number}").unlink()
    listener = Listener()
    bench.repo.backup(bench.data, progress=listener)
    listener.check()
    assert {event.files_total for event in listener.events} == {20}
    assert [event.files for event in listener.events][-1] == 8


def test_a_parent_of_other_paths_says_nothing_of_what_there_is_to_do(bench: Bench) -> None:
    (bench.data / "part").mkdir()
    for number in range(20):
        (bench.data / f"part/file{number}").write_bytes(noise(1000))
        (bench.data / f"file{number}").write_bytes(noise(1000))
    parent = bench.repo.backup(bench.data).snapshot
    assert parent is not None
    listener = Listener()
    bench.repo.backup(bench.data / "part", parent=parent.id, progress=listener)
    listener.check()
    assert listener.events[-1].files_total == 20


def test_progress_goes_on_while_a_large_file_is_read(bench: Bench) -> None:
    (bench.data / "file").write_bytes(bytes(40_000_000))
    listener = Listener()
    bench.repo.backup(bench.data, progress=listener)
    listener.check()
    steps = {event.bytes for event in listener.events}
    assert len(steps) >= 5
    assert max(steps) == 40_000_000


def test_progress_of_a_stream(bench: Bench) -> None:
    listener = Listener()
    bench.repo.backup_stream(io.BytesIO(noise(20_000_000)), "name", progress=listener)
    listener.check()
    assert listener.events[-1].bytes == 20_000_000
    assert len(listener.events) > 2


@pytest.mark.parametrize("number", [1, 2, 30])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_callback_that_raises_ends_the_backup(
    bench: Bench, number: int, error: type[BaseException]
) -> None:
    for name in range(50):
        (bench.data / f"file{name}").write_bytes(noise(1000, name))
    calls: list[ProgressEvent] = []
    before = set(threading.enumerate())  # some of which may be ending, of tests before this one

    def callback(event: ProgressEvent) -> None:
        calls.append(event)
        if len(calls) == number:
            raise error

    with pytest.raises(error):
        bench.repo.backup(bench.data, progress=callback)
    assert len(calls) == number
    assert bench.listed("snapshots/") == bench.listed("sessions/") == []
    begun = set(threading.enumerate()) - before
    assert not [each.name for each in begun if each.name.startswith("holdfast")]
    assert bench.repo.backup(bench.data).files_new == 50


# Storages that allow little


def refusing(bench: Bench, verbs: set[str]) -> Repository:
    plan = Fail(lambda call: call.verb in verbs, holdfast.AccessDenied)
    bench.repo._store.backend = Faulty(bench.objects, plan)
    return bench.repo


def test_a_storage_that_deletes_nothing_takes_backups(bench: Bench) -> None:
    (bench.data / "file").write_text("content")
    repo = refusing(bench, {"delete"})
    assert made(repo.backup(bench.data)) == repo.snapshot("latest")
    assert len(bench.listed("sessions/")) == 1
    assert repo.check(read_data=True).valid
    assert made(repo.backup(bench.data)).parent is not None


def test_a_storage_that_cannot_be_written_is_refused_early(bench: Bench) -> None:
    (bench.data / "file").write_text("content")
    bench.repo.backup(bench.data)
    before = bench.everything()
    stream = Unread()
    repo = refusing(bench, {"put", "put_if_absent", "delete"})
    with pytest.raises(holdfast.AccessDenied):
        repo.backup_stream(io.BufferedReader(stream), "name")
    assert not stream.was_read
    with pytest.raises(holdfast.AccessDenied):
        repo.backup(bench.data)
    assert repo.check(read_data=True).valid
    assert read(bench, bench.data / "file") == b"content"
    assert bench.everything() == before


class Unread(io.RawIOBase):
    """A stream that tells when it is read."""

    was_read = False

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: object) -> int:
        self.was_read = True
        return 0
