"""What the kernel is told, of a repository in memory and without FUSE."""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from holdfast.backend import MemoryBackend
from holdfast.engine.repository import Repository
from holdfast.engine.snapshotfs import kernel as module
from holdfast.engine.snapshotfs.kernel import Attributes, Kernel
from holdfast.errors import StorageUnavailable
from holdfast.overrides import override
from holdfast.testing.repositories import ManualClock, new_store

LONG = os.urandom(300_000) * 9
"""So long that its blobs are named in lists of their own."""


class Failing(MemoryBackend):
    """Cannot read some objects."""

    def __init__(self) -> None:
        super().__init__()
        self.bad: set[str] = set()

    @override
    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        if name in self.bad:
            raise StorageUnavailable(name, "it does not answer")
        return super().get(name, offset, length)


class World:
    """A repository, and a directory that is backed up."""

    def __init__(self, data: Path) -> None:
        self.clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
        self.backend = Failing()
        self.repo = Repository(new_store(self.backend, clock=self.clock), self.clock)
        self.data = data
        data.mkdir()

    def backup(self) -> bytes:
        self.clock.advance(86_400)
        made = self.repo.backup([self.data], host="one", tags=["a/b"]).snapshot
        assert made is not None
        return made.short_id.encode()

    def here(self) -> Kernel:
        """Of the directory itself."""
        return Kernel(self.repo, f"latest:{self.data}")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "data")
    yield world
    world.repo.close()


def listed(kernel: Kernel, path: bytes) -> dict[bytes, Attributes]:
    return dict(kernel.entries(path))


def code(question: Callable[[], object]) -> int | None:
    with pytest.raises(OSError) as failed:  # noqa: PT011 - the code is what is looked at
        question()
    return failed.value.errno


def test_snapshots_are_below_ids_and_all_else_are_links_to_there(world: World) -> None:
    (world.data / "file").write_bytes(b"content")
    first, second = world.backup(), world.backup()
    with closing(Kernel(world.repo)) as kernel:
        assert set(listed(kernel, b"/ids")) == {first, second}
        root = kernel.attributes(b"/ids/" + second)
        assert stat.S_ISDIR(root.mode)
        for link, up in (
            (b"/latest", b""),
            (b"/times/2026-01-03T00-00-00Z", b"../"),
            (b"/hosts/one/2026-01-03T00-00-00Z", b"../../"),
            (b"/tags/a%2Fb/2026-01-03T00-00-00Z", b"../../"),
            (b"/" + second[:7], b""),
        ):
            found = kernel.attributes(link)
            target = up + b"ids/" + second
            assert (found.mode, found.size) == (0o120777, len(target))
            assert kernel.target(link) == target
            assert kernel.xattrs(link) == {}
            assert not kernel.is_fixed(link)
        assert kernel.is_fixed(b"/ids/" + first)
        assert kernel.read(b"/ids/" + first + os.fsencode(world.data / "file"), 0, 9) == b"content"
        assert listed(kernel, b"/")[b"latest"] == kernel.attributes(b"/latest")
        world.clock.advance(100)
        third = world.backup()
        assert kernel.target(b"/latest") == b"ids/" + third


def test_attributes_are_those_of_the_source(world: World) -> None:
    file, link = world.data / "file", world.data / "link"
    file.write_bytes(b"x" * 1000)
    file.chmod(0o4751)
    os.utime(file, ns=(0, -1_500_000_000))
    (world.data / "same").hardlink_to(file)
    (world.data / "other").write_bytes(b"")
    link.symlink_to(b"caf\xe9".decode("utf-8", "surrogateescape"))
    world.backup()
    with closing(world.here()) as kernel:
        found = listed(kernel, b"/")
        assert found == {name: kernel.attributes(b"/" + name) for name in found}
        here = found[b"file"]
        assert here == found[b"same"]
        assert (here.mode, here.links, here.size, here.blocks) == (0o104751, 2, 1000, 2)
        assert (here.uid, here.mtime) == (file.stat().st_uid, -1_500_000_000)
        assert found[b"other"].links == 1
        assert len({each.inode for each in found.values()}) == 3
        assert kernel.target(b"/link") == b"caf\xe9"
        assert found[b"link"].size == 4


def test_reading_ends_where_the_file_does(world: World) -> None:
    (world.data / "long").write_bytes(LONG)
    (world.data / "empty").touch()
    world.backup()
    with closing(world.here()) as kernel:
        for offset, length in ((0, 4096), (4096, 131_072), (len(LONG) - 5, 100), (len(LONG), 10)):
            assert kernel.read(b"/long", offset, length) == LONG[offset : offset + length]
        assert kernel.read(b"/empty", 0, 4096) == b""
        assert code(lambda: kernel.read(b"/none", 0, 1)) == errno.ENOENT
        assert code(lambda: kernel.attributes(b"/empty/below")) == errno.ENOENT


def test_data_and_holes_are_found(world: World) -> None:
    with (world.data / "sparse").open("wb") as file:
        file.write(b"begin")
        file.seek(1 << 30)
        file.write(b"end")
    (world.data / "empty").touch()
    (world.data / "full").write_bytes(b"full")
    world.backup()
    with closing(world.here()) as kernel:
        hole = kernel.seek(b"/sparse", 0, hole=True)
        assert 5 <= hole <= 1 << 20
        data = kernel.seek(b"/sparse", hole, hole=False)
        assert hole < data <= 1 << 30
        size = (1 << 30) + 3
        assert kernel.seek(b"/sparse", data, hole=True) == size
        assert kernel.seek(b"/sparse", size - 1, hole=False) == size - 1
        assert kernel.seek(b"/full", 1, hole=True) == 4
        assert kernel.attributes(b"/sparse").blocks * 512 < 2 << 20
        for path, offset in ((b"/sparse", size), (b"/sparse", -1), (b"/empty", 0), (b"/", 0)):
            assert code(partial(kernel.seek, path, offset, hole=True)) == errno.ENXIO


def test_the_lists_of_a_long_file_are_not_needed_to_look_at_it(world: World) -> None:
    (world.data / "long").write_bytes(LONG)
    world.backup()
    before = {each.name for each in world.backend.list("data/")}
    (world.data / "new").touch()
    world.backup()
    world.backend.bad = before
    with closing(world.here()) as kernel:
        found = listed(kernel, b"/")[b"long"]
        assert (found.size, found.blocks) == (len(LONG), -(-len(LONG) // 512))
        assert code(lambda: kernel.read(b"/long", 0, 10)) == errno.EIO
        world.backend.bad.clear()


def test_damage_is_told_once(world: World, caplog: pytest.LogCaptureFixture) -> None:
    (world.data / "file").write_bytes(LONG)
    world.backup()
    for each in list(world.backend.list("data/")):
        world.backend.delete(each.name)
    with closing(Kernel(world.repo, "latest")) as kernel, caplog.at_level(logging.ERROR):
        for _ in range(3):
            assert code(lambda: kernel.entries(b"/")) == errno.EIO
        # Other libraries' threads, of tests before this one, may have something to say as well.
        (told,) = [each for each in caplog.records if each.name.startswith("holdfast")]
        assert told.getMessage().startswith("/: ")
        world.repo.forget(["latest"], force=True)
        assert code(lambda: kernel.entries(b"/")) == errno.ESTALE


def test_directories_without_entries_are_forgotten_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_LISTED", 10)
    for number in range(30):
        (world.data / f"{number}").mkdir()
    world.backup()
    with closing(world.here()) as kernel:
        for number in range(30):
            assert kernel.entries(b"/%d" % number) == []
        assert len(kernel._listed) == 10
        for _ in range(30):
            kernel.entries(b"/7")
        assert len(kernel._listed) == 10
        assert len(kernel.entries(b"/")) == 30  # the last one stays whatever it takes
        assert list(kernel._listed) == [b"/"]


def test_what_is_read_no_further_holds_up_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_READERS", 2)
    for number in range(4):
        (world.data / f"{number}").write_bytes(os.urandom(200_000))
    world.backup()
    with closing(world.here()) as kernel:
        readers = []
        for number in range(4):
            for offset in range(0, 40_000, 10_000):
                kernel.read(b"/%d" % number, offset, 10_000)
            readers.append(kernel._readers[b"/%d" % number])
            assert readers[-1]._asked, "it is read ahead"
        assert list(kernel._readers.values()) == readers[2:]
        assert [bool(each._asked) for each in readers] == [False, False, True, True]
