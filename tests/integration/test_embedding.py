"""The names that programs rely on which embed holdfast, used as its documentation shows them."""

from __future__ import annotations

import inspect
import io
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import holdfast

PASSWORD = "correct horse battery staple"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    for name in ("a.csv", "sub/b.csv", "sub/c.txt", "drop.tmp", "node_modules/x"):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_text(f"content of {name}\n")
    return data


@pytest.fixture
def repo(tmp_path: Path) -> holdfast.Repository:
    return holdfast.init(tmp_path / "repo", password=PASSWORD, cache=False)


def test_a_repository_is_made_and_opened(tmp_path: Path) -> None:
    made = holdfast.init(str(tmp_path / "repo"), password=PASSWORD, cache_dir=tmp_path / "cache")
    with holdfast.open(tmp_path / "repo", password=PASSWORD, cache=False) as opened:
        assert opened.id == made.id
    with pytest.raises(holdfast.WrongPassword):
        holdfast.open(tmp_path / "repo", password="another", cache=False)
    with pytest.raises(holdfast.RepositoryNotFound):
        holdfast.open(tmp_path / "nothing", password=PASSWORD, cache=False)
    with pytest.raises(holdfast.RepositoryExists):
        holdfast.init(tmp_path / "repo", password=PASSWORD, cache=False)


def test_a_password_comes_from_a_file_or_a_command(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(PASSWORD + "\n")
    holdfast.init(tmp_path / "repo", password_file=tmp_path / "password", cache=False).close()
    command = [sys.executable, "-c", f"print({PASSWORD!r})"]
    holdfast.open(tmp_path / "repo", password_command=command, cache=False).close()
    holdfast.open(tmp_path / "repo", password=PASSWORD, cache=False).close()


def test_options_of_a_new_repository(tmp_path: Path, data: Path) -> None:
    repo = holdfast.init(
        tmp_path / "repo",
        password=PASSWORD,
        encryption="AES256",
        compression="max",
        pack_size=4 << 20,
        chunker="database",
        cache=False,
    )
    assert repo.backup(data).snapshot is not None
    assert repo.check(read_data=True).valid


def test_backup_and_its_result(repo: holdfast.Repository, data: Path) -> None:
    events: list[holdfast.ProgressEvent] = []
    result = repo.backup(
        [data], tags=["daily"], exclude=["*.tmp", "node_modules/"], progress=events.append
    )
    assert result.snapshot is not None
    assert len(result.snapshot.id) == 32
    assert (result.files_new, result.files_changed, result.files_unmodified) == (3, 0, 0)
    assert result.data_added > 0
    assert result.data_stored > 0
    assert result.errors == ()
    event = events[-1]
    assert event.percent == 100
    assert (event.files, event.bytes) == (3, result.bytes_processed)
    assert isinstance(event.path, str)
    assert event.seconds_left == 0
    (data / "a.csv").write_text("changed")
    (data / "new").write_text("new")
    result = repo.backup([data], tags=["daily"], exclude=["*.tmp", "node_modules/"])
    assert (result.files_new, result.files_changed, result.files_unmodified) == (1, 1, 2)


def test_streams_and_commands(repo: holdfast.Repository) -> None:
    assert repo.backup_stream(io.BytesIO(b"dumped"), "db.sql").snapshot is not None
    with repo.open_file("latest", "db.sql") as file:
        assert file.read() == b"dumped"
    command = [sys.executable, "-c", "print('printed')"]
    assert repo.backup_command(command, "out").snapshot is not None
    with repo.open_file("latest", "/out") as file:
        assert file.read() == b"printed\n"
    with pytest.raises(holdfast.SourceError):
        repo.backup_command([sys.executable, "-c", "raise SystemExit(3)"], "out")
    assert len(repo.snapshots()) == 2


def test_snapshots_and_their_attributes(repo: holdfast.Repository, data: Path) -> None:
    now = datetime.now(UTC)
    repo.backup(data, tags=["a"], host="one", label="first", time=now - timedelta(days=2))
    repo.backup(data / "sub", tags=["a", "b"], host="two", time=now)
    everything = repo.snapshots(host=None, tags=None, paths=None, since=None, until=None)
    assert [snapshot.host for snapshot in everything] == ["one", "two"]
    assert [s.host for s in repo.snapshots(host="two")] == ["two"]
    assert [s.host for s in repo.snapshots(tags=["a"])] == ["one", "two"]
    assert [s.host for s in repo.snapshots(tags=["a", "b"])] == ["two"]
    assert [s.host for s in repo.snapshots(paths=[str(data)])] == ["one"]
    assert [s.host for s in repo.snapshots(since=now - timedelta(days=1))] == ["two"]
    assert [s.host for s in repo.snapshots(until=now - timedelta(days=1))] == ["one"]
    first = everything[0]
    assert first.id.startswith(first.short_id)
    assert first.time == (now - timedelta(days=2)).astimezone(UTC)
    assert (first.user, first.paths, first.tags) == (first.user, (str(data),), ("a",))
    assert first.label == "first"
    assert first.summary.files_new == 5
    assert repo.snapshot("latest").host == "two"
    assert repo.snapshot("latest~1") == first
    assert repo.snapshot(first.short_id) == first
    with pytest.raises(holdfast.SnapshotNotFound):
        repo.snapshot("latest~2")


def test_restore(repo: holdfast.Repository, data: Path, tmp_path: Path) -> None:
    repo.backup(data)
    result = repo.restore("latest", tmp_path / "target", include=None, exclude=None, verify=True)
    assert result.files_restored == 5
    assert result.bytes_restored == sum(p.stat().st_size for p in data.rglob("*") if p.is_file())
    assert result.errors == ()
    restored = tmp_path / "target" / data.relative_to("/")
    assert (restored / "sub/b.csv").read_text() == "content of sub/b.csv\n"
    result = repo.restore(f"latest:{data}", tmp_path / "some", include=["*.csv"], exclude=["b.*"])
    assert result.files_restored == 1
    assert [p.name for p in (tmp_path / "some").rglob("*") if p.is_file()] == ["a.csv"]


def test_looking_into_a_snapshot(repo: holdfast.Repository, data: Path) -> None:
    repo.backup(data)
    assert [entry.name for entry in repo.listdir("latest", data / "sub")] == ["b.csv", "c.txt"]
    paths = [entry.path for entry in repo.walk("latest")]
    assert str(data / "sub/c.txt") in paths
    assert len(paths) == len(set(paths))
    with repo.open_file("latest", data / "a.csv") as file:
        assert file.seekable()
        file.seek(8)
        assert file.read() == b"of a.csv\n"
    with pytest.raises(holdfast.PathNotFound):
        repo.open_file("latest", data / "missing")


def test_check(repo: holdfast.Repository, data: Path, tmp_path: Path) -> None:
    snapshot = repo.backup(data).snapshot
    assert snapshot is not None
    for read_data in (False, True, "10%", "3/10"):
        report = repo.check(snapshots=None, read_data=read_data)
        assert report.valid
        assert report.findings == ()
    assert repo.check(snapshots=[snapshot.id]).valid
    for pack in (tmp_path / "repo/data").rglob("*-*"):
        damaged = bytearray(pack.read_bytes())
        damaged[len(damaged) // 2] ^= 1
        pack.chmod(0o600)
        pack.write_bytes(damaged)
    report = repo.check(read_data=True)
    assert not report.valid
    assert {hurt.snapshot for finding in report.findings for hurt in finding.hurts} == {snapshot.id}


def test_diff_find_and_stats(repo: holdfast.Repository, data: Path) -> None:
    a = repo.backup(data).snapshot
    (data / "a.csv").write_text("changed")
    (data / "new.csv").write_text("new")
    b = repo.backup(data).snapshot
    assert a is not None
    assert b is not None
    changed = {difference.path for difference in repo.diff(a.id, b.id)}
    assert {str(data / "a.csv"), str(data / "new.csv")} <= changed
    assert str(data / "sub/b.csv") not in changed
    found = {Path(each.entry.path).name for each in repo.find("*.csv")}
    assert found == {"a.csv", "b.csv", "new.csv"}
    stats = repo.stats()
    assert stats.dedup_ratio > 1
    assert stats.compression_ratio > 0


def test_parameters_bear_the_documented_names() -> None:
    def names(function: object) -> list[str]:
        assert callable(function)
        return list(inspect.signature(function).parameters)

    repository = holdfast.Repository
    assert names(holdfast.init)[:4] == ["location", "password", "password_file", "password_command"]
    assert names(holdfast.open)[:4] == ["location", "password", "password_file", "password_command"]
    assert {"tags", "exclude", "progress"} <= set(names(repository.backup))
    assert names(repository.snapshots)[1:] == ["host", "tags", "paths", "since", "until"]
    assert {"include", "exclude", "verify"} <= set(names(repository.restore))
    assert names(repository.check)[1:3] == ["snapshots", "read_data"]


def test_several_threads_use_one_repository(repo: holdfast.Repository, data: Path) -> None:
    repo.backup(data)
    results: list[int] = []

    def use(number: int) -> None:
        repo.backup(data, host=f"host{number}")
        with repo.open_file("latest", data / "a.csv") as file:
            results.append(len(file.read()))

    threads = [threading.Thread(target=use, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [17] * 4
    assert len(repo.snapshots()) == 5


def test_importing_holdfast_loads_no_driver_and_writes_no_log() -> None:
    code = (
        "import sys, holdfast; "
        "print([m for m in ('fsspec', 'click', 'rich', 'zstandard') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")
