"""Rows of the fault catalogue about the system that no other module tries in full.

Row 6 with real limits on memory and descriptors, row 16 for a prune on a disk without a byte to
spare, row 36 for a disk that fails in the middle of a file, row 45 for files that are none, rows 35
and 46 for attributes, row 48 for a file that may only grow, row 49 for a source that is gone.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import holdfast
from holdfast.backend import LocalBackend
from holdfast.clock import SYSTEM_CLOCK
from holdfast.engine.repository import Repository
from holdfast.platform.workspace import Workspace
from holdfast.testing.content import noise
from holdfast.testing.repositories import PASSWORD, new_store

MIB = 1 << 20
IS_ROOT = os.geteuid() == 0
SHARED = Path("/dev/shm")

needs_root = pytest.mark.skipif(not IS_ROOT, reason="only root may do this")


@pytest.fixture
def repo(tmp_path: Path) -> Iterator[Repository]:
    """An empty one, in the folder ``repo``."""
    repository = Repository(new_store(LocalBackend(tmp_path / "repo")), SYSTEM_CLOCK)
    yield repository
    repository.close()


@contextmanager
def file_system(place: Path, size: int) -> Iterator[Path]:
    """Have a file system of its own, in memory, at a place."""
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "holdfast-test", str(place)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=False)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "holdfast", "--json", *arguments]


def environment(place: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path(holdfast.__file__).parents[1]),
        "HOME": str(place),
        "HOLDFAST_PASSWORD": PASSWORD,
        "HOLDFAST_REPOSITORY": str(place / "repo"),
    }


# Limits on memory and descriptors


def limited(kind: int, amount: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(kind, (amount, amount))


@pytest.mark.fault(6)
@pytest.mark.parametrize(
    ("kind", "amounts"),
    [
        pytest.param(resource.RLIMIT_AS, [60, 90, 120, 800], id="memory"),
        pytest.param(resource.RLIMIT_NOFILE, [4, 9, 13, 64], id="descriptors"),
    ],
)
def test_a_backup_with_too_little_is_whole_or_fails(
    repo: Repository, tmp_path: Path, kind: int, amounts: list[int]
) -> None:
    """In MiB of memory, and in descriptors: from what hardly starts to what is enough."""
    source = tmp_path / "source"
    (source / "a/b/c/d").mkdir(parents=True)
    for number in range(4):
        (source / f"a/b/c/d/{number}").write_bytes(noise(2 * MIB, number))
    outcomes: list[int] = []
    for amount in amounts:
        done = subprocess.run(
            command("create", "--force", str(source)),
            env=environment(tmp_path),
            capture_output=True,
            check=False,
            timeout=120,
            preexec_fn=limited(kind, amount * (MIB if kind == resource.RLIMIT_AS else 1)),
        )
        snapshots = repo.snapshots()
        made = len(snapshots) - sum(outcomes)
        assert made in {0, 1}
        if done.returncode == 0:
            assert made == 1
            for number in range(4):
                with repo.open_file("latest", source / f"a/b/c/d/{number}") as file:
                    assert file.read() == noise(2 * MIB, number)
        assert done.returncode != 3, "what we are short of is no file that cannot be read"
        outcomes.append(made)
        report = repo.check(read_data=True)
        assert report.valid, report.findings
    assert outcomes[-1] == 1
    assert outcomes[0] == 0


# A disk without a byte to spare


@needs_root
@pytest.mark.fault(16)
def test_a_prune_on_a_disk_that_is_full_gives_back_room(tmp_path: Path) -> None:
    """What nobody needs takes up the whole disk: it goes without a byte to spare at the start."""
    source = tmp_path / "source"
    source.mkdir()
    with file_system(tmp_path / "small", 24 * MIB) as small:
        repo = Repository(new_store(LocalBackend(small / "repo")), SYSTEM_CLOCK)
        for number in range(4):
            (source / "file").write_bytes(noise(2 * MIB, number))
            repo.backup(source)
        *others, newest = (each.id for each in repo.snapshots())
        repo.forget(others)
        filler = small / "filler"
        with filler.open("wb") as file:
            room = os.statvfs(small)
            os.posix_fallocate(file.fileno(), 0, room.f_bavail * room.f_frsize)
        with suppress(holdfast.StorageFull):
            repo.prune(max_unused="0", force=True)
        assert [each.id for each in repo.snapshots()] == [newest]
        with repo.open_file(newest, source / "file") as stored:
            assert stored.read() == noise(2 * MIB, 3)
        assert repo.check(read_data=True).valid
        filler.unlink()
        with filler.open("wb") as file:  # all but a little
            room = os.statvfs(small)
            os.posix_fallocate(file.fileno(), 0, room.f_bavail * room.f_frsize - (64 << 10))
        freed = repo.prune(max_unused="0", force=True).bytes_freed
        assert freed > 5 * MIB
        assert repo.check(read_data=True).valid
        (source / "file").write_bytes(noise(2 * MIB, 9))
        assert repo.backup(source).snapshot is not None
        repo.close()


# A folder for temporary files that is full


@needs_root
@pytest.mark.fault(17)
def test_work_for_which_temporary_files_have_no_room(repo: Repository, tmp_path: Path) -> None:
    """Whoever needs none does not notice; the others say so, and leave nothing there."""
    source = tmp_path / "source"
    source.mkdir()
    for number in range(4):
        (source / str(number)).write_bytes(noise(MIB // 4, number))
    with file_system(tmp_path / "small", MIB // 2) as small:
        variables = environment(tmp_path) | {
            "TMPDIR": str(small),
            "HOLDFAST_STATE_DIR": str(tmp_path / "state"),
        }

        def run(*arguments: str) -> subprocess.CompletedProcess[str]:
            done = subprocess.run(
                command(*arguments), env=variables, capture_output=True, text=True, check=False
            )
            assert "Traceback" not in done.stderr
            assert list(small.iterdir()) == []
            return done

        assert run("create", "--force", str(source)).returncode == 0
        copy = tmp_path / "copy"
        assert run("restore", "-s", f"latest:{source}", "-t", str(copy)).returncode == 0
        assert (copy / "3").read_bytes() == noise(MIB // 4, 3)
        drilled = run("drill")
        assert drilled.returncode == 1, drilled.stderr
        assert "No space left on device" in drilled.stdout
        with (
            pytest.raises(holdfast.RestoreIncomplete, match="No space left"),
            repo.restored(f"latest:{source}", directory=small),
        ):
            pass
        with (
            Workspace(tmp_path / "state") as workspace,
            holdfast.BackupValidator(
                tmp_path / "repo", password=PASSWORD, workspace=workspace, cache=False
            ) as validator,
        ):
            with pytest.raises(holdfast.UsageError, match="restoring on trial takes"):
                validator.test_restore("latest", scratch=small)
            tried = validator.test_restore(f"latest:{source}", scratch=small)
        assert tried["valid"] is False
        assert "No space left" in str(tried["errors"])
        assert list(small.iterdir()) == []
    assert repo.check(read_data=True).valid


# A disk that fails in the middle of a file


@pytest.mark.fault(36)
@pytest.mark.parametrize("block", [1, 2])
def test_a_disk_that_fails_at_a_block_costs_that_file_only(
    repo: Repository, tmp_path: Path, block: int
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    content = bytes(12 * MIB) + b"the end"
    (source / "bad").write_bytes(content)
    (source / "good").write_bytes(noise(3 * MIB, 2))
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("needs strace to make system calls fail")
    reads = "read,pread64,preadv,preadv2,readv"
    done = subprocess.run(
        [
            *(strace, "-f", "-o", os.devnull, "-P", str(source / "bad"), "-e", f"trace={reads}"),
            *("-e", f"inject={reads}:error=EIO:when={block}"),
            *command("create", str(source)),
        ],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if "ptrace" in done.stderr:
        pytest.skip("strace may not trace here")
    assert done.returncode == 3, done.stderr
    (error,) = json.loads(done.stdout)["errors"]
    assert (error["path"], error["operation"]) == (str(source / "bad"), "read")
    assert error["errno"] == errno.EIO
    (snapshot,) = repo.snapshots()
    assert snapshot.problem_count == 1
    assert [entry.path for entry in repo.listdir(snapshot.id, source)] == [str(source / "good")]
    with repo.open_file(snapshot.id, source / "good") as file:
        assert file.read() == noise(3 * MIB, 2)
    assert repo.backup(source).files_new == 1  # it is read anew, and whole
    with repo.open_file("latest", source / "bad") as file:
        assert file.read() == content


# Files that are none


@pytest.mark.fault(36, 45)
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc")
def test_proc_is_backed_up_as_far_as_it_can_be_read(repo: Repository) -> None:
    """Files that give errors when read, of no size, that vanish, and links to anywhere."""
    result = repo.backup([f"/proc/{os.getpid()}", "/proc/sys/kernel"])
    assert result.snapshot is not None
    told = {error.path: error.message for error in result.errors}
    assert all(path.startswith("/proc/") for path in told)
    assert f"/proc/{os.getpid()}/pagemap" in told, "which has no end to speak of"
    assert repo.read_bytes("latest:/proc/sys/kernel/ostype") == b"Linux\n", "of size 0, it says"
    assert repo.check(read_data=True).valid


@pytest.mark.fault(45)
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc")
def test_what_says_that_it_is_empty_is_read_for_several_repositories(
    repo: Repository, tmp_path: Path
) -> None:
    """Each with cuts of its own, and beside a file that really is empty."""
    (tmp_path / "empty").touch()
    with holdfast.init(tmp_path / "other", password=PASSWORD, cache=False) as other:
        done = holdfast.backup_to([repo, other], ["/proc/sys/kernel/ostype", tmp_path / "empty"])
        assert [each.error for each in done.backups] == [None, None]
        for each in (repo, other):
            assert each.read_bytes("latest:/proc/sys/kernel/ostype") == b"Linux\n"
            assert each.read_bytes(f"latest:{tmp_path / 'empty'}") == b""
            assert not each.snapshot("latest").problems


# Attributes


@needs_root
@pytest.mark.fault(35, 46)
def test_attributes_of_security_modules_come_back(repo: Repository, tmp_path: Path) -> None:
    path = tmp_path / "source"
    path.write_bytes(b"content")
    label = b"system_u:object_r:etc_t:s0\0"
    try:
        os.setxattr(path, "security.selinux", label)
    except OSError as error:
        pytest.skip(f"no such attributes here: {error.strerror}")
    repo.backup(path)
    assert repo.restore(f"latest:{path}", tmp_path / "copy").errors == ()
    assert os.getxattr(tmp_path / "copy/source", "security.selinux") == label


@pytest.mark.fault(46)
def test_an_attribute_that_the_file_system_has_no_room_for(
    repo: Repository, tmp_path: Path
) -> None:
    """ext4 has room for 4 KiB, and says ENOSPC: that is no full disk, and the rest is restored."""
    if not os.access(SHARED, os.W_OK):
        pytest.skip("there is no file system in memory")
    path = SHARED / f"holdfast-attributes-{os.getpid()}"
    path.write_bytes(b"content")
    try:
        os.setxattr(path, "user.large", noise(1 << 16, 1))
        os.setxattr(path, "user.small", b"small")
        repo.backup(path)
    except OSError as error:
        pytest.skip(f"no such attributes here: {error.strerror}")
    finally:
        path.unlink()
    probe = tmp_path / "probe"
    probe.touch()
    try:
        os.setxattr(probe, "user.large", noise(1 << 16, 1))
    except OSError as error:
        number = error.errno
    else:
        pytest.skip("this file system has room for it")
    result = repo.restore(f"latest:{path}", tmp_path / "copy")
    (error_,) = result.errors
    assert error_.operation == "xattr"
    assert number is not None
    assert os.strerror(number) in error_.message
    assert (tmp_path / "copy" / path.name).read_bytes() == b"content"
    assert os.getxattr(tmp_path / "copy" / path.name, "user.small") == b"small"


# A file that may only grow


@needs_root
@pytest.mark.fault(48)
def test_a_file_that_may_only_grow_is_reported_and_the_rest_restored(
    repo: Repository, tmp_path: Path
) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    for name in ("log", "other"):
        (source / name).write_bytes(b"as it was")
    repo.backup(source)
    repo.restore(f"latest:{source}", target)
    for name in ("log", "other"):
        (target / name).write_bytes(b"something else")
    if subprocess.run(
        ["chattr", "+a", target / "log"], check=False, capture_output=True
    ).returncode:
        pytest.skip("no such flag here")
    try:
        result = repo.restore(f"latest:{source}", target)
    finally:
        subprocess.run(["chattr", "-a", target / "log"], check=True)
    assert [error.path for error in result.errors] == [str(source / "log")]
    assert (target / "log").read_bytes() == b"something else"
    assert (target / "other").read_bytes() == b"as it was"


# A source that is gone


@needs_root
@pytest.mark.fault(49)
def test_a_source_that_is_not_mounted_any_more_costs_no_earlier_snapshot(
    repo: Repository, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its empty mount point is a source like others; a path that is not there any more is none."""
    with file_system(tmp_path / "disk", MIB) as disk:
        (disk / "data").mkdir()
        (disk / "data/file").write_bytes(b"content")
        for number in range(8):
            (disk / f"{number}").write_bytes(b"content")
        first = repo.backup(disk).snapshot
        below = repo.backup(disk / "data").snapshot
        assert first is not None
        assert below is not None
    with pytest.raises(holdfast.HoldfastError, match="data"):
        repo.backup(disk / "data")
    assert caplog.messages == []
    empty = repo.backup(disk)
    assert empty.snapshot is not None
    assert empty.errors == ()
    assert caplog.messages == [f"{disk}: no file is left; its last snapshot has 9"]
    repo.backup(disk, dry_run=True)
    assert len(caplog.messages) == 1, "told once, of what was there before"
    assert (empty.files_new, empty.files_unmodified) == (0, 0)
    assert len(repo.snapshots()) == 3
    assert ("empty", empty.snapshot.id) in {
        (each.kind, each.snapshot.id) for each in repo.anomalies()
    }
    for snapshot in (first, below):
        with repo.open_file(snapshot.id, disk / "data/file") as file:
            assert file.read() == b"content"
