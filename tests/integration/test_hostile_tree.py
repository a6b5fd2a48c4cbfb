"""Trees that are hard to back up come back as they were, in content and in metadata.

What comes back is compared by `compare.py`, which shares no code with holdfast. The trees are made
on every file system that there is to write to, because each has limits of its own.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import holdfast
from holdfast.testing.content import noise

COMPARE = Path(__file__).with_name("compare.py")
SHARED = Path("/dev/shm")
TERABYTE = 1 << 40
DEPTH = 3000
IS_ROOT = os.geteuid() == 0

needs_root = pytest.mark.skipif(not IS_ROOT, reason="takes root")
needs_user = pytest.mark.skipif(IS_ROOT, reason="nothing is unreadable for root")


def remove(path: Path) -> None:
    """Remove a tree of any depth, which `shutil.rmtree` and pytest cannot."""
    if not IS_ROOT:
        subprocess.run(["chmod", "-R", "u+rwx", path], check=True)
    subprocess.run(["rm", "-rf", path], check=True)


@pytest.fixture(params=["disk", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    if request.param == "disk":
        base = tmp_path / "work"
    elif os.access(SHARED, os.W_OK):
        base = SHARED / f"holdfast-{os.getpid()}-{tmp_path.name}"
    else:
        pytest.skip("there is no file system in memory")
    base.mkdir()
    yield base
    remove(base)


def round_trip(place: Path) -> holdfast.BackupResult:
    """Back up ``source`` and restore it as ``copy/source``."""
    with holdfast.init(place / "repo", password="x", cache=False) as repo:
        result = repo.backup(place / "source")
        restored = repo.restore(f"latest:{place}", place / "copy", devices=IS_ROOT)
        assert restored.errors == ()
        assert result.errors == ()
        verified = repo.verify_restore(f"latest:{place}", place / "copy")
        assert verified.errors == ()
    return result


def assert_same(place: Path) -> None:
    done = subprocess.run(
        [sys.executable, COMPARE, place / "source", place / "copy/source"],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode == 0, done.stdout


# The makers of what is in the tree


def at(root: Path, name: bytes) -> Path:
    return root / os.fsdecode(name)


def make_names(root: Path) -> None:
    names = [
        b"n" * 255,
        "ä".encode() * 127,
        b"\xff\xfe\x80 not text",
        b"new\nline",
        b"control\x01\x1b[31m\x7f",
        b"-rf",
        b"~",
        b"*?[x]",
        b"a\\b",
        b"C:",
        b"CON",
        b"trailing. ",
        b" ",
        b"...",
        "e\u0301".encode(),
        "\u00e9".encode(),
        b"UPPER",
        b"upper",
        b"quote\"'`$(x)",
        b"caf\xe9",
    ]
    for number, name in enumerate(names):
        at(root, name).write_bytes(noise(number, number))
    below = at(root, b"dir-" + b"\xff" * 250)
    below.mkdir()
    at(below, b"\xfe" * 255).write_bytes(b"inside")


def make_contents(root: Path) -> None:
    sizes = [1, 65_535, 65_536, 65_537, 524_288, 1 << 20, (2 << 20) + 1, 9_000_000]
    for size in sizes:
        for kind, data in (("noise", noise(size)), ("zero", bytes(size)), ("text", b"ab" * size)):
            (root / f"{kind}{size}").write_bytes(data[:size])
    (root / "empty").touch()
    (root / "empty directory").mkdir()


def make_links(root: Path) -> None:
    for name in ("one", "two", "two/three"):
        (root / name).mkdir()
    for name, size in (("one/a", 5000), ("one/empty", 0), ("two/large", 3_000_000)):
        (root / name).write_bytes(noise(size))
    for old, new in [
        ("one/a", "one/b"),
        ("one/a", "two/three/c"),
        ("one/a", "d"),
        ("one/empty", "two/empty"),
        ("two/large", "a large one"),
    ]:
        (root / new).hardlink_to(root / old)


def make_symlinks(root: Path) -> None:
    targets = [
        b"missing",
        b"/absolute/\xff\xfe",
        b".",
        b"..",
        b"../../../../../../../../etc/passwd",
        b"with\nline",
        b"x/" * 2047 + b"x",
    ]
    for target in targets:
        at(root, b"to " + target[:20].replace(b"/", b"|")).symlink_to(os.fsdecode(target))
    for name, other in (("loop", "loop"), ("forth", "back"), ("back", "forth")):
        (root / name).symlink_to(other)
    os.utime(root / "loop", ns=(0, 123_456_789), follow_symlinks=False)


def make_special(root: Path) -> None:
    os.mkfifo(root / "fifo", 0o640)
    here = os.open(".", os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as unix:
        os.chdir(root)  # a socket's path is short
        unix.bind("socket")
        os.fchdir(here)
    os.close(here)


def make_times(root: Path) -> None:
    times = [
        0,
        1,
        -1,
        -1_000_000_001,
        -(2**31) * 10**9,
        2**31 * 10**9 + 999_999_999,
        4_102_444_800_123_456_789,
        15_032_385_535 * 10**9,  # 2446, the last that ext4 keeps
        -(2**31 + 12345) * 10**9,
        2**36 * 10**9,
        253_402_300_800 * 10**9 + 7,  # year 10,000
    ]
    for number, time in enumerate(times):
        for path in _file_and_directory(root, f" {number}"):
            with suppress(OSError, OverflowError):  # no such time on this file system
                os.utime(path, ns=(time, time))


def _file_and_directory(root: Path, suffix: str) -> tuple[Path, Path]:
    file, directory = root / f"file{suffix}", root / f"directory{suffix}"
    file.write_bytes(b"content")
    directory.mkdir()
    return file, directory


def make_modes(root: Path) -> None:
    for mode in (0o4755, 0o2755, 0o1777, 0o7777, 0o6711, 0o4700, 0o400, 0o777, 0o600):
        for path in _file_and_directory(root, f"{mode:o}"):
            path.chmod(mode)
    closed = root / "read-only directory"
    closed.mkdir()
    (closed / "inside").write_bytes(b"content")
    closed.chmod(0o555)


def make_attributes(root: Path) -> None:
    for size in (0, 1, 1000, 3000, 16_000, 1 << 16):
        for path in _file_and_directory(root, f"{size}"):
            with suppress(OSError):  # more than this file system takes
                os.setxattr(path, b"user.name", noise(size))
    for path in _file_and_directory(root, " with many"):
        with suppress(OSError):  # as above
            for number in range(200):
                os.setxattr(path, f"user.\udcff{number}", f"{number}".encode())
    file, directory = _file_and_directory(root, " with a list")
    with suppress(OSError):  # no lists on this file system
        os.setxattr(file, "system.posix_acl_access", _acl(0o6))
        os.setxattr(directory, "system.posix_acl_access", _acl(0o6))
        os.setxattr(directory, "system.posix_acl_default", _acl(0o7))


def _acl(permissions: int) -> bytes:
    """An ACL that gives user 1234 something, as Linux keeps it (linux/posix_acl_xattr.h)."""
    nobody = 0xFFFFFFFF
    entries = [
        (0x01, 0o6, nobody),
        (0x02, permissions, 1234),
        (0x04, 0o4, nobody),
        (0x08, 0o2, 4321),
        (0x10, 0o7, nobody),
        (0x20, 0o4, nobody),
    ]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def make_owned(root: Path) -> None:
    for number, owner in enumerate(((0, 0), (1234, 4321), (65_534, 0), (2**31 + 5, 2**32 - 2))):
        file, directory = _file_and_directory(root, f"{number}")
        fifo, link = root / f"fifo{number}", root / f"link{number}"
        os.mkfifo(fifo)
        link.symlink_to("target")
        for path in (file, directory, fifo, link):
            os.chown(path, *owner, follow_symlinks=False)
        file.chmod(0o6755)
    capable = root / "capable"
    capable.write_bytes(b"content")
    # cap_net_bind_service, permitted and effective: linux/capability.h, revision 2
    with suppress(OSError):  # no such attributes on this file system
        os.setxattr(capable, "trusted.secret", b"for root")
        os.setxattr(capable, "security.capability", struct.pack("<5I", 0x02000001, 1024, 0, 0, 0))


def make_devices(root: Path) -> None:
    for name, kind, number in (
        ("null", stat.S_IFCHR, os.makedev(1, 3)),
        ("loop", stat.S_IFBLK, os.makedev(7, 0)),
        ("large", stat.S_IFCHR, os.makedev(4000, 1_000_000)),
    ):
        os.mknod(root / name, kind | 0o620, number)


def make_unreadable(root: Path) -> None:
    closed = root / "closed directory"
    closed.mkdir()
    (closed / "inside").write_bytes(b"content")
    closed.chmod(0)
    (root / "closed file").write_bytes(b"content")
    (root / "closed file").chmod(0)


MAKERS: dict[str, Callable[[Path], None]] = {
    "names": make_names,
    "contents": make_contents,
    "links": make_links,
    "symlinks": make_symlinks,
    "special": make_special,
    "times": make_times,
    "modes": make_modes,
    "attributes": make_attributes,
}
ROOT_MAKERS: dict[str, Callable[[Path], None]] = {
    "owned": make_owned,
    "devices": make_devices,
    "unreadable": make_unreadable,
}


def make_source(place: Path, makers: dict[str, Callable[[Path], None]]) -> Path:
    (place / "source").mkdir()
    for name, maker in makers.items():
        below = place / "source" / name
        below.mkdir()
        maker(below)
        os.utime(below, ns=(0, 1_000_000_007))
    return place / "source"


# The tests


@pytest.mark.fault(38, 42, 43, 44, 45, 46, 47)
def test_everything_comes_back_as_it_was(place: Path) -> None:
    make_source(place, MAKERS)
    round_trip(place)
    assert_same(place)


@pytest.mark.fault(35)
@needs_root
def test_everything_of_root_comes_back_as_it_was(place: Path) -> None:
    make_source(place, ROOT_MAKERS)
    round_trip(place)
    assert_same(place)


def test_the_comparison_notices_what_it_is_there_for(tmp_path: Path) -> None:
    def relink(tree: Path) -> None:
        (tree / "links/d").unlink()
        (tree / "links/d").write_bytes((tree / "links/one/a").read_bytes())
        os.utime(tree / "links/d", ns=(0, (tree / "links/one/a").stat().st_mtime_ns))

    def retype(tree: Path) -> None:
        (tree / "special/fifo").unlink()
        (tree / "special/fifo").touch()

    changes: list[Callable[[Path], object]] = [
        lambda tree: (tree / "names/upper").write_bytes(b"other"),
        lambda tree: (tree / "names/upper").unlink(),
        lambda tree: (tree / "names/new").touch(),
        lambda tree: (tree / "modes/file400").chmod(0o404),
        lambda tree: os.utime(tree / "times", ns=(0, 1_000_000_008)),
        lambda tree: os.setxattr(tree / "links", "user.new", b"value"),
        relink,
        retype,
    ]
    makers = {name: MAKERS[name] for name in ("names", "modes", "links", "special", "times")}
    make_source(tmp_path, makers)
    for change in changes:
        (tmp_path / "copy").mkdir()
        subprocess.run(["cp", "-a", tmp_path / "source", tmp_path / "copy"], check=True)
        assert_same(tmp_path)
        change(tmp_path / "copy/source")
        with pytest.raises(AssertionError):
            assert_same(tmp_path)
        remove(tmp_path / "copy")


@pytest.mark.fault(38, 39)
def test_a_tree_comes_back_that_is_deeper_than_any_path_can_name(place: Path) -> None:
    source = place / "source"
    source.mkdir()
    directory = os.open(source, os.O_RDONLY)
    for number in range(DEPTH):
        name = f"level {number:04}"
        os.mkdir(name, dir_fd=directory)
        file = os.open("file", os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=directory)
        os.write(file, noise(10, number))
        os.close(file)
        if number % 100 == 0:
            os.symlink("..", "link", dir_fd=directory)
        below = os.open(name, os.O_RDONLY, dir_fd=directory)
        os.close(directory)
        directory = below
    os.close(directory)
    round_trip(place)
    assert_same(place)
    with holdfast.open(place / "repo", password="x", cache=False) as repo:
        assert sum(1 for _ in repo.walk("latest", source)) > 2 * DEPTH
        report = repo.check(read_data=True)
        assert report.valid, report.findings
        assert repo.backup(source).files_new == 0
        assert list(repo.diff(f"latest:{source}", f"latest~1:{source}")) == []


@pytest.mark.fault(41)
def test_a_sparse_file_of_a_terabyte_is_not_read_through(place: Path) -> None:
    source = place / "source"
    source.mkdir()
    middle = noise(300_000)
    with (source / "sparse").open("wb") as file:
        file.write(b"begin")
        file.seek(TERABYTE // 3)
        file.write(middle)
        file.truncate(TERABYTE)
    with (source / "hole").open("wb") as file:
        file.truncate(TERABYTE)
    if (source / "hole").stat().st_blocks:
        pytest.skip("this file system has no holes")
    before = _bytes_moved()
    result = round_trip(place)
    # a few MB of data and what Python itself reads; the files have two million of these
    assert _bytes_moved() - before < 100 << 20
    assert result.bytes_processed == 2 * TERABYTE
    assert result.data_added < 2 << 20
    copy = place / "copy/source"
    assert (copy / "sparse").stat().st_size == TERABYTE
    assert (copy / "sparse").stat().st_blocks * 512 < 8 << 20
    assert (copy / "hole").stat().st_blocks * 512 < 1 << 20
    assert_same(place)
    with (
        holdfast.open(place / "repo", password="x", cache=False) as repo,
        repo.open_file("latest", source / "sparse") as stored,
    ):
        stored.seek(TERABYTE // 3)
        assert stored.read(len(middle)) == middle
        assert stored.seek(-10, os.SEEK_END) == TERABYTE - 10
        assert stored.read() == bytes(10)


def _bytes_moved() -> int:
    """What this process has read and written so far, by whatever call."""
    lines = Path("/proc/self/io").read_text("ascii").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("rchar", "wchar")))


@pytest.mark.fault(40)
@pytest.mark.parametrize("count", [20_000, pytest.param(100_000, marks=pytest.mark.soak)])
def test_a_directory_of_very_many_entries_comes_back(place: Path, count: int) -> None:
    if not place.is_relative_to(SHARED) and os.access(SHARED, os.W_OK):
        pytest.skip("done on the file system in memory, which is faster")
    source = place / "source"
    source.mkdir()
    directory = os.open(source, os.O_RDONLY)
    for number in range(count):
        name = f"{number * 7919 % 100_003:x}"
        file = os.open(name, os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=directory)
        if number % 10 == 0:
            os.write(file, name.encode())
        os.close(file)
    os.close(directory)
    result = round_trip(place)
    assert result.files_new == count
    assert_same(place)
    with holdfast.open(place / "repo", password="x", cache=False) as repo:
        (source / "one more").touch()
        again = repo.backup(source)
        assert (again.files_new, again.files_changed) == (1, 0)
        assert again.data_added < 2 << 20  # one page of the directory, not all of it


@pytest.mark.fault(36)
@needs_user
def test_what_cannot_be_read_is_reported_and_the_rest_backed_up(place: Path) -> None:
    source = make_source(place, {"unreadable": make_unreadable, "contents": make_contents})
    with holdfast.init(place / "repo", password="x", cache=False) as repo:
        result = repo.backup(source)
        below = source / "unreadable"
        assert {(e.path, e.errno) for e in result.errors} == {
            (str(below / "closed directory"), errno.EACCES),
            (str(below / "closed file"), errno.EACCES),
        }
        found = {entry.path: entry for entry in repo.walk("latest", source)}
        assert str(below / "closed file") not in found
        assert str(below / "closed directory") in found  # though nobody knows what is in it
        assert repo.restore(f"latest:{source}/contents", place / "copy").errors == ()


@pytest.mark.fault(35)
@needs_root
def test_devices_are_only_made_when_that_is_asked_for(tmp_path: Path) -> None:
    make_source(tmp_path, {"devices": make_devices})
    with holdfast.init(tmp_path / "repo", password="x", cache=False) as repo:
        repo.backup(tmp_path / "source")
        result = repo.restore(f"latest:{tmp_path}/source", tmp_path / "copy")
        assert list((tmp_path / "copy/devices").iterdir()) == []
        assert len(result.errors) in {0, 3}


@pytest.mark.fault(46)
def test_more_attributes_than_a_directory_page_can_hold(place: Path) -> None:
    source = place / "source"
    source.mkdir()
    (source / "file").write_text("content")
    (source / "other").write_text("content")
    try:
        for number in range(100):
            os.setxattr(source / "file", f"user.{number}", noise(1 << 16, number))
    except OSError as error:
        pytest.skip(f"this file system keeps fewer attributes: {error.strerror}")
    with holdfast.init(place / "repo", password="x", cache=False) as repo:
        result = repo.backup(source)
        assert {(error.path, error.errno) for error in result.errors} == {
            (str(source / "file"), errno.E2BIG)
        }
        with repo.open_file("latest", source / "file") as file:
            assert file.read() == b"content"
