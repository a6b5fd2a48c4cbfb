from __future__ import annotations

import errno
import grp
import os
import pwd
import socket
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.errors import OutOfResources
from holdfast.filesystem import LIST, Owners, node_from_stat, node_type, read_xattrs, xattr_path
from holdfast.model.node import Node, NodeType
from holdfast.primitives.ids import BlobId

BLOB = BlobId(b"b" * 32)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, LIST)
    yield descriptor
    os.close(descriptor)


def set_xattr(path: Path, name: str, value: bytes) -> None:
    if not hasattr(os, "setxattr"):
        pytest.skip("the system has no extended attributes")
    try:
        os.setxattr(path, name, value, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.EPERM):
            pytest.skip(f"{name} cannot be set here")
        raise


def access_list() -> bytes:
    entries = [(0x01, 6, -1), (0x02, 4, 1234), (0x04, 4, -1), (0x10, 4, -1), (0x20, 0, -1)]
    packed = (struct.pack("<HHi", *entry) for entry in entries)
    return struct.pack("<I", 2) + b"".join(packed)


def test_node_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"hello")
    path.chmod(0o4751)
    os.utime(path, ns=(0, -1_000_000_001))
    status = path.lstat()
    node = node_from_stat(b"file", status, Owners(), BLOB, ((b"user.a", b"1"),), 3)
    assert node == Node(
        name=b"file",
        type=NodeType.FILE,
        mode=0o4751,
        uid=os.geteuid(),
        gid=status.st_gid,
        user=pwd.getpwuid(os.geteuid()).pw_name,
        group=grp.getgrgid(status.st_gid).gr_name,
        mtime=-1_000_000_001,
        ctime=status.st_ctime_ns,
        inode=status.st_ino,
        size=5,
        payload=BLOB,
        filesystem=3,
        xattrs=((b"user.a", b"1"),),
        extra=None,
    )


def test_nodes_without_content(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("somewhere")
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(bytes(tmp_path / "socket"))
    owners = Owners()
    found = {
        name: node_from_stat(name, os.lstat(bytes(tmp_path) + b"/" + name), owners, payload)
        for name, payload in [(b"link", b"somewhere"), (b"fifo", None), (b"socket", None)]
    }
    assert [(node.type, node.size, node.payload) for node in found.values()] == [
        (NodeType.SYMLINK, 9, b"somewhere"),
        (NodeType.FIFO, 0, None),
        (NodeType.SOCKET, 0, None),
    ]
    tree = node_from_stat(b"d", tmp_path.lstat(), owners, BLOB)
    assert (tree.type, tree.size, tree.payload) == (NodeType.DIRECTORY, 0, BLOB)


def test_node_of_a_device() -> None:
    status = os.lstat("/dev/null")
    node = node_from_stat(b"null", status, Owners())
    assert (node.type, node.size, node.payload) == (NodeType.CHARACTER_DEVICE, 0, status.st_rdev)
    fields = list(status)
    fields[0] = stat.S_IFBLK | 0o600
    block = node_from_stat(b"sda", os.stat_result(fields, {"st_rdev": 2049}), Owners())
    assert (block.type, block.payload) == (NodeType.BLOCK_DEVICE, 2049)
    assert node_type(status) is NodeType.CHARACTER_DEVICE


def test_owners_without_a_name() -> None:
    owners = Owners()
    assert owners.user(3_999_999_999) is None
    assert owners.group(3_999_999_999) is None
    assert owners.user(0) == pwd.getpwuid(0).pw_name
    assert owners.group(0) == grp.getgrgid(0).gr_name


def test_no_xattrs(tmp_path: Path, directory: int) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    os.mkfifo(tmp_path / "fifo")
    for name in (b"file", b"link", b"fifo", b"."):
        assert read_xattrs(xattr_path(directory, name)) == ((), [])
    assert read_xattrs(directory) == ((), [])


def test_xattrs_are_sorted_bytes(tmp_path: Path, directory: int) -> None:
    path = tmp_path / "file"
    path.touch()
    for name, value in [("user.z", b""), ("user.\udcff", b"\0\1"), ("user.a", b"x" * 1000)]:
        set_xattr(path, name, value)
    expected = ((b"user.a", b"x" * 1000), (b"user.z", b""), (b"user.\xff", b"\0\1"))
    assert read_xattrs(xattr_path(directory, b"file")) == (expected, [])
    with path.open("rb") as file:
        assert read_xattrs(file.fileno()) == (expected, [])


@pytest.mark.fault(46)
def test_large_xattrs(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    for size in (65536, 3000):
        try:
            set_xattr(path, "user.large", b"v" * size)
        except OSError:  # more than this file system takes
            continue
        break
    with path.open("rb") as file:
        ((name, value),), problems = read_xattrs(file.fileno())
    assert (name, value, problems) == (b"user.large", b"v" * size, [])


def test_access_lists_are_xattrs(tmp_path: Path, directory: int) -> None:
    set_xattr(tmp_path, "system.posix_acl_default", access_list())
    (tmp_path / "file").touch()
    names = {name for name, _ in read_xattrs(directory)[0]}
    assert names == {b"system.posix_acl_default"}
    ((name, value),), problems = read_xattrs(xattr_path(directory, b"file"))
    assert (name, problems) == (b"system.posix_acl_access", [])
    assert struct.pack("<i", 1234) in value


def test_xattrs_of_a_link_are_its_own(tmp_path: Path, directory: int) -> None:
    (tmp_path / "file").touch()
    set_xattr(tmp_path / "file", "user.of_file", b"1")
    (tmp_path / "link").symlink_to("file")
    assert read_xattrs(xattr_path(directory, b"link")) == ((), [])
    set_xattr(tmp_path / "link", "trusted.of_link", b"2")
    assert read_xattrs(xattr_path(directory, b"link")) == (((b"trusted.of_link", b"2"),), [])


def test_failures_are_data(directory: int) -> None:
    if not hasattr(os, "listxattr"):
        pytest.skip("the system has no extended attributes")
    xattrs, (problem,) = read_xattrs(xattr_path(directory, b"absent"))
    assert xattrs == ()
    assert problem.errno == errno.ENOENT
    closed = os.dup(directory)
    os.close(closed)
    assert [error.errno for error in read_xattrs(closed)[1]] == [errno.EBADF]


@pytest.mark.fault(46)
def test_one_bad_attribute_does_not_hide_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.touch()
    for letter in "abcd":
        set_xattr(path, f"user.{letter}", letter.encode())
    answers = {"user.b": errno.EIO, "user.c": errno.ENODATA}
    real = os.getxattr

    def failing(entry: int, name: str, *, follow_symlinks: bool) -> bytes:
        if name in answers:
            raise OSError(answers[name], os.strerror(answers[name]))
        return real(entry, name, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(os, "getxattr", failing)
    with path.open("rb") as file:
        xattrs, (problem,) = read_xattrs(file.fileno())
    assert xattrs == ((b"user.a", b"a"), (b"user.d", b"d"))
    assert (problem.errno, problem.strerror) == (errno.EIO, f"user.b: {os.strerror(errno.EIO)}")


@pytest.mark.fault(6)
def test_names_that_cannot_be_looked_up_are_not_taken_for_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The C library says of both that there is no such user."""
    nobody = 987_654_321
    assert Owners().names(nobody, nobody) == (None, None)

    def short(*_: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "open", short)
    with pytest.raises(OutOfResources):
        Owners().names(nobody, nobody)
