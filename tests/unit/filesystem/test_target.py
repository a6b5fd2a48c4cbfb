from __future__ import annotations

import errno
import os
import stat
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.errors import UsageError
from holdfast.filesystem import DirectoryStack
from holdfast.filesystem import target as subject


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def listed(path: str | Path) -> list[str]:
    return sorted(below.name for below in Path(path).iterdir())


def test_an_error_says_what_the_system_said() -> None:
    error = subject.TargetError("create", OSError(errno.ENOSPC, "whatever"))
    assert (error.operation, error.errno) == ("create", errno.ENOSPC)
    assert error.message == os.strerror(errno.ENOSPC)
    assert str(error) == f"create: {error.message}"


def test_an_error_of_our_own() -> None:
    error = subject.TargetError("owner", OverflowError("too much"))
    assert (error.errno, error.message) == (0, "too much")


def test_temporary_names_are_known_again_and_never_repeat() -> None:
    names, others = subject.TemporaryNames(), subject.TemporaryNames()
    drawn = [next(names) for _ in range(1000)] + [next(others) for _ in range(1000)]
    assert len(set(drawn)) == 2000
    assert all(subject.is_temporary(name) and subject.is_safe(name) for name in drawn)


@pytest.mark.parametrize(
    "name",
    [
        b".holdfast",
        b".holdfast-",
        b"x.holdfast-0123456789abcdef-1",
        b".holdfast-0123456789abcdef-x",
    ],
)
def test_other_names_are_not_temporary(name: bytes) -> None:
    assert not subject.is_temporary(name)


@pytest.mark.parametrize("name", [b"", b".", b"..", b"/", b"a/b", b"/a", b"a\0", b"\0"])
def test_unsafe_names(name: bytes) -> None:
    assert not subject.is_safe(name)


@pytest.mark.parametrize(
    "name", [b"a", b"...", b"..a", b" ", b"\n", b"\xff", b"a\\b", b"C:x", b"-"]
)
def test_safe_names(name: bytes) -> None:
    assert subject.is_safe(name)


def test_folding_names() -> None:
    assert subject.fold(b"Stra\xc3\x9fe") == subject.fold(b"STRASSE")
    composed = "\u00e9".encode()
    assert subject.fold(composed) == subject.fold(unicodedata.normalize("NFD", "\u00c9").encode())
    assert subject.fold(b"a") != subject.fold(b"b")
    assert subject.fold(b"\xff") != subject.fold(b"\xfe")


def test_whether_a_directory_folds_names_is_found_out(fd: int, tmp_path: Path) -> None:
    (tmp_path / "probe").touch()
    assert subject.folds_names(fd) == (tmp_path / "PROBE").exists()
    assert listed(tmp_path) == ["probe"]


def test_a_missing_target(tmp_path: Path) -> None:
    assert subject.open_target(tmp_path / "a/b", create=False) is None
    opened = subject.open_target(tmp_path / "a/b", create=True)
    assert opened is not None
    assert stat.S_IMODE(os.fstat(opened).st_mode) == 0o700
    os.close(opened)


@pytest.mark.parametrize("create", [False, True])
def test_an_impossible_target(tmp_path: Path, create: bool) -> None:
    (tmp_path / "f").touch()
    for path in (tmp_path / "f", tmp_path / "f/below", os.fsencode(tmp_path / "nul\0")):
        with pytest.raises(UsageError, match="target"):
            subject.open_target(path, create=create)


def test_a_directory_is_made_once(fd: int, tmp_path: Path) -> None:
    assert subject.make_directory(fd, b"d")
    assert stat.S_IMODE((tmp_path / "d").stat().st_mode) == 0o700
    assert not subject.make_directory(fd, b"d")
    (tmp_path / "l").symlink_to("elsewhere")
    assert not subject.make_directory(fd, b"l")
    with pytest.raises(subject.TargetError, match="create"):
        subject.make_directory(fd, b"n" * 300)


def test_links_and_files_are_not_entered(fd: int, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "l").symlink_to("d")
    (tmp_path / "f").touch()
    with DirectoryStack(os.dup(fd)) as stack:
        for name in (b"l", b"f", b"none"):
            assert subject.enter_directory(stack, name) is None
            assert stack.depth == 0
        assert subject.enter_directory(stack, b"d") is not None
        assert stack.depth == 1


@pytest.mark.parametrize("mode", [0o000, 0o500, 0o300, 0o055])
def test_entering_lets_the_owner_in_and_it_can_be_taken_back(
    fd: int, tmp_path: Path, mode: int
) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d").chmod(mode)
    with DirectoryStack(os.dup(fd)) as stack:
        status = subject.enter_directory(stack, b"d")
        assert status is not None
        assert stat.S_IMODE(status.st_mode) == mode
        assert stat.S_IMODE((tmp_path / "d").stat().st_mode) == mode | 0o700
        subject.restore_mode(stack.fd, status)
        assert stat.S_IMODE((tmp_path / "d").stat().st_mode) == mode
        subject.leave_directory(stack)
        assert subject.enter_directory(stack, b"d", unlock=os.geteuid() != 0) is not None


def test_a_file_is_created_only_where_nothing_is(fd: int, tmp_path: Path) -> None:
    os.close(subject.create_file(fd, b"f"))
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o600
    (tmp_path / "l").symlink_to("elsewhere")
    for name in (b"f", b"l"):
        with pytest.raises(subject.TargetError, match="create"):
            subject.create_file(fd, name)
    assert listed(tmp_path) == ["f", "l"]


@pytest.mark.parametrize("write", [False, True])
def test_only_plain_files_without_other_names_are_opened(
    fd: int, tmp_path: Path, write: bool
) -> None:
    (tmp_path / "f").touch()
    (tmp_path / "linked").touch()
    os.link(tmp_path / "linked", tmp_path / "too")
    (tmp_path / "l").symlink_to("f")
    (tmp_path / "d").mkdir()
    os.mkfifo(tmp_path / "p")
    for name in (b"linked", b"too", b"l", b"d", b"p", b"none"):
        assert subject.open_file(fd, name, write=write) is None
    opened = subject.open_file(fd, b"f", write=write)
    assert opened is not None
    os.close(opened)


def test_moving_replaces_files_but_not_directories(fd: int, tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes(b"new")
    (tmp_path / "old").write_bytes(b"old")
    (tmp_path / "d").mkdir()
    subject.move_into_place(fd, b"new", b"old")
    assert (tmp_path / "old").read_bytes() == b"new"
    with pytest.raises(subject.TargetError, match="create"):
        subject.move_into_place(fd, b"old", b"d")


def test_removing(fd: int, tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    (tmp_path / "d/full").mkdir(parents=True)
    subject.remove_file(fd, b"f")
    subject.remove_file(fd, b"f")
    assert not subject.remove_directory(fd, b"d")
    (tmp_path / "d/full").rmdir()
    assert subject.remove_directory(fd, b"d")
    assert subject.remove_directory(fd, b"d")
    (tmp_path / "f").touch()
    with pytest.raises(subject.TargetError, match="delete"):
        subject.remove_directory(fd, b"f")
    subject.discard(fd, b"f")
    subject.discard(fd, b"f")
    assert listed(tmp_path) == []


def test_status_and_names(fd: int, tmp_path: Path) -> None:
    (tmp_path / "l").symlink_to("nowhere")
    status = subject.status_of(fd, b"l")
    assert status is not None
    assert stat.S_ISLNK(status.st_mode)
    assert subject.status_of(fd, b"none") is None
    with pytest.raises(subject.TargetError, match="examine"):
        subject.status_of(fd, b"n" * 300)
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")).touch()
    assert sorted(subject.names_in(fd)) == [b"l", b"\xff"]
