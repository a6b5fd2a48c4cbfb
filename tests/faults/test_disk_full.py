"""A repository, or a cache, whose file system runs full at one point or another."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import holdfast
from holdfast.testing.content import noise

SIZE = 48 << 20
MIB = 1 << 20

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, in memory."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "holdfast-test", place],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def leave(place: Path, free: int) -> Path:
    """Fill a file system but for so many bytes; returns the file that does."""
    filler = place / "filler"
    with filler.open("wb") as file:
        room = os.statvfs(place)
        os.posix_fallocate(file.fileno(), 0, room.f_bavail * room.f_frsize - free)
    return filler


def temporary(place: Path) -> list[Path]:
    return [path for path in place.rglob("*") if path.name.startswith(".tmp-")]


def expect(repo: holdfast.Repository, snapshot: str, path: Path, content: bytes) -> None:
    with repo.open_file(snapshot, path) as file:
        assert file.read() == content


@pytest.mark.fault(16)
@pytest.mark.parametrize("free", [0, 4096, 64 << 10, MIB, 3 * MIB, 5 * MIB + 4096, 9 * MIB])
def test_a_backup_onto_a_full_disk_fails_and_harms_nothing(
    small: Path, tmp_path: Path, free: int
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "old").write_bytes(noise(MIB, 1))
    repo = holdfast.init(small / "repo", password="password", pack_size=MIB, cache=False)
    first = repo.backup(data).snapshot
    assert first is not None
    for number in range(10):
        (data / f"new{number}").write_bytes(noise(MIB, 10 + number))
    filler = leave(small, free)

    with pytest.raises(holdfast.StorageFull, match="free some space"):
        repo.backup(data)

    assert temporary(small) == []
    assert [snapshot.id for snapshot in repo.snapshots()] == [first.id]
    expect(repo, first.id, data / "old", noise(MIB, 1))
    report = repo.check(read_data=True)  # whatever was stored is whole
    assert report.valid, report.findings
    assert list((small / "repo/sessions").iterdir()) == []

    filler.unlink()
    result = repo.backup(data)
    assert result.errors == ()
    assert result.snapshot is not None
    for number in range(10):
        expect(repo, result.snapshot.id, data / f"new{number}", noise(MIB, 10 + number))
    assert repo.check(read_data=True).valid
    repo.close()


@pytest.mark.fault(16)
def test_a_disk_that_is_full_for_the_commit_only(small: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "file").write_bytes(noise(MIB, 1))
    repo = holdfast.init(small / "repo", password="password", cache=False)
    repo.backup(data)
    filler = leave(small, 8192)  # room for the session, and hardly for more
    with pytest.raises(holdfast.StorageFull):
        repo.backup(data, description="x" * 100_000)
    assert len(repo.snapshots()) == 1
    filler.unlink()
    assert repo.backup(data).snapshot is not None
    assert repo.check(read_data=True).valid
    repo.close()


@pytest.mark.fault(1, 16)
def test_no_repository_is_made_on_a_full_disk(small: Path) -> None:
    filler = leave(small, 0)
    with pytest.raises(holdfast.StorageFull):
        holdfast.init(small / "repo", password="password", cache=False)
    with pytest.raises(holdfast.RepositoryNotFound):
        holdfast.open(small / "repo", password="password", cache=False)
    filler.unlink()
    holdfast.init(small / "repo", password="password", cache=False).close()


@pytest.mark.fault(17)
@pytest.mark.parametrize("free", [0, 8192])
def test_a_full_cache_only_makes_things_slower(
    small: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, free: int
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for number in range(500):
        (data / f"{number}").write_bytes(noise(100, number))
    holdfast.init(tmp_path / "repo", password="password", cache=False).close()
    leave(small, free)
    for _ in range(2):
        with holdfast.open(
            tmp_path / "repo", password="password", cache_dir=small / "cache"
        ) as repo:
            result = repo.backup(data)
            assert result.snapshot is not None
            assert result.errors == ()
            assert repo.check(read_data=True).valid
            expect(repo, "latest", data / "7", noise(100, 7))
    assert "cannot be written" in caplog.text
    assert [path for path in small.rglob("*") if path.is_file()] == [small / "filler"]


@pytest.mark.fault(48)
def test_a_restore_onto_a_full_disk_reports_what_does_not_fit(small: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for number in range(8):
        (data / f"{number}").write_bytes(noise(MIB, number))
    with holdfast.init(tmp_path / "repo", password="password", cache=False) as repo:
        repo.backup(data)
        filler = leave(small, 3 * MIB)
        result = repo.restore(f"latest:{data}", small / "copy")
        assert 4 <= result.errors_total <= 8
        assert all("No space left" in error.message for error in result.errors)
        failed = {Path(os.fsdecode(error.path)).name for error in result.errors}
        for number in range(8):
            if str(number) not in failed:
                assert (small / f"copy/{number}").read_bytes() == noise(MIB, number)
        filler.unlink()
        assert repo.restore(f"latest:{data}", small / "copy").errors_total == 0
    for number in range(8):
        assert (small / f"copy/{number}").read_bytes() == noise(MIB, number)
