from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from holdfast.filesystem import LIST, PASS, DirectoryStack

NAME = b"n" * 200
REFUSED = f"({os.strerror(errno.ENOTDIR)}|{os.strerror(errno.ELOOP)})"


def open_descriptors() -> int:
    """How many there are: fewer, too, when a connection of an earlier test ends meanwhile."""
    return len(list(Path("/dev/fd").iterdir()))


@contextmanager
def stack_at(path: Path, limit: int = 64) -> Iterator[DirectoryStack]:
    with DirectoryStack(os.open(path, LIST), limit) as stack:
        yield stack


def enter_new(stack: DirectoryStack, *names: bytes) -> None:
    for name in names:
        os.mkdir(name, dir_fd=stack.fd)
        stack.enter(name)


def identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def test_goes_down_and_up_again(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    with stack_at(tmp_path) as stack:
        status = stack.enter(b"a")
        assert status.st_ino == (tmp_path / "a").stat().st_ino
        stack.enter(b"b")
        assert stack.depth == 2
        assert identity(stack.fd)[1] == (tmp_path / "a" / "b").stat().st_ino
        stack.leave()
        stack.leave()
        assert stack.depth == 0
        assert identity(stack.fd)[1] == tmp_path.stat().st_ino


@contextmanager
def unprivileged(path: Path, mode: int) -> Iterator[None]:
    """The path has these permissions inside, and they bind, for root as well."""
    path.chmod(mode)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        path.chmod(0o755)


@pytest.fixture
def deep_path(tmp_path: Path) -> Iterator[Path]:
    """A directory that is removed again by means that have no trouble with depth."""
    path = tmp_path / "deep"
    path.mkdir()
    yield path
    subprocess.run(["/bin/rm", "-rf", path], check=True)


def test_deeper_and_longer_than_any_path_with_few_descriptors(deep_path: Path) -> None:
    before = open_descriptors()
    with stack_at(deep_path) as stack:
        seen = [identity(stack.fd)]
        for _ in range(3100):
            enter_new(stack, NAME)
            seen.append(identity(stack.fd))
        assert open_descriptors() - before <= 64
        while stack.depth:
            assert identity(stack.fd) == seen.pop()
            stack.leave()
            os.rmdir(NAME, dir_fd=stack.fd)
            assert open_descriptors() - before <= 65
    assert not any(deep_path.iterdir())
    assert open_descriptors() <= before


@pytest.mark.parametrize("limit", [2, 3, 7])
def test_turning_round_half_way(tmp_path: Path, limit: int) -> None:
    with stack_at(tmp_path, limit) as stack:
        enter_new(stack, *[b"%d" % level for level in range(20)])
        for _ in range(15):
            stack.leave()
        enter_new(stack, *[b"other%d" % level for level in range(20)])
        while stack.depth:
            stack.leave()
        assert identity(stack.fd)[1] == tmp_path.stat().st_ino
    assert len(list((tmp_path / "0/1/2/3/4").rglob("other*"))) == 20


def test_refuses_symlinks_and_files(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "file").touch()
    with stack_at(tmp_path) as stack:
        for name in (b"link", b"file"):
            with pytest.raises(OSError, match=f"{REFUSED}.*{name.decode()}"):
                stack.enter(name)
            assert stack.depth == 0
        stack.enter(b"link", PASS)
        assert identity(stack.fd)[1] == (tmp_path / "real").stat().st_ino


def test_a_failed_entry_leaves_no_descriptor(tmp_path: Path) -> None:
    before = open_descriptors()
    with stack_at(tmp_path) as stack, pytest.raises(FileNotFoundError):
        stack.enter(b"absent")
    assert open_descriptors() <= before


def test_the_root_is_a_directory_and_cannot_be_left(tmp_path: Path) -> None:
    with stack_at(tmp_path) as stack, pytest.raises(ValueError, match="root"):
        stack.leave()
    file = tmp_path / "file"
    file.touch()
    before = open_descriptors()
    with pytest.raises(NotADirectoryError):
        DirectoryStack(os.open(file, os.O_RDONLY))
    assert open_descriptors() <= before


def test_finds_the_way_back_when_a_child_was_moved_away(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    with stack_at(tmp_path, limit=2) as stack:
        enter_new(stack, b"a", b"b", b"c")
        (tmp_path / "a/b/c").rename(tmp_path / "elsewhere/c")
        stack.leave()
        assert identity(stack.fd)[1] == (tmp_path / "a/b").stat().st_ino


def test_stale_when_the_parent_is_lost_and_well_again_above(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    before = open_descriptors()
    with stack_at(tmp_path, limit=2) as stack:
        enter_new(stack, b"a", b"b", b"c")
        (tmp_path / "a/b/c").rename(tmp_path / "elsewhere/c")
        (tmp_path / "a/b").rename(tmp_path / "elsewhere/b")
        (tmp_path / "a/b").mkdir()  # not the one that was entered
        with pytest.raises(OSError, match="b") as caught:
            stack.leave()
        assert caught.value.errno == errno.ESTALE
        assert stack.depth == 2
        with pytest.raises(OSError, match=os.strerror(errno.ESTALE)):
            _ = stack.fd
        stack.leave()
        assert identity(stack.fd)[1] == (tmp_path / "a").stat().st_ino
    assert open_descriptors() <= before


def test_the_way_back_follows_only_what_was_followed_before(tmp_path: Path) -> None:
    (tmp_path / "real/b/c/d").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    with stack_at(tmp_path, limit=2) as stack:
        stack.enter(b"link", PASS)
        for name in (b"b", b"c", b"d"):
            stack.enter(name)
        (tmp_path / "real/b/c/d").rename(tmp_path / "d")
        (tmp_path / "real/b/c").rename(tmp_path / "c")
        (tmp_path / "real/b/c").symlink_to("../../c")
        with pytest.raises(OSError, match="c") as caught:
            stack.leave()  # `..` of d is the wrong directory, and c is a symlink now
        assert caught.value.errno == errno.ESTALE
        stack.leave()  # the way from the root leads through the symlink that was followed
        assert identity(stack.fd)[1] == (tmp_path / "real/b").stat().st_ino


@pytest.mark.skipif(not hasattr(os, "O_PATH"), reason="the system has no O_PATH")
def test_passing_needs_no_permission_to_read(deep_path: Path) -> None:
    (deep_path / "dark" / "inner").mkdir(parents=True)
    with stack_at(deep_path) as stack, unprivileged(deep_path / "dark", 0o311):
        with pytest.raises(PermissionError):
            stack.enter(b"dark")
        stack.enter(b"dark", PASS)
        stack.enter(b"inner")
        assert stack.depth == 2
