"""Several writers at once, in processes and threads; suspended, forked, without permission."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import pytest

import holdfast
from holdfast.store.envelope import ObjectType, seal_object
from holdfast.testing.content import noise

WRITERS = 4
ROUNDS = 3

BACKUP = """
import sys, holdfast
repo = holdfast.open(sys.argv[1], password="password", cache_dir=sys.argv[2])
sys.stdin.readline()
for _ in range(int(sys.argv[3])):
    result = repo.backup(sys.argv[4:])
    assert result.errors == (), result.errors
    print(result.snapshot.id, flush=True)
"""

STOPPING = """
import os, signal
from contextlib import suppress
from holdfast.store import writer
writer._FIRST_INDEX = 0.0
write_index, stops = writer.Writer._write_index, [signal.SIGSTOP]
def write_and_stop(self, **how):
    write_index(self, **how)
    with suppress(IndexError):  # it has stopped before
        if self._own_packs:
            os.kill(os.getpid(), stops.pop())
writer.Writer._write_index = write_and_stop
"""
"""A process that stops itself as soon as its first index object is there: who looks for that from
outside may come too late."""

FORK = """
import os, sys, holdfast
repo = holdfast.open(sys.argv[1], password="password", cache=False)
repo.backup(sys.argv[2])
opened = repo.open_file("latest", sys.argv[2] + "/file")
opened.read(1)
child = os.fork()
if child == 0:
    refused = 0
    for use in (
        lambda: repo.backup(sys.argv[2]),
        lambda: repo.backup(sys.argv[2], dry_run=True),
        lambda: repo.snapshots(),
        lambda: repo.restore("latest", sys.argv[2] + "-copy"),
        lambda: repo.check(),
        lambda: repo.listdir("latest", "/"),
        lambda: repo.open_file("latest", sys.argv[2] + "/file"),
        lambda: list(repo.find("*")),
        lambda: repo.stats(),
    ):
        try:
            use()
        except holdfast.UsageError:
            refused += 1
    repo.close()
    again = holdfast.open(sys.argv[1], password="password", cache=False)
    os._exit(refused + 100 * again.backup(sys.argv[2]).files_unmodified)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(repo.backup(sys.argv[2]).files_unmodified)
opened.close()
"""

UNPRIVILEGED = """
import os, sys, holdfast
# Everything is imported before: Python itself may lie where only root can read it.
with holdfast.init(sys.argv[3], password="password", cache=False) as repo:
    repo.backup(sys.argv[2])
    repo.check(read_data=True)
    repo.open_file("latest", sys.argv[2] + "/file").close()
if os.geteuid() == 0:
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
repo = holdfast.open(sys.argv[1], password="password", cache=False)
print(len(repo.snapshots()))
print(repo.check(read_data=True).valid)
with repo.open_file("latest", sys.argv[2] + "/file") as file:
    print(len(file.read()))
try:
    repo.backup(sys.argv[2])
except holdfast.AccessDenied as error:
    print("denied", error.object.partition("/")[0])
"""


def make_tree(path: Path, seed: int) -> None:
    path.mkdir(parents=True)
    for number in range(40):
        (path / f"{number}").write_bytes(noise(number * 1000, seed + number))
    (path / "large").write_bytes(noise(3_000_000, seed + 1000))


def content(path: Path) -> dict[str, bytes]:
    return {
        below.relative_to(path).as_posix(): below.read_bytes()
        for below in path.rglob("*")
        if below.is_file()
    }


def expect_all_restore(
    repo: holdfast.Repository, snapshots: dict[str, list[Path]], target: Path
) -> None:
    for number, (snapshot, sources) in enumerate(snapshots.items()):
        place = target / str(number)
        assert repo.restore(snapshot, place).errors == ()
        for source in sources:
            assert content(place / source.relative_to("/")) == content(source)
    report = repo.check(read_data=True)
    assert report.valid, report.findings


@pytest.mark.fault(25)
def test_processes_back_up_into_one_repository_at_once(tmp_path: Path) -> None:
    holdfast.init(tmp_path / "repo", password="password", pack_size=1 << 20, cache=False).close()
    for number in range(WRITERS):
        make_tree(tmp_path / f"own{number}", 10_000 * number)
    make_tree(tmp_path / "common", 900_000)
    sources = [[tmp_path / f"own{number}", tmp_path / "common"] for number in range(WRITERS)]
    sources[3] = [tmp_path / "own0", tmp_path / "common"]  # the very same as the first
    writers = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                BACKUP,
                tmp_path / "repo",
                tmp_path / "cache",
                str(ROUNDS),
                *own,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for own in sources
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    made: dict[str, list[Path]] = {}
    for writer, own in zip(writers, sources, strict=True):
        output, _ = writer.communicate()
        assert writer.returncode == 0
        assert len(output.split()) == ROUNDS
        made.update(dict.fromkeys(output.split(), own))
    with holdfast.open(tmp_path / "repo", password="password", cache=False) as repo:
        assert {snapshot.id for snapshot in repo.snapshots()} == made.keys()
        expect_all_restore(repo, made, tmp_path / "restored")
        assert list((tmp_path / "repo/sessions").iterdir()) == []
        assert repo.backup(sources[0]).data_added < 10_000


@pytest.mark.fault(25, 50)
def test_threads_share_one_repository(tmp_path: Path) -> None:
    repo = holdfast.init(tmp_path / "repo", password="password", pack_size=1 << 20, cache=False)
    for number in range(WRITERS):
        make_tree(tmp_path / f"tree{number}", 10_000 * number)
    first = repo.backup(tmp_path / "tree0").snapshot
    assert first is not None
    made: dict[str, list[Path]] = {first.id: [tmp_path / "tree0"]}
    start = threading.Barrier(WRITERS + 2)

    def write(number: int) -> list[tuple[str, Path]]:
        start.wait()
        source = tmp_path / f"tree{number}"
        snapshots = [repo.backup(source).snapshot for _ in range(ROUNDS)]
        return [(snapshot.id, source) for snapshot in snapshots if snapshot]

    def restore() -> None:
        start.wait()
        for number in range(ROUNDS):
            target = tmp_path / f"copy{number}"
            assert repo.restore(first.id, target).errors == ()
            source = tmp_path / "tree0"
            assert content(target / source.relative_to("/")) == content(source)

    def check() -> None:
        start.wait()
        expect_no_damage(repo, ROUNDS)

    with ThreadPoolExecutor(WRITERS + 2) as pool:
        writers = [pool.submit(write, number) for number in range(WRITERS)]
        readers = [pool.submit(restore), pool.submit(check)]
        for snapshot, source in chain.from_iterable(writer.result() for writer in writers):
            made[snapshot] = [source]
        for reader in readers:
            reader.result()
    assert {snapshot.id for snapshot in repo.snapshots()} == made.keys()
    assert len(made) == 1 + WRITERS * ROUNDS
    expect_all_restore(repo, made, tmp_path / "restored")
    repo.close()


def expect_no_damage(repo: holdfast.Repository, rounds: int) -> None:
    """Check again and again: whatever is being written meanwhile is no damage."""
    for _ in range(rounds):
        report = repo.check(read_data=True)
        assert report.valid, report.findings
        assert repo.stats() is not None


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return filled(tmp_path)


@pytest.fixture
def place_of_its_own() -> Iterator[Path]:
    """Not below the folders of pytest: these are other tests' too, and not to be opened to all."""
    with tempfile.TemporaryDirectory() as folder:
        yield filled(Path(folder))


def filled(place: Path) -> Path:
    (place / "data").mkdir()
    (place / "data/file").write_bytes(noise(2_000_000, 1))
    with holdfast.init(
        place / "repo", password="password", compression=13, pack_size=1 << 20, cache=False
    ) as repo:
        repo.backup(place / "data")
    return place


@pytest.mark.fault(50)
def test_a_repository_is_not_used_across_a_fork(place: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK, place / "repo", place / "data"],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.stderr == ""
    assert done.stdout.split() == ["109", "1"]


def suspended(place: Path) -> subprocess.Popen[str]:
    """A backup that is stopped in the middle, after its first index object."""
    for number in range(20):
        (place / f"data/{number}").write_bytes(noise(150_000, 100 + number).hex().encode())
    indexes = len(listed(place, "index"))
    writer = subprocess.Popen(
        [
            *(sys.executable, "-c", STOPPING + BACKUP),
            *(place / "repo", place / "cache", "1", place / "data"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert writer.stdin is not None
    writer.stdin.write("go\n")
    writer.stdin.flush()
    what = os.waitid(os.P_PID, writer.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    assert what is not None
    assert what.si_code == os.CLD_STOPPED, writer.communicate()
    assert len(listed(place, "index")) == indexes + 1
    assert len(listed(place, "sessions")) == 1
    return writer


def listed(place: Path, folder: str) -> list[Path]:
    return sorted((place / "repo" / folder).glob("[0-9a-f]*"))


def resumed(writer: subprocess.Popen[str]) -> tuple[int, str]:
    writer.send_signal(signal.SIGCONT)
    _, errors = writer.communicate(timeout=240)
    return writer.returncode, errors


@pytest.mark.fault(27)
def test_a_backup_that_was_suspended_goes_on(place: Path) -> None:
    writer = suspended(place)
    with holdfast.open(place / "repo", password="password", cache=False) as repo:
        beside = repo.backup(place / "data").snapshot  # nobody waits for it
        assert beside is not None
        assert resumed(writer) == (0, "")
        assert len(repo.snapshots()) == 3
        sources = [place / "data"]
        made = {str(snapshot.id): sources for snapshot in repo.snapshots()[1:]}
        expect_all_restore(repo, made, place / "restored")


@pytest.mark.fault(27)
def test_a_suspended_backup_whose_session_was_cleared_away_fails(place: Path) -> None:
    writer = suspended(place)
    for session in listed(place, "sessions"):
        session.unlink()
    code, errors = resumed(writer)
    assert code == 1
    assert "SessionLost" in errors
    expect_one_snapshot_and_a_working_repository(place)


@pytest.mark.fault(27)
def test_a_suspended_backup_that_was_declared_dead_fails(place: Path) -> None:
    writer = suspended(place)
    with holdfast.open(place / "repo", password="password", cache=False) as repo:
        (session,) = listed(place, "sessions")
        name = f"snapshots/{session.name}"
        marker = seal_object(ObjectType.ABORTED, repo._store.keys, name, b"\x80")
        repo._store.backend.put_if_absent(name, marker)
    code, errors = resumed(writer)
    assert code == 1
    assert "SessionLost" in errors
    expect_one_snapshot_and_a_working_repository(place)


def expect_one_snapshot_and_a_working_repository(place: Path) -> None:
    with holdfast.open(place / "repo", password="password", cache=False) as repo:
        assert len(repo.snapshots()) == 1
        assert repo.check(read_data=True).valid
        result = repo.backup(place / "data")
        assert result.snapshot is not None
        # what it had stored is used
        assert result.data_added < result.bytes_processed - 2_000_000
        made = {str(result.snapshot.id): [place / "data"]}
        expect_all_restore(repo, made, place / "restored")


@pytest.mark.fault(23)
def test_a_repository_that_may_only_be_read_is_read_and_refuses_backups_early(
    place_of_its_own: Path,
) -> None:
    place = place_of_its_own
    repository = place / "repo"
    everything = [repository, *repository.rglob("*")]
    for path in everything:
        path.chmod(0o555 if path.is_dir() else 0o444)
    opened = open_the_way(place)
    before = {path: path.stat().st_mtime_ns for path in everything}
    try:
        done = subprocess.run(
            [sys.executable, "-c", UNPRIVILEGED, repository, place / "data", place / "other"],
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        for path, mode in opened.items():
            path.chmod(mode)
        for path in everything:
            path.chmod(0o755 if path.is_dir() else 0o644)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["1", "True", "2000000", "denied sessions"]
    assert {path: path.stat().st_mtime_ns for path in everything} == before


def open_the_way(place: Path) -> dict[Path, int]:
    """Let everybody reach a directory; returns the modes that were."""
    modes = {
        path: path.stat().st_mode & 0o7777
        for path in [place, *place.parents]
        if path.stat().st_uid == os.geteuid() and not path.stat().st_mode & 0o001
    }
    for path, mode in modes.items():
        path.chmod(mode | 0o011)
    return modes
