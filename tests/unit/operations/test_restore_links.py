from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.filesystem.target import TargetError
from holdfast.operations.restore.links import Holder, make_link
from holdfast.operations.restore.scope import Place

ROOT = Place(None, b"/")
BELOW = Place(Place(ROOT, b"a"), b"b")


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "target/a/b").mkdir(parents=True)
    (tmp_path / "target/a/b/f").write_bytes(b"mine")
    (tmp_path / "outside/b").mkdir(parents=True)
    (tmp_path / "outside/b/f").write_bytes(b"precious")
    descriptor = os.open(tmp_path / "target", os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def holder_of(path: Path) -> Holder:
    status = path.stat()
    return Holder(BELOW, b"f", status.st_dev, status.st_ino)


def test_a_file_is_linked_from_another_directory(root: int, tmp_path: Path) -> None:
    make_link(root, holder_of(tmp_path / "target/a/b/f"), (ROOT, root), b"g")
    assert (tmp_path / "target/g").samefile(tmp_path / "target/a/b/f")


def test_a_file_is_linked_in_its_own_directory(root: int, tmp_path: Path) -> None:
    below = os.open(tmp_path / "target/a/b", os.O_RDONLY | os.O_DIRECTORY)
    os.rename(tmp_path / "target/a", tmp_path / "target/moved")  # noqa: PTH104 - the way is cut
    holder = holder_of(tmp_path / "target/moved/b/f")
    make_link(root, holder, (BELOW, below), b"g")
    os.close(below)
    assert (tmp_path / "target/moved/b/g").samefile(tmp_path / "target/moved/b/f")


@pytest.mark.parametrize("swap", ["link to file", "other file", "hard link", "directory", "gone"])
def test_what_took_its_place_is_not_linked(root: int, tmp_path: Path, swap: str) -> None:
    target, outside = tmp_path / "target", tmp_path / "outside"
    file = target / "a/b/f"
    holder = holder_of(file)
    file.rename(tmp_path / "aside")
    if swap == "link to file":
        file.symlink_to(outside / "b/f")
    elif swap == "other file":
        file.write_bytes(b"mine")
    elif swap == "hard link":
        os.link(outside / "b/f", file)
    elif swap == "directory":
        (target / "a").rename(tmp_path / "a")
        (target / "a").symlink_to(outside)
    before = (outside / "b/f").stat()
    with pytest.raises(TargetError, match="link"):
        make_link(root, holder, (ROOT, root), b"g")
    assert [path.name for path in target.iterdir()] == ["a"]
    after = (outside / "b/f").stat()
    assert after.st_nlink == before.st_nlink
    if swap != "hard link":  # that was a name of it in the target already
        assert after.st_ctime_ns == before.st_ctime_ns
