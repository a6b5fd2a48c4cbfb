from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.filesystem import apply
from holdfast.filesystem.apply import (
    apply_to_descriptor,
    apply_to_name,
    apply_to_new,
    wanted_mode,
)
from holdfast.filesystem.target import TargetError
from holdfast.model.node import Node, NodeType
from holdfast.testing.blobs import MemoryBlobs
from holdfast.testing.trees import TIME, Entry, directory, fifo, file, node_of, symlink

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def node(entry: Entry) -> Node:
    return node_of(b"e", entry, MemoryBlobs())


def never(error: TargetError) -> None:
    raise AssertionError(error)


def applied(path: Path, entry: Entry, *, new: bool = False) -> list[TargetError]:
    told: list[TargetError] = []
    opened = os.open(path, os.O_RDONLY)
    if new:
        apply_to_new(opened, node(entry), told.append, inherits=False)
    else:
        apply_to_descriptor(opened, node(entry), told.append)
    os.close(opened)
    return told


@pytest.mark.parametrize("new", [False, True])
@pytest.mark.parametrize("mode", [0o000, 0o644, 0o4755, 0o2711, 0o1777])
def test_mode_and_mtime(tmp_path: Path, mode: int, new: bool) -> None:
    path = tmp_path / "f"
    path.touch()
    assert applied(path, file(mode=mode), new=new) == []
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert path.stat().st_mtime_ns == path.stat().st_atime_ns == TIME


def test_what_is_right_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.touch()
    applied(path, file())
    before = path.stat().st_ctime_ns
    assert applied(path, file()) == []
    assert path.stat().st_ctime_ns == before


@pytest.mark.fault(35)
@needs_root
@pytest.mark.parametrize("new", [False, True])
def test_the_owner_comes_before_the_set_id_bits(tmp_path: Path, new: bool) -> None:
    path = tmp_path / "f"
    path.touch()
    assert applied(path, file(mode=0o6755).but(owner=(7, 8)), new=new) == []
    status = path.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (7, 8, 0o6755)


@pytest.mark.fault(35)
@needs_root
def test_capabilities_outlive_the_change_of_owner(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.touch()
    capability = bytes.fromhex("0100000200040000000000000000000000000000")
    entry = file().but(owner=(7, 8), xattrs=((b"security.capability", capability),))
    if applied(path, entry, new=True):
        pytest.skip("the file system has no capabilities")
    assert os.getxattr(path, b"security.capability") == capability


def test_directories(tmp_path: Path) -> None:
    path = tmp_path / "d"
    path.mkdir()
    assert applied(path, directory(mode=0o3555, mtime=-5)) == []
    assert stat.S_IMODE(path.stat().st_mode) == 0o3555
    assert path.stat().st_mtime_ns == -5


def test_set_id_bits_need_their_owner(tmp_path: Path) -> None:
    status = tmp_path.stat()
    other = (status.st_uid + 1, status.st_gid + 1)
    mine = (status.st_uid, status.st_gid)
    assert wanted_mode(node(file(mode=0o6755).but(owner=mine)), status) == 0o6755
    assert wanted_mode(node(file(mode=0o6755).but(owner=other)), status) == 0o755
    assert wanted_mode(node(directory(mode=0o2755).but(owner=other)), status) == 0o2755


def test_links_are_changed_themselves(fd: int, tmp_path: Path) -> None:
    (tmp_path / "goal").touch()
    before = (tmp_path / "goal").stat()
    (tmp_path / "e").symlink_to("goal")
    apply_to_name(fd, b"e", node(symlink(b"goal", mtime=-7)), never)
    assert os.lstat(tmp_path / "e").st_mtime_ns == -7
    assert (tmp_path / "goal").stat() == before


def test_special_files(fd: int, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "e")
    apply_to_name(fd, b"e", node(fifo(mode=0o606)), never)
    status = (tmp_path / "e").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns) == (0o606, TIME)


@pytest.mark.fault(34)
@pytest.mark.parametrize("planted", ["symlink to a fifo", "fifo", "symlink"])
def test_what_took_the_place_of_a_new_entry_stays_as_it_is(
    fd: int, tmp_path: Path, planted: str
) -> None:
    place = tmp_path / "goal"
    goal = symlink(b"nowhere") if planted == "symlink" else fifo(mode=0o600)
    if planted == "symlink":
        place.symlink_to("nowhere")
    else:
        os.mkfifo(place)
    if planted == "symlink to a fifo":
        (tmp_path / "e").symlink_to("goal")
    else:  # another name of it
        os.link(place, tmp_path / "e", follow_symlinks=False)
    before = place.lstat()
    with pytest.raises(TargetError, match="examine: something else took its place"):
        apply_to_name(fd, b"e", node(goal.but(owner=(1234, 5678))), never)
    assert place.lstat() == before


def test_where_nothing_holds_a_link_it_is_changed_by_its_name(
    fd: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apply, "_O_PATH", 0)
    test_links_are_changed_themselves(fd, tmp_path)


@pytest.mark.fault(48)
def test_in_a_system_without_proc_links_and_special_files_are_finished_all_the_same(
    fd: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it takes a path of a descriptor for is told: nothing is restored less for it."""
    monkeypatch.setattr(apply, "_HAS_PROC", False)
    test_links_are_changed_themselves(fd, tmp_path)
    (tmp_path / "e").unlink()
    os.mkfifo(tmp_path / "e")

    def refuse(*_: object, **__: object) -> None:
        raise ValueError("chmod: cannot use dir_fd and follow_symlinks together")

    monkeypatch.setattr(os, "chmod", refuse)  # as Python says where the C library cannot do it
    told: list[TargetError] = []
    apply_to_name(fd, b"e", node(fifo(mode=0o606).but(xattrs=((b"user.x", b"1"),))), told.append)
    assert [error.operation for error in told] == ["xattr", "mode"]
    assert (tmp_path / "e").stat().st_mtime_ns == TIME


@pytest.mark.fault(48)
def test_every_step_that_fails_is_told_and_the_others_done(fd: int, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "e")
    told: list[TargetError] = []
    nobody = ((1 << 32) - 1, 0)
    entry = Entry(NodeType.FIFO, 0o4612, 1 << 70, xattrs=((b"user.x", b"1"),), owner=nobody)
    apply_to_name(fd, b"e", node(entry), told.append)
    steps = [error.operation for error in told]
    assert steps == (["owner"] if os.geteuid() == 0 else []) + ["xattr", "mode", "time"]
    assert stat.S_IMODE((tmp_path / "e").stat().st_mode) == 0o612
    with pytest.raises(TargetError, match="examine: No such file"):
        apply_to_name(fd, b"none", node(entry), told.append)
