from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.filesystem.newfile import NewFiles, is_plain, plain_file
from holdfast.filesystem.target import TemporaryNames, discard_all
from holdfast.model.node import Node
from holdfast.testing.blobs import MemoryBlobs
from holdfast.testing.trees import TIME, Entry, directory, fifo, file, node_of, symlink

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    opened = os.open(tmp_path, os.O_RDONLY)
    yield opened
    os.close(opened)


def node(entry: Entry, name: bytes = b"name") -> Node:
    return node_of(name, entry, MemoryBlobs())


def listed(path: Path) -> list[str]:
    return sorted(below.name for below in path.iterdir())


@pytest.mark.parametrize("entry", [file(), file(b"one blob"), file(b"x", mode=0o1777, mtime=0)])
def test_plain_files(entry: Entry) -> None:
    assert is_plain(node(entry), 100)


@pytest.mark.parametrize(
    "entry",
    [
        file(b"x" * 100),
        file(b"x" * 2000),
        file(10),
        file(b"x", mode=0o4755),
        file(b"x", mode=0o2755),
        file(b"x", mtime=-1),
        file(b"x", mtime=2**31 * 10**9),
        file(b"x").but(xattrs=((b"user.a", b"1"),)),
        file(b"x").but(group=7),
        directory(),
        symlink(b"x"),
        fifo(),
    ],
)
def test_everything_else_is_not(entry: Entry) -> None:
    assert not is_plain(node(entry), 100)


def test_a_file_gets_content_mode_and_time(fd: int, tmp_path: Path) -> None:
    files = NewFiles(fd, TemporaryNames())
    for number, mode in enumerate((0o644, 0o400, 0o777)):
        made = node(file(b"content", mode=mode, mtime=TIME + number), b"%d" % number)
        assert files.write(plain_file(made), memoryview(b"content"))
        status = (tmp_path / str(number)).stat()
        assert (status.st_mode & 0o7777, status.st_mtime_ns) == (mode, TIME + number)
        assert (status.st_uid, status.st_gid) == (made.uid, made.gid)
        assert (tmp_path / str(number)).read_bytes() == b"content"
    assert listed(tmp_path) == ["0", "1", "2"]


@needs_root
def test_each_file_gets_its_owner(fd: int, tmp_path: Path) -> None:
    files = NewFiles(fd, TemporaryNames())
    os.chown(tmp_path, 0, 54)
    tmp_path.chmod(0o2700)  # new files get the directory's group
    for owner in ((0, 0), (0, 54), (1000, 1001), (0, 0), (1000, 54)):
        name = b"%d-%d" % owner
        made = node(file(b"x"), name)._replace(uid=owner[0], gid=owner[1])
        assert files.write(plain_file(made), b"x")
        status = (tmp_path / os.fsdecode(name)).stat()
        assert (status.st_uid, status.st_gid) == owner


def test_what_cannot_be_written_leaves_nothing(fd: int, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    files = NewFiles(fd, TemporaryNames())
    plain = plain_file(node(file(b"12345")))
    assert not files.write(plain, b"1234")
    assert not files.write((b"taken", *plain[1:]), b"12345")
    assert not files.write((b"n" * 256, *plain[1:]), b"12345")
    if os.geteuid() == 0:
        name, mode, _, gid, mtime, size = plain
        assert not files.write((name, mode, (1 << 32) - 1, gid, mtime, size), b"12345")
    assert listed(tmp_path) == ["taken"]
    (tmp_path / "taken").rmdir()
    tmp_path.rmdir()
    assert not files.write(plain, b"12345")
    tmp_path.mkdir()


def test_what_a_dead_helper_left_is_discarded(fd: int, tmp_path: Path) -> None:
    dead, other = TemporaryNames(), TemporaryNames()
    again = TemporaryNames(dead.prefix)
    for name in (next(dead), next(dead), next(other), b"file"):
        (tmp_path / os.fsdecode(name)).touch()
    discard_all(fd, again)
    assert listed(tmp_path) == sorted([os.fsdecode(other.prefix) + "0", "file"])
